"""Words of every script, and their sentences."""

import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest

from seqjax.data.words import scored_words, sentence_of, spaced, words_of
from tests.scripts import PERSIAN, SPACED, UNSPACED

ALPHABET = st.one_of(
    st.characters(),
    # What scripts mix: marks, joiners, blanks of all kinds, punctuation, digits, emoji and their
    # parts.
    st.sampled_from(
        "ab1.,:'\"-/$( )\u0301\u200c\u200d\u200b\u2060\u00a0\u3000€£„“”«»中のกำहि्न👍🏽👩🇩🇪️⃣"
    ),
)


def plain(text):
    return " ".join(text.split())


@pytest.mark.parametrize("text", [*SPACED.values(), *UNSPACED.values()], ids=[*SPACED, *UNSPACED])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_sentences_of_every_script_come_back(text, form):
    text = unicodedata.normalize(form, text)
    words = words_of(text)
    assert sentence_of(words) == text
    assert not any(unicodedata.combining(word[0]) for word in words if word)


@pytest.mark.parametrize("text", SPACED.values(), ids=SPACED)
def test_words_with_marks_and_joiners_are_whole(text):
    assert words_of(text) == [*text[:-1].split(), text[-1]]


@hypothesis.given(st.text(ALPHABET, max_size=30))
@hypothesis.settings(max_examples=300)
def test_any_text_comes_back_up_to_its_blanks(text):
    words = words_of(text)
    assert sentence_of(words) == plain(text)
    # What is no word says only where blanks are unusual.
    assert "".join(word for word in words if word.strip()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "3.14 and $5.50, 1,000 at 10:30",
            ["3.14", "and", "$", "5.50", ",", "1,000", "at", "10:30"],
        ),
        ("in the U.S. today, z.B. 5%.", ["in", "the", "U.S.", "today", ",", "z.B.", "5", "%", "."]),
        (
            'He: "No", (she) „Ja“.',
            ["He", ":", '"', "No", '"', ",", "(", "she", ")", "„", "Ja", "“", "."],
        ),
        ("it's two-tone x_y", ["it's", "two-tone", "x_y"]),
        ("👩‍👩‍👧 🇩🇪 👍🏽 1️⃣", ["👩‍👩‍👧", "🇩🇪", "👍🏽", "1️⃣"]),
        ('Do\u00adnau צה״ל צה"ל', ["Do\u00adnau", "צה״ל", 'צה"ל']),
        ("我用 3.5 天。", ["我", "用", " ", "3.5", " ", "天", "。"]),
        ("a dog . e=mc²", ["a", "dog", " ", ".", "e", "", "=", "", "mc²"]),
        ("กำลัง", ["กำ", "ลั", "ง"]),
        (" \n", []),
    ],
)
def test_where_words_part(text, words):
    assert words_of(text) == words and sentence_of(words) == plain(text)


def test_words_of_a_model_are_written_as_usual():
    assert sentence_of(["Yes", "(", "3.14", ")", ",", "Ann", "!"]) == "Yes (3.14), Ann!"
    assert sentence_of(["", "a", "", " ", "b", ""]) == "a b"


def test_blanks_part_what_is_scored():
    assert spaced("two words") == "two words"
    assert spaced("我用 Python写").split() == ["我", "用", "Python", "写"]
    assert scored_words("It's 3.14: Über-Maß!") == ["it", "s", "3", "14", "über", "maß"]
    assert scored_words(PERSIAN)[-1] == "می‌آیند" and scored_words("🙂 …") == ["🙂", "…"]
