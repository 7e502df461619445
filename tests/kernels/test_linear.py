"""The linear recurrence against a loop in NumPy, in the form of each platform."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from seqjax.kernels import linear

pytestmark = pytest.mark.usefixtures("quick_compile")


def loop(decay, inflow, state, reverse):
    steps, states = range(len(inflow)), np.zeros_like(inflow)
    for t in reversed(steps) if reverse else steps:
        state = states[t] = decay[t if len(decay) > 1 else 0] * state + inflow[t]
    return states


def from_zero(form):
    """A form that begins at zero, given a state as `linear_scan` is."""

    def run(decay, inflow, state, reverse):
        begin = -1 if reverse else 0
        return form(
            decay, inflow.at[begin].add(decay[begin if len(decay) > 1 else 0] * state), reverse
        )

    return run


FORMS = [from_zero(linear._by_steps), from_zero(linear._by_halves), linear.linear_scan]


@pytest.mark.parametrize("form", FORMS, ids=["by_steps", "by_halves", "linear_scan"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", [(7, 2, 3), (1, 1, 3), (7, 2, 1)])
def test_values(x64, form, reverse, shape):
    rng = np.random.default_rng(0)
    decay = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    inflow, state = rng.normal(size=(7, 2, 3)) + 0j, rng.normal(size=(2, 3)) + 0j
    states = form(*map(jnp.asarray, (decay, inflow, state)), reverse)
    np.testing.assert_allclose(states, loop(decay, inflow, state, reverse), rtol=1e-10)


@hypothesis.given(seed=st.integers(0, 2**16), complex_numbers=st.booleans())
def test_composing_steps_is_associative(seed, complex_numbers):
    """What lets steps be taken together in any order: `lax.associative_scan` wants it."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(6, 2, 3)) + 1j * complex_numbers * rng.normal(size=(6, 2, 3))
    with jax.enable_x64(True):
        a, b, c = zip(map(jnp.asarray, numbers[:3]), map(jnp.asarray, numbers[3:]), strict=True)
        left = linear._compose(linear._compose(a, b), c)
        right = linear._compose(a, linear._compose(b, c))
    np.testing.assert_allclose(left, right, rtol=1e-10)
    # And it is what one step after another does.
    state, (decay, inflow) = rng.normal(size=(2, 3)), map(np.asarray, left)
    wanted = state
    for by, more in zip(numbers[:3], numbers[3:], strict=True):
        wanted = by * wanted + more
    np.testing.assert_allclose(decay * state + inflow, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", [(5, 2, 3), (1, 1, 3), (5, 2, 1)])
def test_derivatives(x64, reverse, shape):
    """First and second derivatives against differences."""
    rng = np.random.default_rng(1)
    arguments = rng.normal(size=shape), rng.normal(size=(5, 2, 3)), rng.normal(size=(2, 3))
    form = jax.jit(lambda *arguments: linear.linear_scan(*arguments, reverse))
    jax.test_util.check_grads(form, arguments, order=2, modes=["fwd", "rev"])
