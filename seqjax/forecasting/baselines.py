"""What every forecaster has to beat: the last value, the last season, a straight line of the context."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.interface import RECIPE, Forecaster
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.windows import PanelWindows, Scaling
from seqjax.tasks import Trained
from seqjax.training import Recipe
from seqjax.typing import KeyArray, Params

SEASONS = 4
"""How many seasons back a value that is missing is looked for."""


def baselines(panel: Panel, horizon: int, context: int, season: int) -> dict[str, Trained]:
    """Fits the naive, the seasonal naive and the linear forecaster, which every other has to beat.

    Where no window of the panel is whole there is no linear one, and a warning tells.

    Args:
      panel: what is learnt from.
      horizon: steps to forecast.
      context: steps that the linear one reads.
      season: steps of a season.

    Returns:
      Trained forecasters by name.
    """
    fitted: dict[str, Trained] = {
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

    name: ClassVar[str] = "seasonal naive"

    def fit(self, panel: Panel, recipe: Recipe = RECIPE) -> Trained:
        """Looks up the season: there is nothing to learn."""
        season = self.season
        if season is None:
            season = panel.season
        return Trained(dataclasses.replace(self, season=season), {})

    def init(self, key: KeyArray) -> Params:
        """Makes no parameters: there are none."""
        return {}

    def windows(self, panel: Panel) -> PanelWindows:
        """Makes windows of the last seasons.

        Raises:
          ValueError: the season is not known.
        """
        if self.season is None:
            raise ValueError("the season is not known; give season=, or call fit(panel)")
        return PanelWindows(panel.bare(), SEASONS * self.season, self.horizon, scaling="last")

    def forecast(self, params: Params, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """Repeats the last season."""
        context = slice(None, -self.horizon)
        steps = self.season or 1
        shape = (-1, SEASONS, steps)
        values, seen = (batch[name][:, context].reshape(shape) for name in ("values", "seen"))
        newest = SEASONS - 1 - seen[:, ::-1].argmax(1)
        season = np.take_along_axis(values, newest[:, None], axis=1)[:, 0]
        return Forecast.of_points(season[:, np.arange(self.horizon) % steps].astype(np.float64))

    def point(self, params: Params, batch: Mapping[str, Any]) -> jax.Array:
        """Repeats the last season, as an array of JAX."""
        context, steps = slice(None, -self.horizon), self.season or 1
        seen = np.asarray(batch["seen"])[:, context].reshape(-1, SEASONS, steps)
        newest = SEASONS - 1 - seen[:, ::-1].argmax(1)
        values = batch["values"][:, context].reshape(seen.shape)
        season = jnp.take_along_axis(values, newest[:, None], axis=1)[:, 0]
        return season[:, np.arange(self.horizon) % steps]


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

    name: ClassVar[str] = "linear"

    def fit(self, panel: Panel, recipe: Recipe = RECIPE) -> Trained:
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
        weights = np.linalg.lstsq(x.T @ x + ridge, x.T @ y, rcond=None)[0]
        return Trained(self, {"weights": weights.astype(np.float32)})

    def init(self, key: KeyArray) -> Params:
        """Makes weights of 0, `[context + 1, horizon]`."""
        return {"weights": jnp.zeros((self.context + 1, self.horizon))}

    def windows(self, panel: Panel) -> PanelWindows:
        """Makes windows of the context and the horizon."""
        return PanelWindows(panel.bare(), self.context, self.horizon, scaling=self.scaling)

    def forecast(self, params: Params, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """Computes the weighted sums."""
        found = _columns(batch, self.horizon) @ np.asarray(params["weights"], np.float64)
        return Forecast.of_points(found * batch["scale"][:, None])

    def point(self, params: Params, batch: Mapping[str, Any]) -> jax.Array:
        """Computes the weighted sums, as an array of JAX."""
        weights, scale = jnp.asarray(params["weights"]), batch["scale"][:, None]
        context = batch["values"][:, : -self.horizon] / scale
        return (context @ weights[:-1] + weights[None, -1]) * scale


def _scaled(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    return batch["values"].astype(np.float64) / batch["scale"][:, None]


def _columns(batch: Mapping[str, np.ndarray], horizon: int) -> np.ndarray:
    """Lists the scaled context, and a one."""
    context = _scaled(batch)[:, :-horizon]
    return np.concatenate([context, np.ones((len(context), 1))], axis=1)
