"""Scores of texts, and their lines."""

import pytest

from seqjax.diagnostics.texts import bleu, bleu_by_length, plot_lines, text_scores

REFERENCES = ["the cat sat on the mat today", "a dog runs over the wide green lawn", "two men talk in the old town"]


def test_bleu_is_the_geometric_mean_of_matches_times_a_penalty():
    written = ["the cat sat on a mat today"]
    # Of 7 words 6 match, of 6 pairs 4, of 5 triples 2, of 4 quadruples 1; the lengths are equal.
    wanted = 100 * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25
    score, signature = bleu(written, REFERENCES[:1])
    assert score == pytest.approx(wanted, rel=1e-6) and "tok:13a" in signature


def test_rouge_counts_common_runs():
    scores = text_scores(["the cat sat"], ["the cat ran"], rouge=True)
    assert scores["rouge_1"] == pytest.approx(100 * 2 / 3) and scores["rouge_2"] == pytest.approx(50)
    assert scores["rouge_l"] == pytest.approx(100 * 2 / 3)
    assert set(text_scores(REFERENCES, REFERENCES)) == {"bleu", "chrf"}
    assert text_scores(REFERENCES, REFERENCES)["chrf"] == pytest.approx(100)


def test_of_several_references_the_likest_counts():
    references = [["a cat", "the dog ran home today"], "two men talk in the old town", ["x"]]
    written = ["the dog ran home today", "two men talk in the old town", "x"]
    scores = text_scores(written, references, rouge=True)
    assert {name: round(score) for name, score in scores.items()} == dict.fromkeys(
        ("bleu", "chrf", "rouge_1", "rouge_2", "rouge_l"), 100
    ) | {"rouge_2": 67}  # one word makes no pair
    assert bleu(written, references)[0] > 50 + bleu(written, [["a cat"], *references[1:]])[0] / 2


def test_groups_go_from_short_sources_to_long_ones():
    sources = ["a b c d", "a", "a b", "a b c"]
    written = [REFERENCES[0], "nothing alike here at all", REFERENCES[1], REFERENCES[2]]
    words, scores = bleu_by_length(sources, written, [REFERENCES[0], REFERENCES[0], *REFERENCES[1:]], groups=2)
    assert words == [1.5, 3.5] and scores[1] == pytest.approx(100) and scores[0] < 80


def test_lines_are_drawn_under_their_labels():
    figure = plot_lines({"bleu": {"a": ([1, 2], [3, 4]), "b": ([1, 2], [5, 6])}, "seconds": {"a": ([1], [2])}}, "beam")
    left, right = figure.axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[3, 4], [5, 6]]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a", "b"] and right.get_legend() is None
    assert left.get_xlabel() == "beam" and right.get_ylabel() == "seconds"
