"""`segments`: a text for truncated backpropagation through time, cut at other places in every epoch."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqjax.data.fingerprint import fingerprint
from seqjax.data.windows import Contiguous

STEPS = 8
"""A cut moves by multiples of an eighth of the length, so that few shapes are compiled."""

FURTHEST = 2
"""Eighths that it moves at most, either way."""


class Segments:
    """Batches that continue each other, endless or for some epochs; see `segments`."""

    def __init__(
        self,
        tokens: np.ndarray | Sequence,
        batch: int,
        length: int,
        *,
        seed: int = 0,
        epochs: int | None = None,
    ):
        whole = Contiguous(tokens, batch, length)
        self.length, self.seed, self.epochs = length, seed, epochs
        self.batches_per_epoch = len(whole)
        self.unused = whole.unused
        used = whole.batch * length * len(whole)
        # Both [batch, time].
        self._inputs = whole.tokens[:used].reshape(batch, -1)
        self._targets = whole.tokens[1 : used + 1].reshape(batch, -1)
        self._epoch = self._batch = 0
        if seed < 0:
            raise ValueError(f"seed is {seed}; give at least 0")

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to, from 0."""
        return self._epoch

    def __iter__(self) -> "Segments":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self._epoch == self.epochs:
            raise StopIteration
        bounds = self._bounds
        part = slice(bounds[self._batch], bounds[self._batch + 1])
        reset = np.zeros((len(self._inputs), part.stop - part.start), bool)
        reset[:, 0] = self._batch == 0
        self._batch += 1
        if self._batch == self.batches_per_epoch:
            self._epoch, self._batch = self._epoch + 1, 0
        return {"inputs": self._inputs[:, part], "targets": self._targets[:, part], "reset": reset}

    @property
    def _bounds(self) -> np.ndarray:
        """Where the batches of this epoch begin and end, `[batches + 1]`."""
        return _bounds(self.seed, self._epoch, self.batches_per_epoch, self.length)

    def state(self) -> dict[str, Any]:
        """The position, of plain numbers and text: what `restore` wants."""
        return {"epoch": self._epoch, "batch": self._batch, **self._settings}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state` was taken.

        Raises:
          ValueError: it was taken over another text, with other rows, length or seed (which).
        """
        for name, value in self._settings.items():
            if state.get(name) != value:
                raise ValueError(
                    f"the state was taken with {name}={state.get(name)}, this iterator has {value}; "
                    "give the same"
                )
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])

    @functools.cached_property
    def _settings(self) -> dict[str, Any]:
        return {
            "rows": len(self._inputs),
            "length": int(self.length),
            "seed": int(self.seed),
            "text": fingerprint(self._inputs),
        }


def segments(
    tokens: np.ndarray | Sequence,
    batch: int,
    length: int,
    *,
    seed: int = 0,
    epochs: int | None = None,
) -> Segments:
    """Cuts a text as `contiguous` does, but moves every cut at random, anew in each epoch.

    Each token is read once an epoch, and none is always the last one that a gradient comes back
    from (Merity et al., 2018, draw the lengths with the same intent). A cut moves by multiples of
    an eighth of the length, two at most, which makes nine shapes.

    Args:
      tokens: ids, `[tokens]`.
      batch: rows.
      length: mean steps of a batch.
      seed: of the cuts, at least 0.
      epochs: how often to go through the text; None never ends.

    Returns:
      A resumable iterator over dicts of `inputs`, `targets` and `reset`, each `[batch, steps]`.

    Raises:
      ValueError: the text is too short for one batch.

    Example:
      >>> [batch["inputs"].tolist() for batch in segments(range(17), 1, 8, seed=0, epochs=1)]
      [[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]], [[10, 11, 12, 13, 14, 15]]]
    """
    return Segments(tokens, batch, length, seed=seed, epochs=epochs)


@functools.lru_cache(maxsize=4)
def _bounds(seed: int, epoch: int, count: int, length: int) -> np.ndarray:
    """Draws the cuts of an epoch; the first and the last stay where they are."""
    random = np.random.default_rng([seed, epoch])
    moves = random.integers(-FURTHEST, FURTHEST + 1, count - 1) * (length // STEPS)
    bounds = np.arange(count + 1) * length
    bounds[1:-1] += moves
    return bounds
