"""One experiment on one device, on four, and in two processes: the same curve, and a resume on another number."""

import functools
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments import char_lm
from seqjax import training
from tests.experiments.running import run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

TINY = (
    "--hidden-size",
    "8",
    "--embedding-size",
    "4",
    "--layers",
    "1",
    "--batch-size",
    "8",
    "--window",
    "20",
    "--every",
    "4",
)


call = functools.partial(run_page, char_lm)


def start(*words, processes=None):
    """Begins a run in a process of its own: this one has one device, and has it for good."""
    environment = os.environ | ({"SEQJAX_PROCESSES": processes} if processes else {})
    command = [sys.executable, "-m", "experiments.char_lm", *map(str, words), "--quiet"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors


def losses(folder):
    return [
        line["loss"]
        for line in training.read_metrics(folder / "metrics.jsonl")
        if line["kind"] == "step"
    ]


def test_devices_and_processes_agree_and_a_run_moves_between_them(tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 40)
    words = ("--text", tmp_path / "text.txt", *TINY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    one, four, two = tmp_path / "one", tmp_path / "four", tmp_path / "two"
    assert call(monkeypatch, *words, "--steps", 8, "--out", one, "--quiet") == 0
    finish(start(*words, "--steps", 4, "--out", four, "--devices", 4))
    resume = ("--resume", four, "--steps", 8, "--devices", 1, "--quiet")
    assert call(monkeypatch, *resume) == 0
    pair = [
        start(*words, "--steps", 8, "--out", two, "--devices", 2, processes=f"{address},2,{i}")
        for i in range(2)
    ]
    for process in pair:
        finish(process)
    expected = losses(one)
    assert len(expected) == 8
    np.testing.assert_allclose(losses(four), expected, rtol=1e-5)
    np.testing.assert_allclose(losses(two), expected, rtol=1e-5)
    assert (two / "result.json").exists()


def test_several_processes_are_given_a_folder(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr("seqjax.training.run.use_devices", lambda devices: None)
    with pytest.raises(ValueError, match="several processes .* name it with --out"):
        training.Run("char_lm", char_lm.Config())


def test_a_carried_state_is_the_same_on_any_number_of_devices(tmp_path, monkeypatch):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 20)
    words = ("--text", tmp_path / "text.txt", *TINY, "--carried", "--steps", 7)
    assert call(monkeypatch, *words, "--out", tmp_path / "one", "--quiet") == 0
    finish(start(*words, "--out", tmp_path / "two", "--devices", 2))
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
