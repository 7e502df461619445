"""Digits row by row from the command line, on tiny settings."""

import gzip
import json
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import common, mnist_rows

TINY = (
    "--hidden-size",
    "4",
    "--layers",
    "1",
    "--batch",
    "8",
    "--epochs",
    "2",
    "--dropout",
    "0",
    "--quiet",
)
PICTURES = ("sequence", "curves", "hidden_units", "confusion", "mistakes", "rows_arrive", "health")

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


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["mnist_rows", *map(str, words)])
    try:
        verbs = {
            "predict": common.Verb(
                mnist_rows.predict, mnist_rows.Predict, "name the digit", "IMAGE"
            )
        }
        common.launch(mnist_rows.Config, mnist_rows.main, mnist_rows.__doc__, verbs)
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_run_tests_the_last_epoch_draws_resumes_and_predicts(tmp_path, monkeypatch, capsys):
    write_digits(tmp_path)
    run, image = tmp_path / "run", tmp_path / "digit.png"
    assert call(monkeypatch, *TINY, "--data-dir", tmp_path, "--out", run) == 0
    assert all((run / f"{name}.png").stat().st_size > 5000 for name in PICTURES)
    result = json.loads((run / "result.json").read_text())
    last = [
        line
        for line in common.training.read_metrics(run / "metrics.jsonl")
        if line["kind"] == "evaluation"
    ][-1]
    assert result["scores"]["test_accuracy"] == pytest.approx(last["accuracy"])
    assert (
        result["counts"]["test_digits"] == 12
        and result["counts"]["epochs"] == 2
        and last["step"] == 6
    )

    assert (
        call(monkeypatch, "--resume", run, "--epochs", "3", "--data-dir", tmp_path, "--quiet") == 0
    )
    assert json.loads((run / "result.json").read_text())["counts"]["epochs"] == 3

    Image.fromarray(np.zeros((28, 28), np.uint8)).save(image)
    capsys.readouterr()
    assert call(monkeypatch, "--predict", run, image) == 0
    assert capsys.readouterr().out.count(":") == 3
    Image.fromarray(np.zeros((20, 28), np.uint8)).save(image)
    assert call(monkeypatch, "--predict", run, image) == 2
    assert "digit.png" in capsys.readouterr().err


def test_held_out_digits_choose_the_epoch_and_pixels_have_an_order():
    images = np.arange(784).reshape(1, 28, 28, 1) % 256
    rows = mnist_rows.sequences(images, mnist_rows.Config())
    np.testing.assert_allclose(rows[0] * 255, images[0, ..., 0], rtol=1e-6)
    pixels = mnist_rows.sequences(images, mnist_rows.Config(pixels=True))
    mixed = mnist_rows.sequences(images, mnist_rows.Config(permuted=True))
    assert pixels.shape == mixed.shape == (1, 784, 1) and (pixels != mixed).any()
    np.testing.assert_array_equal(np.sort(mixed[0, :, 0]), np.sort(pixels[0, :, 0]))


def test_validation_stops_early(tmp_path, monkeypatch):
    write_digits(tmp_path)
    options = (
        "--validation",
        "6",
        "--patience",
        "1",
        "--epochs",
        "40",
        "--learning-rate",
        "0",
        "--permuted",
    )
    monkeypatch.setattr(mnist_rows, "report", lambda run, model, params, test, every: run.history())
    assert (
        call(monkeypatch, *TINY, *options, "--data-dir", tmp_path, "--out", tmp_path / "run") == 0
    )
    lines = common.training.read_metrics(tmp_path / "run" / "metrics.jsonl")
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
        (("--predict", tmp_path, "x.png"), "no run folder"),
    ):
        out = () if words[0] == "--predict" else ("--out", tmp_path / "run")
        assert call(monkeypatch, *words, *out) == 2
        complaint = capsys.readouterr().err
        assert (
            complaint.startswith("error: ") and complaint.count("\n") == 1 and message in complaint
        )
        assert not (tmp_path / "run").exists()
