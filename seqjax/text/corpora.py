"""Running text to learn from, and its last tenth to validate: from a file, or a data set."""

import os
from typing import NamedTuple

from seqjax import datasets, files

SHARE = 10
"""One in so many characters validates."""


class Corpus(NamedTuple):
    """A running text in two parts.

    Attributes:
      train: what to learn.
      validation: what comes after it.
      origin: where it was taken from.
    """

    train: str
    validation: str
    origin: str


def read_corpus(path: str | os.PathLike) -> Corpus:
    """Reads a text file in UTF-8; its last tenth validates.

    Raises:
      ValueError: the file cannot be read, is empty, binary, or too short to be cut in two.
    """
    text = files.read_text(path)
    if not text:
        raise ValueError(f"{path}: empty; give a text to learn")
    if "\0" in text:
        raise ValueError(f"{path}: binary (it has zero bytes); give a text file in UTF-8")
    if len(text) < 2 * SHARE:
        raise ValueError(
            f"{path}: {len(text)} characters; give at least {2 * SHARE}, a tenth validates"
        )
    boundary = len(text) * (SHARE - 1) // SHARE
    return Corpus(text[:boundary], text[boundary:], str(path))


def load_corpus(name: str, data_dir: str | os.PathLike | None = None) -> Corpus:
    """Loads a data set of running text, such as "tiny_shakespeare", see `seqjax.datasets.load`.

    Raises:
      DataUnavailable: it was not found.
    """
    parts = [datasets.load(name, split, data_dir) for split in ("train", "validation")]
    train, validation = ("".join(part.records.columns()["text"]) for part in parts)
    return Corpus(train, validation, parts[0].origin)
