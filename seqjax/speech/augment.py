"""More sound out of the same: masks over the spectrum, and other speeds."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.files.sound import resample
from seqjax.typing import KeyArray


def spec_augment(
    key: KeyArray,
    features: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    bands: int = 2,
    band_width: int = 8,
    gaps: int = 2,
    gap_width: int = 20,
    gap_share: float = 0.2,
) -> Float[Array, "*batch time features"]:
    """Hides bands of neighbouring features and gaps of neighbouring frames: SpecAugment without warping.

    Each row draws its own masks, widths uniform from 0 on; hidden places are 0, the mean of
    normalised features.

    Args:
      key: what the draws come from.
      features: `[*batch, time, features]`.
      lengths: valid frames of each row, `[*batch]`; None when all are.
      bands: masks over the features.
      band_width: features that one of them hides at most.
      gaps: masks over the frames.
      gap_width: frames that one of them hides at most,
      gap_share: and the share of a row's frames at most.

    Returns:
      Features of the same shape (Park et al., 2019).

    Raises:
      ValueError: a band is wider than the features.
    """
    features = jnp.asarray(features)
    *batch, time, size = features.shape
    if not 0 <= band_width <= size:
        raise ValueError(f"band_width is {band_width}; give from 0 to {size} features")
    lengths = jnp.full(batch, time) if lengths is None else jnp.asarray(lengths)
    band_key, gap_key = jax.random.split(key)
    widest = jnp.minimum(gap_width, (gap_share * lengths).astype(int))
    hidden_bands = _stripes(
        band_key, bands, jnp.full(batch, size), jnp.full(batch, band_width), size
    )
    hidden_gaps = _stripes(gap_key, gaps, lengths, widest, time)
    return jnp.where(hidden_gaps[..., None] | hidden_bands[..., None, :], 0, features)


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """The same recording played faster (above 1) or slower, pitch and all: float32 (Ko et al., 2015).

    Args:
      samples: `[samples]`.
      factor: taken to two decimals; 0.9, 1 and 1.1 are usual.

    Raises:
      ValueError: the factor is not positive.
    """
    ratio = Fraction(round(100 * factor), 100)
    if ratio <= 0:
        raise ValueError(f"factor is {factor}; give a positive one, such as 0.9 or 1.1")
    return resample(samples, ratio.numerator, ratio.denominator)


def _stripes(key, count: int, extent, widest, size: int):
    """Where one of `count` random stripes of each row lies: bool `[*batch, size]`, each within the row's `extent`."""
    width_key, place_key = jax.random.split(key)
    shape = (count, *extent.shape)
    width = jax.random.randint(width_key, shape, 0, widest[None] + 1)
    start = jax.random.randint(place_key, shape, 0, jnp.maximum(extent[None] - width, 0) + 1)
    # [1, ..., size] against [count, *batch, 1].
    place = jnp.arange(size).reshape(*(1,) * len(shape), size)
    return ((place >= start[..., None]) & (place < (start + width)[..., None])).any(0)
