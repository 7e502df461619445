"""Scores of forecasts against their definitions, value by value."""

import math

import numpy as np
import pytest

from seqjax.forecasting import metrics

RNG = np.random.default_rng(0)
Y = RNG.gamma(2.0, 3.0, size=(4, 6))
F = Y + RNG.normal(size=Y.shape)
SAMPLES = RNG.normal(5.0, 3.0, size=(4, 9, 6))
PAIRS = list(zip(Y.ravel(), F.ravel(), strict=True))
MISSING = np.zeros(Y.shape, bool)
MISSING[1, 2] = MISSING[3, 0] = True


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        (metrics.mae, mean(abs(y - f) for y, f in PAIRS)),
        (metrics.mse, mean((y - f) ** 2 for y, f in PAIRS)),
        (metrics.rmse, math.sqrt(mean((y - f) ** 2 for y, f in PAIRS))),
        (metrics.mape, 100 * mean(abs(y - f) / y for y, f in PAIRS)),
        (metrics.smape, 200 * mean(abs(y - f) / (abs(y) + abs(f)) for y, f in PAIRS)),
        (metrics.nd, sum(abs(y - f) for y, f in PAIRS) / sum(abs(y) for y, _ in PAIRS)),
    ],
)
def test_point_scores(metric, wanted):
    np.testing.assert_allclose(metric(Y, F), wanted, rtol=1e-12)


def test_mase_divides_each_series_by_its_own_seasonal_error():
    history = [RNG.normal(size=n).cumsum() for n in (20, 25, 30, 8)]
    scales = [mean(abs(h[t] - h[t - 3]) for t in range(3, len(h))) for h in history]
    np.testing.assert_allclose(metrics.seasonal_error(history, 3), scales, rtol=1e-12)
    wanted = mean(mean(abs(Y[s] - F[s])) / scales[s] for s in range(4))
    np.testing.assert_allclose(metrics.mase(Y, F, scales), wanted, rtol=1e-12)


def test_series_without_a_seasonal_error_do_not_count():
    scales = metrics.seasonal_error(
        [np.ones(9), np.arange(9.0), np.ones(2), np.array([1, np.nan, 3, 5, 6])], 2
    )
    np.testing.assert_array_equal(scales, [np.nan, 2.0, np.nan, 2.5])
    assert metrics.mase(Y, F, scales) == pytest.approx(
        mean(mean(abs(Y[s] - F[s])) / scales[s] for s in (1, 3))
    )
    unseen = np.where(np.arange(4)[:, None] == 3, np.nan, Y)
    assert metrics.mase(unseen, F, scales) == pytest.approx(mean(abs(Y[1] - F[1])) / 2)


def test_without_any_seasonal_error_there_is_no_mase():
    assert math.isnan(metrics.mase(Y, F, np.full(4, np.nan)))


def test_quantile_losses():
    levels, quantiles = (0.1, 0.7), np.stack([F - 2, F + 1], axis=-1)
    total = [
        sum(
            (y - f) * q if y >= f else (f - y) * (1 - q)
            for y, f in zip(Y.ravel(), quantiles[..., k].ravel(), strict=True)
        )
        for k, q in enumerate(levels)
    ]
    np.testing.assert_allclose(metrics.pinball(Y, quantiles, levels).sum((0, 1)), total, rtol=1e-12)
    np.testing.assert_allclose(
        metrics.weighted_quantile_loss(Y, quantiles, levels),
        mean(2 * t / Y.sum() for t in total),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        metrics.weighted_quantile_loss(Y, F[..., None], (0.5,)), metrics.nd(Y, F), rtol=1e-12
    )


def test_crps_is_the_integral_over_both_distribution_functions():
    grid = np.linspace(-30, 60, 180_001)
    total = 0.0
    for s, t in np.ndindex(2, 3):
        below = np.searchsorted(np.sort(SAMPLES[s, :, t]), grid, "right") / SAMPLES.shape[1]
        total += (((below - (grid >= Y[s, t])) ** 2).sum()) * (grid[1] - grid[0])
    np.testing.assert_allclose(metrics.crps(Y[:2, :3], SAMPLES[:2, :, :3]), total / 6, rtol=1e-3)
    np.testing.assert_allclose(metrics.crps(Y, F[:, None]), metrics.mae(Y, F), rtol=1e-12)


def test_coverage():
    assert metrics.coverage(Y, Y - 1, Y) == 1.0
    low = np.where(np.arange(6) < 2, Y + 1, Y - 1)
    assert metrics.coverage(Y, low, Y + 2) == pytest.approx(4 / 6)


def test_what_was_not_observed_counts_nowhere():
    y, garbage = np.where(MISSING, np.nan, Y), np.where(MISSING, 1e9, F)
    seen = ~MISSING
    for metric in (metrics.mae, metrics.mse, metrics.mape, metrics.smape, metrics.nd):
        assert metric(y, garbage) == pytest.approx(metric(Y[seen][None], F[seen][None]))
    assert metrics.coverage(y, F - 1, F + 1) == pytest.approx(mean(abs(Y - F)[seen] <= 1))
    per_series = [mean(abs(Y - F)[s][seen[s]]) for s in range(4)]
    assert metrics.mase(y, garbage, np.ones(4)) == pytest.approx(mean(per_series))
    quantiles = metrics.weighted_quantile_loss(y, garbage[..., None], (0.5,))
    assert quantiles == pytest.approx(metrics.nd(Y[seen][None], F[seen][None]))
    samples = np.where(MISSING[:, None], 1e9, SAMPLES)
    apart = [
        metrics.crps(Y[s : s + 1, t : t + 1], SAMPLES[s : s + 1, :, t : t + 1])
        for s, t in np.argwhere(seen)
    ]
    assert metrics.crps(y, samples) == pytest.approx(mean(apart))


def test_a_forecast_that_is_none_is_never_perfect():
    y, none = np.where(MISSING, np.nan, Y), np.where(np.arange(6) < 3, np.nan, F)
    for metric in (metrics.mae, metrics.mse, metrics.rmse, metrics.mape, metrics.smape, metrics.nd):
        assert math.isnan(metric(y, none))
    assert math.isnan(metrics.mase(y, none, np.ones(4)))
    assert math.isnan(metrics.weighted_quantile_loss(y, none[..., None], (0.5,)))
    assert math.isnan(metrics.crps(y, np.where(np.arange(6) < 3, np.nan, SAMPLES)))
    assert metrics.coverage(Y, none - 1e9, none + 1e9) == 0.5


def test_zeros():
    zero = np.zeros((1, 2))
    assert metrics.smape(zero, zero) == 0 and math.isnan(metrics.mape(zero, zero))
    assert metrics.mape([[0.0, 2.0]], [[5.0, 1.0]]) == 50


def test_shapes_that_differ():
    with pytest.raises(ValueError, match=r"y has shape \(4, 6\), the forecast \(4, 5\)"):
        metrics.mae(Y, F[:, :5])
