"""`Decoder`: from the scores of an acoustic model to texts, greedily or by a beam."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from seqjax.data.padding import pad_batch
from seqjax.decoding import ctc
from seqjax.models.acoustic import Emissions
from seqjax.speech.letters import LetterCodec, LetterModel

LEAST_POSITIONS = 8
"""Letters of an alignment's shape, at least."""

_greedy = jax.jit(ctc.greedy)
_align = jax.jit(ctc.align)


@dataclasses.dataclass(frozen=True)
class Decoder:
    """Writes down what an acoustic model hears.

    Attributes:
      codec: spells the symbols.
      beam: prefixes that the search keeps; 1 takes the best symbol of every step, without a search
        and without a language model.
      language_model: scores the letters of a search; None for none.

    Raises:
      ValueError: the beam is below 1.
    """

    codec: LetterCodec
    beam: int = 16
    language_model: LetterModel | None = None

    def __post_init__(self):
        if self.beam < 1:
            raise ValueError(f"beam is {self.beam}; give at least 1, which decodes greedily")

    def __call__(self, emissions: Emissions) -> list[str]:
        """Returns the text of each row."""
        if self.beam == 1:
            found = jax.device_get(_greedy(*emissions))
            rows = zip(found.tokens, found.lengths, strict=True)
        else:
            best = jax.device_get(self._search(emissions))
            # The first of the n best, which is the only one.
            rows = zip(best.tokens[:, 0], best.lengths[:, 0], strict=True)
        return [self.codec.decode(tokens[:length]) for tokens, length in rows]

    def _search(self, emissions: Emissions) -> ctc.Prefixes:
        if self.language_model is None:
            return ctc.beam(*emissions, beam=self.beam)
        return ctc.beam(
            *emissions,
            beam=self.beam,
            language_model=self.language_model.automaton(self.codec),
            weight=self.language_model.weight,
            bonus=self.language_model.bonus,
        )


def align_letters(
    emissions: Emissions, codec: LetterCodec, texts: Sequence[str], seconds: float
) -> list[list[tuple[str, float, float]] | None]:
    """Finds from when to when each letter is said.

    Args:
      emissions: `[rows, steps, vocab]`.
      codec: spells the symbols; it has all letters of the texts.
      texts: of the rows.
      seconds: of a step.

    Returns:
      Of each row `(letter, begin, end)` of every letter, in seconds; None where there are fewer
      steps than the text needs.
    """
    symbols = [codec.encode(text) for text in texts]
    longest = max(map(len, symbols))
    # A power of two, so that other texts compile nothing.
    positions = max(LEAST_POSITIONS, 1 << max(0, longest - 1).bit_length())
    labels, label_lengths, _ = pad_batch(symbols, positions, len(symbols))
    found = jax.device_get(_align(emissions.logits, labels, emissions.lengths, label_lengths))
    rows = []
    for row, text in enumerate(texts):
        begins, ends = seconds * found.starts[row], seconds * found.ends[row]
        # The padding of the positions is cut off.
        spans = list(zip(text, begins.tolist(), ends.tolist(), strict=False))
        rows.append(spans if np.isfinite(found.log_probs[row]) else None)
    return rows
