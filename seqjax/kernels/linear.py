"""The linear recurrence `s' = decay * s + inflow`, solved as the linear system that it is.

It runs element by element. All its steps together are the equations `s' - decay * s = inflow`.
Derivatives of a solution, forwards and backwards and of any order, are solutions of the same system
or of the transposed one, which is a linear recurrence run the other way: nothing but the states is
kept for them. An accelerator takes O(log time) dependent steps (Blelloch, 1990); a CPU has no use
for so much width and goes step by step, in real arithmetic, for XLA's complex products on a CPU
guard against infinities one number at a time.
"""

import functools
from typing import TypeAlias

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Inexact

Numbers: TypeAlias = Inexact[Array, "..."]
Steps: TypeAlias = Inexact[Array, "time ..."]
Parts: TypeAlias = tuple[Array, ...]
"""A number as real arrays: `(a,)`, or `(real, imaginary)`."""


def linear_scan(
    decay: Numbers,
    inflow: Steps,
    state: Numbers,
    reverse: bool = False,
) -> Steps:
    """Computes all states of `s' = decay * s + inflow`.

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
    # The state before joins the inflow of the first step read: the system itself begins at zero.
    inflow = inflow.at[begin].add(_whole(_product(_parts(at_start), _parts(state))))

    def residue(states: Steps) -> Steps:
        return _residue(decay, states, reverse)

    def solve(_: object, inflow: Steps) -> Steps:
        return _solve(decay, inflow, reverse)

    def solve_transposed(_: object, outflow: Steps) -> Steps:
        # Each step hands on to the one read before it, by the decay that stood between them.
        return _solve(_shifted(decay, not reverse), outflow, not reverse)

    return lax.custom_linear_solve(residue, inflow, solve=solve, transpose_solve=solve_transposed)


def _residue(decay: Numbers, states: Steps, reverse: bool) -> Steps:
    """Computes `s_t - decay_t s_before_t`, zero standing before all."""
    # The state before each step read, [time, ...].
    before = _shifted(states, reverse).at[-1 if reverse else 0].set(0)
    # One sum over what is broadcast, and not one for each product, where the gradient of decay is
    # taken.
    decay = jnp.broadcast_to(decay, states.shape)
    return states - _whole(_product(_parts(decay), _parts(before)))


def _shifted(array: Numbers, reverse: bool) -> Numbers:
    """Returns at each step what the one read before it holds; at the first, what the last holds."""
    return array if array.shape[0] == 1 else jnp.roll(array, -1 if reverse else 1, axis=0)


def _solve(decay: Numbers, inflow: Steps, reverse: bool) -> Steps:
    """Computes the states from zero on, in the form of the platform."""
    by_steps = functools.partial(_by_steps, reverse=reverse)
    by_halves = functools.partial(_by_halves, reverse=reverse)
    if not isinstance(inflow.shape[0], int):
        return by_steps(decay, inflow)  # A symbolic number of steps cannot be halved.
    return lax.platform_dependent(decay, inflow, cpu=by_steps, default=by_halves)


def _by_steps(decay: Numbers, inflow: Steps, reverse: bool) -> Steps:
    """Computes the states one after another, in real arithmetic."""
    steady, decays = decay.shape[0] == 1, _parts(decay)
    # A decay that is the same at each step is no input of the loop.
    now = tuple(part[0] for part in decays)

    def step(s: Parts, inputs: tuple) -> tuple[Parts, Parts]:
        by, more = (now, inputs) if steady else inputs
        # s' = decay s + inflow, in real parts.
        s = tuple(a + b for a, b in zip(_product(by, s), more, strict=True))
        return s, s

    inputs = _parts(inflow) if steady else (decays, _parts(inflow))
    start = _parts(jnp.zeros_like(inflow[0]))
    _, states = lax.scan(step, start, inputs, reverse=reverse)
    return _whole(states)


def _parts(array: Numbers) -> Parts:
    """Returns a number as real arrays: `(a,)` or, where it is complex, `(real, imaginary)`."""
    return (array.real, array.imag) if jnp.iscomplexobj(array) else (array,)


def _whole(parts: Parts) -> Numbers:
    """Returns the number that `_parts` took apart."""
    return lax.complex(*parts) if len(parts) == 2 else parts[0]


def _product(a: Parts, b: Parts) -> Parts:
    """Multiplies two numbers, both real or both complex."""
    if len(a) == len(b) == 1:
        return (a[0] * b[0],)
    (re, im), (real, imaginary) = a, b
    return re * real - im * imaginary, re * imaginary + im * real


def _by_halves(decay: Numbers, inflow: Steps, reverse: bool) -> Steps:
    """Computes the states in O(log time) dependent steps."""
    coefficients = (jnp.broadcast_to(decay, inflow.shape), inflow)
    # Composed over all steps so far, from zero, the inflow is the state.
    _, states = lax.associative_scan(_compose, coefficients, reverse=reverse)
    return states


def _compose(
    first: tuple[Numbers, Numbers], second: tuple[Numbers, Numbers]
) -> tuple[Numbers, Numbers]:
    """Makes one step of two: `s' = next_decay (decay s + inflow) + next_inflow`."""
    (decay, inflow), (next_decay, next_inflow) = first, second
    return decay * next_decay, next_decay * inflow + next_inflow
