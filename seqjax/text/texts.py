"""`Texts`: whole texts as the tokens that a classifier reads."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np
import regex

from seqjax.data import BPE, Vocabulary
from seqjax.data.words import CHARACTER, PART

_WORD = regex.compile(
    rf"n't|{CHARACTER}|'{PART}|{PART}(?=n't)|{PART}(?:-{PART})*|\.\.\.|--|(?!\s)\X", regex.V1
)

Tokens: TypeAlias = Vocabulary | BPE
"""Words, or byte pairs."""


def treebank_words(text: str) -> list[str]:
    """Cuts a text into words in lower case, as the Penn Treebank writes them.

    `didn't` is `did n't`, `it's` is `it 's`; scripts written without blanks are cut into characters.

    Example:
      >>> treebank_words("It didn't work ...")
      ['it', 'did', "n't", 'work', '...']
    """
    return _WORD.findall(text.lower())


@dataclasses.dataclass(frozen=True)
class Texts:
    """Texts as tokens of their lower-case form; the inputs of `seqjax.text.Classifier`.

    Attributes:
      tokens: the words that are known, as `treebank_words` cuts them; or byte pairs.
      max_length: tokens of a text that are read; the rest is left out.

    Raises:
      ValueError: `max_length` is less than 1.

    Example:
      >>> texts = Texts(Vocabulary.words([["a", "good", "film"]]))
      >>> texts.sequences(["A good film", "bad film"])
      [array([4, 6, 5], dtype=int32), array([1, 5], dtype=int32)]
    """

    tokens: Tokens
    max_length: int = 400

    size: ClassVar[None] = None
    """A step is a token."""

    def __post_init__(self):
        if self.max_length < 1:
            raise ValueError(f"max_length is {self.max_length}; give at least 1")

    def sequences(self, inputs: Sequence[str]) -> list[np.ndarray]:
        """Numbers the tokens of texts, int32 `[tokens]` each.

        Raises:
          ValueError: a text is empty or no text (which).
        """
        check_texts(inputs)
        return [numbers[: self.max_length] for numbers in self._numbers(inputs)]

    def pieces(self, text: str) -> list[str]:
        """Lists the tokens of a text that are read, in letters."""
        if isinstance(self.tokens, Vocabulary):
            return treebank_words(text)[: self.max_length]
        numbers = self.tokens.encode(text.lower())[: self.max_length]
        return [self.tokens.decode([number]) for number in numbers]

    def knows(self, piece: str) -> bool:
        """Tells whether a token is known; byte pairs spell every text."""
        return not isinstance(self.tokens, Vocabulary) or piece in self.tokens

    def count_cut(self, inputs: Sequence[str]) -> int:
        """Counts the texts of which a part is left out."""
        return sum(len(numbers) > self.max_length for numbers in self._numbers(inputs))

    def _numbers(self, inputs: Sequence[str]) -> list[np.ndarray]:
        """The ids of all tokens."""
        if isinstance(self.tokens, Vocabulary):
            return [self.tokens.encode(treebank_words(text)) for text in inputs]
        return self.tokens.encode_all(text.lower() for text in inputs)


def learn_words(texts: Sequence[str], min_count: int) -> Vocabulary:
    """Lists the words that come at least so often, with those for padding and for unknown words."""
    return Vocabulary.words(map(treebank_words, texts), min_count)


def check_texts(texts: Sequence[str]) -> None:
    """Refuses what are no texts.

    Raises:
      ValueError: it is a string alone, or one of them is empty or no string (which).
    """
    if isinstance(texts, str):
        raise ValueError(f"the texts are one string, {texts[:40]!r}; give a list of texts")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"text {row} is {text!r:.40}; give a string")
        if not text.strip():
            raise ValueError(f"text {row} is empty; give at least one word, or leave it out")
