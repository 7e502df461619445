"""Which continuations a beam keeps: the best ones, those of diverse groups, or drawn ones."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def keep_ended(ranks: Array, ended: Array, kept: Array, stop_token: Any) -> Array:
    """Lets a hypothesis that has ended go on by the stop token alone.

    Args:
      ranks: of each token after each hypothesis, `[batch, beam, vocab]`.
      ended: hypotheses that have ended, `[batch, beam]`.
      kept: the rank that each of these keeps, `[batch, beam]`.
      stop_token: the token that ends.
    """
    stops = jnp.arange(ranks.shape[-1])[None, None, :] == stop_token
    # [batch, beam, vocab]: nothing but the stop token again.
    again = jnp.where(stops, kept[..., None], -jnp.inf)
    return jnp.where(ended[..., None], again, ranks)


def choose(ranks: Array, ended: Array, groups: int, diversity: Any) -> tuple[Array, Array, Array]:
    """Chooses the best continuations group by group.

    Args:
      ranks: of each token after each hypothesis, `[batch, beam, vocab]`.
      ended: hypotheses that have ended, `[batch, beam]`.
      groups: of the beam; a group is penalised for tokens that those before it have taken.
      diversity: by how much for each.

    Returns:
      `[batch, beam]` each: the place of the hypothesis, its token, and whether that is possible.
    """
    batch, beam, vocab = ranks.shape
    width = beam // groups
    # Groups first: [groups, batch, width, ...].
    ended = jnp.moveaxis(ended.reshape(batch, groups, width), 1, 0)
    ranks = jnp.moveaxis(ranks.reshape(batch, groups, width, vocab), 1, 0)

    def choose_one(taken: Array, group: tuple[Array, Array]) -> tuple[Array, Any]:
        """Chooses for one group; `taken [batch, vocab]` counts the tokens of the groups before."""
        ranks, ended = group
        # [batch, width, vocab], less what the groups before have made unattractive.
        diverse = ranks - diversity * taken[:, None]
        # Over all hypotheses and tokens of the group at once: [batch, width * vocab].
        value, index = lax.top_k(diverse.reshape(batch, -1), width)
        place, token = index // vocab, index % vocab
        # The stop token again of what has ended is no new choice.
        new = ~jnp.take_along_axis(ended, place, axis=1)
        taken = taken.at[jnp.arange(batch)[:, None], token].add(new.astype(taken.dtype))
        return taken, (place, token, value > -jnp.inf)

    # A group alone has none before it.
    if groups == 1:
        return choose_one(jnp.zeros((batch, 1)), (ranks[0], ended[0]))[1]
    _, (place, *rest) = lax.scan(choose_one, jnp.zeros((batch, vocab)), (ranks, ended))
    # Places within the whole beam, [groups, batch, width], then [batch, beam].
    place = place + width * jnp.arange(groups)[:, None, None]
    place, token, possible = (
        jnp.moveaxis(found, 0, 1).reshape(batch, beam) for found in (place, *rest)
    )
    return place, token, possible


def perturb(keys: Any, t: Array, ranks: Array, totals: Array) -> Array:
    """Draws Gumbel variables of which the greatest of each hypothesis is given.

    Args:
      keys: one for each row, `[batch]`.
      t: the step.
      ranks: the greatest of each hypothesis, `[batch, beam]`.
      totals: the variables' locations, log-probabilities `[batch, beam, vocab]`.
    """
    # A key of this step for each row, and independent draws, [batch, beam, vocab].
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, t)
    draw = functools.partial(jax.random.gumbel, shape=totals.shape[1:], dtype=totals.dtype)
    drawn = totals + jax.vmap(draw)(keys)
    # [batch, beam, vocab] and [batch, beam, 1]
    possible, ranks = totals > -jnp.inf, ranks[..., None]
    drawn = jnp.where(possible, drawn, -jnp.inf)
    # The greatest of each hypothesis, [batch, beam, 1], is to become its rank.
    greatest = drawn.max(-1, keepdims=True)
    # Differences of infinities are kept out; they stay impossible in the end.
    safe = lambda values: jnp.where(possible, values, 0.0)  # noqa: E731
    below = safe(ranks) - safe(drawn) + jnp.log(-jnp.expm1(safe(drawn) - safe(greatest)))
    # Kool et al., 2019, appendix B.3: stable where the greatest is far away.
    shifted = safe(ranks) - jnp.maximum(below, 0) - jnp.log1p(jnp.exp(-jnp.abs(below)))
    return jnp.where(possible, shifted, -jnp.inf)
