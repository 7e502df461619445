"""Scores of whole forecasts, step by step, and as a table."""

import dataclasses

import numpy as np
import pytest

from seqjax import forecasting
from seqjax.forecasting import Panel
from tests.forecasting.panels import rich

PANEL = Panel([np.arange(10.0), np.arange(20.0)], names=("a", "b"))
ROWS = {"series": np.array([0, 1]), "cuts": np.array([8, 10])}


def test_truth_is_cut_from_the_series():
    forecast = dataclasses.replace(forecasting.Forecast.of_points(np.zeros((2, 3))), **ROWS)
    np.testing.assert_array_equal(
        forecasting.truth(PANEL, forecast), [[8, 9, np.nan], [10, 11, 12]]
    )


def test_scores_by_hand():
    means = np.array([[9.0, 9.0, 99.0], [12.0, 11.0, 12.0]])
    quantiles = means[..., None] + np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    forecast = forecasting.Forecast(means, quantiles, (0.05, 0.25, 0.5, 0.75, 0.95), **ROWS)
    scores = forecasting.score(PANEL, forecast, season=1)
    errors = np.array([1, 0, 2, 0, 0])
    assert scores["mae"] == pytest.approx(errors.mean()) and scores["rmse"] == pytest.approx(
        np.sqrt(1)
    )
    assert scores["nd"] == pytest.approx(3 / (8 + 9 + 10 + 11 + 12))
    assert scores["mase"] == pytest.approx(np.mean([1 / 2, 2 / 3]))
    assert scores["coverage_50"] == pytest.approx(3 / 5) and scores["coverage_90"] == pytest.approx(
        4 / 5
    )
    assert "crps" not in scores
    assert "wql" not in forecasting.score(
        PANEL, dataclasses.replace(forecasting.Forecast.of_points(means), **ROWS)
    )
    np.testing.assert_allclose(forecasting.by_step(PANEL, forecast), [1.5, 0, 0])
    np.testing.assert_allclose(forecasting.calibration(PANEL, forecast), [2 / 5, 2 / 5, 1, 1, 1])


def test_nothing_came_yet():
    with pytest.raises(ValueError, match="nothing of what was forecast has come yet"):
        forecasting.score(
            PANEL, forecasting.SeasonalNaive(horizon=2, season=1).fit(PANEL).predict(PANEL)
        )


def test_the_table_has_a_line_for_each():
    text = forecasting.table(
        {"naive": {"nd": 0.5}, "deepar": {"nd": 0.25, "coverage_90": 0.9}}
    ).splitlines()
    assert text[0].split() == ["nd", "coverage", "90"]
    assert text[1].split() == ["naive", "0.5", "-"] and text[2].split() == ["deepar", "0.25", "0.9"]


def test_csv():
    panel = rich()
    forecast = forecasting.SeasonalNaive(horizon=2, season=1).fit(panel).predict(panel, ago=[7, 1])
    lines = forecasting.to_csv(panel, forecast).splitlines()
    assert lines[0] == "series,time,steps_ahead,value,mean" and len(lines) == 1 + 4 * 2
    name, time, ahead, value, mean = lines[1].split(",")
    assert (name, time, ahead, value) == ("a", "2024-01-02T09", "1", "")
    assert float(mean) == pytest.approx(panel.values[0][32], rel=1e-5)
    assert lines[-1].startswith("b,2024-01-03T11,2,,")
