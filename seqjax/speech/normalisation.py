"""Normalisation of features: by the moments of a row, or by a mean that runs along with a stream."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.losses import length_mask


class Moments(NamedTuple):
    """Mean and standard deviation of each feature, `[*batch, features]` both."""

    mean: Float[Array, "*batch features"]
    deviation: Float[Array, "*batch features"]


def moments(features: ArrayLike, lengths: ArrayLike | None = None) -> Moments:
    """Mean and standard deviation over the valid frames of each row.

    Args:
      features: `[*batch, time, features]`.
      lengths: valid frames of each row, `[*batch]`; None when all are.

    Returns:
      `Moments`, `[*batch, features]` each; a row without a frame has mean 0.
    """
    features = jnp.asarray(features)
    lengths = (
        jnp.full(features.shape[:-2], features.shape[-2])
        if lengths is None
        else jnp.asarray(lengths)
    )
    count = jnp.maximum(lengths, 1)[..., None]
    mean = only_valid(features, lengths).sum(-2) / count
    variance = (only_valid(features - mean[..., None, :], lengths) ** 2).sum(-2) / count
    return Moments(mean, jnp.sqrt(variance))


def normalise(
    features: ArrayLike, lengths: ArrayLike | None = None, by: Moments | None = None
) -> Float[Array, "*batch time features"]:
    """Features of mean 0 and variance 1; zeros past a row's end.

    Args:
      features: `[*batch, time, features]`.
      lengths: valid frames of each row, `[*batch]`; None when all are.
      by: moments of the training data; None takes each row's own. A stream wants
        `normalise_running`.
    """
    features = jnp.asarray(features)
    mean, deviation = moments(features, lengths) if by is None else by
    mean, deviation = _of_frames(mean, features), _of_frames(deviation, features)
    scaled = (features - mean) / jnp.maximum(deviation, 1e-5)
    return only_valid(scaled, lengths)


def add_floor(
    energies: ArrayLike, share: float, lengths: ArrayLike | None = None
) -> Float[Array, "*batch time features"]:
    """Logarithmic energies with so much more energy everywhere, as a faint noise under the whole row would add.

        y = log(exp(x) + share * mean(exp(x)))

    Args:
      energies: `[*batch, time, features]`, natural logarithms.
      share: of the mean over the row's valid frames and all features; more than 0.
      lengths: valid frames of each row, `[*batch]`; None when all are.

    Returns:
      Energies of the same shape; zeros past a row's end.
    """
    energies = jnp.asarray(energies)
    time, features = energies.shape[-2:]
    lengths = jnp.full(energies.shape[:-2], time) if lengths is None else jnp.asarray(lengths)
    valid = length_mask(lengths, time)[..., None]
    total = jax.nn.logsumexp(jnp.where(valid, energies, -jnp.inf), axis=(-2, -1), keepdims=True)
    mean = total - jnp.log(jnp.maximum(lengths, 1) * features)[..., None, None]
    return jnp.where(valid, jnp.logaddexp(energies, mean + np.log(share)), 0)


class RunningMean(NamedTuple):
    """What `normalise_running` remembers.

    Attributes:
      total: the sum of the frames so far, `[*batch, features]`.
      count: how many they are.
    """

    total: Float[Array, "*batch features"]
    count: Float[Array, ""]

    @classmethod
    def of(cls, by: Moments, weight: float, batch_shape: tuple[int, ...] = ()) -> "RunningMean":
        """Returns the state before the first frame: the training mean, as if it were `weight` frames."""
        # Of one type from the first piece on, so that one program serves all.
        mean = jnp.asarray(by.mean, jnp.result_type(by.mean))
        return cls(
            jnp.broadcast_to(weight * mean, (*batch_shape, *mean.shape)),
            jnp.asarray(weight, mean.dtype),
        )


def normalise_running(
    state: RunningMean, features: ArrayLike, by: Moments
) -> tuple[RunningMean, Float[Array, "*batch time features"]]:
    """Features less the mean of all frames until each, over the deviation of the training data, piece by piece.

        y_t = (x_t - (total + sum_{s <= t} x_s) / (count + t)) / deviation

    So a stream grows used to how loud a voice is and how a microphone sounds, as `normalise` is
    from the start.

    Args:
      state: from `RunningMean.of` or the piece before.
      features: `[*batch, time, features]`.
      by: moments of the training data.

    Returns:
      The next state, and the features of this piece.
    """
    features = jnp.asarray(features)
    totals = state.total[..., None, :] + features.cumsum(-2)
    counts = state.count + 1 + jnp.arange(features.shape[-2])
    # [1, ..., time, 1]
    counts = _with_axes(counts[:, None], features.ndim)
    deviation = _of_frames(by.deviation, features)
    scaled = (features - totals / counts) / jnp.maximum(deviation, 1e-5)
    after = RunningMean(state.total + features.sum(-2), state.count + features.shape[-2])
    return after, scaled


def _of_frames(values: Array, features: Array) -> Array:
    """Lets `[*batch, features]`, or `[features]` for all rows, stand beside every frame."""
    return _with_axes(values[..., None, :], features.ndim)


def _with_axes(values: Array, ndim: int) -> Array:
    """Puts axes of 1 in front until there are `ndim`."""
    return jnp.expand_dims(values, tuple(range(ndim - values.ndim)))


def only_valid(
    features: ArrayLike, lengths: ArrayLike | None
) -> Float[Array, "*batch time features"]:
    """Features `[*batch, time, features]`, zeros past the `lengths [*batch]` of the rows; None when all are valid."""
    features = jnp.asarray(features)
    if lengths is None:
        return features
    return jnp.where(length_mask(lengths, features.shape[-2])[..., None], features, 0)
