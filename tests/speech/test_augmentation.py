"""What training changes in its utterances and features."""

import jax
import numpy as np

from seqjax import speech

CLIPS = speech.synthetic_words(["ab", "ox"], speakers=1, takes=20)
PART = speech.Part(CLIPS, speech.whole(CLIPS))


def test_every_second_utterance_goes_through_another_channel():
    found = speech.Augmentation(speeds=()).of_part(PART, 3).utterances
    assert found == speech.half_varied(PART.utterances, 3)
    assert found[:20] == PART.utterances[::2]
    assert all(utterance.level is not None for utterance in found[20:])
    assert found[20:] == speech.vary(PART.utterances[1::2], 3)
    assert found != speech.Augmentation(speeds=()).of_part(PART, 4).utterances


def test_speeds_are_drawn_by_the_seed_and_times_the_own():
    faster = speech.Augmentation(channels=False).of_part(PART, 0)
    assert {utterance.speed for utterance in faster.utterances} == set(speech.SPEEDS)
    assert faster.utterances == speech.Augmentation(channels=False).of_part(PART, 0).utterances
    again = speech.Augmentation(speeds=(0.5,), channels=False).of_part(faster, 0)
    for before, after in zip(faster.utterances, again.utterances, strict=True):
        assert after.speed == round(before.speed / 2, 2)
    assert [utterance.clips for utterance in again.utterances] == [(i,) for i in range(40)]


def test_features_are_hidden_where_masks_are_asked_for():
    features, lengths = np.ones((8, 60, 12), np.float32), np.full(8, 60)
    key = jax.random.key(0)
    hidden = speech.Augmentation(band_width=4, gap_width=3).of_features(key, features, lengths)
    wanted = speech.spec_augment(key, features, lengths, band_width=4, gap_width=3)
    np.testing.assert_array_equal(hidden, wanted)
    assert not np.asarray(hidden).all()
    off = speech.Augmentation(speeds=(), channels=False, masks=False)
    assert off.of_features(key, features, lengths) is features
    assert off.of_part(PART, 0) == PART
