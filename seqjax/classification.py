"""`Classifier`: sequences to classes, the task that text, vision and series share."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import data, losses, metrics, training
from seqjax.members import ManySeeds, Members
from seqjax.metrics import Labels
from seqjax.models import SequenceClassifier
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.typing import KeyArray, Params

RawInputs: TypeAlias = Sequence[Any] | np.ndarray
"""What a person has: texts, arrays, one array of all."""

BUCKETS = 4
"""Lengths that training pads to, at most."""


class Inputs(Protocol):
    """How raw inputs become sequences that a network reads; a frozen dataclass of settings."""

    @property
    def size(self) -> int | None:
        """Features of a step; None where a step is a token."""
        ...

    def sequences(self, inputs: RawInputs) -> list[np.ndarray]:
        """Converts raw inputs to integers `[time]` or features `[time, features]`, one array each.

        Raises:
          ValueError: an input cannot be read (which, and how to mend it).
        """
        ...


@dataclasses.dataclass(frozen=True)
class Features:
    """Arrays of features, each feature shifted and scaled as it was in training.

    Attributes:
      mean: of each feature over the training steps.
      scale: its standard deviation there; 1 for a constant.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, arrays: RawInputs) -> "Features":
        """Measures the features of training arrays, each `[time, features]` or `[time]`.

        Raises:
          ValueError: there is none, or they differ in their features (which).
        """
        if not len(arrays):
            raise ValueError("there is no training sequence; give at least one")
        first = _as_sequence(0, arrays[0])
        checked = [_as_sequence(row, array, first.shape[1]) for row, array in enumerate(arrays)]
        steps = np.concatenate(checked).astype(np.float64)
        # Not by a deviation of 0: that of a constant such as 0.1 is what its mean is rounded by.
        scale = np.where(np.ptp(steps, axis=0) > 0, steps.std(0), 1.0)
        return cls(tuple(steps.mean(0).tolist()), tuple(scale.tolist()))

    @property
    def size(self) -> int:
        """Features of a step."""
        return len(self.mean)

    def sequences(self, inputs: RawInputs) -> list[np.ndarray]:
        """Standardises arrays, each `[time, features]`; float32."""
        mean, scale = np.asarray(self.mean), np.asarray(self.scale)
        arrays = [_as_sequence(row, array, len(self.mean)) for row, array in enumerate(inputs)]
        return [((array - mean) / scale).astype(np.float32) for array in arrays]


def _as_sequence(row: int, given: Any, features: int | None = None) -> np.ndarray:
    """One input as `[time, features]`."""
    array = np.asarray(given)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"sequence {row} is {array.dtype}; give an array of numbers, [time, features]"
        )
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not len(array):
        raise ValueError(
            f"sequence {row} has shape {array.shape}; give [time, features], at least one step"
        )
    if features is not None and array.shape[1] != features:
        raise ValueError(
            f"sequence {row} has {array.shape[1]} features; the others have {features}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"sequence {row} has values that are not finite; fill or leave out its gaps"
        )
    return array


