"""A recording played against the clock."""

import time

import jax
import numpy as np
import pytest

import seqjax
from seqjax import speech
from seqjax.speech.playing import Played
from seqjax.speech.stream import Heard
from seqjax.tasks import Trained

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def model():
    clips = speech.synthetic_words(["ab", "ox"], speakers=1, takes=2)
    task = speech.Recogniser.of(clips, recurrence=seqjax.GRU(6), bands=16, stride=3, beam=1)
    return Trained(task, task.init(jax.random.key(1)))


def test_letters_come_as_the_sound_does(model):
    samples = (np.random.default_rng(0).standard_normal(4000) / 9).astype(np.float32)
    # Pieces of 0.12 s, over half a second and the silence behind it.
    played = list(speech.play(model, samples, piece=0.11, pace=False))
    assert len(played) == 7
    text = "".join(heard.letter for piece in played for heard in piece.letters)
    assert " ".join(text.split()) == model.predict([samples], beam=1)[0] != ""
    for number, piece in enumerate(played, start=1):
        assert piece.now == pytest.approx(0.12 * number + piece.busy) and piece.busy > 0
        assert all(0.12 * (number - 1) < heard.seconds <= piece.now for heard in piece.letters)


def test_it_waits_for_the_sound(model):
    began = time.monotonic()
    (*_, last) = speech.play(model, np.zeros(800), piece=0.2)
    assert time.monotonic() - began > last.now >= 0.4


def test_delays_are_told_of_words_and_of_letters():
    played = [
        Played([Heard("n", 0.1)], 0.15, 0.002),
        Played([Heard("o", 0.2), Heard(" ", 0.28)], 0.3, 0.004),
        Played([], 0.4, 0.003),
    ]
    assert speech.tell_delays(played) == [
        "    0.20 s  no, printed 100 ms later",
        "delay of a letter: median 50 ms, at most 100 ms; each piece computed in 3.0 ms",
    ]
    assert speech.tell_delays([Played([], 0.1, 0.001)]) == ["(nothing)"]
