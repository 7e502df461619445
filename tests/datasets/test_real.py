"""The real files, read whole: counts as their README gives them."""

import numpy as np
import pytest

from seqjax.datasets import load

COUNTS = [
    ("mnist", {"train": 60_000, "test": 10_000}),
    ("multi30k", {"train": 29_000, "validation": 1_014, "test": 1_000}),
    ("gum", {"train": 10_330, "dev": 1_575}),
    ("wnut17", {"train": 3_394, "dev": 1_009}),
    ("conll2000", {"train": 8_042, "validation": 894}),
    ("atis", {"train": 4_478, "validation": 500, "test": 893}),
    ("snips", {"train": 13_084, "validation": 700}),
    ("sigmorphon2020/ice", {"train": 3_600, "validation": 450, "test": 450}),
    ("japanese_vowels", {"train": 270, "test": 370}),
    ("jsb_chorales", {"train": 229, "validation": 76, "test": 77}),
    ("musedata", {"train": 524, "validation": 135, "test": 124}),
    ("sst2", {"train": 6_920, "dev": 872}),
    ("m4_hourly", {"train": 414, "test": 414}),
    ("captions/stamps", {"full": 707}),
    ("captions/emoji", {"full": 1_720}),
]


@pytest.mark.parametrize(("name", "counts"), COUNTS)
def test_counts(real_data, name, counts):
    assert {split: len(load(name, split, real_data).records) for split in counts} == counts


def test_tiny_shakespeare(real_data):
    text = "".join(
        load("tiny_shakespeare", split, real_data).records[0]["text"]
        for split in ("train", "validation")
    )
    assert len(text) == 1_115_394 and len(set(text)) == 65


def test_penn(real_data):
    text = load("penn", "train", real_data).records[0]["text"]
    assert len(text) == 5_017_482 and len(set(text)) == 50
    assert len(text.split()) == 887_521 and text.count("\n") == 42_068
    assert len(load("penn", "dev", real_data).records[0]["text"]) == 393_042


def test_fsdd(real_data):
    parts = {split: load("fsdd", split, real_data).records.columns() for split in ("train", "test")}
    assert sum(len(part["file"]) for part in parts.values()) == 2_880
    assert all(int(name.split("_")[2][:-4]) < 5 for name in parts["test"]["file"])
    assert len(set(parts["train"]["speaker"])) == 6
    seconds = [len(audio) / 8000 for audio in parts["train"]["audio"]]
    assert 0.1 < min(seconds) and max(seconds) < 3


def test_ett(real_data):
    record = load("ett", "full", real_data).records[0]
    assert len(record) == 8 and all(len(column) == 17_420 for column in record.values())
    assert record["OT"][0] == 30.5310001373291


def test_m4_horizon(real_data):
    test = load("m4_hourly", "test", real_data).records.columns()
    assert {len(values) for values in test["values"]} == {48}
    assert test["id"] == load("m4_hourly", "train", real_data).records.columns()["id"]


def test_tags_of_the_tagged_sets(real_data):
    tags = {
        tag
        for sentence in load("wnut17", "train", real_data).records.columns()["tags"]
        for tag in sentence
    }
    assert len(tags) == 13
    upos = {
        tag
        for sentence in load("gum", "train", real_data).records.columns()["upos"]
        for tag in sentence
    }
    assert len(upos) == 17


def test_captions_are_in_colour(real_data):
    images = load("captions/stamps", "full", real_data).records.columns()["image"]
    assert images.shape == (707, 64, 64, 3) and images.dtype == np.uint8
    assert images.std(-1).mean() > 1
