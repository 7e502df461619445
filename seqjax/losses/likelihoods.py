"""Likelihoods of forecasts: what a network's numbers say about a value to come.

A family of distributions takes `size` numbers for each value, brings them into its parameters'
range and scales them to the series (Salinas et al., 2017, "DeepAR"). A new family is a frozen
dataclass with `size`, `parameters`, `log_prob`, `sample` and `mean`.
"""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.nn import softplus
from jax.scipy.special import betaln
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.losses.gamma import deviance, stirling
from seqjax.typing import KeyArray

LEAST = 1e-6
"""The smallest width, rate or shape, so that no density is infinite."""

Parameters = tuple[Any, ...]
"""Of a distribution, each `[*batch]`; the families say which."""


class Likelihood:
    """A family of distributions; `size` numbers `[*batch, size]` say which of them a value `[*batch]` comes from."""

    @property
    def size(self) -> int:
        """How many numbers a value takes."""
        raise NotImplementedError

    def parameters(self, raw: Float[Array, "*batch size"], scale: ArrayLike = 1.0) -> Parameters:
        """What the numbers mean, for a series whose values are about as large as `scale` `[*batch]`."""
        raise NotImplementedError

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Float[Array, "*batch"]:
        """The log density (of counts: the log probability) of values, in nats."""
        raise NotImplementedError

    def sample(self, key: KeyArray, parameters: Parameters) -> Float[Array, "*batch"]:
        """One draw for each value."""
        raise NotImplementedError

    def mean(self, parameters: Parameters) -> Float[Array, "*batch"]:
        """The expected values."""
        raise NotImplementedError

    def loss(
        self, raw: Float[Array, "*batch size"], y: ArrayLike, scale: ArrayLike = 1.0
    ) -> Float[Array, "*batch"]:
        """What each value costs: minus its log density.

        Args:
          raw: the network's numbers.
          y: the values that came.
          scale: how large the series' values are, of a shape that broadcasts to `y`'s.

        Returns:
          Nats, not yet averaged: `seqjax.losses.masked_mean` does that.
        """
        return -self.log_prob(self.parameters(raw, scale), y)


def _positive(raw: Array) -> Array:
    return softplus(raw) + LEAST


class _LocationScale(Likelihood):
    """A fixed shape, moved and widened: parameters `(location, width)`."""

    size: ClassVar[int] = 2  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw, scale=1.0):
        """`(location, width)`."""
        return raw[..., 0] * scale, _positive(raw[..., 1]) * scale

    def mean(self, parameters):
        """The location."""
        return parameters[0]


@dataclasses.dataclass(frozen=True)
class Normal(_LocationScale):
    """The normal distribution; parameters `(mean, standard deviation)`."""

    def log_prob(self, parameters, y):
        """`-z^2 / 2 - log(deviation) - log(2 pi) / 2`, z the value standardised."""
        mean, deviation = parameters
        return -(((y - mean) / deviation) ** 2) / 2 - jnp.log(deviation) - math.log(2 * math.pi) / 2

    def sample(self, key, parameters):
        """One draw for each value."""
        mean, deviation = parameters
        return mean + deviation * jax.random.normal(key, mean.shape, mean.dtype)


@dataclasses.dataclass(frozen=True)
class Laplace(_LocationScale):
    """The double exponential, whose likeliest location is a median; parameters `(median, width)`."""

    def log_prob(self, parameters, y):
        """`-|y - median| / width - log(2 width)`."""
        median, width = parameters
        return -jnp.abs(y - median) / width - jnp.log(2 * width)

    def sample(self, key, parameters):
        """One draw for each value."""
        median, width = parameters
        return median + width * jax.random.laplace(key, median.shape, median.dtype)


