"""The linear recurrence `s' = decay * s + inflow`, element by element, solved as the linear system that it is.

All its steps together are the equations `s' - decay * s = inflow`. Derivatives of a solution,
forwards and backwards and of any order, are solutions of the same system or of the transposed one,
which is a linear recurrence run the other way: nothing but the states is kept for them. An
accelerator takes O(log time) dependent steps (Blelloch, 1990); a CPU has no use for so much width
and goes step by step, in real arithmetic, for XLA's complex products on a CPU guard against
infinities one number at a time.
"""

import functools
from typing import Any

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
      decay: `[time, ...]`, or `[1, ...]` if it is the same at each step; it may broadcast against
        inflow.
      inflow: `[time, ...]`.
      state: before the first step read, `[...]`.
      reverse: read the last step first.

    Returns:
      The state after each step, `[time, ...]`, in the order of inflow.
    """
    begin = -1 if reverse else 0
    at_start = decay[0 if decay.shape[0] == 1 else begin]
    inflow = inflow.at[begin].add(_whole(_product(_parts(at_start), _parts(state))))
    return lax.custom_linear_solve(
        lambda states: _residue(decay, states, reverse),
        inflow,
        solve=lambda _, inflow: _solve(decay, inflow, reverse),
        transpose_solve=lambda _, outflow: _solve(
            _shifted(decay, not reverse), outflow, not reverse
        ),
    )


def _residue(decay, states, reverse):
    """`s_t - decay_t s_before_t`, zero standing before all."""
    before = _shifted(states, reverse).at[-1 if reverse else 0].set(0)
    # One sum over what is broadcast, and not one for each product, where the gradient of decay is
    # taken.
    decay = jnp.broadcast_to(decay, states.shape)
    return states - _whole(_product(_parts(decay), _parts(before)))


def _shifted(array, reverse):
    """What step t holds, at the step read after it; the first one read holds what the last one held."""
    return array if array.shape[0] == 1 else jnp.roll(array, -1 if reverse else 1, axis=0)


def _solve(decay, inflow, reverse) -> Any:
    """The states from zero on, in the form of the platform."""
    by_steps, by_halves = (
        functools.partial(form, reverse=reverse) for form in (_by_steps, _by_halves)
    )
    if not isinstance(inflow.shape[0], int):
        return by_steps(decay, inflow)  # A symbolic number of steps cannot be halved.
    return lax.platform_dependent(decay, inflow, cpu=by_steps, default=by_halves)


def _by_steps(decay, inflow, reverse):
    steady, decay = decay.shape[0] == 1, _parts(decay)
    now = tuple(part[0] for part in decay)

    def step(s, inputs):
        by, more = (now, inputs) if steady else inputs
        s = tuple(a + b for a, b in zip(_product(by, s), more, strict=True))
        return s, s

    inputs = _parts(inflow) if steady else (decay, _parts(inflow))
    return _whole(lax.scan(step, _parts(jnp.zeros_like(inflow[0])), inputs, reverse=reverse)[1])


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


def _by_halves(decay, inflow, reverse):
    coefficients = (jnp.broadcast_to(decay, inflow.shape), inflow)
    return lax.associative_scan(_compose, coefficients, reverse=reverse)[1]


def _compose(first, second):
    (decay, inflow), (next_decay, next_inflow) = first, second
    return decay * next_decay, next_decay * inflow + next_inflow
