import json

import numpy as np
import pytest

from seqjax.data import Vocabulary


def test_characters_round_trip():
    vocabulary = Vocabulary.characters("hello, wörld\n")
    ids = vocabulary.encode("wörld")
    assert ids.dtype == np.int32
    assert "".join(vocabulary.decode(ids)) == "wörld"
    assert list(vocabulary.tokens) == sorted(vocabulary.tokens)


def test_words_are_counted_cut_and_ordered():
    sentences = [["b", "a", "b"], ["c", "a"], ["b", "<unk>", "d"]]
    vocabulary = Vocabulary.words(sentences, min_count=1)
    assert vocabulary.tokens == ("<pad>", "<unk>", "<bos>", "<eos>", "b", "a", "c", "d")
    assert Vocabulary.words(sentences, min_count=2).tokens[4:] == ("b", "a")
    assert Vocabulary.words(sentences, max_size=5).tokens[4:] == ("b",)
    assert Vocabulary.words(sentences, specials=("<pad>",)).tokens[:3] == ("<pad>", "b", "a")
    assert (vocabulary.pad, vocabulary.unk, vocabulary.bos, vocabulary.eos) == (0, 1, 2, 3)


def test_unknown_tokens_become_unk_where_there_is_one():
    vocabulary = Vocabulary.words([["a"]])
    assert vocabulary.encode(["a", "zebra"]).tolist() == [4, 1]
    assert vocabulary.encode([]).tolist() == []


def test_unknown_tokens_without_unk_are_named():
    vocabulary = Vocabulary.characters("abc")
    with pytest.raises(
        ValueError, match=r"not in the vocabulary of 3 tokens: 'x', '\\n'; take them out, or build"
    ):
        vocabulary.encode("axb\nx")
    with pytest.raises(ValueError, match="and 2 more; take them out"):
        vocabulary.encode("defghij")


def test_wrong_ids_and_missing_specials():
    vocabulary = Vocabulary.characters("abc")
    with pytest.raises(ValueError, match="id 3 is no token's; give ids from 0 to 2"):
        vocabulary.decode([0, 3])
    with pytest.raises(ValueError, match="id -1 is no"):
        vocabulary.decode(np.array([-1]))
    with pytest.raises(ValueError, match="has no <pad>; its specials are"):
        _ = vocabulary.pad


def test_construction_is_checked():
    with pytest.raises(ValueError, match="tokens occur twice: 'a'"):
        Vocabulary(("a", "b", "a"))
    with pytest.raises(ValueError, match="put the specials"):
        Vocabulary(("a", "<pad>"), ("<pad>",))
    with pytest.raises(TypeError, match="a sentence is the string 'the cat'"):
        Vocabulary.words(["the cat"])
    with pytest.raises(ValueError, match="max_size is 2"):
        Vocabulary.words([["a"]], max_size=2)


def test_save_and_load(tmp_path):
    vocabulary = Vocabulary.characters("ab\ud800é\n", specials=("<pad>",))
    vocabulary.save(tmp_path / "v.json")
    loaded = Vocabulary.load(tmp_path / "v.json")
    assert loaded == vocabulary and hash(loaded) == hash(vocabulary)
    assert loaded.fingerprint == vocabulary.fingerprint
    assert loaded.fingerprint != Vocabulary.characters("ab\ud800é\n").fingerprint


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"tokens": ["a"]}', json.dumps({"tokens": [1], "specials": []})]
)
def test_a_file_that_is_no_vocabulary(tmp_path, content):
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"v.json: no vocabulary .*; give a file that Vocabulary.save wrote"
    ):
        Vocabulary.load(tmp_path / "v.json")
    with pytest.raises(ValueError, match="no such file"):
        Vocabulary.load(tmp_path / "other.json")
