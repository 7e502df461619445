"""`Split`: which part of a panel is learnt, which chooses among what was learnt, and which judges."""

import dataclasses
import math
from typing import Literal

import numpy as np

from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.panel import PLAIN, Panel, Units

ROLLING = 600
"""Forecasts that choose or judge, where cuts are not given."""

ETT = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
"""The series of an ETT table."""

MONTH = np.timedelta64(30 * 24, "h")
"""A month, as the published protocol of ETT counts it (Zhou et al., 2021)."""

CHOSEN = 360
"""Times, about, that choose where every time judges."""


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A panel and the times at which it is cut, each time in steps before the end of every series.

    Attributes:
      panel: the series with all that came.
      season: of the naive forecast and of MASE.
      validation: cuts to choose by and to calibrate on; the earliest one ends what is learnt.
      test: cuts to judge by.
      units: `(loc, scale)` of the values learnt, which scores count in, for all series or for each.
      monitor: the score that chooses among parameters, see `HeldOut`.
    """

    panel: Panel
    season: int
    validation: tuple[int, ...]
    test: tuple[int, ...]
    units: Units = PLAIN
    monitor: str | None = None

    @property
    def train(self) -> Panel:
        """What is learnt from."""
        return self.panel.until(max(self.validation))

    def held_out(self, part: Literal["validation", "test"]) -> HeldOut:
        """Gives the values that choose, or those that judge."""
        return HeldOut(
            self.panel, getattr(self, part), self.season, self.units, monitor=self.monitor
        )

    def check(self, horizon: int) -> "Split":
        """Returns itself, where each part has a value to score.

        Raises:
          ValueError: all values of one are missing (which).
        """
        parts = {"choose": self.held_out("validation"), "judge": self.held_out("test")}
        for purpose, part in parts.items():
            if not part.has_values(horizon):
                raise ValueError(
                    f"every value to {purpose} by is missing; fill the gaps, or give more folds"
                )
        return self

    def standardised(self) -> "Split":
        """Counts each series in standard deviations of its own values learnt; squared errors choose."""
        return dataclasses.replace(self, units=self.train.own_units(), monitor="mse")

    @classmethod
    def of_ett(cls, panel: Panel, horizon: int) -> "Split":
        """Cuts series of ETT as published: 12 months are learnt, 4 choose, 4 judge.

        Every time of the test is forecast from, and every eighth hour of the validation. Scores
        count in units of the standard deviation of the values learnt.

        Raises:
          ValueError: the series have no 20 months.
        """
        hour = np.timedelta64(1, "h")
        step = hour if panel.step is None else panel.step
        month, stride = int(MONTH / step), int(8 * hour / step)
        length = int(panel.lengths.min())
        if length < 20 * month:
            raise ValueError(f"the series has {length} values; 20 months are {20 * month}")
        split = cls._by_parts(panel, horizon, (12 * month, 4 * month, 4 * month), stride)
        if len(panel) > 1:
            return split.standardised()
        values = split.train.values[0]
        units = float(values.mean()), float(values.std())
        return dataclasses.replace(split, units=units)

    @classmethod
    def by_shares(cls, panel: Panel, season: int, horizon: int) -> "Split":
        """Cuts series of one length: 7 tenths are learnt, 1 chooses, 2 judge (Wu et al., 2021).

        Every time of the test is forecast from, and some 360 of the validation. Scores count in
        units of the standard deviation of the values learnt.

        Raises:
          ValueError: the series are too short (their length, and what it takes).
        """
        length = int(panel.lengths.min())
        learnt, judged = int(length * 0.7), int(length * 0.2)
        chosen = length - learnt - judged
        if chosen < horizon:
            raise ValueError(
                f"the series have {length} values, of which a tenth chooses; a horizon of {horizon} "
                f"wants {10 * horizon}: give longer series or a shorter horizon, or --folds"
            )
        stride = _stride(chosen, horizon, season, CHOSEN)
        split = cls._by_parts(panel, horizon, (learnt, chosen, judged), stride)
        return dataclasses.replace(split, season=season).standardised()

    @classmethod
    def _by_parts(
        cls, panel: Panel, horizon: int, parts: tuple[int, int, int], stride: int
    ) -> "Split":
        """Cuts series into steps to learn from, to choose by and to judge by; `stride` lies between choices."""
        _, chosen, judged = parts
        whole = panel.until(int(panel.lengths.min()) - sum(parts))
        validation = range(chosen + judged, judged + horizon - 1, -stride)
        test = range(judged, horizon - 1, -1)
        return cls(whole, panel.season, tuple(validation), tuple(test))

    @classmethod
    def rolling(cls, panel: Panel, season: int, horizon: int) -> "Split":
        """Cuts a panel at many times: the last fifth of its shortest series judges, the fifth before it chooses.

        Cuts fall on every phase of the season; there are as many as give `ROLLING` forecasts in
        all.

        Raises:
          ValueError: a series is too short, see `by_folds`.
        """
        by_one = cls.by_folds(panel, season, horizon, 1)
        part = max(horizon, int(panel.lengths.min()) // 5)
        stride = _stride(part, horizon, season, max(1, ROLLING // len(panel)))
        cuts = tuple(range(part, horizon - 1, -stride))
        return dataclasses.replace(by_one, validation=tuple(part + ago for ago in cuts), test=cuts)

    @classmethod
    def by_folds(cls, panel: Panel, season: int, horizon: int, folds: int) -> "Split":
        """Cuts a panel: the last `folds` horizons judge, as many before them choose.

        Raises:
          ValueError: a series is too short (which, its length, and what it takes).
        """
        wanted = 2 * folds * horizon + 1
        for name, length in zip(panel.names, panel.lengths, strict=True):
            if length < wanted or panel.lengths.max() < wanted + horizon:
                whole = wanted + (horizon if length >= wanted else 0)
                raise ValueError(
                    f"the series {name!r} has {length} values; {folds} folds of {horizon} to judge by, as many to "
                    f"choose by and some to learn want {whole}: give longer series, fewer folds or a shorter horizon"
                )
        cuts = tuple(horizon * fold for fold in range(2 * folds, 0, -1))
        return cls(panel, season, cuts[:folds], cuts[folds:])


def _stride(part: int, horizon: int, season: int, most: int) -> int:
    """Finds the steps between about `most` cuts of a part; they fall on every phase of the season."""
    stride = -(-(part - horizon + 1) // most)
    while math.gcd(stride, season) > 1:
        stride += 1
    return stride


def is_ett(panel: Panel) -> bool:
    """Tells whether a panel is a table of ETT: its columns, steps of an hour at most, and 20 months."""
    if tuple(panel.names) != ETT or not panel.has_calendar or panel.step is None:
        return False
    if np.datetime_data(panel.step.dtype)[0] not in ("s", "m", "h"):
        return False
    hour = np.timedelta64(1, "h")
    return bool(panel.step <= hour and panel.lengths.min() >= 20 * int(MONTH / panel.step))
