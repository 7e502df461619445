import functools

import jax.numpy as jnp
import pytest

import seqjax
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_values(x64, activation):
    reference = functools.partial(references.elman, activation=activation)
    assert_agrees(seqjax.Elman(4, activation=activation), reference)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradients(x64, activation):
    assert_gradients_agree_with_differences(seqjax.Elman(4, activation=activation))


def test_init(getkey):
    params = seqjax.Elman(5).init(getkey(), 3)
    assert {name: p.shape for name, p in params.items()} == {
        "w_x": (3, 5),
        "w_h": (5, 5),
        "b": (5,),
    }
    assert not params["b"].any()


def test_the_state_is_the_output(getkey):
    cell = seqjax.Elman(4)
    h, y = cell.step(cell.init(getkey(), 3), jnp.ones((2, 4)), jnp.ones((2, 3)))
    assert (h == y).all() and cell.output(h) is h


def test_an_unknown_activation_is_refused(unchecked):
    with pytest.raises(
        ValueError, match="Elman: activation='gelu' is unknown; choose 'tanh' or 'relu'"
    ):
        seqjax.Elman(4, activation="gelu")


def test_repr_names_what_differs_from_the_defaults():
    assert repr(seqjax.Elman(4)) == "Elman(4)"
    assert repr(seqjax.Elman(4, activation="relu")) == "Elman(4, activation='relu')"
