"""TFDS data sets that lie prepared in a folder, read in bulk into `Records`, without TensorFlow."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.data.records import Column, Records
from seqjax.files import read_image

READ_AT_ONCE = 4096


def find_prepared(data_dir: Path, name: str) -> Path | None:
    """Finds the newest `<data_dir>/<name>/<version>` that TFDS has prepared as array_record."""
    infos = Path(data_dir, name).glob("*.*.*/dataset_info.json")
    return max(
        (info.parent for info in infos if _is_array_record(info)), key=_version, default=None
    )


def _is_array_record(info: Path) -> bool:
    """Tells whether a `dataset_info.json` says so: the other forms need TensorFlow."""
    try:
        return json.loads(info.read_bytes())["fileFormat"] == "array_record"
    except (ValueError, KeyError, TypeError):
        return False


def _version(folder: Path) -> tuple[int, ...]:
    parts = folder.name.split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else (-1,)


def read_prepared(folder: Path, split: str) -> Records:
    """Reads a split of a prepared TFDS data set, text as `str` and images as uint8.

    Args:
      folder: the one that holds `dataset_info.json`.
      split: a name or any TFDS split expression, for example "validation+test".

    Raises:
      ValueError: it has no such split, or is stored in another form than array_record.
    """
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(folder)
    if missing := [part for part in split.split("+") if part not in builder.info.splits]:
        raise ValueError(
            f"{folder} has no split {missing[0]!r}; it has {', '.join(builder.info.splits)}"
        )
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        kind = getattr(builder.info.file_format, "value", builder.info.file_format)
        raise ValueError(
            f'{folder} is stored as {kind}; prepare it again with file_format="array_record"'
        )
    features = builder.info.features
    images = {
        name: tfds.decode.SkipDecoding()
        for name, kind in features.items()
        if isinstance(kind, tfds.features.Image)
    }
    source = builder.as_data_source(split=split, decoders=images or None)
    return Records(_columns(source, features))


def _columns(source: Any, features: Any) -> dict[str, Column]:
    columns: dict[str, list] = {name: [] for name in features}
    for start in range(0, len(source), READ_AT_ONCE):
        for record in source.__getitems__(
            list(range(start, min(start + READ_AT_ONCE, len(source))))
        ):
            for name, feature in features.items():
                columns[name].append(_value(record[name], feature))
    return {name: _stacked(columns[name], feature) for name, feature in features.items()}


def _value(value: Any, feature: Any) -> Any:
    kind = type(feature).__name__
    if kind == "Image":
        return read_image(io.BytesIO(value), feature.shape)
    if kind == "Text":
        return value.decode("utf-8")
    if kind == "Sequence" and type(feature.feature).__name__ == "Text":
        return [item.decode("utf-8") for item in value]
    return np.asarray(value, feature.np_dtype)


def _stacked(values: Sequence[Any], feature: Any) -> Column:
    """Stacks the values of one static shape; keeps a list where shapes may differ."""
    if not values or not isinstance(values[0], np.ndarray) or None in feature.shape:
        return list(values)
    return np.stack(values)
