"""Likelihoods of forecasts: distributions of a value to come, given by a network's numbers.

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

Raw = Float[Array, "*batch size"]
"""A network's numbers, not yet in the parameters' range."""

Values = Float[Array, "*batch"]


class Likelihood:
    """A family of distributions; `size` numbers say which of them a value comes from."""

    @property
    def size(self) -> int:
        """Returns how many numbers a value takes."""
        raise NotImplementedError

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns the parameters, for a series whose values are about as large as `scale`."""
        raise NotImplementedError

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Values:
        """Returns the log density (of counts: the log probability) of values, in nats."""
        raise NotImplementedError

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws one value from each distribution."""
        raise NotImplementedError

    def mean(self, parameters: Parameters) -> Values:
        """Returns the expected values."""
        raise NotImplementedError

    def loss(self, raw: Raw, y: ArrayLike, scale: ArrayLike = 1.0) -> Values:
        """Returns minus the log density of each value.

        Args:
          raw: the network's numbers.
          y: the values that came.
          scale: how large the series' values are, of a shape that broadcasts to `y`'s.

        Returns:
          Nats, not yet averaged: `seqjax.losses.masked_mean` does that.
        """
        return -self.log_prob(self.parameters(raw, scale), y)


def _inner(values: ArrayLike) -> Array:
    """Gives `[*batch]` values an axis within each, `[*batch, 1]`; one number for all stays one."""
    values = jnp.asarray(values)
    return values[..., None] if values.ndim else values


def _positive(raw: Array) -> Array:
    """Brings a number above 0."""
    return softplus(raw) + LEAST


class _LocationScale(Likelihood):
    """A fixed shape, moved and widened: parameters `(location, width)`."""

    size: ClassVar[int] = 2  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns `(location, width)`."""
        return raw[..., 0] * scale, _positive(raw[..., 1]) * scale

    def mean(self, parameters: Parameters) -> Values:
        """Returns the location."""
        return parameters[0]


@dataclasses.dataclass(frozen=True)
class Normal(_LocationScale):
    """Normal distribution; parameters `(mean, standard deviation)`."""

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Values:
        """Returns `-z^2 / 2 - log(deviation) - log(2 pi) / 2`, z the value standardised."""
        mean, deviation = parameters
        z = (y - mean) / deviation  # [*batch]
        return -(z**2) / 2 - jnp.log(deviation) - math.log(2 * math.pi) / 2

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws one value from each distribution."""
        mean, deviation = parameters
        return mean + deviation * jax.random.normal(key, mean.shape, mean.dtype)


@dataclasses.dataclass(frozen=True)
class Laplace(_LocationScale):
    """Double exponential, whose likeliest location is a median; parameters `(median, width)`."""

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Values:
        """Returns `-|y - median| / width - log(2 width)`."""
        median, width = parameters
        return -jnp.abs(y - median) / width - jnp.log(2 * width)

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws one value from each distribution."""
        median, width = parameters
        return median + width * jax.random.laplace(key, median.shape, median.dtype)


@dataclasses.dataclass(frozen=True)
class StudentT(Likelihood):
    """Student's t, whose heavy tails forgive outliers; parameters `(location, width, degrees)`.

    The degrees of freedom stay above 2, so that the variance exists.
    """

    size: ClassVar[int] = 3  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns `(location, width, degrees of freedom)`."""
        return raw[..., 0] * scale, _positive(raw[..., 1]) * scale, 2 + _positive(raw[..., 2])

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Values:
        """Returns `log c - (degrees + 1) / 2 log(1 + z^2 / degrees) - log(width)`."""
        location, width, degrees = parameters
        z = (y - location) / width
        # log c of the density, [*batch].
        constant = -betaln(0.5, degrees / 2) - jnp.log(degrees) / 2
        return constant - (degrees + 1) / 2 * jnp.log1p(z * z / degrees) - jnp.log(width)

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws a radius and an angle in the plane (Bailey, 1994), which wants no rejection.

        `location + width sqrt(degrees (u^(-2 / degrees) - 1)) cos(2 pi v)`, u and v uniform.
        """
        location, width, degrees = parameters
        of_radius, of_angle = jax.random.split(key)
        # Both [*batch], in [0, 1).
        u = jax.random.uniform(of_radius, location.shape, location.dtype)
        v = jax.random.uniform(of_angle, location.shape, location.dtype)
        # 1 - u is as uniform as u and never 0.
        radius = jnp.sqrt(degrees * jnp.expm1(-2 / degrees * jnp.log1p(-u)))
        return location + width * radius * jnp.cos(2 * jnp.pi * v)

    def mean(self, parameters: Parameters) -> Values:
        """Returns the location."""
        return parameters[0]


