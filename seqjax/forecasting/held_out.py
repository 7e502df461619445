"""`HeldOut`: a panel, and the times from which its end is forecast to be scored."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from seqjax.forecasting import metrics
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.scores import score, truth
from seqjax.tasks import Trained


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """Values that forecasts are scored on.

    Attributes:
      panel: the series with all that came.
      ago: steps before the end of every series at which it is forecast.
      season: of the seasonal naive error that MASE counts in.
      units: `(loc, scale)`: scores count values minus loc, over scale.
      others: forecasts of other forecasters at the same times, which a report shows beside.
    """

    panel: Panel
    ago: tuple[int, ...]
    season: int = 1
    units: tuple[float, float] = (0.0, 1.0)
    others: Mapping[str, Forecast] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, examples: Any, horizon: int) -> "HeldOut":
        """Takes the last horizon of a panel; what is held out already stays as it is."""
        if isinstance(examples, HeldOut):
            return examples
        return cls(examples, (horizon,), examples.season)

    def beside(self, others: Mapping[str, Forecast | Trained]) -> "HeldOut":
        """Adds more forecasts, or forecasters, to show in a report."""
        found = dict(self.others)
        for name, other in others.items():
            if isinstance(other, Trained):
                other = other.predict(self.panel, ago=self.ago)
            found[name] = other
        return dataclasses.replace(self, others=found)

    def scores(self, forecast: Forecast) -> dict[str, float]:
        """Scores a forecast, see `seqjax.forecasting.score`; `mse` beside."""
        panel, forecast = self._in_units(forecast)
        found = score(panel, forecast, self.season)
        found["mse"] = metrics.mse(truth(panel, forecast), forecast.mean)
        return found

    def _in_units(self, forecast: Forecast) -> tuple[Panel, Forecast]:
        loc, scale = self.units
        if self.units == (0.0, 1.0):
            return self.panel, forecast
        return self.panel.standardised(loc, scale), forecast.standardised(loc, scale)
