"""Words that no one has spoken: each letter a chord or a hiss, for a machine without recordings."""

from collections.abc import Sequence

import numpy as np

from seqjax.speech.utterances import DIGITS, Clips

HISSING = "cfhsxz"
"""Letters that are noise around a pitch of their own; the others are chords of two."""
LETTER = (0.05, 0.12)
"""Seconds that a letter lasts, from and to."""


def synthetic_words(
    words: Sequence, speakers: int, takes: int, seed: int = 0, rate: int = 8000
) -> Clips:
    """Recordings of made-up speech: every word by every speaker, so many times.

    A letter has two pitches, fixed by its name; a speaker shifts all pitches; every take draws its
    own tempo, levels and noise. It sounds like nothing, and is learnt like speech that is spelt as
    it is spoken.

    Args:
      words: what to say, in small letters.
      speakers: how many voices.
      takes: recordings of each word by each of them.
      seed: of all that is drawn.
      rate: samples a second.

    Returns:
      `Clips`, named `{word}_{speaker}_{take}`.
    """
    generator = np.random.default_rng(seed)
    entries = [
        (word, voice, take) for word in words for voice in range(speakers) for take in range(takes)
    ]
    samples = [
        _say(word, 0.94 + 0.12 * voice / max(speakers - 1, 1), rate, generator)
        for word, voice, _ in entries
    ]
    names = [f"{word}_voice{voice}_{take}" for word, voice, take in entries]
    texts, voices = [word for word, _, _ in entries], [f"voice{voice}" for _, voice, _ in entries]
    return Clips(rate, samples, texts, voices, names)


def synthetic_digits(speakers: int = 4, takes: int = 30) -> tuple[Clips, np.ndarray, str]:
    """Makes up what `load_digits` reads: recordings of the digits, the index of each, and their origin."""
    clips = synthetic_words(DIGITS, speakers, takes)
    return clips, np.arange(len(clips)) % takes, "synthetic tones, not speech"


def _say(word: str, shift: float, rate: int, generator) -> np.ndarray:
    parts = [_letter(letter, shift, rate, generator) for letter in word]
    loudness = 10 ** (generator.uniform(-12, -3) / 20)
    whole = loudness * np.concatenate(parts) + 0.003 * generator.standard_normal(
        sum(map(len, parts))
    )
    return whole.astype(np.float32)


def _letter(letter: str, shift: float, rate: int, generator) -> np.ndarray:
    """One letter, faded in and out, so that equal neighbours are two."""
    time = np.arange(int(generator.uniform(*LETTER) * rate)) / rate
    place = ord(letter) % 30
    pitches = (
        shift
        * generator.uniform(0.98, 1.02)
        * np.array([220 * 1.28 ** (place % 6), 1100 * 1.28 ** (place // 6)])
    )
    carrier = generator.standard_normal(len(time)) if letter in HISSING else 1.0
    waves = np.sin(2 * np.pi * pitches[:, None] * time + generator.uniform(0, 6, (2, 1)))
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.01)
    return 0.4 * fade * carrier * waves.sum(0)