@dataclasses.dataclass(frozen=True)
class StudentT(Likelihood):
    """Student's t, whose heavy tails forgive outliers; parameters `(location, width, degrees)`.

    The degrees of freedom stay above 2, so that the variance exists.
    """

    size: ClassVar[int] = 3  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw, scale=1.0):
        """`(location, width, degrees of freedom)`."""
        return raw[..., 0] * scale, _positive(raw[..., 1]) * scale, 2 + _positive(raw[..., 2])

    def log_prob(self, parameters, y):
        """`log c - (degrees + 1) / 2 log(1 + z^2 / degrees) - log(width)`."""
        location, width, degrees = parameters
        z = (y - location) / width
        constant = -betaln(0.5, degrees / 2) - jnp.log(degrees) / 2
        return constant - (degrees + 1) / 2 * jnp.log1p(z * z / degrees) - jnp.log(width)

    def sample(self, key, parameters):
        """One draw for each value: its radius and its angle in the plane (Bailey, 1994), which wants no rejection.

        `location + width sqrt(degrees (u^(-2 / degrees) - 1)) cos(2 pi v)`, u and v uniform.
        """
        location, width, degrees = parameters
        of_radius, of_angle = jax.random.split(key)
        u, v = (
            jax.random.uniform(part, location.shape, location.dtype)
            for part in (of_radius, of_angle)
        )
        # 1 - u is as uniform as u and never 0.
        radius = jnp.sqrt(degrees * jnp.expm1(-2 / degrees * jnp.log1p(-u)))
        return location + width * radius * jnp.cos(2 * jnp.pi * v)

    def mean(self, parameters):
        """The location."""
        return parameters[0]


@dataclasses.dataclass(frozen=True)
class Poisson(Likelihood):
    """Counts as spread out as they are large; parameters `(rate,)`."""

    size: ClassVar[int] = 1  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw, scale=1.0):
        """`(rate,)`."""
        return (_positive(raw[..., 0]) * scale,)

    def log_prob(self, parameters, y):
        """`y log(rate) - rate - log(y!)`, each term of which is far larger than the sum where counts are large.

        Hence the form of Loader (2000): both `log(y!)` and `y log(y) - y` are left out, and their
        difference is known.
        """
        (rate,) = parameters
        y = jnp.asarray(y, jnp.result_type(rate, jnp.float32))
        return -stirling(y) - deviance(y, rate, y - rate)

    def sample(self, key, parameters):
        """One count for each value."""
        return _counts(key, parameters[0])

    def mean(self, parameters):
        """The rate."""
        return parameters[0]


@dataclasses.dataclass(frozen=True)
class NegativeBinomial(Likelihood):
    """Counts more spread out than Poisson's: variance `mean + shape mean^2`; parameters `(mean, shape)`.

    A series twice as large has twice the mean and `1 / sqrt 2` of the shape (Salinas et al., 2017,
    equation 4 ff.).
    """

    size: ClassVar[int] = 2  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw, scale=1.0):
        """`(mean, shape)`."""
        return _positive(raw[..., 0]) * scale, _positive(raw[..., 1]) / jnp.sqrt(scale)

    def log_prob(self, parameters, y):
        """`log C(y + n - 1, y) - n log(1 + shape mean) + y log(shape mean / (1 + shape mean))`, `n = 1 / shape`.

        In the form of Loader (2000), as Poisson's: of n failures and y successes, both of which
        stray from what is expected by `n (y - mean) / (n + mean)`.
        """
        mean, shape = parameters
        y, n = jnp.asarray(y, jnp.result_type(mean, jnp.float32)), 1 / shape
        share = 1 / (1 + shape * mean)
        astray = share * (y - mean)
        ways = stirling(n + y) - stirling(n) - stirling(y) - jnp.log1p(shape * y)
        return (
            ways
            - deviance(n, (n + y) * share, -astray)
            - deviance(y, (n + y) * share * shape * mean, astray)
        )

    def sample(self, key, parameters):
        """One count for each value: Poisson's with a gamma-distributed rate."""
        mean, shape = parameters
        of_rate, of_count = jax.random.split(key)
        return _counts(of_count, jax.random.gamma(of_rate, 1 / shape) * shape * mean)

    def mean(self, parameters):
        """The mean."""
        return parameters[0]


def _counts(key: KeyArray, rate: Array) -> Array:
    return jax.random.poisson(key, rate).astype(rate.dtype)


