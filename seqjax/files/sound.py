"""Audio files through `soundfile`, and their rate."""

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.files.recordings import check_whole
from seqjax.files.wav import read_wav_header


def read_audio(path: str | os.PathLike) -> tuple[int, np.ndarray]:
    """Reads a mono recording: WAV, FLAC or what else libsndfile reads, of any rate and width.

    Args:
      path: the file.

    Returns:
      `(rate, samples)`: samples a second, and float32 `[samples]` between -1 and 1.

    Raises:
      ImportError: `soundfile` is not installed.
      ValueError: there is no such file, it is no audio file, cut off, of several channels, empty,
        silent, or holds numbers that are not finite.
    """
    try:
        import soundfile
    except ImportError as error:
        raise ImportError("audio files want: pip install soundfile") from error
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    source = _opened(path)
    try:
        with soundfile.SoundFile(source) as file:
            rate, channels, promised = file.samplerate, file.channels, file.frames
            samples = file.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise ValueError(
            f"{path}: no audio file that can be read ({reason}); convert it to WAV or FLAC"
        ) from None
    if channels != 1:
        raise ValueError(f"{path}: {channels} channels; wanted mono; mix it down first")
    if len(samples) < promised:
        raise ValueError(
            f"{path}: holds {len(samples):,} samples, its header promises {promised:,}; "
            "fetch it again"
        )
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
        raise ValueError(
            f"{path}: sample {place:,} is {samples[place]}; wanted finite numbers; convert it again"
        )
    if samples.min() == samples.max():
        raise ValueError(
            f"{path}: silent, all {len(samples):,} samples are {samples[0]:g}; take it out"
        )


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Brings sound to another rate: float32 `[ceil(samples * new_rate / rate)]`.

    Frequencies that the lower rate cannot carry are filtered out (`scipy.signal.resample_poly`,
    Kaiser window).

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
    wide = np.asarray(samples, np.float64)
    return resample_poly(wide, new_rate // common, rate // common).astype(np.float32)


def _opened(path: Path) -> Any:
    """Returns what `soundfile` shall open: the path, or bytes with a completed header."""
    wav = read_wav_header(path)
    if wav is None:
        return os.fspath(path)
    check_whole(path, wav)
    if wav.promised is not None or wav.start + wav.held >= 2**32:
        return os.fspath(path)
    # The size of the samples stands just before them.
    data = bytearray(path.read_bytes())
    data[wav.start - 4 : wav.start] = wav.held.to_bytes(4, wav.order)
    return io.BytesIO(data)
