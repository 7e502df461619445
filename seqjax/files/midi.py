"""MIDI files: music to piano rolls and back, through `mido`."""

import io
import os
from typing import Any, NamedTuple

import numpy as np

from seqjax.files.disk import write_atomically
from seqjax.files.rolls import KEYS, LOWEST
from seqjax.files.text import read_bytes

DRUMS = 9
"""The channel whose notes are drums."""

TICKS = 480
"""Of a quarter note, in the files that are written."""

LOUDNESS = 80
"""Velocity of every note that is written, of at most 127."""

LONGEST = 1_000_000
"""Frames of a file, at most: one note that is held for years fills no memory."""


class Note(NamedTuple):
    """A key that is held.

    Attributes:
      key: 0 for the lowest one of a piano.
      start: the first frame.
      stop: the frame after the last.
    """

    key: int
    start: int
    stop: int


def read_midi(path: str | os.PathLike, beats: int | float = 0.25) -> np.ndarray:
    """Reads a MIDI file as a piano roll; all instruments but drums play the same piano.

    Beginnings and ends of notes are rounded to frames, and a note has one frame at least. Silence
    before the first note and after the last is left out.

    Args:
      path: the file.
      beats: quarter notes of a frame.

    Returns:
      uint8 `[frames, 88]`, 1 where a key sounds.

    Raises:
      ImportError: `mido` is not installed.
      ValueError: the file is no MIDI file, has no note, or one that is no key of a piano (where).
    """
    midi = _parsed(path)
    if midi.type == 2:
        raise ValueError(f"{path}: MIDI of type 2, independent tracks; save it as type 0 or 1")
    if not 0 < midi.ticks_per_beat < 2**15:
        raise ValueError(f"{path}: time in seconds (SMPTE); save it with time in beats")
    ticks = midi.ticks_per_beat * beats
    notes: list[Note] = []
    for number, track in enumerate(midi.tracks, start=1):
        notes += _notes_of_track(f"{path}, track {number}", track, ticks)
    if not notes:
        raise ValueError(f"{path}: no note; give music")
    first = min(note.start for note in notes)
    frames = max(note.stop for note in notes) - first
    if frames > LONGEST:
        raise ValueError(f"{path}: {frames:,} frames; give at most {LONGEST:,}, or longer frames")
    roll = np.zeros((frames, KEYS), np.uint8)
    for note in notes:
        roll[note.start - first : note.stop - first, note.key] = 1
    return roll


def write_midi(
    path: str | os.PathLike,
    roll: np.ndarray,
    beats: int | float = 1.0,
    tempo: int | float = 100.0,
) -> None:
    """Writes a piano roll as a MIDI file of one track; a key that sounds on is held.

    Args:
      path: the file.
      roll: `[frames, 88]`, not 0 where a key sounds.
      beats: quarter notes of a frame.
      tempo: quarter notes a minute.

    Raises:
      ImportError: `mido` is not installed.
    """
    mido = _mido()
    # Notes end before others begin at the same time.
    events = []
    for note in held_notes(roll):
        events.append((note.start, 1, note.key))
        events.append((note.stop, 0, note.key))
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    now = 0
    for frame, begins, key in sorted(events):
        at = round(frame * beats * TICKS)
        kind = "note_on" if begins else "note_off"
        message = mido.Message(kind, note=key + LOWEST, velocity=LOUDNESS, time=at - now)
        track.append(message)
        now = at
    file = io.BytesIO()
    midi = mido.MidiFile(type=0, ticks_per_beat=TICKS)
    midi.tracks.append(track)
    midi.save(file=file)
    write_atomically(path, file.getvalue())


def held_notes(roll: np.ndarray) -> list[Note]:
    """Lists the notes of a piano roll, by key and time; a key that sounds on is one note.

    Args:
      roll: `[frames, keys]`, not 0 where a key sounds.

    Example:
      >>> held_notes(np.array([[1, 0], [1, 1], [0, 1]]))
      [Note(key=0, start=0, stop=2), Note(key=1, start=1, stop=3)]
    """
    sounds = (np.asarray(roll) != 0).astype(np.int8)
    # 1 where a key is struck, -1 after it is let go, [frames + 1, keys].
    changes = np.diff(np.pad(sounds, ((1, 1), (0, 0))), axis=0)
    notes = []
    for key in range(sounds.shape[1]):
        starts = np.flatnonzero(changes[:, key] == 1)
        stops = np.flatnonzero(changes[:, key] == -1)
        for start, stop in zip(starts, stops, strict=True):
            notes.append(Note(key, int(start), int(stop)))
    return notes


def _mido() -> Any:
    try:
        import mido
    except ImportError as error:
        raise ImportError('MIDI files want mido: pip install "seqjax[experiments]"') from error
    return mido


def _parsed(path: str | os.PathLike) -> Any:
    mido = _mido()
    data = read_bytes(path)
    try:
        return mido.MidiFile(file=io.BytesIO(data), clip=True)
    except Exception as error:  # mido raises what its parts raise.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: no MIDI file that can be read ({reason:.80})") from None


def _notes_of_track(where: str, track: Any, ticks: float) -> list[Note]:
    """Lists the notes of a track; one that never ends lasts until the end of the track."""
    notes, begun, now = [], {}, 0
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
            continue
        key = message.note - LOWEST
        if not 0 <= key < KEYS:
            raise ValueError(
                f"{where}: note {message.note} at tick {now:,}; a piano has {LOWEST} to "
                f"{LOWEST + KEYS - 1}: transpose it"
            )
        held = (message.channel, key)
        if held in begun:
            notes.append(_rounded(key, begun.pop(held), now, ticks))
        if message.type == "note_on" and message.velocity:
            begun[held] = now
    for (_, key), start in begun.items():
        notes.append(_rounded(key, start, now, ticks))
    return notes


def _rounded(key: int, start: int, stop: int, ticks: float) -> Note:
    """Rounds the times of a note to frames."""
    first = round(start / ticks)
    return Note(key, first, max(first + 1, round(stop / ticks)))
