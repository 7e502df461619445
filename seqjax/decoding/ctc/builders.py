"""Automata for the beam search: of language models, of lexica and of hot words; and how they compose.

All are built on the host, as tables `[states, alphabet]` of what can be reached, so they suit
alphabets of letters or of sounds and models of thousands of states.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.decoding.ctc.automata import Automaton
from seqjax.decoding.ctc.ngrams import END, START, NGrams


def weighted(automaton: Automaton, weight: float) -> Automaton:
    """The automaton with its scores multiplied; what it forbids stays forbidden."""
    multiply = lambda scores: jnp.where(jnp.isneginf(scores), -jnp.inf, weight * scores)  # noqa: E731
    return Automaton(automaton.moves, multiply(automaton.scores), multiply(automaton.ends))


def joined(first: Automaton, second: Automaton) -> Automaton:
    """The automaton whose scores are the sums of both: a language model with hot words, or within a lexicon.

    Raises:
      ValueError: the alphabets differ in size.
    """
    one, other = (jax.tree.map(np.asarray, automaton) for automaton in (first, second))
    if one.moves.shape[1] != other.moves.shape[1]:
        raise ValueError(
            f"the automata read {one.moves.shape[1]} and {other.moves.shape[1]} symbols; give one alphabet"
        )

    def follow(state):
        a, b = state
        scores = one.scores[a] + other.scores[b]
        moves = zip(one.moves[a].tolist(), other.moves[b].tolist(), strict=True)
        moves = [
            (0, 0) if score == -np.inf else move for move, score in zip(moves, scores, strict=True)
        ]
        return moves, scores, one.ends[a] + other.ends[b]

    return _explore((0, 0), follow)


def from_symbols(ngrams: NGrams, alphabet: Sequence[Hashable], blank: int = 0) -> Automaton:
    """The automaton of an n-gram model whose words are the symbols themselves, such as letters.

    Args:
      ngrams: the model.
      alphabet: its words in the order of their numbers; what stands at `blank` is never read.
      blank: the symbol that writes nothing.
    """

    def follow(context):
        scores = [
            -np.inf if i == blank else ngrams.score(context, symbol)
            for i, symbol in enumerate(alphabet)
        ]
        moves = [
            context if i == blank else ngrams.context(context, symbol)
            for i, symbol in enumerate(alphabet)
        ]
        return moves, scores, ngrams.score(context, END)

    return _explore(ngrams.context((), START), follow)


def from_words(
    words: Iterable[str],
    alphabet: Sequence[str],
    ngrams: NGrams | None = None,
    *,
    separator: str = " ",
    blank: int = 0,
) -> Automaton:
    """The automaton of a lexicon: texts of its words, with the separator between them, and the n-gram model's scores.

    A word's score is paid out on the way, at each letter as much as the best word that is still
    possible loses; so a search prunes by it before the word is complete. The sum over a text is the
    model's.

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
    below: dict[str, list[str]] = {}
    for word in words:
        for length in range(len(word) + 1):
            below.setdefault(word[:length], []).append(word)
    known, best = set(words), {}

    def price(context, word):
        return ngrams.score(context, word) if ngrams else 0.0

    def hope(context, spelt):
        if (context, spelt) not in best:
            best[context, spelt] = max(price(context, word) for word in below[spelt])
        return best[context, spelt]

    def read(state, symbol):
        context, spelt, pending = state
        if symbol == separator:
            if spelt not in known:
                return state, -np.inf
            after = ngrams.context(context, spelt) if ngrams else ()
            return (after, "", True), price(context, spelt) - hope(context, spelt)
        grown = spelt + symbol
        if grown not in below:
            return state, -np.inf
        paid = 0.0 if spelt == "" else hope(context, spelt)
        return (context, grown, True), hope(context, grown) - paid

    def end(state):
        context, spelt, pending = state
        if spelt == "":
            # Nothing is a text, a separator at its end is not.
            return -np.inf if pending else price(context, END)
        if spelt not in known:
            return -np.inf
        after = ngrams.context(context, spelt) if ngrams else ()
        return price(context, spelt) - hope(context, spelt) + price(after, END)

    def follow(state):
        found = [
            (state, -np.inf) if i == blank else read(state, symbol)
            for i, symbol in enumerate(alphabet)
        ]
        return [move for move, _ in found], [score for _, score in found], end(state)

    return _explore((ngrams.context((), START) if ngrams else (), "", False), follow)


def hot_words(
    words: Iterable[str],
    alphabet: Sequence[str],
    bonus: float,
    *,
    separator: str = " ",
    blank: int = 0,
) -> Automaton:
    """The automaton that rewards each occurrence of some words or phrases, as whole words (Aho and Corasick, 1975).

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
    """
    words = sorted(set(words))
    _check_words(words, [*alphabet, separator], separator="")
    patterns = {separator + word + separator: bonus * len(word) for word in words}
    begun = {pattern[:length] for pattern in patterns for length in range(1, len(pattern) + 1)} | {
        ""
    }

    def read(text, symbol):
        text = text + symbol
        reward = sum(value for pattern, value in patterns.items() if text.endswith(pattern))
        while text not in begun or text in patterns:
            text = text[1:]
        return text, reward

    def held(text):
        return bonus * max(len(text) - len(separator), 0)

    def step(text, symbol):
        after, reward = read(text, symbol)
        return after, reward + held(after) - held(text)

    def follow(text):
        found = [
            (text, -np.inf) if i == blank else step(text, symbol)
            for i, symbol in enumerate(alphabet)
        ]
        return (
            [move for move, _ in found],
            [score for _, score in found],
            read(text, separator)[1] - held(text),
        )

    return _explore(separator, follow)


def _check_words(words: list[str], alphabet: Sequence[str], separator: str) -> None:
    if not words:
        raise ValueError("there are no words; give at least one")
    letters = set(alphabet) - {separator}
    for word in words:
        if not word or (wrong := sorted(set(word) - letters)):
            fault = (
                f"has {wrong[0]!r}, which is not a letter of the alphabet" if word else "is empty"
            )
            raise ValueError(f"the word {word!r} {fault}")


def _explore(start: Any, follow: Callable[[Any], tuple[list, Sequence[float], float]]) -> Automaton:
    """The automaton of all states reached from `start`; `follow(state) -> (states, scores, end)` tells the moves."""
    numbers, queue, moves, scores, ends = {start: 0}, [start], [], [], []
    for state in queue:
        after, values, end = follow(state)
        for other in after:
            if other not in numbers:
                numbers[other] = len(queue)
                queue.append(other)
        moves.append([numbers[other] for other in after])
        scores.append(values)
        ends.append(end)
    return Automaton(
        jnp.array(moves, jnp.int32), jnp.array(scores, jnp.float32), jnp.array(ends, jnp.float32)
    )
