"""Read Keras 3's files: which recurrent layers stand in them, with what settings."""

import dataclasses
import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqjax.interop.arrays import Arrays, natural_order

CELL = re.compile(
    r"^(?P<layer>.*?)/(?:(?P<way>forward|backward)_layer/)?cell/(?:cells/(?P<cell>[^/]+)/)?vars/0$"
)
"""The kernel of a cell: its layer, direction, and its place among `StackedRNNCells`."""

PASSIVE = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout")
"""Layers that do nothing where nothing is trained."""


@dataclasses.dataclass(frozen=True)
class KerasLayer:
    """One recurrent layer of a file.

    Attributes:
      path: its group in the file of weights.
      name: what it is called in the model.
      cells: the paths of its cells, for each direction.
      config: its settings; None in a file of weights alone.
    """

    path: str
    name: str
    cells: Mapping[str, Sequence[str]]
    config: Mapping[str, Any] | None


@dataclasses.dataclass(frozen=True)
class KerasFile:
    """A file's arrays and recurrent layers.

    Attributes:
      arrays: all of them, by path.
      layers: the recurrent ones, in the model's order where the file says it.
      is_pile: whether they stand one upon another with nothing in between that counts.
    """

    arrays: Arrays
    layers: Sequence[KerasLayer]
    is_pile: bool


def read_keras(path: str | os.PathLike) -> KerasFile:
    """Reads a `.keras` or `.weights.h5` file.

    Raises:
      ImportError: h5py is not installed.
      ValueError: it is no such file, or an older one.
    """
    try:
        data = Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError(f"{path}: no such file") from None
    model, weights = _unzip(path, data) if zipfile.is_zipfile(io.BytesIO(data)) else ({}, data)
    entries, names = _read_h5(path, weights)
    if "keras_version" in names or any(name.startswith("model_weights/") for name in entries):
        raise ValueError(f"{path}: a file of Keras 2; load it in Keras and save it as .keras")
    told = list(_walk(model.get("config", {}), ""))
    layers = _recurrent(entries, names, told)
    return KerasFile(Arrays(str(path), entries), layers, _is_pile(model, layers))


def import_h5py() -> Any:
    """Returns the module `h5py`.

    Raises:
      ImportError: it is not installed (how to install it).
    """
    try:
        import h5py
    except ImportError:
        raise ImportError("Keras' files want h5py: pip install 'seqjax[interop]'") from None
    return h5py


def numbered(classes: Iterable[str]) -> list[str]:
    """Returns the names that Keras' files give to objects in a row: "lstm", "lstm_1", ..."""
    counts: dict[str, int] = {}
    names = []
    for name in classes:
        snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name))
        snake = re.sub(r"\W+", "", snake).lower()
        count = counts.get(snake, 0)
        counts[snake] = count + 1
        names.append(f"{snake}_{count}" if count else snake)
    return names


def cell_configs(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns the settings of the cells of a layer that reads one way, the first one first."""
    if config["class_name"] != "RNN":
        return [config]
    cell = config["config"]["cell"]
    return list(cell["config"]["cells"]) if cell["class_name"] == "StackedRNNCells" else [cell]


def _unzip(path: str | os.PathLike, data: bytes) -> tuple[dict[str, Any], bytes]:
    """Returns the settings and the weights of a `.keras` file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return json.loads(archive.read("config.json")), archive.read("model.weights.h5")
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no .keras file, or a damaged one ({error})") from None


def _read_h5(path: str | os.PathLike, data: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns arrays by path, and the names that layers have in the model."""
    h5py = import_h5py()
    entries: dict[str, Any] = {}
    names: dict[str, str] = {}

    def visit(place: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            entries[place] = item[()]
        elif "name" in item.attrs:
            names[place] = str(item.attrs["name"])

    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            names |= {key: "" for key in file.attrs}
            file.visititems(visit)
    except OSError as error:
        raise ValueError(f"{path}: no file of Keras, or a damaged one ({error})") from None
    return entries, names


def _walk(config: Any, place: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yields every layer's path in the file of weights, and its settings."""
    layers = config.get("layers") if isinstance(config, Mapping) else None
    if not isinstance(layers, list):
        return
    for name, layer in zip(numbered(each["class_name"] for each in layers), layers, strict=True):
        path = f"{place}layers/{name}"
        yield path, layer
        yield from _walk(layer["config"], f"{path}/")


def _recurrent(
    entries: Mapping[str, Any],
    names: Mapping[str, str],
    told: Sequence[tuple[str, Mapping[str, Any]]],
) -> list[KerasLayer]:
    """Returns the recurrent layers, in the order of the settings, then in that of their paths."""
    cells: dict[str, dict[str, list[str]]] = {}
    for name in sorted(entries, key=natural_order):
        match = CELL.match(name)
        if match:
            ways = cells.setdefault(match["layer"], {})
            ways.setdefault(match["way"] or "forward", []).append(name.removesuffix("/vars/0"))
    by_name = {config["config"].get("name"): config for _, config in told}
    by_path = dict(told)
    places = [path for path, _ in told]
    layers = []
    for path, ways in cells.items():
        name = names.get(f"{path}/vars") or path.rpartition("/")[2]
        config = by_name.get(name) or by_path.get(path)
        if config:
            name = config["config"]["name"]
            ways = {way: _in_order(paths, way, config) for way, paths in ways.items()}
        layers.append(KerasLayer(path, name, ways, config))
    rank = {path: index for index, path in enumerate(places)}
    return sorted(layers, key=lambda layer: rank.get(layer.path, len(rank)))


def _in_order(paths: Sequence[str], way: str, config: Mapping[str, Any]) -> list[str]:
    """Returns stacked cells in the order of the settings."""
    if len(paths) == 1:
        return list(paths)
    classes = [cell["class_name"] for cell in cell_configs(one_way(config, way))]
    parent = paths[0].rpartition("/")[0]
    wanted = [f"{parent}/{name}" for name in numbered(classes)]
    return wanted if sorted(wanted) == sorted(paths) else list(paths)


def one_way(config: Mapping[str, Any], way: str) -> Mapping[str, Any]:
    """Returns the settings of one direction of a layer."""
    if config["class_name"] != "Bidirectional":
        return config
    inside = config["config"]
    return inside["layer"] if way == "forward" else inside.get("backward_layer", inside["layer"])


def _is_pile(model: Mapping[str, Any], layers: Sequence[KerasLayer]) -> bool:
    """Tells whether the recurrent layers follow each other in a Sequential."""
    if len(layers) == 1:
        return True
    if model.get("class_name") != "Sequential" or not layers:
        return False
    names = [layer.name for layer in layers]
    rows = model["config"]["layers"]
    places = [i for i, row in enumerate(rows) if row["config"].get("name") in names]
    if len(places) < len(layers):
        return False
    between = rows[places[0] : places[-1]]
    return all(row["config"]["name"] in names or row["class_name"] in PASSIVE for row in between)
