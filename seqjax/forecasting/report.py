"""What is written of a forecaster: scores beside those of others, predictions, pictures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.figures import save_figure
from seqjax.files.disk import write_atomically
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.lines import to_csv
from seqjax.forecasting.plots import (
    plot_backtest,
    plot_by_step,
    plot_calibration,
    plot_forecasts,
)
from seqjax.forecasting.scores import table
from seqjax.tasks import Report, Trained

SHOWN = 6
"""Forecasts in their picture."""

MOST = 100_000
"""Lines of `predictions.csv`."""

CONFORMAL = "conformal"
"""The name of a forecaster's forecasts within conformal intervals."""

TEACHER_FORCING = "teacher forcing"
"""The name of forecasts by the same network, trained by teacher forcing alone."""

BESIDE = {"seasonal naive": ("nd", "mase"), CONFORMAL: ("coverage_50", "coverage_90", "wql")}
"""Scores of others that stand beside a forecaster's own."""


def write_report(folder: Path, held_out: HeldOut, own: Mapping[str, Forecast | Trained]) -> Report:
    """Writes `scores.txt`, `scores.json`, `predictions.csv` and pictures.

    Scores are of all forecasts; where these are many, pictures and predictions are of some.

    Args:
      folder: where to write.
      held_out: what came, and forecasts of others.
      own: forecasts or forecasters by name; the figures are of the first, predictions and pictures
        of the last.

    Returns:
      The figures of a table.
    """
    names = list(own)
    first, best = names[0], names[-1]
    horizon = _horizon(own[best])
    every = held_out.beside(own)
    shown = every.thinned(horizon)
    forecasts = {name: shown.forecast(said) for name, said in shown.others.items()}
    if shown is every:
        scores = {name: every.scores(forecast) for name, forecast in forecasts.items()}
    else:
        scores = {name: every.scores(said) for name, said in every.others.items()}
    _write(folder / "scores.txt", table(scores))
    _write(folder / "scores.json", json.dumps(scores, indent=2, ensure_ascii=False) + "\n")
    lines = forecasts[best].rows(slice(-max(1, MOST // horizon), None))
    _write(folder / "predictions.csv", to_csv(held_out.panel, lines))
    for name, figure in _pictures(shown, forecasts, forecasts[best]).items():
        save_figure(figure, folder / f"{name}.png")
    metrics = dict(scores[first])
    for name, kept in BESIDE.items():
        for score in kept:
            if score in scores.get(name, {}):
                metrics[f"{name}_{score}".replace(" ", "_")] = scores[name][score]
    counts = {
        "series": len(held_out.panel),
        "forecasts": len(held_out.ago) * len(held_out.panel),
        "horizon": horizon,
    }
    return Report(metrics, counts)


def _horizon(said: Forecast | Trained) -> int:
    if isinstance(said, Forecast):
        return said.mean.shape[1]
    return said.task.horizon


def _pictures(
    held_out: HeldOut, forecasts: Mapping[str, Forecast], best: Forecast
) -> dict[str, Any]:
    """Figures by name; `best` is what a user gets."""
    panel = held_out.panel
    shown = np.unique(np.linspace(0, len(best) - 1, SHOWN).astype(int)).tolist()
    # Series of different units go together in those of the scores alone.
    medians = {
        name: held_out.in_units(forecast)[1]
        for name, forecast in forecasts.items()
        if name != CONFORMAL
    }
    figures = {
        "forecasts": plot_forecasts(panel, best, shown, 3 * best.mean.shape[1]),
        "horizon": plot_by_step(held_out.in_units(best)[0], medians),
        "backtest": plot_backtest(panel, best, title=panel.names[0]),
    }
    spread = {name: forecast for name, forecast in forecasts.items() if forecast.spread}
    if spread:
        figures["calibration"] = plot_calibration(panel, spread)
    if TEACHER_FORCING in forecasts:
        pair = {"scheduled sampling": best, TEACHER_FORCING: forecasts[TEACHER_FORCING]}
        title = "running freely after training by"
        figures["exposure"] = plot_by_step(panel, pair, title)
    return figures


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode())
