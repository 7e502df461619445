"""A fault planted at a known place is found there."""

import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import diagnostics
from tests.recurrences import draw_inputs, draw_params

pytestmark = pytest.mark.usefixtures("quick_compile")

NET = seqjax.stack(seqjax.Elman(3), seqjax.LSTM(2))


def total(ys):
    return ys.sum()


def test_a_sound_run_has_none():
    assert diagnostics.which_step(NET, draw_params(NET), draw_inputs((2, 4)), total) is None


def test_an_input():
    xs = draw_inputs((3, 6))
    xs[2, 4, 1] = np.nan
    fault = diagnostics.which_step(NET, draw_params(NET), xs, total)
    assert (fault.quantity, fault.step, fault.row) == ("input", 4, (2,))
    assert np.isnan(fault.value)
    assert str(fault) == "step 4: input of row 2 is nan"
    assert diagnostics.which_step(NET, draw_params(NET), xs, total, np.array([6, 6, 4])) is None


def test_a_parameter():
    params = draw_params(NET)
    params["layer_1"]["w_h"] = params["layer_1"]["w_h"].at[0, 0].set(np.inf)
    fault = diagnostics.which_step(NET, params, draw_inputs((2, 4)))
    assert str(fault) == "parameter layer_1/w_h is inf"


def test_an_exploding_state_at_the_step_that_arithmetic_says():
    """h' = 10 h + 1e30: 1e30, 1.1e31, ... 1.1e38 at step 8; float32 ends at 3.4e38, so step 9 overflows."""
    net = seqjax.stack(seqjax.GRU(1), seqjax.Elman(1, activation="relu"))
    params = draw_params(net)
    params["layer_1"] = {
        "w_x": jnp.zeros((1, 1)),
        "w_h": jnp.full((1, 1), 10.0),
        "b": jnp.full(1, 1e30),
    }
    fault = diagnostics.which_step(net, params, draw_inputs((12,)), total)
    assert (fault.quantity, fault.name, fault.step, fault.row) == ("state", "layer_1/h", 9, None)
    assert str(fault) == "step 9: state layer_1/h is inf"


def test_the_loss_and_a_gradient():
    params, xs = draw_params(NET), draw_inputs((2, 5))
    assert (
        str(diagnostics.which_step(NET, params, xs, lambda ys: jnp.log(ys.sum() * 0 - 1)))
        == "loss is nan"
    )
    # sqrt at zero: a finite loss, an infinite slope, at step 3 of row 1
    fault = diagnostics.which_step(
        NET, params, xs, lambda ys: jnp.sqrt(ys[1, 3] * 0 + jnp.square(ys[1, 3] * 0)).sum()
    )
    assert (fault.quantity, fault.name, fault.step, fault.row) == ("gradient", "layer_1/h", 3, (1,))


def test_a_gradient_that_overflows_on_its_way_back():
    """dL/dh_t = 1e30 * 10^(T-1-t) with T = 20: more than 3.4e38 from nine steps before the last one on."""
    cell = seqjax.Elman(1, activation="relu")
    params = {"w_x": jnp.ones((1, 1)), "w_h": jnp.full((1, 1), 10.0), "b": jnp.zeros(1)}
    xs = jnp.full((20, 1), 1e-25)
    fault = diagnostics.which_step(cell, params, xs, lambda ys: 1e30 * ys[-1, 0])
    assert (fault.quantity, fault.name, fault.step) == ("gradient", "h", 19 - 9)


def test_the_backward_direction_goes_wrong_from_its_own_beginning():
    both = seqjax.bidirectional(seqjax.Elman(1, activation="relu"))
    params = draw_params(both)
    params["forward"] = {"w_x": jnp.zeros((3, 1)), "w_h": jnp.zeros((1, 1)), "b": jnp.zeros(1)}
    params["backward"] = {
        "w_x": jnp.zeros((3, 1)),
        "w_h": jnp.full((1, 1), 10.0),
        "b": jnp.full(1, 1e30),
    }
    fault = diagnostics.which_step(both, params, draw_inputs((12,)))
    assert (fault.name, fault.step) == ("backward/h", 11 - 9)


def test_a_gradient_that_overflows_by_a_parameter_alone():
    net = seqjax.Elman(1, activation="relu")
    params = {"w_x": jnp.full((1, 1), 1e-5), "w_h": jnp.zeros((1, 1)), "b": jnp.zeros(1)}
    fault = diagnostics.which_step(net, params, jnp.full((3, 1), 1e22), lambda ys: 1e18 * ys.sum())
    assert str(fault) == "gradient w_x is inf"
