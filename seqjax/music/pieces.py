"""Pieces of music: from data sets, from folders of MIDI files, and from MATLAB files."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqjax import datasets
from seqjax.datasets.registry.music import VARIABLES
from seqjax.files import read_midi, read_rolls

CORPORA = ("jsb_chorales", "musedata", "nottingham", "piano_midi")
"""What `load_pieces` knows."""

ENDINGS = (".mid", ".midi", ".MID")


class Pieces(NamedTuple):
    """Pieces of music.

    Attributes:
      rolls: uint8 `[frames, 88]` each, 1 where a key sounds.
      origin: where they are from.
    """

    rolls: list[np.ndarray]
    origin: str


def load_pieces(corpus: str, split: str, data_dir: str | os.PathLike | None = None) -> Pieces:
    """Loads a split of a corpus that `seqjax.datasets` knows.

    Args:
      corpus: one of `CORPORA`.
      split: `"train"`, `"validation"` or `"test"`.
      data_dir: see `seqjax.datasets.load`.

    Raises:
      DataUnavailable: it was not found and could not be downloaded.
    """
    part = datasets.load(corpus, split, data_dir)
    return Pieces(list(part.records.columns()["roll"]), part.origin)


def read_pieces(path: str | os.PathLike, split: str = "train", beats: int | float = 0.25) -> Pieces:
    """Reads the MIDI files of a folder, or a split of a MATLAB file.

    Args:
      path: a folder, all below it included; one MIDI file; or a `.mat` file of the form of
        `seqjax.files.read_rolls`.
      split: whose cell array is read from a MATLAB file: `traindata`, `validdata` or `testdata`.
      beats: quarter notes of a frame, for MIDI files.

    Raises:
      ValueError: there is no piece, or a file is not what it claims (which, and where).
    """
    path = Path(path)
    if path.name.endswith((".mat", ".mat.gz")):
        return Pieces(read_rolls(path, VARIABLES[split]), str(path))
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in ENDINGS)
    if not files:
        raise ValueError(f"{path}: no MIDI file (.mid or .midi) in this folder; put some there")
    return Pieces([read_midi(file, beats) for file in files], str(path))
