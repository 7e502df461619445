import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import kernels
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences
from tests.recurrences import assert_close, draw_inputs, draw_params, draw_state

pytestmark = pytest.mark.usefixtures("quick_compile")

CELL = seqjax.MLSTM(4, heads=2, chunk_size=3)
TIME = 8


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_values(x64, heads, layer_norm):
    def reference(params, xs, state):
        return references.mlstm(params, xs, *state, layer_norm)

    cell = seqjax.MLSTM(8, heads=heads, layer_norm=layer_norm, chunk_size=2)
    assert_agrees(cell, reference)


def test_values_from_the_initial_state(x64):
    params, xs = draw_params(CELL), draw_inputs((TIME,))
    start = np.zeros((2, 2, 2)), np.zeros((2, 2)), np.full(2, -np.inf)
    _, wanted = references.mlstm(params, xs, *start)
    np.testing.assert_allclose(seqjax.unroll(CELL, params, xs)[1], wanted, rtol=1e-5)


def test_gradients(x64):
    assert_gradients_agree_with_differences(CELL)


@pytest.mark.parametrize(("reverse", "remat"), [(False, "none"), (True, "sqrt")])
def test_chunks_give_what_steps_give(reverse, remat):
    """Float32, with lengths, resets and a carried state; the last chunk is not a whole one."""
    cell, time = seqjax.MLSTM(8, heads=2, chunk_size=16), 70
    rng = np.random.default_rng(0)
    params, xs, state = draw_params(cell), draw_inputs((3, time)), draw_state(cell, (3,))
    lengths, reset = np.array([time, 37, 0]), rng.random((3, time)) < 0.05
    weights = rng.normal(size=(3, time, 8)).astype(np.float32)

    def loss(params, xs, state, **how):
        options = {"lengths": lengths, "reset": reset, "reverse": reverse, **how}
        after, ys = seqjax.unroll(cell, params, xs, state, **options)
        return (ys * weights).sum() + sum(leaf.sum() for leaf in after), (after, ys)

    def sweep(**how):
        run = jax.value_and_grad(functools.partial(loss, **how), (0, 1, 2), has_aux=True)
        (_, results), gradients = jax.jit(run)(params, xs, state)
        return results, gradients

    found, wanted = sweep(remat=remat), sweep(backend="scan")
    assert_close(found[0], wanted[0], 1e-4)
    # Sums over all steps: relative to the largest.
    for a, b in zip(jax.tree.leaves(found[1]), jax.tree.leaves(wanted[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * max(1, float(np.abs(b).max())))


chunk = jax.jit(lambda params, state, xs: CELL._chunk(params, state, (None, xs, None), HOW))
HOW = seqjax.Pass()


@hypothesis.given(seed=st.integers(0, 2**16), cut=st.sampled_from([1, 4]))
def test_a_chunk_is_the_composition_of_its_parts(seed, cut):
    """Associativity: wherever a chunk is cut, one after another give what the whole gives."""
    params, xs = draw_params(CELL), draw_inputs((TIME, 2), seed)
    state = draw_state(CELL, (2,), seed)
    middle, first = chunk(params, state, xs[:cut])
    after, last = chunk(params, middle, xs[cut:])
    assert_close((after, np.concatenate([first, last])), chunk(params, state, xs))


@pytest.mark.parametrize("backend", ["auto", "scan"])
@pytest.mark.parametrize("log_i", [-1e4, 1e4])
@pytest.mark.parametrize("f", [-1e4, 1e4])
def test_extreme_gates_stay_finite(log_i, f, backend):
    params = draw_params(CELL) | {"w_g": jnp.zeros((3, 4)), "b_g": jnp.array([log_i] * 2 + [f] * 2)}
    xs = jnp.asarray(draw_inputs((TIME,)))

    def total(params, xs):
        state, ys = seqjax.unroll(CELL, params, xs, backend=backend)
        return ys.sum(), (state, ys)

    gradient, (state, ys) = jax.grad(total, (0, 1), has_aux=True)(params, xs)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, state, ys)))
    if log_i < 0:
        assert not np.asarray(ys).round(6).any(), "nothing is written"
    elif f < 0:
        # The last value alone, normalised by its own key: the query counts by its sign.
        seen = CELL._projected(params, xs)
        sign = np.sign((seen.q * seen.k).sum(-1, keepdims=True))
        wanted = seen.o * (sign * seen.v).reshape(TIME, 4)
        np.testing.assert_allclose(ys, wanted, rtol=1e-4, atol=1e-5)


def test_memory_of_the_backward_pass_is_linear_in_time():
    """Bytes that a gradient holds at once grow as its inputs, not as their square."""

    def temporary(time):
        cell = seqjax.MLSTM(8, heads=2)
        loss = lambda params, xs: seqjax.unroll(cell, params, xs)[1].sum()  # noqa: E731
        lowered = jax.jit(jax.grad(loss)).lower(draw_params(cell), draw_inputs((1, time)))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporary(4096) < 4.5 * temporary(1024)


def test_a_reset_returns_to_the_initial_state_of_a_subclass(getkey):
    class Ready(seqjax.MLSTM):
        def initial_state(self, params, batch_shape, dtype):
            return jax.tree.map(jnp.ones_like, super().initial_state(params, batch_shape, dtype))

    cell, xs = Ready(4), draw_inputs((2, 6))
    params = cell.init(getkey(), 3)
    reset = np.zeros((2, 6), bool)
    reset[:, 4] = True
    _, ys = seqjax.unroll(cell, params, xs, reset=reset)
    assert_close(ys[:, 4:], seqjax.unroll(cell, params, xs[:, 4:])[1])


def test_params_and_state_have_the_documented_shapes(getkey):
    params = seqjax.MLSTM(6, heads=3).init(getkey(), 5)
    shapes = {name: p.shape for name, p in params.items()}
    assert shapes == {"w_x": (5, 24), "b": (24,), "w_g": (5, 6), "b_g": (6,)}
    np.testing.assert_allclose(params["b_g"], [0, 0, 0, 3, 4.5, 6])
    state = seqjax.MLSTM(6, heads=3).initial_state(params, (4,), jnp.bfloat16)
    assert isinstance(state, seqjax.MLSTMState)
    assert [leaf.shape for leaf in state] == [(4, 3, 2, 2), (4, 3, 2), (4, 3)]
    assert {leaf.dtype.name for leaf in state} == {"float32"}


@pytest.mark.parametrize("backend", ["auto", "fused", "native"])
def test_explain_names_the_chunks(backend):
    assert "chunkwise scan, for its gates" in kernels.explain(seqjax.MLSTM(4), backend=backend)
    assert kernels.explain(seqjax.MLSTM(4), backend="scan") == "MLSTM(4): scan, as asked for"


def test_mistakes_are_named(unchecked):
    with pytest.raises(ValueError, match="MLSTM: hidden_size is 4, heads is 3; give a hidden_size"):
        seqjax.MLSTM(4, heads=3)
    with pytest.raises(ValueError, match="MLSTM: chunk_size is 0; give at least 1"):
        seqjax.MLSTM(4, chunk_size=0)
