"""MIDI files: what is written is read, what others write is read, what is none is told."""

import mido
import numpy as np
import pytest

from seqjax.files import held_notes, read_midi, write_midi
from tests.datasets.data_files import scales


def refused(match):
    return pytest.raises(ValueError, match=match)


def save(path, *tracks, ticks=100, kind=1):
    """A file of tracks of `(type, note, ticks since the last one, ...)`."""
    midi = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    for events in tracks:
        track = mido.MidiTrack()
        for name, note, time, *rest in events:
            values = dict(zip(("velocity", "channel"), rest, strict=False))
            track.append(mido.Message(name, note=note, time=time, **values))
        midi.tracks.append(track)
    midi.save(path)
    return path


@pytest.mark.parametrize("beats", [1.0, 0.25, 1 / 3])
def test_what_is_written_is_read(tmp_path, beats):
    for roll in (*scales(3), np.random.default_rng(0).integers(0, 2, (9, 88)).astype(np.uint8)):
        write_midi(tmp_path / "a.mid", roll, beats, tempo=90.0)
        np.testing.assert_array_equal(read_midi(tmp_path / "a.mid", beats), roll)


def test_time_and_velocity_as_others_read_them(tmp_path):
    roll = np.zeros((4, 88))
    roll[:3, 39] = roll[2, 43] = 1
    write_midi(tmp_path / "a.mid", roll, beats=2, tempo=120)
    midi = mido.MidiFile(tmp_path / "a.mid")
    assert midi.length == pytest.approx(3.0)  # Three frames of two beats, half a second each.
    notes = [m for m in midi.tracks[0] if m.type in ("note_on", "note_off")]
    assert [(m.type, m.note, m.time) for m in notes] == [
        ("note_on", 60, 0),
        ("note_on", 64, 1920),
        ("note_off", 60, 960),
        ("note_off", 64, 0),
    ]


def test_a_key_that_sounds_on_is_one_note():
    roll = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1]])
    assert held_notes(roll) == [(0, 0, 2), (1, 1, 3), (2, 0, 1), (2, 2, 3)]
    assert held_notes(np.zeros((0, 88))) == []


def test_files_of_others(tmp_path):
    # Two tracks, drums, an end by velocity 0, a note struck anew, one that never ends.
    path = save(
        tmp_path / "a.mid",
        [("note_on", 60, 100), ("note_on", 60, 100), ("note_on", 60, 110, 0)],
        [("note_on", 36, 0, 64, 9), ("note_on", 72, 195), ("note_off", 36, 205, 0, 9)],
    )
    roll = read_midi(path, beats=1)
    assert roll.shape == (3, 88)  # What is silent before the first note is left out.
    assert roll[:, 60 - 21].tolist() == [1, 1, 0] and roll[:, 72 - 21].tolist() == [0, 1, 1]
    assert roll.sum() == 4
    # The shortest note has a frame.
    path = save(tmp_path / "b.mid", [("note_on", 21, 0), ("note_off", 21, 1)])
    assert read_midi(path, beats=4).tolist() == [[1, *[0] * 87]]


def test_mistakes_name_file_and_place(tmp_path):
    path = save(tmp_path / "a.mid", [], [("note_on", 60, 5), ("note_on", 20, 7)])
    with refused("a.mid, track 2: note 20 at tick 12; a piano has 21 to 108: transpose it"):
        read_midi(path)
    with refused("b.mid: no note; give music"):
        read_midi(save(tmp_path / "b.mid", []))
    with refused("c.mid: MIDI of type 2"):
        read_midi(save(tmp_path / "c.mid", [("note_on", 60, 5)], kind=2))
    with refused("d.mid: no such file"):
        read_midi(tmp_path / "d.mid")
    with refused(r"e.mid: time in seconds \(SMPTE\)"):
        data = bytearray(save(tmp_path / "e.mid", [("note_on", 60, 5)]).read_bytes())
        data[12:14] = b"\xe7\x28"
        (tmp_path / "e.mid").write_bytes(data)
        read_midi(tmp_path / "e.mid")
    with refused("f.mid: 2,000,000 frames; give at most 1,000,000"):
        long = [("note_on", 60, 0), ("note_off", 60, 200_000_000)]
        read_midi(save(tmp_path / "f.mid", long), beats=1)


def test_damaged_files_are_one_line(tmp_path):
    write_midi(tmp_path / "a.mid", scales(1)[0])
    whole, path = (tmp_path / "a.mid").read_bytes(), tmp_path / "b.mid"
    random, told = np.random.default_rng(0), 0
    damaged = [whole[:end] for end in range(len(whole))]
    for _ in range(200):
        data = bytearray(whole)
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        damaged.append(bytes(data))
    for data in damaged:
        path.write_bytes(data)
        try:
            read_midi(path, 1.0)
        except ValueError as error:
            assert str(error).startswith(f"{path}") and "\n" not in str(error)
            told += 1
    assert told >= len(whole) - 4
