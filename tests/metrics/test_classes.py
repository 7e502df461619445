"""Answers of a classifier beside the truth."""

import numpy as np
import pytest

from seqjax import metrics
from seqjax.metrics import classes

LOGITS = np.log(np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]], np.float32))


def test_scores_are_means_over_examples():
    marked = metrics.mark(LOGITS, np.array([3, 3, 8, 8]), (3, 8))
    assert marked.labels == [3, 3, 8, 8] and marked.predicted == [3, 8, 3, 8]
    assert marked.right.tolist() == [True, False, False, True] and marked.unknown == 0
    assert marked.metrics["accuracy"] == marked.metrics["error"] == 0.5
    nats = -np.log([0.7, 0.4, 0.1, 0.8]).mean()
    assert marked.metrics["nats"] == pytest.approx(nats, rel=1e-6)
    np.testing.assert_allclose(marked.probabilities, np.exp(LOGITS), rtol=1e-6)


def test_labels_that_are_no_class_are_wrong_and_cost_nothing():
    marked = metrics.mark(LOGITS, ["a", "c", "b", "d"], ("a", "b"))
    assert marked.unknown == 2 and marked.right.tolist() == [True, False, False, False]
    assert marked.metrics["nats"] == pytest.approx(-np.log([0.7, 0.1]).mean(), rel=1e-6)
    assert metrics.place(["b", "c", np.str_("a")], ("a", "b")).tolist() == [1, -1, 0]


def test_what_cannot_be_scored_is_named():
    with pytest.raises(ValueError, match="there is no example"):
        metrics.mark(LOGITS[:0], [], ("a", "b"))
    with pytest.raises(ValueError, match="no label is among those learnt .a, b., such as 'x'"):
        metrics.mark(LOGITS, list("xxyy"), ("a", "b"))


def test_a_confusion_of_very_many_classes_is_not_drawn(tmp_path):
    names = [f"class {number}" for number in range(classes.DRAWN + 1)]
    marked = metrics.mark(np.eye(len(names), dtype=np.float32), names, names)
    metrics.write_answers(tmp_path, marked, names)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.tsv"]
