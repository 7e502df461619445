"""`TextStream`: a text read piece by piece, and what may come next."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from seqjax.models import LanguageModel
from seqjax.typing import Params, State

PIECES = (1, 16, 256)
"""Tokens that are read at once: so many shapes are compiled."""


class StreamState(NamedTuple):
    """What a stream remembers.

    Attributes:
      recurrent: the recurrence's state after all that was read.
      log_probabilities: of the next token, `[vocab]`.
    """

    recurrent: State
    log_probabilities: Float[Array, " vocab"]


class TextStream:
    """Reads a text piece by piece; pieces may be cut anywhere that the codec's tokens end.

    Attributes:
      state: after all that was read; put an earlier one back to go on from there.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import text
      >>> task = text.LanguageModel.of("to be or not to be", seqjax.LSTM(8))
      >>> stream = task.stream(task.init(jax.random.key(0)))
      >>> stream.read("to b").shape
      (4,)
      >>> len(stream.likeliest(3))
      3
    """

    def __init__(self, model: LanguageModel, codec: Any, params: Params, context: str):
        """Opens the stream after a context, of which at least one token is read."""
        self._model, self._codec, self._params = model, codec, params
        even = jnp.full(len(codec), -np.log(len(codec)), jnp.float32)
        self.state = StreamState(model.start(params, (1,)), even)
        if not len(self.read(context)):
            raise ValueError("context is empty; give at least one token")

    def read(self, text: str) -> np.ndarray:
        """Reads on.

        Args:
          text: the next piece.

        Returns:
          The log-probability of each of its tokens after all before it, float32 `[tokens]`.

        Raises:
          ValueError: the text has what the codec lacks; nothing is read then.
        """
        ids, told = self._codec.encode(text), [np.zeros(0, np.float32)]
        while len(ids):
            size = next((size for size in PIECES if len(ids) <= size), PIECES[-1])
            piece, ids = ids[:size], ids[size:]
            tokens = np.pad(piece, (0, size - len(piece)))
            self.state, found = _read(self._model, self._params, self.state, tokens, len(piece))
            told.append(np.asarray(found)[: len(piece)])
        return np.concatenate(told)

    @property
    def log_probabilities(self) -> np.ndarray:
        """Log-probability of each token that may come next, float32 `[vocab]`."""
        return np.asarray(self.state.log_probabilities)

    def likeliest(self, count: int = 5) -> list[tuple[str, float]]:
        """Gives the tokens that most likely come next, as text, with their probabilities."""
        scores = self.log_probabilities
        best = np.argsort(-scores, kind="stable")[:count]
        return [(self._codec.decode([token]), float(np.exp(scores[token]))) for token in best]


@functools.partial(jax.jit, static_argnums=0)
def _read(
    model: LanguageModel, params: Params, state: StreamState, tokens: Any, length: Any
) -> tuple[StreamState, jax.Array]:
    """Reads the first `length` of the tokens `[time]`; also gives the log-probability of each."""
    found: Any = model.apply(
        {"params": params}, tokens[None], state.recurrent, lengths=length[None]
    )
    recurrent, logits = found
    # [time, vocab]: what comes after each token.
    after = jax.nn.log_softmax(logits[0].astype(jnp.float32))
    before = jnp.concatenate([state.log_probabilities[None], after[:-1]])
    told = jnp.take_along_axis(before, tokens[:, None], 1)[:, 0]
    return StreamState(recurrent, after[length - 1]), told
