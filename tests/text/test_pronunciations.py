"""Pronouncing dictionaries: read, split, gathered by word."""

import pytest

from seqjax import text

WORDS = [f"w{place}" for place in range(60)]


@pytest.mark.parametrize(
    ("sounds", "stressed"),
    [
        (["HH", "AH0", "L", "OW1"], True),
        (["hh", "ah0", "l", "ow1"], True),
        (["9", "6", "2:", "a"], False),
        (["ma1", "ma2", "ma3"], False),
        (["ER2", "AO4", "MA1"], False),
        (["AA1", "S3"], False),
        (["AA", "S"], False),
    ],
)
def test_digits_are_stress_in_arpabet_alone(sounds, stressed):
    assert text.is_arpabet(sounds) == stressed
    parts = text.split_pronunciations(WORDS, [sounds] * len(WORDS))
    wanted = [sound.strip("012") for sound in sounds] if stressed else sounds
    assert parts["train"].sounds[0] == [wanted]
    kept = text.split_pronunciations(WORDS, [sounds] * len(WORDS), stress=True)
    assert kept["train"].sounds[0] == [sounds]


def test_every_word_is_in_one_part_whatever_its_rows():
    parts = text.split_pronunciations([*WORDS, *WORDS], [["A"]] * 60 + [["B"]] * 60)
    every = [word for part in parts.values() for word in part.words]
    assert sorted(every) == sorted(WORDS)
    assert all(ways == [["A"], ["B"]] for part in parts.values() for ways in part.sounds)


def test_a_word_has_each_of_its_pronunciations_once():
    rows = [("a", ["AH0"]), ("a", ["EY1"]), ("a", ["EY2"]), ("be", ["B", "IY1"])]
    words, sounds = zip(*rows, strict=True)
    part = text.Pronunciations.of(words, sounds, stress=False)
    assert part.words == ["a", "be"] and part.sounds == [[["AH"], ["EY"]], [["B", "IY"]]]
    assert len(text.Pronunciations.of(words, sounds).sounds[0]) == 3


def test_names_of_columns_are_no_word(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("word\tpronunciation\nab\tA B\n\n")
    assert text.read_pronunciations(str(path)) == (["ab"], [["A", "B"]])
    path.write_text("ab\tA\ncd\t\n")
    with pytest.raises(ValueError, match=r"words.tsv, line 2: 'cd"):
        text.read_pronunciations(str(path))
