"""Doubly stochastic attention against a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.losses import doubly_stochastic

pytestmark = pytest.mark.usefixtures("quick_compile")

WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(4), (3, 5)).astype(np.float32)
STEPS = np.arange(5) < np.array([5, 2, 0])[:, None]
POSITIONS = np.array([[True] * 4, [True, True, False, True], [True] * 4])


def test_it_is_the_mean_over_positions_of_what_is_missing():
    terms = []
    for weights, steps, positions in zip(WEIGHTS, STEPS, POSITIONS, strict=True):
        for place in range(4):
            if positions[place] and steps.any():
                terms.append((1 - sum(weights[t, place] for t in range(5) if steps[t])) ** 2)
    np.testing.assert_allclose(
        doubly_stochastic(WEIGHTS, STEPS, POSITIONS), np.mean(terms), rtol=1e-5
    )


def test_padding_counts_for_nothing():
    dirty = np.where(STEPS[..., None], WEIGHTS, np.nan)
    value, slope = jax.value_and_grad(doubly_stochastic)(dirty, STEPS)
    np.testing.assert_allclose(value, doubly_stochastic(WEIGHTS, STEPS), rtol=1e-6)
    assert np.isfinite(slope).all() and (slope[~STEPS] == 0).all()


def test_it_is_least_where_all_positions_get_the_same():
    """What a text of t steps can do at best over n positions: every one gets t / n."""
    even = jnp.full((2, 3, 6), 1 / 6)
    assert doubly_stochastic(even) == pytest.approx((1 - 3 / 6) ** 2)
    assert doubly_stochastic(jax.nn.one_hot(jnp.arange(4), 4)[None]) == 0  # each position once
    slope = jax.grad(doubly_stochastic)(even)
    np.testing.assert_allclose(slope, np.full(even.shape, slope[0, 0, 0]), rtol=1e-5)
