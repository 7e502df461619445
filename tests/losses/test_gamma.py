"""Factorials and deviances against scipy's and against the formula in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from seqjax.losses.gamma import FAR, NEAR, SERIES_FROM, deviance, stirling

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_stirling_is_what_the_formula_leaves(x64):
    x = np.concatenate(
        [[0, 1e-300, 1e-3, 0.5], np.linspace(1, 2 * SERIES_FROM, 77), 10.0 ** np.arange(2, 7)]
    )
    wanted = special.gammaln(x + 1) - special.xlogy(x, x) + x
    np.testing.assert_allclose(stirling(x), wanted, rtol=1e-8, atol=1e-11)
    slopes = jax.vmap(jax.grad(stirling))(jnp.asarray(x[2:]))
    np.testing.assert_allclose(slopes, special.digamma(x[2:] + 1) - np.log(x[2:]), rtol=1e-7)


def test_stirling_of_large_numbers_in_float32():
    x = np.float32([1e4, 1e6, 1e8, 1e12, 1e30])
    np.testing.assert_allclose(
        stirling(x), np.log(2 * np.pi * x.astype(float)) / 2 + 1 / 12 / x, rtol=2e-7
    )


def test_the_deviance_is_the_formula(x64):
    y, expected = np.meshgrid([0, 1e-3, 1, 7.5, 8, 8.5, 1e6], [1e-6, 1, 7.4, 8, 1e6])
    found = deviance(y, expected, y - expected)
    np.testing.assert_allclose(found, special.kl_div(y, expected), rtol=1e-9, atol=1e-12)
    slope = jax.vmap(jax.grad(lambda e, y: deviance(y, e, y - e)))(
        jnp.asarray(expected.ravel()), jnp.asarray(y.ravel())
    )
    np.testing.assert_allclose(slope, (1 - y / expected).ravel(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("edge", [NEAR, FAR])
def test_the_deviance_has_no_step_where_its_form_changes(edge):
    v = np.float32([edge * (1 - 1e-6), edge * (1 + 1e-6)])
    y, expected = np.float32(1 + v), np.float32(1 - v)
    values = deviance(y, expected, y - expected)
    np.testing.assert_allclose(
        values, special.kl_div(y.astype(float), expected.astype(float)), rtol=2e-6
    )
