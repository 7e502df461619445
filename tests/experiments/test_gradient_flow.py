"""The gradient laboratory from its command line, on tiny settings."""

import json
import sys

import numpy as np
import pytest

from experiments import common, gradient_flow
from seqjax import training

pytestmark = pytest.mark.usefixtures("quick_compile")

TINY = ("--hidden-size", 4, "--length", 12, "--seeds", 2, "--steps", 10, "--batch", 2, "--quiet")


def call(monkeypatch, *words):
    """Runs the command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["gradient_flow", *map(str, words)])
    try:
        common.launch(gradient_flow.Config, gradient_flow.main, gradient_flow.__doc__)
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_run_leaves_one_page_with_pictures_and_numbers(monkeypatch, tmp_path):
    out = tmp_path / "run"
    assert call(monkeypatch, *TINY, "--out", out) == 0
    pictures = {path.name for path in out.glob("*.png")}
    assert {"flow.png", "spectra.png", "gates.png", "cliff.png", "clipping.png"} <= pictures
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    assert 'src="http' not in page and "href" not in page
    for word in ("elman radius 1.5", "lstm bias 3", "residual stack", "adaptive", "Lyapunov"):
        assert word in page
    result = json.loads((out / "result.json").read_text())
    assert result["counts"]["seeds"] == 2
    slopes = [result["scores"][name] for name in ("slope_elman_0.8", "slope_lstm_bias_3")]
    assert np.log(0.8) * 1.5 < slopes[0] < np.log(0.8) * 0.8 < slopes[1]
    assert training.read_metrics(out / "metrics.jsonl")
    cures = {row["clipping"]: row for row in json.loads((out / "clipping.json").read_text())}
    assert list(cures) == ["none", "norm", "value", "adaptive"]


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("--seeds", 0), "--seeds is 0"),
        (("--resume", "nowhere"), "--resume"),
        (("--clip", 0), "--clip is 0"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path, words, complaint):
    assert call(monkeypatch, "--out", tmp_path / "run", *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and complaint in lines[0]
    assert not (tmp_path / "run").exists()


def test_the_verdicts():
    """Four seeds: one that learns, one that stays at the baseline, one that ends above it, one that met a NaN."""
    last = np.array([0.01, 0.3, 0.5, 0.01])
    history = {
        "loss": np.concatenate([np.full((9, 4), 1.0), last[None]]),
        "gradient_norm": np.ones((10, 4)),
        "clipped": np.zeros((10, 4)),
        "finite": np.ones((10, 4)),
    }
    history["finite"][2, 3] = 0
    history["gradient_norm"][2, 3] = np.nan
    verdict = gradient_flow.judge(history)
    assert (verdict["diverged"], verdict["converged"], verdict["steps not finite"]) == (2, 1, 1)
    assert verdict["largest norm"] == 1


def test_the_cliff_is_where_arithmetic_puts_it():
    """The state stays at 0.5 where tanh(w / 2 + b) = 0.5; a hair below it falls to the other fixed point."""
    w = 2.0
    b = np.arctanh(0.5) - w / 2
    above, below = (
        float(gradient_flow.cliff_loss(gradient_flow.one_unit(w, b + d))) for d in (0.05, -0.05)
    )
    assert above < 0.3 and below > 1.5
