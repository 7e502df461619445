"""Toy sequences from the command line."""

import json
import sys

import pytest

from experiments import common, toy_sequences

TINY = (
    "--task",
    "copy",
    "--longest",
    "3",
    "--questions",
    "3000",
    "--hidden-size",
    "32",
    "--batch",
    "300",
    "--steps",
    "300",
    "--every",
    "150",
    "--learning-rate",
    "0.01",
    "--quiet",
)

pytestmark = pytest.mark.usefixtures("quick_compile")


def call(monkeypatch, *words):
    monkeypatch.setattr(toy_sequences, "BUCKETS", 1)
    monkeypatch.setattr(sys, "argv", ["toy_sequences", *map(str, words)])
    verbs = {"answer": common.Verb(toy_sequences.answer, common.Options, "answer", "QUESTION...")}
    try:
        common.launch(toy_sequences.Config, toy_sequences.main, toy_sequences.__doc__, verbs)
    except SystemExit as stop:
        return stop.code
    return 0


def test_copying_is_learnt_and_answers_are_given(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    evaluation = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < evaluation["nats"] < 0.5 and evaluation["error"] < 0.1
    assert result["scores"]["exact"] > 0.9 and (run / "attention.png").exists()
    assert call(monkeypatch, "--answer", run, "cab") == 0
    assert capsys.readouterr().out == "cab\tcab\n"
    assert call(monkeypatch, "--answer", run, "CAB") == 2
    assert "'C' is no letter" in capsys.readouterr().err
