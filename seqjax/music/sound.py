"""What a piece sounds like, by additive synthesis; and pieces as files."""

import os
from pathlib import Path

import numpy as np

from seqjax.files import LOWEST, held_notes, write_midi, write_wav
from seqjax.music.pictures import draw_rolls

RATE = 22_050
"""Samples a second."""

HARMONICS = 6
"""Sine waves of a note."""

ATTACK, RELEASE = 0.012, 0.15
"""Seconds in which a note swells, and in which it dies away after its end."""

FADE = 0.9
"""Seconds in which a held note falls to 1 / e."""

FORMS = (".mid", ".wav", ".png")
"""Endings that `write_piece` knows."""


def play(roll: np.ndarray, seconds: float, rate: int = RATE) -> np.ndarray:
    """Plays a piano roll; a key that sounds on is held.

    A note is a sum of sine waves at multiples of its frequency, each weaker and shorter than the
    one before it. The frequency of key k is that of equal temperament, 440 Hz for the A of key 48.

    Args:
      roll: `[frames, 88]`, not 0 where a key sounds.
      seconds: of a frame.
      rate: samples a second.

    Returns:
      float32 `[samples]`, the loudest at 0.9.
    """
    tail = round(RELEASE * rate)
    sound = np.zeros(round(len(roll) * seconds * rate) + tail, np.float32)
    for note in held_notes(roll):
        start = round(note.start * seconds * rate)
        held = round(note.stop * seconds * rate) - start
        wave = _tone(note.key, held, tail, rate)
        sound[start : start + len(wave)] += wave
    loudest = np.abs(sound).max(initial=0)
    return sound * np.float32(0.9 / loudest) if loudest else sound


def _tone(key: int, held: int, tail: int, rate: int) -> np.ndarray:
    """One note, held for so many samples, and its tail; float32 `[held + tail]`."""
    frequency = 440 * 2 ** ((key + LOWEST - 69) / 12)
    time = np.arange(held + tail) / rate
    wave = np.zeros(len(time))
    for number in range(1, HARMONICS + 1):
        if number * frequency >= rate / 2:
            break
        fading = np.exp(-time * number**0.5 / FADE)
        wave += fading * np.sin(2 * np.pi * number * frequency * time) / number**1.5
    # It swells at the beginning and dies away after it is let go.
    wave *= np.minimum(1, time / ATTACK)
    wave[held:] *= np.linspace(1, 0, tail)
    return wave.astype(np.float32)


def write_piece(
    path: str | os.PathLike,
    roll: np.ndarray,
    beats: int | float = 1.0,
    tempo: int | float = 100.0,
) -> None:
    """Writes a piece as MIDI, sound or picture, by the ending of the file.

    Args:
      path: ends in `.mid`, `.wav` or `.png`.
      roll: `[frames, 88]`, not 0 where a key sounds.
      beats: quarter notes of a frame.
      tempo: quarter notes a minute.

    Raises:
      ValueError: the ending is another one.
    """
    check_form(path)
    match Path(path).suffix:
        case ".mid":
            write_midi(path, roll, beats, tempo)
        case ".wav":
            write_wav(path, RATE, play(roll, 60 * beats / tempo))
        case ".png":
            draw_rolls(path, {Path(path).stem: roll})


def check_form(path: str | os.PathLike) -> None:
    """Refuses the name of a file that `write_piece` cannot write.

    Raises:
      ValueError: the ending is unknown.
    """
    ending = Path(path).suffix
    if ending not in FORMS:
        raise ValueError(f"{path}: the ending is {ending!r}; choose one of {', '.join(FORMS)}")
