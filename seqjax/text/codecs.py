"""Codecs, which turn sequences into token ids and back: subwords, words, characters, symbols.

Words that the vocabulary lacks may be kept, so that a decoder can copy them.
"""

import dataclasses
import os
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from seqjax.data.bpe import BPE
from seqjax.data.vocabulary import EOS, SPECIALS, UNK, Vocabulary
from seqjax.data.words import sentence_of as sentence_of
from seqjax.data.words import words_of as words_of


@runtime_checkable
class Codec(Protocol):
    """How a person's sequences become token ids, and ids sequences; a frozen dataclass of settings.

    `new` are what a source has that the vocabulary lacks and that may be copied, as `Codec.new`
    gives it.
    """

    wants: ClassVar[str]
    """What it encodes, in words."""

    @property
    def tokens(self) -> Any:
        """The vocabulary, with its length and the ids of its special tokens."""
        ...

    def encode(self, sequence: Any, new: Sequence[str] = ()) -> np.ndarray:
        """Returns the ids of a sequence, int32 `[tokens]`."""
        ...

    def decode(self, ids: np.ndarray, new: Sequence[str] = ()) -> Any:
        """Returns the sequence of ids."""
        ...

    def new(self, sequence: Any) -> list[str]:
        """Returns what a source has that the vocabulary lacks and that may be copied."""
        ...

    def pieces(self, ids: np.ndarray, new: Sequence[str] = ()) -> list[str]:
        """Returns the text of each id, for pictures."""
        ...

    @classmethod
    def accepts(cls, sequence: Any) -> bool:
        """Tells whether this is a sequence of its kind."""
        ...

    def unknown(self, sequence: Any) -> list[str]:
        """Returns the symbols that no training sequence has, where that leaves a sequence unread."""
        ...


class _Texts:
    """What codecs of texts have in common."""

    wants: ClassVar[str] = "a text"

    tokens: Any

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def accepts(cls, sequence: Any) -> bool:
        """Tells whether this is a text."""
        return isinstance(sequence, str)

    def unknown(self, sequence: str) -> list[str]:
        """Returns nothing: a text of new words or characters can be read all the same."""
        return []


@dataclasses.dataclass(frozen=True)
class Subwords(_Texts):
    """Sentences in byte-pair encoding: every text has one, and nothing is unknown.

    Attributes:
      tokens: the encoding.
    """

    tokens: BPE

    def encode(self, sequence: str, new: Sequence[str] = ()) -> np.ndarray:
        """The ids of a sentence, int32 `[tokens]`."""
        return self.tokens.encode(sequence)

    def decode(self, ids: np.ndarray, new: Sequence[str] = ()) -> str:
        """The sentence of ids."""
        return self.tokens.decode(ids).strip()

    def new(self, sequence: str) -> list[str]:
        """What a sentence has that the vocabulary lacks: nothing."""
        return []

    def pieces(self, ids: np.ndarray, new: Sequence[str] = ()) -> list[str]:
        """The text of each id, for pictures."""
        return [self.tokens.decode([index]) or "<eos>" for index in ids]

    def save(self, path: str | os.PathLike) -> None:
        """Writes a JSON file."""
        self.tokens.save(path)


@dataclasses.dataclass(frozen=True)
class Words(_Texts):
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

    def encode(self, sequence: str, new: Sequence[str] = ()) -> np.ndarray:
        """The ids of a sentence, int32 `[tokens]`.

        Example:
          >>> codec = Words(Vocabulary.words([["we", "see"]]), copied=2)
          >>> new = codec.new("see Ulm")
          >>> codec.encode("we see Ulm", new).tolist(), codec.decode([5, 4, 6], new)
          ([5, 4, 6], 'we see Ulm')
        """
        beyond = {word: len(self.tokens) + place for place, word in enumerate(new)}
        # A vocabulary that never saw an unusual blank does without.
        words = [word for word in words_of(sequence) if word.strip() or word in self.tokens]
        ids = self.tokens.encode(words)
        return np.array(
            [beyond.get(word, index) for word, index in zip(words, ids, strict=True)], np.int32
        )

    def decode(self, ids: np.ndarray | Sequence, new: Sequence[str] = ()) -> str:
        """The sentence of ids, punctuation where one writes it."""
        return sentence_of(self.pieces(np.asarray(ids), new))

    def new(self, sequence: str) -> list[str]:
        """The first `copied` words of a sentence that the vocabulary lacks, each once."""
        words = dict.fromkeys(word for word in words_of(sequence) if word.strip())
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


