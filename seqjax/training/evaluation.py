"""Evaluation over exact counts."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
            jnp.ones(values.shape)
            if mask is None
            else jnp.broadcast_to(jnp.asarray(mask, jnp.float32), values.shape)
        )
        return cls(jnp.sum(jnp.where(mask != 0, values, 0) * mask), mask.sum())

    def value(self) -> Any:
        """`total / weight`; 0 where nothing was counted."""
        return jnp.where(
            self.weight == 0, 0, self.total / jnp.where(self.weight == 0, 1, self.weight)
        )


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
        raise ValueError(
            "the evaluation counted nothing; give at least one batch with a valid element"
        )
    return {name: total / weight for name, (total, weight) in totals.items()}


def rank(scores: Mapping[str, Any], monitor: str | Sequence[str]) -> tuple[float, ...]:
    """Returns the monitored scores in order, to be compared as tuples: the lower one is the better.

    Args:
      scores: numbers by name; None stands for one that is not finite, as in `metrics.jsonl`.
      monitor: the name of a score, or several of which each decides where those before it are
        equal.

    Returns:
      A number for each name, infinity for one that is NaN; all infinite where the first is, so that
      it never wins.

    Raises:
      ValueError: a name is not among the scores, or there is none.
    """
    names = [monitor] if isinstance(monitor, str) else list(monitor)
    if not names:
        raise ValueError("monitor names no score; give one, or None")
    for name in names:
        if name not in scores:
            raise ValueError(f"monitor={name!r} is not among the scores {sorted(scores)}")
    values = [_or_infinity(scores[name]) for name in names]
    return tuple(values) if values[0] < math.inf else (math.inf,) * len(names)


def best_evaluation(
    lines: Iterable[Mapping[str, Any]], monitor: str | Sequence[str]
) -> Mapping[str, Any]:
    """Returns the evaluation whose state `fit_batches` keeps as the best: of equal ones the earliest.

    Args:
      lines: from `read_metrics`; those of other kinds are passed over.
      monitor: as `fit_batches` takes it.

    Returns:
      The line.

    Raises:
      ValueError: no evaluation has a finite score of the first name.

    Example:
      >>> lines = [{"kind": "evaluation", "step": 1, "error": 1.0, "nats": 2.3},
      ...          {"kind": "evaluation", "step": 2, "error": 1.0, "nats": 0.2}]
      >>> best_evaluation(lines, ("error", "nats"))["step"]
      2
    """
    ranked = [(rank(line, monitor), line) for line in lines if line["kind"] == "evaluation"]
    best = min(ranked, key=lambda pair: pair[0], default=None)
    if best is None or best[0][0] == math.inf:
        raise ValueError(
            f"no evaluation has a finite score {monitor!r}; the training diverged or was never evaluated"
        )
    return best[1]


def _or_infinity(value: Any) -> float:
    return math.inf if value is None or math.isnan(value) else float(value)
