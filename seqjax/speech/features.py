"""Features of speech: logarithmic mel spectra, cepstra and their slopes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.speech.normalisation import only_valid

MEL_BREAK = 1000.0
"""Hertz; below the mel scale is straight, above logarithmic (Slaney, 1998)."""
MEL_STEP = 200.0 / 3
MEL_GROWTH = np.log(6.4) / 27


@dataclasses.dataclass(frozen=True)
class LogMel:
    """Logarithms of the energy in mel bands, frame by frame.

        power = |FFT(hann * frame)|^2
        y     = log(max(power W, floor))

    Frame t is the window that ends with sample `(t + 1) * hop_size`, zeros before the first sample:
    n samples give `n // hop_size` frames, none of which waits for later sound. So a stream gives
    the frames of the whole: hand each piece, of a multiple of `hop_size` samples, to `step`.

    Attributes:
      rate: samples a second.
      bands: mel bands.
      window: length of a frame, in seconds.
      hop: time from frame to frame, in seconds.
      low: where the bands begin, in hertz.
      high: where they end; None for half the rate.
      floor: the least energy told apart.
      centred: subtract the mean of each frame first, so that an offset of the sound changes
        nothing.

    Raises:
      ValueError: a number is out of range.

    Example:
      >>> mel = LogMel(rate=8000, bands=20)
      >>> mel(jax.numpy.zeros((2, 4000))).shape
      (2, 50, 20)
    """

    rate: int
    bands: int = 40
    window: float = 0.025
    hop: float = 0.01
    low: float = 20.0
    high: float | None = None
    floor: float = 1e-8
    centred: bool = False

    def __post_init__(self):
        if not 0 < self.hop_size <= self.window_size:
            raise ValueError(
                f"hop is {self.hop} s, window {self.window} s; give a window of at least a hop, both > 0"
            )
        if not 0 <= self.low < self.top <= self.rate / 2:
            raise ValueError(
                f"bands from {self.low} to {self.top} Hz; give a range within 0 to {self.rate / 2:g} Hz"
            )
        if self.bands < 1 or self.floor <= 0:
            raise ValueError(
                f"bands is {self.bands} and floor {self.floor}; give at least 1 band, a floor above 0"
            )

    @property
    def window_size(self) -> int:
        """Samples of a frame."""
        return round(self.rate * self.window)

    @property
    def hop_size(self) -> int:
        """Samples from frame to frame."""
        return round(self.rate * self.hop)

    @property
    def fft_size(self) -> int:
        """The power of two that a frame is filled up to with zeros."""
        return 1 << (self.window_size - 1).bit_length()

    @property
    def top(self) -> float:
        """Where the bands end, in hertz."""
        return self.rate / 2 if self.high is None else self.high

    def frames(self, samples: int) -> int:
        """How many frames so many samples give."""
        return samples // self.hop_size

    def __call__(self, samples: ArrayLike) -> Float[Array, "*batch frames bands"]:
        """The frames of `samples [*batch, samples]`, each of which is between -1 and 1."""
        samples = jnp.asarray(samples)
        return self.step(self.initial_state(samples.shape[:-1]), samples)[1]

    def initial_state(self, batch_shape: tuple[int, ...] = ()) -> Float[Array, "*batch overlap"]:
        """Returns the samples before the first piece: silence."""
        return jnp.zeros((*batch_shape, self.window_size - self.hop_size))

    def step(
        self, state: Float[Array, "*batch overlap"], samples: ArrayLike
    ) -> tuple[Float[Array, "*batch overlap"], Float[Array, "*batch frames bands"]]:
        """Reads the next piece of a stream.

        Args:
          state: from `initial_state` or the piece before.
          samples: `[*batch, samples]`; what goes beyond a multiple of `hop_size` is not read.

        Returns:
          The samples that the next piece overlaps with, and the frames of this one.
        """
        heard = jnp.concatenate([state, jnp.asarray(samples, state.dtype)], axis=-1)
        frames = jnp.shape(samples)[-1] // self.hop_size
        rest = heard[..., frames * self.hop_size :][..., : state.shape[-1]]
        return rest, self._energies(heard, frames)

    def _energies(self, heard: Array, frames: int) -> Array:
        places = self.hop_size * np.arange(frames)[:, None] + np.arange(self.window_size)
        windows = heard[..., places]  # [*batch, frames, window]
        if self.centred:
            windows = windows - windows.mean(-1, keepdims=True)
        hann = jnp.broadcast_to(_hann(self.window_size), windows.shape)
        spectrum = jnp.fft.rfft(windows * hann, self.fft_size)
        power = spectrum.real**2 + spectrum.imag**2
        filters = mel_filters(self.rate, self.fft_size, self.bands, self.low, self.top)
        return jnp.log(jnp.maximum(power @ filters, self.floor))


@functools.lru_cache(maxsize=32)
def mel_filters(rate: int, fft_size: int, bands: int, low: float, high: float) -> np.ndarray:
    """Triangles of equal area, evenly spaced on Slaney's mel scale: float32 `[fft_size // 2 + 1, bands]`.

    Args:
      rate: samples a second.
      fft_size: of the spectrum they weigh.
      bands: how many.
      low: where the first begins, in hertz.
      high: where the last ends.

    Raises:
      ValueError: a band has no bin of the spectrum.
    """
    edges = _to_hertz(np.linspace(_to_mel(low), _to_mel(high), bands + 2))
    bins = np.arange(fft_size // 2 + 1)[:, None] * rate / fft_size
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))
    if (empty := ~filters.any(0)).any():
        raise ValueError(
            f"{bands} bands from {low:g} to {high:g} Hz: {empty.sum()} lie between two of the {len(bins)} bins; "
            "give fewer bands or a longer window"
        )
    return filters.astype(np.float32)


def mfcc(log_mel: ArrayLike, size: int = 13) -> Float[Array, "*batch frames size"]:
    """Mel-frequency cepstral coefficients: the first `size` of the orthonormal DCT-II over the bands.

    Args:
      log_mel: `[*batch, frames, bands]`, from `LogMel`.
      size: how many (Davis and Mermelstein, 1980).

    Raises:
      ValueError: there are fewer bands.
    """
    log_mel = jnp.asarray(log_mel)
    if not 1 <= size <= log_mel.shape[-1]:
        raise ValueError(
            f"size is {size}; {log_mel.shape[-1]} bands give from 1 to as many coefficients"
        )
    return jax.scipy.fft.dct(log_mel, type=2, norm="ortho")[..., :size]


def deltas(
    features: ArrayLike, lengths: ArrayLike | None = None, *, reach: int = 4
) -> Float[Array, "*batch time features"]:
    """The slope of each feature over time: a straight line fitted to `reach` frames on either side.

        d_t = sum_n n (x_{t+n} - x_{t-n}) / (2 sum_n n^2),  n = 1 ... reach

    Beyond the ends the first and the last valid frame stand. Deltas of deltas are accelerations.

    Args:
      features: `[*batch, time, features]`.
      lengths: valid frames of each row, `[*batch]`; None when all are.
      reach: frames on either side.

    Raises:
      ValueError: `reach` is less than 1.
    """
    if reach < 1:
        raise ValueError(f"reach is {reach}; give at least 1 frame on either side")
    features = jnp.asarray(features)
    time = features.shape[-2]
    last = jnp.maximum(jnp.asarray(time if lengths is None else lengths) - 1, 0)[..., None]
    # [1, ..., time] against [*batch, 1].
    steps = jnp.arange(time).reshape(*(1,) * (last.ndim - 1), time)

    def at(n):
        places = jnp.broadcast_to(jnp.clip(steps + n, 0, last), features.shape[:-1])
        return jnp.take_along_axis(features, places[..., None], axis=-2)

    slopes = sum((n * (at(n) - at(-n)) for n in range(1, reach + 1)), jnp.zeros_like(features))
    return only_valid(slopes / (2 * sum(n * n for n in range(1, reach + 1))), lengths)


def _hann(size: int) -> np.ndarray:
    """The periodic window: one period of `sin(pi t / size) ** 2`."""
    return (np.sin(np.pi * np.arange(size) / size) ** 2).astype(np.float32)


def _to_mel(hertz: float) -> float:
    if hertz < MEL_BREAK:
        return hertz / MEL_STEP
    return MEL_BREAK / MEL_STEP + np.log(hertz / MEL_BREAK) / MEL_GROWTH


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    knee = MEL_BREAK / MEL_STEP
    return np.where(mel < knee, mel * MEL_STEP, MEL_BREAK * np.exp(MEL_GROWTH * (mel - knee)))
