"""Forecasts beside what came: every score at once, step by step, and as a table."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seqjax.figures import plain_table
from seqjax.forecasting import metrics
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.panel import Panel

DECILES = tuple(level / 10 for level in range(1, 10))
"""The levels of the weighted quantile loss."""


class Weighed(NamedTuple):
    """Holds the scores of some forecasts, to be pooled with those of others.

    Attributes:
      scores: by name `(score, weight)`: values, series or their size, so that the scores of all are
        the weighted means of those of the parts; none where no value came.
      errors: the scaled error of each row, `[rows]`, NaN where there is none.
      together: a number of each row, `[rows]`; errors of one number are not independent.
    """

    scores: Mapping[str, tuple[float, float]]
    errors: np.ndarray
    together: np.ndarray


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
    return pooled([weighed(panel, forecast, season)])


def pooled(parts: Sequence[Weighed]) -> dict[str, float]:
    """Computes the scores of many forecasts from those of parts of them, see `weighed`.

    Raises:
      ValueError: nothing of what was forecast has come yet.
    """
    parts = [part for part in parts if part.scores]
    if not parts:
        raise ValueError(
            "nothing of what was forecast has come yet; forecast from a time before the panel's end"
        )
    found = {}
    for name in parts[0].scores:
        values, weights = np.array([part.scores[name] for part in parts]).T
        counts = weights > 0
        if not counts.any():
            continue
        # Roots are pooled as the squares that they are roots of.
        power = 2 if name == "rmse" else 1
        mean = np.average(values[counts] ** power, weights=weights[counts])
        found[name] = float(mean ** (1 / power))
    errors = np.concatenate([part.errors for part in parts])
    together = np.concatenate([part.together for part in parts])
    found["mase_se"] = metrics.standard_error(errors, together)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def weighed(panel: Panel, forecast: Forecast, season: int = 1) -> Weighed:
    """Scores forecasts as `score` does, each score with what its mean is taken over."""
    y, median = truth(panel, forecast), forecast.median
    seen = np.isfinite(y)
    if not seen.any():
        return Weighed({}, np.zeros(0), np.zeros(0, int))
    histories = [
        panel.values[s][:cut] for s, cut in zip(forecast.series, forecast.cuts, strict=True)
    ]
    error_scale = metrics.seasonal_error(histories, season)
    errors = metrics.scaled_errors(y, median, error_scale)
    together = hanging_together(panel, forecast)
    count, size = float(seen.sum()), float(np.nansum(np.abs(y)))
    scores = {
        "mae": (metrics.mae(y, median), count),
        "rmse": (metrics.rmse(y, forecast.mean), count),
        "mape": (metrics.mape(y, median), float((seen & (y != 0)).sum())),
        "smape": (metrics.smape(y, median), count),
        "nd": (metrics.nd(y, median), size),
        "mase": (metrics.mase(y, median, error_scale), float(np.isfinite(errors).sum())),
    }
    if not forecast.spread:
        return Weighed(scores, errors, together)
    low, high = max(forecast.levels[0], DECILES[0]), min(forecast.levels[-1], DECILES[-1])
    levels = [level for level in DECILES if low <= level <= high]
    quantiles = np.stack([forecast.quantile(level) for level in levels], axis=-1)
    scores["wql"] = metrics.weighted_quantile_loss(y, quantiles, levels), size
    if forecast.samples is not None:
        scores["crps"] = metrics.crps(y, forecast.samples), count
    for share in (50, 90):
        covered = metrics.coverage(y, *forecast.interval(share / 100))
        scores[f"coverage_{share}"] = covered, count
    return Weighed(scores, errors, together)


def hanging_together(panel: Panel, forecast: Forecast) -> np.ndarray:
    """Numbers the rows, `[rows]`, for `metrics.standard_error`.

    Forecasts whose horizons overlap are not independent: those within one horizon hang together.
    """
    return (panel.lengths[forecast.series] - forecast.cuts) // forecast.mean.shape[1]


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
    """Lays out scores of several forecasters within 80 columns: where they are many, one a line."""
    names = list(dict.fromkeys(name for row in scores.values() for name in row))
    rows = []
    for forecaster, row in scores.items():
        cells = {name.replace("_", " "): row.get(name, "-") for name in names}
        rows.append({"": forecaster, **cells})
    return plain_table(rows)
