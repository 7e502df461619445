"""`Captioner`: an image in, a sentence out."""

import dataclasses
import functools
import itertools
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import data, models, training
from seqjax.data.words import words_of
from seqjax.decoding import Writer
from seqjax.files.disk import write_atomically
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.training import judge, teacher_forced_loss
from seqjax.typing import Backend, KeyArray, Params
from seqjax.vision.augment import vary_images
from seqjax.vision.captioned import Pictures
from seqjax.vision.descriptions import (
    Description,
    attention_on_objects,
    caption_scores,
    draw_descriptions,
    exact_match,
)
from seqjax.vision.inputs import Captions, Examples, Images, Shape, as_images, as_pictures
from seqjax.vision.scenes import SHAPES, Scenes

Criterion = Literal["chrf", "exact_match"]

GRID = 8
"""Rows and columns of cells that a default network makes of an image, about."""

ROWS = 64
"""Images described side by side at most."""

MAX_LENGTH = 24
"""Words that are learnt and written at most."""


@dataclasses.dataclass(frozen=True, repr=False)
class Captioner:
    """Images to sentences.

    Attributes:
      model: writes, given an image.
      words: that it knows, special tokens first.
      shape: height, width and channels of an image.
      max_length: words of a caption that are learnt; a longer one is learnt as far as that.
      augment: move, zoom and shade images in training, see `vary_images`.
      label_smoothing: share of probability spread over all words.
      sampling: probability with which training reads the true word, reached in a straight line from
        1; else the model's own is read (scheduled sampling).
      sampling_steps: training steps until then.
      spread: weight of the doubly stochastic regularisation of the attention.
      beam: hypotheses of the search; 1 takes the likeliest word always.
      criterion: what chooses the best parameters: `"chrf"`, or `"exact_match"` where a sentence is
        right word for word or wrong.

    Example:
      >>> import jax, numpy as np, seqjax
      >>> from seqjax import vision
      >>> images, captions = np.zeros((2, 16, 16, 3), np.uint8), ["a dog", "two cats"]
      >>> task = vision.Captioner.of(images, captions, seqjax.LSTM(8), features=4)
      >>> sentences = task.predict(task.init(jax.random.key(0)), images, beam=2, max_length=5)
      >>> len(sentences)
      2
    """

    model: models.Captioner
    words: data.Vocabulary
    shape: Shape
    max_length: int = MAX_LENGTH
    augment: bool = False
    label_smoothing: float = 0.0
    sampling: float = 1.0
    sampling_steps: int = 1000
    spread: float = 0.0
    beam: int = 4
    criterion: Criterion = "chrf"

    monitor: ClassVar[tuple[str, ...]] = ("error", "nats")
    unit: ClassVar[str] = "pictures"
    batch_size: ClassVar[int] = 32

    def __post_init__(self):
        if self.criterion not in get_args(Criterion):
            known = ", ".join(map(repr, get_args(Criterion)))
            raise ValueError(f"criterion is {self.criterion!r}; choose one of {known}")
        if self.max_length < 1:
            raise ValueError(f"max_length is {self.max_length}; give at least 1 word")
        if self.beam < 1:
            raise ValueError(f"beam is {self.beam}; give at least 1 hypothesis")
        if self.spread and not self.attends:
            raise ValueError(f"spread is {self.spread}; it wants a model with attention")

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        recurrence = self.model.decoder.recurrence
        return f"Captioner({recurrence!r} over images of {size}, {len(self.words):,} words)"

    @classmethod
    def of(
        cls,
        images: Images,
        captions: Captions,
        recurrence: Recurrence,
        *,
        side: int | None = None,
        known: Iterable[str] | None = None,
        features: int = 32,
        embedding_size: int = 64,
        attention: bool = True,
        dropout: float = 0.0,
        backend: Backend = "auto",
        **settings: Any,
    ) -> "Captioner":
        """Makes the task of training examples: a small convolutional network under a decoder.

        Args:
          images: one array `[images, height, width, channels]`, uint8 or floats from 0 to 1; with
            `side` also a list of arrays and names of files, see `Images`.
          captions: of each image one sentence, or several.
          recurrence: writes the words; a causal one, with attention of a last layer that shows its
            state.
          side: pixels of the squares that images are brought to; None keeps their size.
          known: sentences whose words the model shall know; None for the captions.
          features: of the first stage of convolutions; each halves the image and doubles them.
          embedding_size: features of a word.
          attention: look at the cells before every word (Xu et al., 2015); else begin with a summary
            of the image.
          dropout: rate on cells, words and readouts.
          backend: which implementation runs, see `seqjax.unroll`.
          **settings: further ones of the class, such as `augment` and `sampling`.

        Raises:
          ValueError: images and captions differ in number, or an image or a setting is not what it
            should be.
        """
        pictures = as_pictures((images, captions), None if side is None else (side, side, 3))
        shape = pictures.images.shape[1:]
        if min(shape[:2]) < 2 * GRID:
            raise ValueError(f"images have shape {shape}; give at least {2 * GRID} pixels a side")
        sentences = itertools.chain.from_iterable(pictures.captions) if known is None else known
        cut = [words_of(sentence.lower()) for sentence in sentences]
        words = data.Vocabulary.words(cut)
        stages = tuple(
            features * 2**stage for stage in range(round(math.log2(min(shape[:2]) / GRID)))
        )
        look: dict[str, Any] = {"attention": None}
        if attention:
            look = {"attention": "additive", "form": "bahdanau"}
        decoder = models.Decoder(
            len(words),
            embedding_size,
            recurrence,
            dropout=dropout,
            attention_units=stages[-1],
            backend=backend,
            **look,
        )
        encoder = models.ImageEncoder(models.ConvGrid(stages), stages[-1], dropout)
        settings = {"max_length": min(MAX_LENGTH, max(map(len, cut)))} | settings
        return cls(models.Captioner(encoder, decoder), words, shape, **settings)

    @property
    def attends(self) -> bool:
        """Whether the model looks at the cells of an image."""
        return self.model.decoder.attention is not None

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        images, words = jnp.zeros((1, *self.shape), jnp.uint8), jnp.zeros((1, 1), int)
        return self.model.init(key, images, None, words)["params"]

    def batches(
        self,
        examples: Examples,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.Mapped:
        """Makes batches of images as `source`, words as `targets`, and `target_lengths [rows]`.

        Every image comes with each of its captions. Scenes come in order: they are random already.

        Args:
          examples: see `Examples`.
          batch_size: images of a batch.
          seed: of the order.
          once: go through the examples a single time, in order; rows that fill up the last batch
            have length 0.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: an example cannot be learnt from, or the rows do not come out even.
        """
        rows = data.rows_of_batch(batch_size or self.batch_size, multiple_of)
        stream = data.batches(
            self._records(examples),
            rows,
            seed=seed,
            shuffle=not once and not isinstance(examples, Scenes),
            epochs=1 if once else None,
            drop_remainder=not once,
        )
        return data.mapped(self._numbered, stream)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean cross-entropy of the words, in nats, and what the settings add to it."""
        vary_key, rng = jax.random.split(rng)
        images = jnp.asarray(batch["source"])
        if self.augment:
            images = vary_images(vary_key, images)
        sampling = None
        if self.sampling != 1:
            sampling = training.linear_sampling(self.sampling_steps, end=self.sampling)
        return teacher_forced_loss(
            self.model,
            params,
            batch | {"source": images},
            rng,
            step,
            first=self.words.bos,
            label_smoothing=self.label_smoothing,
            sampling=sampling,
            spread=self.spread,
        )

    def evaluate(self, params: Params, examples: Examples) -> dict[str, float]:
        """Scores parameters on pictures that have captions.

        Returns:
          `nats` a word of the captions; and of what is written `bleu`, `chrf` and `rouge_l` in per
          cent, and `error`, 1 less chrF; or with the criterion `"exact_match"` that share, and
          `error`, 1 less it. Where the objects of pictures are known, also `attention` on an object
          while its noun was written, and `even_attention`, what even attention would give.
        """
        pictures = as_pictures(examples, self.shape)
        batches = self.batches(pictures, batch_size=ROWS, once=True)
        nats = training.evaluate(self._judge, params, batches)
        written = self.describe(params, pictures.images)
        return nats | self._scores(pictures, written)

    def predict(
        self,
        params: Params,
        images: Images,
        *,
        beam: int | None = None,
        max_length: int = MAX_LENGTH,
    ) -> list[str]:
        """Says what is on images.

        Args:
          params: from `init` or from training.
          images: an array, or a list of arrays and names of files, see `Images`.
          beam: hypotheses of the search; None for the task's own.
          max_length: words to write at most.

        Returns:
          A sentence for each image.

        Raises:
          ValueError: an image cannot be read (which).
        """
        written = self.describe(params, images, beam=beam, max_length=max_length)
        return [description.text for description in written]

    def attention(
        self,
        params: Params,
        images: Images,
        *,
        beam: int | None = None,
        max_length: int = MAX_LENGTH,
    ) -> list[np.ndarray]:
        """Computes where the model looks at each word that it writes: `[words, cells]` for each image.

        Raises:
          ValueError: the model has no attention.
        """
        if not self.attends:
            raise ValueError("the model has no attention; make it with attention=True")
        written = self.describe(params, images, beam=beam, max_length=max_length)
        return [description.attention for description in written]

    def describe(
        self,
        params: Params,
        images: Images,
        *,
        beam: int | None = None,
        max_length: int = MAX_LENGTH,
    ) -> list[Description]:
        """Writes the words of each image, with the attention at each; the arguments are those of `predict`."""
        pixels = as_images(images, self.shape)
        if not len(pixels):
            return []
        write = Writer(
            self.model,
            self.words.bos,
            self.words.eos,
            beam=self.beam if beam is None else beam,
            # A word and the end.
            shortest=2,
            longest=max_length + 1,
            banned=(self.words.pad, self.words.unk, self.words.bos),
        )
        found = write(params, _image_batches(pixels), len(pixels))
        # What was cut off has a word in place of its end.
        return [
            Description(self.words.decode(best.tokens[:max_length]), best.attention[:max_length])
            for (best,) in found
        ]

    def report(self, params: Params, examples: Examples, folder: str | os.PathLike) -> Report:
        """Scores on pictures; writes `predictions.tsv` (name, what was written, captions) and pictures."""
        pictures, folder = as_pictures(examples, self.shape), Path(folder)
        written = self.describe(params, pictures.images)
        rows = [
            "\t".join([name, description.text, *right]) + "\n"
            for name, description, right in zip(
                pictures.names, written, pictures.captions, strict=True
            )
        ]
        write_atomically(folder / "predictions.tsv", "".join(rows).encode())
        if self.shape[2] == 3 and pictures.images.dtype == np.uint8:
            beside = [captions[:1] for captions in pictures.captions]
            draw_descriptions(folder, pictures.images, written, beside)
        metrics = self._scores(pictures, written)
        del metrics["error"]
        return Report(metrics, {"pictures": len(pictures)})

    def _scores(self, pictures: Pictures, written: list[Description]) -> dict[str, float]:
        """How good descriptions are; `error` is what chooses the best parameters."""
        texts = [description.text for description in written]
        if self.criterion == "chrf":
            scores = caption_scores(texts, pictures.captions)
            scores["error"] = 1 - scores["chrf"] / 100
        else:
            exact = exact_match(texts, pictures.captions)
            scores = {"exact_match": exact, "error": 1 - exact}
        if pictures.objects is not None and self.attends:
            scores |= attention_on_objects(written, pictures.objects, SHAPES)
        return scores

    def _records(self, examples: Examples) -> Any:
        """Records of an image and a caption."""
        if not isinstance(examples, Scenes):
            return as_pictures(examples, self.shape).pairs()
        if self.shape != (examples.side, examples.side, 3):
            raise ValueError(
                f"scenes have {examples.side} pixels a side; the model takes images of {self.shape}"
            )
        return examples

    def _numbered(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A batch of records, with words as numbers."""
        time = self.max_length + 1
        # A longer sentence does not end where it is cut.
        ids = [
            np.append(self.words.encode(words_of(text.lower())), self.words.eos)[:time]
            for text in batch["caption"].tolist()
        ]
        targets, lengths, _ = data.pad_batch(ids, time, len(ids))
        # Rows that fill up the last batch do not count.
        counted = np.where(batch["weight"] > 0, lengths, 0) if "weight" in batch else lengths
        return {"source": batch["image"], "targets": targets, "target_lengths": counted}

    @functools.partial(jax.jit, static_argnums=0)
    def _judge(self, params: Params, batch: Any) -> dict[str, training.Mean]:
        return judge(self.model, params, batch, first=self.words.bos)


def _image_batches(images: np.ndarray) -> Iterable[dict[str, np.ndarray]]:
    """Batches of few sizes: powers of two, filled up with the first image."""
    for chosen in data.serving_batches([1] * len(images), ROWS):
        indices = np.full(chosen.rows, -1)
        indices[: len(chosen.indices)] = chosen.indices
        yield {"source": images[np.maximum(indices, 0)], "indices": indices}