@dataclasses.dataclass(frozen=True)
class Poisson(Likelihood):
    """Counts as spread out as they are large; parameters `(rate,)`."""

    size: ClassVar[int] = 1  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns `(rate,)`."""
        return (_positive(raw[..., 0]) * scale,)

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Values:
        """Returns `y log(rate) - rate - log(y!)`.

        Where counts are large, each term is far larger than the sum. Hence the form of Loader
        (2000): both `log(y!)` and `y log(y) - y` are left out, and their difference is known.
        """
        (rate,) = parameters
        y = jnp.asarray(y, jnp.result_type(rate, jnp.float32))
        return -stirling(y) - deviance(y, rate, y - rate)

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws one count from each distribution."""
        return _counts(key, parameters[0])

    def mean(self, parameters: Parameters) -> Values:
        """Returns the rate."""
        return parameters[0]


@dataclasses.dataclass(frozen=True)
class NegativeBinomial(Likelihood):
    """Counts more spread out than Poisson's; parameters `(mean, shape)`.

    The variance is `mean + shape mean^2`. A series twice as large has twice the mean and
    `1 / sqrt 2` of the shape (Salinas et al., 2017, equation 4 ff.).
    """

    size: ClassVar[int] = 2  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns `(mean, shape)`."""
        return _positive(raw[..., 0]) * scale, _positive(raw[..., 1]) / jnp.sqrt(scale)

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Values:
        """Returns `log C(y + n - 1, y) - n log(1 + shape mean) + y log(shape mean share)`.

        Here `n = 1 / shape` and `share = 1 / (1 + shape mean)`. In the form of Loader (2000), as
        Poisson's: of n failures and y successes, both of which stray from what is expected by
        `n (y - mean) / (n + mean)`.
        """
        mean, shape = parameters
        y, n = jnp.asarray(y, jnp.result_type(mean, jnp.float32)), 1 / shape
        # The probability of a failure, and how far the value is from what is expected.
        share = 1 / (1 + shape * mean)
        astray = share * (y - mean)
        # What Stirling's formula leaves of the binomial coefficient; then both deviances.
        ways = stirling(n + y) - stirling(n) - stirling(y) - jnp.log1p(shape * y)
        return (
            ways
            - deviance(n, (n + y) * share, -astray)
            - deviance(y, (n + y) * share * shape * mean, astray)
        )

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws one count from each: Poisson's with a gamma-distributed rate."""
        mean, shape = parameters
        of_rate, of_count = jax.random.split(key)
        return _counts(of_count, jax.random.gamma(of_rate, 1 / shape) * shape * mean)

    def mean(self, parameters: Parameters) -> Values:
        """Returns the mean."""
        return parameters[0]


def _counts(key: KeyArray, rate: Array) -> Array:
    return jax.random.poisson(key, rate).astype(rate.dtype)


@dataclasses.dataclass(frozen=True)
class Mixture(Likelihood):
    """Several distributions of one family, each with a weight.

    The parameters are `(log weights, *those of the family)`, each `[*batch, count]`.

    Attributes:
      component: the family.
      count: how many of it.
    """

    component: Likelihood
    count: int

    @property
    def size(self) -> int:
        """Returns `count` times a weight and the component's numbers."""
        return self.count * (1 + self.component.size)

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns `(log weights, *the component's)`."""
        # The weights first, [*batch, count]; then the components', [*batch, count, size].
        parts = raw[..., self.count :].reshape(*raw.shape[:-1], self.count, self.component.size)
        weights = jax.nn.log_softmax(raw[..., : self.count])
        return weights, *self.component.parameters(parts, _inner(scale))

    def log_prob(self, parameters: Parameters, y: ArrayLike) -> Values:
        """Returns the log of the weighted sum of the components' densities."""
        weights, *parts = parameters
        # Of each component, [*batch, count].
        log_probs = self.component.log_prob(tuple(parts), _inner(y))
        return jax.nn.logsumexp(weights + log_probs, axis=-1)

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws one value from each, from a component drawn by weight."""
        weights, *parts = parameters
        of_component, of_value = jax.random.split(key)
        # The component of each, [*batch, 1], and its parameters, [*batch].
        chosen = jax.random.categorical(of_component, weights)[..., None]
        picked = tuple(jnp.take_along_axis(part, chosen, axis=-1)[..., 0] for part in parts)
        return self.component.sample(of_value, picked)

    def mean(self, parameters: Parameters) -> Values:
        """Returns the weighted mean of the components' means."""
        weights, *parts = parameters
        # Weights and means of the components, [*batch, count].
        return (jnp.exp(weights) * self.component.mean(tuple(parts))).sum(-1)


