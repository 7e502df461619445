"""Forecasts: quantiles between levels, paths, rows."""

import numpy as np
import pytest

from seqjax.forecasting import LEVELS, Forecast

RNG = np.random.default_rng(0)
PATHS = RNG.normal(size=(2, 500, 3))


def test_quantiles_between_levels_lie_on_a_line():
    forecast = Forecast(np.zeros((1, 1)), np.array([[[0.0, 10.0, 30.0]]]), (0.1, 0.5, 0.9))
    for level, wanted in ((0.1, 0), (0.3, 5), (0.5, 10), (0.6, 15), (0.9, 30)):
        assert forecast.quantile(level) == pytest.approx(wanted)
    assert [float(end[0, 0]) for end in forecast.interval(0.8)] == [0, 30]
    with pytest.raises(ValueError, match="quantile 0.05: the forecast gives 0.1 to 0.9"):
        forecast.interval(0.9)


def test_paths_give_quantiles_of_every_level():
    forecast = Forecast.of_samples(PATHS)
    np.testing.assert_allclose(forecast.mean, PATHS.mean(1))
    for level in (LEVELS[0], 0.5, 0.123, 0.99):
        np.testing.assert_allclose(forecast.quantile(level), np.quantile(PATHS, level, axis=1))


def test_points_have_no_spread():
    points = Forecast.of_points(np.arange(6.0).reshape(2, 3))
    assert not points.spread
    np.testing.assert_array_equal(points.median, points.mean)
    with pytest.raises(
        ValueError, match="a point, no spread; `conformal` puts intervals around it"
    ):
        points.interval(0.5)


def test_rows_join_and_move():
    forecast = Forecast.of_samples(PATHS).moved(np.array([1.0, -2.0]))
    np.testing.assert_allclose(forecast.mean[1], PATHS.mean(1)[1] - 2)
    np.testing.assert_allclose(
        forecast.quantile(0.333)[0], np.quantile(PATHS[0], 0.333, axis=0) + 1
    )
    doubled = forecast.moved(np.array([3.0, 3.0]), 2.0)
    np.testing.assert_allclose(doubled.mean, 2 * forecast.mean + 3)
    np.testing.assert_allclose(doubled.quantile(0.333), 2 * forecast.quantile(0.333) + 3)
    np.testing.assert_allclose(doubled.quantile(0.9), 2 * forecast.quantile(0.9) + 3)
    again = Forecast.join([forecast.row(0), forecast.row(1)])
    np.testing.assert_array_equal(again.quantiles, forecast.quantiles)
    np.testing.assert_array_equal(again.samples, forecast.samples)
    assert (
        len(again) == 2
        and Forecast.join([Forecast.of_points(np.zeros((1, 2)))] * 3).samples is None
    )
