"""What every forecaster has to beat: the last value, the last season, a straight line of the context."""

import dataclasses
import warnings
from collections.abc import Mapping

import numpy as np

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.interface import Fitted, Forecaster, Recipe
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.windows import PanelWindows, Scaling
from seqjax.typing import KeyArray

SEASONS = 4
"""How many seasons back a value that is missing is looked for."""


def baselines(panel: Panel, horizon: int, context: int, season: int) -> dict[str, Fitted]:
    """The naive, the seasonal naive and the linear forecaster of a panel: the table that every other belongs in.

    Where no window of the panel is whole there is no linear one, and a warning tells.

    Args:
      panel: what is learnt from.
      horizon: steps to forecast.
      context: steps that the linear one reads.
      season: steps of a season.

    Returns:
      Fitted forecasters by name.
    """
    fitted: dict[str, Fitted] = {
        "naive": SeasonalNaive(horizon=horizon, season=1).fit(panel),
        "seasonal naive": SeasonalNaive(horizon=horizon, season=season).fit(panel),
    }
    try:
        return fitted | {"linear": Linear(horizon=horizon, context=context).fit(panel)}
    except ValueError as reason:
        warnings.warn(f"no linear forecaster beside: {reason}", stacklevel=2)
        return fitted


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeasonalNaive(Forecaster):
    """Each value is that of a season before, and with `season=1` the last one.

    Where that is missing the one before it is taken, and so on; where none of `SEASONS` is there,
    the last value.

    Attributes:
      season: its steps; None for the shortest one that the panel's step has.
    """

    season: int | None = None

    def fit(self, panel: Panel, recipe: Recipe | None = None) -> "FittedNaive":
        """Looks up the season: there is nothing to learn."""
        season = self.season
        if season is None:
            season = panel.season
        return FittedNaive(dataclasses.replace(self, season=season))


@dataclasses.dataclass(frozen=True)
class FittedNaive(Fitted):
    """The seasonal naive forecaster of a known season."""

    forecaster: SeasonalNaive

    @property
    def horizon(self) -> int:
        """Steps that it forecasts."""
        return self.forecaster.horizon

    @property
    def season(self) -> int:
        """Steps of a season."""
        return self.forecaster.season or 1

    def windows(self, panel: Panel) -> PanelWindows:
        """The last seasons."""
        return PanelWindows(_bare(panel), SEASONS * self.season, self.horizon, scaling="last")

    def forecast(self, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """The last season again and again."""
        context = slice(None, -self.horizon)
        shape = (-1, SEASONS, self.season)
        values, seen = (batch[name][:, context].reshape(shape) for name in ("values", "seen"))
        newest = SEASONS - 1 - seen[:, ::-1].argmax(1)
        season = np.take_along_axis(values, newest[:, None], axis=1)[:, 0]
        return Forecast.of_points(
            season[:, np.arange(self.horizon) % self.season].astype(np.float64)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear(Forecaster):
    """Every step of the horizon is a weighted sum of the context, the same for all series, by ridge regression.

    Attributes:
      context: steps before the cut.
      scaling: how windows are centred and scaled.
      penalty: of the squared weights, for each window.
      most: windows to learn from, evenly spread over all there are.
    """

    context: int
    scaling: Scaling = "last"
    penalty: float = 1e-3
    most: int = 20_000

    def fit(self, panel: Panel, recipe: Recipe | None = None) -> "FittedLinear":
        """Solves the normal equations over windows whose horizon is wholly seen.

        Raises:
          ValueError: there is no such window.
        """
        windows = self.windows(panel).check()
        batch = windows.gather(np.unique(np.linspace(0, len(windows) - 1, self.most).astype(int)))
        whole = batch["seen"][:, -self.horizon :].all(1)
        if not whole.any():
            raise ValueError(
                f"no window has all {self.horizon} values of its horizon; fill the gaps of the series"
            )
        x, y = _columns(batch, self.horizon)[whole], _scaled(batch)[whole, -self.horizon :]
        ridge = self.penalty * len(x) * np.diag([1.0] * self.context + [0.0])
        return FittedLinear(self, np.linalg.lstsq(x.T @ x + ridge, x.T @ y, rcond=None)[0])

    def windows(self, panel: Panel) -> PanelWindows:
        """The context and the horizon."""
        return PanelWindows(_bare(panel), self.context, self.horizon, scaling=self.scaling)


@dataclasses.dataclass(frozen=True, eq=False)
class FittedLinear(Fitted):
    """A linear forecaster with its weights `[context + 1, horizon]`."""

    forecaster: Linear
    weights: np.ndarray

    @property
    def horizon(self) -> int:
        """Steps that it forecasts."""
        return self.forecaster.horizon

    def windows(self, panel: Panel) -> PanelWindows:
        """What it looks at of a panel."""
        return self.forecaster.windows(panel)

    def forecast(self, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """The weighted sums."""
        found = _columns(batch, self.horizon) @ self.weights
        return Forecast.of_points(found * batch["scale"][:, None])


def _bare(panel: Panel) -> Panel:
    """The values alone: nothing else is looked at, so nothing else is wanted."""
    return dataclasses.replace(panel, known=(), past=())


def _scaled(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    return batch["values"].astype(np.float64) / batch["scale"][:, None]


def _columns(batch: Mapping[str, np.ndarray], horizon: int) -> np.ndarray:
    """The scaled context, and a one."""
    context = _scaled(batch)[:, :-horizon]
    return np.concatenate([context, np.ones((len(context), 1))], axis=1)