@dataclasses.dataclass(frozen=True)
class Mixture(Likelihood):
    """Several distributions of one family, each with a weight; parameters `(log weights, *those of the family)`.

    Every parameter is `[*batch, count]`.

    Attributes:
      component: the family.
      count: how many of it.
    """

    component: Likelihood
    count: int

    @property
    def size(self) -> int:
        """A weight and the component's numbers, `count` times."""
        return self.count * (1 + self.component.size)

    def parameters(self, raw, scale=1.0):
        """`(log weights, *the component's)`."""
        parts = raw[..., self.count :].reshape(*raw.shape[:-1], self.count, self.component.size)
        weights = jax.nn.log_softmax(raw[..., : self.count])
        return weights, *self.component.parameters(parts, jnp.asarray(scale)[..., None])

    def log_prob(self, parameters, y):
        """The log of the weighted sum of the components' densities."""
        weights, *parts = parameters
        return jax.nn.logsumexp(
            weights + self.component.log_prob(tuple(parts), jnp.asarray(y)[..., None]), axis=-1
        )

    def sample(self, key, parameters):
        """One draw for each value, from a component drawn by weight."""
        weights, *parts = parameters
        of_component, of_value = jax.random.split(key)
        chosen = jax.random.categorical(of_component, weights)[..., None]
        picked = tuple(jnp.take_along_axis(part, chosen, axis=-1)[..., 0] for part in parts)
        return self.component.sample(of_value, picked)

    def mean(self, parameters):
        """The weighted mean of the components'."""
        weights, *parts = parameters
        return (jnp.exp(weights) * self.component.mean(tuple(parts))).sum(-1)


@dataclasses.dataclass(frozen=True)
class Quantile(Likelihood):
    """No density but some quantiles, each learnt by the pinball loss (Koenker and Bassett, 1978).

    The parameters are `(quantiles [*batch, levels],)`, sorted, for those of a network may cross
    (Chernozhukov et al., 2010). With the one level 0.5 this is the absolute error, and a median.

    Attributes:
      levels: between 0 and 1, ascending.

    Raises:
      ValueError: no level, one out of range, or they do not ascend.
    """

    levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)

    def __post_init__(self):
        edges = (0.0, *self.levels, 1.0)
        if not self.levels or any(a >= b for a, b in zip(edges, edges[1:], strict=False)):
            raise ValueError(
                f"quantile levels are {self.levels}; give some between 0 and 1, in ascending order"
            )

    @property
    def size(self) -> int:
        """One number for each level."""
        return len(self.levels)

    def parameters(self, raw, scale=1.0):
        """`(quantiles [*batch, levels],)`, in ascending order."""
        return (jnp.sort(raw * jnp.asarray(scale)[..., None], axis=-1),)

    def loss(self, raw, y, scale=1.0):
        """The pinball losses, in units of `scale`, averaged over the levels."""
        levels = jnp.asarray(self.levels, raw.dtype)
        above = jnp.asarray(y / scale)[..., None] - raw
        return jnp.maximum(levels * above, (levels - 1) * above).mean(-1)

    def sample(self, key, parameters):
        """One draw for each value: between two quantiles evenly, beyond the outermost ones at them."""
        (quantiles,) = parameters
        levels = jnp.asarray(self.levels, quantiles.dtype)
        draws = jax.random.uniform(key, quantiles.shape[:-1], quantiles.dtype)
        return jnp.vectorize(lambda u, q: jnp.interp(u, levels, q), signature="(),(n)->()")(
            draws, quantiles
        )

    def mean(self, parameters):
        """The median, or what lies there between two levels."""
        (quantiles,) = parameters
        levels = jnp.asarray(self.levels, quantiles.dtype)
        return jnp.vectorize(lambda q: jnp.interp(0.5, levels, q), signature="(n)->()")(quantiles)


@dataclasses.dataclass(frozen=True)
class SquaredError(Likelihood):
    """A point and nothing around it, learnt by its squared error in units of `scale`; parameters `(mean,)`."""

    size: ClassVar[int] = 1  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw, scale=1.0):
        """`(mean,)`."""
        return (raw[..., 0] * scale,)

    def loss(self, raw, y, scale=1.0):
        """The squared errors, in units of `scale`."""
        return (raw[..., 0] - y / scale) ** 2

    def sample(self, key, parameters):
        """The mean itself."""
        return parameters[0]

    def mean(self, parameters):
        """The mean."""
        return parameters[0]
