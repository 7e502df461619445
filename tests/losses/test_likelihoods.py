"""Likelihoods against scipy's densities and their own moments."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from seqjax.losses import likelihoods
from seqjax.losses.likelihoods import (
    Laplace,
    Mixture,
    NegativeBinomial,
    Normal,
    Poisson,
    Quantile,
    SquaredError,
    StudentT,
)

pytestmark = pytest.mark.usefixtures("quick_compile")

RNG = np.random.default_rng(0)
SCALE = np.array([0.5, 1.0, 7.0, 300.0])


def softplus(x):
    return np.log1p(np.exp(x))


def frozen(family, raw, scale):
    """scipy's distribution for one value's numbers, from the definitions."""
    plus = softplus(raw) + likelihoods.LEAST
    match family:
        case Normal():
            return stats.norm(raw[0] * scale, plus[1] * scale)
        case Laplace():
            return stats.laplace(raw[0] * scale, plus[1] * scale)
        case StudentT():
            return stats.t(2 + plus[2], raw[0] * scale, plus[1] * scale)
        case Poisson():
            return stats.poisson(plus[0] * scale)
        case NegativeBinomial():
            mean, n = plus[0] * scale, np.sqrt(scale) / plus[1]
            return stats.nbinom(n, n / (n + mean))


FAMILIES = [Normal(), Laplace(), StudentT(), Poisson(), NegativeBinomial()]
COUNTS = (Poisson, NegativeBinomial)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_log_densities_are_scipys(x64, family):
    raw = RNG.normal(size=(4, family.size))
    for row, scale in zip(raw, SCALE, strict=True):
        reference = frozen(family, row, scale)
        y = reference.ppf([0.02, 0.4, 0.97])
        wanted = (reference.logpmf if isinstance(family, COUNTS) else reference.logpdf)(y)
        found = -family.loss(jnp.broadcast_to(row, (3, family.size)), y, scale)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_the_gradient_is_that_of_scipys_log_density(x64, family):
    raw, scale = RNG.normal(size=family.size), 3.0
    y = frozen(family, raw, scale).ppf(0.8)

    def density(numbers):
        reference = frozen(family, numbers, scale)
        return (reference.logpmf if isinstance(family, COUNTS) else reference.logpdf)(y)

    steps = 1e-5 * np.eye(family.size)
    wanted = [(density(raw + step) - density(raw - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(
        -jax.grad(family.loss)(jnp.asarray(raw), jnp.asarray(y), scale), wanted, rtol=1e-4
    )


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_draws_have_scipys_moments(family):
    raw = np.array([0.3, 0.5, 4.0][: family.size])
    reference = frozen(family, raw, 20.0)
    parameters = family.parameters(
        jnp.broadcast_to(jnp.asarray(raw, jnp.float32), (20_000, family.size)), 20.0
    )
    draws = np.asarray(jax.jit(family.sample)(jax.random.key(1), parameters))
    spread = reference.std()
    assert abs(draws.mean() - reference.mean()) < 5 * spread / 141
    np.testing.assert_allclose(draws.std(), spread, rtol=0.07)
    np.testing.assert_allclose(family.mean(parameters)[0], reference.mean(), rtol=1e-5)
    for share in (0.1, 0.5, 0.9):
        # Of counts a whole lump lies at the quantile: compare the shares on both of its sides.
        edge = reference.ppf(share)
        assert abs((draws <= edge).mean() - reference.cdf(edge)) < 0.02


SIZES = np.float32([0.3, 1, 3, 9, 30, 1e3, 1e5, 1e6, 1e7])


def counts_around(means):
    """Counts from 0 to thrice the mean, most of them near it, `[means, counts]`."""
    near = means[:, None] + np.sqrt(means)[:, None] * np.linspace(-4, 4, 17)
    far = means[:, None] * np.array([0, 1e-3, 0.5, 0.8, 1.2, 3])
    return np.rint(np.maximum(np.concatenate([near, far], axis=1), 0)).astype(np.float32)


def test_large_counts_keep_their_precision_in_float32():
    y = counts_around(SIZES)
    found = Poisson().log_prob((jnp.asarray(SIZES[:, None]),), jnp.asarray(y))
    wanted = stats.poisson(SIZES[:, None].astype(float)).logpmf(y)
    np.testing.assert_allclose(found, wanted, rtol=4e-6, atol=4e-6)
    slope = jax.grad(lambda rate: Poisson().log_prob((rate,), jnp.asarray(y)).sum())(
        jnp.broadcast_to(SIZES[:, None], y.shape)
    )
    np.testing.assert_allclose(slope, y.astype(float) / SIZES[:, None] - 1, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", np.float32([1e-6, 1e-3, 0.1, 4.0]))
def test_large_spread_out_counts_keep_their_precision_in_float32(shape):
    n, y = 1 / np.float64(shape), counts_around(SIZES)
    means = SIZES[:, None].astype(float)
    found = NegativeBinomial().log_prob((jnp.asarray(SIZES[:, None]), shape), jnp.asarray(y))
    np.testing.assert_allclose(
        found, stats.nbinom(n, n / (n + means)).logpmf(y), rtol=4e-6, atol=1e-5
    )


@pytest.mark.parametrize("degrees", np.float32([2.1, 30, 1e4, 1e7]))
def test_many_degrees_of_freedom_keep_their_precision_in_float32(degrees):
    z = np.linspace(-9, 9, 13, dtype=np.float32)
    found = StudentT().log_prob((0.0, 1.0, degrees), z)
    np.testing.assert_allclose(
        found, stats.t(float(degrees)).logpdf(z.astype(float)), rtol=1e-6, atol=4e-6
    )


def test_counts_that_cannot_be_have_no_probability():
    assert Poisson().log_prob((jnp.array(2.0),), jnp.array(-1.0)) == -jnp.inf


def test_a_mixture_is_the_weighted_sum_of_its_parts(x64):
    family, scale = Mixture(StudentT(), 3), 4.0
    raw = RNG.normal(size=family.size)
    assert family.size == 12
    weights = np.exp(raw[:3]) / np.exp(raw[:3]).sum()
    parts = [frozen(StudentT(), raw[3 + 3 * k : 6 + 3 * k], scale) for k in range(3)]
    y = np.array([-3.0, 0.0, 9.0])
    wanted = np.log(sum(w * part.pdf(y) for w, part in zip(weights, parts, strict=True)))
    np.testing.assert_allclose(
        -family.loss(jnp.broadcast_to(raw, (3, 12)), y, scale), wanted, rtol=1e-7
    )
    parameters = family.parameters(jnp.broadcast_to(raw, (20_000, 12)), scale)
    draws = np.asarray(family.sample(jax.random.key(0), parameters))
    np.testing.assert_allclose(
        family.mean(parameters)[0], weights @ [part.mean() for part in parts], rtol=1e-7
    )
    for edge in (-2.0, 0.0, 3.0):
        assert (
            abs(
                (draws < edge).mean()
                - sum(w * p.cdf(edge) for w, p in zip(weights, parts, strict=True))
            )
            < 0.02
        )


def test_a_mixture_scales_each_row_by_its_own():
    family = Mixture(Normal(), 2)
    raw = jnp.asarray(RNG.normal(size=(3, family.size)), jnp.float32)
    together = family.loss(raw, jnp.ones(3), jnp.array([1.0, 2.0, 5.0]))
    apart = [
        family.loss(raw[row], jnp.array(1.0), scale) for row, scale in enumerate((1.0, 2.0, 5.0))
    ]
    np.testing.assert_allclose(together, apart, rtol=1e-5)


def test_the_pinball_loss_is_smallest_at_the_quantile(x64):
    family, y = Quantile((0.1, 0.5, 0.8)), RNG.gamma(2.0, size=401)
    best = np.quantile(y, family.levels)

    @functools.partial(jnp.vectorize, signature="(q)->()")
    def mean_loss(quantiles):
        return family.loss(jnp.broadcast_to(quantiles, (401, 3)), jnp.asarray(y)).mean()

    others = best + 0.05 * RNG.normal(size=(50, 3))
    assert (mean_loss(others) > mean_loss(best)).all()
    one = family.loss(jnp.array([1.0, 2.0, 5.0]), jnp.array(8.0), 2.0)
    np.testing.assert_allclose(one, (0.1 * 3.0 + 0.5 * 2.0 + 0.2 * 1.0) / 3)


def test_quantiles_are_sorted_scaled_and_drawn_from():
    family = Quantile((0.25, 0.5, 0.75))
    raw = jnp.broadcast_to(jnp.array([2.0, 0.0, 1.0]), (20_000, 3))
    (quantiles,) = parameters = family.parameters(raw, 10.0)
    np.testing.assert_array_equal(quantiles[0], [0.0, 10.0, 20.0])
    np.testing.assert_array_equal(family.mean(parameters)[0], 10.0)
    draws = np.asarray(family.sample(jax.random.key(0), parameters))
    assert draws.min() == 0 and draws.max() == 20
    assert abs((draws < 5).mean() - 0.375) < 0.02 and abs((draws < 15).mean() - 0.625) < 0.02


@pytest.mark.parametrize("levels", [(), (0.5, 0.1), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0)])
def test_levels_that_are_none(levels):
    with pytest.raises(ValueError, match="in ascending order"):
        Quantile(levels)


def test_the_squared_error_is_in_units_of_the_scale():
    family = SquaredError()
    np.testing.assert_allclose(family.loss(jnp.array([1.0]), jnp.array(8.0), 4.0), 1.0)
    np.testing.assert_allclose(family.mean(family.parameters(jnp.array([1.5]), 4.0)), 6.0)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_extreme_numbers_stay_finite(family):
    raw = jnp.full((2, family.size), jnp.array([[-80.0], [80.0]]))
    values = family.loss(raw, jnp.full(2, 3.0), 10.0)
    gradients = jax.grad(lambda raw: family.loss(raw, jnp.full(2, 3.0), 10.0).sum())(raw)
    assert np.isfinite(values).all() and np.isfinite(gradients).all()
