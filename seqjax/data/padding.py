"""Sequences of different lengths in one array, and what the padding costs."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np


def pad_batch(
    sequences: Sequence[np.ndarray | Sequence], time: int, rows: int, pad_value: int | float = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One array of a fixed shape from sequences that fit into it.

    Args:
      sequences: at least one and at most `rows`, each `[steps, ...]` with at most `time` steps.
      time: steps of the array.
      rows: rows of the array; those beyond the sequences have length 0 and weight 0.
      pad_value: what stands past the end of a sequence.

    Returns:
      `(array, lengths, weight)`: `[rows, time, ...]` in the dtype of the first sequence (integers
      that are not an array become int32), int32 `[rows]`, and float32 `[rows]`, 1 for a sequence
      and 0 for an empty row.

    Raises:
      ValueError: there is no sequence, there are too many, or some are too long (how many).
    """
    if not 0 < len(sequences) <= rows:
        raise ValueError(
            f"{len(sequences)} sequences for {rows} rows; give at least one and at most as many as rows"
        )
    arrays = [
        np.asarray(sequence) if isinstance(sequence, np.ndarray) else _listed(sequence)
        for sequence in sequences
    ]
    lengths = np.zeros(rows, np.int32)
    lengths[: len(arrays)] = [len(array) for array in arrays]
    if lengths.max() > time:
        count = int((lengths > time).sum())
        longest = f"the longest has {lengths.max()}"
        raise ValueError(
            f"{count} of {len(arrays)} sequences are longer than {time} steps ({longest}); leave them out"
        )
    padded = np.full((rows, time, *arrays[0].shape[1:]), pad_value, arrays[0].dtype)
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = array
    return padded, lengths, (np.arange(rows) < len(arrays)).astype(np.float32)


def _listed(sequence: Sequence) -> np.ndarray:
    array = np.asarray(sequence)
    return array.astype(np.int32) if array.dtype.kind == "i" or not array.size else array


@dataclasses.dataclass(frozen=True)
class PaddingReport:
    """What padding costs over an epoch.

    Attributes:
      real: steps of the sequences themselves.
      padded: steps of padding, empty rows included.
      waste: `padded / (real + padded)`.
      shapes: different array shapes, each of which compiles once.
    """

    real: int
    padded: int
    waste: float
    shapes: int

    def __str__(self) -> str:
        total = self.real + self.padded
        return f"{self.waste:.1%} padding: {self.real:,} of {total:,} steps are real, in {self.shapes} shapes"


def padding_report(
    lengths: Iterable | np.ndarray, shapes: Sequence[tuple[int, int]]
) -> PaddingReport:
    """What it costs to lay out sequences of these lengths in batches of these shapes.

    Args:
      lengths: steps of each sequence.
      shapes: `(rows, time)` of every batch of an epoch.

    Raises:
      ValueError: the batches have less room than the sequences take.
    """
    real = int(np.sum(np.fromiter(lengths, np.int64)))
    total = sum(rows * time for rows, time in shapes)
    if total < real:
        raise ValueError(
            f"the batches hold {total:,} steps, the sequences have {real:,}; give every batch of the epoch"
        )
    return PaddingReport(
        real, total - real, (total - real) / total if total else 0.0, len(set(shapes))
    )
