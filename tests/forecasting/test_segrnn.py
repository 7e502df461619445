"""SegRNN: the network beside a NumPy loop, what it reads, and what it leaves alone."""

import dataclasses

import jax
import numpy as np
import pytest

import seqjax
from seqjax import forecasting
from seqjax.losses import likelihoods
from tests.forecasting.panels import HOUR, rich, waves
from tests.forecasting.test_networks import arrays

SIZES = {"context": 7, "horizon": 5, "segment": 3}
POINT = likelihoods.SquaredError()

pytestmark = pytest.mark.usefixtures("quick_compile")


def settled(panel, **settings):
    """A forecaster with parameters that are nowhere 0."""
    options = {"recurrence": seqjax.GRU(6), "likelihood": POINT, "scaling": "none"}
    task = forecasting.SegRNN(**SIZES | options | settings).settled(panel)
    params = task.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    return task, jax.tree.map(lambda a: a + 0.1 * rng.normal(size=a.shape).astype(a.dtype), params)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(params, h, x):
    """One step of one row."""
    from_x = x @ params["w_x"] + params["b"]
    from_h = h @ params["w_h"]
    x_r, x_z, x_n = np.split(from_x, 3)
    h_r, h_z, h_n = np.split(from_h, 3)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * (h_n + params["b_n"]))
    return (1 - z) * n + z * h


def dense(params, x):
    return x @ params["kernel"] + params.get("bias", 0)


def forecast_of_one(params, window, context, horizon, segment):
    """The numbers of a point forecast of one window, segment after segment."""
    steps = context + horizon
    values = window["values"][-steps:-horizon] / window["scale"]
    seen = window["seen"][-steps:-horizon]
    last = 0.0
    for value, there in zip(values, seen, strict=True):
        last = value if there else last
    read = []
    for t in range(context):
        value = values[t] - last if seen[t] else 0.0
        read.append([value, float(not seen[t]), *window["features"][t], *window["past"][t]])
    while len(read) % segment:
        read.insert(0, [0.0] * len(read[0]))
    h = np.zeros(params["recurrent"]["w_h"].shape[0])
    for start in range(0, len(read), segment):
        piece = np.concatenate(read[start : start + segment])
        h = gru(params["recurrent"], h, np.maximum(dense(params["read"], piece), 0))
    series = dense(params["size"], np.log10([window["scale"]]))
    for kind, number in enumerate(window["category"]):
        series = series + params[f"kind_{kind}"]["embedding"][number]
    said = []
    for place, position in enumerate(params["position"]):
        known = np.zeros((segment, window["features"].shape[1]))
        ahead = window["features"][context:][place * segment : (place + 1) * segment]
        known[: len(ahead)] = ahead
        own = series
        if known.size:
            own = own + dense(params["ahead"], known.ravel())
        output = gru(params["recurrent"], h, np.concatenate([position, own]))
        said.extend(dense(params["head"], output))
    return np.array(said[:horizon]) + last


@pytest.mark.parametrize(
    ("panel", "settings"),
    [
        (waves(), {"identity": True}),
        (waves(), {"scaling": "mean", "context": 6, "horizon": 6}),
        (rich(), {"calendar": True, "identity": True}),
        (rich(), {"recurrence": seqjax.GRU(7), "segment": 20}),
    ],
)
def test_a_numpy_loop_says_the_same(panel, settings):
    task, params = settled(panel, **settings)
    # Of the rich panel the last value before the first cut is missing.
    series, cuts = np.arange(len(panel)), np.array([34, 26, 30])[: len(panel)]
    batch = task.windows(panel).at(series, cuts)
    found = task.forecast(params, batch, jax.random.key(0)).mean
    plain = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    for row in range(len(panel)):
        window = {name: array[row] for name, array in batch.items()}
        wanted = forecast_of_one(plain, window, task.context, task.horizon, task.segment)
        np.testing.assert_allclose(found[row], wanted * window["scale"], rtol=1e-4, atol=1e-4)


class Squared(seqjax.GRU):
    """A subclass with a step of its own, whose inputs cannot be taken apart."""

    def step(self, params, state, x, *, rng=None):
        """Reads the squares."""
        return super().step(params, state, x * x, rng=rng)


@pytest.mark.parametrize("cell", [seqjax.GRU(6), Squared(6)], ids=["gru", "of its own"])
def test_the_short_way_of_a_gru_is_the_long_way(cell):
    """A stack of one layer takes the way of every recurrence: values and gradients."""
    options = {"identity": True, "likelihood": likelihoods.Normal(), "recurrence": cell}
    task, params = settled(waves(), **options)
    long = dataclasses.replace(task, recurrence=seqjax.stack(task.recurrence))
    batch = arrays(task.windows(waves()).gather(np.arange(8)))

    def loss(params, task):
        return task.loss(params, batch, jax.random.key(0), np.int32(0))[0]

    nested = {**params, "recurrent": {"layer_0": params["recurrent"]}}
    value, grads = jax.value_and_grad(loss)(params, task)
    same, others = jax.value_and_grad(loss)(nested, long)
    np.testing.assert_allclose(value, same, rtol=1e-5)
    others = {**others, "recurrent": others["recurrent"]["layer_0"]}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), grads, others)


def test_a_series_moved_up_is_forecast_as_much_higher():
    panel = waves()
    moved = dataclasses.replace(panel, values=[values + 50 for values in panel.values])
    task, params = settled(panel)
    low, high = (task.predict(params, each).mean for each in (panel, moved))
    np.testing.assert_allclose(high, low + 50, rtol=1e-5)


def test_series_are_told_apart_by_their_names_alone():
    panel = waves()
    alike = dataclasses.replace(panel, values=[panel.values[0]] * 3)
    task, params = settled(panel, identity=True)
    a, b, c = task.predict(params, alike).mean
    assert np.abs(a - b).max() > 1e-3 and np.abs(b - c).max() > 1e-3
    task, params = settled(panel)
    a, b, c = task.predict(params, alike).mean
    np.testing.assert_allclose([b, c], [a, a], rtol=1e-5)


def test_the_calendar_is_read_only_on_demand():
    starts = np.array(["2024-01-01"] * 3, "datetime64[h]")
    dated = waves(step=HOUR, starts=starts)
    later = dataclasses.replace(dated, starts=starts + 7 * HOUR)
    task, params = settled(dated)
    assert not task.form.calendar and task.form.step == (1, "h")
    np.testing.assert_array_equal(
        task.predict(params, dated).mean, task.predict(params, later).mean
    )
    task, params = settled(dated, calendar=True)
    assert task.form.calendar
    changed = np.abs(task.predict(params, dated).mean - task.predict(params, later).mean)
    assert changed.max() > 1e-4


def test_dropout_is_of_training_alone():
    task, params = settled(waves(), dropout=0.5)
    batch = arrays(task.windows(waves()).gather(np.arange(4)))
    a, b = (task.costs(params, batch, jax.random.key(seed), np.int32(0))[0] for seed in (0, 1))
    assert np.abs(a - b).max() > 1e-3
    none = dataclasses.replace(task, dropout=0.0)
    a, b = (none.costs(params, batch, jax.random.key(seed), np.int32(0))[0] for seed in (0, 1))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"segment": 0}, "segment is 0; give at least 1 step"),
        ({"recurrence": seqjax.GRU(1)}, r"GRU\(1\) has a single unit; a SegRNN wants 2 or more"),
    ],
)
def test_settings_that_no_segments_have(settings, message):
    with pytest.raises(ValueError, match=message):
        settled(waves(), **settings)
