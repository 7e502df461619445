"""Which utterances train, validate and test."""

import numpy as np
import pytest
import soundfile

from seqjax import speech
from seqjax.speech.parts import VARIED, has_room
from tests.datasets.data_files import write


@pytest.fixture(scope="module")
def words():
    clips = speech.synthetic_words(["ab", "ox"], speakers=2, takes=12)
    return clips, np.arange(len(clips)) % 12


def test_connected_speech_of_each_part(words):
    parts = speech.connected_parts(*words, held_out="voice1", most=3, count=50, scored=20, seed=5)
    assert list(parts) == ["train", "validation", "test", "held_out", "varied"]
    assert [len(part) for part in parts.values()] == [50, 20, 20, 20, 20]
    assert {u.speed for u in parts["train"].utterances} == set(speech.SPEEDS)
    assert {u.speed for u in parts["test"].utterances} == {1.0}
    assert max(len(u.clips) for u in parts["train"].utterances) == 3
    for name, part in parts.items():
        voices = {"voice1"} if name == "held_out" else {"voice0"}
        assert set(part.clips.speakers) == voices
    # The takes 0 to 4 test, 5 to 9 validate.
    takes = {int(name.split("_")[-1]) for name in parts["validation"].clips.names}
    assert takes == {5, 6, 7, 8, 9}
    # Training alone depends on the seed.
    other = speech.connected_parts(*words, held_out="voice1", most=3, count=50, scored=20, seed=6)
    assert parts["train"].utterances != other["train"].utterances
    assert all(parts[name].utterances == other[name].utterances for name in list(parts)[1:])


def test_silence_of_every_kind_in_half_of_validation_and_in_varied(words):
    parts = speech.connected_parts(*words, most=3, count=9, scored=20)
    assert parts["varied"].texts() == parts["test"].texts()
    assert parts["varied"].utterances == speech.vary(parts["test"].utterances, VARIED)
    plain = [u.channel == speech.Channel() for u in parts["validation"].utterances]
    assert all(plain[:10]) and sum(plain[10:]) < 5


def test_a_corpus_of_transcripts(tmp_path, words):
    lines = []
    for place, samples in enumerate(words[0].samples[:20]):
        soundfile.write(tmp_path / f"{place}.wav", samples, 8000)
        lines.append(f"{place}.wav\tw{place}\n")
    table = write(tmp_path / "all.tsv", "".join(lines))
    parts = speech.read_corpus(table, table, count=30, seed=1)
    assert parts["validation"].clips.texts == ["w9", "w19"] and len(parts["train"]) == 30
    assert len(parts["train"].clips) == 18 and parts["varied"].texts() == parts["test"].texts()
    short = write(tmp_path / "short.tsv", "".join(lines[:9]))
    with pytest.raises(ValueError, match="short.tsv: 9 lines; give at least 10"):
        speech.read_corpus(short, table)


def test_texts_need_a_step_for_every_letter_and_one_between_equal_ones():
    clips = speech.Clips(
        8000, [np.ones(400)] * 3, ["ab", "aab", "abcabc"], ["a"] * 3, ["x", "y", "z"]
    )
    part, mel = speech.Part(clips, speech.whole(clips)), speech.LogMel(8000)
    assert has_room(part, mel, 1) == [True, True, False]
    assert has_room(part, mel, 2) == [True, False, False]
    speech.check_room(speech.Part(clips, part.utterances[:2]), mel, 1)
    with pytest.raises(ValueError, match="y: 2 steps of sound for 4 of 'aab'; lower the stride"):
        speech.check_room(part, mel, 2)


def test_letters_that_no_model_writes_are_counted():
    clips = speech.Clips(8000, [np.ones(400)] * 2, ["no", "nóé"], ["a"] * 2, ["x", "y"])
    letters = speech.LetterCodec.of(["noyes"]).vocabulary
    part = speech.Part(clips, speech.whole(clips))
    assert speech.unknown_letters(part, letters) == {"ó": 1, "é": 1}
