"""A layer of the last axis, applied to all rows as to one matrix."""

import math
from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Float

from seqjax.kernels.dense import dot_general
from seqjax.typing import Backend


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


def scorer(vocab_size: int, backend: Backend) -> nn.Dense:
    """Makes a layer that scores the tokens of a vocabulary."""
    return nn.Dense(vocab_size, dot_general=dot_general(backend))


def score(
    table: nn.Embed, x: Float[Array, "*batch features"], backend: Backend
) -> Float[Array, "*batch vocab"]:
    """Scores the tokens of a vocabulary by their embeddings (Press and Wolf, 2017)."""
    matrix = table.embedding.astype(x.dtype)
    return by_rows(lambda rows: dot_general(backend)(rows, matrix, (((1,), (1,)), ((), ()))), x)
