"""The best symbol of every frame."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.checks import checked_lengths
from seqjax.losses.ctc_arrays import checked_logits
from seqjax.losses.masked import length_mask


class Decoded(NamedTuple):
    """Text of each row.

    Attributes:
      tokens: int32 `[batch, time]`; `blank` behind the end.
      lengths: tokens of each row, `[batch]`.
      log_probs: of the best alignment of each row, in nats, `[batch]`.
    """

    tokens: Int[Array, "batch time"]
    lengths: Int[Array, " batch"]
    log_probs: Float[Array, " batch"]


def greedy(logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0) -> Decoded:
    """Takes the best symbol of every frame, runs of it once, blanks not at all.

    That is the most probable alignment, not the most probable text: a text may be likely through
    many alignments, see `beam`.

    Args:
      logits: `[batch, time, alphabet]` scores, or log-probabilities.
      lengths: valid frames of each row, `[batch]`; None when all are. Under jit clamped to the
        frames.
      blank: the symbol that writes nothing.

    Returns:
      `Decoded`.

    Raises:
      TypeError: the logits are no floating-point numbers.
      ValueError: a shape does not fit, a length is beyond its array, or the blank is not in the
        alphabet.

    Example:
      >>> import jax, seqjax
      >>> logits = jax.nn.one_hot(jax.numpy.array([[2, 2, 0, 2, 1, 0]]), 3)
      >>> found = seqjax.decoding.ctc.greedy(logits)
      >>> found.tokens.tolist(), found.lengths.tolist()
      ([[2, 2, 1, 0, 0, 0]], [3])
    """
    logits = checked_logits(logits, blank)
    batch, time, _ = logits.shape
    valid = length_mask(checked_lengths(lengths, (batch,), time), time)
    log_probs = jax.nn.log_softmax(jnp.where(valid[..., None], logits, 0))
    # [batch, time]: the best symbol of each frame, and that of the frame before.
    best = log_probs.argmax(-1).astype(jnp.int32)
    before = jnp.pad(best, ((0, 0), (1, 0)), constant_values=blank)[:, :-1]
    written = valid & (best != blank) & (best != before)
    # Where each frame's symbol goes in the text: beyond the end, so nowhere, if it writes none.
    places = jnp.where(written, written.cumsum(-1) - 1, time)

    def spell(places: Array, symbols: Array) -> Array:
        """Returns the text of one row, `[time]`."""
        return jnp.full_like(symbols, blank).at[places].set(symbols, mode="drop")

    # [batch, time]
    tokens = jax.vmap(spell)(places, best)
    lengths = written.sum(-1, dtype=jnp.int32)
    return Decoded(tokens, lengths, jnp.where(valid, log_probs.max(-1), 0).sum(-1))
