"""Tables: tab-separated text, comma-separated time series, and one series a row."""

import csv
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqjax.files.headers import header_order
from seqjax.files.text import read_filled_lines

MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "."))
"""What stands for a missing value, in small letters."""

DELIMITERS = (",", ";", "\t", "|")
GROUPED = re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?,\d+")


def read_tsv(path: str | os.PathLike, columns: Sequence[str]) -> dict[str, list[str]]:
    """Reads lines of tab-separated text without quoting.

    A first line that names the columns is no row; it says in which order they stand.

    Args:
      path: the file, UTF-8, plain or gzipped.
      columns: names of the columns, in the order of a file without such a line; see
        `headers.NAMES`.

    Returns:
      Column name to the fields, stripped of blanks at both ends.

    Raises:
      ValueError: a line has more or fewer columns, or an empty one (with its number).
    """
    return _tsv(path, columns).columns


def read_classified(paths: Sequence[str | os.PathLike]) -> list["Table"]:
    """Reads tables of a label, a tab and a text, or the other way round.

    Which column holds the labels is said by a first line that names them; else by what the files
    hold together: labels come again and again, texts seldom do.

    Args:
      paths: files of one form, such as those to train and to validate on; UTF-8, plain or gzipped.

    Returns:
      For each file a `Table` of the columns "label" and "text".

    Raises:
      ValueError: a line has not two filled columns (with its number).

    Example, for a file that begins with `a charming film<TAB>positive`:
      (table,) = read_classified(["train.tsv"])
      table.columns["label"][0]  # "positive"
    """
    tables = [_tsv(path, ("label", "text")) for path in paths]
    plain = [table for table in tables if not table.header]
    labels, texts = (_count_different(plain, name) for name in ("label", "text"))
    # Twice as many labels as texts: no task of classification has that.
    if labels >= 2 * max(texts, 1):
        tables = [table if table.header else _swapped(table) for table in tables]
    return tables


def _count_different(tables: Sequence["Table"], name: str) -> int:
    """Counts the different entries of a column in all tables together."""
    entries = set()
    for table in tables:
        entries.update(table.columns[name])
    return len(entries)


def _swapped(table: "Table") -> "Table":
    first, second = table.columns.values()
    return table._replace(columns=dict(zip(table.columns, (second, first), strict=True)))


def _tsv(path: str | os.PathLike, columns: Sequence[str]) -> "Table":
    lines = read_filled_lines(path)
    order = header_order(lines[0].split("\t"), columns) if lines else None
    rows = []
    numbered = list(enumerate(lines, start=1))
    # A header is no row.
    for number, line in numbered[order is not None :]:
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != len(columns) or not all(fields):
            filled = sum(map(bool, fields))
            wanted = f"{len(columns)} filled columns separated by tabs ({', '.join(columns)})"
            raise ValueError(
                f"{path}, line {number}: {filled} of {len(fields)} columns filled; wanted {wanted}"
            )
        rows.append([fields[place] for place in order or range(len(columns))])
    table = {}
    for place, name in enumerate(columns):
        table[name] = [row[place] for row in rows]
    header = order is not None
    return Table(table, list(range(1 + header, len(lines) + 1)), header=header)


class Table(NamedTuple):
    """Holds a table as text.

    Attributes:
      columns: name to the fields of its rows.
      lines: where each row stands in the file, `[rows]`.
      decimal: what stands before the decimals of its numbers, a point or a comma.
      header: its first line names the columns.
    """

    columns: dict[str, list[str]]
    lines: list[int]
    decimal: str = "."
    header: bool = True


def read_table(path: str | os.PathLike) -> Table:
    """Reads a table with a header, as it stands.

    Columns are separated by what separates those of the header: commas, semicolons, tabs or bars.
    Where it is not the comma, numbers may have a decimal comma.

    Args:
      path: the file, UTF-8, plain or gzipped.

    Returns:
      A `Table`.

    Raises:
      ValueError: a row is too long or short, or the header names a column twice (with the line).
    """
    delimiter, rows = _csv_rows(path)
    (_, names), *rows = rows
    header = [name.strip() for name in names]
    if twice := [name for name in header if header.count(name) > 1]:
        raise ValueError(f"{path}, line 1: two columns are named {twice[0]!r}; rename one")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {line}: {len(row)} fields; "
                f"the header names {len(header)}; mend this line"
            )
    columns = zip(*(row for _, row in rows), strict=True) if rows else ([] for _ in header)
    table = {name: list(column) for name, column in zip(header, columns, strict=True)}
    return Table(table, [line for line, _ in rows], _decimal(delimiter, table))


