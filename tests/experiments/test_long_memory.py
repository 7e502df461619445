"""Long memory from its command line, on tiny settings, and its tasks by hand."""

import gzip
import json
import math
import struct
import sys

import jax
import numpy as np
import pytest

from experiments import common, long_memory
from seqjax import training

pytestmark = pytest.mark.usefixtures("quick_compile")

TINY = ("--hidden-size", 4, "--batch", 4, "--steps", 2, "--every", 2, "--test-rows", 6, "--quiet")


def call(monkeypatch, *words):
    """Runs the command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["long_memory", *map(str, words)])
    try:
        common.launch(long_memory.Config, long_memory.main, long_memory.__doc__)
    except SystemExit as stop:
        return stop.code
    return 0


def drawn(task, length, rows=64):
    made = long_memory.TASKS[task](long_memory.Config(task=task), length)
    xs, targets = made.read({"row": np.arange(rows, dtype=np.uint32)})
    return made, np.asarray(xs), np.asarray(targets)


def test_adding_marks_one_number_in_each_half_and_asks_for_their_sum():
    task, xs, targets = drawn("adding", 21)
    marks = xs[..., 1]
    assert (marks[:, :10].sum(1) == 1).all() and (marks[:, 10:].sum(1) == 1).all()
    np.testing.assert_allclose(targets, (xs[..., 0] * marks).sum(1), rtol=1e-6)
    outputs = np.ones((64, 21, 1), np.float32)
    np.testing.assert_allclose(task.losses(outputs, targets)["mse"].mean(), task.baseline, rtol=0.5)
    assert task.baseline == 1 / 6


def test_copy_wants_the_symbols_back_and_its_baseline_is_that_of_guessing_them():
    task, xs, targets = drawn("copy", 7)
    tokens = xs.argmax(-1)
    assert tokens.shape == targets.shape == (64, 27)
    np.testing.assert_array_equal(tokens[:, :10], targets[:, -10:])
    assert tokens[:, :10].max() == 7 and (targets[:, :-10] == 8).all()
    assert (
        (tokens[:, 10:16] == 8).all() and (tokens[:, 16] == 9).all() and (tokens[:, 17:] == 8).all()
    )
    guess = np.full((64, 27, 9), -50.0, np.float32)
    guess[:, :-10, 8] = 50
    guess[:, -10:, :8] = 0
    np.testing.assert_allclose(task.losses(guess, targets)["nats"].mean(), task.baseline, rtol=1e-4)
    assert task.baseline == pytest.approx(10 * math.log(8) / 27)


def test_rows_that_judge_are_not_rows_that_train():
    task, xs, _ = drawn("adding", 8)
    choosing, judging = (
        np.asarray(task.read(part[0])[0])[:, :, 0] for part in (task.validation, task.test)
    )
    for rows, others in ((choosing, xs[:, :, 0]), (judging, xs[:, :, 0]), (judging, choosing)):
        assert not (rows[:, None] == others[None]).all(-1).any()
    again = task.read({"row": np.arange(64, dtype=np.uint32)})[0]
    np.testing.assert_array_equal(xs, again)


def test_memories_are_as_long_as_the_task():
    """At zero input a unit forgets at 1 - f a step, so its memory lasts 1 / (1 - f) steps: up to its length."""
    for cell, gate in (
        ("lstm", slice(64, 128)),
        ("gru", slice(64, 128)),
        ("min_gru", slice(0, 64)),
    ):
        config = long_memory.Config(cell=cell, hidden_size=64)
        network = long_memory.build(config, 100)
        net = long_memory.with_long_memories(
            network.init(jax.random.key(0), 2), cell, 100, jax.random.key(1)
        )
        bias = np.asarray((net["layer_0"]["inner"] if cell == "min_gru" else net)["b"])[gate]
        memories = 1 + np.exp(-bias if cell == "min_gru" else bias)
        assert 2 <= memories.min() < 20 and 80 < memories.max() <= 100


@pytest.mark.parametrize("cell, length", [("lstm", 8), ("lru", 3)])
def test_a_run_leaves_its_folder(monkeypatch, tmp_path, cell, length):
    out = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--cell", cell, "--length", length, "--out", out) == 0
    assert {"config.json", "metrics.jsonl", "curve.png", "result.json"} <= {
        path.name for path in out.iterdir()
    }
    result = json.loads((out / "result.json").read_text())
    assert result["scores"]["baseline"] == pytest.approx(1 / 6)
    assert np.isfinite(result["scores"]["mse"]) and result["counts"]["test_sequences"] == 6


def test_a_suite_has_a_run_for_each_cell_and_goes_on(monkeypatch, capsys, tmp_path):
    out = tmp_path / "suite"
    monkeypatch.setitem(long_memory.SUITES, "copy", ("elman", "min_gru"))
    words = ("--task", "copy", "--length", 4, *TINY)
    assert call(monkeypatch, *words, "--suite", "--out", out) == 0
    first = json.loads((out / "result.json").read_text())
    assert set(first["scores"]) == {"elman_nats", "min_gru_nats", "baseline"}
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "table.md").read_text().count("\n") == 4
    (out / "min_gru" / "result.json").unlink()
    assert call(monkeypatch, "--resume", out, "--quiet") == 0
    assert json.loads((out / "result.json").read_text())["scores"] == first["scores"]


def test_a_run_ends_once_it_has_solved_its_task(monkeypatch, tmp_path):
    """Adding with the mean squared error of anyone's guess counted as solved: the first evaluation ends it."""
    adding = long_memory.TASKS["adding"]
    monkeypatch.setitem(long_memory.TASKS, "adding", lambda *a: adding(*a)._replace(solved=100.0))
    for enough, steps in ((0.5, 2), (0, 4)):
        out, words = tmp_path / str(steps), (*TINY, "--length", 6, "--cell", "elman", "--steps", 4)
        assert call(monkeypatch, *words, "--enough", enough, "--out", out) == 0
        counts = json.loads((out / "result.json").read_text())["counts"]
        assert counts["steps"] == steps and counts["solved_at"] == 2


