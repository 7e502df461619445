"""Text as words and back: cut at Unicode's boundaries in every script, put together without loss."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import regex

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Tibetan}\p{LB=Complex_Context}\u30FC\uFF70"
"""Characters of scripts that are written without blanks between words, for a class of a pattern.

`LB=Complex_Context` are Thai, Lao, Khmer, Burmese and their kin: only a dictionary finds their
words.
"""

CHARACTER = rf"(?=[{UNSPACED}])\X"
"""Pattern: one character of such a script, with its marks."""

_LETTER = rf"(?:[\p{{L}}--[{UNSPACED}]]\p{{M}}*)"
_ALPHANUMERIC = r"\p{L}\p{M}\p{N}\p{Alphabetic}"

# U+200B, the blank without width, parts words; the other format characters (joiners, soft hyphens)
# do not.
RUN = rf"[[{_ALPHANUMERIC}]--[{UNSPACED}]][[{_ALPHANUMERIC}\p{{Cf}}]--[{UNSPACED}\u200B]]*"
"""Pattern: letters, marks and digits in a row, of a script that has blanks."""

PART = RUN.replace(r"\p{N}", r"\p{N}_")
"""Pattern: the same with underscores, as in the names of programs."""

# "U.S.", "z.B.": single letters with points between.
_ABBREVIATION = rf"(?<![\p{{L}}\p{{N}}_]){_LETTER}(?:\.{_LETTER})+(?![\p{{L}}\p{{N}}_])\.?"

# What stands within a word: hyphens and apostrophes, the Hebrew signs of abbreviation; of a number
# 3.14, 1,000, 10:30.
_WITHIN_WORD = r"""['\u2019\-\u2010\u2011\u00B7\u05F3\u05F4]|(?<=\p{Hebrew})"(?=\p{Hebrew})"""
_WITHIN_NUMBER = r"(?<=\p{Nd})[.,:\u066B\u066C](?=\p{Nd})"

_WORD = regex.compile(
    rf"{_ABBREVIATION}|{CHARACTER}|{PART}(?:(?:{_WITHIN_WORD}|{_WITHIN_NUMBER}){PART})*|\X",
    regex.V1 | regex.DOTALL,
)
_CHARACTER = regex.compile(CHARACTER, regex.V1)
_SCORED = regex.compile(rf"{CHARACTER}|{RUN}", regex.V1)
_SIGN = regex.compile(r"(?!\s)\X")

# No blank beside these: scripts without blanks with their punctuation, invisible characters, em
# dash, slash.
_TIGHT = regex.compile(
    rf"[{UNSPACED}\p{{Thai}}\p{{Lao}}\p{{Khmer}}\p{{Myanmar}}\u2014\u3001-\u303F\uFF00-\uFF65\p{{Cf}}/]",
    regex.V1,
)
_CLOSES = regex.compile(r"[%\u00B0\u2026\u2030\p{Terminal_Punctuation}\p{Pe}\p{Pf}]", regex.V1)
_OPENS = regex.compile(r"[#@\u00A1\u00BF\p{Ps}\p{Pi}]", regex.V1)
_CURRENCY = regex.compile(r"\p{Sc}")
_DIGIT = regex.compile(r"\p{Nd}")
_QUOTES = {'"': '"', "\u201e": "\u201c", "\u201a": "\u2018"}
"""Marks that open a quotation, and the one that closes it though its looks do not say so."""


def words_of(sentence: str) -> list[str]:
    r"""Cuts a sentence into words and marks; `sentence_of` puts it together again.

    Words keep their marks, joiners, hyphens and apostrophes, numbers and abbreviations their points.
    Scripts written without blanks (Chinese, Japanese, Thai, ...) are cut into characters. Where the
    blank between two words is not as usual, what is there stands between them: `""` or `" "`.

    Args:
      sentence: the text; how many blanks, and of which kind, is not kept.

    Example:
      >>> words_of("It's 3.14 o'clock, Ann.")
      ["It's", '3.14', "o'clock", ',', 'Ann', '.']
      >>> words_of("x=1 ...")
      ['x', '', '=', '', '1', ' ', '.', '.', '.']
    """
    chunks = [_WORD.findall(chunk) for chunk in sentence.split()]
    # A chunk begins after a blank, the words within it after none.
    blanks = (" " if place == 0 else "" for chunk in chunks for place in range(len(chunk)))
    words = list(itertools.chain.from_iterable(chunks))
    pieces = []
    for word, blank, usual in zip(words, blanks, _usual_blanks(words), strict=True):
        # The first word has no blank to tell.
        if pieces and blank != usual:
            pieces.append(blank)
        pieces.append(word)
    return pieces


def sentence_of(words: Sequence[str]) -> str:
    """Puts words together as one writes them, with a blank where `words_of` leaves it unsaid.

    Args:
      words: words and marks; `""` and `" "` say what is between their neighbours.

    Example:
      >>> sentence_of(["Yes", ",", "Ann", ":", '"', "Hello", '"', "."])
      'Yes, Ann: "Hello".'
    """
    told, text = None, []
    usual = _usual_blanks([word for word in words if word.strip()])
    for word in words:
        if not word.strip():
            told = word
            continue
        blank = next(usual)
        text += [blank if told is None else told, word]
        told = None
    return "".join(text).strip()


def spaced(text: str) -> str:
    """Puts blanks around the characters of scripts that are written without, so that blanks part words.

    Example:
      >>> spaced("我用 Python").split()
      ['我', '用', 'Python']
    """
    return _CHARACTER.sub(r" \g<0> ", text)


def scored_words(text: str) -> list[str]:
    """Returns what scores of words count: runs of letters and digits in lower case, without marks.

    Scripts written without blanks give their characters; a text without any letter gives its signs.

    Example:
      >>> scored_words("Das Café, it's 北京!"), scored_words("?!")
      (['das', 'café', 'it', 's', '北', '京'], ['?', '!'])
    """
    text = text.lower()
    return _SCORED.findall(text) or _SIGN.findall(text)


class _Looks(NamedTuple):
    """What a word says about the blanks beside it."""

    tight: bool
    closes: bool
    opens: bool
    currency: bool
    digit: bool


@functools.lru_cache(maxsize=2**16)
def _looks(word: str) -> _Looks:
    found = (pattern.match(word) for pattern in (_TIGHT, _CLOSES, _OPENS, _CURRENCY, _DIGIT))
    return _Looks(*(match is not None for match in found))


def _usual_blanks(words: Iterable[str]) -> Iterator[str]:
    """Yields what is usually before each word: a blank, or nothing."""
    last, opened = _looks(""), True
    awaited = set()  # marks that close the quotations begun
    for word in words:
        looks = _looks(word)
        ends_quotation = word in awaited
        if ends_quotation:
            awaited.remove(word)
        elif word in _QUOTES:
            awaited.add(_QUOTES[word])
        joined = opened or looks.closes or ends_quotation or last.tight or looks.tight
        # "$5.50"
        yield "" if joined or (last.currency and looks.digit) else " "
        last, opened = looks, not ends_quotation and (looks.opens or word in _QUOTES)