@dataclasses.dataclass(frozen=True)
class Characters(_Texts):
    """Texts letter by letter; a capital that the vocabulary lacks is read as its small letter.

    Attributes:
      tokens: the characters, after the special tokens.
      decomposed: read the parts of a character that Unicode composes of several: a letter and its
        accent, the letters of a Korean syllable.

    Example:
      >>> codec = learn_characters(["abc"])
      >>> codec.decode(codec.encode("Cab"))
      'cab'
      >>> codec = learn_characters(["가나", "각"], decomposed=True)
      >>> len(codec.encode("낙")), codec.decode(codec.encode("낙"))
      (3, '낙')
    """

    tokens: Vocabulary
    decomposed: bool = False

    @classmethod
    def of(cls, text: str) -> "Characters":
        """Makes the codec of running text, without special tokens: it refuses other characters."""
        return cls(Vocabulary.characters(text))

    def encode(self, sequence: str, new: Sequence[str] = ()) -> np.ndarray:
        """Returns the ids of a text, int32 `[characters]`; those unknown are "<unk>".

        Raises:
          ValueError: a character is unknown and the vocabulary has no "<unk>" (which).
        """
        return self.tokens.encode(self._letters(sequence))

    def decode(self, ids: np.ndarray | Sequence, new: Sequence[str] = ()) -> str:
        """Returns the text of ids."""
        text = "".join(self.tokens.decode(ids))
        return unicodedata.normalize("NFC", text) if self.decomposed else text

    def new(self, sequence: str) -> list[str]:
        """Returns nothing: no character is copied."""
        return []

    def pieces(self, ids: np.ndarray, new: Sequence[str] = ()) -> list[str]:
        """Returns the character of each id, for pictures."""
        return self.tokens.decode(ids)

    def unknown(self, sequence: str) -> list[str]:
        """Returns the characters that no training text has."""
        # A letter is told whole, whatever part of it is new.
        letters = dict.fromkeys(
            unicodedata.normalize("NFC", sequence) if self.decomposed else sequence
        )
        return [
            letter
            for letter in letters
            if any(part not in self.tokens for part in self._letters(letter))
        ]

    def _letters(self, text: str) -> list[str]:
        if self.decomposed:
            text = unicodedata.normalize("NFD", text)
        return [self._known(letter) for letter in text]

    def _known(self, letter: str) -> str:
        if letter not in self.tokens and letter.lower() in self.tokens:
            return letter.lower()
        return letter


@dataclasses.dataclass(frozen=True)
class Symbols:
    """Lists of symbols, such as the sounds of a word.

    Attributes:
      tokens: the symbols, after the special tokens.

    Example:
      >>> codec = learn_symbols([["HH", "AH", "L", "OW"]])
      >>> codec.decode(codec.encode(["L", "OW"]))
      ['L', 'OW']
    """

    wants: ClassVar[str] = "a list of symbols, for example a text's .split()"

    tokens: Vocabulary

    def encode(self, sequence: Sequence[str], new: Sequence[str] = ()) -> np.ndarray:
        """Returns the ids of symbols, int32 `[symbols]`; those unknown are "<unk>"."""
        return self.tokens.encode(sequence)

    def decode(self, ids: np.ndarray, new: Sequence[str] = ()) -> list[str]:
        """Returns the symbols of ids."""
        return self.tokens.decode(ids)

    def new(self, sequence: Sequence[str]) -> list[str]:
        """Returns nothing: no symbol is copied."""
        return []

    def pieces(self, ids: np.ndarray, new: Sequence[str] = ()) -> list[str]:
        """Returns the symbol of each id, for pictures."""
        return self.tokens.decode(ids)

    @classmethod
    def accepts(cls, sequence: Any) -> bool:
        """Tells whether this is a list of symbols."""
        if isinstance(sequence, str) or not isinstance(sequence, Sequence):
            return False
        return all(isinstance(symbol, str) for symbol in sequence)

    def unknown(self, sequence: Sequence[str]) -> list[str]:
        """Returns the symbols that no training sequence has."""
        return [symbol for symbol in dict.fromkeys(sequence) if symbol not in self.tokens]


KINDS = {"subwords": Subwords, "words": Words, "characters": Characters, "symbols": Symbols}
"""Name of a codec -> its class."""


def learn_codec(kind: str, sequences: Sequence[Any], vocab_size: int, copied: int = 0) -> Codec:
    """Learns a codec of training sequences.

    Args:
      kind: one of `KINDS`: `"symbols"` of lists, the others of texts.
      sequences: what to learn from.
      vocab_size: tokens of subwords or words, at most.
      copied: see `Words`.

    Raises:
      ValueError: the kind is unknown.
    """
    match kind:
        case "subwords":
            return learn_subwords(sequences, vocab_size)
        case "words":
            return learn_words(sequences, vocab_size, copied)
        case "characters":
            return learn_characters(sequences)
        case "symbols":
            return learn_symbols(sequences)
    raise ValueError(f"the codec {kind!r} is unknown; choose one of {', '.join(KINDS)}")


def learn_characters(texts: Iterable[str], *, decomposed: bool = False) -> Characters:
    """Learns the characters of texts, or where they are `decomposed` their parts."""
    text = "".join(texts)
    if decomposed:
        text = unicodedata.normalize("NFD", text)
    return Characters(Vocabulary.characters(text, SPECIALS), decomposed)


def learn_symbols(sequences: Iterable[Sequence[str]]) -> Symbols:
    """Learns the symbols of sequences, the most frequent first."""
    return Symbols(Vocabulary.words(sequences))


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
