import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies

from seqjax import music
from seqjax.music.batches import cut
from seqjax.music.notes import transpose
from tests.datasets.data_files import scales


@given(strategies.integers(0, 2**32 - 1), strategies.integers(0, 6))
def test_notes_and_rolls_are_the_same(seed, frames):
    roll = (np.random.default_rng(seed).random((frames, 88)) < 0.1).astype(np.uint8)
    most = music.polyphony([roll])
    notes = music.notes_of(roll, most + 2)
    assert notes.shape == (frames, most + 2) and (np.diff(notes, axis=1) >= 0).all()
    np.testing.assert_array_equal(music.roll_of(notes), roll)
    if frames:
        assert most == max(1, roll.sum(1).max())
        with pytest.raises(ValueError, match="keys sound at once"):
            music.notes_of(np.ones((1, 88), np.uint8), 87)


def test_transposed_pieces_are_moved_whole():
    rows = [music.notes_of(roll[:8], 3) for roll in scales(40)]
    notes = np.stack(rows)
    moved = np.asarray(transpose(jax.random.key(0), jnp.array(notes), 3))
    sounds = notes < 88
    by = (moved - notes)[sounds].reshape(40, -1)
    assert (by == by[:, :1]).all() and set(by[:, 0]) == set(range(-3, 4))
    assert (moved[~sounds] == 88).all()


def test_a_roll_is_moved_as_far_as_the_piano_reaches():
    roll = np.eye(88, dtype=np.uint8)[[0, 40]]
    for by in (0, 1, 47):
        assert music.moved(roll, by).nonzero()[1].tolist() == [by, 40 + by]
    assert music.moved(roll[1:], -40).nonzero()[1].tolist() == [0]
    for by in (-1, 48, 300, -300):
        with pytest.raises(ValueError, match=f"moved by {by} semitones a note leaves the piano"):
            music.moved(roll, by)


def test_no_note_leaves_the_piano():
    notes = jnp.array([[[0, 87]], [[0, 88]], [[87, 88]], [[88, 88]]])
    moved = np.stack([transpose(jax.random.key(seed), notes, 6) for seed in range(30)])
    assert (moved[:, 0] == [0, 87]).all() and (moved[:, 3] == 88).all()
    assert set(moved[:, 1, 0, 0]) == set(range(7)) and set(moved[:, 2, 0, 0]) == set(range(81, 88))


def test_long_pieces_are_cut_into_parts_that_know_the_frame_before():
    notes = np.arange(10)[:, None]
    parts = [part[:, 0].tolist() for part in cut(notes, 4)]
    assert parts == [[88, 0, 1, 2], [2, 3, 4, 5], [5, 6, 7, 8, 9]]
    assert list(cut(notes[:0], 4)) == []


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (np.zeros(88), r"piece 1 is float64\[88\]; give \[frames, 88\] numbers"),
        (np.zeros((3, 87), int), r"piece 1 is int64\[3, 87\]"),
        (np.full((3, 88), "x"), r"piece 1 is <U1\[3, 88\]"),
    ],
)
def test_what_is_no_roll_is_told(piece, message):
    with pytest.raises(ValueError, match=message):
        music.as_rolls([np.zeros((2, 88)), piece])
