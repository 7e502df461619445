"""How finished hypotheses are ranked: functions of a score that compose.

Each has a bound, which lets a search stop.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

Scores = Float[Array, "batch beam"]


class Penalty:
    """Turns a score, at first the log-probability, into another one.

    Higher is better, and none is above 0. A penalty of one's own is an object of any class with
    these two methods, or a function like `__call__` alone, whose bound is not known. Its attributes
    that hold arrays are arguments of the compiled search; another value of any other attribute
    compiles anew.

    Example, of a function:
      >>> import jax, seqjax
      >>> step = lambda params, state, tokens: (state, params * jax.nn.one_hot(tokens + 1, 5))
      >>> longer = lambda scores, lengths, observed: scores / lengths
      >>> found = seqjax.decoding.beam_search(
      ...     step, 3.0, jax.numpy.zeros(1), jax.numpy.zeros(1, int), beam=4, length=6,
      ...     stop_token=4, penalties=[longer])
      >>> found.tokens.tolist()
      [[[1, 2, 3, 4, 4, 4]]]
    """

    def __call__(self, scores: Scores, lengths: Int[Array, "batch beam"], observed: Any) -> Scores:
        """Returns the new scores.

        Args:
          scores: `[batch, beam]`, at most 0.
          lengths: tokens of each hypothesis, the stop token counted.
          observed: what `beam_search` was told to observe, summed over the steps; leaves
            `[batch, beam, ...]`.
        """
        raise NotImplementedError

    def bound(self, scores: Scores, shortest: ArrayLike, longest: ArrayLike) -> Scores:
        """Returns the best scores that hypotheses with `scores` so far can end with.

        They are infinite where nothing is known.

        Args:
          scores: `[batch, beam]`, at most 0; they only fall as a hypothesis grows.
          shortest: the least length it can end with.
          longest: the greatest.
        """
        return jnp.full_like(scores, jnp.inf)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LengthPenalty(Penalty):
    """Divides by `((5 + length) / 6) ** alpha` (Wu et al., 2016, equation 14).

    Attributes:
      alpha: 0 leaves the log-probability, which likes short hypotheses; 0.6 to 1 are usual.
    """

    alpha: Any = 0.6

    def __call__(self, scores: Scores, lengths: Int[Array, "batch beam"], observed: Any) -> Scores:
        """See `Penalty`."""
        return scores / self._divisor(lengths, scores.dtype)

    def bound(self, scores: Scores, shortest: ArrayLike, longest: ArrayLike) -> Scores:
        """Returns the greater score of both ends: the divisor is monotone in the length."""
        # Scores [batch, beam] over a divisor [].
        at_shortest = scores / self._divisor(shortest, scores.dtype)
        at_longest = scores / self._divisor(longest, scores.dtype)
        return jnp.maximum(at_shortest, at_longest)

    def _divisor(self, lengths: ArrayLike, dtype: np.dtype) -> Array:
        return ((5.0 + jnp.asarray(lengths, dtype)) / 6.0) ** self.alpha


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CoveragePenalty(Penalty):
    """Adds `beta * sum_i log(min(1, attention that position i got in all))`.

    This is equation 14 of Wu et al., 2016. The search must observe the attention, an array
    `[batch, positions]` at each step.

    Attributes:
      lengths: valid positions of each source, `[batch]`.
      beta: strength, at least 0.
      least: attention that a position is taken to have got at least, so that the logarithm stays
        finite.
    """

    lengths: Any
    beta: Any = 0.2
    least: Any = 1e-3

    def __post_init__(self) -> None:
        if isinstance(self.beta, int | float) and self.beta < 0:
            raise ValueError(f"CoveragePenalty: beta is {self.beta}; give at least 0")

    def __call__(self, scores: Scores, lengths: Int[Array, "batch beam"], observed: Any) -> Scores:
        """See `Penalty`."""
        if not isinstance(observed, jax.Array | Tracer) or observed.ndim != 3:
            raise ValueError(
                "CoveragePenalty wants the attention [batch, positions] of each step; "
                "give beam_search observe=, a function from the decoder's state to it"
            )
        # observed is [batch, beam, positions]; valid is [batch, 1, positions].
        positions = jnp.arange(observed.shape[-1])[None, None, :]
        valid = positions < jnp.asarray(self.lengths)[:, None, None]
        # More attention than 1 earns nothing, and log(1) is 0.
        covered = jnp.log(jnp.clip(observed, self.least, 1))
        return scores + self.beta * jnp.where(valid, covered, 0).sum(-1)

    def bound(self, scores: Scores, shortest: ArrayLike, longest: ArrayLike) -> Scores:
        """Returns the scores: everything may yet be covered."""
        return scores


def penalise(
    penalties: Sequence[Callable], scores: Scores, lengths: Array, observed: Any
) -> Scores:
    """Returns the scores after all penalties, in order."""
    for penalty in penalties:
        scores = penalty(scores, lengths, observed)
    return scores


def bound(
    penalties: Sequence[Callable], scores: Scores, shortest: ArrayLike, longest: ArrayLike
) -> Scores:
    """Returns the best scores that can come of hypotheses still growing.

    They are infinite after a penalty that knows no bound.
    """
    for penalty in penalties:
        # A function has no such method: what it may make of a score is not known.
        known = getattr(penalty, "bound", None)
        if known is None:
            scores = jnp.full_like(scores, jnp.inf)
        else:
            scores = known(scores, shortest, longest)
    return scores
