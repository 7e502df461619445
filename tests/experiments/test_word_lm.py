"""The Penn Treebank's page, on tiny settings."""

import functools
import json

import pytest

from experiments import word_lm
from tests.datasets.data_files import write
from tests.experiments.running import run_page

TINY = (
    *("--hidden-size", "8", "--layers", "2", "--window", "4", "--batch-size", "4"),
    *("--epochs", "3", "--every", "40", "--learning-rate", "0.02", "--average", "0.5", "--quiet"),
)

pytestmark = pytest.mark.usefixtures("quick_compile")

call = functools.partial(run_page, word_lm)


@pytest.fixture
def files(tmp_path):
    lines = "the cat sat on the mat\na dog ran to the <unk>\n"
    return (
        *("--train", write(tmp_path / "train.txt", lines * 40)),
        *("--dev", write(tmp_path / "dev.txt", lines * 3)),
        *("--test", write(tmp_path / "test.txt", lines * 2)),
    )


def test_words_are_learnt_scored_and_written(tmp_path, monkeypatch, capsys, files):
    run = tmp_path / "run"
    assert call(monkeypatch, *TINY, *files, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "test" and result["counts"]["tokens"] == 27
    assert result["scores"]["perplexity"] < 12
    capsys.readouterr()

    assert call(monkeypatch, "evaluate", run, files[5], "--cache", "20", "--dynamic", "0.1") == 0
    lines = [line.rsplit(None, 1) for line in capsys.readouterr().out.splitlines()]
    shown = {name.strip(): float(value) for name, value in lines}
    assert shown["perplexity"] == pytest.approx(result["scores"]["perplexity"], abs=1e-3)
    assert shown.keys() >= {"perplexity with a cache", "perplexity, dynamic"}

    assert call(monkeypatch, "generate", run, "--prompt", "the cat", "--max-length", "5") == 0
    assert capsys.readouterr().out.startswith("the cat")


def test_characters_of_the_corpus(tmp_path, monkeypatch, tiny):
    run = tmp_path / "run"
    words = ("--characters", "--data-dir", tiny, "--test", *TINY, "--batch-size", "1")
    assert call(monkeypatch, *words, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "test" and "bits_per_character" in result["scores"]


def test_mistakes(monkeypatch, capsys, files, tiny):
    for words, message in (
        (files[:2], "--train and --dev go together; give both"),
        (files[4:], "a file to --test goes with --train and --dev"),
        ((*files[:4], "--test"), "--test wants a name"),
        (("--cell", "gro"), "gro"),
        (
            (*files, "--cell", "lru", "--weight-dropout", "0.1"),
            "--weight-dropout wants recurrent weights, and lru has none",
        ),
        (("--data-dir", tiny), "give a longer text, fewer rows or shorter windows"),
    ):
        assert call(monkeypatch, *words) == 2
        assert message in capsys.readouterr().err
