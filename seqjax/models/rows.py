"""A layer of the last axis, applied to all rows as to one matrix."""

import math
from collections.abc import Callable

from jaxtyping import Array, Float


def by_rows(
    layer: Callable[[Array], Array], x: Float[Array, "*batch features"]
) -> Float[Array, "*batch outputs"]:
    """Computes `layer(x)` with every axis but the last one flattened.

    The gradient of a weight sums over all of these axes. On CPUs XLA makes a transposed copy of what
    it sums over several axes, and none of a matrix: where a vocabulary is scored, a copy of the
    largest array of the network.

    Args:
      layer: acts on the last axis of its argument.
      x: `[*batch, features]`.
    """
    rows = layer(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]))
    return rows.reshape(*x.shape[:-1], rows.shape[-1])
