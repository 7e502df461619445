"""Sound as files: 16-bit PCM WAV through the standard library."""

import dataclasses
import os
import re
import wave
from pathlib import Path

import numpy as np

RECORDING = re.compile(r"(?P<label>[^_]+)_(?P<speaker>.+)_(?P<index>\d+)\.wav")


@dataclasses.dataclass(frozen=True, order=True)
class Recording:
    """A file of a folder of recordings, named `{label}_{speaker}_{index}.wav`; nothing of it has been read."""

    label: str
    speaker: str
    index: int
    path: Path


def list_recordings(folder: str | os.PathLike) -> list[Recording]:
    """The WAV files of a folder, sorted by label, speaker and index, without decoding them.

    Raises:
      ValueError: there is no such folder, no WAV file in it, or one whose name is not `{label}_{speaker}_{index}.wav`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    recordings = []
    for path in sorted(folder.glob("*.wav")):
        if not (match := RECORDING.fullmatch(path.name)):
            raise ValueError(
                f"{path}: the name is not label_speaker_index.wav (for example 7_jackson_32.wav); rename it"
            )
        recordings.append(Recording(match["label"], match["speaker"], int(match["index"]), path))
    if not recordings:
        raise ValueError(f"{folder}: no .wav file; wanted recordings named label_speaker_index.wav")
    return sorted(recordings)


def read_wav(path: str | os.PathLike) -> tuple[int, np.ndarray]:
    """A mono recording of 16-bit samples.

    Returns:
      `(rate, samples)`: samples a second, and int16 `[samples]`.

    Raises:
      ValueError: it is not a PCM WAV file, of another width, of several channels, or cut off.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with wave.open(os.fspath(path), "rb") as file:
            channels, width, rate, frames, *_ = file.getparams()
            data = file.readframes(frames)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: no PCM WAV file ({error}); convert it to 16-bit mono WAV") from None
    if channels != 1 or width != 2:
        raise ValueError(f"{path}: {channels} channels of {8 * width} bits; wanted mono of 16 bits; convert it first")
    if len(data) // 2 != frames:
        raise ValueError(f"{path}: holds {len(data) // 2:,} samples, its header promises {frames:,}; fetch it again")
    return rate, np.frombuffer(data, "<i2", frames).astype(np.int16)
