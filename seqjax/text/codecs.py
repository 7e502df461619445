"""Text as token ids and back: sentences in words or subwords, running text in characters, words or subwords."""

import dataclasses
import os
from collections.abc import Iterable, Sequence

import numpy as np

from seqjax.data.bpe import BPE
from seqjax.data.vocabulary import EOS, SPECIALS, UNK, Vocabulary
from seqjax.data.words import sentence_of as sentence_of
from seqjax.data.words import words_of as words_of


@dataclasses.dataclass(frozen=True)
class Subwords:
    """Sentences in byte-pair encoding: every text has one, and nothing is unknown.

    Attributes:
      tokens: the encoding.
    """

    tokens: BPE

    def encode(self, sentence: str, new: Sequence[str] = ()) -> np.ndarray:
        """The ids of a sentence, int32 `[tokens]`."""
        return self.tokens.encode(sentence)

    def decode(self, ids: np.ndarray, new: Sequence[str] = ()) -> str:
        """The sentence of ids."""
        return self.tokens.decode(ids).strip()

    def new(self, sentence: str) -> list[str]:
        """What a sentence has that the vocabulary lacks: nothing."""
        return []

    def pieces(self, ids: np.ndarray, new: Sequence[str] = ()) -> list[str]:
        """The text of each id, for pictures."""
        return [self.tokens.decode([index]) or "<eos>" for index in ids]

    def save(self, path: str | os.PathLike) -> None:
        """Writes a JSON file."""
        self.tokens.save(path)


@dataclasses.dataclass(frozen=True)
class Words:
    """Sentences as `words_of` cuts them; an unknown word may have an id of its own within its sentence.

    The words of `new`, those of a source that the vocabulary lacks, have the ids after the
    vocabulary's (See et al., 2017), so that a decoder can copy them; other unknown words are
    "<unk>".

    Attributes:
      tokens: the vocabulary.
      copied: ids beyond the vocabulary at most.
    """

    tokens: Vocabulary
    copied: int = 0

    def encode(self, sentence: str, new: Sequence[str] = ()) -> np.ndarray:
        """The ids of a sentence, int32 `[tokens]`.

        Example:
          >>> codec = Words(Vocabulary.words([["we", "see"]]), copied=2)
          >>> new = codec.new("see Ulm")
          >>> codec.encode("we see Ulm", new).tolist(), codec.decode([5, 4, 6], new)
          ([5, 4, 6], 'we see Ulm')
        """
        beyond = {word: len(self.tokens) + place for place, word in enumerate(new)}
        # A vocabulary that never saw an unusual blank does without.
        words = [word for word in words_of(sentence) if word.strip() or word in self.tokens]
        ids = self.tokens.encode(words)
        return np.array(
            [beyond.get(word, index) for word, index in zip(words, ids, strict=True)], np.int32
        )

    def decode(self, ids: np.ndarray | Sequence, new: Sequence[str] = ()) -> str:
        """The sentence of ids, punctuation where one writes it."""
        return sentence_of(self.pieces(np.asarray(ids), new))

    def new(self, sentence: str) -> list[str]:
        """The first `copied` words of a sentence that the vocabulary lacks, each once."""
        words = dict.fromkeys(word for word in words_of(sentence) if word.strip())
        return [word for word in words if word not in self.tokens][: self.copied]

    def pieces(self, ids: np.ndarray, new: Sequence[str] = ()) -> list[str]:
        """The word of each id."""
        every = [*self.tokens.tokens, *new]
        return [
            every[index] if index < len(every) else "<unk>" for index in np.asarray(ids).tolist()
        ]

    def save(self, path: str | os.PathLike) -> None:
        """Writes a JSON file."""
        self.tokens.save(path)


def learn_subwords(sentences: Iterable[str], size: int) -> Subwords:
    """Subwords of a corpus, at most `size`."""
    return Subwords(BPE.train(sentences, size))


def learn_words(sentences: Iterable[str], size: int, copied: int = 0) -> Words:
    """The most frequent words of a corpus, at most `size` with the specials."""
    return Words(
        Vocabulary.words(map(words_of, sentences), max_size=size, specials=SPECIALS), copied
    )


def load_subwords(path: str | os.PathLike) -> Subwords:
    """What `Subwords.save` wrote."""
    return Subwords(BPE.load(path))


def load_words(path: str | os.PathLike, copied: int = 0) -> Words:
    """What `Words.save` wrote."""
    return Words(Vocabulary.load(path), copied)


@dataclasses.dataclass(frozen=True)
class Characters:
    """Text as its characters.

    Attributes:
      tokens: the characters.

    Example:
      >>> codec = Characters.of("to be")
      >>> codec.decode(codec.encode("boot"))
      'boot'
    """

    tokens: Vocabulary

    @classmethod
    def of(cls, text: str) -> "Characters":
        """Makes the codec of a text; other characters are refused."""
        return cls(Vocabulary.characters(text))

    def encode(self, text: str) -> np.ndarray:
        """Numbers the characters of a text, int32 `[tokens]`.

        Raises:
          ValueError: characters that the codec lacks (which).
        """
        return self.tokens.encode(text)

    def decode(self, ids: np.ndarray | Sequence) -> str:
        """Gives the text of ids."""
        return "".join(self.tokens.decode(ids))

    def __len__(self) -> int:
        return len(self.tokens)


@dataclasses.dataclass(frozen=True)
class Lines:
    r"""Running text as words, with "<eos>" at the end of each line; rare words are "<unk>".

    Attributes:
      tokens: the vocabulary.
      tokenised: words are what blanks part, as in a corpus that was cut into words already; else
        they are cut as `words_of` does.

    Example:
      >>> codec = Lines.of("We see a man.\nA man sees us.\n")
      >>> codec.decode(codec.encode("A man flies.\nWe see."))
      'A man <unk>.\nWe see.'
    """

    tokens: Vocabulary
    tokenised: bool = False

    @classmethod
    def of(cls, text: str, size: int | None = None, *, tokenised: bool = False) -> "Lines":
        """Makes the codec of a text.

        Args:
          text: what to learn the words of.
          size: tokens at most, the specials included; None keeps every word.
          tokenised: see the class.
        """
        lines = (_cut(line, tokenised) for line in text.split("\n"))
        return cls(Vocabulary.words(lines, max_size=size, specials=(UNK, EOS)), tokenised)

    def encode(self, text: str) -> np.ndarray:
        """Numbers the words of a text and the ends of its lines, int32 `[tokens]`."""
        first, *others = text.split("\n")
        words = _cut(first, self.tokenised)
        for line in others:
            words.append(EOS)
            words.extend(_cut(line, self.tokenised))
        return self.tokens.encode(words)

    def decode(self, ids: np.ndarray | Sequence) -> str:
        """Gives the text of ids, punctuation where one writes it."""
        lines: list[list[str]] = [[]]
        for word in self.tokens.decode(ids):
            if word == EOS:
                lines.append([])
            else:
                lines[-1].append(word)
        join = " ".join if self.tokenised else sentence_of
        return "\n".join(map(join, lines))

    def __len__(self) -> int:
        return len(self.tokens)


def _cut(line: str, tokenised: bool) -> list[str]:
    return line.split() if tokenised else words_of(line)
