"""Products of numbers rounded to bfloat16: against rounding by hand, on every instruction set."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import kernels
from tests.kernels import test_fused
from tests.kernels.test_fused import EVERYTHING, outcome
from tests.kernels.test_native import assert_near, each_cell, in_float64

pytestmark = [
    pytest.mark.usefixtures("quick_compile"),
    pytest.mark.skipif(kernels.native.missing() is not None, reason=str(kernels.native.missing())),
]

# Rows for both tiles of AMX and for a part of one; features and units that fill their tiles, and not.
SHAPES = [((3,), 4, 5, 19), ((50,), 3, 33, 48), ((20,), 5, 64, 32), ((70,), 2, 2, 70)]


def problem(cell, *shape):
    """A problem in float32 whose weights do not blow rounding up."""
    (params, xs, state), pulled = test_fused.problem(cell, *shape, dtype=np.float32)
    return (jax.tree.map(lambda w: w / w.shape[0] ** 0.5, params), xs, state), pulled


def by_hand(cell, params, xs, state, round_):
    """Reads `xs` `[rows, time, features]` in NumPy, its products being of rounded numbers."""
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    wide = {name: np.asarray(w, np.float64) for name, w in params.items()}
    w_x, w_h = round_(wide["w_x"]), round_(wide["w_h"])
    h, *memory = (
        np.asarray(s, np.float64) for s in (state if isinstance(state, tuple) else (state,))
    )
    outputs = []
    for x in np.moveaxis(np.asarray(xs, np.float64), 1, 0):
        from_x, from_h = round_(x) @ w_x + wide["b"], round_(h) @ w_h
        if isinstance(cell, seqjax.LSTM):
            i, f, g, o = np.split(from_x + from_h, 4, -1)
            memory = [sigmoid(f) * memory[0] + sigmoid(i) * np.tanh(g)]
            h = sigmoid(o) * np.tanh(memory[0])
        elif isinstance(cell, seqjax.GRU):
            (xr, xz, xn), (hr, hz, hn) = np.split(from_x, 3, -1), np.split(from_h, 3, -1)
            z = sigmoid(xz + hz)
            h = (1 - z) * np.tanh(xn + sigmoid(xr + hr) * (hn + wide["b_n"])) + z * h
        else:
            h = np.tanh(from_x + from_h)
        outputs.append(h)
    return np.stack(outputs, 1)


def rounded(a):
    return np.asarray(
        jnp.asarray(a, jnp.float32).astype(jnp.bfloat16).astype(jnp.float32), np.float64
    )


@each_cell
@pytest.mark.parametrize(("batch", "time", "inputs", "hidden"), SHAPES, ids=str)
def test_what_is_multiplied_is_rounded_and_nothing_else(
    instructions, cell, batch, time, inputs, hidden
):
    cell = cell(hidden)
    (params, xs, state), _ = problem(cell, batch, time, inputs)
    got = seqjax.unroll(cell, params, xs, state, backend="native")[1]
    wanted, exact = (by_hand(cell, params, xs, state, how) for how in (rounded, lambda a: a))
    # A unit that lies between two bfloat16 numbers may go either way: of few the next step differs.
    off = np.abs(got - wanted)
    assert np.quantile(off, 0.9) < 2e-6 and off.max() < 5e-3
    # It is not the exact sequence.
    assert np.median(np.abs(got - exact)) > 30 * np.median(off)


@each_cell
@pytest.mark.parametrize("options", [{"reverse": True}, EVERYTHING], ids=["reverse", "everything"])
def test_values_and_gradients_are_those_of_the_scan_but_for_rounding(
    x64, instructions, cell, options
):
    given, pulled = problem(cell(5))
    got = jax.jit(functools.partial(outcome, cell(5), backend="native", **options))(given, pulled)
    wanted = outcome(cell(5), in_float64(given), in_float64(pulled), "scan", **options)
    near(got, wanted)


@each_cell
@pytest.mark.parametrize(("batch", "time", "inputs", "hidden"), SHAPES, ids=str)
def test_gradients_of_ragged_rows_of_all_shapes(
    x64, instructions, cell, batch, time, inputs, hidden
):
    given, pulled = problem(cell(hidden), batch, time, inputs)
    options = {"lengths": np.arange(batch[0], dtype=np.int32) % (time + 1)}
    got = outcome(cell(hidden), given, pulled, "native", **options)
    near(got, outcome(cell(hidden), in_float64(given), in_float64(pulled), "scan", **options))


def near(got, wanted):
    """Within the rounding of bfloat16, of the whole array."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.shape == b.shape
        assert np.linalg.norm(a - b) <= 0.01 * (1e-3 + np.linalg.norm(b))


