"""`Classifier`: texts to classes."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from seqjax import classification, metrics
from seqjax.classification import classes_of
from seqjax.metrics import Labels
from seqjax.models import SequenceClassifier
from seqjax.models.classifier import Pooling
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.text.attention_page import Explained, attention_line, write_attention_page
from seqjax.text.texts import Texts, Tokens, check_texts, learn_words
from seqjax.typing import Params

SUREST, UNSURE = 30, 20
"""Texts of a part of the attention page."""


@dataclasses.dataclass(frozen=True, repr=False)
class Classifier(classification.Classifier):
    """Texts to classes.

    Attributes:
      model: scores the classes.
      labels: the classes, in the order of the scores.
      inputs: how texts become tokens, a `seqjax.text.Texts`.

    Example:
      >>> import jax, seqjax
      >>> texts, labels = ["a good film", "a bad film"], ["glad", "sad"]
      >>> task = Classifier.of(texts, labels, seqjax.bidirectional(seqjax.LSTM(8)), min_count=1)
      >>> params = task.init(jax.random.key(0))
      >>> task.explain(params, ["Good!"])[0].words
      ['good', '!']
    """

    unit: ClassVar[str] = "texts"

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        labels: Labels,
        recurrence: Recurrence,
        *,
        vocab: Tokens | None = None,
        min_count: int = 2,
        max_length: int = 400,
        embedding_size: int = 100,
        pooling: Pooling = "attention",
        **settings: Any,
    ) -> "Classifier":
        """Makes the task of training texts.

        Args:
          texts: what is read.
          labels: the class of each, any sortable values.
          recurrence: reads them.
          vocab: the tokens that are read; None takes the words of the texts.
          min_count: rarer words are unknown ones, where there is no `vocab`.
          max_length: tokens of a text that are read.
          embedding_size: features of a token.
          pooling: of the outputs, see `seqjax.models.SequenceClassifier`.
          **settings: further ones of it, such as `dropout` and `word_dropout`.

        Raises:
          ValueError: texts and labels differ in number, there is one class alone, or a text is
            empty or no text (which).
        """
        classes = classes_of(texts, labels)
        check_texts(texts)
        if vocab is None:
            vocab = learn_words(texts, min_count)
        if settings.get("word_dropout"):
            settings.setdefault("unknown", vocab.unk)
        model = SequenceClassifier(
            len(classes), recurrence, len(vocab), embedding_size, pooling=pooling, **settings
        )
        return cls(model, classes, Texts(vocab, max_length))

    def explain(self, params: Params, texts: Sequence[str]) -> list[Explained]:
        """Names the class of each text, and the weight of each of its tokens.

        Args:
          params: of the model.
          texts: what to read.
        """
        probabilities = self.probabilities(params, texts)
        weights: Sequence[Any] = [None] * len(texts)
        if self.model.pooling == "attention":
            weights = self.attention(params, texts)
        found = []
        for text, chances, weight in zip(texts, probabilities, weights, strict=True):
            words = self.inputs.pieces(text)
            label = self.labels[int(chances.argmax())]
            known = [self.inputs.knows(word) for word in words]
            found.append(Explained(label, float(chances.max()), words, weight, known))
        return found

    def draw_attention(
        self,
        params: Params,
        texts: Sequence[str],
        path: str | os.PathLike,
        title: str = "Where the model looked",
    ) -> None:
        """Writes a page of HTML: texts, each token shaded by its weight.

        Args:
          params: of the model.
          texts: what to read.
          path: the file.
          title: of the page.
        """
        lines = [attention_line(explained) for explained in self.explain(params, texts)]
        write_attention_page(path, title, {"": lines})

    def report(
        self,
        params: Params,
        examples: tuple[Sequence[str], Labels],
        folder: str | os.PathLike,
    ) -> Report:
        """Scores on examples, and writes predictions and pictures into a folder.

        These are `predictions.tsv`, `confusion.png`, and with attention `attention.html`: the
        answers that the model was surest of, right and wrong ones, and those it was not.

        Args:
          params: of the model.
          examples: texts and their labels.
          folder: exists.
        """
        marked = self._mark(params, examples)
        texts = list(examples[0])
        metrics.write_answers(folder, marked, self.labels, {"text": texts})
        if self.model.pooling == "attention":
            chosen = _chosen(marked)
            title = f"Where the model looked: {Path(folder).name}"
            sections = self._sections(params, texts, marked, chosen)
            write_attention_page(Path(folder, "attention.html"), title, sections)
        return self._report(marked)

    def _sections(
        self,
        params: Params,
        texts: Sequence[str],
        marked: metrics.Marked,
        chosen: Mapping[str, np.ndarray],
    ) -> dict[str, list[str]]:
        """Spells the chosen texts of each part of the page."""
        sections = {}
        for title, places in chosen.items():
            explained = self.explain(params, [texts[int(place)] for place in places])
            sections[title] = [
                attention_line(one, marked.labels[int(place)])
                for one, place in zip(explained, places, strict=True)
            ]
        return sections


def _chosen(marked: metrics.Marked) -> dict[str, np.ndarray]:
    """Chooses the texts of the attention page: places, by heading."""
    order = np.argsort(-marked.probabilities.max(-1), kind="stable")
    right = marked.right[order]
    return {
        "right, the surest": order[right][:SUREST],
        "wrong, the surest": order[~right][:SUREST],
        "unsure": order[::-1][:UNSURE],
    }
