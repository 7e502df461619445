"""`Ear`: from sound to the numbers that a model reads, from its symbols back to words; and batches of both."""

import dataclasses
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.data.batching import BucketBatches
from seqjax.data.padding import pad_batch
from seqjax.data.stream import Mapped, mapped
from seqjax.data.vocabulary import Vocabulary
from seqjax.files.disk import write_atomically
from seqjax.speech.features import LogMel
from seqjax.speech.normalisation import (
    Moments,
    Tally,
    add_floor,
    moments,
    normalise,
    normalise_running,
    only_valid,
)
from seqjax.speech.parts import Part

BLANK = "<blank>"
"""The symbol 0 of connectionist temporal classification: no letter."""

FLOOR = 3e-4
"""Energy that a trained `Ear` adds to every band, as a share of the mean over an utterance: 35 decibels below it."""

LEAST = 1e-14
"""The least energy told apart where a floor is added."""

SETTLED = 50.0
"""Frames of the training data that the running mean of a stream begins with."""

SAMPLE = 200
"""Utterances that the moments of the training features are taken over, at most."""


class Overheard(NamedTuple):
    """What an `Ear` remembers between two pieces of a stream: samples that the next frame needs, and the mean."""

    samples: Float[Array, " overlap"]
    tally: Tally


@dataclasses.dataclass(frozen=True)
class Ear:
    """From sound to normalised features, and from symbols to words.

    Attributes:
      mel: the energies.
      letters: the symbols, the blank first.
      scale: moments of the training features, which those of a stream begin from; None normalises
        each utterance by its own, and does not stream.
      floor: energy added to every band of an utterance that is normalised by its own moments, as a
        share of its mean energy: exact zeros sound like a faint noise, and the level of the whole
        changes nothing.
    """

    mel: LogMel
    letters: Vocabulary
    scale: Moments | None = None
    floor: float = 0.0

    @classmethod
    def of(cls, train: Part, bands: int, *, moments_of_training: bool) -> "Ear":
        """The ear for a training part: its rate, its letters and a space, and if so the moments of its features."""
        letters = Vocabulary.characters(" " + "".join(train.clips.texts), (BLANK,))
        if not moments_of_training:
            # The floor is relative; the absolute one only keeps the logarithm finite.
            return cls(
                LogMel(train.clips.rate, bands, floor=LEAST, centred=True), letters, floor=FLOOR
            )
        mel = LogMel(train.clips.rate, bands, centred=True)
        # One after another, as one sound: a shape each would be compiled each.
        heard = np.concatenate(
            [utterance.render(train.clips) for utterance in train.utterances[:SAMPLE]]
        )
        return cls(mel, letters, moments(mel(heard)))

    def features(
        self, samples: ArrayLike, frames: ArrayLike | None = None
    ) -> Float[Array, "*batch frames bands"]:
        """Normalised energies of `samples [*batch, samples]`, of which `frames [*batch]` frames are valid."""
        samples = jnp.asarray(samples)
        if self.scale is None and self.floor:
            # From 0 on: the zeros before the first sample are then no step, whatever the offset.
            energies = self.mel(samples - samples[..., :1])
            return normalise(add_floor(energies, self.floor, frames), frames)
        energies = self.mel(samples)
        if self.scale is None:
            return normalise(energies, frames)
        _, scaled = normalise_running(
            Tally.of(self.scale, SETTLED, energies.shape[:-2]), energies, self.scale
        )
        return only_valid(scaled, frames)

    def start(self) -> Overheard:
        """What `advance` begins with: silence, and the mean of the training data.

        Raises:
          ValueError: the ear normalises whole utterances.
        """
        return Overheard(self.mel.start(), Tally.of(self._moments(), SETTLED))

    def advance(
        self, before: Overheard, samples: ArrayLike
    ) -> tuple[Overheard, Float[Array, "frames bands"]]:
        """The next piece of a stream, see `LogMel.advance`: what the piece after it begins with, and its features."""
        heard, energies = self.mel.advance(before.samples, samples)
        tally, features = normalise_running(before.tally, energies, self._moments())
        return Overheard(heard, tally), features

    def _moments(self):
        if self.scale is None:
            raise ValueError(
                "the ear normalises each utterance as a whole; make it with moments_of_training=True"
            )
        return self.scale

    def encode(self, text: str) -> np.ndarray:
        """The symbols of a text, int32 `[letters]`; letters that the ear cannot write are left out."""
        return self.letters.encode([letter for letter in text if letter in self.letters])

    def spell(self, symbols: np.ndarray) -> str:
        """The words of a row of symbols."""
        return " ".join("".join(self.letters.decode(symbols)).split())

    def save(self, path: str | os.PathLike) -> None:
        """Writes a JSON file, whole or not at all."""
        scale = (
            None if self.scale is None else [np.asarray(numbers).tolist() for numbers in self.scale]
        )
        settings = {
            "mel": dataclasses.asdict(self.mel),
            "letters": self.letters.tokens,
            "scale": scale,
            "floor": self.floor,
        }
        write_atomically(path, json.dumps(settings).encode())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Ear":
        """Reads what `save` wrote.

        Raises:
          ValueError: there is no such file, or it is none of these.
        """
        try:
            saved = json.loads(Path(path).read_bytes())
            scale = saved["scale"] and Moments(*map(jnp.array, saved["scale"]))
            letters = Vocabulary(tuple(saved["letters"]), (BLANK,))
            return cls(LogMel(**saved["mel"]), letters, scale, saved.get("floor", 0.0))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: no ear ({error}); give a file that Ear.save wrote") from None


