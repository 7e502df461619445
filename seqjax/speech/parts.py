"""Which recordings train, validate and test, and whether they can be learnt at all."""

import collections
import dataclasses
from collections.abc import Container, Iterable

import numpy as np

from seqjax.speech.features import LogMel
from seqjax.speech.utterances import Clips, Utterance

TEST, VALIDATION = range(5), range(5, 10)
"""Indices of the recordings of each word and speaker that test and that validate; the others train."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Recordings, and the utterances made of them."""

    clips: Clips
    utterances: list[Utterance]

    def texts(self) -> list[str]:
        """What is said in each utterance."""
        return [utterance.text(self.clips) for utterance in self.utterances]

    def followed_by(self, seconds: float) -> "Part":
        """The same with so much more silence after each utterance, which a model that reads one way needs to finish."""
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


def unknown_letters(part: Part, letters: Container[str]) -> collections.Counter[str]:
    """Counts the recordings whose text has a letter that no model of `letters` can write, letter by letter."""
    counts: collections.Counter[str] = collections.Counter()
    for text in part.clips.texts:
        counts.update({letter for letter in text if letter not in letters})
    return counts


def check_room(part: Part, mel: LogMel, stride: int) -> None:
    """Refuses utterances with fewer steps than letters, repeated ones counted twice: CTC could not spell them.

    Raises:
      ValueError: names the recordings of the first one.
    """
    for utterance, text in zip(part.utterances, part.texts(), strict=True):
        steps = mel.frames(utterance.length(part.clips)) // stride
        needed = len(text) + sum(a == b for a, b in zip(text, text[1:], strict=False))
        if steps < needed:
            names = ", ".join(part.clips.names[clip] for clip in utterance.clips)
            raise ValueError(
                f"{names}: {steps} steps of sound for {needed} of {text!r}; lower the stride, or leave it out"
            )