def test_resume_draws_the_same_rows(monkeypatch, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = (*TINY, "--length", 6, "--cell", "elman", "--learning-rate", 0.01, "--every", 4)
    monkeypatch.setattr(long_memory.optax, "cosine_decay_schedule", lambda rate, *_, **__: rate)
    assert call(monkeypatch, *words, "--steps", 4, "--out", whole) == 0
    assert call(monkeypatch, *words, "--steps", 2, "--out", parts) == 0
    assert call(monkeypatch, "--resume", parts, "--steps", 4, "--quiet") == 0
    losses = [
        [
            line["loss"]
            for line in training.read_metrics(f / "metrics.jsonl")
            if line["kind"] == "step"
        ]
        for f in (whole, parts)
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 4


def write_digits(folder, count, name):
    rng = np.random.default_rng(count)
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = (
        rng.integers(0, 256, (count, 28, 28), np.uint8),
        rng.integers(0, 10, count, np.uint8),
    )
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes())
    with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">II", 2049, count) + labels.tobytes())
    return images, labels


def test_pixels_come_in_one_fixed_order(tmp_path):
    images, labels = write_digits(tmp_path / "mnist", 12, "train")
    write_digits(tmp_path / "mnist", 8, "t10k")
    config = long_memory.Config(task="psmnist", batch=4, data_dir=str(tmp_path))
    task = long_memory.pixels(config, 784)
    xs, given = task.read({"image": images[..., None], "label": labels})
    assert xs.shape == (12, 784, 1)
    np.testing.assert_allclose(
        np.asarray(xs[3, :, 0]) * 255, images[3].ravel()[long_memory.PERMUTATION], atol=1e-3
    )
    np.testing.assert_array_equal(given, labels)
    assert [len(batch["label"]) for batch in task.test] == [8]
    np.testing.assert_array_equal(task.validation[0]["label"], labels[11:])


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("--task", "counting"), "--task"),
        (("--length", 1), "--length is 1"),
        (("--task", "smnist", "--length", 10), "784 pixels"),
        (("--cell", "transformer"), "--cell"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path, words, complaint):
    assert call(monkeypatch, "--out", tmp_path / "run", *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and complaint in lines[0]
    assert not (tmp_path / "run").exists()
