"""Batches of pieces: cut where they are long, each part with the frame before it."""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from seqjax import data
from seqjax.files import KEYS
from seqjax.music.notes import notes_of, polyphony

BUCKETS = 4
"""Lengths that training pads to, at most."""


def piece_batches(
    rolls: Sequence[np.ndarray], rows: int, window: int, seed: int = 0, once: bool = False
) -> data.Mapped:
    """Makes batches of pieces, see `seqjax.music.Composer.batches`.

    Raises:
      ValueError: there is no frame.
    """
    most = polyphony(rolls)
    parts: list[np.ndarray] = []
    for roll in rolls:
        parts += cut(notes_of(roll, most), window)
    if not parts:
        raise ValueError("the pieces have no frame; give music")
    order = data.BucketBatches(
        [len(part) - 1 for part in parts],
        rows,
        buckets=BUCKETS,
        seed=seed,
        shuffle=not once,
        epochs=1 if once else None,
    )
    return data.mapped(functools.partial(_collate, parts), order)


def cut(notes: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """Cuts a piece into parts of nearly equal length.

    Args:
      notes: `[frames, most]`.
      window: frames of a part, at most.

    Yields:
      A part, and before it the frame that it comes after; before the first, silence.
    """
    count = -(-len(notes) // window)
    whole = with_silence(notes)
    for place in range(count):
        start, stop = (len(notes) * edge // count for edge in (place, place + 1))
        yield whole[start : stop + 1]


def with_silence(notes: np.ndarray) -> np.ndarray:
    """Puts a frame of silence before the first one, `[frames + 1, most]`."""
    return np.pad(notes, ((1, 0), (0, 0)), constant_values=KEYS)


def _collate(parts: list[np.ndarray], chosen: data.IndexBatch) -> dict[str, np.ndarray]:
    """One batch: `notes [rows, time + 1, most]`, and `lengths` and `weight`, both `[rows]`."""
    members = [parts[index] for index in chosen.indices]
    notes, lengths, weight = data.pad_batch(members, chosen.time + 1, chosen.rows, KEYS)
    return {"notes": notes, "lengths": np.maximum(lengths - 1, 0), "weight": weight}
