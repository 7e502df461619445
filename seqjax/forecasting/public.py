"""Public data sets as panels."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqjax.datasets.sources import load
from seqjax.forecasting.columns import Columns
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.split import Split, is_ett
from seqjax.forecasting.times import parse_time

HOUR, YEAR = np.timedelta64(1, "h"), np.timedelta64(12, "M")


@dataclasses.dataclass(frozen=True)
class LoadedPanel:
    """A panel and where its series come from.

    Attributes:
      panel: the series.
      origin: a sentence fit for a report.
      name: of the data set; None for another source.
    """

    panel: Panel
    origin: str
    name: str | None = None

    @property
    def horizon(self) -> int:
        """Steps to forecast: those published, else a season, and at least 8."""
        return HORIZONS.get(self.name or "", max(self.season, 8))

    @property
    def season(self) -> int:
        """Steps of the season."""
        return SEASONS.get(self.name or "", self.panel.season)

    def split(self, horizon: int, folds: int | None) -> Split:
        """Cuts the series, see `Split.by_folds`; ETT's as published, see `Split.of_ett`.

        Series that are columns of one table are judged from every time of their end, see
        `Split.by_shares`, unless folds are given.

        Args:
          horizon: steps to forecast.
          folds: horizons to judge by; None for cuts that are published, else as many as the series
            allow, see `Split.rolling`.

        Raises:
          ValueError: the series are too short, have no value where they judge, or have cuts that
            are published.
        """
        if self.name == "m4_hourly":
            folds = folds or 1
        if self.name == "etth1" and folds is not None:
            raise ValueError(f"the cuts of {self.name} are published, one an hour; give no folds")
        if self.name == "etth1" or (self.is_multivariate and folds is None):
            return self._by_time(horizon).check(horizon)
        split = self._split(horizon, folds).check(horizon)
        return split.standardised() if self.is_multivariate else split

    @property
    def is_multivariate(self) -> bool:
        """Whether the series are columns of one table."""
        columns = self.panel.columns
        return columns is not None and not isinstance(columns.target, str)

    def _by_time(self, horizon: int) -> Split:
        """Cuts series of which every time judges; tables of ETT are told by their columns."""
        if self.name == "etth1" or is_ett(self.panel):
            return Split.of_ett(self.panel, horizon)
        return Split.by_shares(self.panel, self.season, horizon)

    def _split(self, horizon: int, folds: int | None) -> Split:
        if folds is None:
            return Split.rolling(self.panel, self.season, horizon)
        return Split.by_folds(self.panel, self.season, horizon, folds)


SEASONS = {"sunspots": 11}
"""Seasons that the step of a data set does not tell."""

HORIZONS = {"m4_hourly": 48}
"""Steps that are forecast in the papers, where that is no season."""

PANELS = {
    "vic_elec": Columns("demand", "time", known=("holiday",), past=("temperature",)),
    "etth1": Columns("OT", "date"),
    "co2": Columns("co2", "date"),
    "sunspots": Columns("sunspots", "year"),
}
"""The data sets of one series, with their columns."""

MANY = ("m4_hourly", "exchange_rate")
"""The data sets of many series."""

DATA_SETS = (*PANELS, *MANY)
"""All names of `load_panel`."""

SOURCES = {"etth1": "ett/h1"}
"""The names of `seqjax.datasets.load`, where they are others."""


def load_panel(
    name: str, data_dir: str | os.PathLike | None = None, multivariate: bool = False
) -> LoadedPanel:
    """Loads a data set of time series, from the first place that has it, see `seqjax.datasets.load`.

    Args:
      name: one of `DATA_SETS`; `"m4_hourly"` are the 414 hourly series of the M4 competition, the
        official test of 48 hours at their ends; `"exchange_rate"` the daily rates of eight
        currencies, without dates.
      data_dir: the local folder of data sets.
      multivariate: take each column of numbers as a series, in place of the one to forecast.

    Returns:
      The panel and its origin.

    Raises:
      ValueError: the name is unknown, or a file is not what it claims.
      DataUnavailable: no place has it.
    """
    if name == "m4_hourly":
        if multivariate:
            raise ValueError("m4_hourly has many series as it is; leave out --multivariate")
        return _m4_hourly(data_dir)
    if name == "exchange_rate":
        part = load(name, "full", data_dir)
        columns = part.records.columns()
        return LoadedPanel(Panel(list(columns["values"]), list(columns["id"])), part.origin, name)
    if name not in PANELS:
        raise ValueError(f"panel {name!r} is unknown; choose one of {', '.join(DATA_SETS)}")
    about: Any = PANELS[name]
    part = load(SOURCES.get(name, name), "full", data_dir)
    columns = {key: column[0] for key, column in part.records.columns().items()}
    first, second = (parse_time(str(text)) for text in columns[about.time][:2])
    step = YEAR if about.time == "year" else second - first
    names = [about.target]
    if multivariate:
        names = [key for key in columns if key != about.time]
        about = Columns(tuple(names), about.time)
    panel = Panel(
        [columns[key] for key in names],
        names,
        step,
        np.array([first] * len(names)),
        known=_side_by_side(columns, about.known),
        past=_side_by_side(columns, about.past),
        columns=about,
    )
    return LoadedPanel(panel, part.origin, name)


def _m4_hourly(data_dir: str | os.PathLike | None) -> LoadedPanel:
    parts = [load("m4_hourly", split, data_dir) for split in ("train", "test")]
    train, test = (part.records.columns() for part in parts)
    ends = dict(zip(test["id"], test["values"], strict=True))
    values = [
        np.concatenate([v, ends[name]])
        for name, v in zip(train["id"], train["values"], strict=True)
    ]
    return LoadedPanel(Panel(values, list(train["id"]), HOUR), parts[0].origin, "m4_hourly")


def _side_by_side(columns: Mapping[str, Any], names: Sequence[str]) -> list[np.ndarray]:
    """Covariates of the one series, `[time, columns]`; no array where there is no column."""
    if not names:
        return []
    return [np.stack([columns[name] for name in names], 1)]
