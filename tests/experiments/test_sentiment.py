"""Sentiment from the command line, on tiny settings."""

import functools
import json

import pytest

import seqjax
from experiments import sentiment
from tests.experiments.running import run_in_two, run_page

TINY = "--hidden-size 4 --embedding-size 4 --batch-size 8 --epochs 3 --min-count 1".split()
LEARN = "--learning-rate 0.1 --average 0.5 --dropout 0 --word-dropout 0".split()
GOOD = [f"a good film , number {n}" for n in range(12)]
BAD = [f"a <b>bad</b> film & didn't work {n}" for n in range(12)]

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture
def files(tmp_path):
    lines = [
        f"{label}\t{text}" for label, texts in (("glad", GOOD), ("sad<", BAD)) for text in texts
    ]
    for name, part in (("train.tsv", lines), ("dev.tsv", lines[::3])):
        (tmp_path / name).write_text("\n".join(part) + "\n")
    return "--train", tmp_path / "train.tsv", "--dev", tmp_path / "dev.tsv"


call = functools.partial(run_page, sentiment)


def test_a_run_scores_draws_resumes_and_predicts(tmp_path, monkeypatch, capsys, files):
    run = tmp_path / "run"
    run_in_two(sentiment, monkeypatch, 4, *TINY, *LEARN, *files, "--quiet", "--out", run)
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "validation" and result["scores"]["accuracy"] == 1.0
    assert result["counts"]["steps"] == 12
    assert result["counts"]["texts"] == result["counts"]["right"] == 8
    rows = (run / "predictions.tsv").read_text().splitlines()
    assert len(rows) == 9 and rows[1].startswith("glad\tglad\t")
    assert "sad&lt;" in (run / "attention.html").read_text()
    assert all((run / f"{name}.png").exists() for name in ("loss", "confusion"))
    assert seqjax.load(run).predict(["a GOOD film", "didn't work"]) == ["glad", "sad<"]

    capsys.readouterr()
    page = tmp_path / "page.html"
    assert call(monkeypatch, "predict", run, "A good film", "--html", page) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("glad ")
    assert [word.split(":")[0] for word in second.split()] == ["a", "good", "film"]
    assert "A good" not in page.read_text() and "good" in page.read_text()
    assert call(monkeypatch, "predict", run, "  ") == 2
    assert "text 0 is empty" in capsys.readouterr().err


def test_labels_that_training_lacks_are_counted_and_wrong(tmp_path, monkeypatch, capsys, files):
    run = tmp_path / "run"
    with files[3].open("a") as file:
        file.write("mad\ta good film\n" * 2)
    assert call(monkeypatch, *TINY, *LEARN, *files, "--max-length", "6", "--out", run) == 0
    said = capsys.readouterr().out
    assert "2 dev texts have labels that training lacks, and count as wrong: 'mad'" in said
    assert "16 texts are read up to their first 6 tokens" in said
    result = json.loads((run / "result.json").read_text())
    assert result["scores"]["accuracy"] == 0.8 and result["scores"]["nats"] < 0.7
    assert result["counts"]["of_unknown_labels"] == 2
    assert (run / "predictions.tsv").read_text().splitlines()[-1].startswith("mad\tglad\t")
    assert seqjax.load(run).task.labels == ("glad", "sad<")


def test_a_test_file_is_scored_in_place_of_the_dev_file(tmp_path, monkeypatch, files):
    (tmp_path / "test.tsv").write_text(f"glad\t{GOOD[0]}\nsad<\t{GOOD[1]}\n")
    options = (*LEARN, "--tokens", "bpe", "--bpe-size", "270", "--pooling", "mean", "--cell", "gru")
    more = ("--test", tmp_path / "test.tsv", "--quiet", "--out", tmp_path / "run")
    assert call(monkeypatch, *TINY, *options, *files, *more, "--members", "2") == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["split"] == "test" and result["scores"]["accuracy"] == 0.5
    assert "--tokens bpe" in result["command"]
    assert not (tmp_path / "run" / "attention.html").exists()
    assert seqjax.load(tmp_path / "run").task.model.count == 2


def test_the_treebank_is_the_default(tmp_path):
    (tmp_path / "sst2").mkdir()
    for split in ("train", "dev"):
        (tmp_path / "sst2" / f"stsa.binary.{split}").write_text(f"1 a {split} film\n0 a bad one\n")
    train, dev, test, origin = sentiment.read_texts(sentiment.Config(data_dir=str(tmp_path)))
    assert train.texts[0] == "a train film" and dev.labels == ["positive", "negative"]
    assert test is None and "sst2" in origin


def test_test_alone_is_the_test_set_of_the_corpus(tmp_path, monkeypatch, capsys):
    (tmp_path / "sst2").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "sst2" / f"stsa.binary.{split}").write_text(f"1 a {split} film\n0 a bad one\n")
    place = ("--data-dir", tmp_path, "--out", tmp_path / "run")
    assert call(monkeypatch, *TINY, "--epochs", "1", "--min-count", "1", *place, "--test") == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["split"] == "test"
    assert "a test film" in (tmp_path / "run" / "predictions.tsv").read_text()
    assert (
        call(monkeypatch, "--test", "file", "--data-dir", tmp_path, "--out", tmp_path / "two") == 2
    )
    assert "goes with --train and --dev" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("train", "dev", "message"),
    [
        (b"glad\ta\nsad\tb\nsad b\n", b"sad\tb\n", "train.tsv, line 3"),
        (
            b"glad\ta\nsad\tb\n",
            b"mad\tb\nmad\tc\n",
            "dev.tsv: no label is in training (glad, sad), such as 'mad'",
        ),
        (b"glad\ta\nglad\tb\n", b"glad\tb\n", "every text has the label 'glad'"),
        (b"glad\ta\nsad\tb\n", b"", "dev.tsv: empty"),
    ],
)
def test_bad_rows_end_with_code_2_before_training(
    tmp_path, monkeypatch, capsys, files, train, dev, message
):
    (tmp_path / "train.tsv").write_bytes(train)
    (tmp_path / "dev.tsv").write_bytes(dev)
    assert call(monkeypatch, *files, "--out", tmp_path / "run") == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1 and message in complaint
    assert not (tmp_path / "run").exists()


def test_other_mistakes(tmp_path, monkeypatch, capsys, files):
    for words, message in (
        (files[:2], "--train and --dev go together"),
        (("--test", files[1]), "a file to --test goes with --train and --dev"),
        (("--train", tmp_path / "none.tsv", *files[2:]), "none.tsv: no such file"),
        (("--pooling", "first"), "first"),
        (("--html", "page.html"), "--html"),
        (("predict", tmp_path, "text"), "holds no model"),
    ):
        assert call(monkeypatch, *words) == 2
        complaint = capsys.readouterr().err
        assert complaint.startswith("error: ") and message in complaint
