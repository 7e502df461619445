"""Automata for the beam search: of language models, lexica and hot words; how they compose.

All are built on the host, as tables `[states, alphabet]` of what can be reached, so they suit
alphabets of letters or of sounds and models of thousands of states.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from seqjax.decoding.ctc.automata import Automaton
from seqjax.decoding.ctc.ngrams import END, START, Gram, NGrams


class _Moves(NamedTuple):
    """What may come after one state."""

    states: list  # the state after each symbol, [alphabet]
    scores: Any  # of each symbol, [alphabet]
    end: Any  # the score of ending here


class _Spelling(NamedTuple):
    """A state of a lexicon's automaton."""

    context: Gram  # of the n-gram model: the words before
    spelt: str  # letters of the word that has begun
    pending: bool  # whether a text has begun


def weighted(automaton: Automaton, weight: ArrayLike) -> Automaton:
    """Returns the automaton with its scores multiplied; what it forbids stays forbidden."""

    def multiply(scores: ArrayLike) -> Array:
        scores = jnp.asarray(scores)
        return jnp.where(jnp.isneginf(scores), -jnp.inf, weight * scores)

    return Automaton(automaton.moves, multiply(automaton.scores), multiply(automaton.ends))


def joined(first: Automaton, second: Automaton) -> Automaton:
    """Returns the automaton whose scores are the sums of both.

    So a language model is joined with hot words, or held within a lexicon.

    Raises:
      ValueError: the alphabets differ in size.
    """
    one, other = (jax.tree.map(np.asarray, automaton) for automaton in (first, second))
    if one.moves.shape[1] != other.moves.shape[1]:
        raise ValueError(
            f"the automata read {one.moves.shape[1]} and {other.moves.shape[1]} symbols; "
            "give one alphabet"
        )

    def follow(state: tuple[int, int]) -> _Moves:
        a, b = state
        scores = one.scores[a] + other.scores[b]
        moves = list(zip(one.moves[a].tolist(), other.moves[b].tolist(), strict=True))
        # What is forbidden leads nowhere: back to the start, which makes no new state.
        for symbol in np.flatnonzero(scores == -np.inf):
            moves[symbol] = (0, 0)
        return _Moves(moves, scores, one.ends[a] + other.ends[b])

    return _explore((0, 0), follow)


def from_symbols(ngrams: NGrams, alphabet: Sequence[Hashable], blank: int = 0) -> Automaton:
    """Returns the automaton of an n-gram model whose words are the symbols, such as letters.

    Args:
      ngrams: the model.
      alphabet: its words in the order of their numbers; what stands at `blank` is never read.
      blank: the symbol that writes nothing.
    """

    def read(context: Gram, symbol: Hashable) -> tuple[Gram, float]:
        return ngrams.context(context, symbol), ngrams.score(context, symbol)

    def follow(context: Gram) -> _Moves:
        return _follow(context, alphabet, blank, read, ngrams.score(context, END))

    return _explore(ngrams.context((), START), follow)


def from_words(
    words: Iterable[str],
    alphabet: Sequence[str],
    ngrams: NGrams | None = None,
    *,
    separator: str = " ",
    blank: int = 0,
) -> Automaton:
    """Returns the automaton of a lexicon: texts of its words, scored by an n-gram model.

    Between two words stands the separator. A word's score is paid out on the way, at each letter as
    much as the best word that is still possible loses; so a search prunes by it before the word is
    complete. The sum over a text is the model's.

    Args:
      words: the lexicon.
      alphabet: letters in the order of their numbers.
      ngrams: a model of words; None to score nothing.
      separator: between two words.
      blank: the symbol that writes nothing.

    Raises:
      ValueError: the lexicon is empty, or a word is empty or has a letter that is not in the
        alphabet.
    """
    words = sorted(set(words))
    _check_words(words, alphabet, separator)
    # The words that each beginning of a word may become.
    below: dict[str, list[str]] = {}
    for word in words:
        for length in range(len(word) + 1):
            below.setdefault(word[:length], []).append(word)
    known, best = set(words), {}

    def price(context: Gram, word: str) -> float:
        """Returns what a whole word scores."""
        return ngrams.score(context, word) if ngrams else 0.0

    def move_on(context: Gram, word: str) -> Gram:
        return ngrams.context(context, word) if ngrams else ()

    def hope(context: Gram, spelt: str) -> float:
        """Returns what the best word scores that may still come: so much has been paid out."""
        if (context, spelt) not in best:
            best[context, spelt] = max(price(context, word) for word in below[spelt])
        return best[context, spelt]

    def read(state: _Spelling, symbol: str) -> tuple[_Spelling, float]:
        context, spelt, _ = state
        if symbol == separator:
            if spelt not in known:
                return state, -np.inf
            # The word is complete: the rest of its score.
            rest = price(context, spelt) - hope(context, spelt)
            return _Spelling(move_on(context, spelt), "", True), rest
        grown = spelt + symbol
        if grown not in below:
            return state, -np.inf
        # The first letter pays all that is hoped for, each further one what the hope changes by.
        paid = 0.0 if spelt == "" else hope(context, spelt)
        return _Spelling(context, grown, True), hope(context, grown) - paid

    def end(state: _Spelling) -> float:
        context, spelt, pending = state
        if spelt == "":
            # Nothing is a text, a separator at its end is not.
            return -np.inf if pending else price(context, END)
        if spelt not in known:
            return -np.inf
        # The last word is complete, and then the sentence is.
        rest = price(context, spelt) - hope(context, spelt)
        return rest + price(move_on(context, spelt), END)

    def follow(state: _Spelling) -> _Moves:
        return _follow(state, alphabet, blank, read, end(state))

    return _explore(_Spelling(move_on((), START), "", False), follow)


