"""The one Flax module around a `Recurrence`."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from seqjax.checks import checked_features
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, KeyArray, Params, Remat, State
from seqjax.unrolling import unroll


class Recurrent(nn.Module):
    """Runs a recurrence as a Flax layer: params of `recurrence.init`, calls of `seqjax.unroll`.

    Dropout is on while `apply` is given a `"dropout"` key.

    Attributes:
      recurrence: what to run.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.

    Example:
      >>> import jax, seqjax
      >>> from seqjax.models import Recurrent
      >>> layer = Recurrent(seqjax.bidirectional(seqjax.GRU(8)))
      >>> xs = jax.numpy.ones((2, 5, 3))
      >>> variables = layer.init(jax.random.key(0), xs)
      >>> state, ys = layer.apply(variables, xs, lengths=[5, 2])
      >>> ys.shape
      (2, 5, 16)
    """

    recurrence: Recurrence
    remat: Remat = "none"
    backend: Backend = "auto"

    def __call__(
        self,
        xs: ArrayLike | list | tuple,
        state: State | None = None,
        *,
        lengths: ArrayLike | list | tuple | None = None,
        reset: ArrayLike | list | tuple | None = None,
        reverse: bool = False,
        time_major: bool = False,
    ) -> tuple[State, Any]:
        """Reads sequences `[*batch, time, features]`; returns what `seqjax.unroll` does."""
        inputs = checked_features(xs, "xs", "[*batch, time, features]", least_axes=2)
        return unroll(
            self.recurrence,
            self._params(inputs.shape[-1]),
            inputs,
            state,
            lengths=lengths,
            reset=reset,
            reverse=reverse,
            rng=self._rng(),
            remat=self.remat,
            backend=self.backend,
            time_major=time_major,
        )

    def step(self, state: State, x: jax.Array) -> tuple[State, jax.Array]:
        """Makes one time step, `x [*batch, features]`; returns the next state and the output."""
        return self.recurrence.step(self._params(x.shape[-1]), state, x, rng=self._rng())

    def initial_state(
        self, batch_shape: tuple[int, ...], input_size: int, dtype: Any = jnp.float32
    ) -> State:
        """Makes the state before the first step, for inputs of `input_size` features."""
        return self.recurrence.initial_state(self._params(input_size), batch_shape, dtype)

    @nn.compact
    def _params(self, input_size: int) -> Params:
        if self.is_initializing() and not self.variables.get("params"):
            fresh = self.recurrence.init(self.make_rng("params"), input_size)
        else:
            fresh = self.variables["params"]
        return {name: self.param(name, lambda _, name=name: fresh[name]) for name in fresh}

    def _rng(self) -> KeyArray | None:
        return self.make_rng("dropout") if self.has_rng("dropout") else None


def scanned(body: Callable, remat: Remat) -> Any:
    """Makes a loop of a module's step over the time axis of `[batch, time, ...]`, in and out.

    Args:
      body: `body(module, carry, inputs) -> (carry, outputs)`.
      remat: anything but `"none"` recomputes each step in the backward pass.

    Returns:
      `loop(module, carry, inputs)`.
    """
    if remat != "none":
        body = nn.remat(body, prevent_cse=False)
    # Each step draws anew.
    rngs: dict[Any, bool] = {"params": False, "dropout": True, "sampling": True}
    return nn.scan(body, variable_broadcast="params", split_rngs=rngs, in_axes=1, out_axes=1)
