"""Windows over long sequences: for language models, shuffled or with the state carried, and for time series."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Source:
    """A random-access source of dict records that reads many at once: a subclass defines `__len__` and `gather`."""

    def __len__(self) -> int:
        """The number of records."""
        raise NotImplementedError

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The records at `indices` `[rows]`, stacked: every array begins with `rows`."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One record."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return {
            name: array[0] for name, array in self.gather(np.array([index % len(self)])).items()
        }

    def __getitems__(self, indices: Sequence) -> list[dict[str, Any]]:
        """The records at `indices`, the form in which grain and TFDS ask for many."""
        stacked = self.gather(np.asarray(indices))
        return [
            {name: array[row] for name, array in stacked.items()} for row in range(len(indices))
        ]


class Windows(Source):
    """Every window of a text with its continuation: `inputs` `[length]`, and `targets` `[length]` one step later.

    Window i begins at token `i * stride`. Nothing is copied until a window is asked for.

    Args:
      tokens: ids, `[tokens]`.
      length: steps of a window.
      stride: steps between the beginnings of two windows; `length` gives windows that do not
        overlap.

    Raises:
      ValueError: the text has no whole window and its continuation.

    Example:
      >>> Windows(np.arange(6), length=3)[1]
      {'inputs': array([1, 2, 3]), 'targets': array([2, 3, 4])}
    """

    def __init__(self, tokens: np.ndarray | Sequence, length: int, stride: int = 1):
        self.tokens = _tokens(tokens)
        self.length, self.stride = _positive("length", length), _positive("stride", stride)
        if len(self.tokens) < length + 1:
            raise ValueError(
                f"the text has {len(self.tokens)} tokens; a window of {length} and its continuation want {length + 1}: "
                "give a longer text or shorter windows"
            )

    @functools.cached_property
    def _view(self) -> np.ndarray:
        return sliding_window_view(self.tokens, self.length + 1)[:: self.stride]

    def __len__(self) -> int:
        return len(self._view)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The windows at `indices` `[rows]`: `inputs` and `targets` `[rows, length]`."""
        rows = self._view[indices]
        return {"inputs": rows[:, :-1], "targets": rows[:, 1:]}


class Contiguous(Sequence):
    """The batches of `contiguous`, in order; see there."""

    def __init__(self, tokens: np.ndarray | Sequence, batch: int, length: int):
        self.tokens = _tokens(tokens)
        self.batch, self.length = _positive("batch", batch), _positive("length", length)
        self._count = (len(self.tokens) - 1) // (batch * length)
        if self._count < 1:
            raise ValueError(
                f"the text has {len(self.tokens)} tokens; {batch} rows of {length} and the continuation want "
                f"{batch * length + 1}: give a longer text, fewer rows or shorter windows"
            )

    @property
    def unused(self) -> int:
        """How many tokens at the end of the text no batch contains."""
        return len(self.tokens) - self._count * self.batch * self.length - 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):
        """Batch `index`: `inputs`, `targets` and `reset`, each `[batch, length]`."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        start = index % len(self) * self.length
        inputs, targets = (
            part[: self.batch * self._count * self.length].reshape(self.batch, -1)[
                :, start : start + self.length
            ]
            for part in (self.tokens[:-1], self.tokens[1:])
        )
        reset = np.zeros(inputs.shape, bool)
        reset[:, 0] = start == 0
        return {"inputs": inputs, "targets": targets, "reset": reset}


def contiguous(tokens: np.ndarray | Sequence, batch: int, length: int) -> Contiguous:
    """A text as batches for truncated backpropagation through time, the state carried from batch to batch.

    The text is cut into `batch` pieces of equal length, one a row; each next batch continues every
    row where the last one ended, so the state after a batch is the state before the next. `reset`
    is True at the first step of the first batch alone: given to `seqjax.unroll` it starts every
    epoch afresh.

    Args:
      tokens: ids, `[tokens]`.
      batch: rows.
      length: steps of a batch.

    Returns:
      A sequence of dicts of `inputs`, `targets` and `reset`, each `[batch, length]`; its `unused`
      says how many tokens at the end are in none.
      `seqjax.data.batches(contiguous(...), None, shuffle=False, ...)` iterates with a position.

    Raises:
      ValueError: the text is too short for one batch.
    """
    return Contiguous(tokens, batch, length)


class SeriesWindows(Source):
    """The windows of `series_windows`; see there."""

    def __init__(self, values: np.ndarray, context: int, horizon: int, stride: int = 1):
        self.values = np.asarray(values)
        if self.values.ndim != 2:
            raise ValueError(
                f"values have shape {self.values.shape}; give [time, channels] (one series: values[:, None])"
            )
        self.context, self.horizon = _positive("context", context), _positive("horizon", horizon)
        self.stride = _positive("stride", stride)
        if len(self.values) < context + horizon:
            raise ValueError(
                f"the series has {len(self.values)} steps; a context of {context} and a horizon of {horizon} want "
                f"{context + horizon}: give a longer series or shorter windows"
            )

    @functools.cached_property
    def _view(self) -> np.ndarray:
        windows = sliding_window_view(self.values, self.context + self.horizon, axis=0)[
            :: self.stride
        ]
        return np.moveaxis(windows, -1, 1)

    def __len__(self) -> int:
        return len(self._view)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The windows at `indices`: `context` `[rows, context, channels]`, `horizon` `[rows, horizon, channels]`."""
        rows = np.ascontiguousarray(self._view[indices])
        return {"context": rows[:, : self.context], "horizon": rows[:, self.context :]}


def series_windows(
    values: np.ndarray, context: int, horizon: int, stride: int = 1
) -> SeriesWindows:
    """Every window of a time series with what followed it.

    Args:
      values: the series, `[time, channels]`.
      context: steps that are seen.
      horizon: steps that are to be forecast, right after.
      stride: steps between the beginnings of two windows.

    Returns:
      A random-access source of dicts of `context` `[context, channels]` and `horizon`
      `[horizon, channels]`.

    Raises:
      ValueError: the series is not `[time, channels]`, or too short for one window.
    """
    return SeriesWindows(values, context, horizon, stride)


def _tokens(tokens: np.ndarray | Sequence) -> np.ndarray:
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(
            f"tokens are {tokens.dtype}{list(tokens.shape)}; give integer ids [tokens], from a Vocabulary"
        )
    return tokens


def _positive(name: str, number: int) -> int:
    if number < 1:
        raise ValueError(f"{name} is {number}; give at least 1")
    return number
