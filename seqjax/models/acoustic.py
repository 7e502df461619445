"""Speech to scores of symbols, step by step, for connectionist temporal classification."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.checks import checked_lengths
from seqjax.losses import length_mask
from seqjax.models.recurrent import Recurrent
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, Lengths, Remat, State


class Emissions(NamedTuple):
    """Holds what an acoustic model says.

    Attributes:
      logits: a score of every symbol at every step, `[*batch, steps, vocab]`.
      lengths: valid steps of each row, `[*batch]`.
    """

    logits: Float[Array, "*batch steps vocab"]
    lengths: Int[Array, "*batch"]


class AcousticState(NamedTuple):
    """Holds what an acoustic model remembers between two pieces of a stream.

    Attributes:
      heard: the frames of the step before, `[*batch, stride * features]`, for the convolution.
      layers: what each recurrence remembers.
    """

    heard: Float[Array, "*batch stacked"]
    layers: tuple[State, ...]


class AcousticModel(nn.Module):
    """Scores the symbols of speech: fewer, wider steps, normalised recurrences, a projection.

    Each step takes `stride` frames side by side (Sak et al., 2015); with `convolution` it also sees
    the frames of the step before, through one layer of a width of `2 * stride` frames. Every
    recurrence's outputs are normalised (Ba et al., 2016) and dropped out. Bidirectional recurrences
    give the network of Graves et al., 2013; causal ones stream: `step` on pieces gives what a call
    gives on the whole. `seqjax.losses.ctc` trains it.

    Dropout is on while `apply` is given a `"dropout"` key.

    Attributes:
      vocab_size: symbols, the blank included.
      layers: recurrences, the one that reads the frames first.
      stride: frames of a step.
      convolution: features of the convolution; None hands the stacked frames on as they are.
      dropout: rate on the outputs of every layer.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.

    Example:
      >>> import jax, seqjax
      >>> model = seqjax.models.AcousticModel(28, (seqjax.bidirectional(seqjax.LSTM(16)),) * 2, stride=2)
      >>> frames = jax.numpy.ones((4, 100, 40))
      >>> variables = model.init(jax.random.key(0), frames)
      >>> logits, lengths = model.apply(variables, frames, lengths=jax.numpy.array([100, 51, 3, 0]))
      >>> logits.shape, lengths.tolist()
      ((4, 50, 28), [50, 25, 1, 0])
    """

    vocab_size: int
    layers: tuple[Recurrence, ...]
    stride: int = 1
    convolution: int | None = None
    dropout: float = 0.0
    remat: Remat = "none"
    backend: Backend = "auto"

    def setup(self) -> None:
        """Builds the layers.

        Raises:
          ValueError: there is no layer, or the stride is less than 1.
        """
        if not self.layers or self.stride < 1:
            raise ValueError(
                f"{len(self.layers)} layers, stride={self.stride}; "
                "give at least one layer, a stride of 1"
            )
        if self.convolution is not None:
            self.convolve = nn.Dense(self.convolution)
        self.recurrent = [Recurrent(layer, self.remat, self.backend) for layer in self.layers]
        self.norms = [nn.LayerNorm() for _ in self.layers]
        self.drop = nn.Dropout(self.dropout)
        self.head = nn.Dense(self.vocab_size)

    def __call__(self, frames: ArrayLike, *, lengths: ArrayLike | None = None) -> Emissions:
        """Reads whole utterances.

        Args:
          frames: `[*batch, time, features]`.
          lengths: valid frames of each row, `[*batch]`; None when all are. Under `jax.jit` clamped
            to `[0, time]`.

        Returns:
          `Emissions(logits [*batch, time // stride, vocab], lengths [*batch])`: frames that fill no
          step are left out.
        """
        frames = jnp.asarray(frames)
        *batch, time, features = frames.shape
        lengths = checked_lengths(lengths, tuple(batch), time)
        steps = lengths // self.stride
        frames = jnp.where(length_mask(lengths, time)[..., None], frames, 0)
        before = jnp.zeros((*batch, features * self.stride), frames.dtype)
        _, xs = self._subsample(before, frames)
        return Emissions(self._read(xs, [None] * len(self.layers), steps)[1], steps)

    def step(
        self, state: AcousticState, frames: Float[Array, "*batch time features"]
    ) -> tuple[AcousticState, Float[Array, "*batch steps vocab"]]:
        """Reads the next piece of a stream.

        Args:
          state: from `initial_state` or the piece before.
          frames: `[*batch, time, features]`, the time a multiple of `stride`.

        Returns:
          The next state, and the logits `[*batch, time // stride, vocab]`.

        Raises:
          ValueError: a layer is not causal, or the piece does not divide into steps.
        """
        if not all(layer.causal for layer in self.layers):
            raise ValueError(
                "a layer reads the future; stream with causal layers, such as seqjax.LSTM(256)"
            )
        if frames.shape[-2] % self.stride:
            raise ValueError(
                f"the piece has {frames.shape[-2]} frames; give a multiple of stride={self.stride}"
            )
        heard, xs = self._subsample(state.heard, frames)
        layers, logits = self._read(xs, state.layers, None)
        return AcousticState(heard, layers), logits

    def initial_state(self, batch_shape: tuple[int, ...], input_size: int) -> AcousticState:
        """Makes the state before the first piece, for frames of `input_size` features."""
        heard = jnp.zeros((*batch_shape, self.stride * input_size))
        size, states = self.convolution or self.stride * input_size, []
        for layer in self.recurrent:
            states.append(layer.initial_state(batch_shape, size))
            size = layer.recurrence.output_size(size)
        return AcousticState(heard, tuple(states))

    def _subsample(
        self, before: Float[Array, "*batch stacked"], frames: Float[Array, "*batch time features"]
    ) -> tuple[Array, Array]:
        """Returns the last frames, and those of each step side by side, convolved if so."""
        *batch, time, features = frames.shape
        steps = time // self.stride
        # Frames that fill no step are left out: [*batch, steps, stride * features].
        whole = frames[..., : steps * self.stride, :]
        stacked = whole.reshape(*batch, steps, self.stride * features)
        if self.convolution is None:
            return before, stacked
        # The frames of the step before first: [*batch, steps + 1, stride * features].
        earlier = jnp.concatenate([before[..., None, :], stacked], axis=-2)
        # [*batch, steps, 2 * stride * features]
        both = jnp.concatenate([earlier[..., :-1, :], stacked], axis=-1)
        return earlier[..., -1, :], nn.relu(self.convolve(both))

    def _read(
        self, xs: Array, states: Sequence[Any], lengths: Lengths | None
    ) -> tuple[tuple[State, ...], Array]:
        after = []
        for layer, norm, state in zip(self.recurrent, self.norms, states, strict=True):
            # [*batch, steps, outputs]
            state, ys = layer(xs, state, lengths=lengths)
            xs = self.drop(norm(ys), deterministic=not self.has_rng("dropout"))
            after.append(state)
        return tuple(after), self.head(xs)
