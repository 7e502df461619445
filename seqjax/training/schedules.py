"""What a decoder reads in training: the true tokens (teacher forcing), or now and then its own (scheduled sampling).

Each schedule (Bengio et al., 2015) has optax's form,
`schedule(step) -> probability of reading the true token`, and so goes wherever an optax schedule
goes.
"""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Int

from seqjax.typing import KeyArray


def shift_right(tokens: ArrayLike | list, first: int) -> Int[Array, "*batch time"]:
    """What a decoder reads under teacher forcing: the tokens `[*batch, time]` one step later, after `first`.

    Example:
      >>> shift_right([[5, 6, 7]], first=1).tolist()
      [[1, 5, 6]]
    """
    tokens = jnp.asarray(tokens)
    return jnp.roll(tokens, 1, axis=-1).at[..., 0].set(first)


def mix_tokens(key: KeyArray, probability: ArrayLike, true: ArrayLike, own: ArrayLike) -> Array:
    """Each true token with this probability, else the model's own; no gradient flows through the choice.

    Args:
      key: what the draws come from.
      probability: of the true token, from a schedule.
      true: tokens of the data, of any shape.
      own: tokens that the model predicted for the same places.

    Returns:
      Tokens of that shape.

    Raises:
      ValueError: the shapes differ.
    """
    true, own = jnp.asarray(true), jax.lax.stop_gradient(jnp.asarray(own))
    if true.shape != own.shape:
        raise ValueError(
            f"true tokens have shape {true.shape}, the model's own {own.shape}; give the same places"
        )
    return jnp.where(jax.random.bernoulli(key, probability, true.shape), true, own)


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
