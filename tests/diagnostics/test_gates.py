"""Gates in closed form, and the cell rebuilt from its gates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import diagnostics
from tests.recurrences import RECURRENCES, assert_close, draw_inputs, draw_params

pytestmark = pytest.mark.usefixtures("quick_compile")


def logit(p):
    return np.log(p / (1 - p))


def still_lstm(forget, units=2):
    """An LSTM whose gates do not move: input gate 1/2, forget gates as given, output gate 0.95."""
    f = np.broadcast_to(logit(np.asarray(forget)), units)
    bias = np.concatenate([np.zeros(units), f, np.zeros(units), np.full(units, logit(0.95))])
    return {
        "w_x": jnp.zeros((3, 4 * units)),
        "w_h": jnp.zeros((units, 4 * units)),
        "b": jnp.asarray(bias, jnp.float32),
    }


def test_shares_and_half_life_of_gates_that_stand_still():
    lstm = seqjax.LSTM(2)
    xs, lengths = np.ones((2, 6, 3), np.float32), np.array([6, 3])
    statistics = diagnostics.gate_statistics(lstm, still_lstm([0.5, 0.99]), xs, lengths)
    forget = statistics["forget"]
    np.testing.assert_allclose(forget.half_life, [1.0, np.log(2) / -np.log(0.99)], rtol=1e-4)
    np.testing.assert_allclose(
        [forget.open, forget.shut, forget.saturated, forget.mean], [0.5, 0, 0.5, 0.745], rtol=1e-5
    )
    np.testing.assert_allclose([statistics["output"].open, statistics["input"].saturated], [1, 0])
    assert np.isnan(statistics["output"].half_life).all()


def test_padding_does_not_count():
    gru = seqjax.GRU(4)
    params, xs = draw_params(gru), draw_inputs((1, 7))
    padded = np.concatenate([xs, np.full((1, 5, 3), np.nan, np.float32)], axis=1)
    whole = diagnostics.gate_statistics(gru, params, xs)
    assert_close(whole, diagnostics.gate_statistics(gru, params, padded, np.array([7])))


@pytest.mark.parametrize("name", ["lstm_peephole", "lstm_layer_norm", "lstm_all"])
def test_an_lstm_is_its_gates(name):
    """c' = f c + i g: the candidate g that follows lies within -1 and 1, and at 1 if its bias is huge."""
    lstm = RECURRENCES[name]
    params, xs = draw_params(lstm), draw_inputs((5,))
    gates = diagnostics.gate_activations(lstm, params, xs)
    traces = diagnostics.hidden_traces(lstm, params, xs)
    c = np.concatenate([np.zeros((1, 4)), traces["c"]])
    candidate = (c[1:] - gates["forget"] * c[:-1]) / gates["input"]
    assert (np.abs(candidate) <= 1 + 1e-5).all()
    column = 4 * (1 if lstm.coupled else 2)
    without = dict(params, b=params["b"].at[column : column + 4].set(500.0))
    gates, c = (
        f(lstm, without, xs) for f in (diagnostics.gate_activations, diagnostics.hidden_traces)
    )
    c = np.concatenate([np.zeros((1, 4)), c["c"]])
    np.testing.assert_allclose(
        c[1:], gates["forget"] * c[:-1] + gates["input"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ["gru_before", "gru_layer_norm"])
def test_a_gru_is_its_gates(name):
    """With the candidate held at 1 by its bias, h' = (1 - z) + z h."""
    gru = RECURRENCES[name]
    params, xs = draw_params(gru), draw_inputs((5,))
    params = dict(params, b=params["b"].at[8:].set(500.0))
    update = diagnostics.gate_activations(gru, params, xs)["update"]
    h = np.concatenate([np.zeros((1, 4)), diagnostics.hidden_traces(gru, params, xs)["h"]])
    np.testing.assert_allclose(h[1:], (1 - update) + update * h[:-1], rtol=1e-4)


def test_linear_cells_decay_and_names_inside_combinators():
    lru = seqjax.LRU(4)
    net = seqjax.stack(seqjax.zoneout(seqjax.GRU(3), 0.2), seqjax.gated(lru), seqjax.Elman(2))
    params, xs = draw_params(net), draw_inputs((2, 3))
    gates = diagnostics.gate_activations(net, params, xs)
    assert list(gates) == ["layer_0/reset", "layer_0/update", "layer_1/decay"]
    wanted = np.exp(-np.exp(params["layer_1"]["inner"]["nu"]))
    assert gates["layer_1/decay"].shape == (3, 2, 4)
    np.testing.assert_allclose(
        gates["layer_1/decay"], np.broadcast_to(wanted, (3, 2, 4)), rtol=1e-5
    )
    half_life = diagnostics.gate_statistics(net, params, xs)["layer_1/decay"].half_life
    np.testing.assert_allclose(half_life, np.log(0.5) / np.log(wanted), rtol=1e-4)


def test_statistics_under_jit():
    lstm = seqjax.LSTM(2)
    params, xs = draw_params(lstm), jnp.asarray(draw_inputs((2, 3)))
    compiled = jax.jit(lambda p, x: diagnostics.gate_statistics(lstm, p, x))(params, xs)
    assert_close(compiled, diagnostics.gate_statistics(lstm, params, xs))


def test_a_gate_that_never_closes_keeps_for_ever_and_nothing_valid_has_no_statistics():
    net = seqjax.LSTM(2, forget_bias=30.0)
    params, xs = net.init(jax.random.key(0), 3), jnp.zeros((1, 4, 3))
    assert (diagnostics.gate_statistics(net, params, xs)["forget"].half_life == np.inf).all()
    nothing = diagnostics.gate_statistics(net, params, xs, jnp.array([0]))["forget"]
    assert all(np.isnan(value).all() for value in nothing)
