"""Conformal intervals: ranks by hand, and their share of values on data they never saw."""

import dataclasses

import numpy as np
import pytest

import seqjax
from seqjax import forecasting
from seqjax.forecasting import Panel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrow(forecasting.Forecaster):
    """Says 0 with far too narrow, or too wide, quantiles; in units of the scale."""

    width: float
    horizon: int = 2
    loc: float = 0.0

    def init(self, key):
        return {}

    def windows(self, panel):
        naive = forecasting.SeasonalNaive(horizon=2, season=1).windows(panel)
        return forecasting.PanelWindows(
            panel, naive.context, 2, scaling="last", units=(self.loc, 4.0)
        )

    def forecast(self, params, batch, key):
        zero = -np.broadcast_to(batch["loc"][:, None], (len(batch["loc"]), 2)).astype(np.float64)
        zero -= self.loc / 4
        spread = self.width * batch["scale"][:, None, None] * np.array([-2.0, -1, 0, 1, 2])
        return forecasting.Forecast(zero, zero[..., None] + spread, (0.05, 0.25, 0.5, 0.75, 0.95))


def narrow(width, **settings):
    return seqjax.Trained(Narrow(width=width, **settings), {})


def noise(seed, steps=2000):
    return Panel([3 * np.random.default_rng(seed).normal(size=steps)])


def test_margins_are_the_ranks_of_the_misses():
    panel = noise(0, 60)
    found = forecasting.conformal(narrow(0.1), panel, range(2, 42, 2), shares=(0.5,))
    forecast = narrow(0.1).predict(panel, ago=range(2, 42, 2))
    scale = found.task.windows(panel).at(forecast.series, forecast.cuts)["scale"]
    for step in range(2):
        # The windows are in units of 4.
        errors = abs(forecasting.truth(panel, forecast)[:, step]) / 4
        misses = sorted((errors - 0.1 * scale) / scale)
        assert found.task.margins[0][step] == pytest.approx(misses[11 - 1])  # ceil(21 / 2)


@pytest.mark.parametrize(
    "fitted",
    [narrow(0.05), narrow(3.0), forecasting.SeasonalNaive(horizon=2, season=1).fit(noise(0))],
)
def test_intervals_hold_their_share_of_new_values(fitted):
    calibrated = forecasting.conformal(fitted, noise(1), range(2, 1500))
    forecast = calibrated.predict(noise(2), ago=range(2, 1500))
    scores = forecasting.score(noise(2), forecast)
    assert abs(scores["coverage_50"] - 0.5) < 0.04 and abs(scores["coverage_90"] - 0.9) < 0.03
    assert (
        forecast.levels == (0.05, 0.25, 0.5, 0.75, 0.95)
        and (np.diff(forecast.quantiles) >= 0).all()
    )
    np.testing.assert_allclose(forecast.mean, fitted.predict(noise(2), ago=range(2, 1500)).mean)


def test_they_widen_where_a_series_grows_wilder():
    """Four values, or the level, say little of how far the next twenty go."""

    def walk(seed, pace):
        return Panel([1000 + pace * np.random.default_rng(seed).normal(size=3000).cumsum()])

    member = forecasting.SeasonalNaive(horizon=20, season=1)
    naive = member.fit(walk(0, 1.0))
    blend = forecasting.Blend(horizon=20, members=(naive.task,), weights=(1.0,), context=1)
    for fitted in (naive, seqjax.Trained(blend, {"member_0": {}})):
        calibrated = forecasting.conformal(fitted, walk(1, 1.0), range(20, 2500))
        wild = walk(2, 4.0)
        scores = forecasting.score(wild, calibrated.predict(wild, ago=range(20, 2500)))
        assert abs(scores["coverage_90"] - 0.9) < 0.04


@pytest.mark.parametrize("shares", [(1.0,), (0.0, 0.5), (-0.5,), (0.5, 0.5), ()])
def test_shares_that_no_interval_can_hold(shares):
    with pytest.raises(ValueError, match="give different ones between 0 and 1"):
        forecasting.conformal(narrow(1.0), noise(0), range(2, 40), shares=shares)


def test_too_few_forecasts():
    with pytest.raises(ValueError, match="8 values came at step 1 of the horizon; 90% wants 9"):
        forecasting.conformal(narrow(1.0), noise(0), range(2, 10))
    assert np.shape(forecasting.conformal(narrow(1.0), noise(0), range(2, 11)).task.margins) == (
        2,
        2,
    )
