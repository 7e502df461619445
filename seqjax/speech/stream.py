"""`Stream`: letters while the sound arrives."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.models.acoustic import AcousticModel, AcousticState
from seqjax.speech.front_end import FrontEnd, FrontEndState
from seqjax.speech.letters import LetterCodec
from seqjax.typing import Params

LARGEST = 64
"""Steps that are read at once, at most; a larger chunk is read in several pieces."""


class StreamState(NamedTuple):
    """What a recogniser remembers between two pieces of sound.

    Attributes:
      front_end: samples and the mean.
      model: what the network remembers.
    """

    front_end: FrontEndState
    model: AcousticState


@functools.partial(jax.jit, static_argnums=(0, 1))
def emit_next(
    front_end: FrontEnd,
    model: AcousticModel,
    params: Params,
    state: StreamState,
    samples: Float[Array, " samples"],
) -> tuple[StreamState, Float[Array, "steps vocab"]]:
    """Computes the log-probabilities of the next piece, as those of the whole.

    Args:
      front_end: makes the features.
      model: scores the symbols; causal.
      params: the model's.
      state: from `initial_state` or the piece before.
      samples: a multiple of those of a step.

    Returns:
      The next state, and `[steps, vocab]`.
    """
    heard, features = front_end.step(state.front_end, samples)
    found: Any = model.apply({"params": params}, state.model, features, method="step")
    remembered, logits = found
    return StreamState(heard, remembered), jax.nn.log_softmax(logits)


def initial_state(front_end: FrontEnd, model: AcousticModel, params: Params) -> StreamState:
    """Returns the state before the first piece: silence."""
    state: Any = model.apply({"params": params}, (), front_end.mel.bands, method="initial_state")
    return StreamState(front_end.initial_state(), state)


class Heard(NamedTuple):
    """A letter that a stream has heard.

    Attributes:
      letter: it.
      seconds: of sound until the step that it was heard in has ended.
    """

    letter: str
    seconds: float


class Stream:
    """Takes sound in chunks of any size and gives the text so far.

    The letters are those of greedy decoding. Samples that fill no step wait for the next chunk.

    Args:
      front_end: makes the features.
      model: scores the symbols; of causal layers.
      codec: spells the symbols.
      params: the model's.
      tail: seconds of silence that `finish` adds.

    Attributes:
      letters: what was heard so far, in order, see `Heard`.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        model: AcousticModel,
        codec: LetterCodec,
        params: Params,
        tail: float,
    ):
        self.letters: list[Heard] = []
        self._next = functools.partial(emit_next, front_end, model, params)
        self._state = initial_state(front_end, model, params)
        self._symbols = codec.vocabulary.tokens
        self._step_size = model.stride * front_end.mel.hop_size
        self._seconds = model.stride * front_end.mel.hop
        self._tail = round(tail * front_end.mel.rate)
        self._rest = np.zeros(0, np.float32)
        self._steps, self._last = 0, 0

    @property
    def text(self) -> str:
        """The words so far."""
        return " ".join("".join(heard.letter for heard in self.letters).split())

    def step(self, samples: ArrayLike) -> str:
        """Reads the next chunk.

        Args:
          samples: `[samples]` at the recogniser's rate, any number of them.

        Returns:
          The text so far.
        """
        chunk = np.asarray(samples, np.float32)
        if chunk.ndim != 1:
            raise ValueError(f"the chunk has shape {chunk.shape}; give mono sound, [samples]")
        waiting = np.concatenate([self._rest, chunk])
        size = self._step_size
        place = 0
        for steps in _pieces(len(waiting) // size):
            self._read(waiting[place : place + steps * size])
            place += steps * size
        self._rest = waiting[place:]
        return self.text

    def finish(self) -> str:
        """Reads a little silence, which a model that reads one way needs to write its last letters.

        Returns:
          The whole text.
        """
        fill = -(len(self._rest) + self._tail) % self._step_size
        return self.step(np.zeros(self._tail + fill))

    def _read(self, samples: np.ndarray) -> None:
        """Writes the letters of one piece: each run of a symbol once, blanks not at all."""
        self._state, scores = self._next(self._state, samples)
        for symbol in np.asarray(scores).argmax(-1).tolist():
            self._steps += 1
            if symbol not in (0, self._last):
                self.letters.append(Heard(self._symbols[symbol], self._steps * self._seconds))
            self._last = symbol


def _pieces(steps: int) -> list[int]:
    """Cuts a number of steps into powers of two, so that few shapes compile.

    Example:
      >>> _pieces(70), _pieces(5), _pieces(0)
      ([64, 4, 2], [4, 1], [])
    """
    pieces = [LARGEST] * (steps // LARGEST)
    size = LARGEST
    while size > 1:
        size //= 2
        if steps & size:
            pieces.append(size)
    return pieces
