"""From scores to texts, and the places of letters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import speech
from seqjax.models.acoustic import Emissions
from seqjax.speech.decoder import align_letters

pytestmark = pytest.mark.usefixtures("quick_compile")
CODEC = speech.LetterCodec.of(["noyes"])


def emissions_of(*rows):
    """Certain scores of rows of symbols, "-" being the blank."""
    symbols = [[0 if letter == "-" else CODEC.encode(letter)[0] for letter in row] for row in rows]
    longest = max(map(len, symbols))
    padded = np.array([row + [1] * (longest - len(row)) for row in symbols])
    scores = jax.nn.log_softmax(9 * jax.nn.one_hot(padded, len(CODEC)))
    return Emissions(scores, jnp.array([len(row) for row in symbols]))


@pytest.mark.parametrize("beam", [1, 4])
def test_runs_are_one_letter_and_the_padding_is_none(beam):
    heard = emissions_of("nn-oo-o", "y-es", "----")
    assert speech.Decoder(CODEC, beam)(heard) == ["noo", "yes", ""]


def test_a_language_model_decides_what_the_sound_leaves_open():
    scores = np.full((2, 3, len(CODEC)), 0.01)
    for row, text in enumerate(("so ", "yes")):
        scores[row, np.arange(3), CODEC.encode(text)] = 0.4
    scores[0, 0, CODEC.encode("n")], scores[0, 2, 0] = 0.3, 0.9
    heard = Emissions(jnp.log(scores), jnp.array([3, 3]))
    model = speech.LetterModel.of(["no", "yes"], weight=1.0)
    assert speech.Decoder(CODEC, 1, model)(heard) == ["so", "yes"]
    assert speech.Decoder(CODEC, 8)(heard) == ["so", "yes"]
    assert speech.Decoder(CODEC, 8, model)(heard) == ["no", "yes"]


def test_letters_are_located_in_seconds():
    found = align_letters(emissions_of("-nn--o", "y-----"), CODEC, ["no", ""], 0.02)
    assert [letter for letter, _, _ in found[0]] == ["n", "o"]
    np.testing.assert_allclose([times for _, *times in found[0]], [[0.02, 0.06], [0.1, 0.12]])
    assert found[1] == []


def test_a_text_that_is_too_long_is_nowhere():
    assert align_letters(emissions_of("no"), CODEC, ["yes"], 0.02) == [None]


def test_a_beam_of_nothing_is_refused():
    with pytest.raises(ValueError, match="beam is 0; give at least 1"):
        speech.Decoder(CODEC, 0)
