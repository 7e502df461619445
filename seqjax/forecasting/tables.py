"""Panels from a user's table: regular times, named columns, and a complaint that says where."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seqjax.files.tables import Table, is_missing, numbers, read_table
from seqjax.forecasting.columns import Columns
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.times import Calendar, calendar_of, read_clocks


def read_panel(
    path: str | os.PathLike,
    target: str | Sequence[str] | None,
    time: str,
    *,
    series: str | None = None,
    known: Sequence[str] = (),
    past: Sequence[str] = (),
    static: Sequence[str] = (),
    time_format: str | None = None,
    fill_gaps: bool = False,
) -> Panel:
    """Reads the series of a table, one row for each time of each series.

    Where several columns are forecast, each is a series, and a row holds the values of all at one
    time.

    An empty cell of the target, or one that says NA or NaN, is a missing value. Rows at the end
    whose target is missing are still to come: they hold the covariates known beforehand.

    Steps may be equal lengths of time, months on one day or on their last one, or days of the week
    such as Monday to Friday. Times with an offset or a Z are taken to UTC, days and months to those
    of the place; whole numbers that are no years count the rows.

    Args:
      path: the file, UTF-8, plain or gzipped, with a header; columns between commas, semicolons,
        tabs or bars.
      target: the column to forecast; several of them; or None for all columns that have no other
        part.
      time: the column of times, ISO 8601 unless `time_format` says otherwise.
      series: the column that names the series; None where all rows are one.
      known: columns known beforehand, such as holidays.
      past: columns known only afterwards, such as a measured temperature.
      static: columns that say what a series is, such as its region; each becomes a kind of
        category.
      time_format: how times are written, as of `datetime.strptime`, for example "%m/%d/%Y".
      fill_gaps: put in the rows that are missing between two others: without a value, with the
        covariates of the row before.

    Returns:
      A panel; series keep the order in which they first appear.

    Raises:
      ValueError: a column is missing, a cell is no number or no time, times come twice, run
        backwards, leave a gap or are irregular, or what a series is changes (with the line and the
        column).
    """
    columns = columns_named(
        target,
        time,
        series=series,
        known=known,
        past=past,
        static=static,
        time_format=time_format,
    )
    return panel_of(read_table(path), path, columns, fill_gaps=fill_gaps)


def columns_named(
    target: str | Sequence[str] | None,
    time: str,
    *,
    series: str | None = None,
    known: Sequence[str] = (),
    past: Sequence[str] = (),
    static: Sequence[str] = (),
    time_format: str | None = None,
) -> Columns:
    """Takes the names of columns as `read_panel` does."""
    if target is not None and not isinstance(target, str):
        target = tuple(target)
    parts = tuple(known), tuple(past), tuple(static)
    return Columns(target, time, series, *parts, time_format)


def panel_of(
    table: Table, path: str | os.PathLike, about: Columns, *, fill_gaps: bool = False
) -> Panel:
    """Makes a panel of a table, see `read_panel`.

    Args:
      table: its cells as text.
      path: what a complaint names it.
      about: the columns.
      fill_gaps: see `read_panel`.

    Raises:
      ValueError: see `read_panel`.
    """
    target, time, series = about.target, about.time, about.series
    known, past, static = about.known, about.past, about.static
    targets = _targets(table, target, (time, *known, *past))
    if not isinstance(target, str) and (series or static):
        raise ValueError("series and static go with one target, not with a series in each column")
    for name in (*targets, time, *known, *past, *static, *((series,) if series else ())):
        if name not in table.columns:
            raise ValueError(
                f"{path}, line 1: no column {name!r}; the columns are {', '.join(table.columns)}"
            )
    if not table.lines:
        raise ValueError(f"{path}: no row below the header; give at least two")
    names = table.columns[series] if series else [targets[0]] * len(table.lines)
    rows = {name: np.flatnonzero(np.asarray(names) == name) for name in dict.fromkeys(names)}
    clocks = read_clocks(path, time, table.columns[time], table.lines, about.time_format)
    calendar = calendar_of(clocks, list(rows.values()))
    found = {"values": [], "starts": [], "known": [], "past": []}
    for chosen in rows.values():
        part = _rows(table, chosen)
        _check_times(path, time, part, calendar, chosen, fill_gaps)
        if fill_gaps:
            part = _filled(part, calendar, chosen, targets)
        columns = [_values(path, name, part) for name in targets]
        # Columns of a table end where the last of them does.
        steps = max(len(values) for values in columns)
        for values in columns:
            missing = steps - len(values)
            found["values"].append(np.pad(values, (0, missing), constant_values=np.nan))
            found["starts"].append(calendar.times[chosen[0]])
        for kind, columns in (("known", known), ("past", past)):
            end = len(part.lines) if kind == "known" else steps
            cells = [
                numbers(path, name, part.columns[name][:end], part.lines, table.decimal)
                for name in columns
            ]
            beside = np.stack(cells, axis=1) if cells else np.zeros((end, 0))
            found[kind].extend([beside] * len(targets))
    known_columns, past_columns = found["known"] if known else (), found["past"] if past else ()
    panel = Panel(
        found["values"],
        list(rows) if series else targets,
        calendar.step,
        np.array(found["starts"]),
        known_columns,
        past_columns,
        weekdays=calendar.weekdays,
        columns=dataclasses.replace(about, target=target if isinstance(target, str) else targets),
    )
    for name in static:
        panel = panel.labelled(
            name, [_label(path, name, _rows(table, chosen)) for chosen in rows.values()]
        )
    return panel


def _targets(
    table: Table, target: str | Sequence[str] | None, others: Sequence[str]
) -> tuple[str, ...]:
    """Lists the columns to forecast."""
    if target is None:
        found = tuple(name for name in table.columns if name not in others)
        if not found:
            raise ValueError(f"no column is left to forecast beside {', '.join(others)}; give some")
        return found
    targets = (target,) if isinstance(target, str) else tuple(target)
    for name in targets:
        if name in others[1:]:
            raise ValueError(
                f"the target {name!r} is among the columns known; what is forecast cannot be read"
            )
    return targets


def _filled(part: Table, calendar: Calendar, rows: np.ndarray, targets: Sequence[str]) -> Table:
    """Puts in the rows that are missing between two others."""
    positions, each = calendar.positions[rows], int(calendar.step.astype(np.int64))
    places = (positions - positions[0]) // each
    # Of each step the row that it is, or the last one before it.
    source = np.searchsorted(places, np.arange(places[-1] + 1), side="right") - 1
    missing = places[source] != np.arange(len(source))
    columns = {}
    for name, column in part.columns.items():
        columns[name] = [column[row] for row in source]
        if name in targets:
            columns[name] = [
                "" if gap else cell for cell, gap in zip(columns[name], missing, strict=True)
            ]
    return part._replace(columns=columns, lines=[part.lines[row] for row in source])


def _check_times(
    path: str | os.PathLike,
    name: str,
    part: Table,
    calendar: Calendar,
    rows: np.ndarray,
    gaps: bool,
) -> None:
    """Refuses times of one series that are not one step apart, or with `gaps` not whole steps."""
    apart, each = np.diff(calendar.positions[rows]), int(calendar.step.astype(np.int64))
    irregular = (apart <= 0) | (apart % each != 0) if gaps else apart != each
    if not (wrong := np.flatnonzero(irregular)).size:
        return
    place = int(wrong[0])
    here, before = part.columns[name][place + 1], part.columns[name][place]
    gap, where = int(apart[place]), f"{path}, line {part.lines[place + 1]}: {here!r} in {name!r}"
    if gap == 0:
        mend = "take one of the rows out; name the column that tells several series apart (series= or --series)"
        clocks = "; write times with their offset where clocks were set back"
        raise ValueError(
            f"{where} comes a second time; {mend}{clocks if 'T' in here or ':' in here else ''}"
        )
    if gap < 0:
        raise ValueError(f"{where} is before {before!r}, the row above; sort the rows by time")
    if gap % each == 0:
        missing, them = (
            ("a row is", "it") if gap == 2 * each else (f"{gap // each - 1} rows are", "them")
        )
        raise ValueError(
            f"{where}: {missing} missing after {before!r}; put {them} in, with an empty value where none is known "
            "(fill_gaps=True or --fill-gaps does so)"
        )
    unit = np.datetime_data(calendar.step.dtype)[0]
    raise ValueError(
        f"{where} is {np.timedelta64(gap, unit)} after the row above, elsewhere it is {calendar.step}; "
        "make the steps equal, for example by means of whole hours, days or months"
    )


def _values(path: str | os.PathLike, name: str, part: Table) -> np.ndarray:
    """Reads the target, NaN where it is missing, without the rows that are still to come."""
    cells = ["" if is_missing(cell) else cell.strip() for cell in part.columns[name]]
    while cells and not cells[-1]:
        cells.pop()
    if not cells:
        raise ValueError(
            f"{path}, line {part.lines[0]}: nothing but empty cells in {name!r}; give values to learn from"
        )
    filled = [(line, cell) for line, cell in zip(part.lines, cells, strict=False) if cell]
    values = np.full(len(cells), np.nan)
    lines, texts = zip(*filled, strict=True)
    values[[bool(cell) for cell in cells]] = numbers(path, name, texts, lines, part.decimal)
    return values


def _label(path: str | os.PathLike, name: str, part: Table) -> str:
    """Returns the label that every row of a series has."""
    first, *others = part.columns[name]
    for line, cell in zip(part.lines[1:], others, strict=True):
        if cell != first:
            raise ValueError(
                f"{path}, line {line}: {cell!r} in {name!r}, {first!r} above; a series has one of them"
            )
    return first


def _rows(table: Table, chosen: np.ndarray) -> Table:
    columns = {name: [column[row] for row in chosen] for name, column in table.columns.items()}
    return table._replace(columns=columns, lines=[table.lines[row] for row in chosen])
