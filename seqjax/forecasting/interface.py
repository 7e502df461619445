"""The interface of every forecaster.

A forecaster is a frozen dataclass that says what it is; `fit` gives a fitted one, which forecasts
any panel:

    fitted = DeepAR(context=168, horizon=48).fit(panel)
    forecast = fitted.predict(panel)
    low, high = forecast.interval(0.9)
"""

import dataclasses
from collections.abc import Iterable, Mapping

import jax
import numpy as np
import optax

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.windows import PanelWindows
from seqjax.typing import KeyArray

ROWS = 512
"""Windows forecast at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: Adam, a rate that falls to 0 along a cosine, clipped gradients, averaged weights.

    Attributes:
      steps: batches.
      batch_size: windows of a batch.
      learning_rate: at the beginning.
      clip: the largest gradient norm.
      average: decay of the moving average of the weights, which is what forecasts.
      seed: of all that is random.
    """

    steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 1e-3
    clip: float = 10.0
    average: float = 0.99
    seed: int = 0

    def optimiser(self) -> optax.GradientTransformation:
        """Adam at the falling rate."""
        return optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.steps))


class Fitted:
    """A forecaster that has seen data: what `predict` is made of. A subclass defines all but them."""

    @property
    def horizon(self) -> int:
        """Steps that it forecasts."""
        raise NotImplementedError

    def windows(self, panel: Panel) -> PanelWindows:
        """What it looks at of a panel."""
        raise NotImplementedError

    def forecast(self, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """What comes after the cuts of some windows, minus their `loc`."""
        raise NotImplementedError

    def predict(self, panel: Panel, ago: int | Iterable[int] = 0, *, seed: int = 0) -> Forecast:
        """Forecasts every series from its end, or from where it stood some steps ago.

        Args:
          panel: the series; nothing after a cut is looked at but what is known beforehand.
          ago: steps before the end of the series at which to cut them, one number or several.
          seed: of what is drawn.

        Returns:
          A `Forecast` with a row for each series, cut after cut.

        Raises:
          ValueError: a series has not begun so many steps ago, or the panel is not of the form that
            was learnt.
        """
        back = np.atleast_1d(np.asarray(ago if isinstance(ago, int) else list(ago)))
        series = np.tile(np.arange(len(panel)), len(back))
        return self.predict_at(
            panel, series, panel.lengths[series] - np.repeat(back, len(panel)), seed=seed
        )

    def predict_at(
        self, panel: Panel, series: np.ndarray, cuts: np.ndarray, *, seed: int = 0
    ) -> Forecast:
        """Forecasts of these series at these cuts, each `[rows]`: a cut is the number of values before it."""
        if cuts.min() < 1:
            name = panel.names[int(series[cuts.argmin()])]
            raise ValueError(
                f"the series {name!r} has no value before step {cuts.min()}; forecast from a later one"
            )
        windows, key, parts = self.windows(panel), jax.random.key(seed), []
        for start in range(0, len(cuts), ROWS):
            chosen = slice(start, start + ROWS)
            batch = windows.at(series[chosen], cuts[chosen])
            found = self.forecast(batch, jax.random.fold_in(key, start)).moved(
                batch["loc"].astype(np.float64)
            )
            parts.append(dataclasses.replace(found, series=series[chosen], cuts=cuts[chosen]))
        return Forecast.join(parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecaster:
    """What can be fitted to a panel.

    Attributes:
      horizon: steps to forecast.
    """

    horizon: int

    def fit(self, panel: Panel, recipe: Recipe = Recipe()) -> Fitted:
        """Learns from a panel.

        Args:
          panel: all of it is learnt from: keep back what is to judge the forecasts, for example by
            `Panel.until`.
          recipe: how a network is trained; what is none takes no notice of it.

        Raises:
          ValueError: no series is long enough, or settings do not go together.
        """
        raise NotImplementedError
