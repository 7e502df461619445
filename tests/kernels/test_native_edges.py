"""The compiled kernels at the edges: inputs of any size, long sums, arguments that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import kernels
from seqjax.recurrence import Pass

pytestmark = pytest.mark.skipif(
    kernels.native.missing() is not None, reason=str(kernels.native.missing())
)

CELLS = [seqjax.Elman(4), seqjax.LSTM(4), seqjax.GRU(4)]


@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_a_gate_that_is_full_has_no_gradient(getkey, cell):
    """A column of timestamps drives every gate to its end: what is left of a gradient there was rounding."""
    params = cell.init(getkey(), 2)
    xs = jnp.stack([jnp.full((3, 6), 1.6e9), jax.random.normal(getkey(), (3, 6))], axis=-1)

    def loss(params, backend):
        return (seqjax.unroll(cell, params, xs, backend=backend)[1] ** 2).sum()

    native, scan = (jax.grad(loss)(params, backend)["w_x"] for backend in ("native", "scan"))
    np.testing.assert_array_equal(native[0], scan[0])
    assert not np.any(native[0])


def test_a_full_activation_is_one_exactly():
    cell, params = (
        seqjax.Elman(1),
        {"w_x": jnp.ones((1, 1)), "w_h": jnp.zeros((1, 1)), "b": jnp.zeros(1)},
    )
    xs = jnp.asarray([9.1, 12.0, 20.0, 88.0, 1e30, -9.1, -1e30, 0.0])[:, None, None]
    ys = np.asarray(seqjax.unroll(cell, params, xs, backend="native")[1]).ravel()
    np.testing.assert_array_equal(ys, [1, 1, 1, 1, 1, -1, -1, 0])


def test_a_long_sum_of_positive_terms_keeps_its_digits():
    inputs = 16384
    rng = np.random.default_rng(0)
    x, w = (
        rng.uniform(0.5, 1.5, inputs).astype(np.float32),
        rng.uniform(0.5, 1.5, (inputs, 1)).astype(np.float32),
    )
    params = {"w_x": jnp.asarray(w), "w_h": jnp.zeros((1, 1)), "b": jnp.zeros(1)}
    cell = seqjax.Elman(1, activation="relu")
    found = float(
        seqjax.unroll(cell, params, jnp.asarray(x)[None, None], backend="native")[1].ravel()[0]
    )
    wanted = float(x.astype(np.float64) @ w[:, 0].astype(np.float64))
    assert abs(found / wanted - 1) < 5e-7


@pytest.mark.parametrize("cell", CELLS, ids=repr)
@pytest.mark.parametrize("features", [5, 300])
def test_inputs_of_other_features_are_an_error_and_no_crash(getkey, cell, features):
    params = cell.init(getkey(), 3)
    state = cell.initial_state(params, (2,), jnp.float32)
    with pytest.raises(Exception, match="(?i)shape|size|features|w_x"):
        cell.scan(params, jnp.ones((4, 2, features)), state, Pass(backend="native"))[
            1
        ].block_until_ready()


def alike(prefix, whole):
    jax.tree.map(np.testing.assert_array_equal, prefix, whole)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("rows", "steps", "features", "hidden"),
    [(1, 1, 128, 64), (1, 8, 5, 37), (2, 3, 3, 5), (3, 2, 700, 20), (4, 2, 40, 530), (8, 1, 9, 33)],
)
@pytest.mark.parametrize("kind", [seqjax.Elman, seqjax.LSTM, seqjax.GRU])
def test_a_short_chunk_has_the_bits_of_a_long_sequence(
    getkey, kind, rows, steps, features, hidden, reverse
):
    """Its weights are read as they lie, those of a long one are packed: the sums are the same."""
    cell = kind(hidden)
    params = cell.init(getkey(), features)
    params |= {name: jax.random.normal(getkey(), params[name].shape) for name in ("b",)}
    long = 40
    xs = jax.random.normal(getkey(), (rows, long, features))
    lengths = jnp.arange(rows, dtype=jnp.int32) % (steps + 1) if rows > 2 else None
    reset = jax.random.uniform(getkey(), (rows, long)) < 0.2 if rows > 1 else None
    state = jax.tree.map(
        lambda s: jax.random.normal(getkey(), s.shape),
        cell.initial_state(params, (rows,), xs.dtype),
    )
    if reverse:
        # Only the rows' own steps are read, the same ones in both.
        own = jnp.full(rows, steps, jnp.int32) if lengths is None else lengths
    else:
        own = lengths

    def read(time, own):
        return seqjax.unroll(
            cell,
            params,
            xs[:, :time],
            state,
            lengths=own,
            reset=None if reset is None else reset[:, :time],
            reverse=reverse,
            backend="native",
        )

    (after, ys), (_, whole) = read(steps, own), read(long, own)
    alike(ys, whole[:, :steps])
    # The state after it is that of a longer sequence which ends there.
    ends = jnp.full(rows, steps, jnp.int32) if own is None else own
    alike(after, read(long, ends)[0])


def test_garbage_in_the_padding_of_a_short_chunk_changes_nothing(getkey):
    cell = seqjax.LSTM(12)
    params = cell.init(getkey(), 6)
    xs = jax.random.normal(getkey(), (3, 2, 6))
    lengths = jnp.asarray([0, 1, 2], jnp.int32)
    dirty = jnp.where(jnp.arange(2)[None, :, None] < lengths[:, None, None], xs, jnp.nan)
    clean, found = (
        seqjax.unroll(cell, params, rows, lengths=lengths, backend="native") for rows in (xs, dirty)
    )
    jax.tree.map(np.testing.assert_array_equal, found, clean)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", [seqjax.Elman, seqjax.LSTM, seqjax.GRU])
def test_padding_leaves_every_bit_of_values_and_gradients(getkey, kind, reverse):
    """What is past a row's end is in no product: twice the padding, of NaN, is the same computation."""
    cell, (rows, steps, features) = kind(24), (33, 30, 7)
    params = cell.init(getkey(), features)
    lengths = jax.random.randint(getkey(), (rows,), 0, steps + 1)
    xs = jax.random.normal(getkey(), (rows, steps, features))
    padded = jnp.pad(xs, ((0, 0), (0, steps), (0, 0)), constant_values=jnp.nan)
    inside = jnp.arange(2 * steps)[None, :, None] < lengths[:, None, None]
    padded = jnp.where(inside, padded, jnp.nan)

    def loss(params, xs):
        state, ys = seqjax.unroll(
            cell, params, xs, lengths=lengths, reverse=reverse, backend="native"
        )
        return (ys**2).sum(axis=(1, 2)).sum() + sum(s.sum() for s in jax.tree.leaves(state))

    (d_params, d_xs), (d_wide, d_padded) = (
        jax.grad(loss, argnums=(0, 1))(params, given) for given in (xs, padded)
    )
    alike(d_wide, d_params)
    alike(d_padded[:, :steps], d_xs)
    assert not np.any(d_padded[:, steps:])
    alike(
        *(
            seqjax.unroll(cell, params, given, lengths=lengths, reverse=reverse, backend="native")[
                0
            ]
            for given in (xs, padded)
        )
    )
