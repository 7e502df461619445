"""`FrontEnd`: from sound to the features that a network reads."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.speech.features import LogMel
from seqjax.speech.normalisation import (
    Moments,
    RunningMean,
    add_floor,
    moments,
    normalise,
    normalise_running,
    only_valid,
)
from seqjax.speech.parts import Part

FLOOR = 3e-4
"""Energy that `FrontEnd.of` adds to every band, as a share of the mean over an utterance: 35 dB below it."""

LEAST = 1e-14
"""The least energy told apart where a floor is added."""

SETTLED = 50.0
"""Frames of the training data that the running mean of a stream begins with."""

SAMPLE = 200
"""Utterances that the moments of the training features are taken over, at most."""


class FrontEndState(NamedTuple):
    """What a `FrontEnd` remembers between two pieces of a stream.

    Attributes:
      samples: those that the next frame needs as well.
      mean: of the features so far.
    """

    samples: Float[Array, " overlap"]
    mean: RunningMean


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """Sound to normalised features.

    Attributes:
      mel: the energies.
      mean: of each training feature, from which that of a stream begins. Without it each utterance
        is normalised by its own moments, and nothing streams.
      deviation: of each training feature.
      floor: energy added to every band of an utterance that is normalised by its own moments, as a
        share of its mean energy: exact zeros sound like a faint noise, and the level of the whole
        changes nothing.

    Example:
      >>> front_end = FrontEnd(LogMel(8000, bands=20))
      >>> front_end.features(np.zeros(4000)).shape  # frames of 10 ms, bands
      (50, 20)
    """

    mel: LogMel
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    floor: float = 0.0

    @classmethod
    def of(cls, train: Part, bands: int = 40, *, streaming: bool = False) -> "FrontEnd":
        """Makes the front end of training utterances.

        Args:
          train: gives the sampling rate, and for a stream the moments of its first utterances.
          bands: mel bands.
          streaming: normalise by a running mean in place of each utterance's own moments.
        """
        rate = train.clips.rate
        if not streaming:
            # The floor is relative; the absolute one only keeps the logarithm finite.
            return cls(LogMel(rate, bands, floor=LEAST, centred=True), floor=FLOOR)
        mel = LogMel(rate, bands, centred=True)
        sounds = [utterance.render(train.clips) for utterance in train.utterances[:SAMPLE]]
        # One after another, as one sound: a shape each would be compiled each.
        mean, deviation = moments(mel(np.concatenate(sounds)))
        return cls(mel, tuple(np.asarray(mean).tolist()), tuple(np.asarray(deviation).tolist()))

    @property
    def streams(self) -> bool:
        """Whether it reads sound piece by piece."""
        return bool(self.mean)

    def features(
        self, samples: ArrayLike, frames: ArrayLike | None = None
    ) -> Float[Array, "*batch frames bands"]:
        """Computes normalised energies.

        Args:
          samples: `[*batch, samples]`.
          frames: valid frames of each row, `[*batch]`; None when all are.
        """
        samples = jnp.asarray(samples)
        if self.streams:
            energies = self.mel(samples)
            state = RunningMean.of(self._moments(), SETTLED, energies.shape[:-2])
            _, scaled = normalise_running(state, energies, self._moments())
            return only_valid(scaled, frames)
        if not self.floor:
            return normalise(self.mel(samples), frames)
        # From 0 on: the zeros before the first sample are then no step, whatever the offset.
        energies = self.mel(samples - samples[..., :1])
        return normalise(add_floor(energies, self.floor, frames), frames)

    def initial_state(self) -> FrontEndState:
        """Returns the state before the first piece: silence, and the mean of the training data.

        Raises:
          ValueError: the front end normalises whole utterances.
        """
        return FrontEndState(self.mel.initial_state(), RunningMean.of(self._moments(), SETTLED))

    def step(
        self, state: FrontEndState, samples: ArrayLike
    ) -> tuple[FrontEndState, Float[Array, "frames bands"]]:
        """Reads the next piece of a stream, see `LogMel.step`.

        Args:
          state: from `initial_state` or the piece before.
          samples: `[samples]`, a multiple of the hop.

        Returns:
          The next state, and the features of this piece.
        """
        overlap, energies = self.mel.step(state.samples, samples)
        mean, features = normalise_running(state.mean, energies, self._moments())
        return FrontEndState(overlap, mean), features

    def _moments(self) -> Moments:
        if not self.streams:
            raise ValueError(
                "the front end normalises each utterance as a whole; make it with streaming=True"
            )
        return Moments(jnp.asarray(self.mean), jnp.asarray(self.deviation))
