"""The character language model from its command line, on tiny settings."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import char_lm, common
from seqjax import datasets, training

TINY = (
    "--hidden-size",
    "8",
    "--embedding-size",
    "4",
    "--batch",
    "4",
    "--window",
    "20",
    "--every",
    "10",
    "--quiet",
)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog. " * 40)
    return path


def call(monkeypatch, *words):
    """Runs the command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["char_lm", *map(str, words)])
    try:
        verbs = {"generate": common.Verb(char_lm.generate, char_lm.Generate, "write")}
        common.launch(char_lm.Config, char_lm.main, char_lm.__doc__, verbs)
    except SystemExit as stop:
        return stop.code
    return 0


def final_params(folder):
    config = common.load_config(str(folder), "char_lm", char_lm.Config)
    vocabulary = char_lm.data.Vocabulary.load(folder / "vocabulary.json")
    like = char_lm.fresh_state(char_lm.build(config, len(vocabulary)), config)
    step, state, _ = training.Checkpoints(folder / "checkpoints").restore(like)
    return step, [
        np.asarray(leaf) for leaf in char_lm.jax.tree.leaves((state.params, state.opt_state))
    ]


def test_a_run_leaves_its_folder_and_writes_text(monkeypatch, capsys, text, tmp_path):
    out = tmp_path / "run"
    assert call(monkeypatch, "--text", text, *TINY, "--steps", 20, "--out", out) == 0
    assert {
        "config.json",
        "metrics.jsonl",
        "loss.png",
        "samples.txt",
        "result.json",
        "vocabulary.json",
    } <= {path.name for path in out.iterdir()}
    result = json.loads((out / "result.json").read_text())
    assert result["scores"]["carried_bits"] == pytest.approx(
        result["scores"]["carried_nats"] / np.log(2)
    )
    lines = training.read_metrics(out / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "evaluation"] == [10, 20]
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert (
        call(monkeypatch, "--generate", out, "--prompt", "the ", "--length", 30, "--temperature", 0)
        == 0
    )
    written = capsys.readouterr().out
    assert written.startswith("the ") and len(written) == len("the ") + 30 + 1


def test_it_learns_a_short_text_by_heart(monkeypatch, text, tmp_path):
    out = tmp_path / "run"
    words = (
        "--text",
        text,
        *TINY,
        "--hidden-size",
        32,
        "--layers",
        1,
        "--dropout",
        0,
        "--learning-rate",
        0.02,
    )
    assert call(monkeypatch, *words, "--steps", 150, "--every", 150, "--out", out) == 0
    assert json.loads((out / "result.json").read_text())["scores"]["carried_nats"] < 0.3


def test_the_window_score_is_the_mean_over_every_character_once(text):
    ids = np.arange(2345) % 7
    batches = char_lm.cut(ids, 20, 8)
    assert {batch["inputs"].shape for batch in batches} == {(8, 20)}
    weight = np.concatenate([batch["weight"].ravel() for batch in batches])
    inputs = np.concatenate([batch["inputs"].ravel() for batch in batches])
    assert weight.sum() == 2344
    np.testing.assert_array_equal(inputs[weight > 0], ids[:-1])


def test_resume_goes_on_bit_for_bit(monkeypatch, text, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert call(monkeypatch, "--text", text, *TINY, "--steps", 30, "--out", whole) == 0
    assert call(monkeypatch, "--text", text, *TINY, "--steps", 10, "--out", parts) == 0
    assert call(monkeypatch, "--resume", parts, "--steps", 30, "--quiet") == 0
    (step, expected), (again, found) = final_params(whole), final_params(parts)
    assert step == again == 30
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_sigterm_saves_and_the_run_resumes(text, tmp_path):
    out = tmp_path / "run"
    words = [
        sys.executable,
        "-m",
        "experiments.char_lm",
        "--text",
        str(text),
        *TINY,
        "--out",
        str(out),
    ]
    process = subprocess.Popen([*words, "--steps", "100000"], stderr=subprocess.PIPE, text=True)
    while not len(training.read_metrics(out / "metrics.jsonl")) > 3:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "--resume" in errors
    step, _ = final_params(out)
    assert step >= 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--text", "missing.txt"), "missing.txt: no such file"),
        (("--text", "empty.txt"), "empty.txt: empty"),
        (("--text", "zeros.txt"), "binary"),
        (("--text", "latin.txt"), "not UTF-8"),
        (("--text", "short.txt"), "a window of 100"),
        (("--batch", "0"), "--batch is 0"),
        (("--hidden-size", "-1"), "--hidden-size is -1"),
        (("--dropout", "1"), "--dropout is 1.0"),
        (("--cell", "transformer"), "invalid choice"),
        (("--resume", "nowhere"), "no run folder"),
        (("--generate", "nowhere"), "no run folder"),
        (("--prompt", "a"), "goes with --generate"),
        (("--text", "good.txt", "--out", "taken"), "holds a run already"),
        (("--text", "good.txt", "--out", "empty.txt/run"), "empty.txt/run"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    monkeypatch, capsys, text, tmp_path, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "zeros.txt").write_bytes(b"abc\0" * 100)
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1") * 500)
    (tmp_path / "short.txt").write_text("too short")
    os.rename(text, tmp_path / "good.txt")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert call(monkeypatch, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_trained_run_names_what_is_wrong(monkeypatch, capsys, text, tmp_path):
    out = tmp_path / "run"
    assert call(monkeypatch, "--text", text, *TINY, "--steps", 10, "--out", out) == 0
    for words, message in (
        (("--generate", out, "--prompt", "Ω"), "'Ω'"),
        (("--generate", out, "--prompt", ""), "--prompt is empty"),
        (("--resume", out, "--hidden-size", 16), "cannot change"),
        (("--resume", out, "--steps", 20, "--data-dir", tmp_path / "none"), None),
    ):
        code = call(monkeypatch, *words)
        assert (code, message is None) in ((2, False), (0, True))
        assert message is None or message in capsys.readouterr().err
    text.write_text("another text, as long as a window wants it to be. " * 40)
    assert call(monkeypatch, "--resume", out, "--steps", 40) == 2
    assert "another fingerprint" in capsys.readouterr().err


def test_damaged_checkpoints_fall_back_and_then_fail_in_one_line(
    monkeypatch, capsys, text, tmp_path
):
    out = tmp_path / "run"
    assert call(monkeypatch, "--text", text, *TINY, "--steps", 20, "--out", out) == 0
    capsys.readouterr()
    for name in ("00000020", "00000010"):
        (out / "checkpoints" / name / "progress.json").write_text("{")
        code = call(monkeypatch, "--generate", out, "--prompt", "t", "--length", 3)
        errors = capsys.readouterr().err
        assert code == (0 if name == "00000020" else 2) and f"{name} is damaged" in errors
    assert "no sound checkpoint" in errors


def test_without_a_network_the_first_command_learns_pydoc_topics(monkeypatch, capsys, tmp_path):
    def nothing(name, split, data_dir):
        if name == "tiny_shakespeare":
            raise datasets.DataUnavailable("tiny_shakespeare is not to be had: no network")
        return real(name, split, data_dir)

    real = datasets.load
    monkeypatch.setattr(datasets, "load", nothing)
    train, valid, source = char_lm.read_texts(char_lm.Config())
    assert len(train) > 9 * len(valid) - 100 > 100_000
    assert "no network" in capsys.readouterr().err and "fingerprint" in source
