"""Mixed precision: compute in bfloat16, keep parameters and state in float32."""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax.training.step import LossFn


def cast_floating(tree: Any, dtype: Any) -> Any:
    """Casts every floating-point array of a pytree to `dtype`; the rest stays as it is."""

    def cast(leaf: Any) -> Any:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            return leaf
        return jnp.asarray(leaf, dtype)

    return jax.tree.map(cast, tree)


def mixed_precision(loss_fn: LossFn, compute: Any = jnp.bfloat16) -> LossFn:
    """Casts a loss's parameters and batch to `compute` (Micikevicius et al., 2018).

    The parameters that the optimiser keeps stay float32, and so does the gradient that it sees;
    recurrences keep their state and sums in float32 by themselves; the loss is returned in float32.

    Args:
      loss_fn: as `make_train_step` takes it.
      compute: a floating-point dtype, bfloat16 for GPU and TPU.

    Returns:
      A loss function of the same form.
    """

    def mixed(params: Any, batch: Any, rng: Any, extra: Any) -> tuple[Any, Any]:
        params, batch = cast_floating(params, compute), cast_floating(batch, compute)
        loss, aux = loss_fn(params, batch, rng, extra)
        return loss.astype(jnp.float32), aux

    return mixed
