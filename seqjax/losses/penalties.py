"""Penalties on what a recurrence gives out, which keep its outputs small and slow."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.losses.masked import at_least_float32


def activation_penalty(ys: Float[Array, "*batch time features"]) -> Float[Array, ""]:
    """Computes the mean square of outputs: activation regularisation, AR.

    Reference: Merity et al., "Revisiting Activation Regularization for Language RNNs", 2017.
    """
    return jnp.mean(jnp.square(at_least_float32(ys)))


def change_penalty(ys: Float[Array, "*batch time features"]) -> Float[Array, ""]:
    """Computes the mean square of the change from step to step: temporal activation regularisation, TAR.

    It is 0 of a single step.

    Reference: Merity et al., "Revisiting Activation Regularization for Language RNNs", 2017.
    """
    ys = at_least_float32(ys)
    if ys.shape[-2] < 2:
        return jnp.zeros((), ys.dtype)
    return jnp.mean(jnp.square(ys[..., 1:, :] - ys[..., :-1, :]))
