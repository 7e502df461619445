"""`LanguageModel`: what comes next in a text, after all that came before."""

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import data, figures, losses, models, training
from seqjax.data.stream import Resumable
from seqjax.files.disk import write_atomically
from seqjax.metrics.texts import plot_lines
from seqjax.recurrence import Recurrence
from seqjax.tasks import Report
from seqjax.text.codecs import Characters
from seqjax.text.scoring import CHUNK, SCORES, nats_by_window, nats_carried
from seqjax.text.streams import TextStream
from seqjax.text.window_batches import continued_windows, windows_anywhere
from seqjax.text.writing import pad_chosen, serving_batches, write_on
from seqjax.typing import KeyArray, Params, State

SAMPLES = (0.5, 0.8, 1.2)
"""Temperatures of the samples in a report."""

SAMPLE_LENGTH = 500
"""Tokens of each of them."""


@runtime_checkable
class Codec(Protocol):
    """Running text as token ids and back; a frozen dataclass of settings.

    `seqjax.text.codecs` has `Characters` and `Lines` (words); `seqjax.data.BPE` is one as well.
    """

    def encode(self, text: str) -> np.ndarray:
        """Numbers the tokens of a text, int32 `[tokens]`.

        Raises:
          ValueError: the text has what the codec lacks (which).
        """
        ...

    def decode(self, ids: Any) -> str:
        """Gives the text of ids."""
        ...

    def __len__(self) -> int: ...


