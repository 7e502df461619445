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
    """Makes a state of any features: `tanh(features W + b)` for each array (Bahdanau et al., 2015).

    Attributes:
      recurrence: whose state.
      input_size: features that the recurrence reads.
    """

    recurrence: Recurrence
    input_size: int

    @nn.compact
    def __call__(self, summary: Any) -> State:
        """Makes the state of arrays that begin with the batch, such as an encoder's final state."""
        together = features(summary)
        leaves, structure = jax.tree.flatten(
            state_shapes(self.recurrence, self.input_size, together.shape[0])
        )
        return structure.unflatten(
            [self._projected(f"leaf_{i}", together, leaf) for i, leaf in enumerate(leaves)]
        )

    def _projected(
        self, name: str, together: Float[Array, "batch features"], leaf: jax.ShapeDtypeStruct
    ) -> Array:
        size = math.prod(leaf.shape[1:])
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            # Real and imaginary parts side by side: [batch, 2 * size].
            values = jnp.tanh(nn.Dense(2 * size, name=name)(together))
            values = jax.lax.complex(*jnp.split(values, 2, axis=-1))
        else:
            # [batch, size]
            values = jnp.tanh(nn.Dense(size, name=name)(together))
        return values.reshape(leaf.shape).astype(leaf.dtype)


def features(summary: Any) -> Float[Array, "batch features"]:
    """Sets all that arrays hold of each row side by side; a complex number gives two."""
    parts = []
    for leaf in jax.tree.leaves(summary):
        # [batch, numbers of a row]
        flat = leaf.reshape(leaf.shape[0], math.prod(leaf.shape[1:]))
        parts += _real(flat)
    return jnp.concatenate(parts, axis=-1)


def last_state(recurrence: Recurrence, input_size: int, final: State) -> State:
    """Makes an encoder's final state a decoder's first one, both directions side by side.

    Args:
      recurrence: the decoder's.
      input_size: features that it reads.
      final: the encoder's state.

    Raises:
      ValueError: the states differ in form or shape.
    """
    both = lambda node: isinstance(node, BidirectionalState)  # noqa: E731
    side_by_side = lambda a, b: jnp.concatenate([a, b], axis=-1)  # noqa: E731

    def join(part: Any) -> Any:
        return jax.tree.map(side_by_side, *part) if both(part) else part

    # Leaves [batch, forward + backward].
    joined = jax.tree.map(join, final, is_leaf=both)
    batch = jax.tree.leaves(joined)[0].shape[0]
    wanted = state_shapes(recurrence, input_size, batch)
    has = [leaf.shape for leaf in jax.tree.leaves(joined)]
    wants = [leaf.shape for leaf in jax.tree.leaves(wanted)]
    if has != wants or jax.tree.structure(joined) != jax.tree.structure(wanted):
        raise ValueError(
            f"bridge='last': the encoder ends with a state of shapes {has}, "
            f"{recurrence} begins with {wants}; make layers and sizes equal, "
            "or take bridge='projected'"
        )
    return joined


def state_shapes(recurrence: Recurrence, input_size: int, batch: int) -> State:
    """Returns the shapes of a recurrence's state."""

    def fresh() -> State:
        params = recurrence.init(jax.random.key(0), input_size)
        return recurrence.initial_state(params, (batch,), jnp.float32)

    return jax.eval_shape(fresh)


def _real(leaf: Array) -> tuple[Array, ...]:
    return (leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else (leaf,)
