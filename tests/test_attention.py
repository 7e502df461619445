import jax
import jax.numpy as jnp
import numpy as np

from seqjax.attention import masked_softmax


def test_it_is_the_softmax_of_what_is_valid(getkey):
    scores = jax.random.normal(getkey(), (3, 5))
    np.testing.assert_allclose(masked_softmax(scores), jax.nn.softmax(scores), rtol=1e-6)
    mask = np.arange(5) < np.array([5, 3, 1])[:, None]
    weights = masked_softmax(scores, mask)
    for row, length in enumerate((5, 3, 1)):
        np.testing.assert_allclose(weights[row, :length], jax.nn.softmax(scores[row, :length]), rtol=1e-6)
        assert (weights[row, length:] == 0).all()


def test_what_is_masked_may_be_anything_and_large_scores_do_not_overflow():
    scores = jnp.array([[1e30, jnp.nan, -1e30, jnp.inf]])
    mask = jnp.array([[True, False, True, False]])
    np.testing.assert_array_equal(masked_softmax(scores, mask), [[1, 0, 0, 0]])
    gradient = jax.grad(lambda s: (masked_softmax(s, mask) * jnp.arange(4.0)).sum())(scores)
    assert np.isfinite(gradient).all() and gradient[0, 1] == 0 == gradient[0, 3]


def test_a_row_with_nothing_valid_has_weights_and_gradient_zero(getkey):
    scores = jax.random.normal(getkey(), (2, 4))
    mask = jnp.array([[True] * 4, [False] * 4])
    loss = lambda s: (masked_softmax(s, mask) ** 2).sum()  # noqa: E731
    assert (masked_softmax(scores, mask)[1] == 0).all()
    gradient = jax.grad(loss)(scores)
    assert np.isfinite(gradient).all() and (gradient[1] == 0).all() and (gradient[0] != 0).any()
    assert masked_softmax(jnp.zeros((2, 0))).shape == (2, 0)
