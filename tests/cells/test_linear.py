import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests import references
from tests.cells.agreement import assert_agrees, assert_gradients_agree_with_differences
from tests.recurrences import assert_close, draw_inputs, draw_params, draw_state, each, in_float64

pytestmark = pytest.mark.usefixtures("quick_compile")

CELLS = {
    "lru": seqjax.LRU(4),
    "min_gru": seqjax.MinGRU(4),
    "min_lstm": seqjax.MinLSTM(4),
    "rglru": seqjax.RGLRU(4),
}
REFERENCES = {
    "lru": references.lru,
    "min_gru": references.min_gru,
    "min_lstm": references.min_lstm,
    "rglru": references.rglru,
}


@pytest.mark.parametrize("name", CELLS)
def test_values(x64, name):
    assert_agrees(CELLS[name], REFERENCES[name])


@each(CELLS)
@pytest.mark.parametrize("backend", ["auto", "scan"])
def test_gradients(x64, recurrence, backend):
    assert_gradients_agree_with_differences(recurrence, backend)


@each(CELLS)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("time", [300, 299], ids=["whole", "in chunks"])
def test_the_parallel_scan_is_the_sequential_one(x64, monkeypatch, recurrence, time, reverse):
    """Values and gradients over a long sequence with lengths and resets."""
    if time == 299:
        monkeypatch.setattr(seqjax.cells.linear, "CHUNK", 0)
    rng = np.random.default_rng(0)
    params, xs, state = in_float64(
        (draw_params(recurrence), draw_inputs((3, time)), draw_state(recurrence, (3,)))
    )
    lengths, reset = np.array([time, 211, 0]), rng.random((3, time)) < 0.02
    weights = rng.normal(size=(3, time, 4))

    def loss(params, xs, state, backend):
        options = {"lengths": lengths, "reset": reset, "reverse": reverse, "backend": backend}
        results = seqjax.unroll(recurrence, params, xs, state, **options)
        return (results[1] * weights).sum() + jnp.real(results[0]).sum(), results

    sweep = jax.jit(
        jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True), static_argnames="backend"
    )
    assert_close(
        sweep(params, xs, state, backend="auto"), sweep(params, xs, state, backend="scan"), 1e-10
    )


@each(CELLS)
def test_accelerators_have_no_loop_over_time(recurrence):
    unroll = jax.jit(lambda params, xs: seqjax.unroll(recurrence, params, xs)[1])
    traced = unroll.trace(draw_params(recurrence), draw_inputs((2, 50)))
    loops = {
        name: "stablehlo.while" in traced.lower(lowering_platforms=(name,)).as_text()
        for name in ("cpu", "tpu")
    }
    assert loops == {"cpu": True, "tpu": False}


def test_lru_eigenvalues_start_on_the_ring(getkey):
    params = seqjax.LRU(4000, min_radius=0.5, max_radius=0.9, max_phase=1.0).init(getkey(), 3)
    radius, phase = np.exp(-np.exp(params["nu"])), np.exp(params["theta"])
    assert 0.5 <= radius.min() < 0.51 and 0.89 < radius.max() <= 0.9
    assert 0 < phase.min() < 0.01 and 0.99 < phase.max() <= 1.0
    # Uniform on the ring: the squares of the radii are uniform.
    np.testing.assert_allclose(np.square(radius).mean(), (0.5**2 + 0.9**2) / 2, atol=0.01)


def test_lru_keeps_white_noise_at_unit_variance(getkey):
    cell = seqjax.LRU(64, min_radius=0.5, max_radius=0.9)
    xs = np.random.default_rng(0).normal(size=(256, 100, 8)).astype(np.float32)
    state, _ = seqjax.unroll(cell, cell.init(getkey(), 8), xs)
    np.testing.assert_allclose(np.square(np.abs(state)).mean(), 1, atol=0.1)


