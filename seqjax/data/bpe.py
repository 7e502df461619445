"""`BPE`: subwords by byte-pair encoding, through the `tokenizers` package."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.data.vocabulary import SPECIALS, Specials
from seqjax.files.disk import write_atomically


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            'BPE needs the package tokenizers: pip install "seqjax[experiments]"'
        ) from error
    return tokenizers


@dataclasses.dataclass(frozen=True, repr=False)
class BPE(Specials):
    """Byte-pair encoding over UTF-8 bytes (Sennrich et al., 2016; the byte-level form of Radford et al., 2019).

    Every text has an encoding, and `decode(encode(text))` is the text: the 256 bytes are tokens
    themselves.

    Attributes:
      json: what the package `tokenizers` writes of its tokenizer.

    Example:
      >>> bpe = BPE.train(["low lower lowest"] * 9, vocab_size=270)
      >>> bpe.decode(bpe.encode("slow"))
      'slow'
    """

    json: str

    @functools.cached_property
    def _tokenizer(self) -> Any:
        tokenizer = _tokenizers().Tokenizer.from_str(self.json)
        # Text that happens to spell a special stays text; ids of specials are added by who wants
        # them.
        tokenizer.encode_special_tokens = True
        return tokenizer

    @classmethod
    def train(
        cls, sentences: Iterable[str], vocab_size: int, specials: Sequence[str] = SPECIALS
    ) -> "BPE":
        """Merges the most frequent pairs of a corpus until there are `vocab_size` tokens.

        Args:
          sentences: the corpus, untokenised.
          vocab_size: tokens in all: specials, 256 bytes, and merges. A small corpus may give fewer.
          specials: tokens that stand for no text; their ids come first.

        Raises:
          ValueError: `vocab_size` has no room for the bytes and specials.
          ImportError: the package `tokenizers` is not installed.
        """
        library = _tokenizers()
        if vocab_size < 256 + len(specials):
            raise ValueError(
                f"vocab_size is {vocab_size}; the bytes and specials alone are {256 + len(specials)}"
            )
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(specials),
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(sentences, trainer)
        return cls(tokenizer.to_str())

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def __repr__(self) -> str:
        return f"BPE({len(self):,} tokens)"

    def _special(self, token: str) -> int:
        index = self._tokenizer.token_to_id(token)
        if index is None:
            raise ValueError(f"this BPE has no {token}; train it with {token} among the specials")
        return index

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, int32 `[tokens]`; no special is added."""
        return np.array(self._tokenizer.encode(text).ids, np.int32)

    def encode_all(self, texts: Iterable[str]) -> list[np.ndarray]:
        """The ids of many texts, faster than one by one."""
        return [
            np.array(encoding.ids, np.int32)
            for encoding in self._tokenizer.encode_batch(list(texts))
        ]

    def decode(self, ids: Iterable | np.ndarray) -> str:
        """The text of a sequence of ids; specials vanish.

        Raises:
          ValueError: an id is no token's.
        """
        ids = [int(index) for index in ids]
        if wrong := [index for index in ids if not 0 <= index < len(self)]:
            raise ValueError(f"id {wrong[0]} is no token's; give ids from 0 to {len(self) - 1}")
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    @property
    def fingerprint(self) -> str:
        """The sha256 of the saved form, 64 hexadecimal digits."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    def save(self, path: str | os.PathLike) -> None:
        """Writes the JSON file of the `tokenizers` package, whole or not at all."""
        write_atomically(path, self.json.encode())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "BPE":
        """Reads what `save` wrote.

        Raises:
          ValueError: there is no such file, or it is no tokenizer.
          ImportError: the package `tokenizers` is not installed.
        """
        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file")
        bpe = cls(Path(path).read_text(encoding="utf-8"))
        _tokenizers()
        try:
            len(bpe)
        except Exception as error:  # The package raises nothing more particular.
            raise ValueError(
                f"{path}: no tokenizer ({error}); give a file that BPE.save wrote"
            ) from None
        return bpe