def _decimal(delimiter: str, table: dict[str, list[str]]) -> str:
    """Returns a comma where a number has one that can be nothing else; else a point."""
    if delimiter == ",":
        return "."
    for column in table.values():
        for field in column:
            # With tabs, "1,234" may be a thousand: a comma before other than three digits is a
            # decimal one.
            field = field.strip()
            if not DECIMAL_COMMA.fullmatch(field):
                continue
            if delimiter == ";" or len(field.split(",")[1]) != 3:
                return ","
    return "."


def read_csv(
    path: str | os.PathLike, text: Sequence[str] = ()
) -> dict[str, list[str] | np.ndarray]:
    """Reads a comma-separated table with a header: numbers, and the columns named in `text`.

    Args:
      path: the file, UTF-8, plain or gzipped.
      text: names of the columns that are no numbers, such as dates.

    Returns:
      Column name to float64 `[rows]`, or to a list of strings.

    Raises:
      ValueError: a row is too long or short, a field is no finite number, or a name is missing
        (with the line).
    """
    columns, lines, decimal, _ = read_table(path)
    if missing := [name for name in text if name not in columns]:
        raise ValueError(
            f"{path}, line 1: no column {missing[0]!r}; the columns are {', '.join(columns)}"
        )
    table = {}
    for name, column in columns.items():
        table[name] = column
        if name not in text:
            table[name] = numbers(path, name, column, lines, decimal)
    return table


def read_wide_series(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads one time series a row: an identifier, then its values (the M4 form).

    Shorter series end in empty fields.

    Args:
      path: the file, with or without a line that names or counts the columns; UTF-8, plain or
        gzipped.

    Returns:
      Identifier to float64 `[time]`, in the order of the file.

    Raises:
      ValueError: an identifier comes twice, a series has a gap or no value, or a field is no number
        (with the line).
    """
    series = {}
    _, rows = _csv_rows(path)
    for line, (name, *fields) in rows[_counts_columns(rows[0][1]) :]:
        while fields and is_missing(fields[-1]):
            fields.pop()
        if name in series or not fields or not all(fields):
            if name in series:
                wrong = "comes a second time"
            else:
                wrong = "has a gap" if fields else "has no value"
            raise ValueError(
                f"{path}, line {line}: the series {name!r} {wrong}; "
                "wanted an identifier, then its values"
            )
        series[name] = numbers(path, name, fields, [line] * len(fields))
    return series


def _counts_columns(fields: list[str]) -> bool:
    """Tells whether a first line is no series: it has names, or numbers that count on."""
    values = [float(field) for field in fields[1:] if field and _is_number(field)]
    return len(values) < sum(map(bool, fields[1:])) or bool((np.diff(values) == 1).all())


def is_missing(field: str) -> bool:
    """Tells whether a cell says that there is no value."""
    return field.strip().lower() in MISSING


def _csv_rows(path: str | os.PathLike) -> tuple[str, list[tuple[int, list[str]]]]:
    """Returns the delimiter, and each row, the header first, with the number of its (last) line."""
    lines = read_filled_lines(path)
    delimiter = _delimiter(lines[0]) if lines else ","
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}; wanted comma-separated values"
        ) from None
    if not rows:
        raise ValueError(f"{path}: empty; wanted a line of column names, then rows")
    # A spreadsheet may end with rows of empty cells.
    while len(rows) > 1 and not any(map(str.strip, rows[-1][1])):
        rows.pop()
    if blank := [line for line, row in rows if not row]:
        raise ValueError(f"{path}, line {blank[0]}: blank; take it out")
    return delimiter, rows


def _delimiter(header: str) -> str:
    """Returns the delimiter that comes most often in a header, outside of quotes; else a comma."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=bare.count)


def numbers(
    path: str | os.PathLike,
    name: str,
    fields: Sequence[str],
    lines: Sequence[int],
    decimal: str = ".",
) -> np.ndarray:
    """Returns the fields of a column as float64; `lines` says where each stands.

    Args:
      path: the file that they come from.
      name: of the column.
      fields: of its rows.
      lines: where each stands.
      decimal: what stands before decimals; with a comma, points may stand between thousands.

    Raises:
      ValueError: one is no finite number (with its line).
    """
    if decimal == ",":
        fields = [_with_point(field) for field in fields]
    try:
        values = np.array(fields, dtype=np.float64)
        if np.isfinite(values).all():
            return values
    except ValueError:
        pass
    pairs = zip(lines, fields, strict=True)
    line, wrong = next((line, field) for line, field in pairs if not _is_number(field))
    raise ValueError(
        f"{path}, line {line}: {wrong!r} in {name!r} is no finite number; "
        "correct it or fill the gap"
    )


def _with_point(field: str) -> str:
    """Writes a number with a decimal comma with a point; what is none stays as it is."""
    field = field.strip()
    if GROUPED.fullmatch(field) or DECIMAL_COMMA.fullmatch(field):
        return field.replace(".", "").replace(",", ".")
    return field


def _is_number(field: str) -> bool:
    try:
        return bool(np.isfinite(float(field)))
    except ValueError:
        return False
