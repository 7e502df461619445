"""`RowClassifier`: images to classes, read row by row or pixel by pixel."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

from seqjax import classification, data, metrics
from seqjax.classification import RawInputs, as_pair, classes_of
from seqjax.members import Members
from seqjax.metrics import Labels
from seqjax.models import SequenceClassifier
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.typing import Params, State
from seqjax.vision import row_pictures
from seqjax.vision.row_inputs import Rows, check_greys, in_unit

SERVED = 512
"""Images that are answered at once, at most."""

ARRIVAL = 2000
"""Images of which the accuracy is drawn as their rows arrive, at most."""


@dataclasses.dataclass(frozen=True, repr=False)
class RowClassifier(classification.Classifier):
    """Grey images of one size to classes: an image is a sequence of rows.

    Attributes:
      model: scores the classes.
      labels: the classes, in the order of the scores.
      inputs: how images become sequences, a `seqjax.vision.Rows`.

    Example:
      >>> import jax, seqjax
      >>> images = np.stack([np.zeros((4, 4)), np.ones((4, 4))])
      >>> task = RowClassifier.of(images, ["dark", "light"], seqjax.LSTM(8))
      >>> task.probabilities(task.init(jax.random.key(0)), images).shape
      (2, 2)
    """

    unit: ClassVar[str] = "images"
    batch_size: ClassVar[int] = 128

    @classmethod
    def of(
        cls,
        images: RawInputs,
        labels: Labels,
        recurrence: Recurrence,
        *,
        order: Sequence[int] | np.ndarray | None = None,
        **settings: Any,
    ) -> "RowClassifier":
        """Makes the task of training images.

        Args:
          images: whole numbers of 0 to 255 or floats, `[images, rows, columns]`.
          labels: the class of each, any sortable values.
          recurrence: reads them.
          order: None reads a row at a step; else a pixel, in this order of their places.
          **settings: further ones of `seqjax.models.SequenceClassifier`, such as `dropout`.

        Raises:
          ValueError: images and labels differ in number, there is one class alone, or the images
            are none.
        """
        classes = classes_of(images, labels)
        height, width = np.shape(images[0])[:2] if np.ndim(images[0]) > 1 else (0, 0)
        if not height * width:
            shape = list(np.shape(images[0]))
            raise ValueError(f"image 0 has shape {shape}; give images of [rows, columns]")
        places = None if order is None else tuple(int(place) for place in order)
        rows = Rows(int(height), int(width), places)
        rows.images(images)
        return cls(SequenceClassifier(len(classes), recurrence, **settings), classes, rows)

    def batches(
        self,
        examples: tuple[RawInputs, Labels],
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.Mapped:
        """Makes batches of images: `inputs`, `label` and `weight`.

        Args:
          examples: images and their labels.
          batch_size: images of a batch.
          seed: of the order.
          once: go through the examples a single time, in order.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: a label is unknown, or the images have another shape.
        """
        images, labels = as_pair(examples)
        records = {"image": self.inputs.images(images), "label": self.encode_labels(labels)}
        order = data.batches(
            records,
            data.rows_of_batch(batch_size or self.batch_size, multiple_of),
            seed=seed,
            shuffle=not once,
            epochs=1 if once else None,
        )
        return data.mapped(functools.partial(_collate, self.inputs), order)

    def stream(self, params: Params) -> "RowStream":
        """Opens a stream that reads an image row by row, or pixel by pixel.

        Args:
          params: of the model.

        Raises:
          TypeError: the model needs whole images.
        """
        if isinstance(self.model, Members):
            raise TypeError("several members read whole images together; stream each by itself")
        if not self.model.recurrence.causal or self.model.pooling != "last":
            raise TypeError(
                "RowClassifier reads whole images and cannot stream; call predict, or build it of "
                "a causal recurrence with pooling='last'"
            )
        return RowStream(self, params)

    def report(
        self,
        params: Params,
        examples: tuple[RawInputs, Labels],
        folder: str | os.PathLike,
    ) -> Report:
        """Scores on examples, and writes predictions and pictures into a folder.

        These are `predictions.tsv`, `confusion.png`, `mistakes.png` and `rows_arrive.png`, which
        shows what the model knows before it has seen all rows.

        Args:
          params: of the model.
          examples: images and their labels.
          folder: exists.

        Returns:
          Beside `accuracy` and `nats` the accuracy after some of the rows, as
          `accuracy_after_row_NUMBER`.
        """
        marked = self._mark(params, examples)
        metrics.write_answers(folder, marked, self.labels)
        images = in_unit(self.inputs.images(examples[0]))
        row_pictures.draw_mistakes(Path(folder, "mistakes.png"), images, marked)
        shown = row_pictures.rows_shown(self.inputs.height)
        arrival = self.arrival(params, images[:ARRIVAL])
        truth = metrics.place(marked.labels, self.labels)[:ARRIVAL]
        accuracy = row_pictures.draw_arrival(
            Path(folder, "rows_arrive.png"),
            images[:ARRIVAL],
            self.inputs.order,
            arrival,
            truth,
            self.labels,
        )
        found = self._report(marked)
        early = {f"accuracy_after_row_{row}": float(accuracy[row - 1]) for row in shown[:-2]}
        return Report(found.metrics | early, found.counts)

    def draw_reading(self, params: Params, image: Any, folder: str | os.PathLike) -> None:
        """Draws how the model reads an image: `sequence.png` and `hidden_units.png`.

        Args:
          params: of the model.
          image: one, or its name.
          folder: exists.
        """
        sequence = self.inputs.read([image])
        pixels = in_unit(self.inputs.images([image]))[0]
        row_pictures.draw_sequence(
            Path(folder, "sequence.png"), pixels, self.inputs.order, sequence[0]
        )
        outputs: Any = self.model.apply({"params": params}, sequence, method="encode")
        row_pictures.draw_units(
            Path(folder, "hidden_units.png"), sequence[0], np.asarray(outputs[0])
        )

    def arrival(self, params: Params, images: RawInputs) -> np.ndarray:
        """Computes what the model says after each row, `[rows, images, classes]`, float32.

        Images that are read by pixels are as far after a row as after its share of the pixels.

        Args:
          params: of the model.
          images: what to read.
        """
        rows = range(1, self.inputs.height + 1)
        shape = (self.inputs.height, len(images), len(self.labels))
        probabilities = np.zeros(shape, np.float32)
        for batch in self._serving(images):
            inside = batch["indices"] >= 0
            for row in rows:
                steps = self.inputs.steps * row // self.inputs.height
                lengths = np.where(inside, steps, 0).astype(np.int32)
                logits = self._scores(params, {**batch, "lengths": lengths})
                chances = np.asarray(jax.nn.softmax(logits))
                probabilities[row - 1, batch["indices"][inside]] = chances[inside]
        return probabilities

    def _serving(self, inputs: RawInputs) -> Iterator[dict[str, np.ndarray]]:
        """Yields batches of few shapes: powers of two of images."""
        if not len(inputs):
            return
        images = self.inputs.images(inputs)
        rows = min(SERVED, 1 << (len(images) - 1).bit_length())
        for start in range(0, len(images), rows):
            part = images[start : start + rows]
            inside = np.arange(rows) < len(part)
            batch = np.zeros((rows, *images.shape[1:]), images.dtype)
            batch[: len(part)] = part
            yield {
                "inputs": self.inputs.read(batch),
                "lengths": np.where(inside, self.inputs.steps, 0).astype(np.int32),
                "indices": np.where(inside, start + np.arange(rows), -1),
            }


class RowStream:
    """Reads an image step by step and says after each what it knows.

    Attributes:
      state: after all that was read; put an earlier one back to go on from there.

    Example:
      >>> import seqjax
      >>> images = np.stack([np.zeros((4, 4)), np.ones((4, 4))])
      >>> task = RowClassifier.of(images, ["dark", "light"], seqjax.LSTM(8))
      >>> stream = task.stream(task.init(jax.random.key(0)))
      >>> [stream.step(row).shape for row in images[0]]
      [(2,), (2,), (2,), (2,)]
    """

    def __init__(self, task: RowClassifier, params: Params):
        """Opens the stream before the first step."""
        self._task, self._params = task, params
        self.state: State = task.model.apply(
            {"params": params}, (), task.inputs.size, method="initial_state"
        )

    def step(self, row: Any) -> np.ndarray:
        """Reads on.

        Args:
          row: the next row, `[columns]`; or the next pixel. Whole numbers of 0 to 255, or floats.

        Returns:
          The probability of each class after all that was read, float32 `[classes]`.

        Raises:
          ValueError: the row has another size, or values that are no greys.
        """
        pixels = np.asarray(row).reshape(-1)
        if len(pixels) != self._task.inputs.size:
            raise ValueError(f"the row has {len(pixels)} pixels; give {self._task.inputs.size}")
        pixels = in_unit(check_greys(pixels[None, None]))[0, 0]
        self.state, found = _step(self._task.model, self._params, self.state, pixels)
        return np.asarray(found)


@functools.partial(jax.jit, static_argnums=0)
def _step(
    model: SequenceClassifier, params: Params, state: State, pixels: Any
) -> tuple[State, jax.Array]:
    found: Any = model.apply({"params": params}, state, pixels, method="step")
    state, logits = found
    return state, jax.nn.softmax(logits)


def _collate(rows: Rows, batch: dict[str, Any]) -> dict[str, np.ndarray]:
    """One batch: `inputs [rows, steps, size]`, `label` and `weight`, both `[rows]`."""
    return {
        "inputs": rows.read(batch["image"]),
        "label": batch["label"],
        "weight": batch["weight"],
    }
