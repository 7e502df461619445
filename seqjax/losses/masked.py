"""Means over what is valid."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int


def length_mask(lengths: ArrayLike, time: int) -> Bool[Array, "*batch time"]:
    """True at the first `lengths [*batch]` of `time` steps: `[*batch, time]`.

    A length below 0 or above `time` counts as 0 or `time`.
    """
    return jnp.arange(time) < jnp.asarray(lengths)[..., None]


def masked_mean(values: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, ""]:
    """`sum(mask * values) / sum(mask)`; 0 where nothing is valid.

    Args:
      values: an array; what stands where the mask is zero is ignored, NaN included, also by the gradient.
      mask: validity or weight, of a shape that broadcasts to that of `values`; None when all are valid.

    Returns:
      A scalar, float32 or wider.
    """
    values = at_least_float32(values)
    mask = jnp.ones(values.shape, values.dtype) if mask is None else mask
    mask = jnp.broadcast_to(jnp.asarray(mask, values.dtype), values.shape)
    total = jnp.sum(jnp.where(mask != 0, values, 0) * mask)
    weight = mask.sum()
    return jnp.where(weight == 0, 0, total / jnp.where(weight == 0, 1, weight))


def at_least_float32(array: ArrayLike) -> Float[Array, "..."]:
    """Returns the array in its own dtype or in float32, whichever is wider."""
    array = jnp.asarray(array)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def checked_lengths(
    name: str, lengths: ArrayLike | list | tuple | None, batch: tuple[int, ...], most: int
) -> Int[Array, "*batch"]:
    """Returns lengths int32 `[*batch]`, all of them `most` where none are given.

    Where the values are known they are checked. Under jit they are not, and a length out of range is taken as the
    nearest one in range, 0 or `most`, as `seqjax.unroll` does.

    Args:
      name: of the argument, for a complaint.
      lengths: integers `[*batch]`, or None.
      batch: their shape.
      most: the size of the axis that they count along.

    Raises:
      TypeError: the lengths are no integers.
      ValueError: they have another shape, or one is below 0 or above `most`.
    """
    if lengths is None:
        return jnp.full(batch, most, jnp.int32)
    given: Any = lengths if isinstance(lengths, Tracer) else np.asarray(lengths)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise TypeError(f"{name} are {given.dtype}; give integers, the number of valid entries of each row")
    if given.shape != batch:
        raise ValueError(f"{name} have shape {given.shape}; the batch is {batch}")
    if isinstance(given, Tracer):
        return jnp.clip(given, 0, most).astype(jnp.int32)
    if given.size and not 0 <= given.min() <= given.max() <= most:
        raise ValueError(f"{name} reach from {given.min()} to {given.max()}; give lengths from 0 to {most}")
    return jnp.asarray(given, jnp.int32)


def nan_unless(known: ArrayLike, values: ArrayLike) -> Float[Array, "..."]:
    """Returns the values, and NaN where `known` is False: the derivative is NaN there too, so no step takes it.

    Args:
      known: booleans of the shape of `values`.
      values: floating point.
    """
    values = jnp.asarray(values)
    return values * jnp.where(jnp.asarray(known), 1, jnp.nan).astype(values.dtype)
