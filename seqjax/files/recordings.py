"""Sound as files: recordings by their names, and 16-bit PCM WAV."""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np

from seqjax.files.wav import PCM, Wav, read_wav_header

RECORDING = re.compile(r"(?P<label>[^_]+)_(?P<speaker>.+)_(?P<index>\d+)\.wav")


@dataclasses.dataclass(frozen=True, order=True)
class Recording:
    """Names a file `{label}_{speaker}_{index}.wav` of a folder; nothing of it has been read."""

    label: str
    speaker: str
    index: int
    path: Path


def list_recordings(folder: str | os.PathLike) -> list[Recording]:
    """Lists the WAV files of a folder by label, speaker and index, without decoding them.

    Raises:
      ValueError: there is no such folder, no WAV file in it, or one whose name is not
        `{label}_{speaker}_{index}.wav`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    recordings = []
    for path in sorted(folder.glob("*.wav")):
        if not (match := RECORDING.fullmatch(path.name)):
            raise ValueError(
                f"{path}: the name is not label_speaker_index.wav (for example 7_jackson_32.wav); "
                "rename it"
            )
        recordings.append(Recording(match["label"], match["speaker"], int(match["index"]), path))
    if not recordings:
        raise ValueError(f"{folder}: no .wav file; wanted recordings named label_speaker_index.wav")
    return sorted(recordings)


def read_wav(path: str | os.PathLike) -> tuple[int, np.ndarray]:
    """Reads a mono recording of 16-bit samples.

    Returns:
      `(rate, samples)`: samples a second, and int16 `[samples]`.

    Raises:
      ValueError: it is not a PCM WAV file, of another width, of several channels, or cut off.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    wav = read_wav_header(path)
    if wav is None or wav.encoding != PCM:
        found = "no WAV file, or its header is cut off" if wav is None else f"format {wav.encoding}"
        raise ValueError(f"{path}: no PCM WAV file ({found}); convert it to 16-bit mono WAV")
    if wav.channels != 1 or wav.bits != 16:
        raise ValueError(
            f"{path}: {wav.channels} channels of {wav.bits} bits; "
            "wanted mono of 16 bits; convert it first"
        )
    check_whole(path, wav)
    dtype = np.dtype("<i2" if wav.order == "little" else ">i2")
    samples = np.fromfile(path, dtype, wav.size // 2, offset=wav.start)
    return wav.rate, samples.astype(np.int16)


def check_whole(path: str | os.PathLike, wav: Wav) -> None:
    """Refuses a file that holds fewer samples than its header says.

    Raises:
      ValueError: it is cut off.
    """
    width = max(1, wav.channels * wav.bits // 8)
    if wav.promised is not None and wav.held < wav.promised:
        held, promised = wav.held // width, wav.promised // width
        raise ValueError(
            f"{path}: holds {held:,} samples, its header promises {promised:,}; fetch it again"
        )
