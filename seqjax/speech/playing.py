"""A recording played to a recogniser against the clock, as a microphone would."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from seqjax.speech.letters import words_of
from seqjax.speech.stream import Heard
from seqjax.tasks import Trained


class Played(NamedTuple):
    """What came of one piece of sound.

    Attributes:
      letters: those that were heard in it.
      now: seconds since the first sample was played.
      busy: seconds that the piece took to compute.
    """

    letters: list[Heard]
    now: float
    busy: float


def play(
    model: Trained, samples: ArrayLike, piece: float = 0.1, pace: bool = True
) -> Iterator[Played]:
    """Plays a sound, and a little silence behind it, to a recogniser that streams.

    Args:
      model: a `Recogniser` of causal layers with its parameters.
      samples: `[samples]` at its rate.
      piece: seconds of sound that arrive at a time, rounded to whole steps.
      pace: wait for each piece until it has been played; else only reckon as if.

    Raises:
      ValueError: the recogniser reads whole recordings.
    """
    task, stream = model.task, model.stream()
    steps = max(1, round(piece / task.seconds_per_step))
    size, seconds = steps * task.samples_per_step, steps * task.seconds_per_step
    sound = np.pad(np.asarray(samples), (0, round(task.tail * task.rate)))
    pieces = np.pad(sound, (0, -len(sound) % size)).reshape(-1, size)
    # Compiled before the clock runs, also for a state of its own.
    warm = model.stream()
    warm.step(pieces[0])
    warm.step(pieces[0])
    began, known = time.monotonic(), 0
    for number, samples_of_piece in enumerate(pieces, start=1):
        arrived = number * seconds
        if pace:
            time.sleep(max(0.0, began + arrived - time.monotonic()))
        start = time.monotonic()
        stream.step(samples_of_piece)
        busy = time.monotonic() - start
        now = time.monotonic() - began if pace else arrived + busy
        yield Played(stream.letters[known:], now, busy)
        known = len(stream.letters)


def tell_delays(played: list[Played]) -> list[str]:
    """Says of each word when its last letter was heard and how much later it was known, and sums up.

    Args:
      played: all pieces of a sound.

    Returns:
      Lines of text, one for each word and one for all letters.
    """
    letters = [(letter, 0.0, (spoken, p.now)) for p in played for letter, spoken in p.letters]
    if not letters:
        return ["(nothing)"]
    lines = []
    for word in words_of(letters):
        spoken, now = word.end
        late = 1000 * (now - spoken)
        lines.append(f"  {spoken:6.2f} s  {word.text}, printed {late:.0f} ms later")
    late = [1000 * (now - spoken) for _, _, (spoken, now) in letters]
    busy = 1000 * np.median([p.busy for p in played])
    lines.append(
        f"delay of a letter: median {np.median(late):.0f} ms, at most {max(late):.0f} ms; "
        f"each piece computed in {busy:.1f} ms"
    )
    return lines
