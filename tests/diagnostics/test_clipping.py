"""Seeds side by side: what they learn, and the verdict on them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import training
from seqjax.diagnostics.clipping import History, Recall, Verdict, train_side_by_side

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_the_verdicts():
    """Four seeds: one that learns, one that stays at the baseline, one that ends above it, one that met a NaN."""
    last = np.array([0.01, 0.3, 0.5, 0.01])
    norms, finite = np.ones((10, 4)), np.ones((10, 4))
    finite[2, 3] = 0
    norms[2, 3] = np.nan
    norms[5, 0] = 7.0
    clipped = np.zeros((10, 4))
    clipped[:, 0] = 1
    clipped[2, 3] = 1
    loss = np.concatenate([np.full((9, 4), 1.0), last[None]])
    verdict = Verdict.of(History(loss, norms, norms, clipped, finite), Recall.baseline)
    assert (verdict.diverged, verdict.converged, verdict.steps_not_finite) == (2, 1, 1)
    assert verdict.largest_norm == 7
    assert verdict.median_loss == pytest.approx((0.01 + 0.3) / 2)
    assert verdict.largest_loss == 0.5
    assert verdict.share_of_clipped_steps == pytest.approx(10 / 39)
    assert verdict.summary()["steps not finite"] == 1


def test_a_loss_that_is_not_finite_counts_as_the_worst():
    ones = np.ones((10, 2))
    loss = np.stack([np.full(10, 0.1), np.full(10, np.nan)], 1)
    verdict = Verdict.of(History(loss, ones, ones, ones, np.isfinite(loss)), 1 / 3)
    assert verdict.largest_loss == np.inf and verdict.diverged == 1


def test_what_is_to_be_recalled_stands_first_and_zero_costs_the_baseline():
    problem = Recall(hidden_size=4, length=6, rows=4000)
    xs, first = problem.draw(jax.random.key(0))
    np.testing.assert_array_equal(xs[:, 0, 0], first)
    assert np.abs(first).max() <= 1 and first.min() < -0.9
    assert 0.9e-3 < np.asarray(xs[:, 1:]).std() < 1.1e-3
    params = problem.fresh_state(jax.random.key(1), optax.sgd(0.1)).params
    np.testing.assert_array_equal(params["net"]["w_h"], np.eye(4))
    silent = {**params, "w": jnp.zeros(4)}
    loss, aux = problem.loss(silent, None, jax.random.key(2), None)
    assert float(loss) == pytest.approx(problem.baseline, rel=0.1) and aux.weight == 4000


def test_seeds_learn_apart_from_each_other_and_alike_when_trained_again():
    problem = Recall(hidden_size=4, length=5, rows=32)
    clip = training.clip_by_norm(0.5)
    settings = {"steps": 100, "seeds": 3, "key": jax.random.key(3)}
    history = train_side_by_side(problem, optax.sgd(0.1), clip, **settings)
    assert history.loss.shape == history.finite.shape == (100, 3)
    assert len(np.unique(history.loss[0])) == 3
    assert history.loss[-10:].mean() < 0.5 * history.loss[:5].mean()
    assert history.clipped_norm.max() <= 0.5 + 1e-6 < history.gradient_norm.max()
    again = train_side_by_side(problem, optax.sgd(0.1), clip, **settings)
    np.testing.assert_array_equal(again.loss, history.loss)


def test_without_clipping_a_rate_too_high_diverges_and_clipping_cures_it():
    problem = Recall(hidden_size=8, length=30, rows=8)
    settings = {"steps": 60, "seeds": 3, "key": jax.random.key(0)}
    verdicts = {}
    for name, clip in {"none": None, "norm": training.clip_by_norm(0.1)}.items():
        history = train_side_by_side(problem, optax.sgd(0.03), clip, **settings)
        verdicts[name] = Verdict.of(history, problem.baseline)
    assert verdicts["none"].diverged == 3
    assert verdicts["norm"].steps_not_finite == 0
    assert verdicts["norm"].median_loss < problem.baseline
