"""Makes `audio_*.npz`: what librosa gives for a sweep with noise, in float64.

Run it from anywhere, in an environment that has librosa:

    python tests/golden/make_audio.py [--out FOLDER]

The files beside this script were made by librosa 0.11.0, numpy 2.4.6 and soxr 1.1.0. Frames end
with each hop's last
sample: the signal is padded with zeros by a window less a hop in front, and on both sides by what
  librosa lays around a
window that is shorter than the FFT.
"""

import argparse
import pathlib

import librosa
import numpy as np

# name: rate, bands, window, hop and FFT size in samples, lowest and highest frequency
CASES = {
    "telephone": (8000, 40, 200, 80, 256, 20.0, 4000.0),
    "wide": (16000, 80, 400, 160, 512, 0.0, 7600.0),
}


def signal(rate: int) -> np.ndarray:
    """A third of a second: a sweep over most of the band, noise, a silent stretch."""
    time = np.arange(rate // 3) / rate
    sweep = 0.5 * np.sin(2 * np.pi * (100 * time + rate * time**2))
    samples = sweep + 0.01 * np.random.default_rng(rate).standard_normal(len(time))
    samples[len(samples) // 2 : len(samples) // 2 + rate // 20] = 0
    return samples


def features(rate, bands, window, hop, fft, low, high):
    """Log-mel energies, cepstra and their slopes."""
    samples = signal(rate)
    around = (fft - window) // 2
    padded = np.pad(samples, (window - hop + around, around))
    mel = librosa.feature.melspectrogram(
        y=padded,
        sr=rate,
        n_fft=fft,
        win_length=window,
        hop_length=hop,
        center=False,
        n_mels=bands,
        fmin=low,
        fmax=high,
    )
    log_mel = np.log(np.maximum(mel, 1e-8))
    cepstra = librosa.feature.mfcc(S=log_mel, n_mfcc=13)
    slopes = librosa.feature.delta(cepstra, width=9, mode="nearest")
    bends = librosa.feature.delta(slopes, width=9, mode="nearest")
    filters = librosa.filters.mel(
        sr=rate, n_fft=fft, n_mels=bands, fmin=low, fmax=high, dtype=np.float64
    )
    arrays = {
        "log_mel": log_mel,
        "mfcc": cepstra,
        "delta": slopes,
        "delta_delta": bends,
        "filters": filters,
    }
    settings = dict(
        rate=rate, bands=bands, window=window / rate, hop=hop / rate, low=low, high=high
    )
    return {"samples": samples, **settings, **{name: array.T for name, array in arrays.items()}}


def resampled(rate: int, new_rate: int):
    """The signal at another rate, by the polyphase filter and by soxr."""
    samples = signal(rate)
    both = {
        name: librosa.resample(samples, orig_sr=rate, target_sr=new_rate, res_type=name)
        for name in ("polyphase", "soxr_hq")
    }
    return {"samples": samples, "rate": rate, "new_rate": new_rate, **both}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    out = parser.parse_args().out
    for name, case in CASES.items():
        np.savez_compressed(out / f"audio_{name}.npz", **features(*case))
    np.savez_compressed(out / "audio_down.npz", **resampled(11025, 8000))
    np.savez_compressed(out / "audio_up.npz", **resampled(8000, 16000))


if __name__ == "__main__":
    main()
