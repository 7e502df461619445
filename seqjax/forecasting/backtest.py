"""Rolling backtests: what a forecaster would have said at earlier times."""

import dataclasses

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.interface import RECIPE, Forecaster
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.scores import score
from seqjax.tasks import Trained
from seqjax.training import Recipe


@dataclasses.dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts from several times, with what came.

    Attributes:
      panel: with what came.
      forecast: cut after cut, and in each a row for every series.
      ago: the cuts, in steps before the end of every series, the earliest first.
      fits: how often the forecaster was fitted.
    """

    panel: Panel
    forecast: Forecast
    ago: tuple[int, ...]
    fits: int

    def scores(self, season: int = 1) -> dict[str, float]:
        """Over all cuts, see `seqjax.forecasting.score`."""
        return score(self.panel, self.forecast, season)

    def by_cut(self, season: int = 1) -> list[dict[str, float]]:
        """Of each cut by itself."""
        rows = len(self.panel)
        parts = (slice(place * rows, (place + 1) * rows) for place in range(len(self.ago)))
        return [score(self.panel, self.forecast.rows(part), season) for part in parts]


def backtest(
    forecaster: Forecaster | Trained,
    panel: Panel,
    *,
    folds: int,
    stride: int | None = None,
    refit: int = 0,
    recipe: Recipe = RECIPE,
) -> Backtest:
    """Forecasts the end of a panel from several earlier times, each time knowing only what had come by then.

    Args:
      forecaster: to be fitted, or one that is fitted and has not learnt from the values that judge
        it.
      panel: with the values that came.
      folds: how many times to forecast from.
      stride: steps between two times; None for the horizon, so that no value is forecast twice.
      refit: fit anew at every so many times; 0 fits once, before the first.
      recipe: how to fit.

    Returns:
      A `Backtest`.

    Raises:
      ValueError: the panel is too short, or a number is out of range.
    """
    horizon: int = (forecaster.task if isinstance(forecaster, Trained) else forecaster).horizon
    if stride is None:
        stride = horizon
    if folds < 1 or stride < 1 or refit < 0:
        raise ValueError(
            f"folds={folds}, stride={stride}, refit={refit}; give at least 1 (refit: 0)"
        )
    ago = tuple(horizon + stride * place for place in reversed(range(folds)))
    if isinstance(forecaster, Trained):
        return Backtest(panel, forecaster.predict(panel, ago=ago), ago, 0)
    every, parts = refit or folds, []
    for start in range(0, folds, every):
        trained = forecaster.fit(panel.until(ago[start]), recipe)
        parts.append(trained.predict(panel, ago=ago[start : start + every]))
    return Backtest(panel, Forecast.join(parts), ago, len(parts))
