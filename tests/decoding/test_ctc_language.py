"""N-gram models, and the automata of models, lexica and hot words, against plain readings of a text."""

import gzip
import itertools
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.decoding import ctc

LETTERS = ["", "a", "b", " "]
SENTENCES = ["ab ab ba", "ab", "ba ab ab", "a b", "", "bab ab aab", "abba"]


def worth(automaton, text):
    """The score of a text, followed through the tables."""
    moves, scores, ends = map(np.asarray, automaton)
    state, total = 0, 0.0
    for letter in text:
        symbol = LETTERS.index(letter)
        state, total = moves[state, symbol], total + scores[state, symbol]
    return total + ends[state]


def texts(longest=4):
    return ["".join(t) for n in range(longest + 1) for t in itertools.product("ab ", repeat=n)]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_of_the_next_word_sum_to_one(order):
    model = ctc.train_ngrams(SENTENCES, order)
    contexts = {gram[:-1] for gram in model.entries} | {("x", "a"), ("b", "b")}
    for context in contexts:
        total = sum(
            math.exp(model.score(context, word)) for word in ("a", "b", " ", "</s>", "<unk>")
        )
        assert total == pytest.approx(1, abs=1e-9)


def test_bigrams_are_those_of_the_formula_by_hand():
    # Bigrams <s>a, aa twice, ab, b</s>; a occurs three times but follows two words, b and </s> one
    # each: four in all.
    model = ctc.train_ngrams(["aaab"], 2, unknown=False)
    unigram = {"a": (2 - 0.5) / 4 + 1.5 / 4 / 3, "b": 0.5 / 4 + 1.5 / 4 / 3}
    assert math.exp(model.score((), "a")) == pytest.approx(unigram["a"])
    assert math.exp(model.score(("a",), "b")) == pytest.approx(0.5 / 3 + 1 / 3 * unigram["b"])
    assert math.exp(model.score(("b",), "a")) == pytest.approx(0.5 * unigram["a"])
    assert model.score(("a",), "z") == -math.inf


def test_an_arpa_file_gives_the_model_back(tmp_path):
    model = ctc.train_ngrams(SENTENCES, 3)
    ctc.write_arpa(tmp_path / "model.arpa", model)
    back = ctc.read_arpa(tmp_path / "model.arpa")
    assert back.order == 3 and back.entries.keys() == model.entries.keys()
    for sentence in ["ab ba", "bbb", "z", ""]:
        assert back.sentence_score(sentence) == pytest.approx(
            model.sentence_score(sentence), abs=1e-4
        )


@pytest.mark.parametrize("word", ["a b", "\t", "", "a\x0b", "a\rb", "\n", "<space>"])
def test_a_word_that_an_arpa_file_cannot_hold_is_refused(tmp_path, word):
    with pytest.raises(ValueError, match="an ARPA file cannot hold"):
        ctc.write_arpa(tmp_path / "model.arpa", ctc.train_ngrams([["a", word], ["a"]], 2))
    assert not list(tmp_path.iterdir())


def test_an_arpa_file_that_cannot_be_written_leaves_no_draft(tmp_path):
    (tmp_path / "model.arpa").mkdir()
    with pytest.raises(OSError):
        ctc.write_arpa(tmp_path / "model.arpa", ctc.train_ngrams(["a"], 2))
    assert [path.name for path in tmp_path.iterdir()] == ["model.arpa"]


def test_an_arpa_file_of_others_is_read(tmp_path):
    lines = (
        "made by hand||\\data\\|ngram 1=3|ngram 2=1||\\1-grams:|-99 <s> -0.5|-0.5\tyes\t-0.25|-1 </s>||\\2-grams:"
        "|-0.1 <s> yes|\\end\\"
    ).split("|")
    (tmp_path / "a.arpa").write_text("\n".join(lines))
    model = ctc.read_arpa(tmp_path / "a.arpa")
    assert model.sentence_score(["yes"]) == pytest.approx((-0.1 - 0.25 - 1) * math.log(10))
    for broken, words in (
        (lines[:-1], "no whole ARPA file"),
        ([*lines[:8], "-x yes", *lines[9:]], "line 9"),
    ):
        (tmp_path / "b.arpa").write_text("\n".join(broken))
        with pytest.raises(ValueError, match=words):
            ctc.read_arpa(tmp_path / "b.arpa")


