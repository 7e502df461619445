import functools

import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_values(x64, activation):
    reference = functools.partial(references.ind_rnn, activation=activation)
    assert_agrees(seqjax.IndRNN(4, activation=activation), reference)


def test_gradients(x64):
    assert_gradients_agree_with_differences(seqjax.IndRNN(4))


def test_weights_start_between_the_bounds(getkey):
    u = seqjax.IndRNN(2000, min_weight=0.5, max_weight=1.5).init(getkey(), 3)["u"]
    assert 0.5 <= u.min() < 0.51 and 1.49 < u.max() <= 1.5
    np.testing.assert_allclose(u.mean(), 1, atol=0.03)


def test_the_paper_s_bound_keeps_a_memory_below_twice_its_size():
    """The largest u lets a memory grow to 2 over T steps, not beyond."""
    cell = seqjax.IndRNN(1, max_weight=2 ** (1 / 50))
    params = {"w_x": jnp.zeros((1, 1)), "u": jnp.array([cell.max_weight]), "b": jnp.zeros(1)}
    h, _ = seqjax.unroll(cell, params, jnp.zeros((50, 1)), jnp.ones(1))
    np.testing.assert_allclose(h, 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelu"}, "IndRNN: activation='gelu' is unknown; choose 'relu' or 'tanh'"),
        ({"min_weight": 1.0, "max_weight": 0.5}, "give min_weight <= max_weight"),
    ],
)
def test_mistakes_are_named(unchecked, options, message):
    with pytest.raises(ValueError, match=message):
        seqjax.IndRNN(4, **options)
