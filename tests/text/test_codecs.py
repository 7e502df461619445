"""Sentences as ids and back."""

import gzip

import numpy as np
import pytest

from seqjax import data
from seqjax.text import codecs as sentences


def test_subwords_lose_nothing(tmp_path):
    codec = sentences.learn_subwords(["low lower lowest", "a new place"] * 5, 300)
    codec.save(tmp_path / "tokens.json")
    text = "slower, naïve: 東京 — 🙂"
    for known in (codec, sentences.load_subwords(tmp_path / "tokens.json")):
        assert known.decode(known.encode(text)) == text and known.new(text) == []
    ids = codec.encode("lower place")
    assert "".join(codec.pieces(ids)) == "lower place"


def test_unknown_words_of_a_source_have_ids_of_their_own(tmp_path):
    codec = sentences.learn_words(["Ann sees Bob.", "Ann sleeps."], size=50, copied=2)
    size = len(codec.tokens)
    new = codec.new("Zoe sees Ulm, Zoe sees Rome.")
    assert new == ["Zoe", "Ulm"]
    ids = codec.encode("Zoe sees Rome and Ulm.", new)
    unk, sees, stop = codec.tokens.unk, codec.tokens.ids["sees"], codec.tokens.ids["."]
    assert ids.tolist() == [size, sees, unk, unk, size + 1, stop] and ids.dtype == np.int32
    assert codec.decode(ids, new) == "Zoe sees <unk> <unk> Ulm."
    codec.save(tmp_path / "tokens.json")
    again = sentences.load_words(tmp_path / "tokens.json", copied=2)
    assert again == codec and again.new("Zoe") == ["Zoe"]


def test_without_copying_nothing_is_new():
    codec = sentences.Words(data.Vocabulary.words([["a"]]))
    assert codec.new("b c") == [] and codec.encode("a b").tolist() == [4, 1]


def test_sentences_come_back_with_the_blanks_they_had():
    texts = ["हिन्दी में 3.14", "x=1", "a dog ."]
    codec = sentences.learn_words(texts, size=50)
    assert [codec.decode(codec.encode(text)) for text in texts] == texts


def test_a_vocabulary_without_unusual_blanks_reads_none():
    codec = sentences.learn_words(["a b ="], size=50, copied=3)
    assert codec.new("a=b x") == ["x"]
    assert codec.pieces(codec.encode("a=b")) == ["a", "=", "b"]


def test_characters_refuse_what_they_lack():
    codec = sentences.Characters.of("to be\n")
    assert codec.decode(codec.encode("boot\n")) == "boot\n" and len(codec) == 6
    with pytest.raises(ValueError, match="not in the vocabulary of 6 tokens: 'x'"):
        codec.encode("box")


def test_decomposed_characters_are_read_by_their_parts():
    codec = sentences.learn_characters(["각", "나비", "été"], decomposed=True)
    ids = codec.encode("낙")
    assert len(ids) == 3 and not codec.unknown("낙") and codec.decode(ids) == "낙"
    assert codec.encode("é").tolist() == codec.encode("e\u0301").tolist()
    assert codec.unknown("박è") == ["è"] and codec.decode(codec.encode("Été")) == "été"
    whole = sentences.learn_characters(["각", "나비", "été"])
    assert len(whole.encode("각")) == 1 and whole.unknown("낙") == ["낙"]


def test_running_text_keeps_its_lines():
    corpus = "We see a man.\n\nA man sees <unk> , us.\n"
    codec = sentences.Lines.of(corpus)
    assert codec.decode(codec.encode("A man sees us.\n\nWe see.")) == "A man sees us.\n\nWe see."
    assert codec.decode(codec.encode("We fly.\n")) == "We <unk>.\n"
    cut = sentences.Lines.of(corpus, tokenised=True)
    ids = cut.encode("A man sees <unk> us.\n")
    names = ["A", "man", "sees", "<unk>", "us.", "<eos>"]
    assert cut.tokens.decode(ids) == names and cut.decode(ids) == "A man sees <unk> us.\n"
    assert len(sentences.Lines.of(corpus, 5)) == 5


def test_a_corpus_of_lines_counts_as_papers_do():
    """As of the Penn Treebank: every word and the end of every line is a token."""
    corpus = " no it was n't black monday \n but while the exchange did n't fall \n"
    codec = sentences.Lines.of(corpus, tokenised=True)
    assert len(codec.encode(corpus)) == 6 + 7 + 2


def test_the_penn_treebank_has_the_tokens_that_papers_count(real_data):
    train = gzip.decompress((real_data / "penn" / "ptb.train.txt.gz").read_bytes()).decode()
    codec = sentences.Lines.of(train, tokenised=True)
    assert len(codec) == 10_000 and len(codec.encode(train)) == 929_589


def test_characters_and_symbols_come_back():
    letters = sentences.learn_characters(["cab", "Ab"])
    assert letters.tokens.tokens[4:] == ("A", "a", "b", "c")
    assert letters.decode(letters.encode("CAb")) == "cAb" and letters.new("z") == []
    assert letters.encode("az").tolist() == [5, letters.tokens.unk]
    assert letters.unknown("Czaz") == ["z"] and letters.pieces(letters.encode("ca")) == ["c", "a"]
    sounds = sentences.learn_symbols([["B", "AH"], ["AH"]])
    assert sounds.tokens.tokens[4:] == ("AH", "B")
    assert sounds.decode(sounds.encode(["B", "AH"])) == ["B", "AH"]
    assert sounds.unknown(["X", "B", "X"]) == ["X"]
    assert sounds.accepts(["B"]) and sounds.accepts(()) and not sounds.accepts("B")
    assert letters.accepts("B") and not letters.accepts(["B"]) and not sounds.accepts([1])


def test_a_kind_learns_its_codec():
    assert sentences.learn_codec("words", ["a b", "a"], 5).tokens.tokens[4:] == ("a",)
    assert sentences.learn_codec("words", ["a"], 5, copied=2).copied == 2
    assert len(sentences.learn_codec("subwords", ["low lower"], 262).tokens) == 262
    for kind, learnt in sentences.KINDS.items():
        assert isinstance(
            sentences.learn_codec(kind, [["a"]] if kind == "symbols" else ["a"], 300), learnt
        )
    with pytest.raises(ValueError, match="'syllables' is unknown; choose one of subwords, words"):
        sentences.learn_codec("syllables", [], 9)
