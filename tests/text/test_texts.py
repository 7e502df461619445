"""Texts as tokens."""

import numpy as np
import pytest

from seqjax.data import BPE, Vocabulary
from seqjax.text.texts import Texts, learn_words, treebank_words


def test_words_of_every_script_are_whole():
    words = "हिन्दी में cafe\u0301 می‌خواهم".split()
    assert treebank_words(" ".join(words)) == words
    assert treebank_words("我们👍🏽") == ["我", "们", "👍🏽"]


def test_words_are_cut_as_the_treebank_cuts_them():
    words = "It's a film i DIDN'T like , well-made ... or re-imagining the '80s !"
    treebank = "it 's a film i did n't like , well-made ... or re-imagining the '80s !"
    assert treebank_words(words) == treebank_words(treebank) == treebank.split()


def test_words_become_numbers_up_to_a_length():
    texts = Texts(learn_words(["so so good", "so good", "bad"], min_count=2), max_length=3)
    vocabulary = texts.tokens
    assert isinstance(vocabulary, Vocabulary) and vocabulary.tokens[4:] == ("so", "good")
    long, short = texts.sequences(["Good so bad so", "so"])
    assert long.tolist() == [5, 4, vocabulary.unk] and short.tolist() == [4]
    assert texts.pieces("Good so bad so") == ["good", "so", "bad"]
    assert texts.count_cut(["Good so bad so", "so so so"]) == 1
    assert texts.knows("good") and not texts.knows("bad")


def test_byte_pairs_spell_every_text():
    bpe = BPE.train(["it's a film"] * 3, 300)
    texts = Texts(bpe, max_length=100)
    (numbers,) = texts.sequences(["It's a FILM 👍🏽"])
    np.testing.assert_array_equal(numbers, bpe.encode("it's a film 👍🏽"))
    assert "".join(texts.pieces("It's a film")) == "it's a film" and texts.knows("x")
    assert len(Texts(bpe, max_length=2).sequences(["It's a film"])[0]) == 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("a good film", "the texts are one string, 'a good film'"),
        (["good", " \n"], "text 1 is empty"),
        (["good", float("nan")], "text 1 is nan; give a string"),
    ],
)
def test_what_is_no_text_is_named(unchecked, inputs, message):
    texts = Texts(learn_words(["good"], 1))
    with pytest.raises(ValueError, match=message):
        texts.sequences(inputs)


def test_a_length_is_at_least_one():
    with pytest.raises(ValueError, match="max_length is 0"):
        Texts(learn_words(["good"], 1), max_length=0)
