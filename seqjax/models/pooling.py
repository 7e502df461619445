"""What a recurrence has read: its outputs at the two ends of a row, what its state shows."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.cells.gates import Cell
from seqjax.combinators import Bidirectional, Stack, Wrapper
from seqjax.recurrence import Recurrence
from seqjax.typing import Lengths, Output, State


def ends(
    recurrence: Recurrence, ys: Float[Array, "*batch time features"], lengths: Lengths
) -> Float[Array, "*batch ends"]:
    """Returns the output of every direction after the last step that it reads.

    A causal recurrence ends at a row's last valid step. In `bidirectional` with `merge="concat"`
    the forward half ends there and the backward half at the first step. Merged otherwise the halves
    cannot be told apart: then the outputs of both ends stand side by side.

    Args:
      recurrence: that gave the outputs.
      ys: its outputs, 0 past a row's end, at least one step.
      lengths: valid steps of each row, clamped to the steps of `ys`.

    Returns:
      `[*batch, features]`, or twice the features for another merge; 0 for a row of length 0.
    """
    # The index of each row's last step, [*batch, 1, 1].
    last = jnp.clip(lengths - 1, 0, ys.shape[-2] - 1)[..., None, None]
    # Each [*batch, features].
    at_last = jnp.take_along_axis(ys, last, axis=-2)[..., 0, :]
    return _ends(recurrence, ys[..., 0, :], at_last)


def _ends(recurrence: Recurrence, first: Output, last: Output) -> Array:
    """Returns the outputs, of the first and the last step, after which nothing is left to read."""
    if recurrence.causal:
        return last
    if isinstance(recurrence, Stack):
        return _ends(recurrence.layers[-1], first, last)
    if isinstance(recurrence, Wrapper):
        return _ends(recurrence.inner, first, last)
    if not isinstance(recurrence, Bidirectional) or recurrence.merge != "concat":
        return _both(first, last)
    if not (recurrence.forward.causal and recurrence.backward.causal):
        return _both(first, last)
    size = recurrence.forward.output_size(0)
    return jnp.concatenate([last[..., :size], first[..., size:]], axis=-1)


def _both(first: Output, last: Output) -> Array:
    return jnp.concatenate([last, first], axis=-1)


def shown(recurrence: Any, state: State) -> Array:
    """Returns what the last layer of a recurrence shows of a state, `[*batch, hidden]`.

    Raises:
      ValueError: its output is not part of its state.
    """
    if layers := getattr(recurrence, "layers", ()):
        return shown(layers[-1], state[-1])
    if isinstance(recurrence, Cell) and recurrence.shows_state:
        return recurrence.output(state)
    inner = getattr(recurrence, "inner", None)
    if inner is None:
        raise ValueError(
            f"form='bahdanau' looks with the state, and {recurrence} shows none; use form='luong'"
        )
    return shown(inner, state)
