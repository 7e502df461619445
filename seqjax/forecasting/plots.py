"""Pictures of forecasts, each a matplotlib figure (`pip install "seqjax[experiments]"`) for the caller to save."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqjax.figures import add_legends, add_title, marker_of, new_figure
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.scores import by_step, calibration, truth

BANDS = ((0.9, "#d2e4f0"), (0.5, "#9cc4e0"))
"""Shares of the intervals to draw, with their colours: nothing shines through, so the legend has the same."""

COLUMNS = 2
"""Panels side by side."""


def plot_forecasts(
    panel: Panel, forecast: Forecast, rows: Sequence[int], history: int, title: str = ""
) -> Any:
    """Draws some forecasts with their 50 and 90 % intervals, over the history before them and beside what came.

    Args:
      panel: the series.
      forecast: of them.
      rows: which rows of the forecast to draw.
      history: steps to show before the cut.
      title: over the whole.

    Returns:
      The figure.
    """
    height = -(-len(rows) // COLUMNS)
    figure = new_figure((6.4 * min(len(rows), COLUMNS), 2.9 * height + 0.4))
    axes = figure.subplots(height, min(len(rows), COLUMNS), squeeze=False).ravel()
    for axis, row in zip(axes, rows, strict=False):
        series, cut = int(forecast.series[row]), int(forecast.cuts[row])
        times = _plottable(panel.times(series, cut + forecast.mean.shape[1]))
        first = max(0, cut - history)
        values = panel.values[series][first : cut + forecast.mean.shape[1]]
        axis.plot(
            times[first : first + len(values)],
            values,
            color="0.25",
            linewidth=1.0,
            label="what came",
        )
        _draw(axis, times[cut:], forecast.row(row))
        axis.axvline(times[cut - 1], color="0.5", linestyle=":", linewidth=0.8)
        axis.set_title(f"{panel.names[series]}, from {times[cut - 1]}", fontsize="medium")
    for axis in axes[len(rows) :]:
        axis.set_visible(False)
    return _finished(figure, title)


def plot_backtest(panel: Panel, forecast: Forecast, series: int = 0, title: str = "") -> Any:
    """Draws forecasts from several cuts along one series, and the mean absolute error of each cut below.

    Args:
      panel: the series.
      forecast: cuts that lie a horizon apart are drawn, those between them only below.
      series: which one.
      title: over the whole.

    Returns:
      The figure.
    """
    own = forecast.rows(np.flatnonzero(forecast.series == series))
    own = own.rows(np.argsort(own.cuts))
    horizon, first = own.mean.shape[1], int(own.cuts[0])
    times = _plottable(panel.times(series, int(own.cuts[-1]) + horizon))
    figure = new_figure((11.0, 5.6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    values = panel.values[series][first : len(times)]
    above.plot(
        times[first : first + len(values)], values, color="0.25", linewidth=1.0, label="what came"
    )
    drawn = first
    for row, cut in enumerate(own.cuts):
        if cut >= drawn:
            _draw(above, times[cut : cut + horizon], own.row(row), labelled=bool(drawn == first))
            drawn = cut + horizon
    errors = np.nanmean(np.abs(truth(panel, own) - own.median), axis=1)
    below.plot(times[own.cuts], errors, marker=marker_of(len(own)), markersize=3, color="C3")
    below.set(ylabel="mean |error|", ylim=(0, None))
    return _finished(figure, title)


def plot_calibration(panel: Panel, forecasts: Mapping[str, Forecast], title: str = "") -> Any:
    """Draws the share of the values below each quantile; a calibrated forecast lies on the diagonal."""
    figure = new_figure((5.2, 5.0))
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="ideal")
    for name, forecast in forecasts.items():
        axis.plot(
            forecast.levels, calibration(panel, forecast), marker="o", markersize=4, label=name
        )
    axis.set(
        xlabel="level of the quantile", ylabel="share of values below it", xlim=(0, 1), ylim=(0, 1)
    )
    axis.set_aspect("equal")
    return _finished(figure, title)


def plot_by_step(panel: Panel, forecasts: Mapping[str, Forecast], title: str = "") -> Any:
    """Draws the mean absolute error of each step of the horizon, a line for each forecaster."""
    figure = new_figure((7.5, 4.2))
    axis = figure.subplots()
    for name, forecast in forecasts.items():
        error = by_step(panel, forecast)
        axis.plot(
            np.arange(1, len(error) + 1),
            error,
            label=name,
            marker=marker_of(len(error)),
            markersize=3,
        )
    axis.set(xlabel="steps ahead", ylabel="mean |error|", ylim=(0, None))
    return _finished(figure, title)


def plot_explanation(explanation: Any, steps_ahead: int | None = None) -> Any:
    """Draws what moved a forecast: the past, what each of its values added, what the covariates did.

    Args:
      explanation: from `seqjax.forecasting.explain`.
      steps_ahead: of the step to explain, from 1; None for the mean over the horizon.

    Returns:
      The figure.

    Raises:
      ValueError: there is no such step.
    """
    one = explanation.at(steps_ahead)
    steps, times = len(explanation.history), _plottable(explanation.times)
    figure = new_figure((9.0, 6.4 if one.beside else 5.0))
    rows = 3 if one.beside else 2
    above, middle, *beside = figure.subplots(rows, 1, height_ratios=(3, 2, 1.6)[:rows])
    above.plot(times[:steps], explanation.history, color="0.25", linewidth=1.0, label="the past")
    above.plot(times[steps:], explanation.forecast, color="C0", linewidth=1.4, label="forecast")
    above.plot(
        times[steps:], explanation.baseline, color="C0", linestyle=":", label="had it stood still"
    )
    added = one.values[0]
    signs = np.where(added >= 0, "C2", "C3")
    middle.bar(np.arange(-steps, 0), added, width=1.0, color=signs)
    middle.axhline(0, color="0.5", linewidth=0.8)
    middle.set(xlabel="steps before the forecast", ylabel="added by the value")
    if beside:
        names = list(one.beside)
        moved = np.array([one.beside[name][0] for name in names])
        beside[0].barh(names, moved, color=np.where(moved >= 0, "C2", "C3"))
        beside[0].axvline(0, color="0.5", linewidth=0.8)
        beside[0].set(xlabel="added by the covariate")
    which = "mean of the horizon" if steps_ahead is None else f"{steps_ahead} steps ahead"
    told = f"{one.baseline[0]:.4g} standing still, {one.forecast[0]:.4g} as it is"
    return _finished(figure, f"{explanation.name}, {which}: {told}")


def _draw(axis: Any, times: np.ndarray, forecast: Forecast, labelled: bool = True) -> None:
    times = times[: forecast.mean.shape[1]]
    for share, colour in BANDS if forecast.spread else ():
        low, high = forecast.interval(share)
        label = f"{share:.0%}" if labelled else None
        axis.fill_between(times, low[0], high[0], color=colour, linewidth=0, label=label)
    axis.plot(
        times, forecast.median[0], color="C0", linewidth=1.4, label="median" if labelled else None
    )


def _plottable(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[us]").astype(object) if times.dtype.kind == "M" else times


def _finished(figure: Any, title: str) -> Any:
    from matplotlib.dates import DateLocator

    for axis in figure.axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if isinstance(axis.xaxis.get_major_locator(), DateLocator):
            axis.tick_params(axis="x", rotation=20)
    add_legends(figure)
    add_title(figure, title)
    return figure
