"""The comparison with a Transformer from its command line, on tiny settings."""

import functools
import json
import re

import numpy as np
import pytest

from experiments import recurrent_vs_transformer as versus
from seqjax import training
from seqjax.diagnostics import writers
from tests.experiments.running import run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = {
    "EMBEDDING": 16,
    "DEPTH": 1,
    "TIMED_TOKENS": 2,
    "STREAMED_TOKENS": 4,
    "STREAMED_CONTEXT": 16,
    "VALIDATIONS": 1,
    "HIDDEN": range(8, 33, 4),
}
WORDS = ("--corpus", "pydoc_topics", "--seconds", 0.01, "--window", 8, "--batch-size", 2, "--quiet")


call = functools.partial(run_page, versus)


def test_a_run_leaves_a_table_and_four_plots(monkeypatch, tmp_path):
    out = tmp_path / "run"
    for name, value in SMALL.items():
        monkeypatch.setattr(versus, name, value)
    words = (*WORDS, "--longest", 256, "--longest-training", 128)
    assert call(monkeypatch, *words, "--out", out) == 0
    assert (out / "trade.png").read_bytes().startswith(b"\x89PNG")
    models = ["transformer", "lstm", "gru", "lru", "mlstm"]
    table = (out / "table.md").read_text()
    assert [line.split()[1] for line in table.splitlines()[2:]] == models
    measured = json.loads((out / "measurements.json").read_text())
    assert measured["contexts"] == [128, 256] and measured["lengths"] == [128]
    remembered = {}
    for name, points in measured["generation"].items():
        remembered[name] = [size for _, size in points]
    assert remembered["transformer"][1] == pytest.approx(2 * remembered["transformer"][0], rel=0.01)
    units = int(re.search(r"LSTM\((\d+)\)", measured["layers"]["lstm"])[1])
    assert remembered["lstm"] == [2 * 4 * units] * 2
    assert {'lstm remat="sqrt"', 'gru remat="sqrt"'} < measured["training_bytes"].keys()
    result = json.loads((out / "result.json").read_text())
    assert all(np.isfinite(value) for value in result["scores"].values())
    assert result["seconds_each"] == 0.01
    lines = training.read_metrics(out / "metrics.jsonl")
    assert len(lines) == 5
    # Each of the five takes one step at least.
    taken = [line[f"{name}/steps"] for line, name in zip(lines, models, strict=True)]
    assert result["counts"]["steps"] == sum(taken) >= 5
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 1 and "step p99, ms" in page


def test_contenders_have_as_many_parameters():
    models = versus.contenders(65, versus.Config())
    counts = {name: writers.count_params(model) for name, model in models.items()}
    for name, parameters in counts.items():
        assert parameters == pytest.approx(counts["transformer"], rel=0.02), name


def test_attention_needs_quadratic_memory_to_train_and_a_recurrence_linear():
    models = versus.contenders(20, versus.Config())
    growth = {}
    for name in ("transformer", "lstm"):
        short, long = (writers.training_bytes(models[name], 4, time) for time in (256, 1024))
        growth[name] = long / short
    assert growth["transformer"] > 8 and growth["lstm"] < 5


def test_validation_is_spread_over_the_whole_text():
    batches = versus.validation_batches(np.arange(1001), window=5)
    assert [batch["inputs"].shape for batch in batches] == [(16, 5)] * 4
    firsts = np.concatenate([batch["inputs"][:, 0] for batch in batches])
    assert firsts[0] == 0 and firsts[-1] == 995 and (np.diff(firsts) >= 5).all()
    np.testing.assert_array_equal(batches[0]["targets"], batches[0]["inputs"] + 1)
    (few,) = versus.validation_batches(np.arange(16), window=5)
    assert few["inputs"].shape == (3, 5)


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("--seconds", 0), "--seconds is 0"),
        (("--longest", 64), "--longest is 64"),
        (("--data-dir", "no/such/folder"), "not a folder"),
        (("--resume", "nowhere"), "--resume"),
        (("--corpus", "pydoc_topics", "--window", 10**8), "window"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path, words, complaint):
    assert call(monkeypatch, "--out", tmp_path / "run", *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and complaint in lines[0]
    assert not (tmp_path / "run").exists()
