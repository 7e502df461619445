"""Means over what is valid."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float


def length_mask(lengths: ArrayLike, time: int) -> Bool[Array, "*batch time"]:
    """True at the first `lengths [*batch]` of `time` steps: `[*batch, time]`.

    A length below 0 or above `time` counts as 0 or `time`.
    """
    lengths = jnp.asarray(lengths)
    # [1, ..., 1, time] against [*batch, 1].
    steps = jnp.arange(time, dtype=lengths.dtype).reshape(*(1,) * lengths.ndim, time)
    return steps < lengths[..., None]


def masked_mean(values: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, ""]:
    """`sum(mask * values) / sum(mask)`; 0 where nothing is valid.

    Args:
      values: an array; what stands where the mask is zero is ignored, NaN included, also by the
        gradient.
      mask: validity or weight, of a shape that broadcasts to that of `values`; None when all are
        valid.

    Returns:
      A scalar, float32 or wider.
    """
    values = at_least_float32(values)
    mask = jnp.ones(values.shape, values.dtype) if mask is None else mask
    mask = jnp.broadcast_to(jnp.asarray(mask, values.dtype), values.shape)
    # What is hidden becomes 0 before it is multiplied, for 0 * NaN is NaN.
    total = jnp.sum(jnp.where(mask != 0, values, 0) * mask)
    weight = mask.sum()
    # Divided by 1 where nothing is valid, so that the gradient there is 0 too.
    return jnp.where(weight == 0, 0, total / jnp.where(weight == 0, 1, weight))


def at_least_float32(array: ArrayLike) -> Float[Array, "..."]:
    """Returns the array in its own dtype or in float32, whichever is wider."""
    array = jnp.asarray(array)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def nan_unless(known: ArrayLike, values: ArrayLike) -> Float[Array, "..."]:
    """Returns the values, and NaN where `known` is False.

    The derivative is NaN there too, so that no step takes it.

    Args:
      known: booleans of the shape of `values`.
      values: floating point.
    """
    values = jnp.asarray(values)
    # A product, for a `where` would cut the derivative off.
    return values * jnp.where(jnp.asarray(known), 1, jnp.nan).astype(values.dtype)
