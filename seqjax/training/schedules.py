"""How often a decoder reads its own words in training: schedules of scheduled sampling (Bengio et al., 2015).

Each function gives a schedule in optax's form, `schedule(step) -> probability of reading the true token`, and so goes
wherever an optax schedule goes.
"""

import jax.numpy as jnp
import optax


def constant_sampling(probability: float) -> optax.Schedule:
    """The same probability at every step."""
    _check_probability("probability", probability)
    return optax.constant_schedule(probability)


def linear_sampling(steps: int, start: float = 1.0, end: float = 0.0) -> optax.Schedule:
    """A straight line from `start` to `end` over `steps` steps, flat afterwards."""
    _check_probability("start", start)
    _check_probability("end", end)
    return optax.linear_schedule(start, end, _positive("steps", steps))


def exponential_sampling(decay: float, end: float = 0.0) -> optax.Schedule:
    """`max(end, decay ** step)`, for a decay below 1."""
    _check_probability("end", end)
    if not 0 < decay < 1:
        raise ValueError(f"exponential_sampling: decay is {decay}; give a number between 0 and 1")
    return lambda step: jnp.maximum(end, jnp.power(decay, jnp.asarray(step, jnp.float32)))


def inverse_sigmoid_sampling(k: float, end: float = 0.0) -> optax.Schedule:
    """`max(end, k / (k + exp(step / k)))`: flat, then falling around step k ln k, then flat; for k of at least 1."""
    _check_probability("end", end)
    if not k >= 1:
        raise ValueError(f"inverse_sigmoid_sampling: k is {k}; give at least 1")
    return lambda step: jnp.maximum(end, k / (k + jnp.exp(jnp.asarray(step, jnp.float32) / k)))


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"scheduled sampling: {name} is {value}; give a probability from 0 to 1")


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"scheduled sampling: {name} is {value}; give at least 1")
    return value
