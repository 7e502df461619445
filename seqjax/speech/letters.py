"""Letters: texts as the symbols of CTC and back, and a model of which letters follow which."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqjax.data.vocabulary import Vocabulary
from seqjax.decoding import ctc
from seqjax.files.disk import write_atomically

BLANK = "<blank>"
"""The symbol 0 of connectionist temporal classification: no letter."""


@dataclasses.dataclass(frozen=True)
class LetterCodec:
    """Texts to symbols and back.

    Attributes:
      vocabulary: the symbols, the blank first.

    Example:
      >>> codec = LetterCodec.of(["no", "yes"])
      >>> codec.encode("one").tolist(), codec.decode(np.array([4, 3, 2]))
      ([4, 3, 2], 'one')
    """

    vocabulary: Vocabulary

    @classmethod
    def of(cls, texts: Iterable[str]) -> "LetterCodec":
        """Makes the codec of training texts: their letters, and a space."""
        return cls(Vocabulary.characters(" " + "".join(texts), (BLANK,)))

    def __len__(self) -> int:
        return len(self.vocabulary)

    def writes(self, text: str) -> bool:
        """Whether it has every letter of a text."""
        return all(letter in self.vocabulary for letter in text)

    def known(self, text: str) -> str:
        """Returns a text without the letters that it lacks."""
        return "".join(letter for letter in text if letter in self.vocabulary)

    def encode(self, text: str) -> np.ndarray:
        """Returns the symbols of a text, int32 `[letters]`; letters that it lacks are left out."""
        return self.vocabulary.encode(self.known(text))

    def decode(self, symbols: np.ndarray) -> str:
        """Returns the words of a row of symbols, with one space between two of them."""
        return " ".join("".join(self.vocabulary.decode(symbols)).split())


@dataclasses.dataclass(frozen=True)
class LetterModel:
    """An n-gram model of letters, and how much it counts in a search.

    Attributes:
      arpa: the n-grams, in the text of an ARPA file.
      weight: of the model beside the acoustic scores.
      bonus: nats for each letter, which make up for a model that likes short texts.

    Example:
      >>> LetterModel.of(["one two", "two one"], order=3, weight=1.0)
      LetterModel(weight=1.0, bonus=0.0)
    """

    arpa: str = dataclasses.field(repr=False)
    weight: float = 0.5
    bonus: float = 0.0

    @classmethod
    def of(
        cls, texts: Iterable[str], order: int = 6, weight: float = 0.5, bonus: float = 0.0
    ) -> "LetterModel":
        """Counts the letters of texts, each different text once.

        Args:
          texts: what may be said.
          order: letters of the longest n-grams.
          weight: see the attributes.
          bonus: see the attributes.
        """
        ngrams = ctc.train_ngrams(sorted(set(texts)), order)
        return cls(ctc.arpa_text(ngrams), weight, bonus)

    @classmethod
    def read(
        cls, path: str | os.PathLike, weight: float = 0.5, bonus: float = 0.0
    ) -> "LetterModel":
        """Reads an ARPA file whose words are letters.

        Raises:
          ValueError: the file is none (which line).
        """
        return cls(ctc.arpa_text(ctc.read_arpa(path)), weight, bonus)

    def write(self, path: str | os.PathLike) -> None:
        """Writes an ARPA file, which other decoders read as well."""
        write_atomically(path, self.arpa.encode())

    def automaton(self, codec: LetterCodec) -> ctc.Automaton:
        """Builds the form that the beam search reads; it is kept for the next call."""
        return _automaton(self.arpa, codec.vocabulary.tokens)


@functools.lru_cache(maxsize=8)
def _automaton(arpa: str, symbols: tuple[str, ...]) -> ctc.Automaton:
    return ctc.from_symbols(ctc.parse_arpa(arpa, "the model of letters"), symbols)


class Word(NamedTuple):
    """A word, and from when to when it is said.

    Attributes:
      text: its letters.
      begin: seconds.
      end: seconds.
    """

    text: str
    begin: Any
    end: Any


def words_of(letters: Sequence[tuple[str, Any, Any]]) -> list[Word]:
    """Joins aligned letters to words.

    Args:
      letters: `(letter, begin, end)` of each, a space between words.

    Returns:
      Each word with the begin of its first letter and the end of its last.

    Example:
      >>> words_of([("n", 0.0, 0.1), ("o", 0.3, 0.4), (" ", 0.5, 0.6), ("a", 0.7, 0.8)])
      [Word(text='no', begin=0.0, end=0.4), Word(text='a', begin=0.7, end=0.8)]
    """
    words = []
    for is_space, group in itertools.groupby(letters, key=lambda entry: entry[0] == " "):
        if is_space:
            continue
        spoken = list(group)
        text = "".join(letter for letter, _, _ in spoken)
        words.append(Word(text, spoken[0][1], spoken[-1][2]))
    return words
