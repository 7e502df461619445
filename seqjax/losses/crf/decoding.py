"""Searches for the best tag sequences of a chain."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.checks import broadcasts
from seqjax.losses.crf.chain import checked, is_forbidden


class Paths(NamedTuple):
    """Tag sequences and their scores.

    Attributes:
      tags: int32 `[*batch, time]`, or `[*batch, k, time]` with the best first; 0 past a row's end.
      scores: `[*batch]` or `[*batch, k]`; minus infinity where a row has fewer than k sequences
        that are allowed. Their tags are 0.
    """

    tags: Int[Array, "..."]
    scores: Float[Array, "..."]


def viterbi(
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
) -> Paths:
    """Finds the tags with the highest score (Viterbi, 1967).

    The arguments are those of `log_partition`.

    Returns:
      `Paths(tags [*batch, time], scores [*batch])`. A row in which every sequence is forbidden has
      the score minus infinity and tags of 0.
    """
    paths = kbest(emissions, transitions, start, end, lengths, k=1)
    return Paths(paths.tags[..., 0, :], paths.scores[..., 0])


@broadcasts
def kbest(
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    k: int,
) -> Paths:
    """Finds the k different tag sequences with the highest scores, exactly.

    This is Viterbi's algorithm with k entries for each tag. Sequences that the chain forbids are
    none of them.

    Args:
      emissions: `[*batch, time, tags]`.
      transitions: `[tags, tags]`.
      start: `[tags]`.
      end: `[tags]`.
      lengths: as in `log_partition`.
      k: how many.

    Returns:
      `Paths(tags [*batch, k, time], scores [*batch, k])`, the best first. A row with fewer than k
      sequences that are allowed has scores of minus infinity after them, and tags of 0.

    Raises:
      ValueError: a shape does not fit, or k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; give at least 1")
    chain, valid = checked(emissions, transitions, start, end, lengths)
    batch, tags, dtype = valid.shape[1:], chain.start.shape[0], chain.emissions.dtype
    # A path that does not branch yet is the first of its k; the others are not there.
    first_alone = jnp.where(jnp.arange(k) == 0, 0.0, -jnp.inf).astype(dtype)
    if not len(valid):
        empty = jnp.zeros((*batch, k, 0), jnp.int32)
        return Paths(empty, jnp.broadcast_to(first_alone, (*batch, k)))
    # In the padding an entry comes from itself, [tags, k].
    own = jnp.arange(tags * k, dtype=jnp.int32).reshape(tags, k)

    def step(alpha: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        """Returns the k best scores `[*batch, tags, k]` of paths to each tag, and their origins."""
        # An entry's number is tag * k + rank.
        scores, valid = inputs  # [*batch, tags], [*batch]
        # From each entry to each next tag: [*batch, tags, k, tags], then [*batch, tags, tags * k].
        candidates = alpha[..., None] + chain.transitions[:, None, :]
        candidates = jnp.moveaxis(candidates.reshape(*batch, tags * k, tags), -1, -2)
        # Both [*batch, tags, k], the best first.
        best, came = lax.top_k(candidates, k)
        # Past a row's end scores are held.
        here = valid[..., None, None]
        return jnp.where(here, best + scores[..., None], alpha), jnp.where(here, came, own)

    # The first step, [*batch, tags, k]; the origins of all others, [time - 1, *batch, tags, k].
    alpha = (chain.start + chain.emissions[0])[..., None] + first_alone
    alpha, came = lax.scan(step, alpha, (chain.emissions[1:], valid[1:]))
    # The k best of all entries: [*batch, k].
    scores, entry = lax.top_k((alpha + chain.end[:, None]).reshape(*batch, tags * k), k)

    def back(entry: Array, came: Array) -> tuple[Array, Array]:
        """Goes from the entries of a step to those of the step before, `[*batch, k]`."""
        return jnp.take_along_axis(came.reshape(*batch, tags * k), entry, axis=-1), entry

    # The entry at the first step, [*batch, k], and at each later one, [time - 1, *batch, k].
    first, rest = lax.scan(back, entry, came, reverse=True)
    scores = jnp.where(is_forbidden(scores), -jnp.inf, scores)
    scores = jnp.where(valid[0][..., None], scores, first_alone)
    # The tag of each entry, [time, *batch, k].
    is_path = valid[..., None] & (scores > -jnp.inf)
    found = jnp.where(is_path, jnp.concatenate([first[None], rest]) // k, 0)
    return Paths(jnp.moveaxis(found.astype(jnp.int32), 0, -1), scores)
