"""The gradient laboratory from its command line, on tiny settings."""

import functools
import json

import numpy as np
import pytest

from experiments import gradient_flow
from seqjax import training
from tests.experiments.running import run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

TINY = (
    "--hidden-size",
    4,
    "--length",
    12,
    "--seeds",
    2,
    "--steps",
    10,
    "--batch-size",
    2,
    "--quiet",
)
PICTURES = ("flow", "spectra", "gates", "gate_histograms", "gradient_histograms", "cliff")


call = functools.partial(run_page, gradient_flow)


def test_a_run_leaves_one_page_with_pictures_and_numbers(monkeypatch, tmp_path):
    out = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--out", out) == 0
    pictures = {path.stem for path in out.glob("*.png")}
    assert pictures == {*PICTURES, "clipping"}
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    assert 'src="http' not in page and "href" not in page
    for word in ("elman radius 1.5", "lstm bias 3", "residual stack", "adaptive", "Lyapunov"):
        assert word in page
    # Nothing was learnt that one could load.
    assert "seqjax.load" not in page and "Result (" not in page
    result = json.loads((out / "result.json").read_text())
    assert result["counts"] == {"seeds": 2, "steps": 10} and result["split"] is None
    slopes = [result["scores"][name] for name in ("slope_elman_0.8", "slope_lstm_bias_3")]
    assert np.log(0.8) * 1.5 < slopes[0] < np.log(0.8) * 0.8 < slopes[1]
    flow = json.loads((out / "flow.json").read_text())
    assert len(flow) == 9 and all(len(norms) == 12 for norms in flow.values())
    lines = training.read_metrics(out / "metrics.jsonl")
    kinds = ["none", "norm", "value", "adaptive"]
    for line, kind in zip(lines, kinds, strict=True):
        assert {f"{kind}/diverged", f"{kind}/converged", f"{kind}/median loss"} <= line.keys()


def test_the_help_offers_no_recipe(monkeypatch, capsys):
    assert call(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for option in ("--clip-ratio", "--batch-size", "--seed", "--out", "--backend"):
        assert option in shown
    for option in ("--weight-decay", "--patience", "--epochs", "--schedule"):
        assert option not in shown


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("--seeds", 0), "--seeds is 0"),
        (("--resume", "nowhere"), "--resume"),
        (("--clip", 0), "--clip is 0"),
        (("--batch", 2), "--batch"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path, words, complaint):
    assert call(monkeypatch, "--out", tmp_path / "run", *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and complaint in lines[0]
    assert not (tmp_path / "run").exists()
