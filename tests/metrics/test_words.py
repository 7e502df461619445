import pytest

from seqjax.metrics.words import word_errors, word_pairs


def test_words_are_counted_over_the_whole_set():
    said, heard = ["one two three", "four", "five"], ["one too three", "four four", ""]
    errors = word_errors(said, heard)
    # A letter exchanged, five put in and four left out, of 21.
    assert errors == {"wer": pytest.approx(3 / 5), "cer": pytest.approx(10 / 21), "ser": 1.0}
    assert word_errors(said, said) == {"wer": 0.0, "cer": 0.0, "ser": 0.0}


def test_words_stand_beside_what_was_heard_in_their_place():
    pairs = word_pairs(["one two three", "four", "five"], ["one too three", "four four", ""], "-")
    assert pairs[:3] == [("one", "one"), ("two", "too"), ("three", "three")]
    assert sorted(pairs[3:]) == [("-", "four"), ("five", "-"), ("four", "four")]


def test_characters_are_the_words_of_scripts_without_blanks():
    assert word_errors(["三一四", "two words"], ["三一五", "two words"])["wer"] == pytest.approx(
        1 / 5
    )
    assert word_pairs(["三一"], ["三四"], "-") == [("三", "三"), ("一", "四")]