def words_of(letters: Sequence) -> list[tuple[str, Any, Any]]:
    """Words of aligned letters.

    Args:
      letters: `(letter, begin, end)` of each, a space between words.

    Returns:
      `(word, begin of its first letter, end of its last)` of each.

    Example:
      >>> words_of([("n", 0.0, 0.1), ("o", 0.3, 0.4), (" ", 0.5, 0.6), ("a", 0.7, 0.8)])
      [('no', 0.0, 0.4), ('a', 0.7, 0.8)]
    """
    groups = itertools.groupby(letters, key=lambda entry: entry[0] == " ")
    words = [list(group) for blank, group in groups if not blank]
    return [("".join(letter for letter, _, _ in word), word[0][1], word[-1][2]) for word in words]


def utterance_batches(
    part: Part,
    ear: Ear,
    seconds: float,
    *,
    seed: int = 0,
    once: bool = False,
    multiple_of: int = 1,
    buckets: int = 5,
) -> Mapped:
    """Batches of utterances of about equal length, rendered as they are asked for.

    Args:
      part: the utterances.
      ear: gives the frames and the symbols.
      seconds: sound of a batch, padding included, at most (or the longest utterance).
      seed: of the order.
      once: every utterance once, in ascending order of length; else endless and shuffled.
      multiple_of: rows are a multiple of this.
      buckets: how many lengths to pad to.

    Returns:
      A resumable iterator over dicts: `samples [rows, samples]`, `frames [rows]` (how many are
      valid), `labels [rows, letters]`, `label_lengths [rows]`, and `indices [rows]` of the
      utterances, -1 for an empty row.
    """
    hop, texts = ear.mel.hop_size, part.texts()
    lengths = [ear.mel.frames(utterance.length(part.clips)) for utterance in part.utterances]
    symbols, longest = [ear.encode(text) for text in texts], max(map(len, texts))

    def collate(chosen: Any) -> dict[str, np.ndarray]:
        sounds = [part.utterances[i].render(part.clips)[: lengths[i] * hop] for i in chosen.indices]
        samples, counts, _ = pad_batch(sounds, chosen.time * hop, chosen.rows)
        labels, label_lengths, _ = pad_batch(
            [symbols[i] for i in chosen.indices], longest, chosen.rows
        )
        indices = np.full(chosen.rows, -1)
        indices[: len(chosen.indices)] = chosen.indices
        return {
            "samples": samples,
            "frames": counts // hop,
            "labels": labels,
            "label_lengths": label_lengths,
            "indices": indices,
        }

    budget = max(ear.mel.frames(round(seconds * ear.mel.rate)), max(lengths) * multiple_of)
    order = BucketBatches(
        lengths,
        tokens=budget,
        buckets=buckets,
        seed=seed,
        shuffle=not once,
        epochs=1 if once else None,
        multiple_of=multiple_of,
    )
    return mapped(collate, order)
