"""What a search may write: functions on the log-probabilities of the next token that compose.

A constraint is
`constraint(scores [batch, beam, vocab], written [batch, beam, length], t) -> scores`, where the
first `t` tokens of `written` count: it puts what is forbidden to minus infinity. Those below are
pytrees, so that another value of theirs (not another `size`) needs no new compilation. Any function
or object of that form serves as well.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

Scores = Float[Array, "batch beam vocab"]
Written = Int[Array, "batch beam length"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BanTokens:
    """Forbids some tokens.

    Attributes:
      tokens: `[banned]`.
    """

    tokens: Any

    def __call__(self, scores: Scores, written: Written, t: ArrayLike) -> Scores:
        """Returns the scores with the banned tokens out."""
        return scores.at[..., jnp.asarray(self.tokens)].set(-jnp.inf)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MinLength:
    """Lets no hypothesis end before it has `length` tokens, the stop token counted.

    Attributes:
      length: a number, or one for each row, `[batch]`.
      stop_token: what ends a hypothesis.
    """

    length: Any
    stop_token: Any

    def __call__(self, scores: Scores, written: Written, t: ArrayLike) -> Scores:
        """Returns the scores with the stop token out while it is too early."""
        # The token at hand would be the (t + 1)-th: [batch, 1, 1] and [1, 1, vocab].
        early = _per_row(t + 1 < jnp.asarray(self.length))
        stops = jnp.arange(scores.shape[-1])[None, None, :] == self.stop_token
        return jnp.where(early & stops, -jnp.inf, scores)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class MaxLength:
    """Ends a hypothesis that has `length - 1` tokens: its last is the stop token.

    Attributes:
      length: a number, or one for each row, `[batch]`.
      stop_token: what ends a hypothesis.
    """

    length: Any
    stop_token: Any

    def __call__(self, scores: Scores, written: Written, t: ArrayLike) -> Scores:
        """Returns the scores with all but the stop token out when it is time."""
        # It is time at the token that makes the length full: [batch, 1, 1] and [1, 1, vocab].
        late = _per_row(t + 1 >= jnp.asarray(self.length))
        stops = jnp.arange(scores.shape[-1])[None, None, :] == self.stop_token
        return jnp.where(late & ~stops, -jnp.inf, scores)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ForcePrefix:
    """Begins each row with given tokens; they count in the score.

    Attributes:
      tokens: `[batch, time]`.
      lengths: how many of them each row has, `[batch]`; 0 leaves a row free. More than `time`
        counts as `time`.
    """

    tokens: Any
    lengths: Any

    def __call__(self, scores: Scores, written: Written, t: ArrayLike) -> Scores:
        """Returns the scores with all but the token due out."""
        tokens = jnp.asarray(self.tokens)
        # The token due at this step, [batch]; of no matter where the prefix is over.
        due = jnp.take(tokens, jnp.minimum(t, tokens.shape[1] - 1), axis=1)
        # [batch, vocab], and the rows whose prefix is not over, [batch].
        others = jnp.arange(scores.shape[-1])[None, :] != due[:, None]
        forced = t < jnp.minimum(jnp.asarray(self.lengths), tokens.shape[1])
        return jnp.where((forced[:, None] & others)[:, None], -jnp.inf, scores)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BlockNgrams:
    """Lets no run of `size` tokens occur twice in a hypothesis (Paulus et al., 2018, with 3).

    Attributes:
      size: tokens of a run, at least 1; 1 forbids every repetition.
    """

    size: int = dataclasses.field(metadata={"static": True})

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"BlockNgrams: size is {self.size}; give at least 1")

    def __call__(self, scores: Scores, written: Written, t: ArrayLike) -> Scores:
        """Returns the scores with every token out that would end a run for the second time."""
        context = self.size - 1
        if written.shape[-1] <= context:
            return scores
        # The tokens written last, [batch, beam, context].
        last = lax.dynamic_slice_in_dim(written, jnp.maximum(t - context, 0), context, axis=-1)
        # As many tokens from each place on, [batch, beam, places, context].
        starts = jnp.arange(written.shape[-1] - context)
        runs = written[..., starts[:, None] + jnp.arange(context)[None, :]]
        # Where they are the same, the token behind them may not come again.
        inside = (starts + context < t)[None, None, :]
        seen = (runs == last[..., None, :]).all(-1) & inside
        # [batch, 1] and [1, beam], which broadcast over the places; minimum, so that a token that
        # is blocked at one place stays blocked.
        rows, beams = jnp.ix_(*map(jnp.arange, written.shape[:2]))
        blocked = jnp.where(seen, -jnp.inf, jnp.inf)
        return scores.at[rows[..., None], beams[..., None], written[..., context:]].min(blocked)


def _per_row(flag: Any) -> Array:
    """Returns flags `[]` or `[batch]` as they broadcast to `[batch, beam, vocab]`."""
    return flag.reshape(-1, 1, 1)
