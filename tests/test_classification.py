"""Classes of sequences of different lengths."""

import jax
import numpy as np
import pytest

import seqjax
from seqjax import training
from seqjax.classification import Features

pytestmark = pytest.mark.usefixtures("quick_compile")


def waves(count=60, seed=0):
    """Fast and slow waves of any length, in two channels of different size."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for place in range(count):
        steps, fast = rng.integers(8, 40), place % 2
        angle = np.arange(steps) * (1.5 if fast else 0.4) + rng.uniform(0, 6)
        rows.append(np.stack([1000 + 300 * np.sin(angle), np.cos(angle)], 1))
        labels.append("fast" if fast else "slow")
    return rows, labels


@pytest.fixture(scope="module")
def trained():
    rows, labels = waves()
    task = seqjax.Classifier.of(
        rows, labels, recurrence=seqjax.bidirectional(seqjax.GRU(8)), pooling="mean"
    )
    recipe = training.Recipe(epochs=15, every=15, learning_rate=0.02, average=0.9)
    return training.fit(task, (rows, labels), validation=waves(20, 1), recipe=recipe, quiet=True)


def test_it_learns_and_scores(trained):
    metrics = trained.evaluate(waves(40, 2))
    assert metrics["accuracy"] > 0.95 and metrics["error"] == pytest.approx(1 - metrics["accuracy"])
    rows, labels = waves(40, 2)
    assert (
        np.mean([a == b for a, b in zip(trained.predict(rows), labels, strict=True)])
        == metrics["accuracy"]
    )
    probabilities = trained.probabilities(rows)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    right = np.array([trained.task.labels.index(label) for label in labels])
    nats = -np.log(probabilities[np.arange(40), right].astype(np.float64)).mean()
    assert metrics["nats"] == pytest.approx(nats, rel=1e-4)


def test_answers_do_not_depend_on_what_else_is_asked(trained):
    rows, _ = waves(11, 3)
    alone = np.concatenate([trained.probabilities([row]) for row in rows])
    np.testing.assert_allclose(trained.probabilities(rows), alone, atol=1e-5)


def test_ten_lengths_compile_at_most_three_times(trained):
    rows = [np.ones((steps, 2)) for steps in (3, 7, 9, 14, 22, 31, 45, 60, 81, 99)]
    count = type(trained.task)._scores._cache_size()
    trained.predict(rows)
    assert type(trained.task)._scores._cache_size() - count <= 3


def test_a_later_call_of_about_the_length_compiles_nothing(trained):
    trained.predict([np.ones((121, 2))])
    count = type(trained.task)._scores._cache_size()
    trained.predict([np.ones((117, 2))])
    assert type(trained.task)._scores._cache_size() == count


def test_labels_may_be_numbers_of_numpy_and_rows_one_dimensional():
    rows, labels = [np.arange(5.0), np.arange(3.0)], np.array([7, 3])
    task = seqjax.Classifier.of(rows, labels, recurrence=seqjax.Elman(2))
    assert task.labels == (3, 7) and task.encode_labels(labels).tolist() == [1, 0]
    assert set(task.predict(task.init(jax.random.key(0)), rows)) <= {3, 7}


def test_features_are_standardised_as_in_training():
    inputs = Features.of([np.array([[1.0, 5.0], [3.0, 5.0]])])
    assert inputs == Features((2.0, 5.0), (1.0, 1.0))
    np.testing.assert_array_equal(inputs.sequences([[[4.0, 5.0]]])[0], [[2.0, 0.0]])


def test_a_constant_whose_mean_is_rounded_is_not_blown_up():
    """The deviation of a thousand times 0.1 is 1e-17, which no change of the feature is to be over."""
    assert Features.of([np.full(1000, 0.1)]).scale == (1.0,)


@pytest.mark.parametrize(
    "rows, labels, message",
    [
        ([np.ones((2, 1))], ["a", "b"], "1 inputs and 2 labels"),
        ([np.ones((2, 1))] * 2, ["a", "a"], "every example has the label 'a'"),
        ([], [], "there is no example"),
        (
            [np.ones((2, 1)), np.ones((2, 3))],
            ["a", "b"],
            "sequence 1 has 3 features; the others have 1",
        ),
        ([np.ones((2, 1)), np.ones((0, 1))], ["a", "b"], r"sequence 1 has shape \(0, 1\)"),
        (
            [np.ones((2, 1)), np.full((2, 1), np.nan)],
            ["a", "b"],
            "sequence 1 has values that are not finite",
        ),
        ([np.ones((2, 1)), np.array(["x"])], ["a", "b"], "sequence 1 is <U1"),
    ],
)
def test_what_cannot_be_learnt_is_told_in_one_line(rows, labels, message):
    with pytest.raises(ValueError, match=message):
        seqjax.Classifier.of(rows, labels, recurrence=seqjax.GRU(2))


def test_an_unknown_label_cannot_be_learnt_and_is_named(trained):
    with pytest.raises(
        ValueError, match="example 1: the label 'odd' is not among those learnt .fast, slow."
    ):
        trained.task.batches(([np.ones((2, 2))] * 2, ["fast", "odd"]))


def test_an_unknown_label_is_never_right_and_has_no_likelihood(trained):
    rows, labels = waves(20, 4)
    whole = trained.evaluate((rows, labels))
    stranger = trained.evaluate((rows + rows[:5], labels + ["odd"] * 5))
    assert stranger["accuracy"] == pytest.approx(whole["accuracy"] * 20 / 25)
    assert stranger["nats"] == pytest.approx(whole["nats"], rel=1e-5)
    with pytest.raises(ValueError, match="no label is among those learnt .fast, slow., such as 7"):
        trained.evaluate((rows, np.full(20, 7)))


def test_a_report_is_figures_a_table_and_a_picture(trained, tmp_path):
    rows, labels = waves(20, 5)
    report = trained.report((rows + rows[:2], labels + ["odd", "tab\tand\nline"]), tmp_path)
    metrics = trained.evaluate((rows + rows[:2], labels + ["odd"] * 2))
    assert report.metrics == {name: metrics[name] for name in ("accuracy", "nats")}
    right = round(metrics["accuracy"] * 22)
    assert report.counts == {"sequences": 22, "right": right, "of_unknown_labels": 2}
    head, *lines = (tmp_path / "predictions.tsv").read_text().splitlines()
    assert head.split("\t") == ["label", "predicted", "probability"] and len(lines) == 22
    for line, label, row in zip(
        lines, [*labels, "odd", "tab and line"], rows + rows[:2], strict=True
    ):
        probability = trained.probabilities([row])[0].max()
        assert line.split("\t") == [label, trained.predict([row])[0], f"{probability:.3f}"]
    assert (tmp_path / "confusion.png").stat().st_size > 3000


def test_nothing_asked_is_nothing_answered(trained):
    assert trained.predict([]) == [] and trained.probabilities([]).shape == (0, 2)


def test_examples_are_a_pair(trained, unchecked):
    with pytest.raises(ValueError, match="the examples are a list; give a pair"):
        trained.task.batches([np.ones((2, 2))] * 2)
    with pytest.raises(ValueError, match="2 inputs and 1 labels"):
        trained.evaluate(([np.ones((2, 2))] * 2, ["fast"]))
