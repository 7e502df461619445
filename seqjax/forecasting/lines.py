"""Forecasts as tables."""

import csv
import io
from typing import Any

import numpy as np

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.scores import truth


def to_csv(panel: Panel, forecast: Forecast) -> str:
    """Writes a line for each value forecast: series, time, steps ahead, the value that came, the mean, the quantiles.

    Args:
      panel: the series.
      forecast: of them.

    Returns:
      Comma-separated values under a header; the value is empty where it is missing or still to
      come.
    """
    columns, text = columns_of(panel, forecast), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def columns_of(panel: Panel, forecast: Forecast) -> dict[str, np.ndarray]:
    """Lays out a forecast as columns of equal length, a row for each value.

    Args:
      panel: the series.
      forecast: of them.

    Returns:
      `series`, `time`, `steps_ahead`, `value` (NaN where it is missing or still to come), `mean`,
      and of a forecast with a spread each quantile, such as `q0.05`.
    """
    rows, horizon = forecast.mean.shape
    times = [
        panel.times(series, cut + horizon)[cut:]
        for series, cut in zip(forecast.series.tolist(), forecast.cuts.tolist(), strict=True)
    ]
    names = np.asarray(panel.names, dtype=object)[forecast.series]
    columns = {
        "series": np.repeat(names, horizon),
        "time": np.concatenate(times),
        "steps_ahead": np.tile(np.arange(1, horizon + 1), rows),
        "value": truth(panel, forecast).ravel(),
        "mean": forecast.mean.ravel(),
    }
    for place, level in enumerate(forecast.levels if forecast.spread else ()):
        columns[f"q{level:g}"] = forecast.quantiles[..., place].ravel()
    return columns


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if np.isnan(value) else f"{value:.7g}"
