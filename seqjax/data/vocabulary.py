"""`Vocabulary`: the tokens a model knows, in the order of their numbers."""

import collections
import dataclasses
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from seqjax.files.disk import write_atomically

PAD, UNK, BOS, EOS = SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


class Specials:
    """The ids of the usual special tokens, of anything that has `_special(token) -> id`."""

    @property
    def pad(self) -> int:
        """The id of "<pad>"; ValueError without one, as with `unk`, `bos` and `eos`."""
        return self._special(PAD)

    @property
    def unk(self) -> int:
        """The id of "<unk>"."""
        return self._special(UNK)

    @property
    def bos(self) -> int:
        """The id of "<bos>"."""
        return self._special(BOS)

    @property
    def eos(self) -> int:
        """The id of "<eos>"."""
        return self._special(EOS)

    def _special(self, token: str) -> int:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Vocabulary(Specials):
    """Tokens and their ids: the id of a token is its place.

    Attributes:
      tokens: all tokens, each once; the special ones come first.
      specials: those that stand for no text, such as padding.

    Raises:
      ValueError: a token occurs twice, or the specials are not the first tokens.

    Example:
      >>> vocabulary = Vocabulary.characters("to be")
      >>> vocabulary.encode("be to").tolist()
      [1, 2, 0, 4, 3]
      >>> "".join(vocabulary.decode([4, 3]))
      'to'
    """

    tokens: tuple[str, ...]
    specials: tuple[str, ...] = ()

    def __post_init__(self):
        if self.tokens[: len(self.specials)] != self.specials:
            raise ValueError(
                f"the first tokens are {self.tokens[: len(self.specials)]}; put the specials {self.specials} there"
            )
        if len(self.ids) != len(self.tokens):
            twice = [
                token for token, count in collections.Counter(self.tokens).items() if count > 1
            ]
            raise ValueError(f"tokens occur twice: {_few(twice)}; give each once")

    @classmethod
    def characters(cls, text: Iterable[str], specials: Sequence[str] = ()) -> "Vocabulary":
        """The characters of a text in code point order, after the specials."""
        return cls((*specials, *sorted(set(text))), tuple(specials))

    @classmethod
    def words(
        cls,
        sentences: Iterable[Iterable[str]],
        min_count: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = SPECIALS,
    ) -> "Vocabulary":
        """The words of tokenised sentences, the most frequent first, equally frequent ones in code point order.

        Args:
          sentences: each an iterable of words.
          min_count: rarer words are left out.
          max_size: at most so many tokens, the specials included; None sets no bound.
          specials: tokens that come first; with "<unk>" among them the words left out have an id.

        Raises:
          TypeError: a sentence is a bare string.
          ValueError: `max_size` has no room for the specials.
        """
        if max_size is not None and max_size < len(specials):
            raise ValueError(
                f"max_size is {max_size}, the specials alone are {len(specials)}; give more room"
            )
        counts = collections.Counter()
        for sentence in sentences:
            if isinstance(sentence, str):
                raise TypeError(
                    f"a sentence is the string {sentence[:40]!r}; give its words, for example sentence.split()"
                )
            counts.update(sentence)
        frequent = [
            word for word, count in counts.items() if count >= min_count and word not in specials
        ]
        frequent.sort(key=lambda word: (-counts[word], word))
        return cls((*specials, *frequent)[:max_size], tuple(specials))

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self.ids

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.tokens[:8]))
        return f"Vocabulary({len(self):,} tokens: {shown}{', ...' if len(self) > 8 else ''})"

    @functools.cached_property
    def ids(self) -> dict[str, int]:
        """Token to id."""
        return {token: index for index, token in enumerate(self.tokens)}

    def _special(self, token: str) -> int:
        if token not in self.specials:
            raise ValueError(
                f"the vocabulary has no {token}; its specials are {self.specials}; build it with {token} among them"
            )
        return self.ids[token]

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """The ids of a sequence of tokens (a string is a sequence of characters).

        Returns:
          int32 `[tokens]`; unknown tokens are "<unk>" if that is among the specials.

        Raises:
          ValueError: unknown tokens, and no "<unk>" to stand for them.
        """
        tokens = tokens if isinstance(tokens, Sequence) else list(tokens)
        default = self.ids[UNK] if UNK in self.specials else -1
        ids = np.fromiter(
            map(self.ids.get, tokens, itertools.repeat(default)), np.int32, len(tokens)
        )
        if default < 0 and (ids < 0).any():
            unknown = list(
                dict.fromkeys(tokens[place] for place in np.flatnonzero(ids < 0).tolist())
            )
            raise ValueError(
                f"not in the vocabulary of {len(self):,} tokens: {_few(unknown)}; "
                "take them out, or build the vocabulary from text that has them or with the special <unk>"
            )
        return ids

    def decode(self, ids: Iterable | np.ndarray) -> list[str]:
        """The tokens of a sequence of ids.

        Raises:
          ValueError: an id is no token's.
        """
        ids = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self):
            wrong = int(ids.max()) if ids.max() >= len(self) else int(ids.min())
            raise ValueError(f"id {wrong} is no token's; give ids from 0 to {len(self) - 1}")
        return [self.tokens[index] for index in ids.tolist()]

    @property
    def fingerprint(self) -> str:
        """The sha256 of the tokens and specials, 64 hexadecimal digits."""
        return hashlib.sha256(self._json()).hexdigest()

    def _json(self) -> bytes:
        return json.dumps({"specials": self.specials, "tokens": self.tokens}).encode()

    def save(self, path: str | os.PathLike) -> None:
        """Writes a JSON file, whole or not at all."""
        write_atomically(path, self._json())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
          ValueError: there is no such file, or it is no vocabulary.
        """
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file")
        try:
            fields = json.loads(Path(path).read_bytes())
            tokens, specials = fields["tokens"], fields["specials"]
            if not all(isinstance(token, str) for token in (*tokens, *specials)):
                raise TypeError("a token is not a string")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: no vocabulary ({error}); give a file that Vocabulary.save wrote"
            ) from None
        return cls(tuple(tokens), tuple(specials))


def _few(tokens: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(map(repr, tokens[:most]))
    return shown if len(tokens) <= most else f"{shown} and {len(tokens) - most} more"
