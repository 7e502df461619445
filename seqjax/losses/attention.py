"""What may be asked of attention weights beside the words that they help to write."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.losses.masked import masked_mean


def doubly_stochastic(
    weights: ArrayLike, mask: ArrayLike | None = None, positions: ArrayLike | None = None
) -> Float[Array, ""]:
    """Computes how unevenly a whole text looked at its positions.

        the mean over positions of (1 - sum_t weights_t)^2

    The weights of a step sum to 1 over the positions; this asks that those of a position also sum
    to 1 over the steps, so that no part is passed over (Xu et al., 2015, equation 14, which sums
    where this takes the mean). A text of fewer steps than positions cannot come to 0: it is
    cheapest where all positions get the same.

    Args:
      weights: attention weights of every step, `[batch, time, positions]`.
      mask: `[batch, time]`, True at steps that count; None when all do.
      positions: `[batch, positions]`, True at valid positions; None when all are.

    Returns:
      A scalar, the mean over rows and valid positions.
    """
    weights = jnp.asarray(weights)
    mask = jnp.ones(weights.shape[:2], bool) if mask is None else jnp.asarray(mask, bool)
    # What each position got in all, [batch, positions].
    looked = jnp.sum(jnp.where(mask[..., None], weights, 0), axis=1)
    valid = jnp.ones(looked.shape, bool) if positions is None else jnp.asarray(positions, bool)
    # A row without a step has looked nowhere and does not count.
    return masked_mean(jnp.square(1 - looked), valid & mask.any(1, keepdims=True))


def coverage_loss(weights: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, ""]:
    """Computes how much a step looks at what was looked at before.

        the mean over steps of sum_i min(weights_ti, coverage_ti)

    The coverage of a position is the sum of its weights at all steps before (See et al., 2017,
    equation 12).

    Args:
      weights: attention weights of every step, `[batch, time, positions]`.
      mask: `[batch, time]`, True at steps that count; None when all do.

    Returns:
      A scalar, between 0 and 1 for weights that sum to 1.
    """
    # The coverage before each step, [batch, time, positions]: the sum so far less the step's own.
    before = jnp.cumsum(weights, axis=1) - weights
    return masked_mean(jnp.minimum(weights, before).sum(-1), mask)
