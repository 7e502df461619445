"""`Composer`: the probability of each frame of music after all frames before it."""

import dataclasses
import functools
import math
import os
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import data, losses, metrics, training
from seqjax.files import KEYS
from seqjax.files.disk import write_atomically
from seqjax.models import NoteModel
from seqjax.music import pictures
from seqjax.music.batches import piece_batches, with_silence
from seqjax.music.notes import Rolls, as_rolls, notes_of, polyphony, roll_of, transpose
from seqjax.music.scoring import Scored, metrics_of, table_of
from seqjax.music.sound import write_piece
from seqjax.music.stream import MusicStream
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.typing import KeyArray, Params, State

CHUNK, STEPS = 1024, 2**13
"""Frames that are scored at a time: of a piece, and of a batch."""

EXCERPT, WRITTEN = 100, 100
"""Frames of a report's pictures and of its piece."""


@dataclasses.dataclass(frozen=True, repr=False)
class Composer:
    """Polyphonic music: which keys sound in each frame, after all frames before it.

    `nats` of a frame is minus the log probability of all its keys together. The mean is over the
    frames of all pieces but the first of each, as in the published figures since Bai et al. (2018);
    the model predicts the first one, too, from nothing.

    Attributes:
      model: gives the probabilities.
      most: keys that sound at once, at most, in what it composes.
      beats: quarter notes of a frame, for what it writes.
      shift: semitones that training moves a piece up or down at random, at most.
      window: frames of a training piece; longer ones are cut.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import music
      >>> pieces = [np.eye(88)[[39, 43, 46]], np.eye(88)[[39, 41]]]
      >>> task = music.Composer.of(pieces, recurrence=seqjax.GRU(8))
      >>> (continued,) = task.predict(task.init(jax.random.key(0)), pieces[:1], length=5)
      >>> continued.shape
      (5, 88)
    """

    model: NoteModel
    most: int
    beats: float = 1.0
    shift: int = 0
    window: int = 200

    monitor: ClassVar[tuple[str, ...]] = ("nats",)
    unit: ClassVar[str] = "pieces"
    batch_size: ClassVar[int] = 16

    def __post_init__(self):
        if self.window < 1 or self.most < 1 or self.shift < 0:
            raise ValueError(
                f"window={self.window}, most={self.most}, shift={self.shift}; "
                "give at least 1 frame, 1 key and 0 semitones"
            )

    def __repr__(self) -> str:
        head = "each key alone"
        if self.model.nade_size is not None:
            head = f"NADE of {self.model.nade_size} units"
        return f"Composer({self.model.recurrence!r}, {head}, at most {self.most} keys at once)"

    @classmethod
    def of(
        cls,
        pieces: Rolls,
        recurrence: Recurrence,
        *,
        nade_size: int | None = 128,
        beats: int | float = 1.0,
        shift: int = 0,
        window: int = 200,
        **settings: Any,
    ) -> "Composer":
        """Makes the task of training pieces.

        Args:
          pieces: piano rolls, `[frames, 88]` each, not 0 where a key sounds.
          recurrence: reads them; a causal one.
          nade_size: hidden units by which a key depends on those below it; None predicts each key
            of a frame alone.
          beats: see the class.
          shift: see the class.
          window: see the class.
          **settings: further ones of `seqjax.models.NoteModel`, such as `dropout`.

        Raises:
          ValueError: there is no frame, a piece is no piano roll, or the recurrence is not causal.
        """
        rolls = as_rolls(pieces)
        if not any(map(len, rolls)):
            raise ValueError("the pieces have no frame; give music")
        if not recurrence.causal:
            raise ValueError(f"{recurrence} reads the future; give a causal recurrence")
        model = NoteModel(recurrence, KEYS, nade_size, **settings)
        return cls(model, polyphony(rolls), float(beats), shift, window)

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        silence = jnp.full((1, 1, 1), KEYS)
        # Compiled as one program: the network is small, and each of its operations else one more.
        return jax.jit(self.model.init)(key, silence, silence)["params"]

    def batches(
        self,
        examples: Rolls,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.Mapped:
        """Makes batches of pieces of about one length: `notes`, `lengths` and `weight`.

        `notes [rows, time + 1, most]` begin with the frame before the first one: silence, or where
        a longer piece was cut the last frame of the part before.

        Args:
          examples: piano rolls.
          batch_size: pieces of a batch.
          seed: of the order.
          once: go through the examples a single time, in order of length.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: a piece is no piano roll, there is no frame, or the rows do not come out even.
        """
        rows = data.rows_of_batch(batch_size or self.batch_size, multiple_of)
        return piece_batches(as_rolls(examples), rows, self.window, seed, once)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean nats of a frame, of pieces transposed at random."""
        of_shift, of_dropout = jax.random.split(rng)
        notes = batch["notes"]
        if self.shift:
            notes = transpose(of_shift, notes, self.shift)
        found: Any = self.model.apply(
            {"params": params},
            notes[:, :-1],
            notes[:, 1:],
            lengths=batch["lengths"],
            rngs={"dropout": of_dropout},
        )
        mask = losses.length_mask(batch["lengths"], notes.shape[1] - 1)
        return losses.masked_mean(-found[1], mask), training.Aux(weight=mask.sum())

    def evaluate(self, params: Params, examples: Rolls) -> dict[str, float]:
        """Scores parameters on pieces.

        Returns:
          `nats` of a frame, the first of each piece left out; `nats_with_first`, of all frames;
          `accuracy`: of the keys that sound or are expected to in the likeliest frame, the share
          that do both (Bay et al., 2009), again without the first frames.

        Raises:
          ValueError: no piece has two frames, or one is no piano roll.
        """
        rolls = as_rolls(examples)
        return metrics_of(rolls, self.score(params, rolls))

    def score(self, params: Params, examples: Rolls) -> list[Scored]:
        """Tells of each frame of each piece how unlikely it was, and what was expected."""
        rolls = as_rolls(examples)
        found: list[Any] = [Scored(np.zeros(0, np.float32), roll[:0]) for roll in rolls]
        places = [place for place, roll in enumerate(rolls) if len(roll)]
        if not places:
            return found
        lengths = [len(rolls[place]) for place in places]
        most = max(polyphony(rolls), self.most)
        for chosen in data.serving_batches(lengths, STEPS):
            members = [places[index] for index in chosen.indices]
            parts = [with_silence(notes_of(rolls[place], most)) for place in members]
            notes, steps, _ = data.pad_batch(parts, chosen.time + 1, chosen.rows, KEYS)
            nats, predicted = self._score_batch(params, notes, np.maximum(steps - 1, 0))
            for row, place in enumerate(members):
                count = len(rolls[place])
                found[place] = Scored(nats[row, :count], roll_of(predicted[row, :count]))
        return found

    def predict(
        self,
        params: Params,
        inputs: Rolls,
        *,
        length: int = 64,
        temperature: int | float = 1.0,
        seed: int = 0,
    ) -> list[np.ndarray]:
        """Continues pieces.

        Args:
          params: from `init` or from training.
          inputs: piano rolls; one without a frame begins a piece.
          length: frames to write.
          temperature: below 1 keeps to what is likely; 0 takes the likeliest note always.
          seed: of the draws; those of a piece depend on it and on the piece's place alone.

        Returns:
          What comes after each, uint8 `[length, 88]`.

        Raises:
          ValueError: a piece is no piano roll, or a number is out of its range.
        """
        if length < 1 or not 0 <= temperature < math.inf:
            raise ValueError(
                f"length={length}, temperature={temperature}; give at least 1 frame, and at least 0"
            )
        rolls = as_rolls(inputs)
        written = [np.zeros((0, KEYS), np.uint8)] * len(rolls)
        if not rolls:
            return written
        most = max(polyphony(rolls), self.most)
        parts = [with_silence(notes_of(roll, most)) for roll in rolls]
        for chosen in data.serving_batches([len(part) for part in parts], STEPS):
            members = [parts[index] for index in chosen.indices]
            notes, lengths, _ = data.pad_batch(members, chosen.time, chosen.rows, KEYS)
            indices = np.zeros(chosen.rows, np.int64)
            indices[: len(chosen.indices)] = chosen.indices
            keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), indices)
            # Rows that fill the batch up are written as well, and thrown away.
            lengths = np.maximum(lengths, 1)
            drawn = np.asarray(self._write(params, notes, lengths, keys, length, temperature))
            for row, index in enumerate(chosen.indices):
                written[index] = roll_of(drawn[row])
        return written

    def compose(
        self,
        params: Params,
        length: int = 64,
        *,
        opening: np.ndarray | None = None,
        temperature: int | float = 1.0,
        seed: int = 0,
    ) -> np.ndarray:
        """Composes a piece, uint8 `[frames, 88]`; with an opening that comes first, then `length` frames."""
        begun = np.zeros((0, KEYS), np.uint8) if opening is None else opening
        (written,) = self.predict(
            params, [begun], length=length, temperature=temperature, seed=seed
        )
        return np.concatenate([*as_rolls([begun]), written])

    def stream(self, params: Params) -> MusicStream:
        """Opens a stream that hears a piece frame by frame and proposes what may come next."""
        return MusicStream(self.model, params, self.most)

    def report(self, params: Params, examples: Rolls, folder: str | os.PathLike) -> Report:
        """Scores on pieces; writes a table, pictures, and a composed piece to hear.

        Args:
          params: of the model.
          examples: piano rolls.
          folder: gets `pieces.tsv`; `prediction.png`, the beginning of the first piece and what was
            expected; and a composed piece as `composed.png`, `.mid` and `.wav`.
        """
        folder = Path(folder)
        rolls = as_rolls(examples)
        scored = self.score(params, rolls)
        write_atomically(folder / "pieces.tsv", metrics.as_tsv(table_of(scored)).encode())
        first = scored[0]
        pictures.draw_prediction(
            folder / "prediction.png",
            rolls[0][:EXCERPT],
            first.predicted[:EXCERPT],
            first.nats[:EXCERPT],
        )
        piece = self.compose(params, WRITTEN)
        shown = {"given": rolls[0][:EXCERPT], "composed": piece}
        pictures.draw_rolls(folder / "composed.png", shown)
        for ending in (".mid", ".wav"):
            write_piece(folder / f"composed{ending}", piece, self.beats)
        counts = {"pieces": len(rolls), "frames": sum(map(len, rolls))}
        return Report(metrics_of(rolls, scored), counts)

    def _score_batch(
        self, params: Params, notes: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nats of each frame, `[rows, time]`, and the likeliest frames, chunk by chunk."""
        state, nats, predicted = None, [], []
        for start in range(0, notes.shape[1] - 1, CHUNK):
            part = notes[:, start : start + CHUNK + 1]
            left = np.clip(lengths - start, 0, part.shape[1] - 1)
            state, *found = self._score_chunk(params, state, part, left)
            nats.append(np.asarray(found[0]))
            predicted.append(np.asarray(found[1]))
        return np.concatenate(nats, 1), np.concatenate(predicted, 1)

    @functools.partial(jax.jit, static_argnums=0)
    def _score_chunk(
        self, params: Params, state: State | None, notes: jax.Array, lengths: jax.Array
    ) -> tuple[State, jax.Array, jax.Array]:
        def score(model: NoteModel) -> Any:
            after, ys = model.read(notes[:, :-1], state, lengths=lengths)
            # Nothing is drawn where the temperature is 0.
            likeliest = model.draw(ys, jax.random.key(0), self.most, 0.0)
            return after, -model.log_prob(ys, notes[:, 1:]), likeliest

        found: Any = self.model.apply({"params": params}, method=score)
        return found

    @functools.partial(jax.jit, static_argnums=(0, 5))
    def _write(
        self,
        params: Params,
        notes: jax.Array,
        lengths: jax.Array,
        keys: jax.Array,
        length: int,
        temperature: Any,
    ) -> jax.Array:
        """Reads pieces `[rows, time, most]` and writes on, `[rows, length, most]`."""

        def write(model: NoteModel) -> jax.Array:
            state, ys = model.read(notes, lengths=lengths)
            last = jnp.take_along_axis(ys, (lengths - 1)[:, None, None], axis=1)[:, 0]

            def step(carry: tuple[State, jax.Array], time: jax.Array) -> Any:
                state, y = carry
                of_step = jax.vmap(jax.random.fold_in, (0, None))(keys, time)
                draw = functools.partial(model.draw, most=self.most, temperature=temperature)
                frame = jax.vmap(draw)(y, of_step)
                return model.step(state, frame), frame

            _, frames = jax.lax.scan(step, (state, last), jnp.arange(length))
            return jnp.moveaxis(frames, 0, 1)

        found: Any = self.model.apply({"params": params}, method=write)
        return found
