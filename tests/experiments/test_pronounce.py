"""Pronunciation from the command line, on a made-up dictionary."""

import functools
import itertools
import json

import pytest

import seqjax
from experiments import pronounce
from seqjax import text
from seqjax.data.splits import hash_splits
from seqjax.text.pairs import SHARES
from seqjax.training.folders import changed_settings
from seqjax.training.settings import INVOCATION
from tests.experiments.running import run_page

TINY = (
    *("--hidden-size", "16", "--embedding-size", "8", "--layers", "1", "--batch-size", "100"),
    *("--steps", "100", "--every", "50", "--average", "0.9", "--learning-rate", "0.03"),
    *("--dropout", "0", "--beam", "2", "--quiet"),
)
WORDS = [
    "".join(letters) for length in (2, 3, 4) for letters in itertools.product("abc", repeat=length)
]

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text(
        "".join(f"{word}\t{' '.join(word.upper() + '1' for word in word)}\n" for word in WORDS)
    )
    return path


call = functools.partial(run_page, pronounce)


def learn(monkeypatch, table, run, model, *options):
    """Trains a model on a table; returns the result that it leaves."""
    words = (*TINY, *options, "--model", model, "--table", table, "--out", run)
    assert call(monkeypatch, *words) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["scores"]["per"] < 0.25 and result["counts"]["steps"] == 100
    assert {"wer", "greedy_wer", "greedy_per"} <= set(result["scores"])
    assert all((run / f"{name}.png").exists() for name in ("loss", "attention"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if line["kind"] == "evaluation"]
    assert all({"wer", "per", "nats"} <= set(line) for line in evaluations)
    return result


def check_what_is_said(monkeypatch, capsys, run):
    """Lets a model say words, known letters and others."""
    capsys.readouterr()
    assert call(monkeypatch, "say", run, "ABC", "ca") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["ABC", "ca"]
    assert all(set(line.split("\t")[1].split()) <= {"A1", "B1", "C1"} for line in lines)
    assert call(monkeypatch, "say", run, "ca", "--n-best", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    shares = [float(line.split("\t")[2]) for line in lines]
    assert len(shares) == 2 and 1 >= shares[0] >= shares[1] >= 0
    assert call(monkeypatch, "say", run, "abz") == 2
    assert "'z' occurs in no training source" in capsys.readouterr().err


def test_letters_are_learnt_scored_and_said_by_frames(tmp_path, monkeypatch, capsys, table):
    run = tmp_path / "run"
    result = learn(monkeypatch, table, run, "ctc")
    assert sum(result["counts"][f"{split}_words"] for split in SHARES) == len(WORDS)
    check_what_is_said(monkeypatch, capsys, run)


def test_with_attention_rare_letters_and_sounds_of_held_out_words_are_counted(
    tmp_path, monkeypatch, capsys, table
):
    rare = [f"{word}é" for word in WORDS]
    splits = dict(zip(rare, hash_splits(rare, SHARES), strict=True))
    judged, tested = [
        next(word for word in rare if splits[word] == split) for split in ("validation", "test")
    ]
    sounds = " ".join(f"{letter.upper()}1" for letter in tested[:-1])
    with table.open("a") as file:
        file.write(f"{judged}\tA1 E2\n{tested}\t{sounds}\n")
    run = tmp_path / "run"
    result = learn(monkeypatch, table, run, "attention", "--no-quiet")
    out = capsys.readouterr().out
    assert f"test: 1 of 8 words have a letter that no training word has: 'é' ({tested})" in out
    assert f"have a sound that no training word has: 'E2' ({judged})" in out
    counts = result["counts"]
    assert sum(counts[f"{split}_words"] for split in SHARES) == len(WORDS) + 2
    assert counts["test_words_of_unknown_letters"] == 1
    assert counts["validation_words_of_unknown_sounds"] == 1
    check_what_is_said(monkeypatch, capsys, run)


def test_members_of_several_seeds_say_words_together(tmp_path, monkeypatch, capsys, table):
    run = tmp_path / "run"
    steps = ("--steps", "2", "--every", "2", "--members", "2", "--beam", "1")
    assert call(monkeypatch, *TINY, *steps, "--table", table, "--out", run) == 0
    network = seqjax.load(run).task.network
    assert network.members == 2 and isinstance(network.network, text.EncoderDecoder)
    assert {"steps": 2}.items() <= json.loads((run / "result.json").read_text())["counts"].items()
    assert call(monkeypatch, "say", run, "ca") == 0 and capsys.readouterr().out.startswith("ca\t")


def test_few_words_have_settings_of_their_own_which_options_go_over():
    few = pronounce.Config(corpus="sigmorphon2020", steps=7).settled()
    assert (few.model, few.steps, few.corpus) == ("ctc", 7, "sigmorphon2020")
    assert set(changed_settings(few, INVOCATION)) == {"--corpus sigmorphon2020", "--steps 7"}
    assert pronounce.Config().settled() == pronounce.Config()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("ab A B\n", "line 1"),
        ("ab\tA\ncd\t\n", "line 2"),
        ("", "leaves no word"),
        (
            "".join(f"{word}\t{'A B ' * 9}\n" for word in WORDS if len(word) < 4),
            "more symbols than frames",
        ),
    ],
)
def test_a_bad_table_ends_with_code_2(tmp_path, monkeypatch, capsys, table, lines, message):
    table.write_text(lines)
    assert call(monkeypatch, "--model", "ctc", "--table", table, "--out", tmp_path / "run") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "run").exists()
