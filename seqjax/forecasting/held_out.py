"""`HeldOut`: a panel, and the times from which its end is forecast to be scored."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.panel import PLAIN, Panel, Units
from seqjax.forecasting.scores import Weighed, pooled, weighed
from seqjax.tasks import Trained

MOST = 2**18
"""Values that are forecast at once to be scored, and at most in pictures."""


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """Values that forecasts are scored on.

    Attributes:
      panel: the series with all that came.
      ago: steps before the end of every series at which it is forecast.
      season: of the seasonal naive error that MASE counts in.
      units: `(loc, scale)`, numbers or one for each series: scores count values minus loc, over
        scale.
      others: forecasts of other forecasters at the same times, or these forecasters, which a report
        shows beside.
      monitor: the score that chooses among parameters; None for what `Forecaster.evaluate` takes.
    """

    panel: Panel
    ago: tuple[int, ...]
    season: int = 1
    units: Units = PLAIN
    others: Mapping[str, Forecast | Trained] = dataclasses.field(default_factory=dict)
    monitor: str | None = None

    @classmethod
    def of(cls, examples: Any, horizon: int) -> "HeldOut":
        """Takes the last horizon of a panel; what is held out already stays as it is."""
        if isinstance(examples, HeldOut):
            return examples
        return cls(examples, (horizon,), examples.season)

    def has_values(self, horizon: int) -> bool:
        """Tells whether a value came within a horizon of some cut."""
        for values in self.panel.values:
            ends = [values[len(values) - ago :][:horizon] for ago in self.ago]
            if np.isfinite(np.concatenate(ends)).any():
                return True
        return False

    def beside(self, others: Mapping[str, Forecast | Trained]) -> "HeldOut":
        """Adds more forecasts, or forecasters, to show in a report."""
        return dataclasses.replace(self, others={**self.others, **others})

    def scores(self, said: Forecast | Trained) -> dict[str, float]:
        """Scores forecasts, see `seqjax.forecasting.score`; `mse` beside.

        Args:
          said: the forecasts, or a forecaster. This is asked for some of its forecasts at a time,
            so that the memory does not grow with their number.
        """
        if isinstance(said, Forecast):
            parts = [self._weighed(said)]
        else:
            parts = [part._weighed(part.forecast(said)) for part in self._parts(said)]
        found = pooled(parts)
        if "rmse" in found:
            found["mse"] = found["rmse"] ** 2
        return found

    def forecast(self, said: Forecast | Trained) -> Forecast:
        """Asks a forecaster at all times that are held out; forecasts stay what they are."""
        if isinstance(said, Forecast):
            return said
        return said.predict(self.panel, ago=self.ago)

    def thinned(self, horizon: int) -> "HeldOut":
        """Keeps as many times as pictures want, evenly spread."""
        return self.evenly(self._times_at_once(horizon))

    def evenly(self, count: int) -> "HeldOut":
        """Keeps so many times at most, evenly spread."""
        if len(self.ago) <= count:
            return self
        kept = np.unique(np.linspace(0, len(self.ago) - 1, count).astype(int))
        others = {name: self._rows(said, kept) for name, said in self.others.items()}
        ago = tuple(self.ago[place] for place in kept)
        return dataclasses.replace(self, ago=ago, others=others)

    def in_units(self, forecast: Forecast) -> tuple[Panel, Forecast]:
        """Gives the panel and a forecast of it in the units of the scores."""
        if self.units == PLAIN:
            return self.panel, forecast
        loc, scale = (np.broadcast_to(part, len(self.panel)) for part in self.units)
        rows = forecast.series
        return self.panel.standardised(self.units), forecast.standardised(loc[rows], scale[rows])

    def _weighed(self, forecast: Forecast) -> Weighed:
        return weighed(*self.in_units(forecast), self.season)

    def _parts(self, trained: Trained) -> list["HeldOut"]:
        """Cuts the times into parts of few values each."""
        size = self._times_at_once(trained.task.horizon)
        starts = range(0, len(self.ago), size)
        return [dataclasses.replace(self, ago=self.ago[start : start + size]) for start in starts]

    def _times_at_once(self, horizon: int) -> int:
        return max(1, MOST // (horizon * len(self.panel)))

    def _rows(self, said: Forecast | Trained, kept: np.ndarray) -> Forecast | Trained:
        """Takes the forecasts at some of the times: they stand time after time, a row for each series."""
        if not isinstance(said, Forecast):
            return said
        rows = kept[:, None] * len(self.panel) + np.arange(len(self.panel))[None, :]
        return said.rows(rows.ravel())
