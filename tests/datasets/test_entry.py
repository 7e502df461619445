"""Every entry of the registry is whole, and an entry is all that a new data set needs."""

import numpy as np
import pytest

from seqjax.datasets import load
from seqjax.datasets.entry import DataSet, Package
from seqjax.datasets.features import Image, Label, Series, Text, Words
from seqjax.datasets.registry import REGISTRY
from tests.datasets.packages import need
from tests.fresh import run_afresh


def records_of(entry, tiny):
    """Yields the records of every split and source that is there."""
    for split in entry.splits:
        if entry.reader and entry.has(tiny / entry.folder, split):
            yield entry.read(tiny / entry.folder, split)
        if entry.package and entry.package.folder():
            yield entry.package.read(entry.package.folder(), split)


@pytest.mark.parametrize("name", REGISTRY)
def test_an_entry_is_whole(name):
    entry = REGISTRY[name]
    assert entry.name == name and entry.description.endswith(".")
    assert entry.reader or entry.package
    assert all(bool(files) == bool(entry.reader) for files in entry.splits.values())
    assert entry.reader or not entry.remotes


@pytest.mark.parametrize("name", REGISTRY)
def test_features_fit_the_records(name, tiny):
    tfds = pytest.importorskip("tensorflow_datasets")
    from seqjax.datasets.builder import _encode, tfds_feature

    entry = REGISTRY[name]
    if entry.reader is None and entry.package.name:
        need(entry.package.module)
    kinds = tfds.features.FeaturesDict(
        {field: tfds_feature(kind) for field, kind in entry.features.items()}
    )
    seen = 0
    for records in records_of(entry, tiny):
        record = records[0]
        assert set(record) == set(entry.features)
        kinds.encode_example(
            {field: _encode(record[field], kind) for field, kind in entry.features.items()}
        )
        seen += 1
    assert seen


@pytest.fixture
def new_entry(monkeypatch):
    """A data set of every kind of field, which only the registry knows."""

    def read(path, split):
        lines = path.read_text().splitlines()
        return {
            "line": lines,
            "words": [line.split() for line in lines],
            "parity": np.array([len(line) % 2 for line in lines]),
            "picture": np.full((len(lines), 2, 3, 1), 7, np.uint8),
            "codes": [np.array([ord(letter) / 3 for letter in line]) for line in lines],
        }

    entry = DataSet(
        name="new/one",
        description="Lines of a test.",
        features={
            "line": Text(),
            "words": Words(),
            "parity": Label(("even", "odd")),
            "picture": Image((2, 3, 1)),
            "codes": Series(),
        },
        splits={"train": ("a.txt",), "test": ("b.txt",)},
        reader=read,
    )
    monkeypatch.setitem(REGISTRY, "new/one", entry)
    return entry


def test_a_new_entry_is_loaded_and_prepared_with_nothing_else(new_entry, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    from seqjax.datasets.builder import prepare

    (tmp_path / "new/one").mkdir(parents=True)
    (tmp_path / "new/one/a.txt").write_text("to be\nor not\n")
    (tmp_path / "new/one/b.txt").write_text("that is\n")
    files = load("new", "train", tmp_path)
    assert files.name == "new/one" and files.records[1]["words"] == ["or", "not"]

    prepare("new/one", tmp_path / "shelf", tmp_path)
    prepared = load("new", "train", tmp_path / "shelf")
    assert prepared.origin.startswith("prepared TFDS data set")
    assert prepared.fingerprint == files.fingerprint
    source = tfds.data_source("new/one", split="test", data_dir=tmp_path / "shelf", download=False)
    assert source[0]["line"] == b"that is"


def test_a_package_alone_is_a_source(monkeypatch):
    package = Package(None, "pydoc_data", lambda folder, split: {"where": [folder.name]})
    entry = DataSet("shipped", "A test.", {"where": Text()}, {"train": ()}, package=package)
    monkeypatch.setitem(REGISTRY, "shipped", entry)
    assert load("shipped", "train").records[0] == {"where": "pydoc_data"}
    with pytest.raises(ValueError, match="shipped has no files of its own"):
        entry.read(package.folder(), "train")


def test_a_builder_is_pickled_by_its_name(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    import pickle

    from seqjax.datasets.builder import builder_of

    for name in ("mnist", "captions/emoji"):
        builder = builder_of(name, tmp_path)
        copy = pickle.loads(pickle.dumps(builder))
        assert type(copy) is type(builder) and copy.data_dir == builder.data_dir


def test_the_registry_needs_no_tfds():
    run_afresh("import seqjax.datasets.registry", without=["tensorflow_datasets"])
