"""What is done to speech on its way: silences of every kind, gaps, clipping, offsets."""

import dataclasses

import numpy as np
import pytest

from seqjax import speech

RATE = 8000


@pytest.fixture
def clips():
    return speech.Clips(
        RATE, [np.full(4000, 0.5, np.float32)] * 3, ["a", "b", "c"], ["ann"] * 3, ["a", "b", "c"]
    )


def heard(channel, sounds, seed=0):
    return channel(
        [np.asarray(sound, np.float32) for sound in sounds], RATE, np.random.default_rng(seed)
    )


def test_each_stretch_has_its_floor():
    found = heard(speech.Channel(floors=(0.0, 0.01, 0.1)), [np.zeros(4000)] * 3)
    assert found.dtype == np.float32 and not found[:4000].any()
    assert found[4000:8000].std() == pytest.approx(0.01, rel=0.1)
    assert found[8000:].std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("colour", [0.0, 1.0, 2.0])
def test_the_power_of_coloured_noise_falls_with_the_frequency(colour):
    noise = speech.coloured_noise(np.random.default_rng(0), 1 << 15, colour)
    power = np.abs(np.fft.rfft(noise * np.hanning(len(noise)))) ** 2
    octaves = [np.log2(power[1 << place : 2 << place].mean()) for place in range(8, 14)]
    assert np.polyfit(np.arange(6), octaves, 1)[0] == pytest.approx(-colour, abs=0.1)
    assert noise.std() == pytest.approx(1, rel=0.1) and noise.dtype == np.float32
    assert len(speech.coloured_noise(np.random.default_rng(0), 0, colour)) == 0


def test_gaps_clipping_and_an_offset():
    sound = np.concatenate([np.full(800, 0.5), np.full(800, 0.004), np.full(80, 0.02)])
    gated = heard(speech.Channel(gate=0.01), [sound])
    np.testing.assert_array_equal(
        gated, np.where(np.arange(1680) // 800 == 1, 0, sound).astype(np.float32)
    )
    np.testing.assert_allclose(heard(speech.Channel(limit=0.5), [sound, -sound]).max(), 0.25)
    np.testing.assert_allclose(heard(speech.Channel(limit=0.5), [sound, -sound]).min(), -0.25)
    np.testing.assert_allclose(heard(speech.Channel(offset=-0.2), [sound]), sound - 0.2, atol=1e-7)
    np.testing.assert_array_equal(
        heard(speech.Channel(), [sound, 0 * sound])[:1680], sound.astype(np.float32)
    )


def test_draws_are_of_every_kind_and_keep_to_the_seed(clips):
    plain = speech.connect(clips, 300, 0, most=3)
    varied = speech.vary(plain, 1)
    assert varied == speech.vary(plain, 1) != speech.vary(plain, 2)
    for before, after in zip(plain, varied, strict=True):
        assert (before.clips, before.pauses, before.speed) == (
            after.clips,
            after.pauses,
            after.speed,
        )
        assert (
            10 ** (-45 / 20) < after.level < 1
            and len(after.channel.floors) == 2 * len(after.clips) + 1
        )
        sound = after.render(clips)
        assert len(sound) == after.length(clips) and np.isfinite(sound).all()
    channels = [utterance.channel for utterance in varied]
    pauses, words = ([max(channel.floors[place::2]) for channel in channels] for place in (0, 1))
    # Nothing added, noise between the words alone, noise in the words alone, and noise in both.
    kinds = set(zip(np.sign(pauses).tolist(), np.sign(words).tolist(), strict=True))
    assert kinds == {(0, 0), (1, 0), (0, 1), (1, 1)}
    assert any(len(set(channel.floors)) > 2 for channel in channels)
    for name, usual in (("colour", 0), ("gate", 0), ("limit", 1), ("offset", 0)):
        others = np.mean([getattr(channel, name) != usual for channel in channels])
        assert 0.1 < others < 0.5, name


def test_the_noise_of_an_utterance_comes_from_the_seed(clips):
    first, second = (speech.connect(clips, 3, seed, most=3) for seed in (0, 1))
    assert len({utterance.seed for utterance in first + second}) == 6
    # The same plan but for the seed: another noise, and only that.
    other = dataclasses.replace(first[0], seed=second[0].seed)
    difference = first[0].render(clips) - other.render(clips)
    assert difference.std() == pytest.approx(2**0.5 * first[0].noise, rel=0.1)
    np.testing.assert_array_equal(
        first[0].render(clips), speech.connect(clips, 3, 0, most=3)[0].render(clips)
    )
