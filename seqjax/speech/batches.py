"""Batches of utterances, rendered as they are asked for."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from seqjax import data
from seqjax.speech.features import LogMel
from seqjax.speech.letters import LetterCodec
from seqjax.speech.parts import Part

FRAMES = 2**15
"""Frames of a batch that is served, padding included, at most: five minutes and a half of sound."""


class Collator:
    """Renders the utterances of a part, a batch at a time.

    Args:
      part: the utterances.
      mel: tells how many samples make a frame.
      codec: gives the symbols of the texts.

    Attributes:
      lengths: frames of each utterance.
    """

    def __init__(self, part: Part, mel: LogMel, codec: LetterCodec):
        self._part, self._hop = part, mel.hop_size
        self.lengths = [mel.frames(u.length(part.clips)) for u in part.utterances]
        self._symbols = [codec.encode(text) for text in part.texts()]
        self._longest = max(map(len, self._symbols))

    def __call__(self, chosen: data.IndexBatch) -> dict[str, np.ndarray]:
        """Makes one batch.

        Args:
          chosen: which utterances; its time counts frames.

        Returns:
          `samples [rows, samples]`, `frames [rows]` (how many are valid), `labels [rows, letters]`,
          `label_lengths [rows]`, and `indices [rows]` of the utterances, -1 for an empty row.
        """
        sounds = [self._render(index) for index in chosen.indices]
        samples, counts, _ = data.pad_batch(sounds, chosen.time * self._hop, chosen.rows)
        symbols = [self._symbols[index] for index in chosen.indices]
        labels, label_lengths, _ = data.pad_batch(symbols, self._longest, chosen.rows)
        indices = np.full(chosen.rows, -1)
        indices[: len(chosen.indices)] = chosen.indices
        return {
            "samples": samples,
            "frames": counts // self._hop,
            "labels": labels,
            "label_lengths": label_lengths,
            "indices": indices,
        }

    def serving(self, stride: int) -> Sequence[data.IndexBatch]:
        """Plans batches of few shapes, each of a whole number of steps of `stride` frames."""
        # A shape takes longer to compile than a batch of padding to compute.
        few = len(self.lengths) * max(self.lengths) <= FRAMES
        planned = data.serving_batches(self.lengths, FRAMES, 1 if few else 3)
        return [
            dataclasses.replace(chosen, time=-(-chosen.time // stride) * stride)
            for chosen in planned
        ]

    def _render(self, index: int | np.integer) -> np.ndarray:
        samples = self._part.utterances[index].render(self._part.clips)
        return samples[: self.lengths[index] * self._hop]
