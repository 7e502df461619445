"""Digits row by row from the command line, on tiny settings."""

import functools
import gzip
import json
import struct

import numpy as np
import pytest
from PIL import Image

import seqjax
from experiments import mnist_rows
from seqjax import training
from tests.experiments.running import run_in_two, run_page

TINY = "--hidden-size 4 --layers 1 --batch-size 8 --epochs 2 --dropout 0 --quiet".split()
PICTURES = ("sequence", "hidden_units", "confusion", "mistakes", "rows_arrive", "loss")

pytestmark = pytest.mark.usefixtures("quick_compile")


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def write_digits(folder, train=24, test=12, size=28):
    """Images in which the digit is the column of a white bar."""
    for stem, count in (("train", train), ("t10k", test)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.zeros((count, 28, size), np.uint8)
        images[np.arange(count), :, 2 * labels] = 255
        write_idx(folder / "mnist" / f"{stem}-images-idx3-ubyte.gz", images)
        write_idx(folder / "mnist" / f"{stem}-labels-idx1-ubyte.gz", labels)


call = functools.partial(run_page, mnist_rows)


def test_a_run_tests_the_last_epoch_draws_resumes_and_predicts(tmp_path, monkeypatch, capsys):
    write_digits(tmp_path)
    run, image = tmp_path / "run", tmp_path / "digit.png"
    data = ("--data-dir", tmp_path)
    run_in_two(mnist_rows, monkeypatch, 4, *TINY, *data, "--out", run, resume=data)
    assert all((run / f"{name}.png").stat().st_size > 5000 for name in PICTURES)
    result = json.loads((run / "result.json").read_text())
    _, _, test, _ = mnist_rows.read_digits(mnist_rows.Config(data_dir=str(tmp_path)))
    assert result["scores"]["accuracy"] == seqjax.load(run).evaluate(test)["accuracy"]
    assert "accuracy_after_row_10" in result["scores"] and result["split"] == "test"
    assert result["counts"]["images"] == 12 and result["counts"]["steps"] == 6
    # Nothing is chosen by the test digits: the last parameters are those of the model.
    assert "best_step" not in result["counts"]
    assert not any("error" in line for line in training.read_metrics(run / "metrics.jsonl"))

    Image.fromarray(np.zeros((28, 28), np.uint8)).save(image)
    capsys.readouterr()
    assert call(monkeypatch, "predict", run, image) == 0
    said = capsys.readouterr().out
    digit = seqjax.load(run).predict([np.zeros((28, 28), np.uint8)])[0]
    assert said.count(":") == 3 and said.startswith(f"{digit}:")
    Image.fromarray(np.zeros((20, 28), np.uint8)).save(image)
    assert call(monkeypatch, "predict", run, image) == 2
    assert "digit.png: 28x20 pixels; wanted 28x28" in capsys.readouterr().err


def test_pixels_have_an_order():
    digits = np.zeros((10, 28, 28, 1), np.uint8), np.arange(10)
    orders = [
        mnist_rows.build(mnist_rows.Config(**settings), digits).inputs.order
        for settings in ({}, {"pixels": True}, {"permuted": True})
    ]
    assert orders[0] is None and orders[1] == tuple(range(784))
    assert orders[2] == tuple(mnist_rows.PERMUTATION.tolist()) != orders[1]


def test_validation_stops_early(tmp_path, monkeypatch):
    write_digits(tmp_path)
    options = "--validation 6 --patience 1 --epochs 40 --every 3 --learning-rate 0 --permuted"
    monkeypatch.setattr(training.Run, "finish", lambda run, *args: {})
    run = tmp_path / "run"
    assert call(monkeypatch, *TINY, *options.split(), "--data-dir", tmp_path, "--out", run) == 0
    lines = training.read_metrics(run / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "evaluation"] == [3, 6]


def test_mistakes_end_with_code_2_before_training(tmp_path, monkeypatch, capsys):
    write_digits(tmp_path / "narrow", size=27)
    write_digits(tmp_path / "few", train=5)
    write_digits(tmp_path / "none", test=0)
    (tmp_path / "torn" / "mnist").mkdir(parents=True)
    write_digits(tmp_path / "torn")
    torn = tmp_path / "torn" / "mnist" / "train-images-idx3-ubyte.gz"
    torn.write_bytes(torn.read_bytes()[:-20])
    for words, message in (
        (("--data-dir", tmp_path / "narrow"), "[28, 27]"),
        (("--data-dir", tmp_path / "few", "--validation", "5"), "--validation is 5"),
        (("--data-dir", tmp_path / "none"), "no record"),
        (("--data-dir", tmp_path / "torn"), "train-images-idx3-ubyte.gz"),
        (("--digit", "10"), "--digit is 10"),
        (("predict", tmp_path, "x.png"), "holds no model"),
    ):
        out = () if words[0] == "predict" else ("--out", tmp_path / "run")
        assert call(monkeypatch, *words, *out) == 2
        complaint = capsys.readouterr().err
        assert complaint.startswith("error: ") and complaint.count("\n") == 1
        assert message in complaint
        assert not (tmp_path / "run").exists()
