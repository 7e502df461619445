"""Attention: scores become weights, as pure functions."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def masked_softmax(scores: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, "..."]:
    """Softmax over the last axis, among the valid scores alone.

    Args:
      scores: `[..., positions]`; what stands where the mask is False is ignored, NaN included, also by the gradient.
      mask: `[..., positions]` or a shape that broadcasts to it, True where a score is valid; None when all are.

    Returns:
      Weights of the same shape: 0 where invalid, else positive with sum 1. Where nothing is valid all are 0, and so is
      the gradient.
    """
    scores = jnp.asarray(scores)
    mask = jnp.broadcast_to(True if mask is None else jnp.asarray(mask, bool), scores.shape)
    lowest = jnp.finfo(scores.dtype).min
    valid = jnp.where(mask, scores, lowest)
    raised = jnp.where(mask, jnp.exp(valid - valid.max(-1, keepdims=True, initial=lowest)), 0)
    total = raised.sum(-1, keepdims=True)
    return raised / jnp.where(total == 0, 1, total)
