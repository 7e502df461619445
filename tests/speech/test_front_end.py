"""The front end: what neither level nor offset nor silence changes, whole and piece by piece."""

import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from seqjax import speech
from seqjax.files.settings import from_plain, to_plain

pytestmark = pytest.mark.usefixtures("quick_compile")


def front_end_of(clips, streaming=False):
    return speech.FrontEnd.of(speech.Part(clips, speech.whole(clips)), 20, streaming=streaming)


@pytest.fixture(scope="module")
def spoken():
    """Two made-up words, half a second apart; where nothing is said, the samples are 0."""
    clips = speech.synthetic_words(["ab", "ox"], speakers=1, takes=1)
    return clips, speech.Utterance((0, 1), (4000, 4000, 4000)).render(clips)


@hypothesis.given(decibels=st.floats(-40, 0), offset=st.floats(-0.5, 0.5))
def test_neither_level_nor_offset_changes_the_features_of_a_whole(spoken, decibels, offset):
    clips, samples = spoken
    noisy = samples + 1e-3 * np.random.default_rng(0).standard_normal(len(samples)).astype(
        np.float32
    )
    front_end, gain = front_end_of(clips), 10 ** (decibels / 20)
    changed = (gain * (noisy + offset)).astype(np.float32)
    np.testing.assert_allclose(front_end.features(changed), front_end.features(noisy), atol=0.05)


@hypothesis.given(offset=st.floats(-0.5, 0.5))
def test_a_stream_hears_an_offset_where_it_begins_alone(spoken, offset):
    clips, samples = spoken
    noisy = samples + 1e-3 * np.random.default_rng(0).standard_normal(len(samples)).astype(
        np.float32
    )
    mel = front_end_of(clips, streaming=True).mel
    np.testing.assert_allclose(mel(noisy + np.float32(offset))[2:], mel(noisy)[2:], atol=0.05)


def test_exact_zeros_have_the_features_of_a_faint_noise(spoken):
    clips, samples = spoken
    front_end, pauses = front_end_of(clips), np.array([*range(5, 48)])
    energy = np.exp(front_end.mel(samples)).mean()
    # White noise of deviation s has the energy s^2 * sum(hann^2) * sum(filter) in a band of filters
    # of equal area.
    filters = speech.mel_filters(8000, 256, 20, 20.0, 4000.0).sum(0)
    deviation = np.sqrt(front_end.floor * energy / (3 / 8 * 200 * np.median(filters)))
    noise = deviation * np.random.default_rng(0).standard_normal(len(samples))
    zeros, noisy = (
        front_end.features(samples),
        front_end.features(samples + noise.astype(np.float32)),
    )
    silence = np.asarray(zeros[pauses].mean(0) - noisy[pauses].mean(0))
    assert np.abs(silence).max() < 0.5 and np.isfinite(np.asarray(zeros)).all()
    # Frames of speech are far from those of silence, by the same scale.
    assert np.asarray(zeros[60:80] - zeros[pauses].mean(0, keepdims=True)).max() > 2
    assert (
        np.abs(front_end.features(np.zeros(4000))).max() < 1
    )  # Rounding, over the least deviation.


def test_settings_hold_it(spoken):
    for streaming in (False, True):
        front_end = front_end_of(spoken[0], streaming)
        again = from_plain(json.loads(json.dumps(to_plain(front_end))))
        assert again == front_end and hash(again) == hash(front_end)
        np.testing.assert_array_equal(again.features(spoken[1]), front_end.features(spoken[1]))


def test_a_stream_gives_the_features_of_the_whole(spoken):
    clips, samples = spoken
    front_end = front_end_of(clips, streaming=True)
    samples = samples[: len(samples) // 800 * 800]
    state, pieces = front_end.initial_state(), []
    for piece in np.split(samples, [800, 4000, 4080]):
        state, features = front_end.step(state, piece)
        pieces.append(features)
    np.testing.assert_allclose(np.concatenate(pieces), front_end.features(samples), atol=1e-4)


def test_the_mean_of_a_stream_is_that_of_training():
    """Features of the training sound itself begin around 0: the running mean knows it already."""
    clips = speech.synthetic_words(["ab", "ox"], speakers=2, takes=3)
    front_end = front_end_of(clips, streaming=True)
    together = np.concatenate(clips.samples)
    features = np.asarray(front_end.features(together))
    assert np.abs(features.mean(0)).max() < 0.5
    np.testing.assert_allclose(features.std(0), 1, atol=0.2)


def test_one_of_whole_utterances_does_not_stream(spoken):
    with pytest.raises(ValueError, match="make it with streaming=True"):
        front_end_of(spoken[0]).initial_state()
