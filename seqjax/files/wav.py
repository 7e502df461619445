"""WAV files: their chunks, whether all samples are there, and new files."""

import io
import os
import wave
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

from seqjax.files.disk import write_atomically

UNKNOWN_SIZE = 0x7FFFF000
"""Sizes from here on stand in the header of a file that was written to a pipe: nobody knew how long it would be."""

Order = Literal["little", "big"]

HEADS: dict[bytes, Order] = {
    b"RIFF": "little",
    b"RIFX": "big",
    b"RF64": "little",
    b"BW64": "little",
}
PCM, EXTENSIBLE = 1, 0xFFFE


class Wav(NamedTuple):
    """Holds what the header of a WAV file says, and what the file holds.

    Attributes:
      encoding: 1 for whole numbers, 3 for floating point; of an extensible header that of its
        sub-format.
      channels: of sound.
      rate: samples a second.
      bits: of a sample.
      start: byte at which the samples begin.
      promised: bytes of samples by the header; None where it does not know.
      held: bytes from the first sample to the end of the file.
      order: "little" or "big".
    """

    encoding: int
    channels: int
    rate: int
    bits: int
    start: int
    promised: int | None
    held: int
    order: Order

    @property
    def size(self) -> int:
        """Returns the bytes of samples that are there."""
        return self.held if self.promised is None else min(self.promised, self.held)


def read_wav_header(path: str | os.PathLike) -> Wav | None:
    """Reads the chunks of a WAV file up to its samples; None where it is none, or is cut off.

    The size of the whole file that the header gives is not looked at: pipes leave it open, and
    programs count it in different ways. What counts is the size of the chunk of samples. A missing
    pad byte after an odd chunk, chunks of any kind before it, and whatever comes after it do no
    harm.

    Args:
      path: the file.
    """
    with Path(path).open("rb") as file:
        head = file.read(12)
        order = HEADS.get(head[:4])
        if order is None or head[8:] != b"WAVE":
            return None
        length = file.seek(0, os.SEEK_END)
        place, form, long_size = 12, b"", None
        while place + 8 <= length:
            name, size, place = _chunk(file, place, order)
            if name == b"fmt ":
                form = file.read(min(size, 64))
            elif name == b"ds64":
                long_size = int.from_bytes(file.read(16)[8:], order)
            elif name == b"data":
                # A size beyond 32 bits stands in a chunk of its own.
                if size == 0xFFFFFFFF and long_size:
                    size = long_size
                return _wav(form, place, size, length, order)
            place += size
    return None


def _chunk(file: BinaryIO, place: int, order: Order) -> tuple[bytes, int, int]:
    """Returns the next chunk's name, size and beginning; the file stands there."""
    file.seek(place)
    head = file.read(9)
    # Odd chunks are followed by a zero byte, which some programs forget.
    if place % 2 and head[:1] == b"\0":
        head, place = head[1:], place + 1
    file.seek(place + 8)
    return head[:4], int.from_bytes(head[4:8], order), place + 8


def _wav(form: bytes, start: int, size: int, length: int, order: Order) -> Wav | None:
    if len(form) < 16:
        return None
    number = lambda place, width: int.from_bytes(form[place : place + width], order)  # noqa: E731
    encoding = number(0, 2)
    if encoding == EXTENSIBLE and len(form) >= 26:
        encoding = number(24, 2)
    held = length - start
    promised = None if size >= UNKNOWN_SIZE and size > held else size
    # A program that never came back to its header left a 0 there.
    if size == 0 and held:
        promised = None
    return Wav(encoding, number(2, 2), number(4, 4), number(14, 2), start, promised, held, order)


def write_wav(path: str | os.PathLike, rate: int, samples: np.ndarray) -> None:
    """Writes a mono recording of 16-bit samples.

    Args:
      path: the file.
      rate: samples a second.
      samples: floats `[samples]` between -1 and 1; what goes beyond is cut.

    Raises:
      ValueError: the samples are no floats of one channel.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise ValueError(
            f"samples are {samples.dtype}{list(samples.shape)}; give floats of one channel, -1 to 1"
        )
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
    write_atomically(path, data.getvalue())
