import jax
import numpy as np
import pytest

import seqjax
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_values(x64):
    assert_agrees(seqjax.MGU(4), references.mgu)


def test_gradients(x64):
    assert_gradients_agree_with_differences(seqjax.MGU(4))


def test_it_is_a_gru_whose_gates_are_one(getkey):
    """z = 1 - f and r = f: the gates of a GRU with the reset before, z from -sums."""
    cell = seqjax.MGU(4)
    params, xs = cell.init(getkey(), 3), jax.random.normal(getkey(), (2, 5, 3))
    gru = {}
    for name in ("w_x", "w_h", "b"):
        f, n = np.split(np.asarray(params[name]), 2, axis=-1)
        gru[name] = np.concatenate([f, -f, n], axis=-1)
    gru["b_n"] = np.zeros(4, np.float32)
    _, wanted = seqjax.unroll(seqjax.GRU(4, reset="before"), gru, xs)
    np.testing.assert_allclose(seqjax.unroll(cell, params, xs)[1], wanted, rtol=1e-5, atol=1e-6)
