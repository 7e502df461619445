"""Frames of music in two forms: piano rolls, and the numbers of the keys that sound."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from seqjax.files import KEYS
from seqjax.typing import KeyArray

Rolls: TypeAlias = Sequence[Any] | np.ndarray
"""Piano rolls, `[frames, 88]` each, not 0 where a key sounds."""


def as_rolls(pieces: Rolls) -> list[np.ndarray]:
    """Takes pieces as piano rolls.

    Args:
      pieces: `[frames, 88]` each, not 0 where a key sounds; a piece may have no frame.

    Returns:
      uint8 arrays of 0 and 1.

    Raises:
      ValueError: a piece is no piano roll (which).
    """
    rolls = []
    for place, piece in enumerate(pieces):
        roll = np.asarray(piece)
        if roll.ndim != 2 or roll.shape[1] != KEYS or roll.dtype.kind not in "buif":
            raise ValueError(
                f"piece {place} is {roll.dtype}{list(roll.shape)}; give [frames, {KEYS}] numbers, "
                "1 where a key sounds"
            )
        rolls.append((roll != 0).astype(np.uint8))
    return rolls


def polyphony(rolls: Sequence[np.ndarray]) -> int:
    """Returns how many keys sound at once, at most; 1 at least."""
    return max((int(roll.sum(1, dtype=np.int64).max(initial=1)) for roll in rolls), default=1)


def notes_of(roll: np.ndarray, most: int) -> np.ndarray:
    """Lists the keys that sound in each frame.

    Args:
      roll: uint8 `[frames, 88]` of 0 and 1.
      most: places of a frame, as many as keys sound at once, or more.

    Returns:
      int32 `[frames, most]`: keys, ascending, then 88 in each place that is left over.

    Raises:
      ValueError: a frame has more keys.
    """
    if polyphony([roll]) > most:
        raise ValueError(f"{polyphony([roll])} keys sound at once; give a most of that")
    frames, keys = np.nonzero(roll)
    # Which note of its frame each one is: its place less that of the frame's first.
    counts = roll.sum(1, dtype=np.int64)
    places = np.arange(len(keys)) - np.repeat(counts.cumsum() - counts, counts)
    notes = np.full((len(roll), most), KEYS, np.int32)
    notes[frames, places] = keys
    return notes


def roll_of(notes: np.ndarray) -> np.ndarray:
    """Writes frames of `[most]` numbers of keys as a piano roll, uint8 `[frames, 88]`."""
    notes = np.asarray(notes)
    # One column more, for the places that are left over.
    roll = np.zeros((len(notes), KEYS + 1), np.uint8)
    np.put_along_axis(roll, notes, 1, axis=1)
    return roll[:, :KEYS]


def moved(roll: np.ndarray, semitones: int) -> np.ndarray:
    """Moves a piano roll up, or down by less than 0 semitones.

    Raises:
      ValueError: a note leaves the piano.
    """
    away = roll[:, :-semitones] if semitones < 0 else roll[:, KEYS - semitones :]
    if away.any():
        raise ValueError(f"moved by {semitones} semitones a note leaves the piano; give fewer")
    return np.roll(roll, semitones, axis=1)


def transpose(
    key: KeyArray, notes: Int[Array, "rows time most"], most: int
) -> Int[Array, "rows time most"]:
    """Moves each row up or down by some semitones, drawn at random; no note leaves the piano.

    Args:
      key: what the draws come from.
      notes: of frames, as `notes_of` gives them.
      most: semitones, either way.
    """
    sounds = notes < KEYS
    lowest = jnp.where(sounds, notes, KEYS).min((1, 2))
    highest = jnp.where(sounds, notes, -1).max((1, 2))
    # [rows]; a row of silence may go anywhere.
    down = jnp.maximum(-most, -lowest)
    up = jnp.minimum(most, KEYS - 1 - highest)
    by = jax.random.randint(key, down.shape, down, up + 1)
    return jnp.where(sounds, notes + by[:, None, None], notes)
