"""Answers of a classifier beside the truth: marked, counted, written into a folder."""

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from seqjax import figures
from seqjax.files.disk import write_atomically

Labels: TypeAlias = Sequence[Hashable] | np.ndarray
"""The class of each example."""

DRAWN = 60
"""Classes that a confusion matrix is drawn of, at most."""

_BREAKS = re.compile(r"[\t\r\n]")


class Marked(NamedTuple):
    """Answers beside the truth.

    Attributes:
      labels: what is true of each example.
      predicted: what the model says.
      probabilities: of each class, `[examples, classes]`.
      right: which answers are true, bool `[examples]`.
      unknown: how many examples have a label that is none of the classes.
      metrics: `accuracy`, `error` (1 less it) and `nats`, means over the examples.
    """

    labels: list[Any]
    predicted: list[Any]
    probabilities: np.ndarray
    right: np.ndarray
    unknown: int
    metrics: dict[str, float]


def mark(logits: np.ndarray, labels: Labels, classes: Sequence[Any]) -> Marked:
    """Compares the scores of classes with the truth.

    A label that is none of the classes is never right, and has no likelihood.

    Args:
      logits: scores of each class, `[examples, classes]`.
      labels: the truth, `[examples]`.
      classes: in the order of the scores.

    Raises:
      ValueError: there is no example, or no label is one of the classes.

    Example:
      >>> mark(np.array([[2.0, 0.0], [0.0, 2.0]]), ["no", "no"], ("no", "yes")).metrics["accuracy"]
      0.5
    """
    if not len(labels):
        raise ValueError("there is no example to score; give at least one")
    places = place(labels, classes)
    known = places >= 0
    if not known.any():
        shown = ", ".join(map(str, classes[:10]))
        raise ValueError(
            f"no label is among those learnt ({shown}), such as {plain(next(iter(labels)))!r}; "
            "give examples of the same classes"
        )
    chosen = logits.argmax(-1)
    wrong = float(np.mean(chosen != places))
    likelihoods = np.asarray(jax.nn.log_softmax(logits[known]), np.float64)
    nats = -likelihoods[np.arange(known.sum()), places[known]]
    return Marked(
        labels=[plain(label) for label in labels],
        predicted=[classes[choice] for choice in chosen],
        probabilities=np.asarray(jax.nn.softmax(logits)),
        right=chosen == places,
        unknown=int((~known).sum()),
        metrics={"nats": float(nats.mean()), "error": wrong, "accuracy": 1 - wrong},
    )


def place(labels: Labels, classes: Sequence[Any]) -> np.ndarray:
    """Numbers labels by their place among the classes, -1 for others, int64 `[examples]`."""
    places = {label: place for place, label in enumerate(classes)}
    return np.array([places.get(plain(label), -1) for label in labels], np.int64)


def plain(label: Any) -> Any:
    """Returns a label as a Python value, so that a NumPy number equals it."""
    if isinstance(label, np.generic):
        return label.item()
    return label


def write_answers(
    folder: str | os.PathLike,
    marked: Marked,
    classes: Sequence[Any],
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Writes `predictions.tsv`, and `confusion.png` where the classes are not too many to draw.

    Args:
      folder: exists.
      marked: the answers.
      classes: in the order of the scores.
      columns: further columns of the table, such as the texts.
    """
    table: dict[str, Sequence[Any]] = {
        "label": marked.labels,
        "predicted": marked.predicted,
        "probability": [f"{p:.3f}" for p in marked.probabilities.max(-1)],
        **(columns or {}),
    }
    write_atomically(Path(folder, "predictions.tsv"), as_tsv(table).encode())
    strange = sorted(set(marked.labels) - set(classes), key=str)
    names = [_on_a_line(name) for name in (*classes, *strange)]
    if len(names) <= DRAWN:
        truth = [_on_a_line(label) for label in marked.labels]
        predicted = [_on_a_line(label) for label in marked.predicted]
        figures.plot_confusion(Path(folder, "confusion.png"), truth, predicted, names)


def as_tsv(table: Mapping[str, Sequence[Any]]) -> str:
    """Spells columns as lines, their names first; what would part fields or lines becomes a blank."""
    lines = ["\t".join(table)]
    for row in zip(*table.values(), strict=True):
        lines.append("\t".join(map(_on_a_line, row)))
    return "\n".join(lines) + "\n"


def _on_a_line(value: Any) -> str:
    """Spells a value; what would part fields or lines becomes a blank."""
    return _BREAKS.sub(" ", str(value))
