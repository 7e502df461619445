"""Scores of outputs."""

import pytest

from seqjax import text


def test_a_word_counts_right_if_it_matches_any_pronunciation():
    known = [[["AH"], ["EY"]], [["B", "IY"]]]
    scores = text.EditRate().metrics([["EY"], ["B", "AH"]], known)
    assert scores == {"wer": 0.5, "per": pytest.approx(1 / 3)}
    assert text.EditRate().metrics([[]], [[["A"], ["B", "C"]]]) == {"wer": 1.0, "per": 1.0}


def test_bleu_takes_several_references_and_its_error_falls_as_it_rises():
    outputs = ["a dog runs in the park", "a man"]
    references = [["the dog runs", "a dog runs in the park"], ["a man"]]
    scorer = text.Bleu()
    metrics = scorer.metrics(outputs, references)
    assert metrics == {"bleu": pytest.approx(100)}
    assert scorer.errors(metrics)["error"] == pytest.approx(0, abs=1e-9)
    assert scorer.errors({"bleu": 40.0}) == {"error": 0.6}
    assert set(scorer.report(outputs, references)) == {"bleu", "chrf"}
    assert "rouge_l" in text.Bleu(rouge=True).report(outputs, references)
    assert "tok:13a" in scorer.signature(outputs, references)


def test_exact_answers_are_counted():
    scorer = text.Exact()
    metrics = scorer.metrics(["ab", "c", "d"], [["ab"], ["d", "e"], ["x", "d"]])
    assert metrics == {"exact": pytest.approx(2 / 3)}
    assert scorer.errors(metrics) == {"error": pytest.approx(1 / 3)}
