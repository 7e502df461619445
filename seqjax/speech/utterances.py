"""Utterances put together from recordings: connected speech out of single words, each drawn from a seed."""

import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from seqjax.datasets.registry.media import FSDD_RATE
from seqjax.datasets.sources import load
from seqjax.files import Recording, list_recordings, read_tsv
from seqjax.files.sound import check_audio, read_audio, resample
from seqjax.speech.augment import change_speed
from seqjax.speech.channel import Channel, draw_channel

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""What the labels 0 to 9 of a recording stand for."""

SPEEDS = (0.9, 1.0, 1.1)
"""Those that training draws from (Ko et al., 2015)."""


@dataclasses.dataclass(frozen=True)
class Clips:
    """Recordings in memory, all of one rate, side by side.

    Attributes:
      rate: samples a second.
      samples: of each recording, float32 `[samples]`.
      texts: what is said in it.
      speakers: who says it.
      names: of the files.
    """

    rate: int
    samples: list[np.ndarray]
    texts: list[str]
    speakers: list[str]
    names: list[str]

    def __len__(self) -> int:
        return len(self.samples)

    def where(self, chosen: Iterable) -> "Clips":
        """Those recordings whose entry in `chosen` `[recordings]` is true."""

        def kept(column):
            return [item for item, keep in zip(column, chosen, strict=True) if keep]

        return Clips(
            self.rate, kept(self.samples), kept(self.texts), kept(self.speakers), kept(self.names)
        )


@dataclasses.dataclass(frozen=True)
class Utterance:
    """How recordings follow each other.

    Attributes:
      clips: which recordings, in order.
      pauses: samples of silence before each of them and after the last.
      gains: what each recording, brought to a peak of 1, is multiplied by; none leaves them as they
        are.
      level: the peak of the whole; None leaves it.
      noise: deviation of the white noise under it.
      speed: of the recordings.
      seed: of the noise.
      channel: what happens to it then.
    """

    clips: tuple[int, ...]
    pauses: tuple[int, ...]
    gains: tuple[float, ...] = ()
    level: float | None = None
    noise: float = 0.0
    speed: float = 1.0
    seed: int | tuple[int, ...] = 0
    channel: Channel = Channel()

    def length(self, clips: Clips) -> int:
        """Its samples."""
        pace = round(100 * self.speed)
        return sum(self.pauses) + sum(
            math.ceil(len(clips.samples[clip]) * 100 / pace) for clip in self.clips
        )

    def text(self, clips: Clips) -> str:
        """What is said in it."""
        return " ".join(clips.texts[clip] for clip in self.clips)

    def render(self, clips: Clips) -> np.ndarray:
        """Its sound, float32 `[length]`."""
        parts = [np.zeros(self.pauses[0], np.float32)]
        for place, clip in enumerate(self.clips):
            samples = change_speed(clips.samples[clip], self.speed)
            gain = self.gains[place] / np.abs(samples).max() if self.gains else 1.0
            parts += [gain * samples, np.zeros(self.pauses[place + 1], np.float32)]
        loudness = (
            1.0
            if self.level is None
            else self.level / max(np.abs(part).max(initial=0.0) for part in parts)
        )
        generator = np.random.default_rng(self.seed)
        parts = [loudness * part for part in parts]
        if self.noise:
            parts = [
                part + self.noise * generator.standard_normal(len(part), np.float32)
                for part in parts
            ]
        return self.channel(parts, clips.rate, generator)


def connect(
    clips: Clips,
    count: int,
    seed: int,
    *,
    most: int,
    pause: float = 0.4,
    speeds: Sequence[float] = (1.0,),
) -> list[Utterance]:
    """Draws utterances: one speaker each, 1 to `most` of their recordings, pauses, levels and noise.

    Pauses are uniform up to `pause` seconds; peaks between -30 and -1 dB of full scale and noise
    between -90 (less than a step of 16 bits) and -50, uniform in decibels; recordings of an
    utterance differ by up to 6 dB.

    Args:
      clips: what to draw from.
      count: how many utterances.
      seed: of all that is drawn; the noise of an utterance comes from it and the utterance's place.
      most: recordings of an utterance, at most.
      pause: seconds between two of them, at most.
      speeds: to draw from.

    Returns:
      The utterances: plans, nothing is rendered.

    Raises:
      ValueError: there is no recording, or nothing to draw of them.
    """
    if not len(clips) or count < 1 or most < 1:
        raise ValueError(
            f"{count} utterances of up to {most} of {len(clips)} recordings; give at least 1 of each"
        )
    generator = np.random.default_rng(seed)
    voices = [
        np.flatnonzero([speaker == name for name in clips.speakers])
        for speaker in sorted(set(clips.speakers))
    ]
    decibels = lambda low, high, size=None: 10 ** (generator.uniform(low, high, size) / 20)  # noqa: E731

    def draw(index: int) -> Utterance:
        number = int(generator.integers(1, most + 1))
        chosen = generator.choice(voices[generator.integers(len(voices))], number)
        pauses = generator.integers(0, int(pause * clips.rate) + 1, number + 1)
        return Utterance(
            tuple(chosen.tolist()),
            tuple(pauses.tolist()),
            tuple(decibels(-6, 0, number).tolist()),
            float(decibels(-30, -1)),
            float(decibels(-90, -50)),
            float(generator.choice(speeds)),
            (seed, index),
        )

    return [draw(index) for index in range(count)]


def vary(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    """Draws another channel for each utterance, see `draw_channel`: silence of every kind, and all levels.

    Peaks are between -45 and 0 dB of full scale, uniform in decibels; the recordings of an
    utterance differ by up to 10 dB. What is said, the pauses and the speed stay.

    Args:
      utterances: plans, as of `connect`.
      seed: of all that is drawn.
    """
    return [
        _varied(utterance, np.random.default_rng((seed, place)))
        for place, utterance in enumerate(utterances)
    ]


def half_varied(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    """Sends every second utterance through another channel: first those as they were, then these."""
    return [*utterances[::2]] + vary(utterances[1::2], seed)


def whole(clips: Clips) -> list[Utterance]:
    """Every recording as an utterance of its own, as it is."""
    return [Utterance((clip,), (0, 0)) for clip in range(len(clips))]


def read_recordings(folder: str | os.PathLike, rate: int | None) -> tuple[Clips, list[int]]:
    """A folder of recordings named `{label}_{speaker}_{index}.wav`: a label is a digit, or the very word that is said.

    Args:
      folder: where they are.
      rate: samples a second to bring them to; None takes the first one's.

    Returns:
      The recordings, and the index of each.

    Raises:
      ValueError: a label is a number of several digits, a file is not what it claims, or of a lower
        rate (which).
    """
    recordings = list_recordings(folder)
    texts = [_word(recording) for recording in recordings]
    rate, samples = _read_all([recording.path for recording in recordings], rate)
    speakers = [recording.speaker for recording in recordings]
    clips = Clips(rate, samples, texts, speakers, [str(recording.path) for recording in recordings])
    return clips, [recording.index for recording in recordings]


def load_digits(data_dir: str | os.PathLike | None = None) -> tuple[Clips, np.ndarray, str]:
    """The recordings of `seqjax.datasets.load("fsdd", ...)`, the index of each, and where they come from.

    Raises:
      DataUnavailable: no place has them.
      ValueError: a file is not what it claims.
    """
    halves = [load("fsdd", split, data_dir) for split in ("train", "test")]
    parts = [half.records.columns() for half in halves]
    table = {
        name: [value for part in parts for value in part[name]]
        for name in ("audio", "label", "speaker", "file")
    }
    for name, samples in zip(table["file"], table["audio"], strict=True):
        check_audio(name, samples)
    samples = [np.asarray(sound, np.float32) / 32768 for sound in table["audio"]]
    clips = Clips(
        FSDD_RATE,
        samples,
        [DIGITS[label] for label in table["label"]],
        table["speaker"],
        table["file"],
    )
    return (
        clips,
        np.array([int(Path(name).stem.split("_")[-1]) for name in table["file"]]),
        halves[0].origin,
    )


def read_transcripts(path: str | os.PathLike, rate: int | None) -> Clips:
    """Whole utterances: a file of lines of an audio file, relative to it, a tab, and what is said.

    Each counts as a speaker of its own.

    Args:
      path: the file, UTF-8.
      rate: samples a second to bring them to; None takes the first one's.

    Raises:
      ValueError: a line is not of that form, a file is not what it claims, or of a lower rate
        (which).
    """
    table = read_tsv(path, ("path", "transcript"))
    if not table["path"]:
        raise ValueError(f"{path}: empty; wanted lines of an audio file, a tab and what is said")
    names = [str(Path(path).parent / name) for name in table["path"]]
    rate, samples = _read_all(names, rate)
    return Clips(
        rate,
        samples,
        [" ".join(text.lower().split()) for text in table["transcript"]],
        names,
        names,
    )


def read_at(path: str | os.PathLike, rate: int) -> np.ndarray:
    """The samples of an audio file at the rate wanted.

    Raises:
      ValueError: the file is not what it claims, or has a lower rate.
    """
    own, samples = read_audio(path)
    if own < rate:
        raise ValueError(
            f"{path}: {own:,} samples a second; wanted at least {rate:,}; record it at a higher rate"
        )
    return resample(samples, own, rate)


def _varied(utterance: Utterance, generator: np.random.Generator) -> Utterance:
    recordings, level = len(utterance.clips), float(10 ** (generator.uniform(-45, 0) / 20))
    gains = 10 ** (generator.uniform(-10, 0, recordings) / 20)
    channel = draw_channel(generator, recordings, level)
    return dataclasses.replace(
        utterance, gains=tuple(gains.tolist()), level=level, noise=0.0, channel=channel
    )


def _word(recording: Recording) -> str:
    label = recording.label
    if label in tuple("0123456789"):
        return DIGITS[int(label)]
    if label.isdecimal():
        raise ValueError(
            f"{recording.path}: the label {label!r} is a number; wanted a digit, 0 to 9, or the word that is said; "
            "rename it"
        )
    return label.lower()


def _read_all(paths, rate):
    rate = rate or read_audio(paths[0])[0]
    return rate, [read_at(path, rate) for path in paths]
