import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences
from tests.recurrences import draw_inputs, draw_params, draw_state

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize("heads", [1, 2])
def test_values(x64, heads):
    def reference(params, xs, state):
        return references.slstm(params, xs, *state)

    assert_agrees(seqjax.SLSTM(4, heads=heads), reference)


def test_values_from_the_initial_state(x64):
    cell, xs = seqjax.SLSTM(4, heads=2), draw_inputs((6,))
    params = draw_params(cell)
    zeros = np.zeros(4)
    _, wanted = references.slstm(params, xs, zeros, zeros, zeros, np.full(4, -np.inf))
    np.testing.assert_allclose(seqjax.unroll(cell, params, xs)[1], wanted, rtol=1e-5)


def test_gradients(x64):
    assert_gradients_agree_with_differences(seqjax.SLSTM(4, heads=2))


def test_params_have_the_documented_shapes(getkey):
    params = seqjax.SLSTM(6, heads=3, forget_bias=2.0).init(getkey(), 5)
    shapes = {name: p.shape for name, p in params.items()}
    assert shapes == {"w_x": (5, 24), "w_h": (3, 2, 8), "b": (24,)}
    gates = np.split(np.asarray(params["b"]), 4)
    assert (gates.pop(1) == 2).all() and not np.any(gates)
    for block in np.asarray(params["w_h"]):
        for w in np.split(block, 4, axis=-1):
            np.testing.assert_allclose(w @ w.T, np.eye(2), atol=1e-5)


def test_a_head_sees_its_own_units_alone(getkey):
    cell = seqjax.SLSTM(4, heads=2)
    params, x = draw_params(cell), draw_inputs((1,))[0]
    state = draw_state(cell, ())
    _, y = cell.step(params, state, jnp.asarray(x))
    _, other = cell.step(params, state._replace(h=state.h.at[:2].add(1.0)), jnp.asarray(x))
    assert (y[2:] == other[2:]).all() and (y[:2] != other[:2]).all()


@pytest.mark.parametrize("log_i", [-1e4, 1e4])
@pytest.mark.parametrize("f", [-1e4, 1e4])
def test_extreme_gates_give_the_exact_answer(log_i, f):
    """Values written at the same weight are averaged if none is forgotten; else the last remains."""
    cell = seqjax.SLSTM(2)
    params = {"w_x": jnp.zeros((1, 8)), "w_h": jnp.zeros((1, 2, 8))}
    params["w_x"] = params["w_x"].at[0, 4:6].set(1.0)
    params["b"] = jnp.array([log_i] * 2 + [f] * 2 + [0.0] * 2 + [1e4] * 2)
    xs = jnp.array([[0.5], [-0.2], [0.9]])

    def outputs(params, xs):
        return seqjax.unroll(cell, params, xs)[1]

    z = np.tanh(np.asarray(xs)[:, 0])
    means = np.cumsum(z) / np.arange(1, 4)
    wanted = means if f > 0 else z
    np.testing.assert_allclose(outputs(params, xs)[:, 0], wanted, rtol=1e-5)
    gradient = jax.grad(lambda *given: outputs(*given).sum(), (0, 1))(params, xs)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.abs(gradient[1]).min() > 0


def test_the_state_holds_four_arrays():
    state = seqjax.SLSTM(4).initial_state({}, (5, 3), jnp.bfloat16)
    assert isinstance(state, seqjax.SLSTMState)
    assert {(leaf.shape, leaf.dtype.name) for leaf in state} == {((5, 3, 4), "float32")}
    assert seqjax.SLSTM(4).output(state) is state.h


def test_mistakes_are_named(unchecked):
    with pytest.raises(ValueError, match="SLSTM: hidden_size is 4, heads is 3; give a hidden_size"):
        seqjax.SLSTM(4, heads=3)
    with pytest.raises(TypeError, match="relative to a stabiliser"):
        seqjax.zoneout(seqjax.SLSTM(4))
