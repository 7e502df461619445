"""Spectra of maps whose spectra are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import seqjax
from seqjax import diagnostics
from tests.recurrences import RECURRENCES, draw_inputs, draw_params

pytestmark = pytest.mark.usefixtures("quick_compile")


def linear(w):
    """A relu network that is linear on the positive orthant: h' = h W + b."""
    w = jnp.asarray(w, jnp.float32)
    return seqjax.Elman(len(w), activation="relu"), {
        "w_x": jnp.zeros((1, len(w))),
        "w_h": w,
        "b": jnp.ones(len(w)),
    }


def test_a_linear_map_has_its_own_singular_values_and_exponents():
    w = np.array([[0.5, 0.3, 0.0], [0.0, 0.9, 0.2], [0.0, 0.0, 0.1]])
    cell, params = linear(w)
    spectrum = diagnostics.jacobian_spectrum(cell, params, jnp.zeros((120, 1)), jnp.ones(3))
    np.testing.assert_allclose(spectrum.steps[7], np.linalg.svd(w, compute_uv=False), rtol=1e-5)
    np.testing.assert_allclose(spectrum.exponents, np.log([0.9, 0.5, 0.1]), atol=0.02)
    power = np.linalg.matrix_power(w, 3)
    np.testing.assert_allclose(
        spectrum.products[-3], np.log(np.linalg.svd(power, compute_uv=False)), atol=1e-3
    )
    assert spectrum.products.shape == (120, 3)


@pytest.mark.parametrize("factor, start", [(3.0, 1e-30), (0.2, 1.0)])
def test_products_neither_overflow_nor_vanish(factor, start):
    """3^100 and 0.2^100 are beyond float32; their logarithms are not."""
    cell, params = linear(np.eye(2) * factor)
    params["b"] = jnp.zeros(2) if factor > 1 else params["b"]
    spectrum = diagnostics.jacobian_spectrum(cell, params, jnp.zeros((100, 1)), jnp.full(2, start))
    np.testing.assert_allclose(
        spectrum.products[:, 0], np.arange(100, 0, -1) * np.log(factor), rtol=1e-4
    )


@pytest.mark.parametrize("name", ["stack", "lru"])
def test_products_equal_the_jacobian_of_the_whole_way(name):
    recurrence = RECURRENCES[name]
    params, xs = draw_params(recurrence), jnp.asarray(draw_inputs((4,)))
    spectrum = diagnostics.jacobian_spectrum(recurrence, params, xs)
    state, _ = seqjax.unroll(recurrence, params, xs[:1])
    flat, restore = ravel_pytree(jax.tree.map(split, state))

    def whole(flat):
        before = jax.tree.map(
            lambda a, s: jax.lax.complex(*a) if jnp.iscomplexobj(s) else a, restore(flat), state
        )
        after, _ = seqjax.unroll(recurrence, params, xs[1:], before, backend="scan")
        return ravel_pytree(jax.tree.map(split, after))[0]

    wanted = np.linalg.svd(jax.jacrev(whole)(flat), compute_uv=False)
    np.testing.assert_allclose(np.exp(spectrum.products[1]), wanted, rtol=1e-3, atol=1e-5)


def split(leaf):
    return jnp.stack([leaf.real, leaf.imag]) if jnp.iscomplexobj(leaf) else leaf


def test_radius():
    rotation = 0.7 * np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(diagnostics.spectral_radius(rotation), 0.7, rtol=1e-6)
    w = jax.random.normal(jax.random.key(0), (20, 20))
    scaled = diagnostics.with_spectral_radius(w, 1.3)
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(scaled)).max(), 1.3, rtol=1e-4)
    np.testing.assert_allclose(scaled / w, (scaled / w)[0, 0], rtol=1e-4)


def test_mistakes():
    with pytest.raises(ValueError, match="square"):
        diagnostics.spectral_radius(jnp.ones((2, 6)))
    with pytest.raises(ValueError, match="above 0"):
        diagnostics.with_spectral_radius(jnp.eye(2), 0.0)
    both = seqjax.bidirectional(seqjax.GRU(2))
    with pytest.raises(ValueError, match="reads the future"):
        diagnostics.jacobian_spectrum(both, draw_params(both), jnp.ones((3, 3)))
    gru = seqjax.GRU(2)
    for shape in ((0, 3), (2, 4, 3)):
        with pytest.raises(ValueError, match="one row"):
            diagnostics.jacobian_spectrum(gru, draw_params(gru), jnp.ones(shape))
