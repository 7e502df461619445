"""Forecasts beside what came: every score at once, step by step, and as a table."""

from collections.abc import Mapping

import numpy as np

from seqjax.forecasting import metrics
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.panel import Panel

DECILES = tuple(level / 10 for level in range(1, 10))
"""The levels of the weighted quantile loss."""


def truth(panel: Panel, forecast: Forecast) -> np.ndarray:
    """Looks up the values that came, `[rows, horizon]`: NaN where it is missing or still to come."""
    horizon = forecast.mean.shape[1]
    found = np.full(forecast.mean.shape, np.nan)
    for row, (series, cut) in enumerate(zip(forecast.series, forecast.cuts, strict=True)):
        values = panel.values[series][cut : cut + horizon]
        found[row, : len(values)] = values
    return found


def score(panel: Panel, forecast: Forecast, season: int = 1) -> dict[str, float]:
    """Scores forecasts by every score of `metrics` that they allow.

    The median stands for the forecast where errors count as they are, the mean where they count
    squared.

    Args:
      panel: with what came.
      forecast: of its series.
      season: of the seasonal naive error that MASE counts in, each row's own from before its cut.

    Returns:
      Score by name; quantile loss, CRPS and the coverage of the 50 and 90 % intervals only for
      those with a spread, MAPE, ND and quantile loss only where a value is not 0, MASE only where a
      history is a season long and changes; none that is not finite. `mase_se` is the standard error
      of MASE.

    Raises:
      ValueError: nothing of what was forecast has come yet.
    """
    y, median = truth(panel, forecast), forecast.median
    if not np.isfinite(y).any():
        raise ValueError(
            "nothing of what was forecast has come yet; forecast from a time before the panel's end"
        )
    histories = [
        panel.values[s][:cut] for s, cut in zip(forecast.series, forecast.cuts, strict=True)
    ]
    error_scale = metrics.seasonal_error(histories, season)
    # Forecasts whose horizons overlap are not independent: those within one horizon hang together.
    together = (panel.lengths[forecast.series] - forecast.cuts) // y.shape[1]
    scores = {
        "mae": metrics.mae(y, median),
        "rmse": metrics.rmse(y, forecast.mean),
        "mape": metrics.mape(y, median),
        "smape": metrics.smape(y, median),
        "nd": metrics.nd(y, median),
        "mase": metrics.mase(y, median, error_scale),
        "mase_se": metrics.standard_error(metrics.scaled_errors(y, median, error_scale), together),
    }
    if not forecast.spread:
        return _finite(scores)
    low, high = max(forecast.levels[0], DECILES[0]), min(forecast.levels[-1], DECILES[-1])
    levels = [level for level in DECILES if low <= level <= high]
    quantiles = np.stack([forecast.quantile(level) for level in levels], axis=-1)
    scores["wql"] = metrics.weighted_quantile_loss(y, quantiles, levels)
    if forecast.samples is not None:
        scores["crps"] = metrics.crps(y, forecast.samples)
    covered = {
        f"coverage_{share}": metrics.coverage(y, *forecast.interval(share / 100))
        for share in (50, 90)
    }
    return _finite(scores | covered)


def _finite(scores: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in scores.items() if np.isfinite(value)}


def by_step(panel: Panel, forecast: Forecast) -> np.ndarray:
    """Computes the mean absolute error of each step of the horizon, `[horizon]`; NaN where none was observed."""
    y = truth(panel, forecast)
    seen = ~np.isnan(y)
    total = np.where(seen, np.abs(y - forecast.median), 0).sum(0)
    return total / np.where(seen.any(0), seen.sum(0), np.nan)


def calibration(panel: Panel, forecast: Forecast) -> np.ndarray:
    """Computes the share of values at or below each quantile, `[levels]`: ideally the levels themselves."""
    y = truth(panel, forecast)[..., None]
    return (
        np.where(np.isnan(y), np.nan, y <= forecast.quantiles)
        .reshape(-1, len(forecast.levels))
        .mean(0, where=np.isfinite(y).reshape(-1, 1))
    )


def table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Lays out scores of several forecasters, one a line."""
    names = list(dict.fromkeys(name for row in scores.values() for name in row))
    width = max(map(len, scores))
    lines = [" " * width + "".join(f"{name.replace('_', ' '):>12}" for name in names)]
    for forecaster, row in scores.items():
        cells = (f"{row[name]:>12.4g}" if name in row else f"{'-':>12}" for name in names)
        lines.append(f"{forecaster:<{width}}" + "".join(cells))
    return "\n".join(lines)