def test_lru_remembers_in_complex_numbers():
    cell = seqjax.LRU(4)
    assert cell.initial_state({}, (2,), jnp.bfloat16).dtype == jnp.complex64
    with jax.enable_x64(True):
        assert cell.initial_state({}, (2,), jnp.float64).dtype == jnp.complex128


@pytest.mark.parametrize("radii", [(0.9, 0.5), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5)])
def test_lru_refuses_radii_off_the_disc(radii):
    with pytest.raises(ValueError, match="give 0 < min_radius < max_radius < 1"):
        seqjax.LRU(4, min_radius=radii[0], max_radius=radii[1])


def test_min_lstm_forget_bias(getkey):
    bias = np.asarray(seqjax.MinLSTM(4, forget_bias=2.0).init(getkey(), 3)["b"])
    assert (bias[:4] == 2).all() and not bias[4:].any()


@pytest.mark.parametrize("scale", [-1e4, 1e4])
def test_min_lstm_gates_do_not_overflow(scale):
    """f / (f + i) is 0 / 0 where both gates underflow, if it is computed as it is written."""
    cell = seqjax.MinLSTM(2)
    params = {"w_x": jnp.zeros((1, 6)), "b": jnp.array([scale] * 4 + [3.0] * 2)}
    h, gradient = jax.value_and_grad(lambda p: seqjax.unroll(cell, p, jnp.ones((1, 1)))[0].sum())(
        params
    )
    np.testing.assert_allclose(h, 2 * 0.5 * 3.0, rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_rglru_decays_start_between_the_bounds(getkey):
    params = seqjax.RGLRU(4000, min_decay=0.5, max_decay=0.9).init(getkey(), 3)
    decay = np.exp(-8 * np.logaddexp(0, -np.asarray(params["lambda"], np.float64)))
    assert 0.5 <= decay.min() < 0.51 and 0.89 < decay.max() < 0.9001
    np.testing.assert_allclose(decay.mean(), 0.7, atol=0.01)


def test_rglru_keeps_white_noise_at_the_variance_of_its_input(getkey):
    """sqrt(1 - a ** 2) is for that; the gates stand half open."""
    cell = seqjax.RGLRU(16, min_decay=0.5, max_decay=0.9)
    params = cell.init(getkey(), 16)
    params["w_x"] = jnp.concatenate([jnp.zeros((16, 32)), 2 * jnp.eye(16)], axis=-1)
    xs = np.random.default_rng(0).normal(size=(256, 100, 16)).astype(np.float32)
    h, _ = seqjax.unroll(cell, params, xs)
    np.testing.assert_allclose(np.square(h).mean(), 1, atol=0.1)


@pytest.mark.parametrize("decays", [(0.9, 0.5), (0.0, 0.5), (0.5, 1.0)])
def test_rglru_refuses_decays_that_do_not_fade(decays):
    with pytest.raises(ValueError, match="give 0 < min_decay < max_decay < 1"):
        seqjax.RGLRU(4, min_decay=decays[0], max_decay=decays[1])


@pytest.mark.parametrize("scale", [-1e4, 1e4])
def test_rglru_gates_have_finite_gradients(scale):
    """Where r underflows, sqrt(1 - a ** 2) is 0 and its derivative infinite, if taken as written."""
    params = {"w_x": jnp.zeros((1, 6)), "b": jnp.full(6, scale), "lambda": jnp.full(2, 3.0)}
    loss = lambda p: seqjax.unroll(seqjax.RGLRU(2), p, jnp.ones((3, 1)))[1].sum()  # noqa: E731
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss)(params)))


def test_repr_names_what_differs_from_the_defaults():
    assert repr(seqjax.LRU(4, max_radius=0.999)) == "LRU(4, max_radius=0.999)"
    assert repr(seqjax.MinGRU(4)) == "MinGRU(4)"
    assert repr(seqjax.MinLSTM(4, forget_bias=0.0)) == "MinLSTM(4, forget_bias=0.0)"
