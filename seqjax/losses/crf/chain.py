"""`Scores`: the four arrays of a linear chain, and their checks."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from seqjax.checks import checked_lengths
from seqjax.losses.masked import at_least_float32, length_mask

FORBIDDEN = -1e9
"""The score of what may not be: its probability is 0, and differences of it are numbers."""


class Scores(NamedTuple):
    """Arrays that a linear chain is made of.

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
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None,
) -> tuple[Scores, Bool[Array, "time *batch"]]:
    """Returns the chain, finite, with emissions `[time, *batch, tags]`, and the valid steps.

    In the padding emissions are 0.
    """
    emissions, transitions, start, end = map(at_least_float32, (emissions, transitions, start, end))
    if emissions.ndim < 2:
        raise ValueError(f"emissions have shape {emissions.shape}; give [*batch, time, tags]")
    *batch, time, tags = emissions.shape
    for name, array, wanted in (
        ("transitions", transitions, (tags, tags)),
        ("start", start, (tags,)),
        ("end", end, (tags,)),
    ):
        if array.shape != wanted:
            raise ValueError(
                f"{name} has shape {array.shape}; emissions of {tags} tags want {wanted}"
            )
    lengths = checked_lengths(lengths, tuple(batch), time)
    # Time first from here on: [time, *batch], then [time, *batch, tags].
    valid = jnp.moveaxis(length_mask(lengths, time), -1, 0)
    emissions = jnp.where(valid[..., None], jnp.moveaxis(emissions, -2, 0), 0)
    # Minus infinity would make gradients NaN.
    chain = Scores(emissions, transitions, start, end)
    return Scores(*(jnp.maximum(array, FORBIDDEN) for array in chain)), valid


def is_forbidden(scores: ArrayLike) -> Bool[Array, "..."]:
    """Returns True where an entry, or a sum with such an entry, is that of what may not be."""
    return jnp.asarray(scores) <= FORBIDDEN / 2
