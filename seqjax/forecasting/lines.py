"""Forecasts as a table of text."""

import csv
import io

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
    horizon, came, text = forecast.mean.shape[1], truth(panel, forecast), io.StringIO()
    levels = [f"q{level:g}" for level in forecast.levels] if forecast.spread else []
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["series", "time", "steps_ahead", "value", "mean", *levels])
    for row, (series, cut) in enumerate(
        zip(forecast.series.tolist(), forecast.cuts.tolist(), strict=True)
    ):
        for step, time in enumerate(panel.times(series, cut + horizon)[cut:]):
            numbers = [forecast.mean[row, step], *(forecast.quantiles[row, step] if levels else ())]
            value = "" if np.isnan(came[row, step]) else f"{came[row, step]:.7g}"
            writer.writerow(
                [
                    panel.names[series],
                    time,
                    step + 1,
                    value,
                    *(f"{number:.7g}" for number in numbers),
                ]
            )
    return text.getvalue()
