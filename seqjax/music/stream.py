"""A composer that hears music frame by frame, and plays along."""

import functools
from typing import Any

import jax
import numpy as np

from seqjax.files import KEYS
from seqjax.models import NoteModel
from seqjax.music.notes import as_rolls, notes_of, roll_of
from seqjax.typing import KeyArray, Params, State


class MusicStream:
    """Hears a piece frame by frame, and says before each what may come.

    Attributes:
      state: after all that was heard; put an earlier one back to go on from there.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import music
      >>> pieces = [np.eye(88)[[39, 43, 46]]]
      >>> task = music.Composer.of(pieces, seqjax.GRU(8))
      >>> stream = task.stream(task.init(jax.random.key(0)))
      >>> [stream.step(frame) > 0 for frame in pieces[0]], stream.propose().shape
      ([True, True, True], (88,))
    """

    def __init__(self, model: NoteModel, params: Params, most: int):
        """Opens the stream before the first frame.

        Args:
          model: gives the probabilities.
          params: of the model.
          most: keys of a frame that is proposed, at most.
        """
        self._model, self._params, self._most = model, params, most
        start: State = model.apply({"params": params}, (), method="initial_state")
        self.state = _hear(model, params, start, np.full(KEYS, KEYS))

    def step(self, frame: Any) -> float:
        """Hears the next frame.

        Args:
          frame: `[88]`, not 0 where a key sounds.

        Returns:
          Nats: how unlikely it was after all that came before.

        Raises:
          ValueError: it is no frame.
        """
        (roll,) = as_rolls([np.asarray(frame)[None]])
        notes = notes_of(roll, KEYS)[0]
        nats = _weigh(self._model, self._params, self.state, notes)
        self.state = _hear(self._model, self._params, self.state[0], notes)
        return float(nats)

    def propose(self, temperature: int | float = 1.0, seed: int = 0) -> np.ndarray:
        """Draws what may come next, uint8 `[88]`; nothing is heard of it.

        Args:
          temperature: below 1 keeps to what is likely; 0 takes the likeliest note always.
          seed: of the draw.
        """
        key = jax.random.key(seed)
        notes = _propose(self._model, self._params, self.state, key, self._most, temperature)
        return roll_of(np.asarray(notes)[None])[0]


@functools.partial(jax.jit, static_argnums=0)
def _hear(model: NoteModel, params: Params, state: State, notes: Any) -> tuple[State, Any]:
    """Reads a frame; returns the state and what is known after it."""
    found: Any = model.apply({"params": params}, state, notes, method="step")
    return found


@functools.partial(jax.jit, static_argnums=0)
def _weigh(model: NoteModel, params: Params, state: tuple[State, Any], notes: Any) -> jax.Array:
    found: Any = model.apply({"params": params}, state[1], notes, method="log_prob")
    return -found


@functools.partial(jax.jit, static_argnums=(0, 4))
def _propose(
    model: NoteModel,
    params: Params,
    state: tuple[State, Any],
    key: KeyArray,
    most: int,
    temperature: Any,
) -> jax.Array:
    found: Any = model.apply({"params": params}, state[1], key, most, temperature, method="draw")
    return found
