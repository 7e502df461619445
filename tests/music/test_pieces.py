import numpy as np
import pytest

from seqjax import files, music
from tests.datasets.data_files import scales, write_mat


def test_corpora(tiny):
    for corpus in music.CORPORA:
        train, dev = (music.load_pieces(corpus, split, tiny) for split in ("train", "validation"))
        assert len(train.rolls) == 6 and len(dev.rolls) == 2 and "music" in train.origin
        np.testing.assert_array_equal(dev.rolls[1], scales(2, 1)[1])


def test_folders_files_and_splits(tmp_path):
    rolls = scales(3)
    (tmp_path / "deep").mkdir()
    for name, roll in zip(("b.mid", "deep/c.midi", "a.MID"), rolls, strict=True):
        files.write_midi(tmp_path / name, roll, 0.25)
    (tmp_path / "words.txt").write_text("no music")
    found = music.read_pieces(tmp_path)
    assert found.origin == str(tmp_path)
    for one, wanted in zip(found.rolls, (rolls[2], rolls[0], rolls[1]), strict=True):
        np.testing.assert_array_equal(one, wanted)
    assert len(music.read_pieces(tmp_path / "b.mid", beats=0.5).rolls) == 1
    path = write_mat(tmp_path / "m.mat", traindata=rolls, validdata=rolls[:1], testdata=rolls[1:])
    counts = [len(music.read_pieces(path, s).rolls) for s in ("train", "validation", "test")]
    assert counts == [3, 1, 2]


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="no MIDI file .* in this folder"):
        music.read_pieces(tmp_path)
    with pytest.raises(ValueError, match="none: no such file"):
        music.read_pieces(tmp_path / "none")
