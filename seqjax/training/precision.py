"""Mixed precision: compute in bfloat16, keep parameters and state in float32."""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax.training.step import LossFn


def cast_floating(tree: Any, dtype: Any) -> Any:
    """Every floating-point array of a pytree in `dtype`; the rest as it is."""

    def cast(leaf):
        return (
            jnp.asarray(leaf, dtype)
            if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
            else leaf
        )

    return jax.tree.map(cast, tree)


def mixed_precision(loss_fn: LossFn, compute: Any = jnp.bfloat16) -> LossFn:
    """The same loss with the parameters and the batch cast to `compute` (Micikevicius et al., 2018).

    The parameters that the optimiser keeps stay float32, and so does the gradient that it sees;
    recurrences keep their state and sums in float32 by themselves; the loss is returned in float32.

    Args:
      loss_fn: as `make_train_step` takes it.
      compute: a floating-point dtype, bfloat16 for GPU and TPU.

    Returns:
      A loss function of the same form.
    """

    def mixed(params, batch, rng, extra):
        loss, aux = loss_fn(
            cast_floating(params, compute), cast_floating(batch, compute), rng, extra
        )
        return loss.astype(jnp.float32), aux

    return mixed
