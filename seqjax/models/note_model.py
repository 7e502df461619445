"""A recurrent model of music: which keys sound next."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.decoding import draw_keys
from seqjax.losses import keys_log_prob, nade_logits
from seqjax.models.recurrent import Recurrent
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, KeyArray, Remat, State

RARE = -3.0
"""Logit of a key before training: few of them sound."""


class NoteModel(nn.Module):
    """Gives the probability of each set of keys after those before it.

    A recurrence reads frames, sets of keys that sound at once. From its output after a frame the
    next one is predicted: each key alone, or by a NADE, each key given those below it
    (Boulanger-Lewandowski et al., 2012, RNN-NADE). A frame is written as `[most]` numbers of keys,
    ascending, with `keys` in each place that is left over. Dropout is on while `apply` is given a
    `"dropout"` key.

    Attributes:
      recurrence: any causal recurrence.
      keys: how many there are.
      nade_size: hidden units of the NADE; None predicts each key alone.
      dropout: rate on the recurrence's outputs.
      input_dropout: rate on the keys that it reads.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.

    Example:
      >>> import jax, seqjax
      >>> model = seqjax.models.NoteModel(seqjax.GRU(8), keys=5, nade_size=4)
      >>> notes = jax.numpy.array([[[5, 5], [0, 3], [0, 5]]])  # silence, keys 0 and 3, key 0
      >>> before, after = notes[:, :-1], notes[:, 1:]
      >>> variables = model.init(jax.random.key(0), before, after)
      >>> state, log_probs = model.apply(variables, before, after)
      >>> log_probs.shape
      (1, 2)
    """

    recurrence: Recurrence
    keys: int = 88
    nade_size: int | None = None
    dropout: float = 0.0
    input_dropout: float = 0.0
    remat: Remat = "none"
    backend: Backend = "auto"

    def setup(self) -> None:
        """Builds the layers.

        Raises:
          ValueError: the recurrence is not causal.
        """
        if not self.recurrence.causal:
            raise ValueError(
                f"{self.recurrence} reads the future; a model of music wants a causal recurrence"
            )
        self.recurrent = Recurrent(self.recurrence, self.remat, self.backend)
        self.drop = nn.Dropout(self.dropout)
        self.drop_keys = nn.Dropout(self.input_dropout)
        self.bias = nn.Dense(self.keys, bias_init=nn.initializers.constant(RARE))
        if self.nade_size is not None:
            self.hidden = nn.Dense(self.nade_size)
            small = nn.initializers.normal(0.1)
            self.w = self.param("w", small, (self.keys, self.nade_size))
            self.v = self.param("v", small, (self.nade_size, self.keys))

    def __call__(
        self,
        before: ArrayLike,
        notes: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | None = None,
    ) -> tuple[State, Float[Array, "*batch time"]]:
        """Computes the log probability of each frame.

        Args:
          before: the frame before each, `[*batch, time, most]`; silence before the first.
          notes: each frame, of the same shape.
          state: what the recurrence remembers; None for nothing.
          lengths: frames of each row, `[*batch]`.

        Returns:
          The state after the last frame of `before`, and nats.
        """
        state, ys = self.read(before, state, lengths=lengths)
        return state, self.log_prob(ys, jnp.asarray(notes))

    def read(
        self,
        notes: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | None = None,
    ) -> tuple[State, Float[Array, "*batch time outputs"]]:
        """Reads frames `[*batch, time, most]`; returns the state and what is known after each."""
        return self.recurrent(self._frames(jnp.asarray(notes)), state, lengths=lengths)

    def log_prob(
        self, ys: Float[Array, "*batch outputs"], notes: Int[Array, "*batch most"]
    ) -> Float[Array, "*batch"]:
        """Computes the log probability of frames, given what is known before each."""
        bias, hidden = self._predict(ys)
        if hidden is None:
            return keys_log_prob(notes, bias[..., None, :])
        return keys_log_prob(notes, nade_logits(notes, hidden, self.w, self.v, bias))

    def draw(
        self,
        y: Float[Array, "*batch outputs"],
        key: KeyArray,
        most: int,
        temperature: ArrayLike = 1.0,
    ) -> Int[Array, "*batch most"]:
        """Draws a next frame, see `seqjax.decoding.draw_keys`."""
        bias, hidden = self._predict(y)
        if hidden is None:
            return draw_keys(key, bias, lambda bias: bias, lambda bias, _: bias, most, temperature)

        def logits(units: Array) -> Array:
            return jnp.tanh(units) @ self.v + bias

        def add(units: Array, chosen: Array) -> Array:
            return units + self.w.at[chosen].get(mode="fill", fill_value=0)

        return draw_keys(key, hidden, logits, add, most, temperature)

    def step(
        self, state: State, notes: Int[Array, "*batch most"]
    ) -> tuple[State, Float[Array, "*batch outputs"]]:
        """Reads one frame; returns the state and what is known after it."""
        return self.recurrent.step(state, self._frames(notes))

    def initial_state(self, batch_shape: tuple[int, ...]) -> State:
        """Makes the state before the first frame."""
        return self.recurrent.initial_state(batch_shape, self.keys)

    def _frames(self, notes: Int[Array, "*batch most"]) -> Float[Array, "*batch keys"]:
        """Writes frames as 1 for each key that sounds, else 0."""
        # No key has the number that stands for a place left over.
        frames = jax.nn.one_hot(notes, self.keys).sum(-2)
        return self.drop_keys(frames, deterministic=not self.has_rng("dropout"))

    def _predict(self, ys: Array) -> tuple[Array, Array | None]:
        """Gives each key's logit, `[*batch, keys]`, and the hidden units of the NADE, if there is one."""
        ys = self.drop(ys, deterministic=not self.has_rng("dropout"))
        hidden = None if self.nade_size is None else self.hidden(ys)
        return self.bias(ys), hidden
