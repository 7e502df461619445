"""Scores of texts, and their lines."""

import pytest

from seqjax.metrics.texts import bleu, bleu_by_length, plot_lines, text_scores, tokenisation_of
from tests.scripts import SPACED, UNSPACED

REFERENCES = [
    "the cat sat on the mat today",
    "a dog runs over the wide green lawn",
    "two men talk in the old town",
]


def test_bleu_is_the_geometric_mean_of_matches_times_a_penalty():
    written = ["the cat sat on a mat today"]
    # Of 7 words 6 match, of 6 pairs 4, of 5 triples 2, of 4 quadruples 1; the lengths are equal.
    wanted = 100 * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25
    score, signature = bleu(written, REFERENCES[:1])
    assert score == pytest.approx(wanted, rel=1e-6) and "tok:13a" in signature


def test_rouge_counts_common_runs():
    scores = text_scores(["the cat sat"], ["the cat ran"], rouge=True)
    assert scores["rouge_1"] == pytest.approx(100 * 2 / 3) and scores["rouge_2"] == pytest.approx(
        50
    )
    assert scores["rouge_l"] == pytest.approx(100 * 2 / 3)
    assert set(text_scores(REFERENCES, REFERENCES)) == {"bleu", "chrf"}
    assert text_scores(REFERENCES, REFERENCES)["chrf"] == pytest.approx(100)


def test_of_several_references_the_likest_counts():
    references = [["a cat", "the dog ran home today"], "two men talk in the old town", ["x"]]
    written = ["the dog ran home today", "two men talk in the old town", "x"]
    scores = text_scores(written, references, rouge=True)
    assert scores == pytest.approx(
        dict.fromkeys(("bleu", "chrf", "rouge_1", "rouge_2", "rouge_l"), 100)
    )
    assert bleu(written, references)[0] > 50 + bleu(written, [["a cat"], *references[1:]])[0] / 2


@pytest.mark.parametrize("text", [*SPACED.values(), *UNSPACED.values(), "🙂", "hi", "三", "ne"])
def test_the_right_text_scores_100_in_every_script(text):
    scores = text_scores([text, "x"], [[text], ["y", "x"]], rouge=True)
    assert scores == pytest.approx(dict.fromkeys(scores, 100)) and len(scores) == 5
    wrong = text_scores([text[::-1] + "z"], [text], rouge=True)
    assert all(score < 100 for score in wrong.values())


@pytest.mark.parametrize(
    ("written", "reference", "tokenisation"),
    [("三一四二", "三一四五", "zh"), ("にいごさ", "にいごし", "char"), ("กขคง", "กขคจ", "char")],
)
def test_texts_without_blanks_are_scored_by_character(written, reference, tokenisation):
    assert tokenisation_of([reference, "x"]) == tokenisation
    score, signature = bleu([written], [reference])
    # Of 4 characters 3 match, of 3 pairs 2, of 2 triples 1, of the one quadruple none, which counts
    # as half.
    assert score == pytest.approx(100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)
    assert f"tok:{tokenisation}" in signature and "eff:no" in signature
    scores = text_scores([written], [reference], rouge=True)
    assert scores["rouge_1"] == pytest.approx(75) and scores["rouge_2"] == pytest.approx(
        100 * 2 / 3
    )


def test_short_answers_are_scored_by_the_ngrams_that_they_have():
    references = ["one two", "three", "four five six"]
    score, signature = bleu(references, references)
    assert score == pytest.approx(100) and "eff:yes" in signature
    half = bleu(["one two", "four", "four five six"], references)[0]
    # Of 6 words 5 match, of 3 pairs 3, of 1 triple 1.
    assert half == pytest.approx(100 * (5 / 6) ** (1 / 3))
    assert "eff:no" in bleu(references, [*references[:2], "four five six seven"])[1]


def test_groups_go_from_short_sources_to_long_ones():
    sources = ["a b c d", "a", "a b", "a b c"]
    written = [REFERENCES[0], "nothing alike here at all", REFERENCES[1], REFERENCES[2]]
    words, scores = bleu_by_length(
        sources, written, [REFERENCES[0], REFERENCES[0], *REFERENCES[1:]], groups=2
    )
    assert words == [1.5, 3.5] and scores[1] == pytest.approx(100) and scores[0] < 80


def test_characters_are_the_words_of_sources_without_blanks():
    sources, texts = (
        ["三一四五", "三", "三一", "三一四"],
        ["一只狗在跑", "一只狗在跑", "x", "一只狗在跑"],
    )
    words, scores = bleu_by_length(sources, texts, texts, groups=2)
    assert words == [1.5, 3.5] and scores == pytest.approx([100, 100])


def test_lines_are_drawn_under_their_labels():
    figure = plot_lines(
        {"bleu": {"a": ([1, 2], [3, 4]), "b": ([1, 2], [5, 6])}, "seconds": {"a": ([1], [2])}},
        "beam",
    )
    left, right = figure.axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[3, 4], [5, 6]]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    assert [float(tick) for tick in left.get_xticks() if 1 <= tick <= 2] == [1, 2]
    assert left.get_xlabel() == "beam" and right.get_ylabel() == "seconds"
