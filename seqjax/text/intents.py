"""`IntentTagger`: what a request wants, and a tag for each of its words."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from seqjax import data, metrics, training
from seqjax.files.disk import write_atomically
from seqjax.losses import cross_entropy
from seqjax.members import Members
from seqjax.models import IntentTagger as Network
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.text import tag_sets
from seqjax.text.requests import Requests
from seqjax.text.tagged import TaggedSentences, as_tagged
from seqjax.text.tagger import WordTagger, as_words, learn_vocabularies, rows_of
from seqjax.typing import KeyArray, Params

Asked: TypeAlias = Requests | tuple[Sequence[Sequence[str]], Sequence[Sequence[str]], Sequence[str]]
"""Requests as lists of words, the tags of each word, and the intent of each request."""


class Understood(NamedTuple):
    """What is understood of a request.

    Attributes:
      intent: what it wants.
      tags: of each word.
      slots: the name and the words of each span that the tags mark; none where they are no spans.
    """

    intent: str
    tags: list[str]
    slots: list[tuple[str, str]]


@dataclasses.dataclass(frozen=True, repr=False)
class IntentTagger(WordTagger):
    """Requests to their intents and the tags of their words, by one network.

    A request is understood where its intent and all its tags are right.

    Attributes:
      model: scores tags and intents.
      words: the vocabulary, in lower case.
      characters: of which words are spelt.
      tags: what words may be.
      intents: what requests may want, in the order of the scores.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import text
      >>> train = [["fly", "to", "Rome"], ["stop"]], [["O", "O", "B-city"], ["O"]], ["flight", "halt"]
      >>> task = text.IntentTagger.of(train, recurrence=seqjax.bidirectional(seqjax.LSTM(8)))
      >>> (understood,) = task.predict(task.init(jax.random.key(0)), ["Fly to Oslo"])
      >>> understood.intent in ("flight", "halt"), len(understood.tags)
      (True, 3)
    """

    model: Network | Members
    intents: tuple[str, ...]

    def __repr__(self) -> str:
        inner = super().__repr__().partition("(")[2]
        return f"IntentTagger({inner.removesuffix(')')} and {len(self.intents)} intents)"

    @classmethod
    def of(
        cls,
        train: Asked,
        recurrence: Recurrence,
        *,
        embedding_size: int = 100,
        characters: bool = True,
        **settings: Any,
    ) -> "IntentTagger":
        """Makes the task of training requests, whose words, characters, tags and intents it knows.

        Args:
          train: requests, their tags and intents.
          recurrence: reads the words.
          embedding_size: features of a word.
          characters: read the spelling of words, too.
          **settings: further ones of `seqjax.models.IntentTagger`, such as `crf` and `dropout`.

        Raises:
          ValueError: there is no word, or words, tags and intents differ in number.
        """
        requests = as_requests(train)
        words, spelling, tags = learn_vocabularies(requests)
        intents = tuple(sorted(set(requests.intents)))
        model = Network(
            len(words),
            len(tags),
            recurrence,
            embedding_size,
            char_vocab_size=len(spelling) if characters else None,
            unknown=words.unk,
            num_intents=len(intents),
            **settings,
        )
        return cls(model, words, spelling, tags, intents)

    def check(self, examples: Asked) -> None:
        """Refuses what `WordTagger.check` does, and requests of which no intent is known.

        Raises:
          ValueError: says where the first one is.
        """
        requests = as_requests(examples)
        super().check(requests)
        if not set(requests.intents) & set(self.intents):
            raise ValueError(
                f"{requests.origin}: no intent occurs in training, such as {requests.intents[0]!r}"
            )

    def batches(self, examples: Asked, **settings: Any) -> data.Mapped:
        """Makes batches as `WordTagger` does, with `intents` and `intended [rows]` (whether one is known)."""
        return super().batches(as_requests(examples), **settings)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the nats a word of the tags, plus the nats a request of the intents."""
        outputs = self._outputs(params, batch, {"dropout": rng})
        tags, aux = self._nats_of_tags(batch, self._kept(outputs.scores))
        return tags + cross_entropy(outputs.intents, batch["intents"], batch["intended"]), aux

    def evaluate(self, params: Params, examples: Asked) -> dict[str, float]:
        """Scores parameters on requests.

        Returns:
          `intent_accuracy`; `accuracy` of words and `span_f1` of slots; `understood`, the share of
          requests with intent and all tags right; `error`, 1 less it; `nats`, of the tags a word
          and of the intents a request, added up. What training lacks counts as wrong, and has no
          likelihood.
        """
        requests = as_requests(examples)
        return self._scored(requests, *self._read(params, requests))

    def predict(self, params: Params, sentences: Sequence[str | Sequence[str]]) -> list[Understood]:
        """Understands requests.

        Args:
          params: of the network.
          sentences: lists of words; a text is cut into words by `seqjax.data.words.words_of`.
        """
        tokens = [as_words(sentence) for sentence in sentences]
        tags = [[self.tags.tokens[0]] * len(row) for row in tokens]
        requests = Requests(tokens, tags, "", intents=[self.intents[0]] * len(tokens))
        return self._understand(params, self._served(requests), tokens)[0]

    def report(self, params: Params, examples: Asked, folder: Path) -> Report:
        """Scores parameters, and writes predictions, the confusion of intents, and a table of slots.

        Args:
          params: of the network.
          examples: requests, their tags and intents.
          folder: gets `predictions.conll` (word, tag, prediction), `intents.tsv`, `confusion.png`
            and, where tags are spans, `spans.txt`.
        """
        from seqjax import figures

        requests = as_requests(examples)
        found, nats = self._read(params, requests)
        tags = [one.tags for one in found]
        guesses = [one.intent for one in found]
        names = sorted({*self.intents, *requests.intents})
        table = {
            "intent": requests.intents,
            "predicted": guesses,
            "request": list(map(" ".join, requests.tokens)),
        }
        write_atomically(folder / "intents.tsv", metrics.as_tsv(table).encode())
        figures.plot_confusion(folder / "confusion.png", requests.intents, guesses, names)
        self._write_tags(requests, tags, folder)
        scores = self._scored(requests, found, nats)
        del scores["error"]
        counts = {"requests": len(found), "words": sum(map(len, requests.tokens))}
        return Report(scores, counts)

    def _read(self, params: Params, requests: Requests) -> tuple[list[Understood], float]:
        """What is understood, and the nats of what is true."""
        return self._understand(params, self.batches(requests, once=True), requests.tokens)

    def _understand(
        self, params: Params, batches: Iterator[Any], tokens: Sequence[Sequence[str]]
    ) -> tuple[list[Understood], float]:
        """What is understood of each request, and the nats of what is given with it."""
        found: list[Understood] = [Understood(self.intents[0], [], []) for _ in tokens]
        tags, words, wants, intended = 0.0, 0, 0.0, 0
        for index, row in rows_of(functools.partial(self._search, params), batches):
            intent = self.intents[int(row["likelihoods"].argmax())]
            best = self.tags.decode(row["tags"][: row["lengths"]])
            slots = tag_sets.spans(best, self.scheme)
            said = [(kind, " ".join(tokens[index][part])) for kind, part in slots]
            found[index] = Understood(intent, best, said)
            if row["tagged"]:
                tags -= float(row["likelihood"])
                words += int(row["lengths"])
            if row["intended"]:
                wants -= float(row["likelihoods"][row["intents"]])
                intended += 1
        return found, tags / max(words, 1) + wants / max(intended, 1)

    @functools.partial(jax.jit, static_argnums=0)
    def _search(self, params: Params, batch: Any) -> dict[str, jax.Array]:
        """The best tags, and the logarithm of the likelihood of every intent."""
        outputs = self._outputs(params, batch, None)
        found = self._best(batch, self._kept(outputs.scores))
        return found | {"likelihoods": jax.nn.log_softmax(outputs.intents)}

    def _encoded(self, part: TaggedSentences) -> list[dict[str, np.ndarray]]:
        """Each request as a sentence, with the number of its intent and whether it is known."""
        assert isinstance(part, Requests)
        numbers = {intent: number for number, intent in enumerate(self.intents)}
        encoded = super()._encoded(part)
        for row, intent in zip(encoded, part.intents, strict=True):
            row["intents"] = np.array(numbers.get(intent, 0), np.int32)
            row["intended"] = np.array(intent in numbers)
        return encoded

    def _scored(self, requests: Requests, found: list[Understood], nats: float) -> dict[str, float]:
        """The metrics of what was found."""
        tags = [one.tags for one in found]
        scores = {"nats": nats, **tag_sets.score(requests.tags, tags, self.scheme)}
        right = [one.intent == intent for one, intent in zip(found, requests.intents, strict=True)]
        tagged = [one.tags == given for one, given in zip(found, requests.tags, strict=True)]
        understood = float(np.mean(np.array(right) & np.array(tagged)))
        return scores | {
            "intent_accuracy": float(np.mean(right)),
            "understood": understood,
            "error": 1 - understood,
        }


def as_requests(examples: Asked) -> Requests:
    """Takes requests, their tags and intents as one object.

    Raises:
      ValueError: there is no word, or words, tags and intents differ in number (where).
    """
    if not isinstance(examples, Requests):
        if isinstance(examples, TaggedSentences) or len(examples) != 3:
            raise ValueError("requests have no intents; give words, tags and intents")
        part = as_tagged(examples[:2])
        examples = Requests(part.tokens, part.tags, part.origin, intents=list(examples[2]))
    as_tagged(examples)
    if len(examples.tokens) != len(examples.intents):
        raise ValueError(
            f"{len(examples.tokens):,} requests and {len(examples.intents):,} intents; "
            "give one for each"
        )
    return examples
