"""Evaluation over exact counts."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from seqjax.typing import Params


class Mean(NamedTuple):
    """A mean that can be added up: the sum of `mask * x`, and the sum of `mask`."""

    total: Any
    weight: Any

    @classmethod
    def of(cls, values: ArrayLike, mask: ArrayLike | None = None) -> "Mean":
        """The mean of an array's elements where `mask` (a shape that broadcasts) is not zero."""
        values = jnp.asarray(values, jnp.float32)
        mask = (
            jnp.ones(values.shape) if mask is None else jnp.broadcast_to(jnp.asarray(mask, jnp.float32), values.shape)
        )
        return cls(jnp.sum(jnp.where(mask != 0, values, 0) * mask), mask.sum())

    def value(self) -> Any:
        """`total / weight`; 0 where nothing was counted."""
        return jnp.where(self.weight == 0, 0, self.total / jnp.where(self.weight == 0, 1, self.weight))


def evaluate(
    metrics_fn: Callable[[Params, Any], dict[str, Mean]], params: Params, batches: Iterable[Any]
) -> dict[str, float]:
    """The means over all batches, each element counted once, whatever the sizes of the batches.

    Args:
      metrics_fn: `metrics_fn(params, batch) -> {name: Mean}`, compiled by the caller (`jax.jit`).
      params: the parameters to judge.
      batches: what to judge them on.

    Returns:
      A float for each name.

    Raises:
      ValueError: there was no batch, or nothing in them was valid.
    """
    return average(metrics_fn(params, batch) for batch in batches)


def average(means: Iterable[dict[str, Mean]]) -> dict[str, float]:
    """Adds up means by name, in float64.

    Args:
      means: those of each batch.

    Returns:
      A float for each name.

    Raises:
      ValueError: there was none, or nothing in them was valid.
    """
    totals: dict[str, list[float]] = {}
    for batch in means:
        for name, (total, weight) in jax.device_get(batch).items():
            sums = totals.setdefault(name, [0.0, 0.0])
            sums[0] += float(total)
            sums[1] += float(weight)
    if not totals or any(weight == 0 for _, weight in totals.values()):
        raise ValueError("the evaluation counted nothing; give at least one batch with a valid element")
    return {name: total / weight for name, (total, weight) in totals.items()}
