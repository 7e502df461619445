"""Intents and slots from the command line, on tiny settings."""

import functools
import json

import pytest

import seqjax
from experiments import intents
from tests.datasets.data_files import write
from tests.experiments.running import run_page

TINY = (
    *("--hidden-size", "4", "--embedding-size", "4", "--char-features", "4"),
    *("--batch-size", "60", "--dropout", "0", "--word-dropout", "0", "--quiet"),
    *("--epochs", "20", "--every", "10", "--learning-rate", "0.1", "--average", "0.3"),
)

pytestmark = pytest.mark.usefixtures("quick_compile")

call = functools.partial(run_page, intents)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "seq.in", "fly to new york\nstop\n" * 6)
    write(tmp_path / "seq.out", "O O B-city I-city\nO\n" * 6)
    write(tmp_path / "label", "flight\nhalt\n" * 6)
    return tmp_path


def test_requests_are_learnt_scored_and_understood(tmp_path, monkeypatch, capsys, folder):
    run = tmp_path / "run"
    own = ("--train", folder, "--dev", folder, "--test", folder)
    assert call(monkeypatch, *TINY, *own, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "test" and result["counts"]["requests"] == 12
    assert result["scores"]["understood"] == result["scores"]["span_f1"] == 1
    for name in ("confusion.png", "loss.png", "predictions.conll", "intents.tsv", "spans.txt"):
        assert (run / name).exists()
    capsys.readouterr()

    assert call(monkeypatch, "predict", run, "fly to new york", "stop") == 0
    assert capsys.readouterr().out == "flight\n  city: new york\nhalt\n"
    assert seqjax.load(run).predict(["stop"])[0].intent == "halt"


def test_the_test_set_of_a_corpus(tmp_path, monkeypatch, tiny):
    run = tmp_path / "run"
    words = ("--corpus", "snips", "--data-dir", tiny, "--test")
    assert call(monkeypatch, *TINY, *words, "--epochs", "1", "--out", run) == 0
    assert json.loads((run / "result.json").read_text())["split"] == "test"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--train", "a"), "--train and --dev go together; give both"),
        (("--train", "a", "--dev", "b", "--test"), "--test wants a name"),
        (("--train", "none", "--dev", "none"), "seq.in: no such file"),
        (("--corpus", "banking"), "banking"),
    ],
)
def test_mistakes(monkeypatch, capsys, words, message):
    assert call(monkeypatch, *words) == 2
    assert message in capsys.readouterr().err
