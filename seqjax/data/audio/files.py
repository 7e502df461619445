"""Audio files through `soundfile`, and their rate."""

import math
import os
from pathlib import Path

import numpy as np

UNKNOWN_SIZE = 0xFFFFFF00
"""Sizes from here on, and 0, stand in the header of a WAV file that was written to a pipe."""


def read_audio(path: str | os.PathLike) -> tuple[int, np.ndarray]:
    """A mono recording: WAV, FLAC or what else libsndfile reads, of any rate and width.

    Args:
      path: the file.

    Returns:
      `(rate, samples)`: samples a second, and float32 `[samples]` between -1 and 1.

    Raises:
      ImportError: `soundfile` is not installed.
      ValueError: there is no such file, it is no audio file, cut off, of several channels, empty, silent, or holds
        numbers that are not finite.
    """
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("audio files want: pip install soundfile") from error
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    _check_size(path)
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            rate, channels, promised = file.samplerate, file.channels, file.frames
            samples = file.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise ValueError(f"{path}: no audio file that can be read ({reason}); convert it to WAV or FLAC") from None
    if channels != 1:
        raise ValueError(f"{path}: {channels} channels; wanted mono; mix it down first")
    if len(samples) < promised:
        raise ValueError(f"{path}: holds {len(samples):,} samples, its header promises {promised:,}; fetch it again")
    check_audio(path, samples)
    return rate, samples


def check_audio(path: str | os.PathLike, samples: np.ndarray) -> None:
    """Refuses samples that no model can learn from.

    Args:
      path: the file they come from.
      samples: `[samples]`.

    Raises:
      ValueError: there is none, one is not finite, or all are equal.
    """
    if not len(samples):
        raise ValueError(f"{path}: no samples; record it again or take it out")
    if not np.isfinite(samples).all():
        place = int(np.argmin(np.isfinite(samples)))
        raise ValueError(f"{path}: sample {place:,} is {samples[place]}; wanted finite numbers; convert it again")
    if samples.min() == samples.max():
        raise ValueError(f"{path}: silent, all {len(samples):,} samples are {samples[0]:g}; take it out")


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """The same sound at another rate, by a polyphase filter: float32 `[ceil(samples * new_rate / rate)]`.

    Frequencies that the lower rate cannot carry are filtered out (`scipy.signal.resample_poly`, Kaiser window).

    Args:
      samples: `[samples]`.
      rate: samples a second.
      new_rate: those wanted.

    Raises:
      ValueError: a rate is not positive.
    """
    from scipy.signal import resample_poly

    if rate < 1 or new_rate < 1:
        raise ValueError(f"rates are {rate} and {new_rate}; give samples a second, at least 1")
    if rate == new_rate:
        return np.asarray(samples, np.float32)
    common = math.gcd(rate, new_rate)
    return resample_poly(np.asarray(samples, np.float64), new_rate // common, rate // common).astype(np.float32)


def _check_size(path: Path) -> None:
    """Refuses a WAV file that is shorter than its header says, which libsndfile would read as far as it goes."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    promised, size = int.from_bytes(head[4:8], "little"), path.stat().st_size
    if 0 < promised < UNKNOWN_SIZE and promised + 8 > size:
        raise ValueError(f"{path}: holds {size:,} bytes, its header promises {promised + 8:,}; fetch it again")
