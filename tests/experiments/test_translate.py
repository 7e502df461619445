"""Translation from the command line, on tiny settings."""

import io
import json
import sys

import pytest

from experiments import common, translate

TINY = (
    "--tokens",
    "words",
    "--embedding-size",
    "8",
    "--batch",
    "60",
    "--steps",
    "6",
    "--every",
    "3",
    "--average",
    "0.5",
    "--beam",
    "2",
    "--quiet",
)
PAIRS = [
    ("ein Hund", "a dog"),
    ("zwei Hunde .", "two dogs ."),
    ("ein Mann", "a man"),
    ("Ulm", "Ulm"),
]

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(autouse=True)
def few_shapes(monkeypatch):
    monkeypatch.setattr(translate, "BUCKETS", 1)
    monkeypatch.setattr(translate, "WIDTHS", (2,))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "x.de").write_text("".join(f"{source}\n" for source, _ in PAIRS))
    (tmp_path / "x.en").write_text("".join(f"{target}\n" for _, target in PAIRS))
    (tmp_path / "x.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    table = tmp_path / "x.tsv"
    return "--train", f"{tmp_path}/x.de,{tmp_path}/x.en", "--dev", table, "--test", table


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["translate", *map(str, words)])
    verbs = {
        "translate": common.Verb(translate.translate, translate.Translate, "translate"),
        "compare": common.Verb(translate.compare, translate.Compare, "compare", "RUN..."),
    }
    try:
        common.launch(translate.Config, translate.main, translate.__doc__, verbs)
    except SystemExit as stop:
        return stop.code
    return 0


def test_pairs_are_learnt_scored_translated_and_compared(tmp_path, monkeypatch, capsys, files):
    run = tmp_path / "run"
    options = (
        "--copy",
        "--coverage",
        "1",
        "--label-smoothing",
        "0",
        "--vocab-size",
        "9",
        "--longest",
        "3",
    )
    assert call(monkeypatch, *TINY, *files, *options, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    assert result["counts"]["left_out"] == 1 and result["counts"]["test_pairs"] == 4
    assert {"bleu", "greedy_bleu", "chrf", "rouge_l", "beam_seconds"} <= set(result["scores"])
    rows = [line.split("\t") for line in (run / "predictions.tsv").read_text().splitlines()]
    assert [(source, target) for source, _, target in rows] == PAIRS
    assert all((run / f"{name}.png").exists() for name in ("loss", "attention", "beams"))
    assert (
        "tok:13a" in (run / "signature.txt").read_text() and "tok:13a" in result["bleu_signature"]
    )

    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO("ein Hund\n\nzwei Männe\n"))
    assert call(monkeypatch, "--translate", run, "--n-best", "2") == 0
    out, err = capsys.readouterr()
    lines = out.split("\n")
    assert (
        len(lines) == 6
        and lines[2] == ""
        and [line.count("\t") for line in lines] == [1, 1, 0, 1, 1, 0]
    )
    assert err.startswith("warning: characters that no training pair has: ä\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("ein\fHund\u2028ein\nzwei\x85\n"))
    assert call(monkeypatch, "--translate", run) == 0 and capsys.readouterr().out.count("\n") == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("ein\nHund \udcff\n"))
    assert call(monkeypatch, "--translate", run) == 2
    assert "standard input, line 2: not UTF-8" in capsys.readouterr().err

    assert call(monkeypatch, "--compare", run, "--output", tmp_path / "seen") == 0
    assert capsys.readouterr().out.startswith("copy, coverage 1.0, embedding_size 8: ")
    assert all((tmp_path / "seen" / f"{name}.png").exists() for name in ("lengths", "curves"))


def test_of_equal_bleu_the_likelier_step_is_kept(tmp_path, monkeypatch):
    scored = translate.bleu
    monkeypatch.setattr(translate, "bleu", lambda *sides: (0.0, scored(*sides)[1]))
    table, run = tmp_path / "x.tsv", tmp_path / "run"
    table.write_text(
        "".join(f"{digit}\t{sign}\n" for digit, sign in zip("1234", "一二三四", strict=True))
    )
    files = ("--train", table, "--dev", table, "--test", table, "--learning-rate", "0.05")
    assert call(monkeypatch, *TINY, *files, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first, second = (line for line in lines if line["kind"] == "evaluation")
    assert first["error"] == second["error"] and first["nats"] > second["nats"]
    assert result["counts"]["best_step"] == second["step"] and "tok:zh" in result["bleu_signature"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--copy",), "--copy wants attention"),
        (("--sampling", "1.5"), "1.5"),
        (("--no-attention", "--form", "bahdanau"), "bahdanau"),
        (("--no-attention", "--coverage", "1"), "coverage"),
        (("--form", "bahdanau", "--input-feeding"), "input_feeding goes with 'luong'"),
        (("--embedding-size", "7"), "--embedding-size is 7"),
        (("--longest", "0"), "--longest is 0"),
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
