"""Cross-entropy of tokens."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.losses.masked import masked_mean


def cross_entropy(
    logits: ArrayLike, labels: ArrayLike, mask: ArrayLike | None = None, *, label_smoothing: float = 0.0
) -> Float[Array, ""]:
    """Mean negative log-likelihood of the labels, in nats.

    Args:
      logits: `[..., vocab]` scores; the softmax is taken in float32.
      labels: `[...]` integers.
      mask: `[...]` validity or weight; None when all labels count.
      label_smoothing: share of probability spread evenly over the vocabulary (Szegedy et al., 2016).

    Returns:
      A scalar, `sum(mask * nll) / sum(mask)`.

    Raises:
      ValueError: labels have not the logits' leading shape.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"labels have shape {labels.shape}; logits {logits.shape} want {logits.shape[:-1]}")
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if mask is not None:
        logits = jnp.where(jnp.asarray(mask, bool)[..., None], logits, 0)
    picked = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    nll = normaliser - picked
    if label_smoothing:
        nll = (1 - label_smoothing) * nll + label_smoothing * (normaliser - logits.mean(-1))
    return masked_mean(nll, mask)
