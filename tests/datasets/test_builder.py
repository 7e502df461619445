import json
import shutil

import numpy as np
import pytest

from seqjax.datasets import load
from seqjax.datasets.prepared import read_prepared
from seqjax.datasets.registry import REGISTRY

tfds = pytest.importorskip("tensorflow_datasets")

NAMES = [name for name, entry in REGISTRY.items() if entry.reader]


def prepare(name, manual_dir, data_dir):
    from seqjax.datasets.builder import prepare

    return prepare(name, data_dir, manual_dir)


@pytest.fixture(scope="module")
def shelf(tiny, tmp_path_factory):
    """Every set prepared by its builder from the tiny files."""
    folder = tmp_path_factory.mktemp("prepared")
    for name in NAMES:
        prepare(name, tiny, folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_prepared_set_reads_like_the_files_it_came_from(name, tiny, shelf):
    entry = REGISTRY[name]
    for split in entry.splits:
        if not entry.has(tiny / entry.folder, split):
            continue
        prepared, files = load(name, split, shelf), load(name, split, tiny)
        assert prepared.origin.startswith(f"prepared TFDS data set {shelf}")
        assert files.origin.startswith(f"local folder {tiny}")
        assert len(prepared.records) == len(files.records) > 0
        assert prepared.records.columns().keys() == files.records.columns().keys()
        assert prepared.fingerprint == files.fingerprint


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "tiny_shakespeare", "gum", "ett"])
def test_tfds_reads_it_by_its_name(name, tiny, shelf):
    source = tfds.data_source(name, split="train", data_dir=shelf, download=False)
    files = load(name, "train", tiny).records
    assert len(source) == len(files)
    if "image" in files[0]:
        np.testing.assert_array_equal(source[0]["image"], files[0]["image"])


def test_stock_names_keep_the_stock_splits(shelf):
    splits = tfds.builder_from_directory(shelf / "tiny_shakespeare/1.0.0").info.splits
    assert list(splits) == ["train", "validation", "test"]


def test_manual_dir_may_be_the_folder_of_the_set_itself(tiny, tmp_path):
    builder = prepare("m4_hourly", tiny / "m4", tmp_path)
    assert builder.info.splits["train"].num_examples == 2


def test_without_files_it_tries_the_public_address(tmp_path):
    from seqjax.datasets.download import Unreachable

    with pytest.raises(Unreachable, match="raw.githubusercontent.com does not answer"):
        prepare("gum", tmp_path / "empty", tmp_path)
    with pytest.raises(
        ValueError, match="captions/emoji has no public address; give its files in manual_dir"
    ):
        prepare("captions/emoji", tmp_path / "empty", tmp_path)


def test_a_malformed_file_is_named(tiny, tmp_path):
    (tmp_path / "wnut17").mkdir()
    (tmp_path / "wnut17/wnut17train.conll").write_text("word O\n")
    with pytest.raises(ValueError, match="wnut17train.conll, line 1: 1 columns; wanted 2"):
        prepare("wnut17", tmp_path, tmp_path / "prepared")


def test_unknown_builders():
    from seqjax.datasets.builder import builder_of

    with pytest.raises(ValueError, match="no builder 'nope'; choose one of atis, captions"):
        builder_of("nope")


def test_a_set_in_another_file_format_is_left_alone(shelf, tmp_path):
    shutil.copytree(shelf / "m4_hourly", tmp_path / "m4_hourly")
    folder = tmp_path / "m4_hourly/1.0.0"
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "tfrecord"}))
    with pytest.raises(
        ValueError, match=f"no TFDS data set prepared as array_record in {tmp_path}"
    ):
        load("m4_hourly", "train", tmp_path)
    with pytest.raises(
        ValueError, match='is stored as tfrecord; prepare it again with file_format="array_record"'
    ):
        read_prepared(folder, "train")
    with pytest.raises(ValueError, match="has no split 'dev'; it has train, test"):
        read_prepared(shelf / "m4_hourly/1.0.0", "dev")