def test_padding_and_the_rows_of_others_change_nothing(instructions):
    cell = seqjax.LSTM(40)
    (params, xs, state), _ = problem(cell, (50,), 6, 30)
    lengths = np.arange(50, dtype=np.int32) % 7
    run = lambda xs: seqjax.unroll(cell, params, xs, state, lengths=lengths, backend="native")  # noqa: E731
    padding = (np.arange(6) >= lengths[:, None])[..., None]
    wanted = run(xs)
    for spoilt in (jnp.where(padding, jnp.nan, xs), jnp.asarray(xs).at[13].set(jnp.inf)):
        got = run(spoilt)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            rows = np.delete(np.arange(50), 13)
            np.testing.assert_array_equal(np.asarray(a)[rows], np.asarray(b)[rows])


@each_cell
def test_nan_and_infinity_are_told(instructions, cell):
    cell = cell(33)
    (params, xs, state), _ = problem(cell, (40,), 3, 35)
    for bad in (jnp.nan, jnp.inf):
        spoilt = jnp.asarray(xs).at[7, 1, 34].set(bad)
        ys, expected = (
            jnp.isfinite(seqjax.unroll(cell, params, spoilt, state, backend=backend)[1])
            for backend in ("native", "scan")
        )
        np.testing.assert_array_equal(ys, expected)


@each_cell
def test_gates_reach_their_ends(instructions, cell):
    """Far from zero a gate is 0 or 1, and its gradient 0, whatever multiplies it."""
    cell = cell(16)
    (params, xs, state), _ = problem(cell, (20,), 2, 3)
    loss = lambda xs: seqjax.unroll(cell, params, xs, state, backend="native")[1].sum()  # noqa: E731
    found = jax.grad(loss)(1e9 * xs)
    wanted = jax.grad(lambda xs: seqjax.unroll(cell, params, xs, state, backend="scan")[1].sum())(
        1e9 * xs
    )
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@each_cell
def test_second_derivatives_are_those_of_exact_products(x64, instructions, cell):
    given, pulled = problem(cell(4))

    def penalty(given, backend, pulled):
        found = outcome(cell(4), given, pulled, backend)
        return sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(found))

    got = jax.grad(penalty)(given, "native", pulled)
    near(got, jax.grad(penalty)(in_float64(given), "scan", in_float64(pulled)))


@each_cell
def test_vmap_over_rows(instructions, cell):
    (params, xs, state), pulled = problem(cell(7))

    def one(xs, state, pulled):
        return outcome(cell(7), (params, xs, state), pulled, "native", **EVERYTHING)  # noqa: E731

    twice = jax.tree.map(lambda a: jnp.stack([a, a]), (xs, state, pulled))
    together = jax.vmap(one)(*twice)
    near(jax.tree.map(lambda a: a[1], together), one(xs, state, pulled))


ROUNDS = kernels.native.missing() is None and kernels.native.rounds(jnp.bfloat16)


@pytest.mark.parametrize("asked", [None, "bfloat16", "BF16_BF16_F32", "float32", "highest"])
def test_it_follows_the_precision_that_jax_is_told(asked):
    cell = seqjax.LSTM(32)
    (params, xs, state), _ = problem(cell, (20,), 3, 8)
    run = jax.jit(lambda xs: seqjax.unroll(cell, params, xs, state)[1])
    exact = run(xs)
    with jax.default_matmul_precision(asked):
        same = bool((run(xs) == exact).all())
        words = kernels.explain(cell)
    rounds = ROUNDS and asked in ("bfloat16", "BF16_BF16_F32")
    assert same is not rounds and ("rounded to bfloat16" in words) is rounds


@each_cell
def test_bfloat16_arrays_go_in_and_out(cell):
    cell = cell(32)
    (params, xs, state), _ = problem(cell, (20,), 3, 8)
    narrow = jax.tree.map(lambda a: jnp.asarray(a, jnp.bfloat16), (params, xs))

    def run(params, xs, backend):
        return seqjax.unroll(cell, params, xs, state, backend=backend)

    after, ys = run(*narrow, "auto")
    assert ys.dtype == jnp.bfloat16 and {a.dtype for a in jax.tree.leaves(after)} == {
        np.dtype("float32")
    }

    def loss(params, xs, backend):
        return jnp.square(run(params, xs, backend)[1]).sum().astype(jnp.float32)  # noqa: E731

    found, wanted = (jax.grad(loss, (0, 1))(*narrow, backend) for backend in ("auto", "scan"))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == jnp.bfloat16
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        assert np.linalg.norm(a - b) < 0.02 * np.linalg.norm(b)
    assert f"{cell}: native" in kernels.explain(cell, jnp.bfloat16)


def test_few_steps_of_few_rows_are_exact():
    """Packing pays only where it is read again: a step of a stream multiplies in float32."""
    cell = seqjax.LSTM(48)
    (params, xs, state), _ = problem(cell, (1,), 1, 8)
    exact = seqjax.unroll(cell, params, xs, state)[1]
    with jax.default_matmul_precision("bfloat16"):
        assert_near(seqjax.unroll(cell, params, xs, state)[1], exact)
