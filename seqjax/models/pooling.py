"""What a recurrence has read: its outputs at the two ends of a row, or the greatest over its steps."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.losses import length_mask
from seqjax.recurrence import Recurrence
from seqjax.typing import Lengths


def ends(
    recurrence: Recurrence, ys: Float[Array, "*batch time features"], lengths: Lengths
) -> Float[Array, "*batch ends"]:
    """Returns the output of every direction after the last step that it reads.

    A causal recurrence ends at a row's last valid step. In `bidirectional` with `merge="concat"`
    the forward half ends there and the backward half at the first step. Merged otherwise the halves
    cannot be told apart: then the outputs of both ends stand side by side.

    Args:
      recurrence: that gave the outputs.
      ys: its outputs, 0 past a row's end, at least one step.
      lengths: valid steps of each row, clamped to the steps of `ys`.

    Returns:
      `[*batch, features]`, or twice the features for another merge; 0 for a row of length 0.
    """
    # The index of each row's last step, [*batch, 1, 1].
    last = jnp.clip(lengths - 1, 0, ys.shape[-2] - 1)[..., None, None]
    # Each [*batch, features].
    at_last = jnp.take_along_axis(ys, last, axis=-2)[..., 0, :]
    return recurrence.ends(ys[..., 0, :], at_last)


def highest(
    ys: Float[Array, "*batch time features"], lengths: Lengths
) -> Float[Array, "*batch features"]:
    """Returns the greatest value of each feature over the valid steps; 0 for a row of length 0."""
    mask = length_mask(lengths, ys.shape[-2])[..., None]
    lowest = jnp.finfo(ys.dtype).min
    top = jnp.where(mask, ys, lowest).max(-2, initial=lowest)
    return jnp.where(lengths[..., None] > 0, top, 0)
