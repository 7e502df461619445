"""Utterances put together from recordings, files of them, and made-up words."""

import numpy as np
import pytest
import soundfile

from seqjax import speech
from tests.datasets.data_files import write, write_wav


@pytest.fixture
def clips():
    random = np.random.default_rng(0)
    samples = [
        random.standard_normal(100 + 10 * place).astype(np.float32) / 8 for place in range(6)
    ]
    texts = ["one", "two", "three"] * 2
    return speech.Clips(
        1000, samples, texts, ["ann"] * 3 + ["bob"] * 3, [f"{place}.wav" for place in range(6)]
    )


def test_an_utterance_is_its_recordings_pauses_and_levels(clips):
    plain = speech.Utterance((0, 2), (5, 7, 9))
    sound = plain.render(clips)
    assert (
        len(sound) == plain.length(clips) == 5 + 100 + 7 + 120 + 9
        and plain.text(clips) == "one three"
    )
    np.testing.assert_array_equal(sound[5:105], clips.samples[0])
    np.testing.assert_array_equal(sound[112:232], clips.samples[2])
    assert not sound[:5].any() and not sound[105:112].any() and not sound[232:].any()

    loud = speech.Utterance((0, 2), (5, 7, 9), gains=(0.5, 1.0), level=0.2).render(clips)
    assert np.abs(loud).max() == pytest.approx(0.2)
    assert np.abs(loud[:110]).max() == pytest.approx(0.1)
    noisy = speech.Utterance((0,), (5000, 0), noise=0.01, seed=3).render(clips)
    assert noisy[:5000].std() == pytest.approx(0.01, rel=0.1)
    fast = speech.Utterance((1,), (0, 0), speed=1.1)
    assert len(fast.render(clips)) == fast.length(clips) == 100


def test_drawn_utterances_keep_to_one_speaker_and_to_the_seed(clips):
    drawn = speech.connect(clips, 200, 1, most=4, pause=0.05, speeds=speech.SPEEDS)
    assert drawn == speech.connect(clips, 200, 1, most=4, pause=0.05, speeds=speech.SPEEDS)
    assert drawn != speech.connect(clips, 200, 2, most=4, pause=0.05, speeds=speech.SPEEDS)
    for utterance in drawn:
        assert len({clips.speakers[clip] for clip in utterance.clips}) == 1
        assert len(utterance.pauses) == len(utterance.clips) + 1 and max(utterance.pauses) <= 50
        assert 0.03 < utterance.level < 0.9 and len(utterance.render(clips)) == utterance.length(
            clips
        )
    assert {len(utterance.clips) for utterance in drawn} == {1, 2, 3, 4}
    assert {utterance.speed for utterance in drawn} == set(speech.SPEEDS)
    assert {clip for utterance in drawn for clip in utterance.clips} == set(range(6))
    assert [u.text(clips) for u in speech.whole(clips)] == clips.texts
    with pytest.raises(ValueError, match="give at least 1 of each"):
        speech.connect(clips.where([False] * 6), 1, 0, most=1)


def test_a_folder_of_recordings(tmp_path):
    noise = np.random.default_rng(0).integers(-999, 999, 800)
    write_wav(tmp_path / "7_ann_12.wav", noise)
    write_wav(tmp_path / "yes_bob_lee_0.wav", np.repeat(noise, 2), rate=16000)
    clips, indices = speech.read_recordings(tmp_path, None)
    assert (
        clips.rate == 8000
        and clips.texts == ["seven", "yes"]
        and clips.speakers == ["ann", "bob_lee"]
    )
    assert indices == [12, 0] and [len(sound) for sound in clips.samples] == [800, 800]
    with pytest.raises(
        ValueError, match="7_ann_12.wav: 8,000 samples a second; wanted at least 16,000"
    ):
        speech.read_recordings(tmp_path, 16000)


def test_a_file_of_transcripts(tmp_path):
    noise = np.random.default_rng(0).standard_normal(900) / 9
    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds/a.flac", noise, 8000)
    write(tmp_path / "train.tsv", "sounds/a.flac\tHello,  World\n")
    clips = speech.read_transcripts(tmp_path / "train.tsv", None)
    assert clips.texts == ["hello, world"] and len(clips.samples[0]) == 900
    write(tmp_path / "train.tsv", "sounds/a.flac\thello\nsounds/b.flac\tworld\n")
    with pytest.raises(ValueError, match="b.flac: no such file"):
        speech.read_transcripts(tmp_path / "train.tsv", None)
    write(tmp_path / "train.tsv", "sounds/a.flac hello\n")
    with pytest.raises(ValueError, match="train.tsv, line 1"):
        speech.read_transcripts(tmp_path / "train.tsv", None)


def test_made_up_words_differ_by_their_letters():
    clips = speech.synthetic_words(["ab", "bab"], speakers=2, takes=3)
    assert (
        clips.texts.count("bab") == 6
        and len(set(clips.speakers)) == 2
        and len(set(clips.names)) == 12
    )
    assert all(np.abs(sound).max() < 1 and 0.1 < len(sound) / 8000 < 0.4 for sound in clips.samples)
    same = speech.synthetic_words(["ab", "bab"], speakers=2, takes=3)
    np.testing.assert_array_equal(same.samples[5], clips.samples[5])
    # The first letter's lower pitch is the strongest of its half.
    pitches = [np.abs(np.fft.rfft(sound[:400])).argmax() * 20 for sound in clips.samples]
    words = np.array(clips.texts), np.array(clips.speakers) == "voice0"
    first = {
        word: np.median(np.array(pitches)[(words[0] == word) & words[1]]) for word in ("ab", "bab")
    }
    assert abs(first["ab"] - first["bab"]) > 50


@pytest.mark.parametrize("label", ["12", "01"])
def test_a_label_of_several_digits_is_refused(tmp_path, label):
    for name in ("7", "route66", label):
        write_wav(tmp_path / f"{name}_ann_0.wav", np.arange(800))
    with pytest.raises(
        ValueError,
        match=f"{label}_ann_0.wav: the label '{label}' is a number; wanted a digit, 0 to 9",
    ):
        speech.read_recordings(tmp_path, None)
    (tmp_path / f"{label}_ann_0.wav").unlink()
    assert speech.read_recordings(tmp_path, None)[0].texts == ["seven", "route66"]
