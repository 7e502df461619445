"""Sentiment from the command line, on tiny settings."""

import json
import sys

import numpy as np
import pytest

from experiments import common, sentiment
from seqjax import data

TINY = (
    "--hidden-size",
    "4",
    "--embedding-size",
    "4",
    "--batch",
    "8",
    "--epochs",
    "3",
    "--min-count",
    "1",
    "--quiet",
)
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


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["sentiment", *map(str, words)])
    try:
        verbs = {
            "predict": common.Verb(sentiment.predict, sentiment.Predict, "name the class", "TEXT")
        }
        common.launch(sentiment.Config, sentiment.main, sentiment.__doc__, verbs)
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_run_scores_draws_resumes_and_predicts(tmp_path, monkeypatch, capsys, files):
    run = tmp_path / "run"
    options = (
        "--learning-rate",
        "0.1",
        "--average",
        "0.5",
        "--dropout",
        "0",
        "--word-dropout",
        "0",
    )
    assert call(monkeypatch, *TINY, *options, *files, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["counts"]["dev_texts"] == 8 and result["scores"]["dev_accuracy"] == 1.0
    rows = (run / "predictions.tsv").read_text().splitlines()
    assert len(rows) == 9 and rows[1].startswith("glad\tglad\t")
    page = (run / "attention.html").read_text()
    assert (
        "sad&lt;" in page
        and "&lt;" in page
        and "<b>bad" not in page
        and "src=" not in page
        and "href=" not in page
    )
    assert all((run / f"{name}.png").exists() for name in ("loss", "confusion"))

    assert call(monkeypatch, "--resume", run, "--epochs", "4", "--quiet") == 0
    assert (
        json.loads((run / "result.json").read_text())["counts"]["steps"]
        == result["counts"]["steps"] // 3 * 4
    )

    capsys.readouterr()
    assert call(monkeypatch, "--predict", run, "A good film", "--html", tmp_path / "page.html") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("glad ") and [word.split(":")[0] for word in second.split()] == [
        "a",
        "good",
        "film",
    ]
    assert (
        "A good" not in (tmp_path / "page.html").read_text()
        and "good" in (tmp_path / "page.html").read_text()
    )
    assert call(monkeypatch, "--predict", run, "  ") == 2
    assert "text is empty" in capsys.readouterr().err


def test_labels_that_training_lacks_are_counted_and_wrong(tmp_path, monkeypatch, capsys, files):
    run, loud = tmp_path / "run", [option for option in TINY if option != "--quiet"]
    with files[3].open("a") as file:
        file.write("mad\ta good film\n" * 2)
    options = (
        "--learning-rate",
        "0.1",
        "--average",
        "0.5",
        "--dropout",
        "0",
        "--word-dropout",
        "0",
    )
    assert call(monkeypatch, *loud, *options, *files, "--out", run) == 0
    assert (
        "2 dev texts have labels that training lacks, and count as wrong: 'mad'"
        in capsys.readouterr().out
    )
    result = json.loads((run / "result.json").read_text())
    assert (
        result["scores"]["dev_accuracy"] == 0.8 and result["counts"]["texts_of_unknown_labels"] == 2
    )
    assert result["scores"]["dev_nats"] < 0.7
    assert (run / "predictions.tsv").read_text().splitlines()[-1].startswith("mad\tglad\t")
    assert json.loads((run / "labels.json").read_text()) == ["glad", "sad<"]


def test_words_of_every_script_are_whole():
    words = "हिन्दी में cafe\u0301 می‌خواهم".split()
    assert sentiment.WORD.findall(" ".join(words)) == words
    assert sentiment.WORD.findall("我们👍🏽") == ["我", "们", "👍🏽"]


def test_files_with_the_text_first_or_with_names_of_columns_say_the_same(tmp_path, files):
    config = sentiment.Config(train=str(files[1]), dev=str(files[3]))
    train, dev, _ = sentiment.read_texts(config)
    for path in (files[1], files[3]):
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        path.write_text("".join(f"{text}\t{label}\n" for label, text in rows))
    turned = sentiment.read_texts(config)
    files[3].write_text("sentence\tlabel\n" + files[3].read_text())
    for found in (turned, sentiment.read_texts(config)):
        assert [part.texts for part in found[:2]] == [train.texts, dev.texts] and found[
            0
        ].names == ("glad", "sad<")
    files[3].write_text("sentence\tlabel\nso so\tfair\n")
    with pytest.raises(ValueError, match="dev.tsv: no label is in training .*, such as 'fair'"):
        sentiment.read_texts(config)


def test_words_are_cut_as_the_treebank_cuts_them():
    words = "it's a film i didn't like , well-made ... or re-imagining the '80s !"
    treebank = "it 's a film i did n't like , well-made ... or re-imagining the '80s !"
    vocabulary = data.Vocabulary(())
    assert (
        sentiment.pieces(vocabulary, words)
        == sentiment.pieces(vocabulary, treebank)
        == treebank.split()
    )
    bpe = data.BPE.train([words] * 3, 300)
    assert "".join(sentiment.pieces(bpe, "It's a film")) == "it's a film"


def test_every_text_comes_back_in_its_place(files):
    config = sentiment.Config(batch=5, max_length=4)
    ids = [np.arange(n % 7 + 1) for n in range(23)]
    seen = {}
    for batch in sentiment.make_batches([i[:4] for i in ids], np.arange(23), config, once=True):
        for place in np.flatnonzero(batch["weight"]):
            seen[int(batch["indices"][place])] = int(batch["lengths"][place])
            assert batch["label"][place] == batch["indices"][place]
        assert (batch["indices"][batch["weight"] == 0] == -1).all()
    assert seen == {n: min(n % 7 + 1, 4) for n in range(23)}


@pytest.mark.parametrize(
    ("train", "dev", "message"),
    [
        (b"glad\ta\nsad\tb\nsad b\n", b"sad\tb\n", "train.tsv, line 3"),
        (b"glad\ta\nsad\t\n", b"sad\tb\n", "train.tsv, line 2"),
        (
            b"glad\ta\nsad\tb\n",
            b"mad\tb\nmad\tc\n",
            "dev.tsv: no label is in training (glad, sad), such as 'mad'",
        ),
        (b"glad\ta\nglad\tb\n", b"glad\tb\n", "every text has the label 'glad'"),
        (b"", b"glad\tb\n", "train.tsv: empty"),
        (b"glad\ta\nsad\tb\n", b"", "dev.tsv: empty"),
        (b"glad\ta\nsad\t\xff\n", b"sad\tb\n", "train.tsv, line 2: byte 0xff is not UTF-8"),
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
        (("--train", tmp_path / "none.tsv", *files[2:]), "none.tsv: no such file"),
        (("--pooling", "first"), "first"),
        (("--html", "page.html"), "goes with --predict RUN"),
        (("--predict", tmp_path, "text"), "no run folder"),
    ):
        assert call(monkeypatch, *words) == 2
        assert message in capsys.readouterr().err