def test_an_arpa_file_may_be_gzipped_and_begin_with_a_byte_order_mark(tmp_path):
    model = ctc.train_ngrams(SENTENCES, 2)
    ctc.write_arpa(tmp_path / "model.arpa", model)
    ctc.write_arpa(tmp_path / "model.arpa.gz", model)
    plain = (tmp_path / "model.arpa").read_bytes()
    assert gzip.decompress((tmp_path / "model.arpa.gz").read_bytes()) == plain
    (tmp_path / "marked.arpa").write_bytes(b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"))
    for name in ("model.arpa.gz", "marked.arpa"):
        assert ctc.read_arpa(tmp_path / name) == ctc.read_arpa(tmp_path / "model.arpa")


def test_an_unknown_word_in_capitals_is_one(tmp_path):
    model = ctc.train_ngrams(["ab", "b"], 2)
    ctc.write_arpa(tmp_path / "model.arpa", model)
    text = (tmp_path / "model.arpa").read_text()
    (tmp_path / "model.arpa").write_text(text.replace("<unk>", "<UNK>").replace("s>", "S>"))
    back = ctc.read_arpa(tmp_path / "model.arpa")
    assert back.score(("a",), "z") == pytest.approx(model.score(("a",), "z"), abs=1e-5)
    assert back.sentence_score("azb") == pytest.approx(model.sentence_score("azb"), abs=1e-4)
    # With both, a word in capitals is a word of its own.
    both = ctc.train_ngrams([["<UNK>", "b"]], 1)
    ctc.write_arpa(tmp_path / "both.arpa", both)
    assert ("<UNK>",) in ctc.read_arpa(tmp_path / "both.arpa").entries


def test_white_space_of_other_scripts_belongs_to_a_word(tmp_path):
    words = ["10\xa0000", "\u3000", "a\u2028b", "\x85"]
    model = ctc.train_ngrams([words, words[:2]], 2)
    ctc.write_arpa(tmp_path / "model.arpa", model)
    back = ctc.read_arpa(tmp_path / "model.arpa")
    assert back.entries.keys() == model.entries.keys()
    assert back.sentence_score(words) == pytest.approx(model.sentence_score(words), abs=1e-4)


def test_the_automaton_of_letters_scores_as_the_model_does():
    model = ctc.train_ngrams(SENTENCES, 3)
    automaton = ctc.from_symbols(model, LETTERS)
    for text in texts():
        assert worth(automaton, text) == pytest.approx(model.sentence_score(text), abs=1e-4)


@pytest.mark.parametrize("scored", [False, True])
def test_a_lexicon_allows_its_words_alone_and_pays_their_score(scored):
    words = ["ab", "a", "aba"]
    model = ctc.train_ngrams([s.split() for s in ("ab a", "a aba ab", "a")], 2) if scored else None
    automaton = ctc.from_words(words, LETTERS, model)
    for text in texts():
        allowed = text == "" or all(word in words for word in text.split(" "))
        wanted = (model.sentence_score(text.split()) if scored else 0) if allowed else -math.inf
        assert worth(automaton, text) == pytest.approx(wanted, abs=1e-4)


def test_hot_words_count_as_whole_words_only():
    automaton = ctc.hot_words(["ab", "b", "a b"], LETTERS, 2.0)
    for text in texts(5):
        wanted = sum(
            2.0 * len(word) * len(re.findall(f"(?= {word} )", f" {text} "))
            for word in ("ab", "b", "a b")
        )
        assert worth(automaton, text) == pytest.approx(wanted, abs=1e-4)


def test_joined_adds_and_weighted_multiplies():
    model, lexicon = (
        ctc.from_symbols(ctc.train_ngrams(SENTENCES, 2), LETTERS),
        ctc.from_words(["ab", "b"], LETTERS),
    )
    both = ctc.joined(ctc.weighted(model, 0.5), lexicon)
    for text in texts():
        assert worth(both, text) == pytest.approx(
            0.5 * worth(model, text) + worth(lexicon, text), abs=1e-4
        )


def test_a_search_follows_them():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 4)), jnp.float32)
    lexicon = ctc.from_words(["ab", "bb"], LETTERS)
    found = ctc.beam(logits, beam=64, n_best=2, language_model=lexicon)
    spelt = [
        "".join(LETTERS[i] for i in row[:n])
        for row, n in zip(found.tokens[0], found.lengths[0], strict=True)
    ]
    assert spelt[0] != spelt[1] and all(
        word in ("", "ab", "bb") for text in spelt for word in text.split(" ")
    )
    hot = ctc.joined(lexicon, ctc.hot_words(["bb"], LETTERS, 50.0))
    found = ctc.beam(logits, beam=64, language_model=hot, weight=1.0)
    assert "bb" in "".join(LETTERS[i] for i in found.tokens[0, 0, : found.lengths[0, 0]])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="order is 0"):
        ctc.train_ngrams(["a"], 0)
    with pytest.raises(ValueError, match="no sentence"):
        ctc.train_ngrams([], 2)
    with pytest.raises(ValueError, match="'c', which is not a letter"):
        ctc.from_words(["abc"], LETTERS)
    with pytest.raises(ValueError, match="no words"):
        ctc.hot_words([], LETTERS, 1.0)
    with pytest.raises(ValueError, match="read 4 and 3 symbols"):
        ctc.joined(ctc.from_words(["a"], LETTERS), ctc.from_words(["a"], LETTERS[:3]))
