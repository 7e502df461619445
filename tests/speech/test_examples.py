"""What a person has, as a part: files, arrays, clips."""

import numpy as np
import pytest
import soundfile

from seqjax import speech
from seqjax.speech.examples import part_of, recordings_of

NOISE = (np.random.default_rng(0).standard_normal(1600) / 9).astype(np.float32)


def test_files_and_arrays_side_by_side(tmp_path):
    soundfile.write(tmp_path / "a.wav", NOISE, 16000, subtype="FLOAT")
    part = part_of(([tmp_path / "a.wav", NOISE], ["no  yes ", "no"]), 8000)
    assert part.clips.rate == 8000 and part.texts() == ["no yes", "no"]
    assert [len(sound) for sound in part.clips.samples] == [800, 1600]
    np.testing.assert_array_equal(part.utterances[1].render(part.clips), NOISE)
    # Without a rate that of the first file counts.
    assert recordings_of([str(tmp_path / "a.wav")]).clips.rate == 16000


def test_arrays_of_another_rate_and_of_16_bits():
    part = recordings_of([NOISE, np.array([16384, -32768], np.int16)], 8000, 16000)
    assert len(part.clips.samples[0]) == 800
    (kept,) = recordings_of([np.array([16384, -32768], np.int16)], 8000).clips.samples
    np.testing.assert_array_equal(kept, np.array([0.5, -1], np.float32))


def test_clips_and_parts_know_their_texts():
    clips = speech.synthetic_words(["ab"], speakers=1, takes=2)
    assert part_of(clips).texts() == ["ab", "ab"]
    part = speech.Part(clips, [speech.Utterance((0, 1), (0, 0, 0))])
    assert part_of(part, 8000) is part and recordings_of(part) is part and len(part) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: part_of(([NOISE], ["a", "b"]), 8000), "1 recordings and 2 texts"),
        (lambda: part_of(([NOISE], ["a"])), "recording 0 is an array; give its rate"),
        (lambda: part_of(([], []), 8000), "there is no recording"),
        (lambda: part_of(([0 * NOISE], ["a"]), 8000), "recording 0: silent"),
        (lambda: recordings_of("a.wav"), r"recordings are 'a.wav'; give a list, \['a.wav'\]"),
        (lambda: recordings_of(["none.wav"]), "none.wav: no such file"),
        (
            lambda: recordings_of([NOISE, NOISE[:, None]], 8000),
            r"recording 1 is float32\[1600, 1\]",
        ),
        (lambda: recordings_of([NOISE[:0]], 8000), r"recording 0 is float32\[0\]"),
        (lambda: recordings_of([np.arange(9)], 8000), "recording 0 is int64"),
        (lambda: recordings_of([NOISE * np.nan], 8000), "recording 0 has samples that are not"),
        (lambda: recordings_of([NOISE], 8000, 4000), "4,000 samples a second; wanted at least"),
        (
            lambda: part_of(speech.synthetic_words(["ab"], speakers=1, takes=1), 16000),
            "the recordings have 8,000 samples a second; wanted 16,000",
        ),
    ],
)
def test_mistakes_name_the_recording(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_recordings_without_texts_are_no_examples(unchecked):
    with pytest.raises(ValueError, match=r"examples are a list; give \(recordings, texts\)"):
        part_of([NOISE], 8000)
