"""Length buckets: batches of few shapes, by number of sequences or of tokens, in an order that can be resumed."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqjax.data.padding import PaddingReport, padding_report

CANDIDATES = 512
"""Lengths that `bucket_boundaries` considers at most; beyond that it takes quantiles of them."""


def bucket_boundaries(
    lengths: np.ndarray | Sequence, buckets: int, max_length: int | None = None
) -> tuple[int, ...]:
    """The lengths to pad to, chosen so that padding every sequence to the next of them costs the fewest steps.

    Dynamic programming over the lengths that occur, or over their quantiles where more than
    `CANDIDATES` do.

    Args:
      lengths: steps of each sequence, `[sequences]`.
      buckets: how many boundaries at most.
      max_length: the last boundary, for example to leave room for unseen data; sequences beyond it
        do not count. None takes the longest sequence.

    Returns:
      Boundaries in ascending order; fewer than `buckets` where fewer lengths occur.

    Raises:
      ValueError: no sequence is left, or a number is not positive.

    Example:
      >>> bucket_boundaries([3, 3, 4, 9, 10], buckets=2)
      (4, 10)
    """
    lengths = np.maximum(_lengths(lengths), 1)
    if buckets < 1:
        raise ValueError(f"buckets is {buckets}; give at least 1")
    last = int(lengths.max()) if max_length is None else max_length
    lengths = lengths[lengths <= last]
    if not lengths.size:
        raise ValueError(
            f"no sequence has at most max_length={max_length} steps; give a larger one"
        )
    edges = np.unique(np.append(lengths, last))
    if len(edges) > CANDIDATES:
        quantiles = np.quantile(lengths, np.linspace(0, 1, CANDIDATES), method="higher")
        edges = np.unique(np.append(quantiles, last))
    return tuple(
        int(edge)
        for edge in _cheapest(edges, np.searchsorted(np.sort(lengths), edges, "right"), buckets)
    )


def _cheapest(edges: np.ndarray, below: np.ndarray, buckets: int) -> np.ndarray:
    """The at most `buckets` edges, the last included, with the fewest steps in all.

    Args:
      edges: candidates in ascending order, `[edges]`.
      below: how many sequences fit each, `[edges]`.
      buckets: how many to choose.
    """
    # price[i, j]: all sequences longer than edge i - 1 and no longer than edge j, padded to edge j.
    counts = below[None, :] - np.concatenate([[0], below[:-1]])[:, None]
    price = np.where(counts >= 0, counts * edges[None, :], np.inf)
    price[np.tril_indices(len(edges), -1)] = np.inf
    best, choices = price[0], []
    for _ in range(min(buckets, len(edges)) - 1):
        # through[i, j]: one bucket more, which reaches from edge i to edge j.
        through = np.concatenate([np.zeros(1), best[:-1]])[:, None] + price
        choices.append(through.argmin(0))
        best = through.min(0)
    chosen, end = [], len(edges) - 1
    for choice in reversed(choices):
        chosen.append(end)
        end = choice[end] - 1
        if end < 0:
            break
    else:
        chosen.append(end)
    return edges[chosen[::-1]]


@dataclasses.dataclass(frozen=True, eq=False)
class IndexBatch:
    """Which sequences make up a batch, and the shape they are padded to.

    Attributes:
      indices: of the sequences, int64 `[at most rows]`; rows beyond them are to be empty, of weight
        0.
      rows: of the batch.
      time: steps of the batch.
    """

    indices: np.ndarray
    rows: int
    time: int


class BucketBatches:
    """Index batches over sequences of different lengths: few shapes, nothing dropped, resumable.

    Every sequence goes into the first bucket that it fits into, and each bucket has one shape
    `(rows, time)`. The last batch of a bucket may hold fewer sequences than rows; `pad_batch` fills
    it with rows of weight 0. The order is a pure function of (seed, epoch): sequences are shuffled
    within their bucket, then the batches of all buckets.

    It is an iterator over `IndexBatch`; `state` and `restore` are its position.

    Args:
      lengths: steps of each sequence, `[sequences]`.
      batch_size: rows of every batch; or
      tokens: steps of a batch at most, so that short sequences come in larger batches. Give one of
        the two.
      buckets: how many boundaries `bucket_boundaries` shall choose, or the boundaries themselves.
      seed: of the order.
      shuffle: False keeps the order of the sequences within each bucket, and the buckets in
        ascending order.
      epochs: how often to go through the data; None never ends.
      multiple_of: rows are a multiple of this, for example of the number of devices (by `tokens`
        alone).

    Raises:
      ValueError: both or none of `batch_size` and `tokens`, a sequence longer than the last
        boundary (how many), or a budget of tokens too small for a row.
    """

    def __init__(
        self,
        lengths: np.ndarray | Sequence,
        batch_size: int | None = None,
        tokens: int | None = None,
        buckets: int | Sequence = 8,
        seed: int = 0,
        shuffle: bool = True,
        epochs: int | None = None,
        multiple_of: int = 1,
    ):
        self.lengths = _lengths(lengths)
        self.boundaries = _boundaries(self.lengths, buckets)
        self.seed, self.shuffle, self.epochs = seed, shuffle, epochs
        rows = [_rows(time, batch_size, tokens, multiple_of) for time in self.boundaries]
        self.shapes = tuple(zip(rows, self.boundaries, strict=True))
        self._buckets = self._sorted_into_buckets()
        self._batches_per_epoch = sum(
            -(-len(members) // rows) for members, (rows, _) in self._pairs()
        )
        self._epoch, self._batch, self._plan = 0, 0, (None, [])

    def _sorted_into_buckets(self) -> list[np.ndarray]:
        if (too_long := self.lengths > self.boundaries[-1]).any():
            raise ValueError(
                f"{too_long.sum():,} of {len(self.lengths):,} sequences are longer than the last boundary "
                f"{self.boundaries[-1]} (up to {self.lengths.max()}); raise it, or leave them out beforehand"
            )
        bucket = np.searchsorted(self.boundaries, self.lengths, "left")
        return [np.flatnonzero(bucket == place) for place in range(len(self.boundaries))]

    def _pairs(self) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
        return zip(self._buckets, self.shapes, strict=True)

    @property
    def batches_per_epoch(self) -> int:
        """How many batches an epoch has."""
        return self._batches_per_epoch

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to, from 0."""
        return self._epoch

    def plan(self, epoch: int) -> list[IndexBatch]:
        """All batches of an epoch, in order."""
        if self._plan[0] != epoch:
            self._plan = (epoch, self._planned(epoch))
        return self._plan[1]

    def _planned(self, epoch: int) -> list[IndexBatch]:
        generator = np.random.default_rng([self.seed, epoch])
        batches = []
        for members, (rows, time) in self._pairs():
            order = generator.permutation(members) if self.shuffle else members
            batches += [
                IndexBatch(order[start : start + rows], rows, time)
                for start in range(0, len(order), rows)
            ]
        return (
            [batches[place] for place in generator.permutation(len(batches))]
            if self.shuffle
            else batches
        )

    def report(self) -> PaddingReport:
        """What the padding of an epoch costs; the same for every epoch."""
        return padding_report(
            self.lengths, [(batch.rows, batch.time) for batch in self.plan(self._epoch)]
        )

    def __iter__(self) -> "BucketBatches":
        return self

    def __next__(self) -> IndexBatch:
        if not self._batches_per_epoch or self._epoch == self.epochs:
            raise StopIteration
        batch = self.plan(self._epoch)[self._batch]
        self._batch += 1
        if self._batch == self._batches_per_epoch:
            self._epoch, self._batch = self._epoch + 1, 0
        return batch

    def state(self) -> dict[str, Any]:
        """The position, of plain numbers and text: what `restore` wants."""
        return {"epoch": self._epoch, "batch": self._batch, "order": self._order()}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state` was taken.

        Raises:
          ValueError: it was taken over other lengths, shapes, or another seed.
        """
        if state["order"] != self._order():
            raise ValueError(
                "the state was taken over other lengths, shapes or another seed; give the same ones to resume"
            )
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])

    def _order(self) -> str:
        """A short fingerprint of everything the order depends on."""
        digest = hashlib.sha256(self.lengths.astype("<i8").tobytes())
        digest.update(repr((self.shapes, int(self.seed), bool(self.shuffle))).encode())
        return digest.hexdigest()[:16]


def _lengths(lengths: np.ndarray | Sequence) -> np.ndarray:
    array = np.asarray(lengths)
    if (
        array.ndim != 1
        or not array.size
        or not np.issubdtype(array.dtype, np.integer)
        or array.min() < 0
    ):
        raise ValueError(
            f"lengths are {array.dtype}{list(array.shape)}; give the number of steps of each sequence, at least one"
        )
    return array.astype(np.int64)


def _boundaries(lengths: np.ndarray, buckets: int | Sequence) -> tuple[int, ...]:
    if np.ndim(buckets) == 0:
        return bucket_boundaries(lengths, int(buckets))  # pyright: ignore[reportArgumentType]
    boundaries = tuple(sorted({int(edge) for edge in buckets}))  # pyright: ignore[reportGeneralTypeIssues]
    if not boundaries or boundaries[0] < 1:
        raise ValueError(
            f"buckets are {boundaries}; give their number, or lengths of at least 1 to pad to"
        )
    return boundaries


def rows_of_batch(rows: int, multiple_of: int) -> int:
    """Checks that the rows of a batch divide among devices.

    Args:
      rows: of a batch of one shape.
      multiple_of: the number of devices.

    Returns:
      The rows.

    Raises:
      ValueError: they do not.
    """
    if rows % multiple_of:
        raise ValueError(
            f"batch_size is {rows}; give a multiple of {multiple_of}, the number of devices"
        )
    return rows


def _rows(time: int, batch_size: int | None, tokens: int | None, multiple_of: int) -> int:
    if (batch_size is None) == (tokens is None):
        raise ValueError(f"batch_size={batch_size} and tokens={tokens}; give one of the two")
    rows = (
        batch_size if batch_size is not None else (tokens or 0) // time // multiple_of * multiple_of
    )
    if rows < 1:
        wanted = f"a row has {time} steps" + (
            f", {multiple_of} rows at a time" if multiple_of > 1 else ""
        )
        raise ValueError(
            f"batch_size={batch_size}, tokens={tokens}: no room for a row ({wanted}); give more"
        )
    return rows


def serving_batches(
    lengths: np.ndarray | Sequence, steps: int = 2**15, buckets: int = 3
) -> list[IndexBatch]:
    """Plans batches for sequences that are to be answered once: few shapes, however many lengths there are.

    Lengths are rounded up to four sizes an octave, and rows to powers of two, so that later calls
    meet shapes that were compiled before.

    Args:
      lengths: steps of each sequence, `[sequences]`.
      steps: of a batch at most, padding included; a longer sequence makes a batch alone.
      buckets: shapes at most.

    Returns:
      Batches in ascending order of length; each sequence is in one of them.

    Example:
      >>> [(batch.rows, batch.time) for batch in serving_batches([3, 5, 90, 100], buckets=2)]
      [(2, 5), (2, 112)]
    """
    if not len(lengths):
        return []
    lengths = _lengths(lengths)
    edges = sorted({_rounded(edge) for edge in bucket_boundaries(lengths, buckets)})
    place = np.searchsorted(edges, np.maximum(lengths, 1), "left")
    batches = []
    for bucket, time in enumerate(edges):
        members = np.flatnonzero(place == bucket)
        if not members.size:
            continue
        # The next power of two, or the largest one that the budget allows.
        rows = min(
            1 << (len(members) - 1).bit_length(), 1 << max(0, (steps // time).bit_length() - 1)
        )
        batches += [
            IndexBatch(members[at : at + rows], rows, time) for at in range(0, len(members), rows)
        ]
    return batches


def _rounded(length: int) -> int:
    """The length, or the next of four sizes an octave."""
    grain = max(1, 1 << max(0, length.bit_length() - 3))
    return -(-length // grain) * grain
