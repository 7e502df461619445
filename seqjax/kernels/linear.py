"""The linear recurrence `s' = decay * s + inflow`, element by element, with a hand-written derivative.

The derivative is a linear recurrence too, run the other way, so nothing but the states is kept for it. An accelerator
runs both in O(log time) dependent steps (Blelloch, 1990); a CPU has no use for so much width and goes step by step, in
real arithmetic, for XLA's complex products on a CPU guard against infinities one number at a time.
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
    if not isinstance(inflow.shape[0], int):
        return by_steps(decay, inflow, state)  # A symbolic number of steps cannot be halved.
    return lax.platform_dependent(decay, inflow, state, cpu=by_steps, default=by_halves)


def _by_steps(decay, inflow, state, reverse):
    steady, decay = decay.shape[0] == 1, _parts(decay)
    now = tuple(part[0] for part in decay)

    def step(s, inputs):
        by, more = (now, inputs) if steady else inputs
        s = tuple(a + b for a, b in zip(_product(by, s), more, strict=True))
        return s, s

    inputs = _parts(inflow) if steady else (decay, _parts(inflow))
    return _whole(lax.scan(step, _parts(state), inputs, reverse=reverse)[1])


def _parts(array) -> tuple:
    """A number as real arrays: `(a,)` or, where it is complex, `(real, imaginary)`."""
    return (array.real, array.imag) if jnp.iscomplexobj(array) else (array,)


def _whole(parts):
    return lax.complex(*parts) if len(parts) == 2 else parts[0]


def _product(a, b):
    if len(a) == len(b) == 1:
        return (a[0] * b[0],)
    (re, im), (real, imaginary) = a, b
    return re * real - im * imaginary, re * imaginary + im * real


def _by_halves(decay, inflow, state, reverse):
    coefficients = (jnp.broadcast_to(decay, inflow.shape), inflow)
    decays, inflows = lax.associative_scan(_compose, coefficients, reverse=reverse)
    return decays * state[None] + inflows


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
    d_decay = _whole(tuple(_sum_to(part, decay.shape) for part in _product(_parts(flows), _parts(before))))
    return d_decay, flows, decay[begin if decay.shape[0] > 1 else 0] * flows[begin]


def _sum_to(array, shape):
    """The sum over those axes that were broadcast from `shape`, which has as many."""
    axes = tuple(i for i, (have, want) in enumerate(zip(array.shape, shape, strict=True)) if have != want)
    return array.sum(axes, keepdims=True)


_solve.defvjp(_forward, _backward)
