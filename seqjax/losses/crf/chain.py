"""`Scores`: what a linear chain is made of, and its checks."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from seqjax.losses.masked import length_mask

FORBIDDEN = -1e9
"""The score of what may not be: its probability is 0, and differences of it are numbers."""


class Scores(NamedTuple):
    """What a linear chain is made of.

    Attributes:
      emissions: of each tag at each step, `[*batch, time, tags]`.
      transitions: from a tag (row) to the next one (column), `[tags, tags]`.
      start: of the first tag, `[tags]`.
      end: of the last tag, `[tags]`.
    """

    emissions: Float[Array, "*batch time tags"]
    transitions: Float[Array, "tags tags"]
    start: Float[Array, "tags"]
    end: Float[Array, "tags"]


def checked(
    emissions: ArrayLike, transitions: ArrayLike, start: ArrayLike, end: ArrayLike, lengths: ArrayLike | None
) -> tuple[Scores, Bool[Array, "time *batch"]]:
    """The chain, finite, its emissions time-major and 0 in the padding; and the mask of valid steps, time-major."""
    emissions, transitions, start, end = map(at_least_float32, (emissions, transitions, start, end))
    if emissions.ndim < 2:
        raise ValueError(f"emissions have shape {emissions.shape}; give [*batch, time, tags]")
    *batch, time, tags = emissions.shape
    for name, array, wanted in (
        ("transitions", transitions, (tags, tags)), ("start", start, (tags,)), ("end", end, (tags,)),
    ):  # fmt: skip
        if array.shape != wanted:
            raise ValueError(f"{name} has shape {array.shape}; emissions of {tags} tags want {wanted}")
    lengths = jnp.full(batch, time) if lengths is None else jnp.asarray(lengths)
    if lengths.shape != tuple(batch):
        raise ValueError(f"lengths have shape {lengths.shape}; the batch of the emissions is {tuple(batch)}")
    if not isinstance(lengths, Tracer) and lengths.size and not 0 <= lengths.min() <= lengths.max() <= time:
        raise ValueError(f"lengths reach from {lengths.min()} to {lengths.max()}; give lengths from 0 to {time}")
    valid = jnp.moveaxis(length_mask(lengths, time), -1, 0)
    emissions = jnp.where(valid[..., None], jnp.moveaxis(emissions, -2, 0), 0)
    return Scores(*(jnp.maximum(array, FORBIDDEN) for array in (emissions, transitions, start, end))), valid


def at_least_float32(array: ArrayLike) -> Float[Array, "..."]:
    """The array in its own dtype or in float32, whichever is wider."""
    array = jnp.asarray(array)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))
