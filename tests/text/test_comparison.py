"""Runs of translators beside each other."""

import json

import pytest

from seqjax import text


def test_runs_are_drawn_with_their_scores_by_length(tmp_path):
    for name, output in (("good", "a small dog runs"), ("bad", "no")):
        folder = tmp_path / name
        folder.mkdir()
        rows = [f"{'wort ' * size}\t{output}\ta small dog runs\tanother\n" for size in (1, 2, 3, 9)]
        (folder / "predictions.tsv").write_text("".join(rows))
        lines = [
            {"kind": "step", "step": 1, "loss": 2.0, "seconds": 0.0},
            {"kind": "evaluation", "step": 1, "nats": 2.0, "bleu": 3.0, "seconds": 0.0},
        ]
        log = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "metrics.jsonl").write_text(log)
    runs = {"good": tmp_path / "good", "bad": tmp_path / "bad"}
    lengths = text.compare_runs(runs, tmp_path / "seen")
    words, scores = lengths["good"]
    assert words == [1, 2, 3, 9] and scores == pytest.approx([100] * 4)
    assert lengths["bad"][1] == [0.0] * 4
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [
        "curves.png",
        "lengths.png",
    ]
    with pytest.raises(ValueError, match="no such file"):
        text.compare_runs({"none": tmp_path}, tmp_path / "seen")
