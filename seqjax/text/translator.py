"""`Translator`: sequences to other sequences: translation, pronunciation, summaries, dialogue."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from seqjax import data, training
from seqjax.decoding import Written
from seqjax.members import ManySeeds
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.text import translator_report
from seqjax.text.codecs import Symbols
from seqjax.text.ensemble import Ensemble
from seqjax.text.examples import (
    Codecs,
    Examples,
    check,
    checked,
    is_empty,
    learn_codecs,
    learnable,
    number_pair,
    short,
    strangers,
)
from seqjax.text.networks import network_of
from seqjax.text.pairs import pair_batches, source_batches
from seqjax.text.scorers import Bleu, EditRate, Scorer
from seqjax.typing import KeyArray, Params

SERVED = 4096
"""Source tokens of a batch that is answered, at most, padding included."""


class Translation(NamedTuple):
    """One output for a source.

    Attributes:
      output: the text, or the list of symbols.
      score: its log-probability after the penalties of the search.
      ended: whether it came to its end; False where it was cut off.
      source: the text of each token of the source.
      target: the text of each token of the output.
      attention: the weight of each source token at each output token, `[target, source]`.
    """

    output: Any
    score: float
    ended: bool
    source: list[str]
    target: list[str]
    attention: np.ndarray


@dataclasses.dataclass(frozen=True, repr=False)
class Translator(ManySeeds):
    """Sequences of any kind to sequences of any kind.

    Attributes:
      network: learns targets and searches for them.
      source: codec of the sources.
      target: codec of the targets.
      scorer: tells how good outputs are.
      beam: hypotheses of the search.
      max_training_length: tokens of a side of a pair to learn, at most; None sets no bound.
      buckets: lengths that training pads to, at most.
      characters: those of the training sources that are texts.

    Example:
      >>> import jax, seqjax
      >>> task = Translator.of(
      ...     ["ein Hund", "ein Mann"], ["a dog", "a man"], codecs="words",
      ...     recurrence=seqjax.bidirectional(seqjax.GRU(8)), decoder=seqjax.GRU(16), embedding_size=8)
      >>> len(task.predict(task.init(jax.random.key(0)), ["ein Hund"]))
      1
    """

    network: Any
    source: Any
    target: Any
    scorer: Any
    beam: int = 5
    max_training_length: int | None = None
    buckets: int = 4
    characters: str = ""

    unit: ClassVar[str] = "tokens"
    batch_size: ClassVar[int] = 2500

    def __post_init__(self):
        if self.beam < 1:
            raise ValueError(f"beam is {self.beam}; give at least 1")

    def __repr__(self) -> str:
        sides = f"{len(self.source.tokens):,} to {len(self.target.tokens):,} tokens"
        return f"Translator({self.network.reader!r}, {sides})"

    @property
    def monitor(self) -> tuple[str, ...]:
        """Metrics of `evaluate` that choose the best parameters, the scorer's."""
        return self.scorer.monitor

    @classmethod
    def of(
        cls,
        sources: Sequence[Any],
        targets: Sequence[Any],
        *,
        recurrence: Recurrence | Sequence[Recurrence],
        decoder: Recurrence | None,
        codecs: Codecs = "subwords",
        vocab_size: int = 5000,
        copied: int = 0,
        scorer: Scorer | None = None,
        beam: int = 5,
        max_training_length: int | None = None,
        buckets: int = 4,
        **settings: Any,
    ) -> "Translator":
        """Makes the task of training pairs.

        Args:
          sources: texts, or lists of symbols.
          targets: of each source one, or a list of several that are as good.
          recurrence: reads the sources; without a decoder it may be several layers.
          decoder: writes the targets; None for a network that writes a symbol or none each time
            that it reads a token, see `CTC`.
          codecs: `"subwords"`, `"words"`, `"characters"` or `"symbols"`, or a codec: one that both
            sides share, embedding included, or `(source, target)`.
          vocab_size: tokens of a codec of subwords or words, at most.
          copied: words of a source that may be copied though no training pair has them.
          scorer: tells how good outputs are; None takes `EditRate` of symbols and `Bleu` of texts.
          beam: hypotheses of the search.
          max_training_length: longer pairs are not learnt.
          buckets: lengths that training pads to, at most.
          **settings: of `EncoderDecoder.of` or `CTC.of`, such as `embedding_size`, `dropout` and
            `attention`.

        Raises:
          ValueError: a pair cannot be learnt (which), or settings do not go together.
        """
        shared = not isinstance(codecs, tuple)
        source, target, characters = learn_codecs((sources, targets), codecs, vocab_size, copied)
        network = network_of(source, target, recurrence, decoder, shared, settings)
        jax.eval_shape(network.init, jax.random.key(0))  # settings that do not go together raise
        if scorer is None:
            scorer = EditRate() if isinstance(target, Symbols) else Bleu()
        return cls(network, source, target, scorer, beam, max_training_length, buckets, characters)

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        return self.network.init(key)

    def batches(
        self,
        examples: Examples,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.Mapped:
        """Makes batches of pairs of about one length, see `pair_batches`.

        A source with several targets makes a pair with each. Pairs that cannot be learnt are left
        out, see `left_out`.

        Args:
          examples: sources and targets.
          batch_size: tokens of a side, padding included, at most.
          seed: of the order.
          once: go through the pairs a single time, in order of length.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: a pair cannot be read (which), or none can be learnt.
        """
        kept = [pair for pair in learnable(self, examples) if pair is not None]
        sources, targets = zip(*kept, strict=True)
        return pair_batches(
            sources,
            targets,
            tokens=batch_size or self.batch_size,
            buckets=self.buckets,
            seed=seed,
            once=once,
            multiple_of=multiple_of,
        )

    def left_out(self, examples: Examples) -> int:
        """Counts the pairs that `batches` leaves out: too long, or not to be written by the network.

        Raises:
          ValueError: a pair cannot be read (which), or none can be learnt.
        """
        return sum(pair is None for pair in learnable(self, examples))

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the cross-entropy of the targets' tokens, in nats."""
        return self.network.loss(params, batch, rng, step)

    def together(self, count: int) -> "Translator":
        """Makes the translator of so many members, who write by their mean probabilities."""
        return dataclasses.replace(self, network=Ensemble(self.network, count))

    def evaluate(self, params: Params, examples: Examples, *, beam: int = 1) -> dict[str, float]:
        """Scores parameters: `nats` of each target token, and the scorer's metrics of the outputs.

        Args:
          params: of the network.
          examples: sources and targets; of several targets the best one counts.
          beam: hypotheses of the search; 1 is greedy, and quick.
        """
        sources, references = self.checked(examples)
        found = self.translations(params, sources, beam=beam)
        metrics = self.scorer.metrics([best.output for best, *_ in found], references)
        return {"nats": self.nats(params, examples)} | metrics | self.scorer.errors(metrics)

    def nats(self, params: Params, examples: Examples) -> float:
        """Computes the cross-entropy of each target token; 0 where no target can be written.

        A target with a symbol that training lacks has no likelihood and is left out.
        """
        sources, references = self.checked(examples)
        pairs = []
        for source, targets in zip(sources, references, strict=True):
            known = [target for target in targets if not self.target.unknown(target)]
            numbered = [number_pair(self, source, target) for target in known]
            pairs += [pair for pair in numbered if pair is not None]
        if not pairs:
            return 0.0
        # No more rows than there are pairs: those of a small set would be mostly empty.
        most = len(pairs) * max(len(side) for pair in pairs for side in pair)
        tokens = min(2 * self.batch_size, most)
        sources, targets = zip(*pairs, strict=True)
        batches = pair_batches(sources, targets, tokens=tokens, buckets=self.buckets, once=True)
        return training.evaluate(self.network.nats, params, batches)["nats"]

    def predict(
        self,
        params: Params,
        sources: Sequence[Any],
        *,
        beam: int | None = None,
        n_best: int | None = None,
    ) -> list[Any]:
        """Writes the best output of each source; that of an empty one is empty.

        Args:
          params: of the network.
          sources: texts, or lists of symbols.
          beam: hypotheses of the search; None takes the task's.
          n_best: outputs of each source, the best first; None for the best alone.

        Returns:
          An output for each source, or a list of outputs.

        Raises:
          ValueError: a source cannot be read (which, and how to mend it).
        """
        self.check_sources(sources)
        found = self.translations(params, sources, beam=beam, n_best=n_best or 1)
        if n_best is None:
            return [best.output for best, *_ in found]
        return [[translation.output for translation in each] for each in found]

    def translations(
        self, params: Params, sources: Sequence[Any], *, beam: int | None = None, n_best: int = 1
    ) -> list[list[Translation]]:
        """Writes the best outputs of each source, with their scores and attention.

        Args:
          params: of the network.
          sources: texts, or lists of symbols; those that training lacks are read as unknown.
          beam: hypotheses of the search; None takes the task's.
          n_best: outputs of each source, the best first; an empty source has one.

        Raises:
          ValueError: a source is of another kind (which), or a number is below 1.
        """
        width = self.beam if beam is None else beam
        if min(width, n_best) < 1:
            raise ValueError(f"beam={width}, n_best={n_best}; give at least 1")
        ids = [self._source_ids(row, source) for row, source in enumerate(sources)]
        asked = [row for row, tokens in enumerate(ids) if len(tokens)]
        nothing = self.target.decode(np.zeros(0, np.int32))
        found = [[Translation(nothing, 0.0, True, [], [], np.zeros((0, 0)))] for _ in ids]
        if asked:
            write = self.network.writer(max(width, n_best), n_best)
            answers = write(params, source_batches([ids[row] for row in asked], SERVED), len(asked))
            for row, written in zip(asked, answers, strict=True):
                found[row] = [self._translation(sources[row], ids[row], each) for each in written]
        return found

    def attention(
        self, params: Params, sources: Sequence[Any], *, beam: int | None = None
    ) -> list[tuple[list[str], list[str], np.ndarray]]:
        """Tells where in its source each token of the best output looked, as `figures.plot_attention` takes it.

        A network without a decoder tells in which frames each token was how likely.

        Returns:
          Of each source its tokens, those of the output, and the weights `[output, source]`.

        Raises:
          ValueError: the network has no attention.
        """
        if not self.network.attends:
            raise ValueError("the decoder does not attend to the source; train one with attention")
        found = self.translations(params, sources, beam=beam)
        return [(best.source, best.target, best.attention) for best, *_ in found]

    def check_sources(self, sources: Sequence[Any]) -> None:
        """Refuses sources that cannot be read: of another kind, or with a letter or symbol unknown.

        Raises:
          ValueError: says which source, and how to mend it.
        """
        for row, source in enumerate(sources):
            check("source", row, source, self.source)
            unknown = [] if is_empty(source) else self.source.unknown(source)
            if unknown:
                raise ValueError(
                    f"source {row} ({short(source)}): {unknown[0]!r} occurs in no training source; "
                    "spell it otherwise"
                )

    def unknown(self, sources: Sequence[Any]) -> list[str]:
        """Lists what sources have that no training source has: characters of texts, or symbols."""
        found = set()
        for source in sources:
            found.update(self.source.unknown(source))
            if self.characters and isinstance(source, str):
                found.update(set(source.strip()).difference(self.characters))
        return sorted(found)

    def strangers(self, examples: Examples) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Finds symbols that training lacks, which are read as unknown and never written.

        Returns:
          For the sources and for the targets: symbol -> the examples that have it.
        """
        return strangers(examples, self.source, self.target)

    def report(self, params: Params, examples: Examples, folder: str | os.PathLike) -> Report:
        """Scores on examples, greedily and by the beam, and writes what was written.

        Args:
          params: of the network.
          examples: sources and targets.
          folder: gets `predictions.tsv` (source, output, references), `attention.png` where the
            network attends, and `signature.txt` of BLEU.
        """
        return translator_report.report(self, params, examples, folder)

    def compare_beams(
        self,
        params: Params,
        examples: Examples,
        folder: str | os.PathLike,
        widths: Sequence[int] = (1, 2, 5, 10),
    ) -> list[dict[str, Any]]:
        """Scores beams of different widths, and writes `beams.json` and `beams.png`.

        Args:
          params: of the network.
          examples: sources and targets.
          folder: is there.
          widths: hypotheses of the search.

        Returns:
          Of each width its `beam`, the scorer's metrics, and the `seconds` that it took.
        """
        return translator_report.compare_beams(self, params, examples, folder, widths)

    def checked(self, examples: Examples) -> tuple[list[Any], list[list[Any]]]:
        """Returns the sources and the targets of each; ValueError where one cannot be read."""
        return checked(examples, self.source, self.target)

    def _source_ids(self, row: int, source: Any) -> np.ndarray:
        check("source", row, source, self.source)
        if is_empty(source):
            return np.zeros(0, np.int32)
        return self.source.encode(source, self.source.new(source))

    def _translation(self, source: Any, ids: np.ndarray, written: Written) -> Translation:
        new = self.source.new(source)
        frames = self.network.frames
        # The weights of the frames of a token become that of the token: the largest one.
        weights = written.attention[:, : frames * len(ids)]
        weights = weights.reshape(len(weights), len(ids), frames).max(-1)
        return Translation(
            self.target.decode(written.tokens, new),
            written.score,
            written.ended,
            self.source.pieces(ids, new),
            self.target.pieces(written.tokens, new),
            weights,
        )
