"""Seeds side by side: K runs in one program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from seqjax.training.compiled import CompiledStep
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


def stacked(states: Sequence[Any]) -> Any:
    """Makes K pytrees one, every leaf with a leading axis of K."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def unstacked(tree: Any, count: int) -> list[Any]:
    """Takes K pytrees out of one."""
    return [jax.tree.map(lambda leaf: leaf[place], tree) for place in range(count)]  # noqa: B023


def all_at_once(train_step: StepFn) -> StepFn:
    """Makes a training step for K states at once whose metrics are scalars, as those of one.

    They are means over the states, `finite` the least and `skipped_in_a_row` the most of them.

    Args:
      train_step: from `make_train_step(..., jit=False)`.
    """
    kinds = {"finite": jnp.min, "skipped_in_a_row": jnp.max}

    def step(states: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        if jax.default_backend() == "cpu":
            # One state keeps a CPU busy, and XLA is slow there at many small products at once.
            states, metrics = jax.lax.map(lambda state: train_step(state, batch), states)
        else:
            states, metrics = jax.vmap(train_step, in_axes=(0, None))(states, batch)
        return states, {name: kinds.get(name, jnp.mean)(values) for name, values in metrics.items()}

    return CompiledStep(step)
