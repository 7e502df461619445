"""Series to classes from the command line, on tiny settings."""

import functools
import json

import numpy as np
import pytest

from experiments import classify_series
from tests.datasets.data_files import write
from tests.experiments.running import run_page

TINY = (
    *("--hidden-size", "4", "--layers", "1", "--dropout", "0", "--noise", "0", "--batch-size", "8"),
    *("--steps", "30", "--every", "15", "--learning-rate", "0.1", "--average", "0.5", "--quiet"),
)

pytestmark = pytest.mark.usefixtures("quick_compile")

call = functools.partial(run_page, classify_series)


def rising_and_falling(count):
    lines = []
    for row in range(count):
        length = 3 + row % 4
        values = range(length) if row % 2 else range(length, 0, -1)
        channel = ",".join(map(str, values))
        lines.append(f"{channel}:{channel}:{'up' if row % 2 else 'down'}")
    return "@classLabel true up down\n@data\n" + "\n".join(lines) + "\n"


def test_series_are_learnt_scored_and_named(tmp_path, monkeypatch, capsys):
    train = write(tmp_path / "a_TRAIN.ts", rising_and_falling(20))
    test = write(tmp_path / "a_TEST.ts", rising_and_falling(6))
    run = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--train", train, "--test", test, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["split"] == "test" and result["counts"]["sequences"] == 6
    assert result["scores"]["accuracy"] == 1
    capsys.readouterr()
    assert call(monkeypatch, "predict", run, test) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["down", "up"] * 3

    held = ("--hold-out", "0.2", "--out", tmp_path / "held")
    assert call(monkeypatch, *TINY, "--train", train, "--test", test, *held) == 0
    result = json.loads((tmp_path / "held" / "result.json").read_text())
    assert result["split"] == "validation" and result["counts"]["sequences"] == 4


def test_each_class_gives_its_share():
    values = [np.zeros((1, 1))] * 12
    labels = ["a"] * 8 + ["b"] * 4
    (kept, _), (out, held) = classify_series.hold_out(values, labels, 0.25)
    assert len(kept) == 9 and len(out) == 3 and held == ["a", "a", "b"]


def test_mistakes(monkeypatch, capsys, tiny):
    for words, message in (
        (("--train", "a.ts"), "--train and --test go together; give both files"),
        (("--train", "a.ts", "--test", "b.ts"), "a.ts: no such file"),
        (
            ("--data-dir", tiny, "--hold-out", "0.1"),
            "--hold-out 0.1 holds out no series; give more",
        ),
    ):
        assert call(monkeypatch, *words) == 2
        assert message in capsys.readouterr().err
