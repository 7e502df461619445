"""Pictures with captions from any folder, each of one size, split so that no picture stands on two sides."""

import dataclasses
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqjax import datasets
from seqjax.data.records import Records
from seqjax.data.splits import hash_splits
from seqjax.files import (
    CAPTION_FILES,
    Caption,
    likeness,
    read_captions,
    read_lines,
    read_picture,
    squared,
)
from seqjax.files.disk import find

SHARES = {"train": 80, "validation": 10, "test": 10}
IMAGE_FOLDERS = (
    "",
    "images",
    "Images",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "flickr30k_images",
    "flickr30k-images",
    "flickr30k_images/flickr30k_images",
)
MISSED = 0.01
"""Share of the captioned images that may be missing: one is, in Flickr8k as published."""

COPY = re.compile(r"\.\d+$")
PUBLISHED_SPLITS = {
    "train": "Flickr_8k.trainImages.txt",
    "validation": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures and what is said about them.

    Attributes:
      images: uint8 `[pictures, side, side, 3]`.
      captions: of each picture, one or more.
      names: of their files.
      objects: where they are known, the pixels of the objects that a caption names, in that order:
        bool `[pictures, objects, side, side]`.
    """

    images: np.ndarray
    captions: list[list[str]]
    names: list[str]
    objects: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def of(
        cls, images: np.ndarray, captions: list[list[str]], names: list[str], side: int
    ) -> "Pictures":
        """Images of one size, uint8 `[pictures, height, width, 3]`, brought to squares."""
        return cls(np.stack([squared(image, side) for image in images]), captions, names)

    def take(self, chosen: Sequence[int]) -> "Pictures":
        """The pictures at these places."""
        captions, names = [self.captions[i] for i in chosen], [self.names[i] for i in chosen]
        objects = None if self.objects is None else self.objects[list(chosen)]
        return Pictures(self.images[list(chosen)], captions, names, objects)

    def pairs(self) -> "Pairs":
        """Every picture with each of its captions, to train on."""
        return Pairs(self)

    def fingerprint(self) -> str:
        """The sha256 of it all."""
        columns = {"images": self.images, "captions": self.captions, "names": self.names}
        return Records(columns).fingerprint()


class Pairs(Sequence):
    """Records of one picture and one caption, for `seqjax.data.batches`; the pictures are not copied."""

    def __init__(self, pictures: Pictures):
        self.pictures = pictures
        self.places = [
            (i, caption) for i, captions in enumerate(pictures.captions) for caption in captions
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """A record: `image` uint8 `[side, side, 3]` and `caption`."""
        place, caption = self.places[index]
        return {"image": self.pictures.images[place], "caption": caption}


def read_pictures(path: str | os.PathLike, side: int) -> dict[str, Pictures]:
    """The pictures of a folder, of any size and mode, with their captions: "train", "validation" and "test".

    Captions are in one of `CAPTION_FILES` (see `formats.read_captions`), images beside them or in
    `images`, `Images`, `Flicker8k_Dataset` or `flickr30k_images`. Flickr8k's own lists say which
    images are in which split, if they are there; else eight tenths train, by a hash of how a
    picture looks, so that duplicates fall together.

    A name such as `dog.jpg.1`, which Flickr8k has, may mean `dog.jpg`. Captions of an image that is
    not there are left out with a warning, where they are of one image in a hundred at most.

    Args:
      path: the folder, or the file of captions in it.
      side: pixels of the squares that the pictures are brought to.

    Raises:
      ValueError: there is no file of captions, it names images that are missing, an image is broken
        or of an unknown format, or a split is left empty (which, and where).
    """
    source = _caption_file(Path(path))
    captions = read_captions(source)
    files = _located(source, captions)
    said: dict[str, list[str]] = {name: [] for name in files}
    for caption in captions:
        if caption.file in files:
            said[caption.file].append(caption.text)
    images = np.stack([read_picture(file, side) for file in files.values()])
    pictures = Pictures(images, list(said.values()), list(files))
    splits = _published(source.parent, pictures) or by_likeness(images)
    if empty := [split for split in SHARES if split not in splits]:
        raise ValueError(
            f"{source}: {len(pictures)} pictures, none of them for {empty[0]}; give more pictures"
        )
    return {
        split: pictures.take([i for i, own in enumerate(splits) if own == split])
        for split in SHARES
    }


def load_pictures(
    name: str, side: int, data_dir: str | os.PathLike | None = None
) -> tuple[dict[str, Pictures], str]:
    """Loads a data set of captioned pictures, such as "captions/stamps", see `seqjax.datasets.load`.

    Args:
      name: of the data set.
      side: pixels of the squares that the pictures are brought to.
      data_dir: folder of the data sets.

    Returns:
      Pictures by split, as of `read_pictures`, and where they were taken from.

    Raises:
      DataUnavailable: it was not found.
    """
    splits = {"train": "train", "validation": "dev", "test": "test"}
    found = {own: datasets.load(name, split, data_dir) for own, split in splits.items()}
    parts = {}
    for split, loaded in found.items():
        columns = loaded.records.columns()
        captions = [[text] for text in columns["caption"]]
        parts[split] = Pictures.of(
            np.asarray(columns["image"]), captions, list(columns["file"]), side
        )
    return parts, found["train"].origin


def by_likeness(images: np.ndarray, shares: Mapping[str, int] = SHARES) -> list[str]:
    """The split of each picture `[pictures, height, width, 3]`; those that look alike fall into the same one."""
    return hash_splits([likeness(image) for image in images], shares)


def _caption_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder; give one with images and captions.tsv")
    found = (
        find(folder, name) for folder in (path, path / "Flickr8k_text") for name in CAPTION_FILES
    )
    source = next((file for file in found if file), None)
    if source is None:
        raise ValueError(
            f"{path} has no {CAPTION_FILES[0]} (lines of a file's name, a tab, a caption); add it"
        )
    return source


def _located(source: Path, captions: list[Caption]) -> dict[str, Path]:
    """The file of each image that the captions name, but for the few that are missing."""
    roots = (
        [source.parent, source.parent.parent]
        if source.parent.name == "Flickr8k_text"
        else [source.parent]
    )
    folders = [root / name for root in roots for name in IMAGE_FOLDERS if (root / name).is_dir()]
    first = {caption.file: caption.line for caption in reversed(captions)}
    names = dict.fromkeys(caption.file for caption in captions)
    found = {name: _find_image(folders, name) for name in names}
    files = {name: file for name, file in found.items() if file is not None}
    if missing := [name for name in names if name not in files]:
        where = f"{source}, line {first[missing[0]]}: no image {missing[0]} in {' or '.join(map(str, folders))}"
        if len(missing) > MISSED * len(names):
            count = "" if len(missing) == 1 else f", and {len(missing) - 1:,} more are missing"
            raise ValueError(f"{where}{count}; add it or take the line out")
        warnings.warn(
            f"{where}; captions of {len(missing):,} of {len(names):,} images are left out",
            stacklevel=3,
        )
    return files


def _find_image(folders: list[Path], name: str) -> Path | None:
    candidates = (
        folder / own for own in dict.fromkeys((name, COPY.sub("", name))) for folder in folders
    )
    return next((file for file in candidates if file.is_file()), None)


def _published(folder: Path, pictures: Pictures) -> list[str] | None:
    """The splits of Flickr8k's own lists, "" for a picture in none of them; None without the lists."""
    lists = {split: find(folder, name) for split, name in PUBLISHED_SPLITS.items()}
    if not all(lists.values()):
        return None
    places = {name.strip(): split for split, path in lists.items() if path for name in _names(path)}
    return [places.get(name, "") for name in pictures.names]


def _names(path: Path) -> Iterator[str]:
    return (name.strip() for name in read_lines(path))
