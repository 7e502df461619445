"""`WordTagger`: a tag for every word of a sentence."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import data, training
from seqjax.data.words import words_of
from seqjax.files.disk import write_atomically
from seqjax.losses import crf
from seqjax.members import ManySeeds, Members
from seqjax.models import Tagger
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.text import tag_sets
from seqjax.text.tagged import Tagged, TaggedSentences, as_tagged, in_columns
from seqjax.typing import KeyArray, Params

BUCKETS = 5
"""Lengths that training pads to, at most."""

SPELLING = 20
"""Characters that are read of a word; of longer ones the first and the last half of them."""


@dataclasses.dataclass(frozen=True, repr=False)
class WordTagger(ManySeeds):
    """Sentences to tags: words in lower case, their spelling, any recurrence, and a chain over the tags.

    Tags that are spans of a scheme, such as BIO, are scored by spans, and never break the scheme
    where the model has a CRF.

    Attributes:
      model: scores the tags.
      words: the vocabulary, in lower case.
      characters: of which words are spelt.
      tags: what words may be.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import text
      >>> train = [["Rain", "falls"], ["Rome"]], [["O", "O"], ["B-place"]]
      >>> task = text.WordTagger.of(train, recurrence=seqjax.bidirectional(seqjax.LSTM(8)))
      >>> [len(tags) for tags in task.predict(task.init(jax.random.key(0)), ["Snow falls", ["Oslo"]])]
      [2, 1]
    """

    model: Tagger | Members
    words: data.Vocabulary
    characters: data.Vocabulary
    tags: data.Vocabulary

    monitor: ClassVar[tuple[str, ...]] = ("error", "nats")
    """Before the first span is right, the likelihood decides."""
    unit: ClassVar[str] = "words"
    batch_size: ClassVar[int] = 600

    def __repr__(self) -> str:
        kinds = f"{len(self.tags)} tags"
        if self.scheme is not None:
            kinds += f" in {self.scheme}"
        return f"WordTagger({self.model.recurrence!r}, {len(self.words):,} words to {kinds})"

    @classmethod
    def of(
        cls,
        train: Tagged,
        recurrence: Recurrence,
        *,
        embedding_size: int = 100,
        characters: bool = True,
        **settings: Any,
    ) -> "WordTagger":
        """Makes the task of training sentences, whose words, characters and tags it knows.

        Args:
          train: sentences and their tags.
          recurrence: reads the words.
          embedding_size: features of a word.
          characters: read the spelling of words, too.
          **settings: further ones of `seqjax.models.Tagger`, such as `crf` and `dropout`.

        Raises:
          ValueError: there is no word, or words and tags differ in number.
        """
        words, spelling, tags = learn_vocabularies(as_tagged(train))
        model = Tagger(
            len(words),
            len(tags),
            recurrence,
            embedding_size,
            char_vocab_size=len(spelling) if characters else None,
            unknown=words.unk,
            **settings,
        )
        return cls(model, words, spelling, tags)

    @property
    def scheme(self) -> str | None:
        """The scheme of spans that the tags are in; None for tags that are no spans."""
        return crf.scheme_of(self.tags.tokens)

    @functools.cached_property
    def constraints(self) -> crf.Constraints | None:
        """What the scheme allows; None without a CRF or a scheme."""
        if not self.model.crf or self.scheme is None:
            return None
        return crf.SCHEMES[self.scheme](self.tags.tokens)

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        characters = None
        if self.model.char_vocab_size is not None:
            characters = jnp.zeros((1, 1, SPELLING), int)
        return self.model.init(key, jnp.zeros((1, 1), int), characters)["params"]

    def check(self, examples: Tagged) -> None:
        """Refuses words without a tag, and tags that break the scheme that is learnt.

        Raises:
          ValueError: says where the first one is; or no tag is known.
        """
        tag_sets.check_tags(as_tagged(examples), self.tags, self.scheme if self.model.crf else None)

    def batches(
        self,
        examples: Tagged,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.Mapped:
        """Makes batches of sentences of about one length.

        A batch has `words`, `tags` and `char_lengths`, `[rows, time]`, `characters [rows, time,
        SPELLING]`, and `[rows]` each `lengths`, `indices` (-1 for none) and `tagged`: whether every
        tag is known; any other tag is numbered 0.

        Args:
          examples: sentences and their tags.
          batch_size: words of a batch at most, padding included.
          seed: of the order.
          once: go through the sentences a single time, in order of length.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: a tag is missing or breaks the scheme (where).
        """
        part = as_tagged(examples)
        self.check(part)
        lengths = [len(tokens) for tokens in part.tokens]
        order = data.BucketBatches(
            lengths,
            tokens=max(batch_size or self.batch_size, max(lengths) * multiple_of),
            buckets=BUCKETS,
            seed=seed,
            shuffle=not once,
            epochs=1 if once else None,
            multiple_of=multiple_of,
        )
        return data.mapped(functools.partial(collate, self._encoded(part)), order)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the negative log-likelihood of the tags, in nats a word."""
        return self._nats_of_tags(batch, self._scores(params, batch, {"dropout": rng}))

    def _nats_of_tags(self, batch: Any, scores: crf.Scores) -> tuple[jax.Array, training.Aux]:
        """The nats a word of a batch's tags."""
        words = batch["lengths"].sum()
        likelihood = crf.log_likelihood(batch["tags"], *scores, lengths=batch["lengths"]).sum()
        return -likelihood / jnp.maximum(words, 1), training.Aux(weight=words)

    def evaluate(self, params: Params, examples: Tagged) -> dict[str, float]:
        """Scores parameters: `nats` a word, `accuracy` of words, `span_f1` where tags are spans, and `error`.

        `error` is 1 less the F1 of spans, or without spans 1 less the accuracy. Tags that training
        lacks count as wrong; their sentences have no likelihood and are left out of the nats.
        """
        part = as_tagged(examples)
        found, nats = self._tagged(params, part)
        return self._metrics(part, found, nats)

    def predict(self, params: Params, sentences: Sequence[str | Sequence[str]]) -> list[list[str]]:
        """Tags every word.

        Args:
          params: of the network.
          sentences: lists of words; a text is cut into words by `seqjax.data.words.words_of`.

        Returns:
          The tags of each sentence.
        """
        tokens = [as_words(sentence) for sentence in sentences]
        part = TaggedSentences(tokens, [[self.tags.tokens[0]] * len(row) for row in tokens], "")
        return self._decoded(params, self._served(part), len(tokens))[0]

    def report(self, params: Params, examples: Tagged, folder: Path) -> Report:
        """Scores parameters, and writes predictions, the confusion of tags, and a table of spans.

        Args:
          params: of the network.
          examples: sentences and their tags.
          folder: gets `predictions.conll` (word, tag, prediction), `confusion.png`, and for spans
            `spans.txt`.
        """
        from seqjax import figures

        part = as_tagged(examples)
        found, nats = self._tagged(params, part)
        self._write_tags(part, found, folder)
        truth = [tag for tags in part.tags for tag in tags]
        guesses = [tag for tags in found for tag in tags]
        strange = tag_sets.strangers(part, self.tags)
        names = (*self.tags.tokens, *sorted(strange))
        figures.plot_confusion(folder / "confusion.png", truth, guesses, names)
        metrics = self._metrics(part, found, nats)
        del metrics["error"]
        counts = {"sentences": len(part.tokens), "words": len(truth)}
        flat = (word.lower() for sentence in part.tokens for word in sentence)
        unknown = np.array([word not in self.words for word in flat], bool)
        right = np.array(truth) == np.array(guesses)
        counts["unknown_words"] = int(unknown.sum())
        if unknown.any():
            metrics["accuracy_unknown_words"] = float(right[unknown].mean())
        if strange:
            counts["words_of_unknown_tags"] = strange.total()
        return Report(metrics, counts)

    def _write_tags(self, part: TaggedSentences, found: list[list[str]], folder: Path) -> None:
        """Writes each word with its tag and the one found, and where tags are spans how each kind was found."""
        write_atomically(folder / "predictions.conll", in_columns(part, found).encode())
        if self.scheme is not None:
            table = tag_sets.table_of_spans(part.tags, found, self.scheme)
            write_atomically(folder / "spans.txt", table.encode())

    def _served(self, part: TaggedSentences) -> Iterator[dict[str, Any]]:
        """Batches of few shapes, in which every sentence comes once."""
        encoded = self._encoded(part)
        for chosen in data.serving_batches([len(row) for row in part.tokens]):
            yield collate(encoded, chosen)

    def _tagged(self, params: Params, part: TaggedSentences) -> tuple[list[list[str]], float]:
        """The best tags of each sentence, and the nats a word of the true ones."""
        return self._decoded(params, self.batches(part, once=True), len(part.tokens))

    def _metrics(
        self, part: TaggedSentences, found: list[list[str]], nats: float
    ) -> dict[str, float]:
        metrics = {"nats": nats, **tag_sets.score(part.tags, found, self.scheme)}
        return metrics | {"error": 1 - metrics.get("span_f1", metrics["accuracy"])}

    def _encoded(self, part: TaggedSentences) -> list[dict[str, np.ndarray]]:
        """Each sentence as arrays `[time]` and `characters [time, SPELLING]`, with `tagged`."""
        return [
            self._encode(tokens, tags) for tokens, tags in zip(part.tokens, part.tags, strict=True)
        ]

    def _encode(self, tokens: Sequence[str], tags: Sequence[str]) -> dict[str, np.ndarray]:
        characters = np.full((len(tokens), SPELLING), self.characters.pad, np.int32)
        char_lengths = np.zeros(len(tokens), np.int32)
        for place, word in enumerate(tokens):
            spelt = self.characters.encode(_shortened(word))
            characters[place, : len(spelt)] = spelt
            char_lengths[place] = len(spelt)
        known = [tag in self.tags for tag in tags]
        return {
            "words": self.words.encode([word.lower() for word in tokens]),
            "characters": characters,
            "char_lengths": char_lengths,
            "tags": np.array([self.tags.ids.get(tag, 0) for tag in tags], np.int32),
            "tagged": np.array(all(known)),
        }

    def _decoded(
        self, params: Params, batches: Iterator[Any], sentences: int
    ) -> tuple[list[list[str]], float]:
        """The best tags of each sentence, and the nats a word of those given, where all are known."""
        found: list[list[str]] = [[] for _ in range(sentences)]
        total, words = 0.0, 0
        for index, row in rows_of(functools.partial(self._search, params), batches):
            found[index] = self.tags.decode(row["tags"][: row["lengths"]])
            if row["tagged"]:
                total -= float(row["likelihood"])
                words += int(row["lengths"])
        return found, total / max(words, 1)

    @functools.partial(jax.jit, static_argnums=0)
    def _search(self, params: Params, batch: Any) -> dict[str, jax.Array]:
        """The best `tags [rows, time]`, and the `likelihood [rows]` of the true ones, its logarithm."""
        return self._best(batch, self._scores(params, batch, None))

    def _best(self, batch: Any, scores: crf.Scores) -> dict[str, jax.Array]:
        likelihood = crf.log_likelihood(batch["tags"], *scores, lengths=batch["lengths"])
        best = crf.viterbi(*scores, lengths=batch["lengths"]).tags
        return {"tags": best, "likelihood": likelihood}

    def _scores(self, params: Params, batch: Any, rngs: Any) -> crf.Scores:
        """The chain of a batch, kept to the scheme of its tags."""
        return self._kept(self._outputs(params, batch, rngs))

    def _kept(self, scores: crf.Scores) -> crf.Scores:
        """Scores that never break the scheme."""
        return scores if self.constraints is None else crf.constrain(scores, self.constraints)

    def _outputs(self, params: Params, batch: Any, rngs: Any) -> Any:
        """What the network gives for a batch."""
        spelling = ()
        if self.model.char_vocab_size is not None:
            spelling = (batch["characters"],)
        return self.model.apply(
            {"params": params},
            batch["words"],
            *spelling,
            lengths=batch["lengths"],
            char_lengths=batch["char_lengths"],
            rngs=rngs,
        )


