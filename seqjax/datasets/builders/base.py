"""`RawBuilder`: a TFDS builder over a `RawSet`, so that a builder is no more than its features and its description."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from seqjax.datasets.sets import SETS
from seqjax.datasets.sets.raw import RawSet


class RawReading:
    """The half of a builder that reads: files from `manual_dir`, else from their public address, without TensorFlow.

    To be mixed into a `tfds.core.GeneratorBasedBuilder`, a stock one too, whose features are those
    of the records.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = """\
    manual_dir may hold the published files, directly or in a folder named after the data set; without them they are
    downloaded from the public address. seqjax.datasets.sets names the files.
    """

    @property
    def raw(self: Any) -> RawSet:
        """The data set as files."""
        return SETS[f"{self.name}/{self.builder_config.name}" if self.builder_config else self.name]

    def _split_generators(self: Any, dl_manager: Any) -> Any:
        folder = raw_folder(self.raw, dl_manager)
        present = [split for split in self.raw.splits if self.raw.has(folder, split)]
        return {split: self._generate_examples(folder, split) for split in present}

    def _generate_examples(
        self: Any, folder: Path, split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, record in enumerate(self.raw.read(folder, split)):
            yield (
                index,
                {
                    name: encoded(record[name], feature)
                    for name, feature in self.info.features.items()
                },
            )


class RawBuilder(RawReading, tfds.core.GeneratorBasedBuilder, skip_registration=True):  # pyright: ignore
    """A builder of ours: a subclass says `ABOUT` and gives its `features`.

    Records stay in the order of the files (`disable_shuffling`), so that a prepared set and the
    files it came from read alike. Prepare it with `file_format="array_record"`.
    """

    VERSION = tfds.core.Version("1.0.0")
    ABOUT: ClassVar[str]

    def features(self) -> dict[str, Any]:
        """Name to TFDS feature of a record."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(self.features())
        return tfds.core.DatasetInfo(
            builder=self, description=self.ABOUT, features=features, disable_shuffling=True
        )


def in_file_order(
    builder: tfds.core.DatasetBuilder, stock: tfds.core.DatasetInfo
) -> tfds.core.DatasetInfo:
    """The stock builder's description of a data set, its records to stay in the order of the files."""
    return tfds.core.DatasetInfo(
        builder=builder,
        description=stock.description,
        features=stock.features,
        supervised_keys=stock.supervised_keys,
        homepage=stock.homepage,
        citation=stock.citation,
        disable_shuffling=True,
    )


def raw_folder(raw: RawSet, dl_manager: Any) -> Path:
    """The folder of a set's files: below `manual_dir` or that itself if they are there, else freshly downloaded.

    Raises:
      ValueError: they are not in `manual_dir`, and no public address serves them (`Unreachable` if
        it does not answer).
    """
    try:
        manual = Path(dl_manager.manual_dir)
    except AssertionError:  # TFDS's word for an absent or empty folder.
        manual = None
    if manual is not None and (
        folder := raw.locate(manual) or (manual if raw.holds(manual) else None)
    ):
        return folder
    if not raw.remotes:
        raise ValueError(
            f"{raw.name} has no public address; give its files in manual_dir (folder {raw.folder})"
        )
    folder = Path(dl_manager.download_dir) / "seqjax" / raw.folder
    raw.fetch(folder)
    return folder


def encoded(value: Any, feature: Any) -> Any:
    """What TFDS can write without TensorFlow: images go in as PNG, everything else as it is."""
    if not isinstance(feature, tfds.features.Image):
        return value
    from PIL import Image

    png = io.BytesIO()
    Image.fromarray(np.squeeze(value, -1) if value.shape[-1] == 1 else value).save(png, "PNG")
    return io.BytesIO(png.getvalue())
