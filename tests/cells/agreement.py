"""What the tests of every cell check: its numbers against NumPy's, its derivatives against differences."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

import seqjax
from tests.recurrences import assert_close, draw_inputs, draw_params, draw_state, in_float64


def make_arguments(cell, batch_shape, time):
    """Params, inputs and a state in mid-sequence, all in float64."""
    return in_float64(
        (draw_params(cell), draw_inputs((*batch_shape, time)), draw_state(cell, batch_shape))
    )


def assert_agrees(cell, reference):
    """`unroll` and `step` give what `reference(params, xs, state) -> (state, ys)` gives for single rows."""
    params, xs, state = make_arguments(cell, (2,), 5)
    after, ys = seqjax.unroll(cell, params, xs, state)
    for row in range(2):
        take = lambda tree, row=row: jax.tree.map(lambda leaf: np.asarray(leaf[row]), tree)  # noqa: E731
        wanted_state, wanted_ys = reference(params, take(xs), take(state))
        assert_close(
            (jax.tree.leaves(take(after)), take(ys)),
            (jax.tree.leaves(wanted_state), wanted_ys),
            1e-12,
        )


def assert_gradients_agree_with_differences(cell, backend="auto"):
    """Every derivative of outputs and state, with respect to params, inputs and state, in float64."""

    @jax.jit
    def results(params, xs, state):
        after, ys = seqjax.unroll(cell, params, xs, state, backend=backend)
        return ys, [jnp.real(leaf) + 2 * jnp.imag(leaf) for leaf in jax.tree.leaves(after)]

    check_grads(
        results,
        make_arguments(cell, (2,), 4),
        order=1,
        modes=["rev"],
        atol=1e-5,
        rtol=1e-5,
        eps=1e-5,
    )