@dataclasses.dataclass(frozen=True, repr=False)
class Classifier(ManySeeds):
    """Sequences of different lengths to classes.

    Attributes:
      model: scores the classes.
      labels: the classes, in the order of the scores.
      inputs: how raw inputs become sequences.

    Example:
      >>> import jax, numpy as np, seqjax
      >>> rows = [np.zeros((5, 2)), np.ones((9, 2))]
      >>> task = seqjax.Classifier.of(rows, ["calm", "wild"], recurrence=seqjax.bidirectional(seqjax.LSTM(8)))
      >>> len(task.predict(task.init(jax.random.key(0)), rows))
      2
    """

    model: SequenceClassifier | Members
    labels: tuple[Any, ...]
    inputs: Any

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.labels[:4])) + (", ..." if len(self.labels) > 4 else "")
        return f"{type(self).__name__}({self.model.recurrence!r} to {len(self.labels)} classes: {shown})"

    monitor: ClassVar[tuple[str, ...]] = ("error", "nats")
    unit: ClassVar[str] = "sequences"
    batch_size: ClassVar[int] = 32

    @classmethod
    def of(
        cls, arrays: RawInputs, labels: Labels, recurrence: Recurrence, **settings: Any
    ) -> "Classifier":
        """Makes the task of training arrays.

        Args:
          arrays: `[time, features]` each, of any lengths.
          labels: the class of each, any sortable values.
          recurrence: reads them.
          **settings: further ones of `seqjax.models.SequenceClassifier`, such as `pooling` and
            `dropout`.

        Raises:
          ValueError: arrays and labels differ in number, there is one class alone, or an array
            cannot be read.
        """
        classes = classes_of(arrays, labels)
        model = SequenceClassifier(len(classes), recurrence, **settings)
        return cls(model, classes, Features.of(arrays))

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        size = self.inputs.size
        example = jnp.zeros((1, 1), int)
        if size is not None:
            example = jnp.zeros((1, 1, size))
        return self.model.init(key, example)["params"]

    def batches(
        self,
        examples: tuple[RawInputs, Labels],
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.Mapped:
        """Makes batches of sequences of about one length: `inputs`, `lengths`, `weight`, `label`, `indices`.

        Args:
          examples: inputs and their labels.
          batch_size: sequences of a batch.
          seed: of the order.
          once: go through the examples a single time, in order of length.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: a label is unknown, an input cannot be read, or the rows do not come out even.
        """
        rows = data.rows_of_batch(batch_size or self.batch_size, multiple_of)
        inputs, labels = as_pair(examples)
        sequences, labels = self.inputs.sequences(inputs), self.encode_labels(labels)
        order = data.BucketBatches(
            [len(sequence) for sequence in sequences],
            rows,
            buckets=BUCKETS,
            seed=seed,
            shuffle=not once,
            epochs=1 if once else None,
        )
        return data.mapped(functools.partial(_collate, sequences, labels), order)

    def encode_labels(self, labels: Labels) -> np.ndarray:
        """Numbers classes, int `[sequences]`.

        Raises:
          ValueError: a label did not occur in training (which, and where).
        """
        places = metrics.place(labels, self.labels)
        if (places < 0).any():
            row = int(np.argmin(places))
            known = ", ".join(map(str, self.labels[:10]))
            raise ValueError(
                f"example {row}: the label {list(labels)[row]!r} is not among those learnt ({known})"
            )
        return places

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean cross-entropy of the labels, in nats."""
        logits = self._apply(params, batch, {"dropout": rng})
        right = training.Mean.of(logits.argmax(-1) == batch["label"], batch["weight"])
        nats = losses.cross_entropy(logits, batch["label"], batch["weight"])
        return nats, training.Aux(weight=batch["weight"].sum(), metrics={"accuracy": right})

    def evaluate(self, params: Params, examples: tuple[RawInputs, Labels]) -> dict[str, float]:
        """Scores parameters: `accuracy`, `error` (1 less it) and `nats`, means over the examples.

        A label that did not occur in training is never right, and has no likelihood.

        Raises:
          ValueError: no label occurred in training, or an input cannot be read.
        """
        return self._mark(params, examples).metrics

    def report(
        self,
        params: Params,
        examples: tuple[RawInputs, Labels],
        folder: str | os.PathLike,
    ) -> Report:
        """Scores on examples, and writes `predictions.tsv` and the picture `confusion.png`.

        Args:
          params: of the model.
          examples: inputs and their labels.
          folder: exists.
        """
        marked = self._mark(params, examples)
        metrics.write_answers(folder, marked, self.labels)
        return self._report(marked)

    def _mark(self, params: Params, examples: tuple[RawInputs, Labels]) -> metrics.Marked:
        """Answers examples and compares the answers with the truth."""
        inputs, labels = as_pair(examples)
        return metrics.mark(self.logits(params, inputs), labels, self.labels)

    def _report(self, marked: metrics.Marked) -> Report:
        """Returns the figures of a table."""
        counts = {self.unit: len(marked.labels), "right": int(marked.right.sum())}
        if marked.unknown:
            counts["of_unknown_labels"] = marked.unknown
        return Report({name: marked.metrics[name] for name in ("accuracy", "nats")}, counts)

    def predict(self, params: Params, inputs: RawInputs) -> list[Any]:
        """Names the class of each input."""
        return [self.labels[place] for place in self.logits(params, inputs).argmax(-1)]

    def probabilities(self, params: Params, inputs: RawInputs) -> np.ndarray:
        """Computes the probability of each class, `[inputs, classes]`, float32."""
        return np.asarray(jax.nn.softmax(self.logits(params, inputs)))

    def logits(self, params: Params, inputs: RawInputs) -> np.ndarray:
        """Computes the scores of each class, `[inputs, classes]`."""
        scores = np.zeros((len(inputs), len(self.labels)), np.float32)
        for batch in self._serving(inputs):
            rows = batch["indices"] >= 0
            scores[batch["indices"][rows]] = np.asarray(self._scores(params, batch))[rows]
        return scores

    def attention(self, params: Params, inputs: RawInputs) -> list[np.ndarray]:
        """Computes the weight of each step of each input, `[time]` each.

        Raises:
          ValueError: the model does not pool by attention.
        """
        weights: list[Any] = [None] * len(inputs)
        for batch in self._serving(inputs):
            found = np.asarray(self._attend(params, batch))
            for row, (index, length) in enumerate(
                zip(batch["indices"], batch["lengths"], strict=True)
            ):
                if index >= 0:
                    weights[index] = found[row, :length]
        return weights

    def _serving(self, inputs: RawInputs) -> Iterator[dict[str, np.ndarray]]:
        """Yields batches of few shapes, whatever the lengths."""
        if not len(inputs):
            return
        sequences = self.inputs.sequences(inputs)
        labels = np.zeros(len(sequences), np.int64)
        for chosen in data.serving_batches([len(sequence) for sequence in sequences]):
            yield _collate(sequences, labels, chosen)

    @functools.partial(jax.jit, static_argnums=0)
    def _scores(self, params: Params, batch: Any) -> jax.Array:
        return self._apply(params, batch, None)

    @functools.partial(jax.jit, static_argnums=0)
    def _attend(self, params: Params, batch: Any) -> jax.Array:
        found: Any = self.model.apply(
            {"params": params}, batch["inputs"], lengths=batch["lengths"], method="attend"
        )
        return found.weights

    def _apply(self, params: Params, batch: Any, rngs: Any) -> Any:
        return self.model.apply(
            {"params": params}, batch["inputs"], lengths=batch.get("lengths"), rngs=rngs
        )


def classes_of(inputs: RawInputs, labels: Labels) -> tuple[Any, ...]:
    """Lists the classes of training labels in ascending order.

    Raises:
      ValueError: inputs and labels differ in number, or there is one class alone.
    """
    inputs, labels = as_pair((inputs, labels))
    classes = tuple(sorted({metrics.plain(label) for label in labels}))
    if len(classes) < 2:
        raise ValueError(
            f"every example has the label {classes[0]!r}; give at least two classes"
            if classes
            else "there is no example; give at least two, of two classes"
        )
    return classes


def as_pair(examples: Any) -> tuple[RawInputs, Labels]:
    """Returns inputs and labels.

    Raises:
      ValueError: the examples are no pair, or the two differ in number.
    """
    if not isinstance(examples, tuple) or len(examples) != 2:
        raise ValueError(
            f"the examples are a {type(examples).__name__}; give a pair (inputs, labels)"
        )
    inputs, labels = examples
    if len(inputs) != len(labels):
        raise ValueError(
            f"{len(inputs):,} inputs and {len(labels):,} labels; give one label for each input"
        )
    return inputs, labels


def _collate(
    sequences: list[np.ndarray], labels: np.ndarray, chosen: data.IndexBatch
) -> dict[str, np.ndarray]:
    """One batch: `inputs [rows, time, ...]`, and `lengths`, `weight`, `label` and `indices`, all `[rows]`."""
    inputs, lengths, weight = data.pad_batch(
        [sequences[i] for i in chosen.indices], chosen.time, chosen.rows
    )
    indices = np.full(chosen.rows, -1)
    indices[: len(chosen.indices)] = chosen.indices
    label = np.where(indices < 0, 0, labels[indices])
    return {
        "inputs": inputs,
        "lengths": lengths,
        "weight": weight,
        "label": label,
        "indices": indices,
    }
