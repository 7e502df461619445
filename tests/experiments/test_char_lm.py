"""The character language model from its command line, on tiny settings."""

import functools
import json
import os

import jax
import numpy as np
import pytest

import seqjax
from experiments import char_lm
from seqjax import datasets, training
from tests.experiments.running import run_in_two, run_page

pytestmark = pytest.mark.usefixtures("quick_compile")

TINY = (
    *("--hidden-size", "8", "--embedding-size", "4", "--batch-size", "4"),
    *("--window", "20", "--every", "10", "--quiet"),
)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog. " * 40)
    return path


call = functools.partial(run_page, char_lm)


def test_a_run_leaves_its_folder_writes_text_and_scores_one(monkeypatch, capsys, text, tmp_path):
    out = tmp_path / "run"
    assert call(monkeypatch, "--text", text, *TINY, "--steps", 20, "--out", out) == 0
    names = {"config.json", "metrics.jsonl", "loss.png", "context.png", "samples.txt", "model"}
    assert names | {"result.json", "index.html"} <= {path.name for path in out.iterdir()}
    result = json.loads((out / "result.json").read_text())
    scores = result["scores"]
    assert scores["bits_per_character"] == pytest.approx(scores["nats"] / np.log(2))
    assert result["split"] == "validation" and result["counts"]["characters"] == 180
    lines = training.read_metrics(out / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "evaluation"] == [10, 20]
    assert json.loads((out / "config.json").read_text())["data"]["origin"] == str(text)

    capsys.readouterr()
    options = ("--prompt", "the ", "--max-length", 30, "--temperature", 0)
    assert call(monkeypatch, "generate", out, *options) == 0
    written = capsys.readouterr().out
    assert written.startswith("the ") and len(written) == len("the ") + 30 + 1
    assert call(monkeypatch, "generate", out, "--max-length", 9) == 0
    assert len(capsys.readouterr().out) == 9 + 1
    other = tmp_path / "other.txt"
    other.write_text("over the dog")
    assert call(monkeypatch, "evaluate", out, other) == 0
    expected = seqjax.load(out).evaluate("over the dog")
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {"_".join(words[:-1]): float(words[-1]) for words in told} == pytest.approx(
        expected, abs=1e-4
    )

    for words, message in (
        (("generate", out, "--prompt", "Ω"), "'Ω'"),
        (("generate", out, "--prompt", ""), "prompt 0 is empty"),
        (("generate", out, "--top-p", "2"), "top_p is 2.0"),
        (("evaluate", out, tmp_path / "none.txt"), "none.txt: no such file"),
        (("--resume", out, "--hidden-size", 16), "cannot change"),
    ):
        assert call(monkeypatch, *words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    text.write_text("another text, as long as a window wants it to be. " * 40)
    assert call(monkeypatch, "--resume", out, "--steps", 40) == 2
    assert "another fingerprint" in capsys.readouterr().err
    (out / "model" / "weights.safetensors").write_bytes(b"no weights")
    assert call(monkeypatch, "generate", out) == 2
    error = capsys.readouterr().err
    assert "weights.safetensors: no safetensors file, or a damaged one" in error


@pytest.mark.parametrize("options", [(), ("--tokens", "words", "--window", "5", "--carried")])
def test_resume_goes_on_bit_for_bit(monkeypatch, text, tmp_path, options):
    """A run that was over and is given more steps, and one that a signal has stopped."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = ("--text", text, *TINY, *options, "--steps")
    assert call(monkeypatch, *words, 15, "--out", whole) == 0
    if options:
        run_in_two(char_lm, monkeypatch, 10, *words, 15, "--out", parts)
    else:
        assert call(monkeypatch, *words, 10, "--out", parts) == 0
        assert call(monkeypatch, "--resume", parts, "--steps", 15, "--quiet") == 0
    expected, found = seqjax.load(whole), seqjax.load(parts)
    assert expected.task == found.task
    jax.tree.map(np.testing.assert_array_equal, expected.params, found.params)
    assert expected.task.carried == bool(options)


def test_subwords_are_learnt(text, tmp_path):
    config = char_lm.Config(
        text=str(text),
        tokens="subwords",
        vocab_size=300,
        hidden_size=8,
        layers=1,
        window=5,
        steps=1,
        out=str(tmp_path / "run"),
        quiet=True,
    )
    result = char_lm.main(config)
    assert result["counts"]["tokens"] < result["counts"]["characters"] == 180
    assert 256 < len(seqjax.load(tmp_path / "run").task.codec) <= 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--text", "missing.txt"), "missing.txt: no such file"),
        (("--text", "empty.txt"), "empty.txt: empty"),
        (("--text", "zeros.txt"), "binary"),
        (("--text", "latin.txt"), "not UTF-8"),
        (("--text", "short.txt"), "9 characters; give at least 20"),
        (("--text", "brief.txt"), "a window of 100"),
        (("--text", "good.txt", "--tokens", "words", "--window", "999"), "a window of 999"),
        (("--batch-size", "0"), "--batch-size is 0"),
        (("--hidden-size", "-1"), "--hidden-size is -1"),
        (("--dropout", "1"), "--dropout is 1.0"),
        (("--cell", "transformer"), "invalid choice"),
        (("--resume", "nowhere"), "no run folder"),
        (("generate", "nowhere"), "nowhere holds no model"),
        (("--prompt", "a"), "unrecognized arguments: --prompt a"),
        (("--text", "good.txt", "--out", "taken"), "holds a run already"),
        (("--text", "good.txt", "--out", "empty.txt/run"), "empty.txt/run"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    monkeypatch, capsys, text, tmp_path, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "zeros.txt").write_bytes(b"abc\0" * 100)
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1") * 500)
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "brief.txt").write_text("not as short, and still too short")
    os.rename(text, tmp_path / "good.txt")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert call(monkeypatch, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_without_a_network_the_first_command_learns_pydoc_topics(monkeypatch, capsys):
    def nothing(name, split, data_dir):
        if name == "tiny_shakespeare":
            raise datasets.DataUnavailable("tiny_shakespeare was not found: no network")
        return real(name, split, data_dir)

    real = datasets.load
    monkeypatch.setattr(datasets, "load", nothing)
    corpus = char_lm.read_or_load(char_lm.Config())
    assert len(corpus.train) > 9 * len(corpus.validation) - 100 > 100_000
    assert "no network" in capsys.readouterr().err and corpus.origin
