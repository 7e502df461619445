"""Cross-entropy of tokens."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.losses.masked import at_least_float32, masked_mean, nan_unless


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    label_smoothing: float = 0.0,
) -> Float[Array, ""]:
    """Mean negative log-likelihood of the labels, in nats.

    A label is a class from 0 to vocab - 1, and no value of it is special: steps that do not count,
    such as PyTorch's -100, are hidden by `mask=labels != -100`. Under the mask a label may have any
    value. Under jit, where the values of labels cannot be looked at, a label that is no class makes
    the loss and its derivative NaN.

    Args:
      logits: `[..., vocab]` scores; the softmax is taken in float32.
      labels: `[...]` integers from 0 to vocab - 1 where the mask is not 0.
      mask: `[...]` validity or weight; None when all labels count.
      label_smoothing: share of probability spread evenly over the vocabulary (Szegedy et al.,
        2016).

    Returns:
      A scalar, `sum(mask * nll) / sum(mask)`.

    Raises:
      TypeError: the labels are no integers.
      ValueError: labels have not the logits' leading shape, or one that counts is no class.
    """
    logits = jnp.asarray(logits)
    # Labels that are known stay with NumPy, which can look at them.
    labels = labels if isinstance(labels, Tracer) else np.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels are {labels.dtype}; give integers, the class of each step")
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"labels have shape {labels.shape}; logits {logits.shape} want {logits.shape[:-1]}"
        )
    _check_classes(labels, mask, logits.shape[-1])
    labels = jnp.asarray(labels)
    logits = at_least_float32(logits)
    if mask is not None:
        # What does not count may be anything, NaN included, and passes no gradient.
        logits = jnp.where(jnp.asarray(mask, bool)[..., None], logits, 0)
    is_class = (labels >= 0) & (labels < logits.shape[-1])
    # The logit of each label, [...], and the logarithm of the softmax's denominator, [...].
    picked = jnp.take_along_axis(logits, jnp.where(is_class, labels, 0)[..., None], axis=-1)[..., 0]
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    nll = normaliser - picked
    if label_smoothing:
        # The mean of the losses of all classes is the cross-entropy of a uniform distribution.
        nll = (1 - label_smoothing) * nll + label_smoothing * (normaliser - logits.mean(-1))
    return masked_mean(nan_unless(is_class, nll), mask)


def _check_classes(
    labels: Int[Array, "..."] | np.ndarray, mask: ArrayLike | None, vocab: int
) -> None:
    """Refuses a label that is no class, where the values are known."""
    if isinstance(labels, Tracer) or isinstance(mask, Tracer):
        return
    # The labels that count, flat.
    counted = (
        labels if mask is None else labels[np.broadcast_to(np.asarray(mask) != 0, labels.shape)]
    )
    wrong = counted[(counted < 0) | (counted >= vocab)]
    if wrong.size:
        raise ValueError(
            f"a label is {wrong[0]}; give classes from 0 to {vocab - 1}, "
            f"and hide labels that do not count by the mask, such as mask=labels != {wrong[0]}"
        )
