"""Slopes of gradients against closed forms, and the pictures of one network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import diagnostics
from seqjax.diagnostics.portrait import plot_portrait
from seqjax.diagnostics.vanishing import measure_vanishing

pytestmark = pytest.mark.usefixtures("quick_compile")


def scaled_identity(radius, size=3):
    """A relu network whose state only shrinks or grows: its inputs keep it above zero."""
    params = {"w_x": jnp.ones((2, size)), "w_h": radius * jnp.eye(size), "b": jnp.zeros(size)}
    return seqjax.Elman(size, activation="relu"), params


@pytest.mark.parametrize("radius", [0.7, 1.0, 1.3])
def test_the_slope_of_a_linear_network_is_the_logarithm_of_its_radius(radius):
    found = measure_vanishing(*scaled_identity(radius), jnp.ones((2, 12, 2)), jnp.ones(3))
    wanted = np.log(radius)
    for value in (found.slope, found.exponent, found.bound):
        assert value == pytest.approx(wanted, abs=1e-4)
    assert found.share_left == pytest.approx(radius**11, rel=1e-3)
    # The loss is a mean over two rows.
    assert found.norms[-1] == pytest.approx(np.sqrt(3) / 2, rel=1e-5)
    assert found.summary()["slope measured"] == found.slope


def test_states_of_several_parts_count_as_one_and_rows_by_their_geometric_mean():
    lstm = seqjax.LSTM(3)
    params = lstm.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (4, 6, 2))
    direction = jnp.array([1.0, -2.0, 0.5])
    found = measure_vanishing(lstm, params, xs, direction)
    flow = diagnostics.gradient_flow(lstm, params, xs, lambda ys: (ys[:, -1] @ direction).mean())
    wanted = np.exp(np.log(np.hypot(flow["h"], flow["c"])).mean(1))
    np.testing.assert_allclose(found.norms, wanted, rtol=1e-4)
    gates = diagnostics.gate_statistics(lstm, params, xs)
    assert found.gates["forget"].mean == pytest.approx(float(gates["forget"].mean), rel=1e-5)


def test_a_gradient_that_is_gone_has_a_slope():
    elman, params = scaled_identity(1e-20)
    found = measure_vanishing(elman, params, jnp.ones((1, 6, 2)), jnp.ones(3))
    assert np.isfinite(found.slope) and found.slope < -10


def test_gate_statistics_in_a_table():
    lstm = seqjax.LSTM(2)
    params = lstm.init(jax.random.key(0), 3)
    rows = diagnostics.gate_statistics(lstm, params, jnp.zeros((1, 4, 3)))
    assert rows["output"].summary()["median half-life in steps"] == "-"
    forget = rows["forget"].summary()
    # sigmoid(1) is the forget gate of a network that hears nothing.
    assert forget["mean"] == pytest.approx(1 / (1 + np.exp(-1)), rel=1e-3)
    assert forget["median half-life in steps"] == pytest.approx(np.log(2) / 0.3133, rel=1e-2)


def test_a_portrait_shows_gates_states_and_gradients():
    pytest.importorskip("matplotlib")
    lstm = seqjax.LSTM(2)
    params = lstm.init(jax.random.key(0), 3)
    figures = plot_portrait(lstm, params, jnp.ones((5, 3)), jnp.ones(2), "title")
    assert list(figures) == ["gates", "gate_histograms", "gradient_histograms"]
    shown = [axis.get_title() for axis in figures["gates"].axes if axis.images]
    assert {"forget gate", "input gate", "state h", "state c"} <= set(shown)
    drawn = [axis.get_title() for axis in figures["gradient_histograms"].axes]
    assert drawn == ["dL/dh", "dL/dc"] or drawn == ["dL/dc", "dL/dh"]


def test_a_network_without_gates_has_no_portrait():
    elman = seqjax.Elman(2)
    params = elman.init(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="no gates; give one that has"):
        plot_portrait(elman, params, jnp.ones((5, 3)), jnp.ones(2))
