"""Tagging from the command line, on tiny settings."""

import functools
import json
import shutil

import pytest

from experiments import tagging
from tests.experiments.running import run_in_two, run_page

TINY = (
    "--hidden-size",
    "4",
    "--embedding-size",
    "4",
    "--char-features",
    "4",
    "--batch-size",
    "60",
    "--quiet",
)
LEARN = (
    "--epochs",
    "4",
    "--learning-rate",
    "0.1",
    "--average",
    "0.3",
    "--dropout",
    "0",
    "--word-dropout",
    "0",
)
SENTENCES = [[("Ann", "B-per"), ("Lee", "I-per"), ("saw", "O"), ("Rome", "B-loc")], [("rain", "O")]]
CONLLU = """# text = Dogs won't
1\tDogs\tdog\tNOUN\tNNS\t_\t0\troot\t_\t_
2-3\twon't\t_\t_\t_\t_\t_\t_\t_\t_
2\two\twill\tAUX\tMD\t_\t1\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# text = Run
1\tRun\trun\tVERB\tVB\t_\t0\troot\t_\t_
"""

pytestmark = pytest.mark.usefixtures("quick_compile")


def conll(sentences, separator="\t"):
    return "\n".join(
        "".join(f"{word}{separator}{tag}\n" for word, tag in sentence) for sentence in sentences
    )


@pytest.fixture
def files(tmp_path):
    (tmp_path / "train.conll").write_text(conll(SENTENCES * 6))
    (tmp_path / "dev.conll").write_text(conll(SENTENCES))
    return "--train", tmp_path / "train.conll", "--dev", tmp_path / "dev.conll"


call = functools.partial(run_page, tagging)


def test_entities_are_learnt_scored_by_spans_resumed_and_predicted(
    tmp_path, monkeypatch, capsys, files
):
    run = tmp_path / "run"
    # The files may move between a run and its resume.
    moved = tmp_path / "moved.conll"
    shutil.copy(files[1], moved)
    resume = ("--train", moved, "--dev", files[3])
    run_in_two(tagging, monkeypatch, 2, *TINY, *LEARN, *files, "--out", run, resume=resume)
    result = json.loads((run / "result.json").read_text())
    assert result["scores"]["span_f1"] == 1.0 and result["counts"]["words"] == 5
    predictions = (run / "predictions.conll").read_text()
    assert predictions == conll([[(w, f"{t}\t{t}") for w, t in sentence] for sentence in SENTENCES])
    assert "per" in (run / "spans.txt").read_text()
    assert all((run / f"{name}.png").exists() for name in ("loss", "confusion"))

    capsys.readouterr()
    words = tmp_path / "words.conll"
    words.write_text("Ann\nLee\nsaw\nRome\n\nrain\n")
    assert call(monkeypatch, "predict", run, words) == 0
    assert capsys.readouterr().out == conll(SENTENCES)
    assert call(monkeypatch, "predict", run, words, "--output", tmp_path / "out.conll") == 0
    assert (tmp_path / "out.conll").read_text() == conll(SENTENCES)
    words.write_text("")
    assert call(monkeypatch, "predict", run, words) == 2
    assert "words.conll: empty" in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--no-crf",)])
def test_tags_that_training_lacks_are_counted_and_wrong(
    tmp_path, monkeypatch, capsys, files, options
):
    run, loud = tmp_path / "run", [option for option in TINY if option != "--quiet"]
    # The second sentence breaks the scheme, too, but nothing is learnt from it.
    files[3].write_text(conll([*SENTENCES, [("Bonn", "O"), ("Ulm", "I-org"), ("rain", "O")]]))
    assert call(monkeypatch, *loud, *LEARN, *files, *options, "--out", run) == 0
    assert (
        "1 dev words have tags that training lacks, and count as wrong: I-org (1)"
        in capsys.readouterr().out
    )
    result = json.loads((run / "result.json").read_text())
    assert result["counts"]["words_of_unknown_tags"] == 1 and result["scores"]["accuracy"] <= 7 / 8
    assert 0 < result["scores"]["nats"] < 1.5
    assert "I-org" in (run / "predictions.conll").read_text() and (run / "confusion.png").exists()


