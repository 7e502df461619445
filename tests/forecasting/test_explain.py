"""Integrated gradients of forecasts: they add up, and say what a linear model says."""

import jax
import numpy as np
import pytest

import seqjax
from seqjax import forecasting
from seqjax.forecasting import Blend, DeepAR, Direct, EncoderDecoder, Linear, SeasonalNaive
from tests.forecasting.panels import rich, waves

pytestmark = pytest.mark.usefixtures("quick_compile")

HORIZON = 3
PANEL = waves(series=2, steps=60)


def untrained(kind, panel=PANEL, **settings):
    task = kind.of(
        panel, horizon=HORIZON, context=8, recurrence=seqjax.GRU(4), lags=(1, 6), **settings
    )
    return seqjax.Trained(task, task.init(jax.random.key(0)))


def total(found):
    return found.baseline + found.values.sum(1) + sum(found.beside.values())


@pytest.mark.parametrize("kind", [Direct, DeepAR, EncoderDecoder])
def test_what_was_added_adds_up(kind):
    panel = rich()
    found = forecasting.explain(untrained(kind, panel), panel, series="a", ago=2, steps=64)
    scale = np.abs(found.forecast - found.baseline).max()
    np.testing.assert_allclose(total(found), found.forecast, atol=0.06 * scale)
    calendar = ("time of day", "day of the week", "time of the year")
    assert tuple(found.beside) == (*calendar, "known 0", "past 0", "past 1")
    assert found.history.shape == found.values.shape[1:] and found.name == "a"
    assert len(found.times) == len(found.history) + HORIZON


def test_a_point_forecast_is_what_is_explained():
    trained = untrained(Direct, likelihood=forecasting.LIKELIHOODS["point"])
    found = forecasting.explain(trained, PANEL, series=1)
    np.testing.assert_allclose(found.forecast, trained.predict(PANEL).mean[1], rtol=1e-5)


def test_a_linear_model_is_explained_by_its_weights():
    trained = Linear(horizon=HORIZON, context=8, scaling="none").fit(PANEL)
    found = forecasting.explain(trained, PANEL, series=1, steps=1)
    weights = trained.params["weights"].astype(np.float64)
    past = PANEL.values[1][-8:]
    np.testing.assert_allclose(
        found.values, weights[:-1].T * (past - past.mean())[None, :], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(total(found), past @ weights[:-1] + weights[-1], rtol=1e-4)


def test_a_blend_is_explained_by_its_members():
    parts = [
        Linear(horizon=HORIZON, context=8).fit(PANEL),
        SeasonalNaive(horizon=HORIZON, season=6).fit(PANEL),
    ]
    members = tuple(part.task for part in parts)
    params = {f"member_{place}": part.params for place, part in enumerate(parts)}
    blend = seqjax.Trained(Blend(horizon=HORIZON, members=members, weights=(0.25, 0.75)), params)
    around = forecasting.conformal(blend, PANEL, range(3, 40))
    found = forecasting.explain(around, PANEL)
    one, two = (forecasting.explain(part, PANEL) for part in parts)
    np.testing.assert_allclose(found.values[:, -8:], 0.25 * one.values + 0.75 * two.values[:, -8:])
    np.testing.assert_allclose(found.forecast, around.predict(PANEL).median[0], rtol=1e-5)
    np.testing.assert_allclose(total(found), found.forecast, rtol=1e-4)


def test_pictures_and_mistakes():
    trained = SeasonalNaive(horizon=HORIZON, season=6).fit(PANEL)
    found = forecasting.explain(trained, PANEL)
    figure = found.plot(steps_ahead=2)
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(heights, found.values[1])
    with pytest.raises(ValueError, match="steps_ahead is 4; the horizon is 1 to 3"):
        found.plot(4)
    with pytest.raises(ValueError, match="there is no series 'x'; the first are a, b"):
        forecasting.explain(trained, PANEL, series="x")
    with pytest.raises(ValueError, match="ago is 60; the series 'a' has 60 values"):
        forecasting.explain(trained, PANEL, ago=60)
    with pytest.raises(ValueError, match="series is 2; the panel has 2"):
        forecasting.explain(trained, PANEL, series=2)
