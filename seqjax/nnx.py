"""`Recurrent` for Flax NNX: the shell around a `Recurrence` that `seqjax.models` has for Linen."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike

from seqjax.combinators import Dropout, WeightDrop, Zoneout
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, KeyArray, Params, Remat, State
from seqjax.unrolling import unroll


class Recurrent(nnx.Module):
    """Runs a recurrence as an NNX layer: params of `recurrence.init`, calls of `seqjax.unroll`.

    As in `flax.nnx.Dropout`, dropout is on until `eval()` turns it off, and `train()` turns it on.

    Attributes:
      recurrence: what to run.
      input_size: features of each input.
      params: nested dict of `nnx.Param`, the arrays that `recurrence.init` draws.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.
      deterministic: whether dropout is off.

    Example:
      >>> import jax, seqjax
      >>> from flax import nnx
      >>> layer = seqjax.nnx.Recurrent(seqjax.bidirectional(seqjax.GRU(8)), 3, rngs=nnx.Rngs(0))
      >>> state, ys = layer(jax.numpy.ones((2, 5, 3)), lengths=[5, 2])
      >>> ys.shape
      (2, 5, 16)
    """

    def __init__(
        self,
        recurrence: Recurrence,
        input_size: int,
        *,
        remat: Remat = "none",
        backend: Backend = "auto",
        rngs: nnx.Rngs,
    ):
        """Draws the params.

        Args:
          recurrence: what to run.
          input_size: features of each input.
          remat: see `seqjax.unroll`.
          backend: see `seqjax.unroll`.
          rngs: draws the params from its stream `params`, and dropout from its stream `dropout`.
        """
        self.recurrence = recurrence
        self.input_size = input_size
        self.remat: Remat = remat
        self.backend: Backend = backend
        self.deterministic = False
        drawn = recurrence.init(rngs.params(), input_size)
        self.params = nnx.data(jax.tree.map(nnx.Param, drawn))
        # A network that draws nothing has no stream, and so nothing that a call changes.
        self.rngs = nnx.data(rngs.dropout.fork() if _draws(recurrence) else None)

    def __call__(
        self,
        xs: ArrayLike | list | tuple,
        state: State | None = None,
        *,
        lengths: ArrayLike | list | tuple | None = None,
        reset: ArrayLike | list | tuple | None = None,
        reverse: bool = False,
        time_major: bool = False,
        deterministic: bool | None = None,
    ) -> tuple[State, Any]:
        """Reads sequences `[*batch, time, features]`; returns what `seqjax.unroll` does.

        Args:
          xs: inputs.
          state: see `seqjax.unroll`, and so the options below.
          lengths: valid steps of each row.
          reset: True where a new sequence starts.
          reverse: read each row backwards.
          time_major: time is the first axis.
          deterministic: whether dropout is off; None takes what `train()` or `eval()` said.
        """
        return unroll(
            self.recurrence,
            self._arrays(),
            xs,
            state,
            lengths=lengths,
            reset=reset,
            reverse=reverse,
            rng=self._rng(deterministic),
            remat=self.remat,
            backend=self.backend,
            time_major=time_major,
        )

    def step(
        self, state: State, x: jax.Array, *, deterministic: bool | None = None
    ) -> tuple[State, jax.Array]:
        """Makes one time step, `x [*batch, features]`; returns the next state and the output."""
        return self.recurrence.step(self._arrays(), state, x, rng=self._rng(deterministic))

    def initial_state(self, batch_shape: tuple[int, ...], dtype: Any = jnp.float32) -> State:
        """Makes the state before the first step."""
        return self.recurrence.initial_state(self._arrays(), batch_shape, dtype)

    def set_view(self, deterministic: bool | None = None) -> None:
        """Turns dropout off or on in a view, see `flax.nnx.view`.

        Args:
          deterministic: whether dropout is off; None leaves it as it is.
        """
        if deterministic is not None:
            self.deterministic = deterministic

    def _arrays(self) -> Params:
        return nnx.to_pure_dict(nnx.state(self.params))

    def _rng(self, deterministic: bool | None) -> KeyArray | None:
        off = self.deterministic if deterministic is None else deterministic
        return None if off or self.rngs is None else self.rngs()


def _draws(recurrence: Any) -> bool:
    """Tells whether a recurrence draws random numbers, or might: one from outside the library."""
    if isinstance(recurrence, Dropout | WeightDrop | Zoneout):
        return True
    parts = [getattr(recurrence, field.name) for field in dataclasses.fields(recurrence)]
    flat = [part for part in jax.tree.leaves(parts) if isinstance(part, Recurrence)]
    foreign = not type(recurrence).__module__.startswith("seqjax.")
    return foreign or any(_draws(part) for part in flat)
