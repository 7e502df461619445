"""Naive and linear forecasts against loops."""

import numpy as np
import pytest

from seqjax import forecasting
from seqjax.forecasting import Panel, scales
from tests.forecasting.panels import HOUR, waves


def test_seasonal_naive_looks_a_season_back_and_further_where_that_is_missing():
    values = np.arange(20.0)
    values[[14, 17, 18, 19]] = np.nan
    short = np.array([7.0, 9.0])
    panel = Panel([values, short])
    forecast = forecasting.SeasonalNaive(horizon=5, season=4).fit(panel).predict(panel)
    # Phases of the last four seasons: 16; 17, 13; 18, 14, 10; 19, 15. Of the short one: nothing,
    # its last value.
    np.testing.assert_allclose(forecast.mean, [[16, 13, 10, 15, 16], [9, 9, 7, 9, 9]], rtol=1e-6)
    last = forecasting.SeasonalNaive(horizon=2, season=1).fit(panel).predict(panel, ago=1)
    np.testing.assert_allclose(last.mean, [[16, 16], [7, 7]], rtol=1e-6)
    assert not forecast.spread


@pytest.mark.parametrize("season", [1, 2])
def test_after_a_gap_of_many_seasons_the_last_value_stands(season):
    values = np.arange(40.0) + 100
    values[30:] = np.nan
    panel = Panel([values, np.arange(40.0)])
    naive = forecasting.SeasonalNaive(horizon=3, season=season).fit(panel)
    assert naive.predict(panel).mean[0].tolist() == [129, 129, 129]


def test_the_season_is_that_of_the_step():
    assert forecasting.SeasonalNaive(horizon=1).fit(waves(step=HOUR)).task.season == 24
    assert forecasting.SeasonalNaive(horizon=1).fit(waves()).task.season == 1


def test_linear_is_ridge_regression_over_all_windows():
    panel = waves(noise=1.0)
    fitted = forecasting.Linear(horizon=2, context=5, penalty=0.1).fit(panel)
    x, y = [], []
    for values in panel.values:
        for cut in range(5, len(values) - 1):
            loc, scale = (float(part[0]) for part in scales(values[None, cut - 5 : cut], "last"))
            x.append([*(values[cut - 5 : cut] - loc) / scale, 1])
            y.append((values[cut : cut + 2] - loc) / scale)
    x, y = np.array(x), np.array(y)
    wanted = np.linalg.solve(x.T @ x + 0.1 * len(x) * np.diag([1, 1, 1, 1, 1, 0]), x.T @ y)
    np.testing.assert_allclose(fitted.params["weights"], wanted, rtol=1e-3, atol=1e-4)
    loc, scale = scales(np.stack([values[-5:] for values in panel.values]), "last")
    ends = np.stack([values[-5:] for values in panel.values])
    columns = np.concatenate([(ends - loc[:, None]) / scale[:, None], np.ones((3, 1))], 1)
    np.testing.assert_allclose(
        fitted.predict(panel).mean, columns @ wanted * scale[:, None] + loc[:, None], rtol=1e-3
    )


def test_a_wave_without_noise_is_linear():
    panel = waves(noise=0.0)
    forecast = (
        forecasting.Linear(horizon=4, context=6, penalty=1e-9)
        .fit(panel.until(4))
        .predict(panel, ago=4)
    )
    np.testing.assert_allclose(forecast.mean, forecasting.truth(panel, forecast), rtol=1e-2)


def test_the_usual_table():
    panel = waves()
    found = forecasting.baselines(panel, horizon=3, context=6, season=6)
    assert list(found) == ["naive", "seasonal naive", "linear"]
    last = np.stack([values[-6:] for values in panel.values])
    np.testing.assert_allclose(
        found["naive"].predict(panel).mean, np.repeat(last[:, -1:], 3, axis=1), rtol=1e-6
    )
    np.testing.assert_allclose(found["seasonal naive"].predict(panel).mean, last[:, :3], rtol=1e-6)
    wanted = forecasting.Linear(horizon=3, context=6).fit(panel).predict(panel).mean
    np.testing.assert_array_equal(found["linear"].predict(panel).mean, wanted)


def test_linear_wants_a_horizon_without_gaps():
    gaps = np.where(np.arange(30) % 2, np.nan, 1.0)
    with pytest.raises(ValueError, match="no window has all 2 values"):
        forecasting.Linear(horizon=2, context=3).fit(Panel([gaps]))
