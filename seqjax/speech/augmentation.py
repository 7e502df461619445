"""`Augmentation`: what training changes at random in what it hears."""

import dataclasses

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.speech.augment import spec_augment
from seqjax.speech.parts import Part
from seqjax.speech.utterances import SPEEDS, Utterance, half_varied
from seqjax.typing import KeyArray


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Settings of what training changes in its utterances and in their features.

    Attributes:
      speeds: to draw from for each utterance; none keeps them as they are.
      channels: send every second utterance through another channel, see `vary`.
      masks: hide bands and gaps of the features, see `spec_augment`.
      band_width: features that a mask hides at most.
      gap_width: frames that a mask hides at most.
    """

    speeds: tuple[float, ...] = SPEEDS
    channels: bool = True
    masks: bool = True
    band_width: int = 8
    gap_width: int = 10

    def of_part(self, part: Part, seed: int) -> Part:
        """Draws other speeds and channels for the utterances of a part; their order changes.

        Args:
          part: plans; nothing is rendered.
          seed: of all that is drawn.
        """
        utterances = part.utterances
        if self.speeds:
            utterances = [
                self._faster(utterance, np.random.default_rng((seed, place, 1)))
                for place, utterance in enumerate(utterances)
            ]
        if self.channels:
            utterances = half_varied(utterances, seed)
        return Part(part.clips, utterances)

    def of_features(
        self, key: KeyArray, features: ArrayLike, lengths: ArrayLike
    ) -> Float[Array, "*batch time features"] | ArrayLike:
        """Hides parts of features `[*batch, time, features]`, of which `lengths [*batch]` frames are valid."""
        if not self.masks:
            return features
        return spec_augment(
            key, features, lengths, band_width=self.band_width, gap_width=self.gap_width
        )

    def _faster(self, utterance: Utterance, generator: np.random.Generator) -> Utterance:
        speed = round(utterance.speed * float(generator.choice(self.speeds)), 2)
        return dataclasses.replace(utterance, speed=speed)
