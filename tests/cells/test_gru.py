import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences
from tests.recurrences import draw_inputs, draw_params

pytestmark = pytest.mark.usefixtures("quick_compile")

every_variant = pytest.mark.parametrize(
    "options",
    [
        {"reset": reset, "layer_norm": layer_norm}
        for reset in ("after", "before")
        for layer_norm in (False, True)
    ],
    ids=lambda options: options["reset"] + "+layer_norm" * options["layer_norm"],
)


@every_variant
def test_values(x64, options):
    assert_agrees(seqjax.GRU(4, **options), functools.partial(references.gru, **options))


@every_variant
def test_gradients(x64, options):
    assert_gradients_agree_with_differences(seqjax.GRU(4, **options))


@every_variant
def test_init(getkey, options):
    params = seqjax.GRU(4, **options).init(getkey(), 3)
    wanted = {"w_x": (3, 12), "w_h": (4, 12), "b": (12,), "b_n": (4,)}
    scales = {"ln_x": (12,), "ln_h": (12,)} if options["layer_norm"] else {}
    assert {name: p.shape for name, p in params.items()} == wanted | scales
    assert not params["b"].any() and not params["b_n"].any()
    assert all((params[name] == 1).all() for name in scales)


def test_both_biases_of_the_candidate_act():
    """With `reset="after"` one is inside the reset product and one outside, so their effects differ."""
    cell, xs = seqjax.GRU(4), draw_inputs((2, 3))
    gradient = jax.grad(lambda params: seqjax.unroll(cell, params, xs)[1].sum())(draw_params(cell))
    outside, inside = np.asarray(gradient["b"][8:]), np.asarray(gradient["b_n"])
    assert (np.abs(outside) > 1e-3).all() and (np.abs(inside) > 1e-3).all()
    assert (np.abs(outside - inside) > 1e-3).all()


def test_the_state_is_the_output(getkey):
    cell = seqjax.GRU(4)
    h, y = cell.step(cell.init(getkey(), 3), jnp.ones((2, 4)), jnp.ones((2, 3)))
    assert (h == y).all() and cell.output(h) is h


def test_an_unknown_reset_is_refused(unchecked):
    with pytest.raises(
        ValueError, match="GRU: reset='never' is unknown; choose 'after' or 'before'"
    ):
        seqjax.GRU(4, reset="never")


def test_repr_names_what_differs_from_the_defaults():
    assert repr(seqjax.GRU(16)) == "GRU(16)"
    assert (
        repr(seqjax.GRU(16, reset="before", layer_norm=True))
        == "GRU(16, reset='before', layer_norm=True)"
    )
