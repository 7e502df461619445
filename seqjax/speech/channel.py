"""`Channel`: what rooms, cuts, microphones and codecs do to speech; and draws of it for training."""

import dataclasses
from collections.abc import Sequence

import numpy as np

BLOCK = 0.02
"""Seconds of the blocks that a codec leaves out whole."""

KINDS = {"whole": 0.15, "none": 0.1, "pauses": 0.15, "recordings": 0.35, "each": 0.25}
"""How often `draw_channel` puts noise where: what is hardest to hear comes most often."""


@dataclasses.dataclass(frozen=True)
class Channel:
    """What happens to speech between the mouth and the file, in this order.

    Attributes:
      floors: deviation of the noise under each stretch: the first pause, the first recording, the
        next pause and so on, `2 * recordings + 1` of them; none adds no noise.
      colour: the power of that noise falls with frequency to this power: 0 is white, 1 pink, 2
        brown.
      gate: blocks whose samples all stay below this share of the peak become exact zeros, as codecs
        write them.
      limit: samples beyond this share of the peak are clipped.
      offset: is added to every sample.
    """

    floors: tuple[float, ...] = ()
    colour: float = 0.0
    gate: float = 0.0
    limit: float = 1.0
    offset: float = 0.0

    def __call__(
        self, stretches: Sequence[np.ndarray], rate: int, generator: np.random.Generator
    ) -> np.ndarray:
        """The sound of stretches of samples, joined: float32 `[samples]`.

        Args:
          stretches: pauses and recordings in turn.
          rate: samples a second.
          generator: of the noise.
        """
        whole = np.concatenate(stretches)
        if self.floors:
            deviations = np.repeat(self.floors, [len(stretch) for stretch in stretches])
            whole = whole + deviations * coloured_noise(generator, len(whole), self.colour)
        peak = float(np.abs(whole).max(initial=0.0))
        if self.gate:
            whole = whole * _open(whole, self.gate * peak, round(BLOCK * rate))
        if self.limit < 1:
            whole = whole.clip(-self.limit * peak, self.limit * peak)
        return (whole + self.offset).astype(np.float32)


def coloured_noise(generator: np.random.Generator, size: int, colour: float = 0.0) -> np.ndarray:
    """Gaussian noise of deviation 1 whose power falls with frequency to the power `colour`: float32 `[size]`.

    Below a hundredth of the highest frequency it is white, so that what is heard has the deviation.
    """
    if not colour:
        return generator.standard_normal(size, np.float32)
    # A power of two is fast to transform, and leaves the two ends unlike.
    spectrum = np.fft.rfft(generator.standard_normal(2 << size.bit_length(), np.float32))
    shape = np.linspace(0, 1, len(spectrum)).clip(0.01) ** (-colour / 2)
    shape[0] = 0  # No offset.
    shaped = np.fft.irfft(spectrum * shape)
    return (shaped[:size] / shaped.std()).astype(np.float32)


def draw_channel(generator: np.random.Generator, recordings: int, level: float) -> Channel:
    """Draws a channel: silence of every kind, and now and then an offset, clipping or a codec's zeros.

    Floors lie between -75 and -22 dB of the peak, uniform in decibels. `KINDS` says how often one
    lies under the whole, none anywhere, one under the pauses alone, one under the recordings
    alone, and one of its own under each stretch.

    Args:
      generator: what the draws come from.
      recordings: of the utterance.
      level: the peak of the utterance.
    """

    def decibels(low, high, size=None):
        return 10 ** (generator.uniform(low, high, size) / 20)

    size = 2 * recordings + 1
    pauses = np.arange(size) % 2 == 0
    one, each = level * decibels(-75, -22), level * decibels(-75, -22, size)
    kind = str(generator.choice(list(KINDS), p=list(KINDS.values())))
    floors = {
        "whole": one * np.ones(size),
        "none": np.zeros(size),
        "pauses": one * pauses,
        "recordings": one * ~pauses,
        "each": each * (generator.random(size) < 0.7),
    }[kind]
    often = generator.random(4)
    return Channel(
        tuple(floors.tolist()),
        colour=float(generator.uniform(0, 2)) if often[0] < 0.3 else 0.0,
        gate=float(decibels(-60, -24)) if often[1] < 0.3 else 0.0,
        limit=float(decibels(-18, 0)) if often[2] < 0.3 else 1.0,
        offset=float(level * generator.uniform(-0.5, 0.5)) if often[3] < 0.3 else 0.0,
    )


def _open(whole: np.ndarray, least: float, block: int) -> np.ndarray:
    """Where the block of a sample holds one of at least `least`: bool `[samples]`."""
    filled = np.pad(np.abs(whole), (0, -len(whole) % block)).reshape(-1, block)
    return np.repeat(filled.max(1) >= least, block)[: len(whole)]