def test_parts_of_speech_without_crf_and_characters(tmp_path, monkeypatch, capsys):
    path, run = tmp_path / "bank.conllu", tmp_path / "run"
    path.write_text((CONLLU + "\n") * 8)
    options = ("--no-crf", "--characters", "none", "--train", path, "--dev", path, "--out", run)
    assert call(monkeypatch, *TINY, *LEARN, *options) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["scores"]["accuracy"] == 1.0 and "span_f1" not in result["scores"]
    assert "--no-crf" in result["command"] and result["counts"]["words"] == 32
    blank = tmp_path / "blank.conllu"
    blank.write_text(CONLLU.replace("AUX", "_").replace("NOUN", "_"))
    capsys.readouterr()
    assert call(monkeypatch, "predict", run, blank) == 0
    assert capsys.readouterr().out == CONLLU


@pytest.mark.parametrize(
    ("train", "dev", "message"),
    [
        (b"Ann\tB-per\nsaw\n", b"Ann\tB-per\n", "train.conll, line 2: 1 columns"),
        (b"Ann\nsaw\n", b"Ann\tO\n", "train.conll, line 1: one column"),
        (
            b"Ann\tB-per\nsaw\tO\n",
            b"Rome\tB-loc\nroars\tV\n",
            "dev.conll, line 1: the tag 'B-loc', and all others",
        ),
        (
            b"Ann\tB-per\nLee\tI-per\nsaw\tO\n\nLee\tI-per\n",
            b"Ann\tO\n",
            "train.conll, line 5: I-per at the start",
        ),
        (
            b"Ann\tB-per\nLee\tI-per\nsaw\tO\nLee\tI-per\n",
            b"Ann\tO\n",
            "train.conll, line 4: I-per after O",
        ),
        (b"", b"Ann\tO\n", "train.conll: empty"),
        (b"Ann\tO\n\nsaw\t\xff\n", b"Ann\tO\n", "train.conll, line 3: byte 0xff is not UTF-8"),
        (b"Ann\tO\nsaw\t_\n", b"Ann\tO\n", "train.conll, line 2: the word has no tag"),
    ],
)
def test_bad_rows_end_with_code_2_before_training(
    tmp_path, monkeypatch, capsys, files, train, dev, message
):
    (tmp_path / "train.conll").write_bytes(train)
    (tmp_path / "dev.conll").write_bytes(dev)
    assert call(monkeypatch, *files, "--out", tmp_path / "run") == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1 and message in complaint
    assert not (tmp_path / "run").exists()


def test_a_treebank_with_a_wrong_row_is_refused(tmp_path, monkeypatch, capsys):
    path = tmp_path / "bank.conllu"
    path.write_text(CONLLU.replace("2\two\t", "4\two\t"))
    assert call(monkeypatch, "--train", path, "--dev", path) == 2
    assert "bank.conllu, line 4: id '4'" in capsys.readouterr().err
    assert call(monkeypatch, "--train", path) == 2
    assert "--train and --dev go together" in capsys.readouterr().err


def test_a_test_file_and_that_of_the_corpus_are_scored_in_the_end(
    tmp_path, monkeypatch, capsys, files
):
    (tmp_path / "wnut17").mkdir()
    names = {"wnut17train.conll": 6, "emerging.dev.conll": 1, "emerging.test.annotated": 2}
    for name, times in names.items():
        (tmp_path / "wnut17" / name).write_text(conll(SENTENCES * times))
    corpus = ("--corpus", "wnut17", "--data-dir", tmp_path, "--test", "--epochs", "1")
    assert call(monkeypatch, *TINY, *corpus, "--out", tmp_path / "one") == 0
    file = ("--test", tmp_path / "train.conll", "--epochs", "1")
    assert call(monkeypatch, *TINY, *files, *file, "--out", tmp_path / "two") == 0
    for run, words in (("one", 10), ("two", 30)):
        result = json.loads((tmp_path / run / "result.json").read_text())
        assert result["split"] == "test" and result["counts"]["words"] == words
    assert call(monkeypatch, *TINY, *files, "--test", "--out", tmp_path / "three") == 2
    assert "--test wants a name beside --train" in capsys.readouterr().err