@dataclasses.dataclass(frozen=True)
class Quantile(Likelihood):
    """Some quantiles and no density, each learnt by the pinball loss (Koenker and Bassett, 1978).

    The parameters are `(quantiles [*batch, levels],)`, sorted, for those of a network may cross
    (Chernozhukov et al., 2010). With the one level 0.5 this is the absolute error, and a median.

    Attributes:
      levels: between 0 and 1, ascending.

    Raises:
      ValueError: no level, one out of range, or they do not ascend.
    """

    levels: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)

    def __post_init__(self) -> None:
        # In order between the edges: each is above the one before it.
        edges = (0.0, *self.levels, 1.0)
        if not self.levels or any(a >= b for a, b in zip(edges, edges[1:], strict=False)):
            raise ValueError(
                f"quantile levels are {self.levels}; give some between 0 and 1, in ascending order"
            )

    @property
    def size(self) -> int:
        """Returns the number of levels: one number for each."""
        return len(self.levels)

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns `(quantiles [*batch, levels],)`, in ascending order."""
        return (jnp.sort(raw * _inner(scale), axis=-1),)

    def loss(self, raw: Raw, y: ArrayLike, scale: ArrayLike = 1.0) -> Values:
        """Returns the pinball losses, in units of `scale`, averaged over the levels."""
        # How far each value is above each quantile, [*batch, levels].
        above = _inner(y / scale) - raw
        levels = jnp.broadcast_to(jnp.asarray(self.levels, raw.dtype), above.shape)
        # A value above the quantile costs the level, one below it the rest.
        return jnp.maximum(levels * above, (levels - 1) * above).mean(-1)

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Draws evenly between two quantiles, and beyond the outermost ones takes these."""
        (quantiles,) = parameters
        levels = jnp.asarray(self.levels, quantiles.dtype)
        # The quantile function at a level drawn evenly, [*batch].
        draws = jax.random.uniform(key, quantiles.shape[:-1], quantiles.dtype)
        at = jnp.vectorize(lambda u, q: jnp.interp(u, levels, q), signature="(),(n)->()")
        return at(draws, quantiles)

    def mean(self, parameters: Parameters) -> Values:
        """Returns the median, interpolated between two levels where it is none of them."""
        (quantiles,) = parameters
        levels = jnp.asarray(self.levels, quantiles.dtype)
        return jnp.vectorize(lambda q: jnp.interp(0.5, levels, q), signature="(n)->()")(quantiles)


@dataclasses.dataclass(frozen=True)
class SquaredError(Likelihood):
    """A point and nothing around it, learnt by its squared error; parameters `(mean,)`."""

    size: ClassVar[int] = 1  # pyright: ignore[reportIncompatibleMethodOverride]

    def parameters(self, raw: Raw, scale: ArrayLike = 1.0) -> Parameters:
        """Returns `(mean,)`."""
        return (raw[..., 0] * scale,)

    def loss(self, raw: Raw, y: ArrayLike, scale: ArrayLike = 1.0) -> Values:
        """Returns the squared errors, in units of `scale`."""
        return (raw[..., 0] - y / scale) ** 2

    def sample(self, key: KeyArray, parameters: Parameters) -> Values:
        """Returns the mean itself."""
        return parameters[0]

    def mean(self, parameters: Parameters) -> Values:
        """Returns the mean."""
        return parameters[0]
