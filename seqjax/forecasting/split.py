"""`Split`: which part of a panel is learnt, which chooses among what was learnt, and which judges."""

import dataclasses
import math
from typing import Literal

import numpy as np

from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.panel import Panel

ROLLING = 600
"""Forecasts that choose or judge, where cuts are not given."""

MONTH = 30 * 24
"""Hours of a month, as the published protocol of ETT counts them (Zhou et al., 2021)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A panel and the times at which it is cut, each time in steps before the end of every series.

    Attributes:
      panel: the series with all that came.
      season: of the naive forecast and of MASE.
      validation: cuts to choose by and to calibrate on; the earliest one ends what is learnt.
      test: cuts to judge by.
      units: `(loc, scale)` of the values learnt, which scores count in.
    """

    panel: Panel
    season: int
    validation: tuple[int, ...]
    test: tuple[int, ...]
    units: tuple[float, float] = (0.0, 1.0)

    @property
    def train(self) -> Panel:
        """What is learnt from."""
        return self.panel.until(max(self.validation))

    def held_out(self, part: Literal["validation", "test"]) -> HeldOut:
        """Gives the values that choose, or those that judge."""
        return HeldOut(self.panel, getattr(self, part), self.season, self.units)

    def check(self, horizon: int) -> "Split":
        """Returns itself, where each part has a value to score.

        Raises:
          ValueError: all values of one are missing (which).
        """
        for purpose, cuts in (("choose", self.validation), ("judge", self.test)):
            if not any(_has_value(self.panel, ago, horizon) for ago in cuts):
                raise ValueError(
                    f"every value to {purpose} by is missing; fill the gaps, or give more folds"
                )
        return self

    @classmethod
    def of_ett(cls, panel: Panel, horizon: int) -> "Split":
        """Cuts an hourly series of ETT as published: 12 months are learnt, 4 choose, 4 judge.

        Every hour of the test is forecast from, and every eighth of the validation. Scores count
        in units of the standard deviation of the values learnt.

        Raises:
          ValueError: the series has no 20 months.
        """
        values = panel.values[0]
        if len(values) < 20 * MONTH:
            raise ValueError(f"the series has {len(values)} values; 20 months are {20 * MONTH}")
        learnt = values[: 12 * MONTH]
        validation = range(8 * MONTH, 4 * MONTH + horizon - 1, -8)
        test = range(4 * MONTH, horizon - 1, -1)
        units = float(learnt.mean()), float(learnt.std())
        whole = panel.until(len(values) - 20 * MONTH)
        return cls(whole, panel.season, tuple(validation), tuple(test), units)

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
        cuts = _cuts(part, horizon, season, max(1, ROLLING // len(panel)))
        return dataclasses.replace(by_one, validation=tuple(part + ago for ago in cuts), test=cuts)

    @classmethod
    def chosen(cls, panel: Panel, season: int, horizon: int) -> HeldOut:
        """Cuts a panel of which no part judges: its last fifth chooses.

        Raises:
          ValueError: a series is too short, see `by_folds`.
        """
        split = cls.rolling(panel, season, horizon)
        return split.held_out("test")

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


def _cuts(part: int, horizon: int, season: int, most: int) -> tuple[int, ...]:
    """Spreads cuts over a part of so many steps, the earliest first; none shares a divisor with the season."""
    stride = max(1, -(-(part - horizon + 1) // most))
    while math.gcd(stride, season) > 1:
        stride += 1
    return tuple(range(part, horizon - 1, -stride))


def _has_value(panel: Panel, ago: int, horizon: int) -> bool:
    """Tells whether a value came within a horizon of this cut."""
    ends = [values[len(values) - ago :][:horizon] for values in panel.values]
    return any(np.isfinite(end).any() for end in ends)
