"""`Recogniser`: sound to words, whole or while it arrives."""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from seqjax import data, losses, training
from seqjax.metrics.words import word_errors
from seqjax.models.acoustic import AcousticModel
from seqjax.recurrence import Recurrence
from seqjax.speech.augmentation import Augmentation
from seqjax.speech.batches import Collator
from seqjax.speech.decoder import Decoder
from seqjax.speech.examples import (
    Examples,
    Recordings,
    part_of,
    recordings_of,
    with_texts,
)
from seqjax.speech.front_end import FrontEnd
from seqjax.speech.letters import LetterCodec, LetterModel, Word, words_of
from seqjax.speech.parts import Part, check_room, has_room
from seqjax.speech.serving import Served, Spans, ctc_of, locate, serve, write_down
from seqjax.speech.stream import Stream, StreamState, emit_next, initial_state
from seqjax.tasks import Report, Trained
from seqjax.typing import KeyArray, Params

BUCKETS = 5
"""Lengths that training pads to, at most."""

TAIL = 0.3
"""Seconds of silence after an utterance: read one way, letters are known after they are heard."""


@dataclasses.dataclass(frozen=True, repr=False)
class Recogniser:
    """Speech to text by connectionist temporal classification, letter by letter.

    Attributes:
      front_end: sound to features.
      codec: texts to symbols and back.
      model: scores the symbols at every step.
      augmentation: what training changes in the sound.
      language_model: of letters, for the beam search; None for none.
      beam: prefixes that the search keeps; 1 decodes greedily.
      tail: seconds of silence after each recording.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import speech
      >>> clips = speech.synthetic_words(["no", "yes"], speakers=1, takes=2)
      >>> task = speech.Recogniser.of(clips, recurrence=seqjax.bidirectional(seqjax.GRU(8)))
      >>> params = task.init(jax.random.key(0))
      >>> len(task.predict(params, clips.samples))
      4
    """

    front_end: FrontEnd
    codec: LetterCodec
    model: AcousticModel
    augmentation: Augmentation = Augmentation()
    language_model: LetterModel | None = None
    beam: int = 16
    tail: float = 0.0

    def __repr__(self) -> str:
        layers = ", ".join(map(repr, self.model.layers))
        return f"Recogniser({layers} to {len(self.codec)} symbols, {self.rate:,} samples a second)"

    monitor: ClassVar[tuple[str, ...]] = ("wer", "nats")
    unit: ClassVar[str] = "seconds of sound"
    batch_size: ClassVar[int] = 40

    @classmethod
    def of(
        cls,
        recordings: Recordings,
        texts: Sequence[str] | None = None,
        *,
        recurrence: Recurrence | Sequence[Recurrence],
        rate: int | None = None,
        bands: int = 40,
        augmentation: Augmentation = Augmentation(),  # noqa: B008
        order: int | None = 6,
        beam: int = 16,
        **settings: Any,
    ) -> "Recogniser":
        """Makes the task of training recordings.

        Layers that all read one way give a recogniser that streams: it normalises by a running
        mean, and takes a little silence after each recording.

        Args:
          recordings: file names, arrays of samples between -1 and 1, `Clips`, or a `Part`.
          texts: what is said in each; None where the recordings know it.
          recurrence: reads the features: one, or several with layer norm between them.
          rate: samples a second, needed for arrays; None takes that of the first file.
          bands: mel bands.
          augmentation: what training changes in the sound.
          order: letters of the n-grams that the language model counts in the texts; None for no
            language model.
          beam: prefixes that the search keeps.
          **settings: further ones of `seqjax.models.AcousticModel`, such as `stride`,
            `convolution` and `dropout`.

        Raises:
          ValueError: recordings and texts differ in number, or a recording cannot be read (which).
        """
        part = part_of(with_texts(recordings, texts), rate)
        layers = (recurrence,) if isinstance(recurrence, Recurrence) else tuple(recurrence)
        streaming = all(layer.causal for layer in layers)
        tail = TAIL if streaming else 0.0
        codec = LetterCodec.of(part.clips.texts)
        heard = augmentation.of_part(part, 0).followed_by(tail)
        return cls(
            FrontEnd.of(heard, bands, streaming=streaming),
            codec,
            AcousticModel(len(codec), layers, **{"stride": 2, **settings}),
            augmentation,
            None if order is None else LetterModel.of(part.texts(), order),
            beam,
            tail,
        )

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self.front_end.mel.rate

    @property
    def seconds_per_step(self) -> float:
        """Seconds of a step."""
        return self.model.stride * self.front_end.mel.hop

    @property
    def samples_per_step(self) -> int:
        """Samples of a step."""
        return self.model.stride * self.front_end.mel.hop_size

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        frames = jnp.zeros((1, self.model.stride, self.front_end.mel.bands))
        variables: Any = self.model.init(key, frames)
        return variables["params"]

    def batches(
        self,
        examples: Examples,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.Mapped:
        """Makes batches of utterances of about equal length, rendered as they are asked for.

        A batch holds `samples [rows, samples]`, `frames [rows]` (how many are valid),
        `labels [rows, letters]`, `label_lengths [rows]`, and `indices [rows]` of the utterances, -1
        for an empty row.

        Args:
          examples: recordings and their texts.
          batch_size: seconds of sound, padding included, at most (or the longest utterance).
          seed: of the order, and of what the augmentation draws.
          once: every utterance once and as it is, in order of length.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: an utterance is too short for its text, or a recording cannot be read (which).
        """
        part = part_of(examples, self.rate)
        if not once:
            part = self.augmentation.of_part(part, seed)
        self.check(part)
        mel = self.front_end.mel
        part = part.followed_by(self.tail)
        collate = Collator(part, mel, self.codec)
        seconds = mel.frames(round((batch_size or self.batch_size) * mel.rate))
        order = data.BucketBatches(
            collate.lengths,
            tokens=max(seconds, max(collate.lengths) * multiple_of),
            buckets=BUCKETS,
            seed=seed,
            shuffle=not once,
            epochs=1 if once else None,
            multiple_of=multiple_of,
        )
        return data.mapped(collate, order)

    def check(self, examples: Examples) -> None:
        """Refuses utterances that are too short for their texts, and recordings that cannot be read.

        Raises:
          ValueError: names the recordings of the first one.
        """
        part = part_of(examples, self.rate).followed_by(self.tail)
        check_room(part, self.front_end.mel, self.model.stride)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes CTC, in nats a letter."""
        mask_key, dropout_key = jax.random.split(rng)
        features = self.front_end.features(batch["samples"], batch["frames"])
        features = self.augmentation.of_features(mask_key, features, batch["frames"])
        emitted: Any = self.model.apply(
            {"params": params},
            features,
            lengths=batch["frames"],
            rngs={"dropout": dropout_key},
        )
        letters = batch["label_lengths"].sum()
        nats = losses.ctc(emitted.logits, batch["labels"], emitted.lengths, batch["label_lengths"])
        return nats.sum() / jnp.maximum(letters, 1), training.Aux(weight=letters)

    def evaluate(
        self,
        params: Params,
        examples: Examples,
        *,
        beam: int = 1,
        language_model: bool | LetterModel = True,
    ) -> dict[str, float]:
        """Scores parameters: `nats` a letter, and the errors of a decoder, `wer` and `ser`.

        Args:
          params: of the network.
          examples: recordings and their texts. A text that is too long for its sound, or has a
            letter that no training text had, has no likelihood and counts in the errors alone.
          beam: of the search; 1 decodes greedily, which is fast.
          language_model: see `predict`.
        """
        part = part_of(examples, self.rate).followed_by(self.tail)
        texts, decode = part.texts(), self.decoder(beam, language_model)
        guesses, nats = [""] * len(texts), np.zeros(len(texts))
        for batch, emissions in self.serve(params, part):
            rows = batch["indices"] >= 0
            indices = batch["indices"][rows]
            nats[indices] = ctc_of(batch, emissions)[rows]
            for index, text in zip(indices, decode(emissions), strict=False):
                guesses[index] = text
        room = has_room(part, self.front_end.mel, self.model.stride)
        likely = np.array(room) & np.array([self.codec.writes(text) for text in texts])
        letters = sum(len(text) for text in itertools.compress(texts, likely))
        return {
            "nats": float(nats[likely].sum()) / max(letters, 1),
            **word_errors(texts, guesses),
        }

    def predict(
        self,
        params: Params,
        recordings: Recordings,
        *,
        beam: int | None = None,
        language_model: bool | LetterModel = True,
        rate: int | None = None,
    ) -> list[str]:
        """Writes down what is said.

        Args:
          params: of the network.
          recordings: file names, arrays of samples between -1 and 1, `Clips`, or a `Part`.
          beam: prefixes that the search keeps; 1 decodes greedily, None takes the task's own.
          language_model: True takes the task's own, False none.
          rate: samples a second of arrays; None says that it is the task's.

        Raises:
          ValueError: a recording cannot be read (which, and how to mend it).
        """
        part = recordings_of(recordings, self.rate, rate).followed_by(self.tail)
        decoders = [self.decoder(beam, language_model)]
        return write_down(self.serve(params, part), len(part.utterances), decoders)[0]

    def align(
        self,
        params: Params,
        recordings: Recordings,
        texts: Sequence[str] | None = None,
        *,
        rate: int | None = None,
    ) -> list[list[Word]]:
        """Finds from when to when each word is said, in seconds.

        Args:
          params: of the network.
          recordings: see `predict`.
          texts: what is said in each; None takes what `predict` writes.
          rate: see `predict`.

        Raises:
          ValueError: a recording cannot be read, or its text cannot be said in it (which).
        """
        part = recordings_of(recordings, self.rate, rate).followed_by(self.tail)
        return [words_of(letters) for letters in self.locate(params, part, texts)]

    def stream(self, params: Params) -> Stream:
        """Opens a stream, which takes chunks of sound and gives the text so far.

        Raises:
          ValueError: a layer reads the future.
        """
        if not self.front_end.streams:
            raise ValueError(
                "the recogniser reads both ways and so waits for the end; "
                "make one of causal layers, such as seqjax.LSTM(128)"
            )
        return Stream(self.front_end, self.model, self.codec, params, self.tail)

    def initial_state(self, params: Params) -> StreamState:
        """Returns the state of a stream before its first piece, for `step`."""
        return initial_state(self.front_end, self.model, params)

    def step(
        self, params: Params, state: StreamState, samples: ArrayLike
    ) -> tuple[StreamState, jax.Array]:
        """Reads the next piece of a stream; `stream` does so with chunks of any size.

        Args:
          params: of the network.
          state: from `initial_state` or the piece before.
          samples: a multiple of `samples_per_step`.

        Returns:
          The next state, and log-probabilities `[steps, vocab]`.
        """
        return emit_next(self.front_end, self.model, params, state, jnp.asarray(samples))

    def tuned(
        self,
        params: Params,
        examples: Examples,
        *,
        weights: Sequence[float] = (0.5, 1.0, 2.0),
        bonuses: Sequence[float] = (0.0, 1.0),
    ) -> Trained:
        """Chooses how much the language model counts: by the fewest wrong words on validation examples.

        Args:
          params: of the network.
          examples: recordings and their texts.
          weights: of the model, to choose from.
          bonuses: nats for a letter, to choose from.

        Returns:
          The task with its best setting, and the same parameters.

        Raises:
          ValueError: the task has no language model.
        """
        if self.language_model is None:
            raise ValueError("the recogniser has no language model; make it with order=6")
        part = part_of(examples, self.rate).followed_by(self.tail)
        models = [
            dataclasses.replace(self.language_model, weight=weight, bonus=bonus)
            for weight, bonus in itertools.product(weights, bonuses)
        ]
        decoders = [Decoder(self.codec, self.beam, model) for model in models]
        written = write_down(self.serve(params, part), len(part.utterances), decoders)
        wrong = [word_errors(part.texts(), texts)["wer"] for texts in written]
        best = models[int(np.argmin(wrong))]
        return Trained(dataclasses.replace(self, language_model=best), params)

    def report(
        self,
        params: Params,
        examples: Examples | Mapping[str, Examples],
        folder: str | os.PathLike,
    ) -> Report:
        """Scores every decoder and writes what was heard, see `seqjax.speech.reports.write_report`."""
        from seqjax.speech.reports import write_report

        return write_report(self, params, examples, folder)

    def decoder(
        self, beam: int | None = None, language_model: bool | LetterModel = True
    ) -> Decoder:
        """Makes a decoder, see `predict`."""
        own = self.language_model if language_model is True else None
        model = language_model if isinstance(language_model, LetterModel) else own
        return Decoder(self.codec, self.beam if beam is None else beam, model)

    def locate(self, params: Params, part: Part, texts: Sequence[str] | None = None) -> list[Spans]:
        """Finds from when to when each letter is said, see `align`; the part has its tail of silence."""
        said = self.decoder() if texts is None else texts
        return locate(self.serve(params, part), part, self.codec, said, self.seconds_per_step)

    def serve(self, params: Params, part: Part) -> Iterator[Served]:
        """Computes the log-probabilities of a part, which has its tail of silence, see `serving.serve`."""
        return serve(self.front_end, self.model, self.codec, params, part)
