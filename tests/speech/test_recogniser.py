"""A listener: from sound to letters, whole and piece by piece."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import data, speech
from seqjax.models import AcousticModel
from seqjax.speech import Listener

pytestmark = pytest.mark.usefixtures("quick_compile")
SAMPLES = (np.random.default_rng(0).standard_normal(2400) / 9).astype(np.float32)


def make(scale, **settings):
    ear = speech.Ear(
        speech.LogMel(8000, 8), data.Vocabulary.characters("no yes", (speech.BLANK,)), scale
    )
    return Listener(ear, AcousticModel(len(ear.letters), (seqjax.GRU(6),), stride=2, **settings))


def test_a_stream_hears_what_the_whole_gives():
    listener = make(speech.Moments(jnp.full(8, -5.0), jnp.full(8, 2.0)), convolution=5)
    params = listener.init(jax.random.key(0))
    whole = listener.scores(params, SAMPLES)
    assert whole.shape == (15, 7) and listener.step == 0.02 and listener.step_size == 160
    np.testing.assert_allclose(np.exp(whole).sum(-1), 1, atol=1e-5)
    state, heard, compiled = listener.start(params), [], Listener.hear._cache_size()
    for piece in np.split(SAMPLES, [800, 1600]):
        state, scores = listener.hear(params, state, piece)
        heard.append(scores)
    np.testing.assert_allclose(np.concatenate(heard), whole, atol=1e-5)
    assert Listener.hear._cache_size() == compiled + 1


def test_a_batch_and_its_padding_change_nothing():
    listener = make(None)
    params = listener.init(jax.random.key(0))
    batch = np.zeros((2, 4000), np.float32)
    batch[0], batch[1, :2400] = np.resize(SAMPLES, 4000), SAMPLES
    scores, lengths = listener(params, batch, np.array([50, 30]))
    assert lengths.tolist() == [25, 15]
    np.testing.assert_allclose(scores[1, :15], listener.scores(params, SAMPLES), atol=1e-5)
    with pytest.raises(ValueError, match="moments_of_training=True"):
        listener.start(params)


def test_letters_are_located_in_seconds():
    listener = make(None)
    spoken = listener.ear.letters.encode("no")
    steps = [0, spoken[0], spoken[0], 0, 0, spoken[1]]
    scores = jax.nn.log_softmax(9 * jax.nn.one_hot(np.array(steps), len(listener.ear.letters)))
    places = listener.locate(scores, "no")
    assert [letter for letter, _, _ in places] == ["n", "o"]
    np.testing.assert_allclose([times for _, *times in places], [[0.02, 0.06], [0.1, 0.12]])
    assert listener.locate(scores, "") == []
