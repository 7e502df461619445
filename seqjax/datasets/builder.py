"""The TFDS builder of every data set of the registry that has files, without TensorFlow.

Importing this module registers the names that TFDS does not have itself:
`tfds.builder("gum", data_dir=..., file_format="array_record")`. The stock names
(`tiny_shakespeare`, `mnist`, `fashion_mnist`) stay with TFDS' own classes; take ours with
`builder_of`.
"""

import contextlib
import functools
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import tqdm_utils

from seqjax.datasets.entry import DataSet
from seqjax.datasets.features import Channels, Feature, Image, Label, Series, Text, Words
from seqjax.datasets.registry import REGISTRY

OWN_VERSION = "1.0.0"
"""Of every set that TFDS does not have itself."""


class EntryBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # pyright: ignore
    """Prepares a data set as its entry in the registry says.

    Records stay in the order of the files, so that a prepared set and the files it came from read
    alike. Files are taken from `manual_dir`, else from their public address.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir may hold the published files, directly or in a folder named after the data set;
    without them they are downloaded from the public address. seqjax.datasets.registry names the
    files.
    """

    @property
    def entry(self) -> DataSet:
        """The entry of the registry."""
        config = self.builder_config
        return REGISTRY[f"{self.name}/{config.name}" if config else self.name]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {name: tfds_feature(kind) for name, kind in self.entry.features.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.entry.description,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        folder = find_files(self.entry, dl_manager)
        generators = {}
        for split in self.entry.splits:
            if not self.entry.has(folder, split):
                continue
            pieces = self.entry.pieces(split)
            for place, name in enumerate(pieces):
                generators[name] = self._generate_examples(folder, split, place, len(pieces))
        return generators

    def _generate_examples(
        self, folder: Path, split: str, place: int, pieces: int
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the records of a split; where its text is cut, piece number `place` of it."""
        entry = self.entry
        for index, record in enumerate(entry.read(folder, split)):
            if pieces > 1:
                record = {name: _piece(text, place, pieces) for name, text in record.items()}
            example = {name: _encode(record[name], kind) for name, kind in entry.features.items()}
            yield index, example

    def __reduce__(self) -> tuple:
        # A class is pickled by its place in a module, and that of a data set has none.
        return _blank, (self.name,), self.__getstate__()


@functools.cache
def builder_class(family: str) -> type[EntryBuilder]:
    """Returns the class of a data set, by which TFDS knows builders.

    Args:
      family: the name of a data set, without its variant, for example "gum" or "captions".
    """
    entries = [entry for name, entry in REGISTRY.items() if name.partition("/")[0] == family]
    stock = entries[0].stock
    configs = [
        tfds.core.BuilderConfig(name=entry.variant, description=entry.description)
        for entry in entries
        if entry.variant
    ]

    class Builder(EntryBuilder, skip_registration=stock is not None):  # pyright: ignore
        name = family
        VERSION = tfds.core.Version(stock.version if stock else OWN_VERSION)
        BUILDER_CONFIGS = configs

    return Builder


def builder_of(name: str, data_dir: str | os.PathLike | None = None) -> tfds.core.DatasetBuilder:
    """Returns the builder of a data set, writing array_record.

    Args:
      name: such as "gum" or "captions/stamps".
      data_dir: where TFDS keeps prepared data sets; None takes TFDS' own default.

    Raises:
      ValueError: there is no builder of that name.

    Example, from files at hand:
      builder = builder_of("gum", "prepared")
      config = tfds.download.DownloadConfig(manual_dir="files/gum")
      builder.download_and_prepare(download_config=config)
    """
    family, _, config = name.partition("/")
    if family not in families():
        raise ValueError(f"no builder {family!r}; choose one of {', '.join(families())}")
    return builder_class(family)(
        data_dir=data_dir, config=config or None, file_format="array_record"
    )


def prepare(name: str, data_dir: Path, files: Path) -> tfds.core.DatasetBuilder:
    """Prepares a data set from its published files and prints nothing.

    Args:
      name: such as "gum" or "captions/stamps".
      data_dir: where TFDS keeps prepared data sets.
      files: folder of the published files, or the one above it.

    Returns:
      The builder, whose `data_dir` is the folder of the prepared set.
    """
    builder = builder_of(name, data_dir)
    with _quiet():
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=files))
    return builder


def families() -> list[str]:
    """Lists the data sets that have files, without their variants."""
    return sorted({name.partition("/")[0] for name, entry in REGISTRY.items() if entry.reader})


def find_files(entry: DataSet, dl_manager: Any) -> Path:
    """Finds the folder of a set's files: below `manual_dir`, that itself, or freshly downloaded.

    Raises:
      ValueError: they are not in `manual_dir`, and no public address serves them (`Unreachable` if
        it does not answer).
    """
    try:
        manual = Path(dl_manager.manual_dir)
    except AssertionError:  # TFDS's word for an absent or empty folder.
        manual = None
    if manual is not None:
        if folder := entry.locate(manual):
            return folder
        if entry.holds(manual):
            return manual
    if not entry.remotes:
        raise ValueError(
            f"{entry.name} has no public address; give its files in manual_dir "
            f"(folder {entry.folder})"
        )
    folder = Path(dl_manager.download_dir) / "seqjax" / entry.folder
    entry.fetch(folder)
    return folder


def tfds_feature(kind: Feature) -> tfds.features.FeatureConnector:
    """Translates the kind of a field into a feature of TFDS."""
    match kind:
        case Text():
            return tfds.features.Text()
        case Words():
            return tfds.features.Sequence(tfds.features.Text())
        case Label(names):
            return tfds.features.ClassLabel(names=names)
        case Image(shape):
            return tfds.features.Image(shape=shape)
        case Series(dtype):
            # As bytes, because the lists of numbers of a TFDS example hold float32 alone.
            encoding = "bytes" if dtype == "float64" else "none"
            return tfds.features.Tensor(shape=(None,), dtype=np.dtype(dtype), encoding=encoding)
        case Channels(count, dtype):
            shape = (None, count)
            return tfds.features.Tensor(shape=shape, dtype=np.dtype(dtype), encoding="bytes")


def _encode(value: Any, kind: Feature) -> Any:
    """Returns what TFDS can write without TensorFlow: images as PNG, all else as it is."""
    if not isinstance(kind, Image):
        return value
    import PIL.Image

    png = io.BytesIO()
    PIL.Image.fromarray(np.squeeze(value, -1) if value.shape[-1] == 1 else value).save(png, "PNG")
    return io.BytesIO(png.getvalue())


def _piece(text: str, place: int, pieces: int) -> str:
    """Returns one of the equal pieces of a text."""
    return text[len(text) * place // pieces : len(text) * (place + 1) // pieces]


def _blank(family: str) -> EntryBuilder:
    """Makes a builder without its state, which unpickling adds."""
    builder = builder_class(family)
    return builder.__new__(builder)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the progress bars and the two lines that TFDS prints."""
    shown = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(shown)


for _family in families():
    builder_class(_family)
