"""Means over what is valid."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float


def length_mask(lengths: ArrayLike, time: int) -> Bool[Array, "*batch time"]:
    """True at the first `lengths [*batch]` of `time` steps: `[*batch, time]`."""
    lengths = jnp.asarray(lengths)
    steps = jnp.arange(time, dtype=lengths.dtype).reshape(*(1,) * lengths.ndim, time)
    return steps < lengths[..., None]


def masked_mean(values: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, ""]:
    """`sum(mask * values) / sum(mask)`; 0 where nothing is valid.

    Args:
      values: an array; what stands where the mask is zero is ignored, NaN included, also by the gradient.
      mask: validity or weight, of a shape that broadcasts to that of `values`; None when all are valid.

    Returns:
      A scalar, float32 or wider.
    """
    values = jnp.asarray(values)
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    mask = jnp.ones(values.shape, values.dtype) if mask is None else mask
    mask = jnp.broadcast_to(jnp.asarray(mask, values.dtype), values.shape)
    total = jnp.sum(jnp.where(mask != 0, values, 0) * mask)
    weight = mask.sum()
    return jnp.where(weight == 0, 0, total / jnp.where(weight == 0, 1, weight))
