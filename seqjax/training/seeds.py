"""Seeds side by side: K runs in one program."""

from collections.abc import Callable
from typing import Any

import jax

from seqjax.training.state import TrainState
from seqjax.training.step import StepFn
from seqjax.typing import KeyArray


def create_states(
    create: Callable[[KeyArray], TrainState], key: KeyArray, count: int
) -> TrainState:
    """K fresh states in one pytree, every leaf with a leading axis of `count`.

    Args:
      create: makes one state from a key.
      key: split into `count` keys.
      count: how many runs.

    Returns:
      A `TrainState` of stacked leaves.
    """
    return jax.vmap(create)(jax.random.split(key, count))


def over_seeds(
    train_step: StepFn, *, same_batch: bool = True
) -> Callable[[TrainState, Any], tuple[TrainState, Any]]:
    """A training step for K states at once.

    Args:
      train_step: from `make_train_step(..., jit=False)`.
      same_batch: every run sees the same batch; False for batches with a leading axis of K.

    Returns:
      The compiled step; its metrics have a leading axis of K.
    """
    return jax.jit(jax.vmap(train_step, in_axes=(0, None if same_batch else 0)), donate_argnums=0)
