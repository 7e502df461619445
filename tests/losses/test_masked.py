"""Means over what is valid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.losses import length_mask, masked_mean

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_length_mask_is_true_at_the_first_steps():
    np.testing.assert_array_equal(
        length_mask(jnp.array([[0, 1], [3, 2]]), 3),
        [[[0, 0, 0], [1, 0, 0]], [[1, 1, 1], [1, 1, 0]]],
    )
    assert length_mask(2, 3).tolist() == [True, True, False] and length_mask(
        jnp.zeros(0, int), 3
    ).shape == (0, 3)
    assert length_mask(jnp.array([5]), 3).all()


def test_it_is_the_weighted_mean():
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))
    np.testing.assert_allclose(
        masked_mean(values, mask), (values * mask).sum() / mask.sum(), rtol=1e-5
    )
    np.testing.assert_allclose(masked_mean(values), values.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        masked_mean(values, mask > 0.5), values[mask > 0.5].mean(), rtol=1e-5
    )


def test_a_mask_broadcasts():
    values = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(masked_mean(values, np.array([[1], [0]])), 1.0)
    np.testing.assert_allclose(masked_mean(values, np.array([0, 1, 1])), 3.0)
    np.testing.assert_allclose(masked_mean(values, 1), 2.5)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e30])
def test_what_the_mask_hides_changes_neither_value_nor_gradient(garbage):
    values, mask = jnp.array([1.0, garbage, 4.0]), jnp.array([True, False, True])
    value, gradient = jax.value_and_grad(masked_mean)(values, mask)
    assert value == 2.5
    np.testing.assert_array_equal(gradient, [0.5, 0.0, 0.5])


def test_where_nothing_is_valid_it_is_zero_with_zero_gradient():
    value, gradient = jax.value_and_grad(masked_mean)(jnp.array([1.0, jnp.nan]), jnp.zeros(2))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_an_empty_array_has_the_mean_zero(shape):
    assert (
        masked_mean(jnp.zeros(shape)) == 0 and masked_mean(jnp.zeros(shape), jnp.zeros(shape)) == 0
    )


def test_the_gradient_is_the_mask_over_its_sum():
    mask = jnp.array([0.5, 0.0, 2.0, 1.5])
    np.testing.assert_allclose(jax.grad(masked_mean)(jnp.arange(4.0), mask), mask / 4, rtol=1e-6)


@pytest.mark.parametrize(
    "values", [np.array([1, 3]), np.array([True, False]), np.array([1.0, 3.0])]
)
def test_weights_count_whatever_the_kind_of_the_values(values):
    np.testing.assert_allclose(
        masked_mean(values, np.array([0.5, 0.25])), np.average(values, weights=[2, 1]), rtol=1e-6
    )


def test_many_bfloat16_values_are_counted_exactly():
    values, mask = jnp.ones(1001, jnp.bfloat16), jnp.ones(1001, bool)
    assert float(masked_mean(values, mask)) == 1
    half = masked_mean(jnp.concatenate([values, 0 * values]), jnp.ones(2002))
    assert float(half) == 0.5


def test_weights_of_bfloat16_values_are_not_rounded():
    values = jnp.array([0.0, 1.0], jnp.bfloat16)
    np.testing.assert_allclose(masked_mean(values, jnp.array([301.0, 1.0])), 1 / 302, rtol=1e-6)
