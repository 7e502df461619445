"""From sound to the probabilities of letters, whole or while it arrives."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.decoding import ctc
from seqjax.models.acoustic import AcousticModel, AcousticState, Emissions
from seqjax.speech.front_end import Ear, Overheard
from seqjax.typing import KeyArray, Params


class Listening(NamedTuple):
    """What a `Listener` remembers between two pieces of sound."""

    ear: Overheard
    model: AcousticState


@dataclasses.dataclass(frozen=True, eq=False)
class Listener:
    """An ear and the acoustic model behind it.

    Attributes:
      ear: front end and symbols, the blank first.
      model: scores the symbols.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import data, speech
      >>> from seqjax.models import AcousticModel
      >>> ear = speech.Ear(speech.LogMel(8000), data.Vocabulary.characters("no yes", (speech.BLANK,)))
      >>> layers = (seqjax.bidirectional(seqjax.LSTM(8)),)
      >>> listener = speech.Listener(ear, AcousticModel(len(ear.letters), layers, stride=2))
      >>> params = listener.init(jax.random.key(0))
      >>> listener.scores(params, jax.numpy.zeros(4000)).shape  # steps of 20 ms, symbols
      (25, 7)
    """

    ear: Ear
    model: AcousticModel

    @property
    def step(self) -> float:
        """Seconds of a step."""
        return self.model.stride * self.ear.mel.hop

    @property
    def step_size(self) -> int:
        """Samples of a step."""
        return self.model.stride * self.ear.mel.hop_size

    def init(self, key: KeyArray) -> Params:
        """Fresh parameters."""
        variables: Any = self.model.init(key, jnp.zeros((1, self.model.stride, self.ear.mel.bands)))
        return variables["params"]

    @functools.partial(jax.jit, static_argnums=0)
    def __call__(self, params: Params, samples: ArrayLike, frames: ArrayLike) -> Emissions:
        """Log-probabilities under `samples [batch, samples]`, of which `frames [batch]` frames are valid."""
        emitted: Any = self.model.apply(
            {"params": params}, self.ear.features(samples, frames), lengths=frames
        )
        return Emissions(jax.nn.log_softmax(emitted.logits), emitted.lengths)

    def scores(self, params: Params, samples: ArrayLike) -> np.ndarray:
        """Log-probabilities `[steps, vocab]` under one sound, padded to whole seconds so that few shapes compile."""
        samples = np.asarray(samples)
        padded = np.pad(samples, (0, -len(samples) % self.ear.mel.rate))
        scores, lengths = self(params, padded[None], np.array([self.ear.mel.frames(len(samples))]))
        return np.asarray(scores[0, : int(lengths[0])])

    def locate(self, scores: ArrayLike, text: str) -> list[tuple[str, float, float]]:
        """Each letter of a text, and from when to when it is said, in seconds; `scores [steps, vocab]`."""
        if not text:
            return []
        found = jax.device_get(
            ctc.align(jnp.asarray(scores)[None], self.ear.letters.encode(text)[None])
        )
        places = zip(text, found.starts[0].tolist(), found.ends[0].tolist(), strict=True)
        return [(letter, begin * self.step, end * self.step) for letter, begin, end in places]

    def start(self, params: Params) -> Listening:
        """What `hear` begins with: silence."""
        state: Any = self.model.apply(
            {"params": params}, (), self.ear.mel.bands, method="initial_state"
        )
        return Listening(self.ear.start(), state)

    @functools.partial(jax.jit, static_argnums=0)
    def hear(
        self, params: Params, state: Listening, samples: Float[Array, " samples"]
    ) -> tuple[Listening, Float[Array, "steps vocab"]]:
        """The next piece of a stream, as a call on the whole would have it; for a model of causal layers.

        Args:
          params: the model's.
          state: from `start` or the piece before.
          samples: a multiple of `step_size` of them.

        Returns:
          What the next piece begins with, and this one's log-probabilities `[steps, vocab]`.
        """
        heard, frames = self.ear.advance(state.ear, samples)
        found: Any = self.model.apply({"params": params}, state.model, frames, method="step")
        remembered, logits = found
        return Listening(heard, remembered), jax.nn.log_softmax(logits)
