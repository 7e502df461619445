"""The three networks behind one interface: nothing leaks from the future, sampling is the loop it claims to be."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqjax
from seqjax import forecasting, training
from seqjax.forecasting import Panel
from seqjax.losses import likelihoods
from tests.forecasting.panels import rich, waves

SMALL = {"context": 8, "horizon": 3, "lags": (1, 2, 6), "recurrence": seqjax.GRU(4)}
RECIPE = training.Recipe(steps=150, every=75, batch_size=16, learning_rate=2e-2, average=0.9)
KINDS = {
    "deepar": forecasting.DeepAR(**SMALL, paths=4),
    "direct": forecasting.Direct(**SMALL, units=8),
    "encoder_decoder": forecasting.EncoderDecoder(**SMALL),
    "segrnn": forecasting.SegRNN(**SMALL | {"recurrence": seqjax.GRU(8)}, segment=2, dropout=0.1),
}

pytestmark = pytest.mark.usefixtures("quick_compile")
every_kind = pytest.mark.parametrize("kind", KINDS)


def arrays(windows):
    """Windows as JAX has them within a compiled function."""
    return {name: jnp.asarray(array) for name, array in windows.items()}


def untrained(forecaster, panel):
    settled = forecaster.settled(panel)
    return seqjax.Trained(settled, settled.init(jax.random.key(1)))


@dataclasses.dataclass(frozen=True)
class Certain(likelihoods.SquaredError):
    """A point that can be drawn: it makes DeepAR a loop without chance."""


@every_kind
@given(cut=st.integers(12, 24), seed=st.integers(0, 99))
def test_nothing_after_the_cut_changes_a_forecast(kind, cut, seed):
    rng, panel = np.random.default_rng(seed), rich()
    values, past = [v.copy() for v in panel.values], [p.copy() for p in panel.past]
    values[1][cut:] = 1e3 * rng.normal(size=30 - cut)
    values[1][cut + rng.integers(0, 6)] = np.nan
    past[1][cut:] = 1e3 * rng.normal(size=(30 - cut, 2))
    altered = dataclasses.replace(panel, values=values, past=past)
    fitted = untrained(KINDS[kind], panel)
    series, cuts = np.array([0, 1, 1]), np.array([20, cut, 11])
    before, after = (fitted.predict_at(p, series, cuts) for p in (panel, altered))
    np.testing.assert_array_equal(before.quantiles, after.quantiles)
    np.testing.assert_array_equal(before.mean, after.mean)
    assert np.isfinite(before.quantiles).all()


@every_kind
@pytest.mark.parametrize("what", ["values", "past", "known", "categories", "missing"])
def test_what_came_before_the_cut_and_what_is_known_of_the_future_do_change_it(kind, what):
    panel = rich()
    match what:
        case "values":
            change = {"values": [v + 9 * (np.arange(len(v)) == 24) for v in panel.values]}
        case "missing":
            change = {
                "values": [np.where(np.arange(len(v)) == 24, np.nan, v) for v in panel.values]
            }
        case "past":
            change = {"past": [p + (np.arange(len(p)) == 24)[:, None] for p in panel.past]}
        case "known":
            change = {"known": [k + 9 * (np.arange(len(k)) == 27)[:, None] for k in panel.known]}
        case _:
            change = {"categories": np.array([[1], [1]])}
    fitted = untrained(KINDS[kind], panel)
    before, after = (
        fitted.predict_at(p, np.arange(2), np.array([25, 25])).mean
        for p in (panel, dataclasses.replace(panel, **change))
    )
    assert (np.abs(before - after).max(1) > 1e-6).all()


@every_kind
def test_a_wave_is_learnt(kind):
    panel = waves()
    fitted = KINDS[kind].fit(panel.until(3), RECIPE)
    forecast = fitted.predict(panel, ago=3)
    score = forecasting.score(panel, forecast, season=6)
    assert score["mase"] < 2.5
    untaught = forecasting.score(
        panel, untrained(KINDS[kind], panel).predict(panel, ago=3), season=6
    )
    assert untaught["mase"] > 2 * score["mase"]
    assert (
        forecast.quantiles.shape == (3, 3, len(forecasting.LEVELS))
        and (np.diff(forecast.quantiles) >= 0).all()
    )


def test_ancestral_sampling_is_a_loop_over_the_whole_network():
    """Each value drawn goes into the window; the network then reads it all anew, by teacher forcing."""
    panel = rich()
    forecaster = dataclasses.replace(
        KINDS["deepar"], likelihood=Certain(), recurrence=seqjax.stack(seqjax.LSTM(3))
    )
    settled = forecaster.settled(panel)
    params = settled.init(jax.random.key(2))
    batch = arrays(settled.windows(panel).ends())
    found = forecasting.sample_paths(settled, params, batch, jax.random.key(0))
    assert found.shape == (2, 4, 3)
    window = dict(batch)
    network = settled.network()
    for step in range(3):
        raw = network.apply({"params": params}, window)
        value = raw[:, 8 + step, 0] * batch["scale"]
        place = 6 + 8 + step
        window["values"] = window["values"].at[:, place].set(value)
        window["seen"] = window["seen"].at[:, place].set(True)
        np.testing.assert_allclose(found[:, :, step], np.stack([value] * 4, 1), rtol=2e-4)


def test_paths_are_drawn_from_what_the_network_says():
    """Of a network without weights every value is standard normal, times its scale."""
    panel = waves()
    settled = dataclasses.replace(
        KINDS["deepar"], likelihood=likelihoods.Normal(), paths=2000
    ).settled(panel)
    params = jax.tree.map(jnp.zeros_like, settled.init(jax.random.key(0)))
    batch = arrays(settled.windows(panel).ends())
    paths = (
        np.asarray(forecasting.sample_paths(settled, params, batch, jax.random.key(0)))
        / batch["scale"][:, None, None]
    )
    np.testing.assert_allclose(paths.mean(1), 0, atol=0.1)
    np.testing.assert_allclose(paths.std(1), np.log(2), atol=0.05)
    assert abs(np.corrcoef(paths[0, :, 0], paths[0, :, 1])[0, 1]) < 0.1


def test_teacher_forcing_with_its_own_values_is_running_freely():
    panel = rich()
    settled = KINDS["encoder_decoder"].settled(panel)
    params, network = settled.init(jax.random.key(3)), settled.network()
    batch = arrays(settled.windows(panel).ends())
    free = network.apply({"params": params}, batch)
    means = settled.likelihood.mean(settled.likelihood.parameters(free, batch["scale"][:, None]))
    own = {
        **batch,
        "values": batch["values"].at[:, -3:].set(means),
        "seen": batch["seen"].at[:, -3:].set(True),
    }
    key = {"sampling": jax.random.key(0)}
    np.testing.assert_allclose(
        network.apply({"params": params}, own, 1.0, rngs=key), free, rtol=1e-4, atol=1e-6
    )
    own["values"] = own["values"].at[:, -3].add(5)
    assert not np.allclose(network.apply({"params": params}, own, 1.0, rngs=key), free, atol=1e-3)


def test_attention_by_location_learns_where_it_looked_last():
    panel = rich()
    settled = dataclasses.replace(KINDS["encoder_decoder"], attention="location").settled(panel)
    params, batch = settled.init(jax.random.key(3)), arrays(settled.windows(panel).ends())
    grads = jax.grad(
        lambda params: jnp.sum(settled.network().apply({"params": params}, batch) ** 2)
    )(params)["look"]
    assert np.abs(grads["filters"]).max() > 0 and np.abs(grads["w_location"]).max() > 0


def test_scheduled_sampling_goes_from_teacher_forcing_to_running_freely():
    panel = waves()
    settled = dataclasses.replace(KINDS["encoder_decoder"], sampling_steps=10).settled(panel)
    teacher = dataclasses.replace(settled, sampling_steps=None)
    params = settled.init(jax.random.key(0))
    batch = arrays(settled.windows(panel).gather(np.arange(6)))
    cost = lambda forecaster, step: np.asarray(  # noqa: E731
        forecaster.costs(params, batch, jax.random.key(0), jnp.int32(step))[0]
    )
    raw = settled.network().apply({"params": params}, batch)
    free = settled.likelihood.loss(raw, batch["values"][:, -3:], batch["scale"][:, None])
    np.testing.assert_allclose(cost(settled, 0), cost(teacher, 5), rtol=1e-5)
    np.testing.assert_allclose(cost(settled, 10), free, rtol=1e-5)
    assert not np.allclose(cost(settled, 0), free, rtol=1e-2)


@every_kind
def test_values_not_seen_cost_nothing(kind):
    settled = KINDS[kind].settled(waves())
    params = settled.init(jax.random.key(0))
    batch = arrays(settled.windows(waves()).gather(np.arange(4)))
    hidden = {
        **batch,
        "seen": batch["seen"].at[0, -1].set(False),
        "weight": jnp.array([1.0, 1, 1, 0]),
    }
    costs, seen = settled.costs(params, hidden, jax.random.key(0), jnp.int32(0))
    seen = np.asarray(seen) & (np.arange(4) < 3)[:, None]
    assert not seen[0, -1] and not seen[3].any()
    loss, aux = settled.loss(params, hidden, jax.random.key(0), jnp.int32(0))
    assert aux.weight == seen.sum() and float(loss) == pytest.approx(
        np.asarray(costs)[seen].mean(), rel=1e-5
    )


def test_a_point_forecast_and_a_distribution_of_each_step():
    panel = waves()
    point = untrained(
        dataclasses.replace(KINDS["direct"], likelihood=likelihoods.SquaredError()), panel
    ).predict(panel)
    assert not point.spread and point.quantiles.shape == (3, 3, 1)
    spread = untrained(
        dataclasses.replace(KINDS["direct"], likelihood=likelihoods.Normal()), panel
    ).predict(panel)
    assert spread.spread and spread.samples is None
    width = spread.quantile(0.95) - spread.quantile(0.05)
    assert (np.abs(spread.median - spread.mean) < width / 4).all()


def test_rows_forecast_alone_are_those_forecast_together():
    panel = waves()
    fitted = untrained(KINDS["direct"], panel)
    together = fitted.predict(panel, ago=[0, 7])
    assert (
        together.series.tolist() == [0, 1, 2, 0, 1, 2]
        and together.cuts.tolist() == [80] * 3 + [73] * 3
    )
    alone = fitted.predict_at(panel, np.array([1]), np.array([73]))
    np.testing.assert_allclose(alone.quantiles[0], together.quantiles[4], rtol=1e-5)


def test_lags_and_form_are_those_of_the_panel():
    settled = forecasting.DeepAR(context=8, horizon=3).settled(rich())
    assert settled.lags == (
        1,
        2,
        3,
        23,
        24,
        25,
        48,
        167,
        168,
        169,
        336,
    ) and settled.form == forecasting.Form(7, 2, (3,), calendar=True, step=(1, "h"))
    assert forecasting.DeepAR(context=8, horizon=3).settled(waves()).lags == (1,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: forecasting.Direct(
                **SMALL | {"recurrence": seqjax.bidirectional(seqjax.GRU(2))}
            ),
            "reads the future",
        ),
        (lambda: forecasting.Direct(**SMALL | {"lags": (0, 1)}), r"lags are \(0, 1\)"),
        (
            lambda: forecasting.DeepAR(
                **SMALL, likelihood=likelihoods.Poisson(), scaling="standard"
            ),
            "scaling='standard' moves",
        ),
        (
            lambda: forecasting.DeepAR(**SMALL, likelihood=likelihoods.SquaredError()),
            "a point draws no paths",
        ),
        (
            lambda: forecasting.Direct(**SMALL | {"horizon": 90}),
            "the longest series, 'a', has 80 values",
        ),
    ],
)
def test_settings_that_do_not_go_together(make, message):
    with pytest.raises(ValueError, match=message):
        make().fit(waves(), RECIPE)


def test_panels_of_another_form():
    fitted = untrained(KINDS["direct"], rich())
    with pytest.raises(
        ValueError,
        match="learnt 7 known features, 2 past .* and 1 kinds .*; the panel has 0, 0 and 0",
    ):
        fitted.predict(waves())
    with pytest.raises(
        ValueError,
        match=r"the series 'b' is of category 3 \(kind 0\); the forecaster learnt 0 to 2",
    ):
        fitted.predict(dataclasses.replace(rich(), categories=np.array([[0], [3]])))
    with pytest.raises(ValueError, match="the series 'b' has no value before step -5"):
        fitted.predict(rich(), ago=35)
    with pytest.raises(ValueError, match="call settled"):
        KINDS["direct"].windows(Panel([np.arange(9.0)]))
