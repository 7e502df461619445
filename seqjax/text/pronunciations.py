"""Pronouncing dictionaries: words, each with all the ways it is said."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from seqjax import datasets
from seqjax.data.splits import hash_splits
from seqjax.files import header_order, read_filled_lines
from seqjax.text.pairs import SHARES

VOWELS = "AA AE AH AO AW AX AXR AY EH ER EY IH IX IY OW OY UH UW UX"
STRESSED = re.compile(rf"({VOWELS.replace(' ', '|')})[012]", re.IGNORECASE)
"""A vowel of ARPAbet with its stress: none, primary or secondary."""


class Pronunciations(NamedTuple):
    """Words, each once, with all their pronunciations: examples of a `Translator`.

    Attributes:
      words: in their order.
      sounds: of each word its different pronunciations, lists of sounds.
    """

    words: list[str]
    sounds: list[list[list[str]]]

    @classmethod
    def of(
        cls, words: Sequence[str], sounds: Sequence[Sequence[str]], stress: bool = True
    ) -> "Pronunciations":
        """Gathers the rows of a dictionary.

        Args:
          words: of each row.
          sounds: of each row.
          stress: keep the marks of stress in ARPAbet.

        Example:
          >>> Pronunciations.of(["a", "a"], [["AH0"], ["EY1"]], stress=False)
          Pronunciations(words=['a'], sounds=[[['AH'], ['EY']]])
        """
        ways: dict[str, dict[tuple[str, ...], None]] = {}
        for word, said in zip(words, sounds, strict=True):
            way = tuple(said if stress else map(unstressed, said))
            ways.setdefault(word, {})[way] = None
        return cls(list(ways), [[list(way) for way in each] for each in ways.values()])


def read_pronunciations(path: str) -> tuple[list[str], list[list[str]]]:
    """Reads the rows of a TSV: a word, a tab, its sounds with blanks between.

    A first line that names the columns is passed over.

    Returns:
      The words and the sounds of all rows.

    Raises:
      ValueError: a line is not a word, a tab and sounds (which).
    """
    words, ways = [], []
    for number, line in enumerate(read_filled_lines(path), start=1):
        word, _, sounds = line.partition("\t")
        if number == 1 and header_order([word, sounds], ("word", "sounds")):
            continue
        if not word.strip() or not sounds.split():
            raise ValueError(
                f"{path}, line {number}: {line[:40]!r}; wanted a word, a tab, its sounds with blanks between"
            )
        words.append(word.strip())
        ways.append(sounds.split())
    return words, ways


def split_pronunciations(
    words: Sequence[str], sounds: Sequence[Sequence[str]], stress: bool = False
) -> dict[str, Pronunciations]:
    """Splits the rows of a dictionary into train, validation and test by a hash of the word.

    Args:
      words: of each row.
      sounds: of each row.
      stress: keep the marks of stress in ARPAbet; sounds of other notations stay as they are.
    """
    places = hash_splits(words, SHARES)
    parts = {}
    for split in SHARES:
        rows = [row for row, place in enumerate(places) if place == split]
        parts[split] = [words[row] for row in rows], [sounds[row] for row in rows]
    return _gathered(parts, stress)


def load_pronunciations(
    name: str, data_dir: str | None = None, stress: bool = False
) -> tuple[dict[str, Pronunciations], str]:
    """Loads train, validation and test of a pronouncing dictionary.

    Args:
      name: of the data set, such as `"cmudict"`.
      data_dir: see `datasets.load`.
      stress: keep the marks of stress in ARPAbet.

    Returns:
      The parts, and where they come from.
    """
    parts, origin = {}, ""
    for split in SHARES:
        loaded = datasets.load(name, split, data_dir)
        table = loaded.records.columns()
        parts[split] = list(table["word"]), list(table["phonemes"])
        origin = origin or loaded.origin
    return _gathered(parts, stress), origin


def _gathered(
    parts: dict[str, tuple[list[str], list[Any]]], stress: bool
) -> dict[str, Pronunciations]:
    """The parts of a dictionary, the marks of stress taken off where they are such and not wanted."""
    every = {sound for _, ways in parts.values() for way in ways for sound in way}
    keep = stress or not is_arpabet(every)
    return {split: Pronunciations.of(words, ways, keep) for split, (words, ways) in parts.items()}


def is_arpabet(sounds: Iterable[str]) -> bool:
    """Tells whether digits in these sounds are stress marks of ARPAbet: all that have one are vowels with 0, 1 or 2.

    In other notations a digit is part of a sound (X-SAMPA's 9, 6 and 2:) or its tone (ma1, ma2,
    ma3).
    """
    marked = [sound for sound in sounds if any(map(str.isdigit, sound))]
    return bool(marked) and all(map(STRESSED.fullmatch, marked))


def unstressed(sound: str) -> str:
    """Returns a sound of ARPAbet without its stress mark, and others as they are."""
    return sound[:-1] if STRESSED.fullmatch(sound) else sound
