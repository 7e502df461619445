import numpy as np
import pytest

from seqjax import files, music


def loudest_frequency(sound, rate):
    spectrum = np.abs(np.fft.rfft(sound))
    return np.fft.rfftfreq(len(sound), 1 / rate)[spectrum.argmax()]


def roll_of(*keys, frames=2):
    roll = np.zeros((frames, 88), np.uint8)
    roll[:, list(keys)] = 1
    return roll


@pytest.mark.parametrize(("key", "hertz"), [(48, 440.0), (36, 220.0), (51, 440 * 2**0.25)])
def test_a_key_has_its_frequency(key, hertz):
    sound = music.play(roll_of(key), seconds=0.5)
    assert loudest_frequency(sound, 22_050) == pytest.approx(hertz, abs=1)
    assert sound.dtype == np.float32 and np.abs(sound).max() == pytest.approx(0.9)


def test_notes_sound_when_they_should():
    roll = np.zeros((3, 88))
    roll[1, 48] = 1
    sound = music.play(roll, seconds=0.5, rate=8000)
    assert len(sound) == 3 * 4000 + 1200
    assert not sound[:4000].any() and sound[4000:8000].any() and not sound[9200:].any()
    assert not music.play(np.zeros((2, 88)), 0.5).any()


def test_no_wave_is_higher_than_the_rate_carries():
    sound = music.play(roll_of(87), seconds=0.5, rate=8400)
    # 4186 Hz is all that is below half the rate; a second wave would fold back.
    spectrum = np.abs(np.fft.rfft(sound))
    at = np.fft.rfftfreq(len(sound), 1 / 8400)
    assert spectrum[at < 4000].max() < spectrum.max() / 20


def test_a_piece_is_written_by_its_ending(tmp_path):
    roll = roll_of(39, 43, 46, frames=4)
    for ending in (".mid", ".wav", ".png"):
        music.write_piece(tmp_path / f"a{ending}", roll, beats=1, tempo=120)
    np.testing.assert_array_equal(files.read_midi(tmp_path / "a.mid", 1), roll)
    rate, samples = files.read_wav(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(2.15 * rate, abs=2)
    assert (tmp_path / "a.png").stat().st_size > 3000
    with pytest.raises(ValueError, match="a.ogg: the ending is '.ogg'; choose one of .mid"):
        music.write_piece(tmp_path / "a.ogg", roll)
