"""Panels from a user's table: regular times, named columns, and a complaint that says where."""

import datetime
import os
import re
from collections.abc import Sequence

import numpy as np

from seqjax.data.formats.tables import Table, numbers, read_table
from seqjax.data.panel import Panel


def read_panel(
    path: str | os.PathLike,
    target: str,
    time: str,
    *,
    series: str | None = None,
    known: Sequence[str] = (),
    past: Sequence[str] = (),
    static: Sequence[str] = (),
) -> Panel:
    """The series of a comma-separated table, one row for each time of each series.

    An empty cell of the target is a missing value. Rows at the end whose target is empty are still to come: they hold
    the covariates known beforehand.

    Args:
      path: the file, UTF-8, plain or gzipped, with a header.
      target: the column to forecast.
      time: the column of times, ISO 8601; those with an offset or a Z are taken to UTC.
      series: the column that names the series; None where all rows are one.
      known: columns known beforehand, such as holidays.
      past: columns known only afterwards, such as a measured temperature.
      static: columns that say what a series is, such as its region; each becomes a kind of category.

    Returns:
      A panel; series keep the order in which they first appear.

    Raises:
      ValueError: a column is missing, a cell is no number or no time, times come twice, run backwards, leave a gap or
        are irregular, or what a series is changes (with the line and the column).
    """
    table = read_table(path)
    for name in (target, time, *known, *past, *static, *((series,) if series else ())):
        if name not in table.columns:
            raise ValueError(f"{path}, line 1: no column {name!r}; the columns are {', '.join(table.columns)}")
    if not table.lines:
        raise ValueError(f"{path}: no row below the header; give at least two")
    names = table.columns[series] if series else [target] * len(table.lines)
    rows = {name: np.flatnonzero(np.asarray(names) == name) for name in dict.fromkeys(names)}
    times = _times(path, time, table)
    step = _step([times[chosen] for chosen in rows.values()])
    found = {"values": [], "starts": [], "known": [], "past": []}
    for chosen in rows.values():
        part = _rows(table, chosen)
        _check_times(path, time, part, times[chosen], step)
        values = _values(path, target, part)
        found["values"].append(values)
        found["starts"].append(_counted(times[chosen][:1], step)[0])
        for kind, columns in (("known", known), ("past", past)):
            end = len(part.lines) if kind == "known" else len(values)
            cells = [numbers(path, name, part.columns[name][:end], part.lines) for name in columns]
            found[kind].append(np.stack(cells, axis=1) if cells else np.zeros((end, 0)))
    known_columns, past_columns = found["known"] if known else (), found["past"] if past else ()
    panel = Panel(found["values"], list(rows), step, np.array(found["starts"]), known_columns, past_columns)
    for name in static:
        panel = panel.labelled(name, [_label(path, name, _rows(table, chosen)) for chosen in rows.values()])
    return panel


def parse_time(text: str) -> np.datetime64:
    """An ISO 8601 time, in UTC where it has an offset; also a year, or a year and a month.

    Raises:
      ValueError: it is none.
    """
    if re.fullmatch(r"\d{4}(-\d\d)?", text):
        return np.datetime64(text, "s")
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(moment, "s")


def _times(path, name: str, table: Table) -> np.ndarray:
    found = []
    for line, text in zip(table.lines, table.columns[name], strict=True):
        try:
            found.append(parse_time(text.strip()))
        except ValueError:
            wanted = "write it as 2024-01-31 or 2024-01-31T23:00:00"
            raise ValueError(f"{path}, line {line}: {text!r} in {name!r} is no time; {wanted}") from None
    return np.array(found, "datetime64[s]")


def _step(times: Sequence[np.ndarray]) -> np.timedelta64:
    """The step that most neighbours keep: whole months where all times fall on one day of the month, else seconds."""
    together = np.concatenate(times)
    days = (together.astype("datetime64[D]") - together.astype("datetime64[M]")).astype(int)
    whole = (together == together.astype("datetime64[D]")).all() and (days == days[0]).all()
    for unit in ("M", "s") if whole and days[0] < 28 else ("s",):
        steps = np.concatenate([np.diff(part.astype(f"datetime64[{unit}]").astype(np.int64)) for part in times])
        kinds, counts = np.unique(steps[steps > 0], return_counts=True)
        if len(kinds):
            # Hours of the same day of one month are no months apart.
            return np.timedelta64(int(kinds[counts.argmax()]), unit)
    return np.timedelta64(1, "s")


def _counted(times: np.ndarray, step: np.timedelta64) -> np.ndarray:
    """Times in the unit of the step."""
    return times.astype(f"datetime64[{np.datetime_data(step.dtype)[0]}]")


def _check_times(path, name: str, part: Table, times: np.ndarray, step: np.timedelta64) -> None:
    apart, each = np.diff(_counted(times, step)).astype(int), int(step.astype(int))
    if not (wrong := np.flatnonzero(apart != each)).size:
        return
    place = int(wrong[0])
    here, before = part.columns[name][place + 1], part.columns[name][place]
    gap, where = int(apart[place]), f"{path}, line {part.lines[place + 1]}: {here!r} in {name!r}"
    if gap == 0:
        raise ValueError(f"{where} comes a second time; take one of the rows out")
    if gap < 0:
        raise ValueError(f"{where} is before {before!r}, the row above; sort the rows by time")
    if gap % each == 0:
        missing, them = ("a row is", "it") if gap == 2 * each else (f"{gap // each - 1} rows are", "them")
        raise ValueError(
            f"{where}: {missing} missing after {before!r}; put {them} in, with an empty value where none is known"
        )
    raise ValueError(
        f"{where} is {gap * step // each} after the row above, elsewhere it is {step}; make the steps equal"
    )


def _values(path, name: str, part: Table) -> np.ndarray:
    """The target, NaN where a cell is empty, without the rows that are still to come."""
    cells = [cell.strip() for cell in part.columns[name]]
    while cells and not cells[-1]:
        cells.pop()
    if not cells:
        raise ValueError(
            f"{path}, line {part.lines[0]}: nothing but empty cells in {name!r}; give values to learn from"
        )
    filled = [(line, cell) for line, cell in zip(part.lines, cells, strict=False) if cell]
    values = np.full(len(cells), np.nan)
    lines, texts = zip(*filled, strict=True)
    values[[bool(cell) for cell in cells]] = numbers(path, name, texts, lines)
    return values


def _label(path, name: str, part: Table) -> str:
    """What every row of a series says."""
    first, *others = part.columns[name]
    for line, cell in zip(part.lines[1:], others, strict=True):
        if cell != first:
            raise ValueError(f"{path}, line {line}: {cell!r} in {name!r}, {first!r} above; a series has one of them")
    return first


def _rows(table: Table, chosen: np.ndarray) -> Table:
    columns = {name: [column[row] for row in chosen] for name, column in table.columns.items()}
    return Table(columns, [table.lines[row] for row in chosen])
