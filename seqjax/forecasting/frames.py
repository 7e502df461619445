"""Forecasts from what a person has: a frame of pandas or polars, a dict of columns, a file, a panel."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seqjax.files.tables import Table
from seqjax.forecasting.auto import auto
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.tables import columns_named, panel_of, read_panel
from seqjax.tasks import Trained


def fit(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    time: str | None = None,
    horizon: int | None = None,
    minutes: float | int = 5,
    fill_gaps: bool = False,
    seed: int = 0,
    quiet: bool = False,
    **columns: Any,
) -> Trained:
    """Fits a forecaster to a table, a frame or a panel: the best that `seqjax.forecasting.auto` finds.

    Args:
      source: a file for `read_panel`; a frame of pandas or polars, or a dict of columns; or a
        `Panel`, which wants no columns named.
      target: the column to forecast; several of them, or None for all that have no other part.
      time: the column of times; of a frame also the name of its index.
      horizon: steps to forecast; None for a season, and at least 8.
      minutes: how long it may take.
      fill_gaps: put in the rows that are missing between two others.
      seed: of all that is random.
      quiet: do not write a line to the standard error for each forecaster that is tried.
      **columns: further ones of `read_panel`, such as `series="shop"` or `known=["holiday"]`.

    Returns:
      A trained forecaster, for `predict`, `evaluate`, `save`.

    Raises:
      TypeError: the source is none of these.
      ValueError: a column is not there, a cell cannot be read, or a series is too short.

    Example:
      >>> from seqjax import forecasting
      >>> days = [f"2024-{month:02}-{day:02}" for month in (1, 3) for day in range(1, 32)]
      >>> sold = [5 + index % 7 for index in range(62)]
      >>> frame = {"day": days, "sold": sold}
      >>> trained = forecasting.fit(
      ...     frame, target="sold", time="day", horizon=3, minutes=0, fill_gaps=True, quiet=True
      ... )
      >>> panel = forecasting.read_frame(frame, target="sold", time="day", fill_gaps=True)
      >>> [str(time)[:10] for time in trained.predict(panel).to_columns()["time"]]
      ['2024-04-01', '2024-04-02', '2024-04-03']
    """
    if isinstance(source, Panel):
        panel = source
        if target is not None or time is not None or columns:
            raise ValueError("a panel has its columns already; leave target, time and the rest out")
    else:
        if time is None:
            raise ValueError("which column is the time? give time=, for example time='date'")
        options = {"fill_gaps": fill_gaps, **columns}
        if isinstance(source, str | os.PathLike):
            panel = read_panel(source, target, time, **options)
        else:
            panel = read_frame(source, target, time, **options)
    say = None if quiet else lambda line: print(line, file=sys.stderr, flush=True)
    return auto(panel, horizon or max(panel.season, 8), minutes=minutes, seed=seed, say=say)


def read_frame(
    frame: Any,
    target: str | Sequence[str] | None,
    time: str,
    *,
    fill_gaps: bool = False,
    **columns: Any,
) -> Panel:
    """Makes a panel of a frame, as `read_panel` does of a file.

    Args:
      frame: of pandas or polars, or a dict of columns.
      target: the column to forecast; several of them, or None for all that have no other part.
      time: the column of times, or the name of the frame's index.
      fill_gaps: put in the rows that are missing between two others.
      **columns: further ones of `read_panel`, such as `series="shop"` or `known=["holiday"]`.

    Raises:
      TypeError: it is no frame.
      ValueError: see `read_panel`; a complaint counts rows from 1.
    """
    about = columns_named(target, time, **columns)
    if not isinstance(frame, Mapping) and not hasattr(frame, "columns"):
        raise TypeError(
            f"a {type(frame).__name__} is no frame; give a file, a frame of pandas or polars, "
            "a dict of columns or a Panel"
        )
    names = list(frame.keys() if isinstance(frame, Mapping) else frame.columns)
    found = {str(name): _texts(frame[name]) for name in names}
    index: Any = getattr(frame, "index", None)
    if time not in found and getattr(index, "name", None) == time:
        found[time] = _texts(index)
    rows = len(next(iter(found.values()), []))
    for name, column in found.items():
        if len(column) != rows:
            raise ValueError(f"the frame: {name!r} has {len(column)} rows, others {rows}")
    table = Table(found, list(range(1, rows + 1)))
    return panel_of(table, "the frame", about, fill_gaps=fill_gaps)


def _texts(column: Iterable[Any]) -> list[str]:
    """Writes cells as a file would have them."""
    return [_text(cell) for cell in column]


def _text(cell: Any) -> str:
    # NaN and NaT are not equal to themselves.
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bool | np.bool_):
        return str(int(cell))
    if isinstance(cell, np.datetime64):
        return str(cell)
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    if isinstance(cell, float | np.floating):
        return repr(float(cell))
    return str(cell)
