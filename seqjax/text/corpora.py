"""Running text to learn from, and its last tenth to validate: from a file, or a data set."""

import os
from typing import NamedTuple

from seqjax import datasets, files

SHARE = 10
"""One in so many characters validates."""


class Corpus(NamedTuple):
    """A running text in parts.

    Attributes:
      train: what to learn.
      validation: what chooses the model, as a rule what comes after it.
      origin: where it was taken from.
      test: what is scored in the end, where it was asked for.
    """

    train: str
    validation: str
    origin: str
    test: str | None = None


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


def read_parts(
    train: str | os.PathLike, validation: str | os.PathLike, test: str | os.PathLike | None = None
) -> Corpus:
    """Reads a corpus of a text file for each part, in UTF-8.

    Raises:
      ValueError: a file cannot be read, or is empty (which).
    """
    parts = {}
    for name, path in (("train", train), ("validation", validation), ("test", test)):
        if path is not None:
            parts[name] = files.read_text(path)
            if not parts[name]:
                raise ValueError(f"{path}: empty; give a text")
    return Corpus(origin=str(train), **parts)


def load_corpus(
    name: str, data_dir: str | os.PathLike | None = None, *, test: bool = False
) -> Corpus:
    """Loads a data set of running text, such as "tiny_shakespeare", see `seqjax.datasets.load`.

    Args:
      name: of the data set.
      data_dir: the local folder.
      test: load the test set too.

    Raises:
      ValueError: it has no test set.
      DataUnavailable: it was not found.
    """
    splits = ("train", "validation", "test") if test else ("train", "validation")
    loaded = [datasets.load(name, split, data_dir) for split in splits]
    texts = ["".join(part.records.columns()["text"]) for part in loaded]
    return Corpus(texts[0], texts[1], loaded[0].origin, *texts[2:])
