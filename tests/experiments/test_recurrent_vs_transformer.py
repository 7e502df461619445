"""The comparison with a Transformer from its command line, on tiny settings."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import common
from experiments import recurrent_vs_transformer as versus

pytestmark = pytest.mark.usefixtures("quick_compile")


def call(monkeypatch, *words):
    """Runs the command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["recurrent_vs_transformer", *map(str, words)])
    try:
        common.launch(versus.Config, versus.main, versus.__doc__)
    except SystemExit as stop:
        return stop.code
    return 0


def test_a_run_leaves_a_table_and_four_plots(monkeypatch, tmp_path):
    out = tmp_path / "run"
    for name, value in {
        "EMBEDDING": 16,
        "LAYERS": 1,
        "TIMED_TOKENS": 2,
        "STREAMED_TOKENS": 4,
        "VALIDATIONS": 1,
    }.items():
        monkeypatch.setattr(versus, name, value)
    monkeypatch.setattr(versus, "STREAMED_CONTEXT", 16)
    monkeypatch.setattr(versus, "HIDDEN", range(8, 33, 4))
    words = ("--corpus", "pydoc_topics", "--seconds", 0.01, "--window", 8, "--batch", 2, "--quiet")
    assert call(monkeypatch, *words, "--longest", 256, "--longest-training", 128, "--out", out) == 0
    assert (out / "trade.png").read_bytes().startswith(b"\x89PNG")
    table = (out / "table.md").read_text()
    assert [line.split()[1] for line in table.splitlines()[2:]] == [
        "transformer",
        "lstm",
        "gru",
        "lru",
    ]
    measured = json.loads((out / "measurements.json").read_text())
    assert measured["contexts"] == [128, 256]
    remembered = {
        name: [size for _, size in points] for name, points in measured["generation"].items()
    }
    assert remembered["transformer"][1] == pytest.approx(2 * remembered["transformer"][0], rel=0.01)
    assert remembered["lstm"] == [2 * 4 * measured["hidden"]["lstm"]] * 2
    assert 'lstm remat="sqrt"' in measured["training_bytes"]
    scores = json.loads((out / "result.json").read_text())["scores"]
    assert all(np.isfinite(value) for value in scores.values())


def test_contenders_have_as_many_parameters():
    models = versus.contenders(65, versus.Config())
    counts = {n: versus.count(jax.eval_shape(m.init, jax.random.key(0))) for n, m in models.items()}
    for name, parameters in counts.items():
        assert parameters == pytest.approx(counts["transformer"], rel=0.02), name
        if name != "transformer":
            assert parameters == versus.size_of(models[name])


def test_attention_needs_quadratic_memory_to_train_and_a_recurrence_linear():
    transformer, lstm = (
        versus.contenders(20, versus.Config())[name] for name in ("transformer", "lstm")
    )
    sparing = versus.with_remat({"lstm": lstm})['lstm remat="sqrt"']
    short, long = (
        {
            n: versus.training_memory(m, t)
            for n, m in (("t", transformer), ("l", lstm), ("s", sparing))
        }
        for t in (256, 1024)
    )
    assert long["t"] / short["t"] > 8
    assert long["l"] / short["l"] < 5
    assert long["s"] < long["l"]


def test_int8_rounds_matrices_and_counts_their_bytes():
    w = jnp.array([[1.27, -0.5], [0.634, 0.2]])
    np.testing.assert_allclose(versus.through_int8(w), [[1.27, -0.5], [0.63, 0.2008]], atol=2e-3)
    assert versus.int8_bytes(w) == 4 + 2 * 4
    b = jnp.array([0.123456, 2.0])
    np.testing.assert_array_equal(versus.through_int8(b), b)
    assert versus.int8_bytes(b) == 8


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("--seconds", 0), "--seconds is 0"),
        (("--longest", 64), "--longest is 64"),
        (("--data-dir", "no/such/folder"), "not a folder"),
        (("--resume", "nowhere"), "--resume"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, tmp_path, words, complaint):
    assert call(monkeypatch, "--out", tmp_path / "run", *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and complaint in lines[0]
    assert not (tmp_path / "run").exists()
