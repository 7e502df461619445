"""From what an encoder remembers to where a decoder begins."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.combinators import BidirectionalState
from seqjax.recurrence import Recurrence
from seqjax.typing import State


class ProjectedState(nn.Module):
    """A recurrence's state from any features: `tanh(features W + b)` for each array of it (Bahdanau et al., 2015).

    Attributes:
      recurrence: whose state.
      input_size: features that the recurrence reads.
    """

    recurrence: Recurrence
    input_size: int

    @nn.compact
    def __call__(self, summary: Any) -> State:
        """The state from a pytree of arrays that begin with the batch, for example the final state of an encoder."""
        together = features(summary)
        leaves, structure = jax.tree.flatten(
            state_shapes(self.recurrence, self.input_size, together.shape[0])
        )
        return structure.unflatten(
            [self._projected(f"leaf_{i}", together, leaf) for i, leaf in enumerate(leaves)]
        )

    def _projected(self, name, together, leaf):
        size = math.prod(leaf.shape[1:])
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            parts = jnp.split(jnp.tanh(nn.Dense(2 * size, name=name)(together)), 2, axis=-1)
            return jax.lax.complex(*parts).reshape(leaf.shape).astype(leaf.dtype)
        return jnp.tanh(nn.Dense(size, name=name)(together)).reshape(leaf.shape).astype(leaf.dtype)


def features(summary: Any) -> Float[Array, "batch features"]:
    """All that a pytree of arrays holds of each row of the batch, side by side; a complex number gives two."""
    leaves = [
        leaf.reshape(leaf.shape[0], math.prod(leaf.shape[1:])) for leaf in jax.tree.leaves(summary)
    ]
    return jnp.concatenate([part for leaf in leaves for part in _real(leaf)], axis=-1)


def last_state(recurrence: Recurrence, input_size: int, final: State) -> State:
    """An encoder's final state as a decoder's first one: both directions side by side (Sutskever et al., 2014).

    Args:
      recurrence: the decoder's.
      input_size: features that it reads.
      final: the encoder's state.

    Raises:
      ValueError: the states differ in form or shape.
    """
    both = lambda node: isinstance(node, BidirectionalState)  # noqa: E731
    side_by_side = lambda a, b: jnp.concatenate([a, b], axis=-1)  # noqa: E731
    joined = jax.tree.map(
        lambda s: jax.tree.map(side_by_side, *s) if both(s) else s, final, is_leaf=both
    )
    wanted = state_shapes(recurrence, input_size, jax.tree.leaves(joined)[0].shape[0])
    shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (joined, wanted)]
    if shapes[0] != shapes[1] or jax.tree.structure(joined) != jax.tree.structure(wanted):
        raise ValueError(
            f"bridge='last': the encoder ends with a state of shapes {shapes[0]}, {recurrence} begins with "
            f"{shapes[1]}; make layers and sizes equal, or take bridge='projected'"
        )
    return joined


def state_shapes(recurrence: Recurrence, input_size: int, batch: int) -> State:
    """The shapes of a recurrence's state."""

    def fresh():
        params = recurrence.init(jax.random.key(0), input_size)
        return recurrence.initial_state(params, (batch,), jnp.float32)

    return jax.eval_shape(fresh)


def _real(leaf):
    return (leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else (leaf,)
