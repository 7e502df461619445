"""What training carries from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from seqjax.typing import KeyArray, Params


@flax.struct.dataclass
class TrainState:
    """Everything that a training step reads and writes: a pytree, saved and restored whole.

    Attributes:
      step: batches seen, skipped ones included, int32.
      params: parameters.
      opt_state: the optimiser's state.
      rng: the key of the run; step n draws from `jax.random.fold_in(rng, n)`.
      extra: what the model carries from batch to batch, such as a recurrent state; None for nothing.
      ema: exponential moving average of the parameters; None without one.
      skipped: updates skipped over a non-finite gradient, int32.
      skipped_in_a_row: those since the last good update, int32.
    """

    # As a pytree it also holds shapes, shardings and key data in place of arrays: Any, not jax.Array.
    step: Any
    params: Any
    opt_state: Any
    rng: Any
    extra: Any
    ema: Any
    skipped: Any
    skipped_in_a_row: Any


def create_state(
    params: Params, optimiser: optax.GradientTransformation, rng: KeyArray, *, extra: Any = None, ema: bool = False
) -> TrainState:
    """The state before the first step.

    Args:
      params: fresh parameters; they are copied, for a training step donates its state.
      optimiser: what will update them.
      rng: the key of the run.
      extra: what the model carries from batch to batch.
      ema: keep a moving average of the parameters.

    Returns:
      A `TrainState` at step 0.
    """
    params, extra = (jax.tree.map(jnp.array, tree) for tree in (params, extra))
    zero = lambda: jnp.zeros((), jnp.int32)  # noqa: E731
    return TrainState(
        step=zero(),
        params=params,
        opt_state=optimiser.init(params),
        rng=jnp.array(rng),
        extra=extra,
        ema=jax.tree.map(jnp.array, params) if ema else None,
        skipped=zero(),
        skipped_in_a_row=zero(),
    )
