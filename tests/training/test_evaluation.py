"""Evaluation over exact counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import training
from seqjax.training import Mean

SIZES = (5, 1, 7, 2)


def cut(values, *others):
    ends = np.cumsum(SIZES)
    return zip(*(np.split(a, ends[:-1]) for a in (values, *others)), strict=True)


def test_evaluate_over_unequal_batches_is_the_mean_over_all_elements():
    rng = np.random.default_rng(0)
    values = rng.integers(-50, 50, sum(SIZES)).astype(np.float32)
    mask = rng.integers(0, 2, sum(SIZES)).astype(np.float32)
    assert 0 < mask.sum() < len(mask)

    def metrics(params, batch):
        x, valid = batch
        return {"all": Mean.of(params["w"] * x), "valid": Mean.of(params["w"] * x, valid)}

    scores = training.evaluate(metrics, {"w": 2.0}, cut(values, mask))
    assert scores == {
        "all": 2 * values.mean(dtype=np.float64),
        "valid": (2 * values * mask).sum().item() / mask.sum().item(),
    }
    of_batches = np.mean([2 * part.mean() for (part,) in cut(values)])
    assert abs(of_batches - scores["all"]) > 0.1, "the mean of the batches' means is something else"


def test_evaluate_compiled_gives_floats():
    @jax.jit
    def metrics(params, batch):
        return {"square": Mean.of(jnp.square(batch - params["w"]))}

    scores = training.evaluate(
        metrics, {"w": 1.0}, iter([np.array([1.0, 2.0]), np.array([4.0, 1.0])])
    )
    assert scores == {"square": 2.5} and type(scores["square"]) is float


def test_what_has_weight_zero_is_ignored_nan_included():
    values = np.array([1.0, np.nan, 3.0, np.inf])
    mean = Mean.of(values, np.array([1, 0, 1, 0]))
    assert (float(mean.total), float(mean.weight), float(mean.value())) == (4, 2, 2)
    assert training.average([{"x": mean}, {"x": Mean.of(values, np.zeros(4))}]) == {"x": 2}


def test_weights_need_not_be_zero_or_one_and_broadcast():
    mean = Mean.of(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[0.5], [2.0]]))
    assert (float(mean.total), float(mean.weight)) == (0.5 * 6 + 2 * 15, 7.5)


def test_whole_numbers_and_booleans_are_averaged_as_numbers():
    assert float(Mean.of(np.array([True, False, True, True])).value()) == 0.75
    assert float(Mean.of(np.array([1, 2]), np.array([True, True])).value()) == 1.5


def test_the_mean_of_nothing_is_zero_and_has_no_nan_gradient():
    assert float(Mean.of(np.zeros(0)).value()) == 0
    gradient = jax.grad(lambda x: Mean.of(x, jnp.zeros(2)).value())(jnp.array([1.0, jnp.nan]))
    np.testing.assert_array_equal(gradient, 0)


def test_batches_are_added_up_in_float64():
    large, one = (
        {"x": Mean(np.float32(2**24), np.float32(1))},
        {"x": Mean(np.float32(1), np.float32(0))},
    )
    assert training.average([large, one, one, one]) == {"x": 2**24 + 3}


def test_a_mean_is_a_pytree_that_adds_up_leaf_by_leaf():
    whole = Mean.of(np.arange(6.0))
    parts = jax.tree.map(jnp.add, Mean.of(np.arange(2.0)), Mean.of(np.arange(2.0, 6.0)))
    assert float(parts.value()) == float(whole.value()) == 2.5


@pytest.mark.parametrize(
    "means",
    [
        [],
        [{}],
        [{"x": Mean.of(np.ones(2), np.zeros(2))}],
        [{"x": Mean.of(np.ones(2)), "y": Mean.of(np.zeros(0))}],
    ],
    ids=["no batch", "no metric", "no weight", "one without weight"],
)
def test_nothing_counted(means):
    with pytest.raises(ValueError, match="counted nothing"):
        training.average(means)


NAN = float("nan")


@pytest.mark.parametrize(
    ("rows", "monitor", "best"),
    [
        # BLEU of 0 throughout: the error cannot move, the nats do
        ([(1.0, 2.3), (1.0, 0.4), (1.0, 0.17), (1.0, 0.2)], ("error", "nats"), 2),
        ([(1.0, 2.3), (1.0, 0.4), (1.0, 0.17)], "error", 0),
        ([(0.5, 9.0), (1.0, 0.1)], ["error", "nats"], 0),
        ([(0.5, 0.1), (0.4, 9.0), (0.4, NAN)], ("error", "nats"), 1),
        ([(NAN, 0.1), (0.4, 9.0)], ("error", "nats"), 1),
        ([(None, 0.1), (0.4, None), (0.4, 3.0)], ("error", "nats"), 2),
        ([(0.4, 3.0), (0.4, 3.0)], ("error", "nats"), 0),
    ],
)
def test_the_best_evaluation_is_the_lowest_score_and_of_equal_ones_the_lowest_next_score(
    rows, monitor, best
):
    lines = [
        {"kind": "evaluation", "step": n, "error": a, "nats": b} for n, (a, b) in enumerate(rows)
    ]
    lines.insert(1, {"kind": "step", "step": 1, "loss": -1.0})
    assert training.best_evaluation(lines, monitor)["step"] == best


@pytest.mark.parametrize(
    ("lines", "monitor", "words"),
    [
        ([], "error", "no evaluation has a finite score 'error'"),
        (
            [{"kind": "evaluation", "error": None, "nats": 1.0}],
            ("error", "nats"),
            "the training diverged",
        ),
        ([{"kind": "evaluation", "error": 1.0}], "bleu", r"monitor='bleu' is not among the scores"),
        (
            [{"kind": "evaluation", "error": 1.0}],
            ("error", "nats"),
            r"monitor='nats' is not among the scores",
        ),
        ([{"kind": "evaluation", "error": 1.0}], (), "monitor names no score"),
    ],
)
def test_no_best_evaluation(lines, monitor, words):
    with pytest.raises(ValueError, match=words):
        training.best_evaluation(lines, monitor)
