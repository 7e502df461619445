"""Long memory from its command line, on tiny settings, and its tasks by hand."""

import functools
import gzip
import json
import struct

import numpy as np
import pytest

import seqjax
from experiments import long_memory
from seqjax import training
from seqjax.diagnostics import memory
from tests.experiments.running import run_in_two, run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

TINY = (
    "--hidden-size",
    4,
    "--batch-size",
    4,
    "--steps",
    2,
    "--every",
    2,
    "--test-rows",
    6,
    "--quiet",
)


call = functools.partial(run_page, long_memory)


@pytest.mark.parametrize("cell, length", [("lstm", 8), ("lru", 3)])
def test_a_run_leaves_its_folder(monkeypatch, tmp_path, cell, length):
    out = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--cell", cell, "--length", length, "--out", out) == 0
    assert {"config.json", "metrics.jsonl", "curve.png", "result.json"} <= {
        path.name for path in out.iterdir()
    }
    result = json.loads((out / "result.json").read_text())
    assert result["split"] == "test" and (out / "index.html").exists()
    assert seqjax.load(out).predict(np.zeros((2, length, 2))).shape == (2, length, 1)
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
    monkeypatch.setattr(memory.Adding, "solved", 100.0)
    for enough, steps in ((0.5, 2), (0, 4)):
        out, words = tmp_path / str(steps), (*TINY, "--length", 6, "--cell", "elman", "--steps", 4)
        assert call(monkeypatch, *words, "--enough", enough, "--out", out) == 0
        counts = json.loads((out / "result.json").read_text())["counts"]
        assert counts["steps"] == steps and counts["solved_at"] == 2


def test_resume_draws_the_same_rows(monkeypatch, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = (*TINY, "--length", 6, "--cell", "elman", "--learning-rate", 0.01, "--every", 4)
    assert call(monkeypatch, *words, "--steps", 4, "--out", whole) == 0
    run_in_two(long_memory, monkeypatch, 2, *words, "--steps", 4, "--out", parts)
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
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    labels = rng.integers(0, 10, count, np.uint8)
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes())
    with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">II", 2049, count) + labels.tobytes())
    return images, labels


def test_a_twelfth_of_the_digits_chooses(tmp_path):
    images, labels = write_digits(tmp_path / "mnist", 12, "train")
    write_digits(tmp_path / "mnist", 8, "t10k")
    config = long_memory.Config(task="psmnist", data_dir=str(tmp_path))
    problem, train, validation, test, _ = long_memory.read(config)
    assert [len(part) for part in (train, validation, test)] == [11, 1, 8]
    xs, given = problem.read({"image": images[..., None], "label": labels}, 0)
    assert xs.shape == (12, 784, 1)
    np.testing.assert_allclose(
        np.asarray(xs[3, :, 0]) * 255, images[3].ravel()[long_memory.PERMUTATION], atol=1e-3
    )
    np.testing.assert_array_equal(given, labels)


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
