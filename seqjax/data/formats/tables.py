"""Tables: tab-separated text, comma-separated time series, and one series a row."""

import csv
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqjax.data.formats.text import read_lines


def read_tsv(path: str | os.PathLike, columns: Sequence[str]) -> dict[str, list[str]]:
    """Lines of tab-separated text without a header and without quoting.

    Args:
      path: the file, UTF-8, plain or gzipped.
      columns: names of the columns, in the order of the file.

    Returns:
      Column name to the fields, stripped of blanks at both ends.

    Raises:
      ValueError: a line has more or fewer columns, or an empty one (with its number).
    """
    table = {name: [] for name in columns}
    for number, line in enumerate(read_lines(path), start=1):
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != len(columns) or not all(fields):
            filled = sum(map(bool, fields))
            wanted = f"{len(columns)} filled columns separated by tabs ({', '.join(columns)})"
            raise ValueError(f"{path}, line {number}: {filled} of {len(fields)} columns filled; wanted {wanted}")
        for name, field in zip(columns, fields, strict=True):
            table[name].append(field)
    return table


class Table(NamedTuple):
    """A comma-separated table as text.

    Attributes:
      columns: name to the fields of its rows.
      lines: where each row stands in the file, `[rows]`.
    """

    columns: dict[str, list[str]]
    lines: list[int]


def read_table(path: str | os.PathLike) -> Table:
    """A comma-separated table with a header, as it stands.

    Args:
      path: the file, UTF-8, plain or gzipped.

    Returns:
      A `Table`.

    Raises:
      ValueError: a row is too long or short, or the header names a column twice (with the line).
    """
    (_, header), *rows = _csv_rows(path)
    if twice := [name for name in header if header.count(name) > 1]:
        raise ValueError(f"{path}, line 1: two columns are named {twice[0]!r}; rename one")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}, line {line}: {len(row)} fields; the header names {len(header)}; mend this line")
    columns = zip(*(row for _, row in rows), strict=True) if rows else ([] for _ in header)
    return Table({name: list(column) for name, column in zip(header, columns, strict=True)}, [line for line, _ in rows])


def read_csv(path: str | os.PathLike, text: Sequence[str] = ()) -> dict[str, list[str] | np.ndarray]:
    """A comma-separated table with a header: numbers, and the columns named in `text`.

    Args:
      path: the file, UTF-8, plain or gzipped.
      text: names of the columns that are no numbers, such as dates.

    Returns:
      Column name to float64 `[rows]`, or to a list of strings.

    Raises:
      ValueError: a row is too long or short, a field is no finite number, or a name is missing (with the line).
    """
    columns, lines = read_table(path)
    if missing := [name for name in text if name not in columns]:
        raise ValueError(f"{path}, line 1: no column {missing[0]!r}; the columns are {', '.join(columns)}")
    return {name: column if name in text else numbers(path, name, column, lines) for name, column in columns.items()}


def read_wide_series(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """One time series a row: an identifier, then its values; shorter series end in empty fields (the M4 form).

    Args:
      path: the file with a header line, UTF-8, plain or gzipped.

    Returns:
      Identifier to float64 `[time]`, in the order of the file.

    Raises:
      ValueError: an identifier comes twice, a series has a gap or no value, or a field is no number (with the line).
    """
    series = {}
    for line, (name, *fields) in _csv_rows(path)[1:]:
        while fields and not fields[-1]:
            fields.pop()
        if name in series or not fields or not all(fields):
            what = "comes a second time" if name in series else "has a gap" if fields else "has no value"
            raise ValueError(f"{path}, line {line}: the series {name!r} {what}; wanted an identifier, then its values")
        series[name] = numbers(path, name, fields, [line] * len(fields))
    return series


def _csv_rows(path) -> list[tuple[int, list[str]]]:
    """Each row, the header first, with the number of its (last) line."""
    reader = csv.reader(read_lines(path), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}; wanted comma-separated values") from None
    if not rows:
        raise ValueError(f"{path}: empty; wanted a line of column names, then rows")
    if blank := [line for line, row in rows if not row]:
        raise ValueError(f"{path}, line {blank[0]}: blank; take it out")
    return rows


def numbers(path: str | os.PathLike, name: str, fields: Sequence[str], lines: Sequence[int]) -> np.ndarray:
    """The fields of a column as float64; `lines` says where each stands.

    Raises:
      ValueError: one is no finite number (with its line).
    """
    try:
        values = np.array(fields, dtype=np.float64)
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    line, wrong = next((line, field) for line, field in zip(lines, fields, strict=True) if not _is_number(field))
    raise ValueError(f"{path}, line {line}: {wrong!r} in {name!r} is no finite number; correct it or fill the gap")


def _is_number(field: str) -> bool:
    try:
        return bool(np.isfinite(float(field)))
    except ValueError:
        return False
