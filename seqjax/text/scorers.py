"""Scorers, which tell how good the outputs of a `Translator` are; each is a setting of it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from seqjax.metrics.texts import bleu, text_scores


@runtime_checkable
class Scorer(Protocol):
    """Scores outputs against references, of which an output may have several."""

    monitor: ClassVar[tuple[str, ...]]
    """Metrics that choose the best parameters, lower being better."""

    def metrics(self, outputs: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Scores outputs, each against its list of references; a few metrics that are quick to compute."""
        ...

    def errors(self, metrics: dict[str, float]) -> dict[str, float]:
        """Turns metrics of which higher is better into ones to monitor."""
        ...

    def report(self, outputs: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Scores outputs by all metrics."""
        ...


@dataclasses.dataclass(frozen=True)
class Bleu:
    """BLEU and chrF of texts, by the package sacrebleu.

    Attributes:
      rouge: reports ROUGE as well, as summaries are scored.
    """

    rouge: bool = False

    # BLEU moves in steps, and stays at 0 for long.
    monitor: ClassVar[tuple[str, ...]] = ("error", "nats")

    def metrics(self, outputs: Sequence[str], references: Sequence[Any]) -> dict[str, float]:
        """Computes `bleu`, in per cent."""
        return {"bleu": bleu(outputs, references)[0]}

    def errors(self, metrics: dict[str, float]) -> dict[str, float]:
        """Computes `error`, the share that BLEU lacks to 100."""
        return {"error": 1 - metrics["bleu"] / 100}

    def report(self, outputs: Sequence[str], references: Sequence[Any]) -> dict[str, float]:
        """Computes `bleu`, `chrf` and those of ROUGE, in per cent."""
        return text_scores(outputs, references, self.rouge)

    def signature(self, outputs: Sequence[str], references: Sequence[Any]) -> str:
        """Returns the signature of sacrebleu, which says how BLEU was computed."""
        return bleu(outputs, references)[1]


@dataclasses.dataclass(frozen=True)
class EditRate:
    """Edits to the nearest reference, as pronunciations are scored.

    `wer` is the share of outputs that equal no reference, `per` the edits to the nearest reference
    for each symbol of it.

    Example:
      >>> EditRate().metrics([["A", "B"], ["C"]], [[["A", "B"]], [["C", "D"], ["A"]]])
      {'wer': 0.5, 'per': 0.25}
    """

    # Before the first output is right symbols decide, and likelihood before the first symbol.
    monitor: ClassVar[tuple[str, ...]] = ("wer", "per", "nats")

    def metrics(self, outputs: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Computes `wer` and `per`."""
        from rapidfuzz.distance import Levenshtein

        wrong, edits, total = 0, 0, 0
        for output, known in zip(outputs, references, strict=True):
            # Of references as near as each other the longest one counts.
            distance, nearest = min(
                (Levenshtein.distance(output, reference), -len(reference)) for reference in known
            )
            wrong += distance > 0
            edits += distance
            total -= nearest
        return {"wer": wrong / len(outputs), "per": edits / total}

    def errors(self, metrics: dict[str, float]) -> dict[str, float]:
        """Returns nothing: the metrics are errors themselves."""
        return {}

    def report(self, outputs: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Computes `wer` and `per`."""
        return self.metrics(outputs, references)


@dataclasses.dataclass(frozen=True)
class Exact:
    """The share of outputs that equal a reference.

    Example:
      >>> Exact().metrics(["ab", "c"], [["ab"], ["d", "e"]])
      {'exact': 0.5}
    """

    monitor: ClassVar[tuple[str, ...]] = ("error", "nats")

    def metrics(self, outputs: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Computes `exact`."""
        pairs = zip(outputs, references, strict=True)
        return {"exact": float(np.mean([output in known for output, known in pairs]))}

    def errors(self, metrics: dict[str, float]) -> dict[str, float]:
        """Computes `error`, the share of outputs that equal no reference."""
        return {"error": 1 - metrics["exact"]}

    def report(self, outputs: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Computes `exact`."""
        return self.metrics(outputs, references)