@dataclasses.dataclass(frozen=True, repr=False)
class LanguageModel:
    """Running text: the probability of each next token after all that came before.

    Attributes:
      model: scores the next tokens.
      codec: text as tokens.
      window: tokens of a training window.
      carried: train on windows that continue each other, each from the state that the one before
        ended in (truncated backpropagation through time). Else windows come from any place, each
        read from the initial state.
      varied: continued windows are cut at other places in every epoch, see `seqjax.data.segments`.
      activation_penalty: weight of the mean square of the recurrence's outputs (AR).
      change_penalty: weight of the mean square of their change from step to step (TAR).

    Example:
      >>> import jax, seqjax
      >>> from seqjax import text
      >>> task = text.LanguageModel.of("to be or not to be", seqjax.LSTM(8), window=4)
      >>> params = task.init(jax.random.key(0))
      >>> [len(written) for written in task.predict(params, ["to", "not t"], max_length=6)]
      [6, 6]
    """

    model: models.LanguageModel
    codec: Any
    window: int = 100
    carried: bool = False
    varied: bool = False
    activation_penalty: float = 0.0
    change_penalty: float = 0.0

    monitor: ClassVar[tuple[str, ...]] = ("nats",)
    unit: ClassVar[str] = "windows"
    batch_size: ClassVar[int] = 64

    def __post_init__(self):
        if self.window < 1:
            raise ValueError(f"window is {self.window}; give at least 1 token")
        if self.varied and not self.carried:
            raise ValueError("varied windows continue each other; give carried=True")

    def __repr__(self) -> str:
        return f"LanguageModel({self.model.recurrence!r} over {len(self.codec):,} tokens)"

    @classmethod
    def of(
        cls,
        text: str,
        recurrence: Recurrence,
        *,
        codec: Codec | None = None,
        embedding_size: int = 128,
        window: int = 100,
        carried: bool = False,
        varied: bool = False,
        activation_penalty: float = 0.0,
        change_penalty: float = 0.0,
        **settings: Any,
    ) -> "LanguageModel":
        """Makes the task of a text.

        Args:
          text: what to learn, and every character that will come later.
          recurrence: reads it; a causal one.
          codec: text as tokens, such as `codecs.Lines.of(text)` for words or
            `data.BPE.train([text], 5000, specials=())` for subwords; None for the characters of the
            text.
          embedding_size: features of a token.
          window: see the class.
          carried: see the class.
          varied: see the class.
          activation_penalty: see the class.
          change_penalty: see the class.
          **settings: further ones of `seqjax.models.LanguageModel`, such as `dropout` and `tied`.

        Raises:
          ValueError: the text is empty, or the recurrence is not causal.
        """
        if not text:
            raise ValueError("the text is empty; give a text to learn")
        if not recurrence.causal:
            raise ValueError(f"{recurrence} reads the future; give a causal recurrence")
        known = Characters.of(text) if codec is None else codec
        model = models.LanguageModel(len(known), embedding_size, recurrence, **settings)
        return cls(model, known, window, carried, varied, activation_penalty, change_penalty)

    @property
    def opening(self) -> str:
        """What stands for nothing before: a new line, or the first token of a codec without one."""
        try:
            self.codec.encode("\n")
        except ValueError:
            return self.codec.decode([0])
        return "\n"

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        return self.model.init(key, jnp.zeros((1, 1), int))["params"]

    def initial_carry(self, params: Params, rows: int) -> State | None:
        """Gives the state before the first batch, where windows continue each other."""
        return self.model.start(params, (rows,)) if self.carried else None

    def batches(
        self,
        examples: str,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> Resumable:
        """Makes batches of windows: `inputs`, and `targets` one token later, both `[rows, window]`.

        Windows that continue each other have `reset [rows, window]` as well, True where the text
        begins. An epoch reads as many tokens as the text has.

        Args:
          examples: the text.
          batch_size: windows of a batch.
          seed: of the order.
          once: go through the text a single time, in order; what does not fill a window is left out.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: the text is too short or has what the codec lacks, or the rows do not come out
            even.
        """
        rows = data.rows_of_batch(batch_size or self.batch_size, multiple_of)
        ids = self.codec.encode(examples)
        if self.varied and not once:
            return data.segments(ids, rows, self.window, seed=seed)
        if self.carried:
            return continued_windows(ids, rows, self.window, once)
        return windows_anywhere(ids, rows, self.window, seed, once)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any, carry: State | None = None
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean cross-entropy of the next tokens, in nats, and adds the penalties."""
        found: Any = self.model.apply(
            {"params": params},
            batch["inputs"],
            carry,
            reset=batch.get("reset"),
            rngs={"dropout": rng},
            method="read",
        )
        carry, ys, logits = found
        penalty = self._penalty(ys)
        targets = batch["targets"]
        if "weight" not in batch:
            nats = losses.cross_entropy(logits, targets)
            return nats + penalty, training.Aux(weight=targets.size, extra=carry)
        # A batch of one pass may have rows that only fill it up.
        counted = jnp.broadcast_to(batch["weight"][:, None], targets.shape)
        nats = losses.cross_entropy(logits, targets, counted)
        return nats + penalty, training.Aux(weight=counted.sum(), extra=carry)

    def _penalty(self, ys: jax.Array) -> jax.Array | float:
        """What large and changing outputs cost."""
        cost = 0.0
        if self.activation_penalty:
            cost += self.activation_penalty * losses.activation_penalty(ys)
        if self.change_penalty:
            cost += self.change_penalty * losses.change_penalty(ys)
        return cost

    def evaluate(self, params: Params, examples: str) -> dict[str, float]:
        """Scores parameters on a text.

        Returns:
          `nats` a token, the state carried through the text; `perplexity`, e to their power;
          `bits_per_character`, the same information by the length of the text; and `window_nats` a
          token where each window is read from the initial state.

        Raises:
          ValueError: the text has less than two tokens, or what the codec lacks.
        """
        return self._metrics(examples, *self._nats_of_text(params, examples))

    def predict(
        self,
        params: Params,
        prompts: Sequence[str],
        *,
        max_length: int = 200,
        temperature: int | float = 1.0,
        top_k: int | None = None,
        top_p: int | float | None = None,
        stop_token: str | None = None,
        seed: int = 0,
    ) -> list[str]:
        """Continues prompts.

        Args:
          params: from `init` or from training.
          prompts: texts of at least one token each.
          max_length: tokens to write.
          temperature: divides the logits; 0 takes the likeliest token always.
          top_k: draw from the k likeliest tokens.
          top_p: draw from the likeliest tokens that hold this much probability.
          stop_token: a continuation ends before this token, such as a new line; None for none.
          seed: of the draws; those of a prompt depend on it and on the prompt's place alone.

        Returns:
          What comes after each prompt.

        Raises:
          ValueError: a prompt is empty or has what the codec lacks, or an option is out of its
            range.
        """
        ids = self._encoded(prompts, "prompt")
        stop = None if stop_token is None else self._token(stop_token)
        written = write_on(
            self.model,
            params,
            ids,
            jax.random.key(seed),
            max_length,
            stop_token=stop,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
        )
        return [self._continuation(*pair) for pair in zip(ids, written, strict=True)]

    def score(
        self, params: Params, texts: Sequence[str], *, context: str | None = None
    ) -> np.ndarray:
        """Computes the nats of each text, those of its tokens added up; the least is the likeliest.

        Args:
          params: from `init` or from training.
          texts: of at least one token each.
          context: what they come after; None for `opening`.

        Returns:
          float64 `[texts]`.

        Raises:
          ValueError: a text is empty or has what the codec lacks.
        """
        before = self._encoded([self.opening if context is None else context], "context")[0]
        ids = [np.concatenate([before, own]) for own in self._encoded(texts, "text")]
        nats = np.zeros(len(ids))
        for chosen in serving_batches(ids, max(1, SCORES // len(self.codec))):
            rows, lengths, _ = pad_chosen(ids, chosen)
            chunk = min(CHUNK, chosen.time - 1)
            found = nats_carried(self.model, params, rows[:, :-1], rows[:, 1:], chunk)
            for row, place in enumerate(chosen.indices):
                nats[place] = found[row, len(before) - 1 : lengths[row] - 1].sum()
        return nats

    def stream(self, params: Params, *, context: str | None = None) -> TextStream:
        """Opens a stream that reads a text piece by piece and tells what may come next.

        Args:
          params: from `init` or from training.
          context: what comes before; None for `opening`.
        """
        before = self.opening if context is None else context
        return TextStream(self.model, self.codec, params, before)

    def report(self, params: Params, examples: str, folder: str | os.PathLike) -> Report:
        """Scores on a text; writes `samples.txt` and `context.png`, the loss by place in a window."""
        carried, by_window = self._nats_of_text(params, examples)
        metrics = self._metrics(examples, carried, by_window)
        write_atomically(Path(folder) / "samples.txt", self._samples(params).encode())
        if len(by_window) >= self.window:
            self._draw_context(by_window, metrics["nats"], Path(folder) / "context.png")
        return Report(metrics, {"characters": len(examples), "tokens": len(carried)})

    def _draw_context(self, nats: np.ndarray, carried: float, path: Path) -> None:
        """Draws the mean nats at each place of the windows, and of a text read through."""
        whole = len(nats) // self.window * self.window
        by_place = nats[:whole].reshape(-1, self.window).mean(0)
        lines = {
            "each window from nothing": (list(range(1, self.window + 1)), by_place.tolist()),
            "state carried": ([1, self.window], [carried, carried]),
        }
        figures.save_figure(plot_lines({"nats a token": lines}, "token of the window"), path)

    def _samples(self, params: Params) -> str:
        """Texts written from nothing, at several temperatures."""
        samples = []
        for temperature in SAMPLES:
            (text,) = self.predict(
                params, [self.opening], max_length=SAMPLE_LENGTH, temperature=temperature
            )
            samples.append(f"--- temperature {temperature} ---\n{text}\n")
        return "\n".join(samples)

    def _metrics(self, text: str, carried: np.ndarray, by_window: np.ndarray) -> dict[str, float]:
        """The means of nats `[tokens]`; the first token of the text is given, not predicted."""
        nats = float(carried.mean())
        given = self.codec.decode(self.codec.encode(text[:200])[:1])
        characters = max(1, len(text) - len(given))
        return {
            "nats": nats,
            "bits_per_character": float(carried.sum()) / math.log(2) / characters,
            "perplexity": math.exp(min(nats, 700.0)),
            "window_nats": float(by_window.mean()),
        }

    def _nats_of_text(self, params: Params, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The nats of each token after the first, `[tokens]`: the state carried through, and by window."""
        ids = self.codec.encode(text)
        if len(ids) < 2:
            raise ValueError(f"the text has {len(ids)} tokens; give at least 2")
        inputs, targets = ids[:-1], ids[1:]
        carried = nats_carried(self.model, params, inputs[None], targets[None])[0]
        return carried, nats_by_window(self.model, params, inputs, targets, self.window)

    def _encoded(self, texts: Sequence[str], what: str) -> list[np.ndarray]:
        """The ids of each text, at least one."""
        if isinstance(texts, str):
            raise ValueError(f"{what}s are one text, {texts[:40]!r}; give a list of texts")
        found = []
        for place, text in enumerate(texts):
            try:
                ids = self.codec.encode(text)
            except ValueError as error:
                raise ValueError(f"{what} {place}: {error}") from None
            if not len(ids):
                raise ValueError(f"{what} {place} is empty; give at least one token")
            found.append(ids)
        return found

    def _token(self, text: str) -> int:
        """The id of a text that is one token."""
        (ids,) = self._encoded([text], "stop_token")
        if len(ids) != 1:
            raise ValueError(f"stop_token {text!r} is {len(ids)} tokens; give a text of one")
        return int(ids[0])

    def _continuation(self, prompt: np.ndarray, new: np.ndarray) -> str:
        """The text of new tokens as it stands after the prompt's, with the blank that may part them."""
        before, whole = self.codec.decode(prompt), self.codec.decode(np.append(prompt, new))
        return whole[len(before) :] if whole.startswith(before) else self.codec.decode(new)
