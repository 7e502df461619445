"""How good a forecast was: the scores of the forecasting literature, in float64.

`y` and forecasts are `[series, horizon]`; values that are NaN in `y` were not observed and count
nowhere. A forecast that is NaN where something was observed makes the score NaN. Quantiles are
`[series, horizon, levels]`, samples `[series, paths, horizon]`. Shares are shares, not per cent,
but for `smape` and `mape`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def mae(y: ArrayLike, forecast: ArrayLike) -> float:
    """Computes the mean absolute error."""
    return float(np.abs(_difference(y, forecast))[_seen(y)].mean())


def mse(y: ArrayLike, forecast: ArrayLike) -> float:
    """Computes the mean squared error."""
    return float((_difference(y, forecast) ** 2)[_seen(y)].mean())


def rmse(y: ArrayLike, forecast: ArrayLike) -> float:
    """Computes the root of the mean squared error."""
    return mse(y, forecast) ** 0.5


def mape(y: ArrayLike, forecast: ArrayLike) -> float:
    """Mean of `|y - f| / |y|` in per cent, over the values that are not 0; NaN without any."""
    y, error = np.asarray(y, np.float64), np.abs(_difference(y, forecast))
    counts = _seen(y) & (y != 0)
    return float(100 * (error[counts] / np.abs(y[counts])).mean()) if counts.any() else float("nan")


def smape(y: ArrayLike, forecast: ArrayLike) -> float:
    """Mean of `2 |y - f| / (|y| + |f|)` in per cent, 0 where both are 0 (the M4 competition's)."""
    error = np.abs(_difference(y, forecast))
    size = np.abs(np.asarray(y, np.float64)) + np.abs(np.asarray(forecast, np.float64))
    return float(100 * (2 * error / np.where(size == 0, 1, size))[_seen(y)].mean())


def seasonal_error(history: Sequence[np.ndarray], season: int) -> np.ndarray:
    """Computes the error of the seasonal naive forecast on each series' own past: mean `|y_t - y_t-season|`.

    Args:
      history: the values before the forecast, NaN where missing.
      season: steps of a season.

    Returns:
      `[series]`; NaN where a series is too short or never changes.
    """
    # One after another: of many windows of long series all at once would fill the memory.
    means = np.full(len(history), np.nan)
    for place, values in enumerate(history):
        error = np.abs(values[season:] - values[:-season])
        error = error[np.isfinite(error)]
        if len(error):
            means[place] = error.mean()
    return np.where(means == 0, np.nan, means)


def mase(y: ArrayLike, forecast: ArrayLike, error_scale: ArrayLike) -> float:
    """Mean over series of the absolute error in units of `error_scale` `[series]`, from `seasonal_error`.

    Series whose scale is NaN are left out (Hyndman and Koehler, 2006); NaN where all are.
    """
    counts = _seen(y).any(1) & ~np.isnan(np.asarray(error_scale, np.float64))
    if not counts.any():
        return float("nan")
    return float(scaled_errors(y, forecast, error_scale)[counts].mean())


def scaled_errors(y: ArrayLike, forecast: ArrayLike, error_scale: ArrayLike) -> np.ndarray:
    """Computes the mean absolute error of each series in units of `error_scale`, `[series]`.

    NaN where nothing was observed or the scale is NaN.
    """
    seen = _seen(y)
    total = np.where(seen, np.abs(_difference(y, forecast)), 0).sum(1)
    counts = np.where(seen.any(1), seen.sum(1), np.nan)
    return total / counts / np.asarray(error_scale, np.float64)


def standard_error(errors: np.ndarray, groups: np.ndarray) -> float:
    """Estimates the standard error of a mean of errors of which those of one group hang together.

    Args:
      errors: `[rows]`; NaN counts nowhere.
      groups: of each row, int `[rows]`; where all are of one, each row is a group of its own.

    Returns:
      The deviation of the groups' means over the root of their number; NaN of fewer than two.
    """
    counts = np.isfinite(errors)
    means, groups = errors[counts], groups[counts]
    several = np.unique(groups)
    if len(several) > 1:
        means = np.array([means[groups == group].mean() for group in several])
    if len(means) < 2:
        return float("nan")
    return float(means.std(ddof=1) / len(means) ** 0.5)


def nd(y: ArrayLike, forecast: ArrayLike) -> float:
    """Normalised deviation: the sum of `|y - f|` over the sum of `|y|`; NaN where that is 0."""
    return float(np.abs(_difference(y, forecast))[_seen(y)].sum() / _size(y))


def pinball(y: ArrayLike, quantiles: ArrayLike, levels: Sequence[float]) -> np.ndarray:
    """Computes the pinball losses `max(q (y - f), (q - 1) (y - f))`, `[series, horizon, levels]`."""
    above = np.asarray(y, np.float64)[..., None] - np.asarray(quantiles, np.float64)
    q = np.asarray(levels, np.float64)
    return np.maximum(q * above, (q - 1) * above)


def weighted_quantile_loss(y: ArrayLike, quantiles: ArrayLike, levels: Sequence[float]) -> float:
    """Twice the pinball losses over the sum of `|y|`, averaged over the levels; with the level 0.5 alone it is ND."""
    return float((2 * pinball(y, quantiles, levels)[_seen(y)].sum(0) / _size(y)).mean())


def crps(y: ArrayLike, samples: ArrayLike) -> float:
    """Continuous ranked probability score, `E|X - y| - E|X - X'| / 2` over the samples (Gneiting and Raftery, 2007).

    Args:
      y: `[series, horizon]`.
      samples: `[series, paths, horizon]`.

    Returns:
      The mean over all values, in their unit; of one path it is the absolute error.
    """
    ordered = np.sort(np.asarray(samples, np.float64), axis=1)
    paths = ordered.shape[1]
    distance = np.abs(ordered - np.asarray(y, np.float64)[:, None]).mean(1)
    # Of sorted samples the i-th (from 0) is subtracted from paths - 1 - i others and subtracts i.
    weights = (2 * np.arange(paths) - paths + 1) / paths**2
    return float((distance - np.einsum("spt,p->st", ordered, weights))[_seen(y)].mean())


def coverage(y: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Computes the share of values within `[low, high]`; within a bound that is NaN lies none."""
    y = np.asarray(y, np.float64)
    inside = (y >= np.asarray(low)) & (y <= np.asarray(high))
    return float(inside[_seen(y)].mean())


def _size(y: ArrayLike) -> float:
    total = float(np.nansum(np.abs(np.asarray(y, np.float64))))
    return total or float("nan")


def _seen(y: ArrayLike) -> np.ndarray:
    return ~np.isnan(np.asarray(y, np.float64))


def _difference(y: ArrayLike, forecast: ArrayLike) -> np.ndarray:
    y, forecast = np.asarray(y, np.float64), np.asarray(forecast, np.float64)
    if y.shape != forecast.shape:
        raise ValueError(
            f"y has shape {y.shape}, the forecast {forecast.shape}; give the same values of the same series"
        )
    return y - forecast
