"""What may be asked of attention weights beside the words that they help to write."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.losses.masked import masked_mean


def doubly_stochastic(
    weights: Float[Array, "batch time positions"], mask: ArrayLike | None = None, positions: ArrayLike | None = None
) -> Float[Array, ""]:
    """How unevenly a whole text looked at its positions: the mean of `(1 - sum_t weights_t)^2` over the positions.

    The weights of a step sum to 1 over the positions; this asks that those of a position also sum to 1 over the steps,
    so that no part is passed over (Xu et al., 2015, equation 14, which sums where this takes the mean). A text of fewer
    steps than positions cannot come to 0: it is cheapest where all positions get the same.

    Args:
      weights: attention weights of every step.
      mask: `[batch, time]`, True at steps that count; None when all do.
      positions: `[batch, positions]`, True at valid positions; None when all are.

    Returns:
      A scalar, the mean over rows and valid positions.
    """
    mask = jnp.ones(weights.shape[:2], bool) if mask is None else jnp.asarray(mask, bool)
    looked = jnp.sum(jnp.where(mask[..., None], weights, 0), axis=1)
    valid = jnp.ones(looked.shape, bool) if positions is None else jnp.asarray(positions, bool)
    # A row without a step has looked nowhere and does not count.
    return masked_mean(jnp.square(1 - looked), valid & mask.any(1, keepdims=True))
