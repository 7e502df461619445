"""Factorials of large numbers without their large parts, which cancel in a density."""

import math

import jax.numpy as jnp
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from jaxtyping import Array, Float

SERIES_FROM = 10.0
"""From here on the series of `stirling` is exact to 1e-12, float64's rounding in a log density."""

NEAR = 0.1
"""Below this `(y - expected) / (y + expected)` the series of `deviance` is exact in float64."""

FAR = 0.9
"""Above this the logarithms of `y` and of what was expected are far apart."""


def stirling(x: ArrayLike) -> Float[Array, "..."]:
    """`log(x!) - (x log(x) - x)`: what Stirling's formula leaves, about `log(2 pi x) / 2`; 0 at 0.

    Of large numbers by the series in 1 / x, for `log(1e6!)` is 12,815,518 and float32 knows it to 1
    only.

    Args:
      x: at least 0, floating point of any shape.
    """
    x = jnp.asarray(x)
    is_large = x >= SERIES_FROM
    # Each branch sees harmless numbers where the other one counts: no gradient is NaN.
    large = jnp.where(is_large, x, SERIES_FROM)
    inverse = 1 / (large * large)
    # Stirling's series in 1 / x^2, by Horner's scheme; the factor 1 / x comes after it.
    series = 1 / 12 - inverse * (
        1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188))
    )
    of_large = series / large + jnp.log(2 * math.pi * large) / 2

    # x log(x) is 0 at 0, where its derivative is not finite.
    is_positive = x > 0
    small = jnp.where(is_large | ~is_positive, 1.0, x)
    of_small = gammaln(small + 1) - small * jnp.log(small) + small
    return jnp.where(is_large, of_large, jnp.where(is_positive, of_small, gammaln(x + 1)))


def deviance(y: ArrayLike, expected: ArrayLike, difference: ArrayLike) -> Float[Array, "..."]:
    """Computes `y log(y / expected) - (y - expected)`, half of a count's deviance; at least 0.

    Near the expected value it is `d v + 2 y (v^3 / 3 + v^5 / 5 + ...)` with `d = y - expected` and
    `v = d / (y + expected)`, where nothing cancels (Loader, 2000, "Fast and accurate computation of
    binomial probabilities").

    Args:
      y: at least 0, floating point.
      expected: above 0.
      difference: `y - expected`, which the caller may know better than this subtraction does. The
        three broadcast.
    """
    y, expected, difference = jnp.asarray(y), jnp.asarray(expected), jnp.asarray(difference)
    v = difference / (y + expected)
    distance = jnp.abs(v)

    small = jnp.where(distance < NEAR, v, 0.0)
    # v^2 / 3 + v^4 / 5 + ... from the last term to the first.
    square, tail = small * small, 0.0
    for power in range(17, 1, -2):
        tail = (tail + 1 / power) * square
    of_near = difference * small + 2 * y * small * tail

    # log(y / expected): of two logarithms that are nearly equal too little is left, and y may be 0.
    between = jnp.where(distance < FAR, v, 0.0)
    positive = jnp.where(y > 0, y, 1.0)
    apart = jnp.where(y > 0, jnp.log(positive) - jnp.log(expected), 0.0)
    log_ratio = jnp.where(distance < FAR, jnp.log1p(between) - jnp.log1p(-between), apart)
    return jnp.where(distance < NEAR, of_near, y * log_ratio - difference)
