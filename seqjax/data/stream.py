"""`batches`: an iterator over a random-access source whose position can be saved and resumed exactly."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from seqjax.data.records import Records, chunks
from seqjax.data.shuffle import shuffled

SAMPLE = 32
"""Records, evenly spaced, by which a position knows its source again."""

SAMPLE_BYTES = 1 << 22
"""Bytes of them that are read at most, whole records."""


@runtime_checkable
class Resumable(Protocol):
    """An iterator with a position: what `mapped` and `prefetch` take and give."""

    def __iter__(self) -> Iterator: ...
    def __next__(self) -> Any: ...
    def state(self) -> dict[str, Any]:
        """The position, of plain numbers and text."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state` was taken."""
        ...


class BatchIterator:
    """Batches of a source in an order that is a pure function of (seed, epoch); see `batches`."""

    def __init__(
        self,
        source: Any,
        batch_size: int | None,
        *,
        seed: int = 0,
        epochs: int | None = None,
        shuffle: bool = True,
        shard: tuple[int, int] = (0, 1),
        drop_remainder: bool = False,
    ):
        source = _as_source(source)
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self.epochs, self.shuffle, self.shard, self.drop_remainder = (
            epochs,
            shuffle,
            shard,
            drop_remainder,
        )
        self._epoch, self._batch = 0, 0
        if seed < 0:
            raise ValueError(f"seed is {seed}; give at least 0")
        index, count = shard
        if not 0 <= index < count:
            raise ValueError(f"shard is {shard}; give (index, count) with 0 <= index < count")
        if batch_size is None:
            if shuffle:
                raise ValueError(
                    "batch_size is None: the source's own batches come in order; give shuffle=False"
                )
        elif batch_size < 1 or batch_size % count:
            raise ValueError(
                f"batch_size is {batch_size}; give a positive multiple of the {count} shards"
            )
        if self.batches_per_epoch < 1:
            raise ValueError(
                f"the source has {len(source)} records; a batch wants {batch_size}: give more or smaller batches"
            )

    @functools.cached_property
    def batches_per_epoch(self) -> int:
        """How many batches an epoch has; the same for every shard."""
        size = self.batch_size or 1
        return len(self.source) // size if self.drop_remainder else -(-len(self.source) // size)

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to, from 0."""
        return self._epoch

    def __iter__(self) -> "BatchIterator":
        return self

    def __next__(self) -> dict[str, Any]:
        if self._epoch == self.epochs:
            raise StopIteration
        batch = (
            self._own_batch()
            if self.batch_size is None
            else self._gathered(self.batch_size // self.shard[1])
        )
        self._batch += 1
        if self._batch == self.batches_per_epoch:
            self._epoch, self._batch = self._epoch + 1, 0
        return batch

    def _own_batch(self) -> dict[str, Any]:
        """A batch that the source made: this shard's rows of it."""
        index, count = self.shard
        batch = _fields(self.source[self._batch], self._batch)
        if any(len(array) % count for array in batch.values()):
            raise ValueError(
                f"the source's batches do not divide into {count} shards; give it a multiple of that many rows"
            )
        return {name: _part(array, index, count) for name, array in batch.items()}

    def _gathered(self, rows: int) -> dict[str, Any]:
        """This shard's rows of the next batch, filled up with repeated rows of weight 0."""
        index, count = self.shard
        indices = self._indices(self._batch * count + index, rows)
        filled = np.concatenate([indices, np.zeros(rows - len(indices), np.int64)])
        batch = stack(self.source, filled)
        if self.drop_remainder:
            return batch
        if "weight" in batch:
            raise ValueError(
                'the records have a field "weight" themselves; rename it, or give drop_remainder=True'
            )
        return {**batch, "weight": (np.arange(rows) < len(indices)).astype(np.float32)}

    def _indices(self, part: int, rows: int) -> np.ndarray:
        """The records of the `part`-th `rows` places of the epoch; fewer, or none, past its end."""
        records = len(self.source)
        if part * rows >= records:
            return np.zeros(0, np.int64)
        start, stop = part * rows, min((part + 1) * rows, records)
        if self.shuffle:
            return shuffled(start, stop, records, _seed_of(self.seed, self._epoch))
        return np.arange(start, stop)

    def state(self) -> dict[str, Any]:
        """The position, of plain numbers: what `restore` wants. It does not depend on the shard."""
        return {
            "epoch": self._epoch,
            "batch": self._batch,
            **self._settings(),
            "content": self._content,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on exactly where `state` was taken, on this shard or another.

        Other records of the same number are known by a sample of them (`SAMPLE`). A source whose
        records differ from one reading to the next, such as one that draws crops, is not compared.

        Raises:
          ValueError: it was taken over another source, batch size, seed or order (which of them).
        """
        for name, value in self._settings().items():
            if state.get(name) != value:
                raise ValueError(
                    f"the state was taken with {name}={state.get(name)}, this iterator has {value}; give the same"
                )
        content = state.get("content")
        if content and self._content and content != self._content:
            raise ValueError(
                "the state was taken over other records than this iterator's; give the same to resume"
            )
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])

    def _settings(self) -> dict[str, Any]:
        size = None if self.batch_size is None else int(self.batch_size)
        return {
            "records": len(self.source),
            "batch_size": size,
            "seed": int(self.seed),
            "shuffle": bool(self.shuffle),
            "drop_remainder": bool(self.drop_remainder),
        }

    @functools.cached_property
    def _content(self) -> str | None:
        """A fingerprint of a sample of the records; None where the same record reads differently a second time."""
        places = np.unique(np.linspace(0, len(self.source) - 1, SAMPLE).astype(int)).tolist()
        if _fingerprint(self.source, places[:1]) != _fingerprint(self.source, places[:1]):
            return None
        return _fingerprint(self.source, places)


def batches(
    source: Any,
    batch_size: int | None,
    *,
    seed: int = 0,
    epochs: int | None = None,
    shuffle: bool = True,
    shard: tuple[int, int] = (0, 1),
    drop_remainder: bool = False,
) -> BatchIterator:
    """Batches of a random-access source, endless or for some epochs, whose position can be saved.

    Each epoch has a fresh order, which `seqjax.data.shuffle` computes for any place, so that a
    position is three numbers whatever the size of the source. The rows are then gathered at once.

    Args:
      source: has `len` and records that are dicts: `Records`, `Windows`, a list, a grain or TFDS
        source. One with `gather(indices)` gives its rows stacked, one with `__getitems__` many at a
        time. A dict of columns, arrays `[records, ...]` or lists, and a table of pandas serve as
        `Records` of them.
      batch_size: rows of a batch over all shards. None: the source's items are batches already, as
        with `contiguous`.
      seed: of the order, at least 0.
      epochs: how often to go through the source; None never ends.
      shuffle: False takes the records in order.
      shard: `(index, count)` of this process: it gets its `batch_size / count` rows of every batch.
        The shards' rows side by side are the batch that one process alone would see; all shards
        have the same number of batches.
      drop_remainder: leave out the records that do not fill the last batch of an epoch. By default
        that batch is filled up with repeated rows, and every batch has a `weight`, float32
        `[rows]`, which is 0 for them.

    Returns:
      An iterator over dicts of arrays `[rows, ...]`, with `state()`, `restore(state)`, `epoch`,
      `batches_per_epoch`.

    Raises:
      TypeError: the source has no places, as a generator, or its records are no dicts.
      ValueError: the batch does not divide among the shards, or the source cannot fill one.

    Example:
      >>> stream = batches([{"x": 1}, {"x": 2}, {"x": 3}], 2, shuffle=False, epochs=1)
      >>> [(batch["x"].tolist(), batch["weight"].tolist()) for batch in stream]
      [([1, 2], [1.0, 1.0]), ([3, 1], [1.0, 0.0])]
    """
    return BatchIterator(
        source,
        batch_size,
        seed=seed,
        epochs=epochs,
        shuffle=shuffle,
        shard=shard,
        drop_remainder=drop_remainder,
    )


@functools.lru_cache(maxsize=8)
def _seed_of(seed: int, epoch: int) -> int:
    """The seed of an epoch's order: not `seed + epoch`, which would give seed 1 the epochs of seed 0, one earlier."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _as_source(source: Any) -> Any:
    """Returns the source itself, or the Records of a dict of columns; refuses what has no places."""
    if hasattr(source, "iloc"):  # A table is indexed by the names of its columns.
        source = {str(name): source[name] for name in source.columns}
    if isinstance(source, Mapping):
        return Records(source)
    readable = any(hasattr(source, name) for name in ("gather", "__getitems__", "__getitem__"))
    if isinstance(source, str | bytes) or not (readable and hasattr(source, "__len__")):
        raise TypeError(
            f"the source is a {type(source).__name__}, which has no records at numbered places; "
            "give a list of dicts, such as list(generator), or a dict of columns"
        )
    if hasattr(source, "__array__"):
        raise TypeError(
            f"the source is one array {source.dtype}{list(source.shape)}; name its columns, such as {{'x': array}}"
        )
    if isinstance(source, list | tuple) and source:
        _fields(source[0], 0)
    return source


def _fields(record: Any, place: int) -> Mapping[str, Any]:
    """Returns the record, a dict of fields; refuses anything else."""
    if not isinstance(record, Mapping):
        raise TypeError(
            f"record {place} of the source is a {type(record).__name__}; give dicts of named fields, "
            "or one dict of columns, such as {'x': xs, 'y': ys}"
        )
    return record


def _fingerprint(source: Any, places: list[int]) -> str:
    """The first digits of the sha256 of the records at `places`, or of as many as fill `SAMPLE_BYTES`."""
    digest, read = hashlib.sha256(), 0
    for place in places:
        for chunk in chunks(_one(source, place)):
            digest.update(chunk)
            read += len(chunk)
        if read > SAMPLE_BYTES:
            break
    return digest.hexdigest()[:16]


def _one(source: Any, place: int) -> Any:
    """One record, by the first way of reading that the source has."""
    if hasattr(source, "gather"):
        return source.gather(np.array([place]))
    if hasattr(source, "__getitems__"):
        return source.__getitems__([place])[0]
    return source[place]


def stack(source: Any, indices: np.ndarray) -> dict[str, np.ndarray]:
    """The records of a source at `indices` `[rows]`, field by field in arrays `[rows, ...]` that are the caller's.

    Raises:
      TypeError: a record is no dict.
      ValueError: the records differ in their fields, or those of a field in shape (which).
    """
    if hasattr(source, "gather"):
        return {name: _array(name, column) for name, column in source.gather(indices).items()}
    records = _records(source, [int(index) for index in indices])
    names = records[0].keys()
    for record in records:
        if record.keys() != names:
            raise ValueError(
                f"one record has the fields {', '.join(map(str, names))}, another one "
                f"{', '.join(map(str, record))}; give all of them the same"
            )
    return {name: _array(name, [record[name] for record in records]) for name in names}


def _records(source: Any, places: list[int]) -> list[Mapping[str, Any]]:
    """The records at `places`."""
    if hasattr(source, "__getitems__"):
        found = source.__getitems__(places)
        return [_fields(record, place) for record, place in zip(found, places, strict=True)]
    if isinstance(source, list | tuple):
        return [_fields(source[place], place) for place in places]
    # A source may fill the same arrays again for its next record.
    return [_copied(_fields(source[place], place)) for place in places]


def _copied(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.array(value) if isinstance(value, np.ndarray) else value
        for name, value in record.items()
    }


def _array(name: str, column: Any) -> np.ndarray:
    """A column as an array of its own, for the source may fill the same one again."""
    if isinstance(column, np.ndarray):
        return np.array(column)
    try:
        return np.stack([np.asarray(value) for value in column])
    except ValueError:
        shapes = sorted({np.shape(value) for value in column})[:3]
        raise ValueError(
            f"the field {name!r} differs in shape from record to record ({', '.join(map(str, shapes))}, ...); "
            "bring it to one shape, or batch by length with BucketBatches and pad_batch"
        ) from None


def _part(array: np.ndarray, index: int, count: int) -> np.ndarray:
    """The `index`-th of `count` equal parts of the rows: a copy, for the source may fill the same array again."""
    rows = len(array) // count
    return np.array(array[index * rows : (index + 1) * rows])


class Mapped:
    """An iterator whose items go through a function, its position being that of the iterator; see `mapped`."""

    def __init__(self, function: Callable[[Any], Any], iterator: Resumable):
        self.function, self.iterator = function, iterator

    def __iter__(self) -> "Mapped":
        return self

    def __next__(self) -> Any:
        return self.function(next(self.iterator))

    def state(self) -> dict[str, Any]:
        """The position of the iterator."""
        return self.iterator.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on exactly where `state` was taken."""
        self.iterator.restore(dict(state))

    @property
    def batches_per_epoch(self) -> int:
        """How many batches an epoch has: those of the iterator."""
        return self.iterator.batches_per_epoch  # pyright: ignore[reportAttributeAccessIssue]


def mapped(function: Callable[[Any], Any], iterator: Resumable) -> Mapped:
    """Applies a function to every item of a resumable iterator and keeps it resumable.

    Example, batches of token sequences by length:
      mapped(lambda batch: pad_batch([ids[i] for i in batch.indices], batch.time, batch.rows),
      BucketBatches(...))
    """
    return Mapped(function, iterator)
