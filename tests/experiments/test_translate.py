"""Translation from the command line, on tiny settings."""

import functools
import io
import json
import sys

import pytest

import seqjax
from experiments import translate
from seqjax.text import scorers
from tests.experiments.running import run_page

TINY = (
    *("--tokens", "words", "--embedding-size", "8", "--batch-size", "60", "--steps", "6"),
    *("--every", "3", "--average", "0.5", "--beam", "2", "--quiet"),
)
PAIRS = [
    ("ein Hund", "a dog"),
    ("zwei Hunde .", "two dogs ."),
    ("ein Mann", "a man"),
    ("Ulm", "Ulm"),
]

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(autouse=True)
def one_width(monkeypatch):
    monkeypatch.setattr(translate, "WIDTHS", (2,))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "x.de").write_text("".join(f"{source}\n" for source, _ in PAIRS))
    (tmp_path / "x.en").write_text("".join(f"{target}\n" for _, target in PAIRS))
    (tmp_path / "x.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    table = tmp_path / "x.tsv"
    return "--train", f"{tmp_path}/x.de,{tmp_path}/x.en", "--dev", table, "--test", table


call = functools.partial(run_page, translate)


def test_pairs_are_learnt_scored_translated_and_compared(tmp_path, monkeypatch, capsys, files):
    run = tmp_path / "run"
    options = (
        *("--copy", "--coverage", "1", "--label-smoothing", "0"),
        *("--vocab-size", "9", "--max-training-length", "3"),
    )
    assert call(monkeypatch, *TINY, *files, *options, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["counts"]["left_out"] == 1 and result["counts"]["test_pairs"] == 4
    assert {"bleu", "greedy_bleu", "chrf", "rouge_l", "beam_seconds"} <= set(result["scores"])
    assert result["split"] == "test"
    rows = [line.split("\t") for line in (run / "predictions.tsv").read_text().splitlines()]
    assert [(source, target) for source, _, target in rows] == PAIRS
    assert all((run / f"{name}.png").exists() for name in ("loss", "attention", "beams"))
    assert "tok:13a" in (run / "signature.txt").read_text()
    assert (run / "index.html").read_text().count("<img") == 3

    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO("ein Hund\n\nzwei Männe\n"))
    assert call(monkeypatch, "translate", run, "--n-best", "2") == 0
    out, err = capsys.readouterr()
    lines = out.split("\n")
    assert len(lines) == 6 and lines[2] == ""
    assert [line.count("\t") for line in lines] == [1, 1, 0, 1, 1, 0]
    assert err.startswith("warning: characters that no training pair has: ä\n")
    (best,) = seqjax.load(run).predict(["ein Hund"])
    assert lines[0].split("\t")[0] == best
    monkeypatch.setattr(sys, "stdin", io.StringIO("ein\fHund\u2028ein\nzwei\x85\n"))
    assert call(monkeypatch, "translate", run) == 0 and capsys.readouterr().out.count("\n") == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("ein\nHund \udcff\n"))
    assert call(monkeypatch, "translate", run) == 2
    assert "standard input, line 2: not UTF-8" in capsys.readouterr().err

    assert call(monkeypatch, "compare", run, run, "--output", tmp_path / "seen") == 0
    one, other = capsys.readouterr().out.splitlines()
    assert one.startswith("copy, coverage 1.0, embedding_size 8: ")
    assert other.startswith(f"copy, coverage 1.0, embedding_size 8 ({run}): ")
    assert all((tmp_path / "seen" / f"{name}.png").exists() for name in ("lengths", "curves"))


def test_of_equal_bleu_the_likelier_step_is_kept(tmp_path, monkeypatch):
    scored = scorers.bleu
    monkeypatch.setattr(scorers, "bleu", lambda *sides: (0.0, scored(*sides)[1]))
    table, run = tmp_path / "x.tsv", tmp_path / "run"
    table.write_text(
        "".join(f"{digit}\t{sign}\n" for digit, sign in zip("1234", "一二三四", strict=True))
    )
    files = ("--train", table, "--dev", table, "--test", table, "--learning-rate", "0.05")
    assert call(monkeypatch, *TINY, *files, "--sampling", "0.5", "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first, second = (line for line in lines if line["kind"] == "evaluation")
    assert first["error"] == second["error"] and first["nats"] > second["nats"]
    assert result["counts"]["best_step"] == second["step"]
    assert "tok:zh" in (run / "signature.txt").read_text()
    assert seqjax.load(run).task.network.sampling.steps == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--copy",), "copying wants label_smoothing=0"),
        (("--copy", "--tokens", "bpe"), "copying wants --tokens words"),
        (("--copy", "--label-smoothing", "0", "--no-attention"), "copying wants attention"),
        (("--sampling", "1.5"), "1.5"),
        (("--no-attention", "--form", "bahdanau"), "bahdanau"),
        (("--no-attention", "--coverage", "1"), "coverage"),
        (("--form", "bahdanau", "--input-feeding"), "input_feeding goes with 'luong'"),
        (("--embedding-size", "7"), "--embedding-size is 7"),
        (("--max-training-length", "0"), "--max-training-length is 0"),
        (("--max-training-length", "1"), "all are longer than max_training_length=1"),
        (("--test", "missing.tsv"), "missing.tsv: no such file"),
        (("--source", "en"), "both en"),
    ],
)
def test_mistakes_end_with_code_2_before_training(
    tmp_path, monkeypatch, capsys, files, options, message
):
    given = () if options[0] == "--source" else files
    assert call(monkeypatch, *given, "--tokens", "words", *options, "--out", tmp_path / "run") == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1 and message in complaint
    assert not (tmp_path / "run").exists()


def test_misaligned_files_are_named_with_both_counts(tmp_path, monkeypatch, capsys, files):
    (tmp_path / "x.en").write_text("a dog\n")
    assert call(monkeypatch, *files, "--out", tmp_path / "run") == 2
    complaint = capsys.readouterr().err
    assert "x.de has 4" in complaint and "x.en has 1" in complaint
