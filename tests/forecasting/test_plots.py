"""Pictures: the right lines with the right numbers."""

import numpy as np
import pytest

from seqjax import forecasting
from seqjax.forecasting import plots
from tests.forecasting.panels import rich, waves


@pytest.fixture(scope="module")
def calibrated():
    panel = waves()
    return forecasting.conformal(
        forecasting.SeasonalNaive(horizon=3, season=6).fit(panel), panel, range(6, 40)
    ).predict(panel, ago=[6, 4, 3])


def test_forecasts_stand_over_their_history(calibrated):
    figure = plots.plot_forecasts(waves(), calibrated, [0, 4, 8], history=10)
    axes = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in axes] == ["a, from 73", "b, from 75", "c, from 76"]
    came, median = axes[0].get_lines()[:2]
    np.testing.assert_allclose(came.get_ydata(), waves().values[0][64:77])
    np.testing.assert_allclose(median.get_ydata(), calibrated.median[0])
    bands = [tuple(band.get_facecolor()[0]) for band in axes[0].collections]
    (legend,) = figure.legends
    assert [patch.get_facecolor() for patch in legend.get_patches()] == bands and len(bands) == 2
    assert all(opacity == 1 for *_, opacity in bands), "the inner one lies over the outer one"


def test_a_backtest_draws_cuts_a_horizon_apart(calibrated):
    above, below = plots.plot_backtest(waves(), calibrated, series=1).axes
    assert len(above.get_lines()) == 1 + 2  # the cuts at 74 and 77, not the one at 76
    assert below.get_lines()[0].get_xdata().tolist() == [74, 76, 77]


def test_a_backtest_may_end_before_the_series(calibrated):
    above, _ = plots.plot_backtest(waves(), calibrated.rows(calibrated.cuts == 74), series=1).axes
    came = above.get_lines()[0]
    np.testing.assert_allclose(came.get_ydata(), waves().values[1][74:77])
    assert came.get_xdata().tolist() == [74, 75, 76]


def test_calibration_and_error_by_step(calibrated):
    lines = plots.plot_calibration(waves(), {"x": calibrated}).axes[0].get_lines()
    np.testing.assert_allclose(lines[1].get_ydata(), forecasting.calibration(waves(), calibrated))
    lines = plots.plot_by_step(waves(), {"x": calibrated}).axes[0].get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), forecasting.by_step(waves(), calibrated))


def test_no_legend_lies_over_a_curve(calibrated):
    panel, long = (
        waves(),
        {"a forecaster of a long name": calibrated, "another of a name as long": calibrated},
    )
    figures = [
        plots.plot_forecasts(panel, calibrated, [0, 4, 8], history=10),
        plots.plot_backtest(panel, calibrated),
        plots.plot_calibration(panel, long),
        plots.plot_by_step(panel, long),
    ]
    for figure in figures:
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert (
            figure.bbox.x0 <= box.x0
            and box.x1 <= figure.bbox.x1
            and len(figure.legends[0].get_texts()) >= 2
        )
        assert not any(
            box.overlaps(axis.get_tightbbox()) for axis in figure.axes if axis.get_visible()
        )


def test_times_are_dates_where_there_are_any(tmp_path):
    panel = rich()
    figure = plots.plot_forecasts(
        panel,
        forecasting.SeasonalNaive(horizon=3, season=1).fit(panel).predict(panel, ago=4),
        [0, 1],
        9,
    )
    figure.savefig(tmp_path / "a.png")
    assert "2024-01-02 11" in figure.axes[0].get_title()


def test_dates_are_turned_and_numbers_are_not(calibrated, monkeypatch):
    monkeypatch.delattr(
        "matplotlib.axis.Axis.get_converter", raising=False
    )  # matplotlib has it from 3.10 on
    dated = rich()
    forecast = forecasting.SeasonalNaive(horizon=3, season=1).fit(dated).predict(dated, ago=4)
    turned = lambda axis: {label.get_rotation() for label in axis.get_xticklabels()}  # noqa: E731
    assert turned(plots.plot_forecasts(dated, forecast, [0], 9).axes[0]) == {20}
    assert turned(plots.plot_forecasts(waves(), calibrated, [0], 9).axes[0]) == {0}
    assert turned(plots.plot_backtest(dated, forecast).axes[1]) == {20}