def learn_vocabularies(
    train: TaggedSentences,
) -> tuple[data.Vocabulary, data.Vocabulary, data.Vocabulary]:
    """Numbers the words, in lower case, the characters and the tags of training sentences."""
    lowered = ([word.lower() for word in sentence] for sentence in train.tokens)
    words = data.Vocabulary.words(lowered)
    letters = {letter for sentence in train.tokens for letter in "".join(sentence)}
    spelling = data.Vocabulary.characters(letters, data.SPECIALS)
    tags = data.Vocabulary.characters({tag for tags in train.tags for tag in tags})
    return words, spelling, tags


def as_words(sentence: str | Sequence[str]) -> list[str]:
    """Cuts a text into words; a list of words stays as it is."""
    if isinstance(sentence, str):
        return [word for word in words_of(sentence) if word.strip()]
    return list(sentence)


def _shortened(word: str) -> str:
    if len(word) <= SPELLING:
        return word
    half = SPELLING // 2
    return word[:half] + word[-half:]


def collate(sentences: list[dict[str, np.ndarray]], chosen: data.IndexBatch) -> dict[str, Any]:
    """Makes one batch of encoded sentences: what they have a word is padded, the rest stands by row."""
    rows = [sentences[index] for index in chosen.indices]
    batch: dict[str, Any] = {}
    for name, first in rows[0].items():
        column = [row[name] for row in rows]
        if np.ndim(first):
            batch[name], batch["lengths"], _ = data.pad_batch(column, chosen.time, chosen.rows)
        else:
            batch[name] = np.zeros(chosen.rows, first.dtype)
            batch[name][: len(rows)] = column
    batch["indices"] = np.full(chosen.rows, -1)
    batch["indices"][: len(rows)] = chosen.indices
    return batch


def rows_of(
    search: Callable[[Any], dict[str, jax.Array]], batches: Iterator[Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the place of each sentence among all, and its row of the batch and of what was found."""
    for batch in batches:
        # What is said of a row as a whole, and what was found.
        columns = {name: array for name, array in batch.items() if array.ndim == 1}
        columns |= jax.device_get(search(batch))
        for row, index in enumerate(batch["indices"]):
            if index >= 0:
                yield int(index), {name: column[row] for name, column in columns.items()}
