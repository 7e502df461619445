"""What a model costs: seconds of a step, bytes that it remembers, bytes of a training step, bytes of its weights.

No function here knows a model: they take functions, and pytrees of arrays.
"""

import bisect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from seqjax import training
from seqjax.typing import Params

LEAST_SCALE = 1e-12
"""Scale of a column of zeros."""


def count(params: Any) -> int:
    """Counts the numbers in a pytree of arrays, or of their shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def size_in_bytes(params: Any) -> int:
    """Counts the bytes of a pytree of arrays, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))


def nearest_size(sizes: Sequence[int], count_of: Callable[[int], int], target: int) -> int:
    """Chooses the size whose model has the number of parameters nearest to a target.

    Args:
      sizes: to choose from, ascending.
      count_of: gives the parameters of a model of a size; it must grow with the size.
      target: how many there should be.

    Example:
      >>> nearest_size(range(1, 9), lambda hidden: hidden**2, 18)
      4
    """
    above = bisect.bisect_left(sizes, target, key=count_of)
    neighbours = sizes[max(above - 1, 0) : above + 1]
    return min(neighbours, key=lambda size: abs(count_of(size) - target))


def time_steps(
    step: Callable[[Any, Any], tuple[Any, Any]],
    state: Any,
    first: Any,
    steps: int,
    warm_up: int = 3,
) -> Float[np.ndarray, " steps"]:
    """Measures the seconds of each of many steps, one after another, each waited for.

    Args:
      step: takes the state and an input; gives the state after it and the next input.
      state: before the first step; `step` may take its memory over.
      first: the first input.
      steps: to measure.
      warm_up: steps before them, in which all is compiled.
    """
    seconds = []
    x = first
    for _ in range(warm_up + steps):
        began = time.perf_counter()
        state, x = step(state, x)
        jax.block_until_ready(x)
        seconds.append(time.perf_counter() - began)
    return np.array(seconds[warm_up:])


def training_memory(loss: Callable[..., jax.Array], params: Any, *inputs: Any) -> int:
    """Computes the bytes that one gradient needs at its peak, beside params and inputs, as XLA plans them.

    Nothing is run: arrays may be given by their shapes.

    Args:
      loss: a scalar function of the params and the inputs.
      params: arrays, or `jax.ShapeDtypeStruct`s.
      *inputs: the same.

    Raises:
      ValueError: the device's compiler does not tell.
    """
    gradient = jax.jit(jax.grad(loss))
    plan = gradient.lower(params, *inputs).compile().memory_analysis()
    if plan is None:
        raise ValueError(f"XLA tells no memory of a program on {jax.default_backend()}; use a CPU")
    return plan.temp_size_in_bytes


def through_int8(params: Params) -> Params:
    """Rounds matrices to int8 and back, with one float32 scale for each entry of the last axis.

    Vectors stay as they are.
    """
    return jax.tree.map(_through_int8, params)


def int8_bytes(params: Params) -> int:
    """Counts the bytes of parameters of which the matrices are kept in int8, with their scales."""
    return sum(map(_int8_bytes, jax.tree.leaves(params)))


class Point(NamedTuple):
    """A score along a training.

    Attributes:
      seconds: of training so far.
      score: of the parameters.
      steps: of training so far.
    """

    seconds: float
    score: float
    steps: int


def train_for(
    seconds: float,
    step: Any,
    state: training.TrainState,
    batches: Iterator[Any],
    evaluate: Callable[[Params], float],
    evaluations: int = 8,
) -> tuple[training.TrainState, list[Point]]:
    """Trains for a time; neither the compilation nor the evaluations count.

    Args:
      seconds: of training; at least one step is taken.
      step: from `training.make_train_step`.
      state: before the first step.
      batches: endless, all of one shape; the first one is compiled for and not learnt from.
      evaluate: gives the score of parameters.
      evaluations: along the way, beside the one at the beginning.

    Returns:
      The state, and the scores along the way.
    """
    step = step.lower(state, next(batches)).compile()
    spent, steps = 0.0, 0
    points = [Point(spent, evaluate(state.params), steps)]
    for part in range(1, evaluations + 1):
        budget = seconds * part / evaluations - spent
        began = time.perf_counter()
        elapsed = 0.0
        while elapsed < budget or steps == 0:
            state, metrics = step(state, next(batches))
            jax.block_until_ready(metrics["loss"])
            steps += 1
            elapsed = time.perf_counter() - began
        spent += elapsed
        points.append(Point(spent, evaluate(state.params), steps))
    return state, points


def _through_int8(leaf: jax.Array) -> jax.Array:
    if leaf.ndim < 2:
        return leaf
    largest = jnp.abs(leaf).max(axis=tuple(range(leaf.ndim - 1)), keepdims=True)
    scale = jnp.maximum(largest, LEAST_SCALE) / 127
    return jnp.round(leaf / scale).astype(jnp.int8) * scale


def _int8_bytes(leaf: jax.Array) -> int:
    """Counts one byte for a number, and four for each scale."""
    if leaf.ndim < 2:
        return leaf.nbytes
    return math.prod(leaf.shape) + 4 * leaf.shape[-1]
