"""Splits of a data set that depend on nothing but its examples."""

import hashlib
from collections.abc import Mapping, Sequence

from seqjax.data.records import Column


def hash_splits(keys: Sequence[str], shares: Mapping[str, int]) -> list[str]:
    """The split that each key falls into: always the same, whatever else the data set holds.

    Args:
      keys: what shall not be in two splits, for example headwords.
      shares: split to its share in per cent; they add up to 100.
    """
    splits = [split for split, share in shares.items() for _ in range(share)]
    if len(splits) != 100:
        raise ValueError(f"the shares {dict(shares)} add up to {len(splits)}; wanted 100")
    return [
        splits[int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 100]
        for key in keys
    ]


def chronological(
    columns: Mapping[str, Column], bounds: Mapping[str, tuple[float, float]], split: str
) -> dict:
    """One record that holds the rows of a time series from one share of its length to another, in order."""
    rows = len(next(iter(columns.values())))
    start, stop = (int(rows * share) for share in bounds[split])
    return {name: [column[start:stop]] for name, column in columns.items()}
