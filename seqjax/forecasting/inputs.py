"""What a forecasting network reads at each step, made of the windows of `PanelWindows`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from seqjax.losses.likelihoods import Likelihood, Mixture, Quantile
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend

Batch = Mapping[str, Any]
"""Windows, see `seqjax.forecasting.PanelWindows`; every array begins with `rows`."""


def without_horizon(batch: Batch, horizon: int) -> Batch:
    """Hides what is to be forecast."""
    time = batch["values"].shape[1]
    seen = batch["seen"] & (jnp.arange(time)[None, :] < time - horizon)
    return {**batch, "values": jnp.where(seen, batch["values"], 0), "seen": seen}


def scaled(batch: Batch) -> Float[Array, "rows time"]:
    """Divides the values by their window's scale; 0 where missing."""
    return batch["values"] / batch["scale"][:, None]


def lagged(
    values: Shaped[Array, "rows time"], lags: tuple[int, ...], steps: int
) -> Float[Array, "rows steps lags"]:
    """Looks up, for each of the last `steps` steps, the values so many steps before it."""
    time = values.shape[1]
    return jnp.stack([values[:, time - steps - lag : time - lag] for lag in lags], axis=-1).astype(
        jnp.float32
    )


def known(
    batch: Batch, lags: tuple[int, ...], static: Array
) -> Float[Array, "rows steps features"]:
    """Collects what is known of each step of context and horizon beside the lagged values.

    Which of the lagged values were seen, the features known beforehand, the past covariates of the
    step before, and `static` `[rows, features]`.
    """
    steps = batch["features"].shape[1]
    past = jnp.pad(batch["past"][:, :-1], ((0, 0), (1, 0), (0, 0)))
    # By shape, not len: the number of rows may be symbolic, of `jax.export`.
    still = jnp.broadcast_to(static[:, None], (static.shape[0], steps, static.shape[1]))
    return jnp.concatenate(
        [lagged(batch["seen"], lags, steps), batch["features"], past, still], axis=-1
    )


def inputs(
    batch: Batch, lags: tuple[int, ...], static: Array
) -> Float[Array, "rows steps features"]:
    """Collects what a step reads: the lagged values in units of the scale, then what is `known`."""
    beside = known(batch, lags, static)
    return jnp.concatenate([lagged(scaled(batch), lags, beside.shape[1]), beside], axis=-1)


class Split(NamedTuple):
    """Holds what a network reads that forecasts the whole horizon at once.

    Attributes:
      context: of the steps up to the cut, `[rows, context, features]`.
      ahead: of the steps behind it, `[rows, horizon, features]`; their own values are hidden.
    """

    context: Float[Array, "rows context features"]
    ahead: Float[Array, "rows horizon features"]


def split_inputs(batch: Batch, lags: tuple[int, ...], horizon: int, static: Array) -> Split:
    """Collects the inputs of context and horizon with everything behind the cut hidden."""
    xs = inputs(without_horizon(batch, horizon), lags, static)
    # The step after the context still reads what lies before the cut alone.
    return Split(xs[:, 1 : -horizon + 1 or None], xs[:, -horizon:])


def located(likelihood: Likelihood) -> slice:
    """Selects the numbers that say where a value lies: all quantiles, of a mixture none by itself, else the first."""
    match likelihood:
        case Quantile():
            return slice(None)
        case Mixture():
            return slice(0, 0)
    return slice(0, 1)


class WindowNetwork(nn.Module):
    """A network that reads windows: what each of them is told. A subclass adds the layers.

    Attributes:
      recurrence: what reads the context.
      likelihood: what is said of each value to come.
      lags: which earlier values each step sees.
      horizon: steps to forecast.
      kinds: how many categories each kind has.
      embedding_size: features of a category.
      backend: which implementation of the recurrence runs.
    """

    recurrence: Recurrence
    likelihood: Likelihood
    lags: tuple[int, ...]
    horizon: int
    kinds: tuple[int, ...]
    embedding_size: int
    backend: Backend


class Static(nn.Module):
    """Describes a series by embedded categories and the logarithm of its scale.

    Attributes:
      kinds: how many categories each kind has.
      size: features of an embedding, at most half as many as there are categories.
    """

    kinds: tuple[int, ...]
    size: int

    @nn.compact
    def __call__(
        self, category: Int[Array, "rows kinds"], scale: Float[Array, " rows"]
    ) -> Float[Array, "rows features"]:
        """Computes the features."""
        sizes = [min(self.size, (count + 1) // 2) for count in self.kinds]
        vectors = [
            nn.Embed(count, size, name=f"kind_{kind}")(category[:, kind])
            for kind, (count, size) in enumerate(zip(self.kinds, sizes, strict=True))
        ]
        return jnp.concatenate([*vectors, jnp.log10(scale)[:, None]], axis=-1)
