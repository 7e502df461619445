"""`Records`: the one form in which every data set is handed out, a list of dicts kept as columns."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import jax
import numpy as np

Column = np.ndarray | list
"""One field of all records: an array `[records, ...]`, or a list where the fields differ in length or are text."""


class Records(Sequence):
    """A random-access source of dict records over columns in memory.

    It indexes like a list (`records[3]` is a dict, `records[:100]` are Records), serves as a grain
    and TFDS data source (`__getitems__`), gives `seqjax.data.batches` its rows in one gather, and
    everything at once with `columns()`.

    Args:
      columns: name to column, an array `[records, ...]` or a list; all have the same length.

    Raises:
      TypeError: a column is neither.
      ValueError: no column, or columns that differ in length.

    Example:
      >>> records = Records({"word": ["a", "bee"], "letters": [1, 3]})
      >>> records[1]
      {'word': 'bee', 'letters': 3}
    """

    def __init__(self, columns: Mapping[str, Any]):
        columns = {name: _column(name, column) for name, column in columns.items()}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"columns have lengths {lengths}; give at least one, all of the same length"
            )
        self._columns = columns
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
            for chunk in chunks(self._columns[name]):
                digest.update(chunk)
        return digest.hexdigest()


def _column(name: str, column: Any) -> Any:
    """Returns a column that is indexed by place: an array, a list, or whatever else has a length and places."""
    if hasattr(column, "to_numpy"):  # A column of a table may be indexed by labels.
        column = column.to_numpy()
    if isinstance(column, jax.Array):
        column = np.asarray(column)
    if not _has_places(column):
        raise TypeError(
            f"the column {name!r} is a {type(column).__name__}; give an array [records, ...] or a list, "
            "one entry for each record"
        )
    return column


def _has_places(column: Any) -> bool:
    is_one_thing = isinstance(column, str | bytes | Mapping) or getattr(column, "ndim", 1) == 0
    return hasattr(column, "__len__") and hasattr(column, "__getitem__") and not is_one_thing


def _take(column: Column, indices: np.ndarray) -> Column:
    return (
        column[indices]
        if isinstance(column, np.ndarray)
        else [column[int(index)] for index in indices]
    )


def chunks(value: Any) -> Iterator[bytes]:
    """Yields bytes that tell two values apart: kind and size go before the contents, so that nothing runs together.

    Args:
      value: text, an array, a number, or lists and dicts of these. Of any other object only its
        type counts.
    """
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
                yield from chunks(item)
    elif isinstance(value, Mapping):
        yield b"d%d:" % len(value)
        for name in sorted(value, key=str):
            yield from chunks(str(name))
            yield from chunks(value[name])
    else:
        yield from _chunks_of_array(value, np.asarray(value))


def _chunks_of_array(value: Any, array: np.ndarray) -> Iterator[bytes]:
    if array.dtype != object:
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        yield f"a{array.dtype.str}{array.shape}:".encode()
        yield np.ascontiguousarray(array).tobytes()
    elif isinstance(value, np.ndarray) and array.ndim:
        # The array itself holds addresses, which differ from process to process.
        yield f"o{array.shape}:".encode()
        yield from chunks(array.ravel().tolist())
    else:
        yield f"t{type(value).__module__}.{type(value).__qualname__}:".encode()
