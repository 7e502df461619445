"""Where in the frames each label is: forced alignment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.checks import broadcasts
from seqjax.losses.ctc_arrays import checked
from seqjax.losses.masked import length_mask


class Alignment(NamedTuple):
    """Most probable alignment of each row.

    Attributes:
      starts: the first frame of each label, `[batch, positions]`.
      ends: the frame behind its last one; both are 0 in the padding, and where a label has no
        alignment.
      log_probs: in nats, `[batch]`; minus infinity where a label has no alignment.
    """

    starts: Int[Array, "batch positions"]
    ends: Int[Array, "batch positions"]
    log_probs: Float[Array, " batch"]


@broadcasts
def align(
    logits: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike | None = None,
    label_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
) -> Alignment:
    """Finds the most probable alignment of given labels (Viterbi, 1967): the frames of each.

    Args:
      logits: `[batch, time, alphabet]` scores, or log-probabilities.
      labels: `[batch, positions]` integers other than `blank`; past a row's end any.
      lengths: valid frames of each row, `[batch]`; None when all are.
      label_lengths: valid labels of each row, `[batch]`; None when all are. Under jit, where values
        cannot be looked at, lengths are clamped to their arrays, and a row with a symbol that is
        not in the alphabet has no alignment.
      blank: the symbol that writes nothing.

    Returns:
      `Alignment`. In seconds, a label reaches from `starts` to `ends` times the seconds of a frame.

    Raises:
      TypeError: the labels are no integers, or the logits no floating-point numbers.
      ValueError: a shape does not fit, a length is beyond its array, or a symbol is not in the
        alphabet.

    Example:
      >>> import jax, seqjax
      >>> logits = 9 * jax.nn.one_hot(jax.numpy.array([[2, 2, 0, 2, 1, 0]]), 3)
      >>> found = seqjax.decoding.ctc.align(logits, jax.numpy.array([[2, 2, 1]]))
      >>> found.starts.tolist(), found.ends.tolist()
      ([[0, 3, 4]], [[2, 4, 5]])
    """
    logits, labels, lengths, label_lengths, known = checked(
        logits, labels, lengths, label_lengths, blank
    )
    (batch, time, _), positions = logits.shape, labels.shape[1]
    # States in turn, [batch, 2 * positions + 1]: blank, label, blank, ..., label, blank.
    symbols = jnp.full((batch, 2 * positions + 1), blank, jnp.int32).at[:, 1::2].set(labels)
    # [time, batch, states]
    emitted = jnp.take_along_axis(jax.nn.log_softmax(logits), symbols[:, None], axis=-1)
    emitted = jnp.moveaxis(emitted, 1, 0)
    valid = length_mask(lengths, time).T  # [time, batch]
    # Between two different labels there need be no blank.
    skips = (symbols != blank) & (symbols != _shift(symbols, 2, blank))

    def advance(before: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        """Returns the best log-weight of each state, and by how many states it was moved to."""
        emitted, valid = inputs
        # [3, batch, states]: stay, move on by one, or skip a blank.
        one = _shift(before, 1, -jnp.inf)
        two = jnp.where(skips, _shift(before, 2, -jnp.inf), -jnp.inf)
        ways = jnp.stack([before, one, two])
        way = ways.argmax(0).astype(jnp.int32)
        # A frame of padding changes nothing.
        here = valid[:, None]
        return jnp.where(here, ways.max(0) + emitted, before), jnp.where(here, way, 0)

    # Before the first frame: in the first blank.
    nothing = jnp.full(symbols.shape, -jnp.inf, logits.dtype).at[:, 0].set(0)
    # After the last frame, [batch, states], and how each frame was come by, [time, batch, states].
    reached, ways = lax.scan(advance, nothing, (emitted, valid))

    # An alignment ends in the last blank or at the last label: [batch, 2].
    ends = jnp.stack([2 * label_lengths, jnp.maximum(2 * label_lengths - 1, 0)], axis=1)
    weights = jnp.take_along_axis(reached, ends, axis=1)
    # The better of the two, [batch].
    last = jnp.take_along_axis(ends, weights.argmax(1)[:, None], axis=1)[:, 0]

    def back(state: Array, way: Array) -> tuple[Array, Array]:
        # A way is the number of states that were moved on.
        return state - jnp.take_along_axis(way, state[:, None], axis=1)[:, 0], state

    # The state of each frame, [time, batch].
    _, path = lax.scan(back, last, ways, reverse=True)
    log_probs = jnp.where(known, weights.max(1), -jnp.inf)

    # [time, batch, positions]: the frames of each label. They lie side by side.
    counts = valid & (log_probs > -jnp.inf)
    here = (path[..., None] == 2 * jnp.arange(positions) + 1) & counts[..., None]
    frames = jnp.arange(time, dtype=jnp.int32)[:, None, None]
    # The first of them, [batch, positions]; behind the last frame where there is none.
    starts = jnp.where(here, frames, time).min(0, initial=time)
    starts = jnp.where(here.any(0), starts, 0)
    return Alignment(starts, starts + here.sum(0, dtype=jnp.int32), log_probs)


def _shift(states: Array, by: int, fill: int | float) -> Array:
    """Returns the states `by` places before."""
    return jnp.pad(states, ((0, 0), (by, 0)), constant_values=fill)[:, : states.shape[1]]
