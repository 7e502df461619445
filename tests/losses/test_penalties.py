import jax
import numpy as np

from seqjax.losses import activation_penalty, change_penalty


def test_they_are_the_means_of_squares(getkey):
    ys = jax.random.normal(getkey(), (3, 5, 4))
    array = np.asarray(ys, np.float64)
    np.testing.assert_allclose(activation_penalty(ys), (array**2).mean(), rtol=1e-6)
    np.testing.assert_allclose(change_penalty(ys), (np.diff(array, axis=1) ** 2).mean(), rtol=1e-6)


def test_one_step_does_not_change(getkey):
    ys = jax.random.normal(getkey(), (3, 1, 4))
    assert change_penalty(ys) == 0 and not jax.grad(change_penalty)(ys).any()
    assert change_penalty(ys.astype("bfloat16")).dtype == "float32"
