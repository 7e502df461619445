"""What CTC computes with: logits, labels and lengths, looked at before they are used."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.checks import checked_lengths
from seqjax.losses.masked import at_least_float32, length_mask


class Checked(NamedTuple):
    """Arrays that `ctc` and `align` compute with.

    Attributes:
      logits: float32 or wider, 0 in the padding, `[batch, time, alphabet]`.
      labels: int32, `blank` in the padding and where a symbol is not in the alphabet,
        `[batch, positions]`.
      lengths: int32 within the frames, `[batch]`.
      label_lengths: int32 within the positions, `[batch]`.
      known: False for rows with a label that is not in the alphabet or is the blank, `[batch]`.
    """

    logits: Array
    labels: Array
    lengths: Array
    label_lengths: Array
    known: Array


def checked(
    logits: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike | None,
    label_lengths: ArrayLike | None,
    blank: int,
) -> Checked:
    """Returns the arrays of a loss or an alignment, or refuses them (values not under jit)."""
    logits = checked_logits(logits, blank)
    labels = labels if isinstance(labels, Tracer) else np.asarray(labels)
    batch, time, alphabet = logits.shape
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels are {labels.dtype}; give integers [batch, positions]")
    if labels.ndim != 2 or len(labels) != batch:
        raise ValueError(
            f"labels have shape {labels.shape}; logits {logits.shape} want [{batch}, positions]"
        )
    positions = labels.shape[1]
    lengths = checked_lengths(lengths, (batch,), time)
    label_lengths = checked_lengths(label_lengths, (batch,), positions, "label_lengths")
    # [batch, positions], refused where it counts and can be looked at.
    wrong = (labels < 0) | (labels >= alphabet) | (labels == blank)
    if not isinstance(labels, Tracer) and not isinstance(label_lengths, Tracer):
        given = labels[wrong & (np.arange(positions) < np.asarray(label_lengths)[:, None])]
        if given.size:
            raise ValueError(
                f"a label is {given[0]}; "
                f"give symbols from 0 to {alphabet - 1} other than blank={blank}"
            )
    # Under jit a wrong symbol is as good as a blank: `known` tells of it.
    valid = length_mask(label_lengths, positions)
    labels = jnp.where(valid & ~wrong, jnp.asarray(labels, jnp.int32), blank)
    logits = jnp.where(length_mask(lengths, time)[..., None], logits, 0)
    return Checked(logits, labels, lengths, label_lengths, ~(valid & wrong).any(-1))


def checked_logits(logits: ArrayLike, blank: int) -> Float[Array, "batch time alphabet"]:
    """Returns the logits, float32 or wider, refused where they do not fit."""
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"logits are {logits.dtype}; give floating-point scores [batch, time, alphabet]"
        )
    if logits.ndim != 3:
        raise ValueError(f"logits have shape {logits.shape}; give [batch, time, alphabet]")
    if not 0 <= blank < logits.shape[-1]:
        raise ValueError(
            f"blank is {blank}; give a symbol of the alphabet, from 0 to {logits.shape[-1] - 1}"
        )
    return at_least_float32(logits)
