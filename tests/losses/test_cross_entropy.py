"""Cross-entropy against the formula in NumPy, and what the mask hides."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax.losses import cross_entropy

pytestmark = pytest.mark.usefixtures("quick_compile")


def sample(shape=(3, 4), vocab=5, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(*shape, vocab)) * 3,
        rng.integers(0, vocab, shape),
        rng.uniform(size=shape),
    )


def reference(logits, labels, mask, smoothing):
    """Element by element: the smoothed distribution, its cross-entropy with the softmax, the weighted mean."""
    total = weight = 0.0
    for index in np.ndindex(labels.shape):
        probabilities = np.exp(logits[index]) / np.exp(logits[index]).sum()
        target = np.full(logits.shape[-1], smoothing / logits.shape[-1])
        target[labels[index]] += 1 - smoothing
        total += mask[index] * -(target * np.log(probabilities)).sum()
        weight += mask[index]
    return total / weight


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 4)])
def test_the_formula(x64, shape, smoothing):
    logits, labels, mask = sample(shape)
    ones = np.ones(shape)
    np.testing.assert_allclose(
        cross_entropy(logits, labels, label_smoothing=smoothing),
        reference(logits, labels, ones, smoothing),
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        cross_entropy(logits, labels, mask, label_smoothing=smoothing),
        reference(logits, labels, mask, smoothing),
        rtol=1e-10,
    )


def test_the_gradient_is_softmax_minus_target(x64):
    logits, labels, mask = sample()
    gradient = jax.grad(cross_entropy)(jnp.asarray(logits), labels, mask)
    wanted = (jax.nn.softmax(logits) - jax.nn.one_hot(labels, 5)) * mask[..., None] / mask.sum()
    np.testing.assert_allclose(gradient, wanted, atol=1e-12)


def test_it_agrees_with_optax():
    logits, labels, _ = sample()
    wanted = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), labels).mean()
    np.testing.assert_allclose(cross_entropy(logits, labels), wanted, rtol=1e-5)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_the_mask_hides_changes_neither_value_nor_gradient(garbage, smoothing):
    logits, labels, _ = sample((6,))
    mask = np.array([1, 0, 1, 1, 0, 0], bool)
    loss = jax.value_and_grad(functools.partial(cross_entropy, label_smoothing=smoothing))
    valid = jnp.asarray(logits, jnp.float32)
    value, gradient = loss(valid, labels, mask)
    same, gradient_under_garbage = loss(
        valid.at[~mask].set(garbage), np.where(mask, labels, -1), mask
    )
    assert value == same
    np.testing.assert_array_equal(gradient, gradient_under_garbage)
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert np.abs(gradient[mask]).min() > 0


def test_labels_out_of_the_vocabulary_may_stand_under_the_mask():
    logits, labels, _ = sample((3,))
    mask = np.array([1, 0, 0], bool)
    value, gradient = jax.value_and_grad(cross_entropy)(
        jnp.asarray(logits), np.array([labels[0], 99, -100]), mask
    )
    np.testing.assert_allclose(value, cross_entropy(logits[:1], labels[:1]), rtol=1e-6)
    np.testing.assert_array_equal(gradient[1:], 0)


@pytest.mark.parametrize("garbage", [0.0, np.nan])
def test_where_all_is_masked_it_is_zero_with_zero_gradient(garbage):
    logits, labels, _ = sample((3,))
    value, gradient = jax.value_and_grad(cross_entropy)(
        jnp.full_like(logits, garbage), labels, np.zeros(3)
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_large_logits_do_not_overflow():
    logits = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 3e4]])
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0, 2])), 0.0, atol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([1, 2])), 1e4, rtol=1e-6)


def test_a_forbidden_class_has_no_probability():
    logits = jnp.array([[1.0, -jnp.inf, 2.0]])
    value, gradient = jax.value_and_grad(cross_entropy)(logits, jnp.array([0]))
    np.testing.assert_allclose(value, np.log(1 + np.e), rtol=1e-6)
    assert np.isfinite(gradient).all() and gradient[0, 1] == 0


def test_bfloat16_logits_are_summed_in_float32():
    logits, labels, _ = sample((8,), vocab=300)
    rounded = jnp.asarray(logits, jnp.bfloat16)
    value = cross_entropy(rounded, labels)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, cross_entropy(rounded.astype(jnp.float32), labels), rtol=1e-6)
    assert jax.grad(cross_entropy)(rounded, labels).dtype == jnp.bfloat16


def test_labels_of_another_shape():
    with pytest.raises(
        ValueError, match=r"labels have shape \(3, 5\); logits \(3, 4, 5\) want \(3, 4\)"
    ):
        cross_entropy(np.zeros((3, 4, 5)), np.zeros((3, 5), int))


@pytest.mark.parametrize("label", [-1, -100, 5, 99])
def test_a_label_that_is_no_class_is_named(label):
    logits, labels, _ = sample((3,))
    labels[1] = label
    with pytest.raises(
        ValueError, match=f"a label is {label}; give classes from 0 to 4, .* mask=labels != {label}"
    ):
        cross_entropy(logits, labels)
    with pytest.raises(ValueError, match=f"a label is {label}"):
        jax.grad(cross_entropy)(jnp.asarray(logits), labels, np.ones(3))


@pytest.mark.parametrize("label", [-1, -100, 5, 99])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_under_jit_a_label_that_is_no_class_is_nan_in_value_and_gradient(label, smoothing):
    logits, labels, _ = sample((3,))
    labels[1] = label
    loss = jax.jit(jax.value_and_grad(functools.partial(cross_entropy, label_smoothing=smoothing)))
    value, gradient = loss(jnp.asarray(logits), jnp.asarray(labels))
    assert np.isnan(value) and np.isnan(gradient[1]).all()
    mask = jnp.asarray(labels != label)
    value, gradient = loss(jnp.asarray(logits), jnp.asarray(labels), mask)
    np.testing.assert_allclose(
        value, cross_entropy(logits[::2], labels[::2], label_smoothing=smoothing), rtol=1e-6
    )
    np.testing.assert_array_equal(gradient[1], 0)


def test_labels_that_are_no_integers():
    with pytest.raises(
        TypeError, match="labels are float64; give integers, the class of each step"
    ):
        cross_entropy(np.zeros((3, 5)), np.zeros(3))