def hot_words(
    words: Iterable[str],
    alphabet: Sequence[str],
    bonus: int | float,
    *,
    separator: str = " ",
    blank: int = 0,
) -> Automaton:
    """Returns the automaton that rewards each occurrence of some words or phrases, as whole words.

    The bonus is paid out letter by letter, so that a search keeps hold of a hot word that has
    begun, and taken back if it turns out to be another one.

    Args:
      words: words, or phrases with separators in them.
      alphabet: letters in the order of their numbers.
      bonus: nats for each letter of a hot word.
      separator: between two words; both ends of a text count as one.
      blank: the symbol that writes nothing.

    Raises:
      ValueError: there is no word, or a word is empty or has a letter that is not in the alphabet.

    Reference:
      Aho and Corasick, 1975.
    """
    words = sorted(set(words))
    _check_words(words, [*alphabet, separator], separator="")
    patterns = {separator + word + separator: bonus * len(word) for word in words}
    # A state is the longest end of the text that a pattern begins with.
    begun = {""}
    for pattern in patterns:
        begun.update(pattern[:length] for length in range(1, len(pattern) + 1))

    def read(text: str, symbol: str) -> tuple[str, int | float]:
        """Returns the state after a symbol, and the reward of the patterns that end with it."""
        text = text + symbol
        reward = sum(value for pattern, value in patterns.items() if text.endswith(pattern))
        # A whole pattern is behind: its separator may begin the next one.
        while text not in begun or text in patterns:
            text = text[1:]
        return text, reward

    def held(text: str) -> int | float:
        """Returns what has been paid out for a pattern that has begun."""
        return bonus * max(len(text) - len(separator), 0)

    def step(text: str, symbol: str) -> tuple[str, int | float]:
        # What is held of the pattern at hand is paid now, what was held before taken back.
        after, reward = read(text, symbol)
        return after, reward + held(after) - held(text)

    def follow(text: str) -> _Moves:
        # The end of a text counts as a separator, and what is still held is taken back.
        end = read(text, separator)[1] - held(text)
        return _follow(text, alphabet, blank, step, end)

    return _explore(separator, follow)


def _check_words(words: list[str], alphabet: Sequence[str], separator: str) -> None:
    if not words:
        raise ValueError("there are no words; give at least one")
    letters = set(alphabet) - {separator}
    for word in words:
        if not word:
            raise ValueError(f"the word {word!r} is empty")
        wrong = sorted(set(word) - letters)
        if wrong:
            raise ValueError(
                f"the word {word!r} has {wrong[0]!r}, which is not a letter of the alphabet"
            )


def _follow(
    state: Any,
    alphabet: Sequence[Any],
    blank: int,
    read: Callable[[Any, Any], tuple[Any, int | float]],
    end: int | float,
) -> _Moves:
    """Reads each symbol in a state; the blank is never read."""
    states, scores = [], []
    for place, symbol in enumerate(alphabet):
        after, score = state, -np.inf
        if place != blank:
            after, score = read(state, symbol)
        states.append(after)
        scores.append(score)
    return _Moves(states, scores, end)


def _explore(start: Hashable, follow: Callable[[Any], _Moves]) -> Automaton:
    """Returns the automaton of all states that are reached from `start`, which is state 0."""
    numbers, queue, moves, scores, ends = {start: 0}, [start], [], [], []
    # The queue grows while it is read: breadth first.
    for state in queue:
        after, values, end = follow(state)
        for other in after:
            if other not in numbers:
                numbers[other] = len(queue)
                queue.append(other)
        moves.append([numbers[other] for other in after])
        scores.append(values)
        ends.append(end)
    # [states, alphabet], [states, alphabet], [states]
    return Automaton(
        jnp.array(moves, jnp.int32), jnp.array(scores, jnp.float32), jnp.array(ends, jnp.float32)
    )
