"""Sources and the targets to write for them: from files, and in batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seqjax import datasets
from seqjax.data.batching import BucketBatches, IndexBatch, serving_batches
from seqjax.data.padding import pad_batch
from seqjax.data.splits import hash_splits
from seqjax.data.stream import Mapped, mapped
from seqjax.files import header_order, read_aligned, read_filled_lines

SHARES = {"train": 90, "validation": 5, "test": 5}
"""Per cent of the pairs that `held_out` puts into each part."""


class Pairs(NamedTuple):
    """Sources and targets, as text."""

    sources: list[str]
    targets: list[str]


def pair_batches(
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray] | None = None,
    *,
    tokens: int,
    buckets: int = 8,
    seed: int = 0,
    once: bool = False,
    multiple_of: int = 1,
) -> Mapped:
    """Batches of pairs that are about equally long, of few shapes; endless and shuffled, or once in order of length.

    Both sides are padded to the same length: the bucket that the longer of them fits into.

    Args:
      sources: token ids of each source.
      targets: token ids of each target, its stop token included; None for sources without.
      tokens: of one side of a batch at most, padding included; a single pair that is longer makes a
        batch alone.
      buckets: lengths to pad to, at most; so many shapes are compiled.
      seed: of the order.
      once: go through the pairs a single time, in order of length; else endlessly, shuffled.
      multiple_of: rows are a multiple of this, for example of the number of devices.

    Returns:
      A resumable iterator of batches: `source [rows, time]`, `source_lengths [rows]`, with targets
      `targets` and `target_lengths` alike, and `indices [rows]` of the pairs, -1 for an empty row.
      Its `iterator` is the `BucketBatches`.

    Raises:
      ValueError: there is no pair, or the sides differ in number.

    Example:
      >>> import numpy as np
      >>> batches = pair_batches([np.array([5, 6, 7]), np.array([5])], [np.array([8, 1]), np.array([1])], tokens=6)
      >>> sorted(next(batches))
      ['indices', 'source', 'source_lengths', 'target_lengths', 'targets']
    """
    if targets is not None and len(targets) != len(sources):
        raise ValueError(
            f"{len(sources):,} sources and {len(targets):,} targets; give one target for each source"
        )
    if not len(sources):
        raise ValueError("there is no pair; give at least one")
    sides = {"source": ("source_lengths", sources)} | (
        {} if targets is None else {"targets": ("target_lengths", targets)}
    )
    lengths = [
        max(map(len, pair)) for pair in zip(*(rows for _, rows in sides.values()), strict=True)
    ]

    def collate(chosen: IndexBatch) -> dict[str, np.ndarray]:
        batch = {"indices": np.full(chosen.rows, -1)}
        batch["indices"][: len(chosen.indices)] = chosen.indices
        for name, (counted, rows) in sides.items():
            batch[name], batch[counted], _ = pad_batch(
                [rows[i] for i in chosen.indices], chosen.time, chosen.rows
            )
        return batch

    order = BucketBatches(
        lengths,
        tokens=max(tokens, max(lengths) * multiple_of),
        buckets=buckets,
        seed=seed,
        shuffle=not once,
        epochs=1 if once else None,
        multiple_of=multiple_of,
    )
    return mapped(collate, order)


def source_batches(sources: Sequence[np.ndarray], tokens: int) -> Iterator[dict[str, np.ndarray]]:
    """Makes batches of sources that are to be answered once, in few shapes whatever their lengths.

    Args:
      sources: token ids of each.
      tokens: of a batch at most, padding included; a longer source makes a batch alone.

    Yields:
      `source [rows, time]`, `source_lengths [rows]`, and `indices [rows]`, -1 for an empty row.
    """
    for chosen in serving_batches([len(source) for source in sources], tokens):
        rows = [sources[index] for index in chosen.indices]
        source, lengths, _ = pad_batch(rows, chosen.time, chosen.rows)
        indices = np.full(chosen.rows, -1)
        indices[: len(rows)] = chosen.indices
        yield {"source": source, "source_lengths": lengths, "indices": indices}


def read_pairs(paths: str) -> Pairs:
    """Sources and targets of a TSV, or of two files aligned by line, with a comma between their names.

    A first line that names the columns of a TSV is no pair; it says in which order they stand.

    Raises:
      ValueError: the files differ in their number of lines (both), a side is empty, a line is no
        pair (which).
    """
    names = paths.split(",")
    if len(names) > 2:
        raise ValueError(
            f"{paths} names {len(names)} files; give one TSV, or two aligned files with a comma between"
        )
    if len(names) == 2:
        sides = read_aligned(dict(zip(("source", "target"), names, strict=True)))
        sources, targets = sides["source"], sides["target"]
    else:
        rows = [line.split("\t") for line in read_filled_lines(paths)]
        order = header_order(rows[0], ("source", "target")) if rows else None
        rows = rows[order is not None :]
        for number, row in enumerate(rows, start=1 + (order is not None)):
            if len(row) != 2 or not all(side.strip() for side in row):
                what = (
                    f"{len(row)} columns"
                    if len(row) != 2
                    else f"an empty {'target' if row[0].strip() else 'source'}"
                )
                raise ValueError(
                    f"{paths}, line {number}: {what}; wanted a source, a tab, a target"
                )
        sources, targets = ([row[side].strip() for row in rows] for side in order or (0, 1))
    if not sources:
        raise ValueError(f"{paths}: empty; give at least one pair of sentences")
    return Pairs(sources, targets)


def held_out(parts: dict[str, Pairs]) -> dict[str, Pairs]:
    """Train, validation and test, those that are missing taken out of the training pairs by a hash of the source."""
    missing = [split for split in SHARES if split not in parts]
    places = hash_splits(parts["train"].sources, SHARES)

    def chosen(splits: list[str]) -> Pairs:
        return Pairs(
            *(
                [side[i] for i, place in enumerate(places) if place in splits]
                for side in parts["train"]
            )
        )

    train = chosen([split for split in SHARES if split not in missing])
    return {"train": train} | {
        s: chosen([s]) if s in missing else parts[s] for s in ("validation", "test")
    }


def read_splits(train: str, dev: str | None = None, test: str | None = None) -> dict[str, Pairs]:
    """Reads train, validation and test; parts without a file are taken out of the training pairs.

    Args:
      train: as `read_pairs` takes it.
      dev: the pairs that choose the best parameters.
      test: the pairs that judge them.

    Raises:
      ValueError: a file cannot be read, or a part has no pair.
    """
    given = {"train": train, "validation": dev, "test": test}
    parts = held_out({split: read_pairs(paths) for split, paths in given.items() if paths})
    for split, part in parts.items():
        if not part.sources:
            raise ValueError(
                f"{train} leaves no pair for {split}; give more pairs, or --dev and --test"
            )
    return parts


def load_splits(
    name: str, source: str, target: str, data_dir: str | None = None
) -> tuple[dict[str, Pairs], str]:
    """Loads train, validation and test of a data set of sentences in several languages.

    Args:
      name: of the data set, such as `"multi30k"`.
      source: language to read.
      target: language to write.
      data_dir: see `datasets.load`.

    Returns:
      The pairs of each split, and where they come from.

    Raises:
      ValueError: the languages are the same.
    """
    if source == target:
        raise ValueError(f"source and target are both {source}; choose two languages")
    parts, origin = {}, ""
    for split in SHARES:
        loaded = datasets.load(name, split, data_dir)
        table = loaded.records.columns()
        parts[split] = Pairs(list(table[source]), list(table[target]))
        origin = origin or loaded.origin
    return parts, origin
