"""`Records`: the one form in which every data set is handed out, a list of dicts kept as columns."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

Column = np.ndarray | list
"""One field of all records: an array `[records, ...]`, or a list where the fields differ in length or are text."""


class Records(Sequence):
    """A random-access source of dict records over columns in memory.

    It indexes like a list (`records[3]` is a dict, `records[:100]` are Records), serves as a grain and TFDS data source
    (`__getitems__`), gives `seqjax.data.batches` its rows in one gather, and everything at once with `columns()`.

    Args:
      columns: name to column; all have the same length.

    Raises:
      ValueError: no column, or columns that differ in length.

    Example:
      >>> records = Records({"word": ["a", "bee"], "letters": [1, 3]})
      >>> records[1]
      {'word': 'bee', 'letters': 3}
    """

    def __init__(self, columns: Mapping[str, Column]):
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns have lengths {lengths}; give at least one, all of the same length")
        self._columns = dict(columns)
        self._length = next(iter(lengths.values()))

    def __repr__(self) -> str:
        return f"Records({self._length:,}: {', '.join(self._columns)})"

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index):
        """One record as a dict, or a slice of them as Records."""
        if isinstance(index, slice):
            return Records({name: column[index] for name, column in self._columns.items()})
        return {name: column[index] for name, column in self._columns.items()}

    def __getitems__(self, indices: Sequence) -> list[dict[str, Any]]:
        """The records at `indices`, in that order."""
        return [self[int(index)] for index in indices]

    def gather(self, indices: np.ndarray) -> dict[str, Column]:
        """The columns of the records at `indices` `[rows]`: arrays `[rows, ...]`, lists of `rows` items."""
        return {name: _take(column, indices) for name, column in self._columns.items()}

    def columns(self) -> dict[str, Column]:
        """Every column whole: the bulk read. The arrays and lists are the source's own, so do not change them."""
        return dict(self._columns)

    def fingerprint(self) -> str:
        """The sha256 of the contents, 64 hexadecimal digits: the same from whatever place or file form they came."""
        digest = hashlib.sha256()
        for name in sorted(self._columns):
            digest.update(b"column %b\n" % name.encode())
            for chunk in _chunks(self._columns[name]):
                digest.update(chunk)
        return digest.hexdigest()


def _take(column: Column, indices: np.ndarray) -> Column:
    return column[indices] if isinstance(column, np.ndarray) else [column[int(index)] for index in indices]


def _chunks(value: Any) -> Iterator[bytes]:
    """Bytes that tell two values apart: kind and size go before the contents, so that nothing runs together."""
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        yield b"s%d:" % len(text) + text
    elif isinstance(value, list | tuple):
        yield b"l%d:" % len(value)
        if all(isinstance(item, str) for item in value):
            yield "\0".join(value).encode("utf-8", "surrogatepass")
            yield np.array([len(item) for item in value], "<i8").tobytes()
        else:
            for item in value:
                yield from _chunks(item)
    else:
        array = np.asarray(value)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        yield f"a{array.dtype.str}{array.shape}:".encode()
        yield np.ascontiguousarray(array).tobytes()
