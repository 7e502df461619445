"""Texts that several models find together."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from seqjax import losses
from seqjax.decoding.ctc.beam import Prefixes


def ensemble(
    logits: Float[Array, "members batch time alphabet"],
    found: Prefixes,
    lengths: Int[Array, " batch"],
    *,
    blank: int = 0,
    n_best: int = 1,
) -> Prefixes:
    """Ranks the texts that any of several models found by what all of them think of each.

        p(text) = mean over members of p_member(text)

    A member's probability of a text is the sum of all its alignments. Frames are not averaged:
    members that say one symbol in different frames would often say it twice or never.

    Args:
      logits: scores of each member.
      found: of each member by itself, leaves `[members, batch, n, ...]`.
      lengths: valid frames of each row.
      blank: the symbol that writes nothing.
      n_best: texts to return, at most `members * n`.

    Returns:
      `Prefixes` whose scores are log-probabilities; minus infinity where fewer texts were found.

    Example, of two models that differ about a single frame:
      >>> import jax, seqjax
      >>> logits = jax.numpy.log(jax.numpy.array([[[[0.1, 0.9]]], [[[0.4, 0.6]]]]))
      >>> lengths = jax.numpy.array([1])
      >>> found = jax.vmap(lambda own: seqjax.decoding.ctc.beam(own, lengths))(logits)
      >>> together = seqjax.decoding.ctc.ensemble(logits, found, lengths)
      >>> together.tokens.tolist(), round(float(jax.numpy.exp(together.scores[0, 0])), 2)
      ([[[1]]], 0.75)
    """
    # Every text that was found: [batch, members * n, ...].
    tokens, counts, scores = (
        jnp.concatenate(leaf, axis=1) for leaf in (found.tokens, found.lengths, found.scores)
    )

    def weigh(own: Float[Array, "batch time alphabet"]) -> Float[Array, "batch texts"]:
        def one(text: Int[Array, "batch time"], count: Int[Array, " batch"]) -> Array:
            return -losses.ctc(own, text, lengths, count, blank=blank)

        return jax.vmap(one, 1, 1)(tokens, counts)

    # [batch, texts], of the mean over the members.
    log_probs = jax.nn.logsumexp(lax.map(weigh, logits), axis=0) - jnp.log(len(logits))
    log_probs = jnp.where(jnp.isfinite(scores) & ~_repeats(tokens), log_probs, -jnp.inf)
    scores, place = lax.top_k(log_probs, n_best)
    texts = jnp.take_along_axis(tokens, place[..., None], axis=1)
    return Prefixes(texts, jnp.take_along_axis(counts, place, axis=1), scores, scores)


def _repeats(tokens: Int[Array, "batch texts time"]) -> Bool[Array, "batch texts"]:
    """Tells which texts stand before themselves already; behind its end each is blank."""
    same = (tokens[:, :, None] == tokens[:, None]).all(-1)
    return jnp.tril(same, -1).any(-1)
