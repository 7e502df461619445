"""Toy sequences from the command line."""

import functools
import json

import pytest

from experiments import toy_sequences
from tests.experiments.running import run_page

TINY = (
    *("--task", "copy", "--longest", "2", "--questions", "3000", "--hidden-size", "16"),
    *("--batch-size", "100", "--steps", "200", "--every", "100", "--learning-rate", "0.03"),
    "--quiet",
)

pytestmark = pytest.mark.usefixtures("quick_compile")


call = functools.partial(run_page, toy_sequences)


def test_copying_is_learnt_and_answers_are_given(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    evaluation = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < evaluation["nats"] < 0.5 and evaluation["error"] < 0.1
    assert result["scores"]["exact"] > 0.9 and (run / "attention.png").exists()
    assert call(monkeypatch, "answer", run, "ca", "CA") == 0
    assert capsys.readouterr().out == "ca\tca\nCA\tca\n"
    assert call(monkeypatch, "answer", run, "cä") == 2
    assert "source 0 ('cä'): 'ä' occurs in no training source" in capsys.readouterr().err


def test_one_state_remembers_the_question(tmp_path, monkeypatch):
    run = tmp_path / "run"
    options = ("--task", "add", "--no-attention", "--questions", "400", "--hidden-size", "4")
    steps = ("--steps", "2", "--every", "2", "--out", run, "--quiet")
    assert call(monkeypatch, *options, *steps) == 0
    assert not (run / "attention.png").exists()
    lines = [line.split("\t") for line in (run / "predictions.tsv").read_text().splitlines()]
    assert all(str(sum(map(int, asked.split("+")))) == known for asked, _, known in lines)
