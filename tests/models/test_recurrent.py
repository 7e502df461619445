"""The shell around a recurrence holds no mathematics: it is `init` and `unroll`, with Flax's params."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.nnx import bridge

import seqjax
from seqjax.models import Recurrent

pytestmark = pytest.mark.usefixtures("quick_compile")

RECURRENCES = {
    "gru": seqjax.GRU(4),
    "stack": seqjax.stack(seqjax.LSTM(4), seqjax.GRU(5), dropout=0.5),
    "bidirectional": seqjax.bidirectional(seqjax.Elman(4), seqjax.LSTM(3)),
    "gated": seqjax.gated(seqjax.LRU(4)),
}
each_recurrence = pytest.mark.parametrize(
    "recurrence", RECURRENCES.values(), ids=RECURRENCES.keys()
)
LENGTHS = jnp.array([6, 2, 0])


def inputs(key):
    return jax.random.normal(key, (3, 6, 2))


@functools.cache
def fresh_variables(layer):
    """Made once for each layer: drawing orthogonal matrices compiles for a second."""
    return layer.init(jax.random.key(7), jnp.zeros((3, 6, 2)))


def assert_close(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@each_recurrence
def test_its_params_are_those_of_the_recurrence(getkey, recurrence):
    key = getkey()
    variables = Recurrent(recurrence).init(key, inputs(getkey()))
    assert variables.keys() == {"params"}
    wanted = jax.eval_shape(lambda: recurrence.init(key, 2))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), variables["params"]) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), wanted
    )
    again, other = (Recurrent(recurrence).init(k, inputs(getkey())) for k in (key, getkey()))
    for a, b in zip(jax.tree.leaves(variables), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(
        (a != b).any()
        for a, b in zip(jax.tree.leaves(variables), jax.tree.leaves(other), strict=True)
    )


@each_recurrence
def test_its_call_is_unroll(getkey, recurrence):
    layer, xs = Recurrent(recurrence), inputs(getkey())
    params = fresh_variables(layer)["params"]
    reset = jnp.zeros((3, 6), bool).at[0, 3].set(True)
    for options in (
        {},
        {"lengths": LENGTHS},
        {"reset": reset, "lengths": LENGTHS, "reverse": True},
    ):
        assert_close(
            layer.apply({"params": params}, xs, **options),
            seqjax.unroll(recurrence, params, xs, **options),
        )
    begin = jax.tree.map(lambda s: s + 0.5, recurrence.initial_state(params, (3,), xs.dtype))
    assert_close(
        layer.apply({"params": params}, xs, begin), seqjax.unroll(recurrence, params, xs, begin)
    )
    time_major = layer.apply({"params": params}, jnp.swapaxes(xs, 0, 1), time_major=True)
    assert_close(
        time_major, seqjax.unroll(recurrence, params, jnp.swapaxes(xs, 0, 1), time_major=True)
    )


def test_lengths_that_are_known_while_tracing(getkey):
    layer, xs = Recurrent(seqjax.GRU(4)), inputs(getkey())
    variables = fresh_variables(layer)
    compiled = jax.jit(lambda variables, xs: layer.apply(variables, xs, lengths=LENGTHS))
    assert_close(compiled(variables, xs), layer.apply(variables, xs, lengths=LENGTHS))


@pytest.mark.parametrize("remat", ["none", "step", "sqrt"])
def test_its_remat_and_backend_are_passed_on(getkey, remat, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "seqjax.models.recurrent.unroll", lambda *_, **options: seen.append(options) or (None, None)
    )
    layer, xs = Recurrent(seqjax.GRU(4), remat=remat, backend="scan"), inputs(getkey())
    layer.apply({"params": seqjax.GRU(4).init(getkey(), 2)}, xs)
    assert (seen[0]["remat"], seen[0]["backend"]) == (remat, "scan")


@pytest.mark.parametrize("name", ["gru", "stack", "gated"])
def test_streaming_gives_the_whole_sequence(getkey, name):
    layer, xs = Recurrent(RECURRENCES[name]), inputs(getkey())
    variables = fresh_variables(layer)
    state = layer.apply(variables, (3,), 2, method="initial_state")
    step, ys = jax.jit(lambda s, x: layer.apply(variables, s, x, method="step")), []
    for t in range(xs.shape[1]):
        state, y = step(state, xs[:, t])
        ys.append(y)
    assert_close((state, jnp.stack(ys, axis=1)), layer.apply(variables, xs))


def test_dropout_is_on_with_a_key_alone(getkey):
    layer, xs = Recurrent(seqjax.dropout(seqjax.GRU(8), 0.5)), inputs(getkey())
    variables, key = fresh_variables(layer), getkey()
    off = layer.apply(variables, xs)[1]
    on = layer.apply(variables, xs, rngs={"dropout": key})[1]
    assert not (off == 0).any() and 0.2 < (on == 0).mean() < 0.8
    np.testing.assert_array_equal(on, layer.apply(variables, xs, rngs={"dropout": key})[1])
    assert (on != layer.apply(variables, xs, rngs={"dropout": getkey()})[1]).any()
    np.testing.assert_allclose(on[on != 0], 2 * off[on != 0], rtol=1e-5)
    state = layer.apply(variables, (3,), 2, method="initial_state")
    stepped = layer.apply(variables, state, xs[:, 0], method="step", rngs={"dropout": key})[1]
    assert 0.1 < (stepped == 0).mean() < 0.9
    assert not (layer.apply(variables, state, xs[:, 0], method="step")[1] == 0).any()


def test_initialisation_draws_no_dropout(getkey):
    layer, xs = Recurrent(seqjax.dropout(seqjax.GRU(8), 0.5)), inputs(getkey())
    (_, ys), _ = layer.init_with_output(getkey(), xs)
    assert not (ys == 0).any()


def test_mistakes_speak_through_the_shell(getkey, unchecked):
    layer, xs = Recurrent(seqjax.GRU(4)), inputs(getkey())
    variables = fresh_variables(layer)
    with pytest.raises(ValueError, match=r"lengths have shape \(2,\)"):
        layer.apply(variables, xs, lengths=jnp.array([1, 2]))
    with pytest.raises(ValueError, match="inputs of 5 features"):
        layer.apply(variables, jnp.ones((3, 6, 5)))
    with pytest.raises(ValueError, match="remat='some' is unknown"):
        Recurrent(seqjax.GRU(4), remat="some").apply(variables, xs)


def test_two_of_them_in_a_module_have_parameters_of_their_own(getkey):
    import flax.linen as nn

    class Two(nn.Module):
        @nn.compact
        def __call__(self, xs):
            _, ys = Recurrent(seqjax.GRU(4), name="first")(xs)
            return Recurrent(seqjax.GRU(4), name="second")(ys)[1]

    params = Two().init(getkey(), inputs(getkey()))["params"]
    assert params.keys() == {"first", "second"}
    assert params["first"]["w_x"].shape == (2, 12) and params["second"]["w_x"].shape == (4, 12)
    assert (params["first"]["w_h"] != params["second"]["w_h"]).any()


@pytest.mark.parametrize("name", ["stack", "bidirectional"])
def test_it_runs_under_nnx(getkey, name):
    recurrence, xs = RECURRENCES[name], inputs(getkey())
    layer = Recurrent(recurrence)
    model = bridge.ToNNX(layer, rngs=nnx.Rngs(0)).lazy_init(xs)
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    assert jax.tree.structure(params) == jax.tree.structure(
        jax.eval_shape(lambda: recurrence.init(getkey(), 2))
    )
    assert_close(model(xs, lengths=LENGTHS), seqjax.unroll(recurrence, params, xs, lengths=LENGTHS))

    gradient = nnx.to_pure_dict(
        nnx.jit(nnx.grad(lambda m, x: jnp.square(m(x)[1]).sum()))(model, xs)
    )
    wanted = jax.grad(lambda p: jnp.square(seqjax.unroll(recurrence, p, xs)[1]).sum())(params)
    assert_close(gradient, wanted)
