"""What a person has to recognise or to learn from, as a `Part`: file names, arrays, or utterances."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from seqjax.files.sound import check_audio, read_audio, resample
from seqjax.speech.parts import Part
from seqjax.speech.utterances import Clips, read_at, whole

Recordings: TypeAlias = Sequence[Any] | np.ndarray | Clips | Part
"""File names and arrays of samples, or what `seqjax.speech` made of them."""

Examples: TypeAlias = tuple[Recordings, Sequence[str]] | Clips | Part
"""Recordings and what is said in each."""


def with_texts(recordings: Recordings, texts: Sequence[str] | None) -> Examples:
    """Pairs recordings with their texts; None where the recordings know them."""
    if texts is None:
        return recordings  # pyright: ignore[reportReturnType]
    return recordings, texts


def part_of(examples: Examples, rate: int | None = None) -> Part:
    """Makes a part of examples to learn from or to score.

    Args:
      examples: `(recordings, texts)`, or `Clips` or a `Part`, which know their texts.
      rate: samples a second; files of a higher rate are brought to it. None takes the rate of the
        first file.

    Raises:
      ValueError: recordings and texts differ in number, there is none, or a recording cannot be
        learnt from (which).
    """
    if isinstance(examples, Clips | Part):
        return _as_part(examples, rate)
    if not isinstance(examples, tuple) or len(examples) != 2:
        raise ValueError(
            f"examples are a {type(examples).__name__}; give (recordings, texts), or a speech.Part"
        )
    recordings, texts = examples
    if len(recordings) != len(texts):
        raise ValueError(
            f"{len(recordings):,} recordings and {len(texts):,} texts; give one text for each"
        )
    part = recordings_of(recordings, rate)
    for name, samples in zip(part.clips.names, part.clips.samples, strict=True):
        check_audio(name, samples)
    clips = part.clips
    spaced = [" ".join(text.split()) for text in texts]
    return Part(
        Clips(clips.rate, clips.samples, spaced, clips.speakers, clips.names), part.utterances
    )


def recordings_of(
    recordings: Recordings, rate: int | None = None, array_rate: int | None = None
) -> Part:
    """Makes a part of recordings alone; their texts are empty unless they know them.

    Args:
      recordings: file names, arrays of samples, `Clips`, or a `Part`.
      rate: samples a second to bring files to; None takes the first one's.
      array_rate: that of arrays; None says that it is `rate`.

    Raises:
      ValueError: there is none, or one cannot be read (which, and how to mend it).
    """
    if isinstance(recordings, Clips | Part):
        return _as_part(recordings, rate)
    if isinstance(recordings, str | os.PathLike):
        raise ValueError(f"recordings are {recordings!r}; give a list, [{recordings!r}]")
    if not len(recordings):
        raise ValueError("there is no recording; give at least one")
    rate = rate or _rate_of(recordings)
    samples, names = [], []
    for place, recording in enumerate(recordings):
        name = f"recording {place}"
        if isinstance(recording, str | os.PathLike):
            name = os.fspath(recording)
            samples.append(read_at(name, rate))
        else:
            samples.append(_at_rate(name, recording, array_rate or rate, rate))
        names.append(name)
    clips = Clips(rate, samples, [""] * len(names), names, names)
    return Part(clips, whole(clips))


def _as_part(known: Clips | Part, rate: int | None) -> Part:
    part = known if isinstance(known, Part) else Part(known, whole(known))
    if not part.utterances:
        raise ValueError("there is no recording; give at least one")
    if rate is not None and part.clips.rate != rate:
        raise ValueError(
            f"the recordings have {part.clips.rate:,} samples a second; wanted {rate:,}; read them at that rate"
        )
    return part


def _rate_of(recordings: Sequence[Any] | np.ndarray) -> int:
    """The rate of the first recording, which is a file."""
    first = recordings[0]
    if not isinstance(first, str | os.PathLike):
        raise ValueError("recording 0 is an array; give its rate as well, in samples a second")
    return read_audio(first)[0]


def _at_rate(name: str, recording: Any, own: int, rate: int) -> np.ndarray:
    """An array of samples at the rate wanted, float32 `[samples]`."""
    array = np.asarray(recording)
    if array.dtype == np.int16:
        array = array.astype(np.float32) / 32768
    if array.dtype.kind != "f" or array.ndim != 1 or not array.size:
        raise ValueError(
            f"{name} is {array.dtype}{list(array.shape)}; give mono samples between -1 and 1, [samples]"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has samples that are not finite; convert it again")
    if own < rate:
        raise ValueError(
            f"{name}: {own:,} samples a second; wanted at least {rate:,}; record it at a higher rate"
        )
    return resample(array, own, rate)
