"""Mistakes of other libraries, shown absent by the plainest case of each.

Elsewhere: orthogonality gate by gate in `cells/test_gates.py`, the GRU's two candidate biases in
`cells/test_gru.py`, a wrong number of features in `test_unroll.py`. The same facts hold for every
recurrence by the laws of `test_recurrence.py`; here they are compared with a loop in NumPy.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests import references
from tests.recurrences import RECURRENCES, assert_close, draw_inputs, draw_params, draw_state, each

CELL = seqjax.Elman(4)
PARAMS = draw_params(CELL)
LENGTHS = np.array([5, 3, 0, 1])


@pytest.fixture
def padded():
    """Four rows of up to 5 steps, the rest of each NaN, and their states before."""
    xs = draw_inputs((4, 5))
    xs[np.arange(5) >= LENGTHS[:, None]] = np.nan
    return xs, draw_state(CELL, (4,))


def test_a_row_of_length_0_ends_in_the_state_it_began_with(padded):
    """Not in zeros, and not in the state after the first step of the padding."""
    xs, state = padded
    after, _ = seqjax.unroll(CELL, PARAMS, xs, state, lengths=LENGTHS)
    np.testing.assert_array_equal(after[2], state[2])
    assert np.abs(state[2]).min() > 0


def test_the_reverse_direction_does_not_read_the_padding(padded):
    """A row reversed together with its padding would read that first."""
    xs, state = padded
    after, ys = seqjax.unroll(CELL, PARAMS, xs, state, lengths=LENGTHS, reverse=True)
    for row, length in enumerate(LENGTHS):
        wanted = references.elman(PARAMS, xs[row, :length][::-1], state[row])
        assert_close((np.asarray(after[row]), np.asarray(ys[row, :length])[::-1]), wanted)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_outputs_in_the_padding_are_zero(padded, reverse):
    xs, state = padded
    _, ys = seqjax.unroll(CELL, PARAMS, xs, state, lengths=LENGTHS, reverse=reverse)
    for row, length in enumerate(LENGTHS):
        assert (ys[row, length:] == 0).all() and (ys[row, :length] != 0).all()


def test_two_batch_axes_may_have_lengths(padded):
    xs, state = padded
    after, ys = seqjax.unroll(
        CELL, PARAMS, xs.reshape(2, 2, 5, -1), state.reshape(2, 2, 4), lengths=LENGTHS.reshape(2, 2)
    )
    for row, length in enumerate(LENGTHS):
        wanted = references.elman(PARAMS, xs[row, :length], state[row])
        assert_close(
            (np.asarray(after.reshape(4, 4)[row]), np.asarray(ys.reshape(4, 5, 4)[row, :length])),
            wanted,
        )


@each(RECURRENCES)
@pytest.mark.parametrize(
    "param_dtype", [jnp.float32, jnp.bfloat16], ids=["float32 params", "bfloat16 params"]
)
def test_bfloat16_goes_in_and_out_and_float32_is_kept_in_between(recurrence, param_dtype):
    params = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct(p.shape, param_dtype), draw_params(recurrence)
    )
    xs = jax.ShapeDtypeStruct((2, 5, 3), jnp.bfloat16)
    lengths = jax.ShapeDtypeStruct((2,), jnp.int32)
    run = lambda params, xs, lengths: seqjax.unroll(  # noqa: E731
        recurrence, params, xs, lengths=lengths, rng=jax.random.key(0)
    )
    state, ys = jax.eval_shape(run, params, xs, lengths)
    assert ys.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} <= {
        np.dtype("float32"),
        np.dtype("complex64"),
    }


def test_a_state_in_bfloat16_does_not_stall():
    """1000 small steps: in bfloat16 a sum stops growing where a step is below its last digit."""
    cell = seqjax.MinGRU(1)
    params = {"w_x": jnp.array([[0.0, 1.0]]), "b": jnp.array([-6.0, 0.0])}
    for backend in ("auto", "scan"):
        state, _ = seqjax.unroll(cell, params, jnp.ones((1000, 1), jnp.bfloat16), backend=backend)
        np.testing.assert_allclose(state, 1 - (1 - 1 / (1 + np.exp(6))) ** 1000, rtol=1e-3)
