"""`Automaton`: what a text may be and how likely it is, read symbol by symbol."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int


class Automaton(NamedTuple):
    """A deterministic weighted automaton over an alphabet; it begins in state 0.

    A language model, a list of hot words or a lexicon all take this form. Minus infinity forbids.

    Attributes:
      moves: the state after each symbol, int32 `[states, alphabet]`; that of the blank is never
        read.
      scores: what each symbol adds, in nats, `[states, alphabet]`.
      ends: what ending in each state adds, `[states]`.
    """

    moves: Int[Array, "states alphabet"]
    scores: Float[Array, "states alphabet"]
    ends: Float[Array, " states"]
