"""Which recordings train, validate and test, and whether they can be learnt at all."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Container, Iterable

import numpy as np

from seqjax.data.fingerprint import fingerprint
from seqjax.speech.features import LogMel
from seqjax.speech.utterances import (
    SPEEDS,
    Clips,
    Utterance,
    connect,
    half_varied,
    read_transcripts,
    vary,
    whole,
)

TEST, VALIDATION = range(5), range(5, 10)
"""Indices of the recordings of each word and speaker that test and that validate; the others train."""

VARIED = 17
"""Seed of the silences in validation and test, the same for every seed of training."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Recordings, and the utterances made of them."""

    clips: Clips
    utterances: list[Utterance]

    def __len__(self) -> int:
        return len(self.utterances)

    def texts(self) -> list[str]:
        """What is said in each utterance."""
        return [utterance.text(self.clips) for utterance in self.utterances]

    def fingerprint(self) -> str:
        """Computes what tells it from other parts, wherever its files lie."""
        clips = self.clips
        return fingerprint((clips.rate, clips.samples, clips.texts, repr(self.utterances)))

    def followed_by(self, seconds: int | float) -> "Part":
        """Appends silence to each utterance, so that a model that reads one way can finish."""
        tail = round(seconds * self.clips.rate)
        longer = (
            dataclasses.replace(
                utterance, pauses=(*utterance.pauses[:-1], utterance.pauses[-1] + tail)
            )
            for utterance in self.utterances
        )
        return Part(self.clips, list(longer))


def split_recordings(
    clips: Clips, indices: Iterable, held_out: str | None = None
) -> dict[str, Clips]:
    """Recordings of single words by their index: 0 to 4 test, 5 to 9 validate, the others train.

    Args:
      clips: the recordings.
      indices: of each, among those of its word and speaker.
      held_out: a speaker of whom nothing shall be in these parts.

    Returns:
      `train`, `validation`, `test`, and with a speaker held out all that is theirs.

    Raises:
      ValueError: the speaker is unknown, or a part would be empty.
    """
    voice = np.array(clips.speakers) == held_out
    if held_out is not None and not voice.any():
        raise ValueError(
            f"no speaker is called {held_out!r}; they are {', '.join(sorted(set(clips.speakers)))}"
        )
    indices = np.asarray(list(indices))
    test, validation = np.isin(indices, TEST), np.isin(indices, VALIDATION)
    chosen = {
        "train": ~test & ~validation & ~voice,
        "validation": validation & ~voice,
        "test": test & ~voice,
    }
    chosen |= {} if held_out is None else {"held_out": voice}
    if empty := [name for name, where in chosen.items() if not where.any()]:
        raise ValueError(
            f"no recording is left for the {empty[0]} part; give indices 0 to 4, 5 to 9 and higher ones"
        )
    return {name: clips.where(where) for name, where in chosen.items()}


def connected_parts(
    clips: Clips,
    indices: Iterable,
    *,
    held_out: str | None = None,
    most: int = 7,
    count: int = 20_000,
    scored: int = 400,
    seed: int = 0,
) -> dict[str, Part]:
    """Draws connected speech from recordings of single words, for each of its parts.

    Args:
      clips: the recordings.
      indices: of each, see `split_recordings`.
      held_out: a speaker of whom training shall hear nothing.
      most: recordings of an utterance, at most.
      count: utterances of training, of which each is spoken at one of three speeds.
      scored: utterances of each other part, the same ones for every seed.
      seed: of the utterances of training.

    Returns:
      `train`; `validation`, half of it over silence of every kind; `test`; perhaps `held_out`; and
      `varied`, the test over silence of every kind.

    Raises:
      ValueError: the speaker is unknown, or a part would be empty.
    """
    chosen = split_recordings(clips, indices, held_out)
    train = chosen.pop("train")
    parts = {"train": Part(train, connect(train, count, seed, most=most, speeds=SPEEDS))}
    for name, recordings in chosen.items():
        parts[name] = Part(recordings, connect(recordings, scored, len(name), most=most))
    return _with_silences(parts)


def read_corpus(
    train: str | os.PathLike, test: str | os.PathLike, *, count: int = 20_000, seed: int = 0
) -> dict[str, Part]:
    """Reads whole utterances from two files, see `read_transcripts`; every tenth of the first validates.

    Args:
      train: the file to learn from.
      test: the file to score.
      count: utterances to draw for training, at three speeds, levels and noises.
      seed: of what is drawn.

    Returns:
      `train`, `validation`, `test` and `varied`, see `connected_parts`.

    Raises:
      ValueError: a file is not of that form, or too short.
    """
    known = read_transcripts(train, None)
    tenth = np.arange(len(known)) % 10 == 9
    if not tenth.any():
        raise ValueError(f"{train}: {len(known)} lines; give at least 10, every tenth validates")
    tested = read_transcripts(test, known.rate)
    learnt, validation = known.where(~tenth), known.where(tenth)
    parts = {
        "train": Part(learnt, connect(learnt, count, seed, most=1, speeds=SPEEDS)),
        "validation": Part(validation, whole(validation)),
        "test": Part(tested, whole(tested)),
    }
    return _with_silences(parts)


def _with_silences(parts: dict[str, Part]) -> dict[str, Part]:
    """Silence of every kind in half of validation, and in a second copy of the test, `varied`."""
    validation, test = parts["validation"], parts["test"]
    halves = half_varied(validation.utterances, VARIED)
    return {
        **parts,
        "validation": Part(validation.clips, halves),
        "varied": Part(test.clips, vary(test.utterances, VARIED)),
    }


def unknown_letters(part: Part, letters: Container[str]) -> collections.Counter[str]:
    """Counts the recordings whose text has a letter that no model of `letters` can write, letter by letter."""
    counts: collections.Counter[str] = collections.Counter()
    for text in part.clips.texts:
        counts.update({letter for letter in text if letter not in letters})
    return counts


def has_room(part: Part, mel: LogMel, stride: int) -> list[bool]:
    """Tells which utterances have a step for every letter, and one more between equal ones."""
    found = []
    for utterance, text in zip(part.utterances, part.texts(), strict=True):
        steps = mel.frames(utterance.length(part.clips)) // stride
        found.append(steps >= _steps_of(text))
    return found


def check_room(part: Part, mel: LogMel, stride: int) -> None:
    """Refuses utterances with fewer steps than letters, repeated ones counted twice: CTC could not spell them.

    Raises:
      ValueError: names the recordings of the first one.
    """
    room = has_room(part, mel, stride)
    if all(room):
        return
    utterance = part.utterances[room.index(False)]
    text = utterance.text(part.clips)
    names = ", ".join(part.clips.names[clip] for clip in utterance.clips)
    steps = mel.frames(utterance.length(part.clips)) // stride
    raise ValueError(
        f"{names}: {steps} steps of sound for {_steps_of(text)} of {text!r}; lower the stride, or leave it out"
    )


def _steps_of(text: str) -> int:
    """Steps that CTC needs: a blank parts two letters that are equal."""
    repeated = sum(a == b for a, b in itertools.pairwise(text))
    return len(text) + repeated
