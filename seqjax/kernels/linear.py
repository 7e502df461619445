"""The linear recurrence `s' = decay * s + inflow`, element by element, with a hand-written derivative.

The derivative is a linear recurrence too, run the other way, so nothing but the states is kept for it. An accelerator
runs both in O(log time) dependent steps (Blelloch, 1990); a CPU has no use for so much width and goes step by step.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact


def linear_scan(
    decay: Inexact[Array, "..."],
    inflow: Inexact[Array, "time ..."],
    state: Inexact[Array, "..."],
    reverse: bool = False,
) -> Inexact[Array, "time ..."]:
    """All states of `s' = decay * s + inflow`.

    Args:
      decay: `[time, ...]`, or `[1, ...]` if it is the same at each step; it may broadcast against inflow.
      inflow: `[time, ...]`.
      state: before the first step read, `[...]`.
      reverse: read the last step first.

    Returns:
      The state after each step, `[time, ...]`, in the order of inflow.
    """
    return _solve(decay, inflow, state, reverse)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _solve(decay, inflow, state, reverse) -> Any:
    by_steps, by_halves = (functools.partial(form, reverse=reverse) for form in (_by_steps, _by_halves))
    return lax.platform_dependent(decay, inflow, state, cpu=by_steps, default=by_halves)


def _by_steps(decay, inflow, state, reverse):
    steady = decay.shape[0] == 1

    def step(s, inputs):
        s = (decay[0] * s + inputs) if steady else (inputs[0] * s + inputs[1])
        return s, s

    return lax.scan(step, state, inflow if steady else (decay, inflow), reverse=reverse)[1]


def _by_halves(decay, inflow, state, reverse):
    coefficients = (jnp.broadcast_to(decay, inflow.shape), inflow)
    decays, inflows = lax.associative_scan(_compose, coefficients, reverse=reverse)
    return decays * state + inflows


def _compose(first, second):
    (decay, inflow), (next_decay, next_inflow) = first, second
    return decay * next_decay, next_decay * inflow + next_inflow


def _forward(decay, inflow, state, reverse):
    states = _solve(decay, inflow, state, reverse)
    return states, (decay, states, state)


def _backward(reverse, kept, gradients):
    decay, states, state = kept
    begin = -1 if reverse else 0
    after = decay if decay.shape[0] == 1 else jnp.roll(decay, 1 if reverse else -1, axis=0)
    flows: Any = _solve(after, gradients, jnp.zeros_like(state), not reverse)
    before = jnp.roll(states, -1 if reverse else 1, axis=0).at[begin].set(state)
    return _sum_to(flows * before, decay.shape), flows, decay[begin if decay.shape[0] > 1 else 0] * flows[begin]


def _sum_to(array, shape):
    """The sum over those axes that were broadcast from `shape`, which has as many."""
    axes = tuple(i for i, (have, want) in enumerate(zip(array.shape, shape, strict=True)) if have != want)
    return array.sum(axes, keepdims=True)


_solve.defvjp(_forward, _backward)
