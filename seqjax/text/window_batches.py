"""Batches of windows of a text, for language models."""

import math

import numpy as np

from seqjax import data
from seqjax.data.stream import Resumable


def continued_windows(ids: np.ndarray, rows: int, window: int, once: bool) -> Resumable:
    """Makes batches in which every row goes on where it ended: `inputs`, `targets`, `reset`.

    Args:
      ids: of a text, `[tokens]`.
      rows: of a batch.
      window: tokens of a row.
      once: go through the text a single time.
    """
    epochs = 1 if once else None
    return data.batches(data.contiguous(ids, rows, window), None, shuffle=False, epochs=epochs)


def windows_anywhere(ids: np.ndarray, rows: int, window: int, seed: int, once: bool) -> Resumable:
    """Makes batches of windows from any place: `inputs` and `targets`.

    Args:
      ids: of a text, `[tokens]`.
      rows: of a batch.
      window: tokens of a row.
      seed: of the order.
      once: go through windows that lie side by side, a single time and in order.
    """
    if once:
        source = data.Windows(ids, window, stride=window)
        return data.batches(source, rows, shuffle=False, epochs=1)
    windows = data.Windows(ids, window)
    return _Passes(data.batches(windows, rows, seed=seed, drop_remainder=True))


class _Passes(data.Mapped):
    """Batches of windows from any place; an epoch reads as many tokens as the text has."""

    def __init__(self, iterator: data.BatchIterator):
        super().__init__(lambda batch: batch, iterator)
        windows = iterator.source
        tokens = (iterator.batch_size or 1) * windows.length
        self._batches_per_epoch = math.ceil(len(windows.tokens) / tokens)

    @property
    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return self._batches_per_epoch
