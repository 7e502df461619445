"""Labelled texts from files and corpora."""

import pytest

from seqjax import text
from seqjax.data.records import Records

ROWS = [("glad", f"a good film {n}") for n in range(6)] + [("sad", f"a bad {n}") for n in range(6)]


@pytest.fixture
def paths(tmp_path):
    for name, rows in (("train.tsv", ROWS), ("dev.tsv", ROWS[::3])):
        lines = [f"{label}\t{words}\n" for label, words in rows]
        (tmp_path / name).write_text("".join(lines))
    return tmp_path / "train.tsv", tmp_path / "dev.tsv"


def test_files_with_the_text_first_or_with_names_of_columns_say_the_same(paths):
    train, dev = text.read_labelled(*paths)
    assert train == ([words for _, words in ROWS], [label for label, _ in ROWS])
    for path in paths:
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        path.write_text("".join(f"{words}\t{label}\n" for label, words in rows))
    assert text.read_labelled(*paths) == [train, dev]
    paths[1].write_text("sentence\tlabel\n" + paths[1].read_text())
    assert text.read_labelled(*paths) == [train, dev]


@pytest.mark.parametrize(
    ("train", "dev", "message"),
    [
        (b"glad\ta\nsad\tb\nsad b\n", b"sad\tb\n", "train.tsv, line 3"),
        (b"glad\ta\nsad\t\n", b"sad\tb\n", "train.tsv, line 2"),
        (
            b"glad\ta\nsad\tb\n",
            b"mad\tb\nmad\tc\n",
            r"dev.tsv: no label is in training \(glad, sad\), such as 'mad'",
        ),
        (b"glad\ta\nglad\tb\n", b"glad\tb\n", "train.tsv: every text has the label 'glad'"),
        (b"", b"glad\tb\n", "train.tsv: empty"),
        (b"glad\ta\nsad\tb\n", b"", "dev.tsv: empty"),
        (b"glad\ta\nsad\t\xff\n", b"sad\tb\n", "train.tsv, line 2: byte 0xff is not UTF-8"),
    ],
)
def test_bad_files_are_named(paths, train, dev, message):
    paths[0].write_bytes(train)
    paths[1].write_bytes(dev)
    with pytest.raises(ValueError, match=message):
        text.read_labelled(*paths)


def test_the_treebank_is_read_with_names_for_its_labels(tmp_path):
    (tmp_path / "sst2").mkdir()
    for split in ("train", "dev", "test"):
        file = tmp_path / "sst2" / f"stsa.binary.{split}"
        file.write_text(f"1 a {split} film\n0 a bad one\n")
    part, origin = text.load_labelled("sst2", "validation", tmp_path)
    assert part == (["a dev film", "a bad one"], ["positive", "negative"])
    assert str(tmp_path) in origin
    with pytest.raises(ValueError, match="corpus 'sst3' is unknown; choose one of sst2, imdb"):
        text.load_labelled("sst3", "train", tmp_path)


def test_every_tenth_review_is_held_out(monkeypatch, tmp_path):
    class Builder:
        data_dir = str(tmp_path)

        def download_and_prepare(self):
            pass

    def read(folder, split):
        texts = [f"{split} {number}" for number in range(25)]
        return Records({"text": texts, "label": [number % 2 for number in range(25)]})

    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds, "builder", lambda *names, **options: Builder())
    monkeypatch.setattr("seqjax.datasets.prepared.read_prepared", read)
    train, _ = text.load_labelled("imdb", "train", tmp_path)
    held, _ = text.load_labelled("imdb", "validation", tmp_path)
    test, _ = text.load_labelled("imdb", "test", tmp_path)
    assert held == (["train 9", "train 19"], ["positive", "positive"])
    assert len(train.texts) == 23 and not set(train.texts) & set(held.texts)
    assert test.texts == [f"test {number}" for number in range(25)]
    with pytest.raises(ValueError, match="imdb has no split 'dev'"):
        text.load_labelled("imdb", "dev", tmp_path)
