"""The scalar LSTM of xLSTM: exponential input gates, a normaliser and a stabiliser."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, Float

from seqjax.cells.gates import Cell, input_weights, product, recurrent_weights, step_arguments
from seqjax.cells.options import check_heads, number, settle, size
from seqjax.checks import checked_key
from seqjax.recurrence import Recurrence, spread, state_dtype
from seqjax.typing import Frame, Hidden, KeyArray, Output, Params

UNSEEN = -1e9
"""The stabiliser before the first step: below the logarithm of any gate, and its square is finite."""


class SLSTMState(NamedTuple):
    """What an sLSTM remembers; the memory itself is `c exp(m)`, the sum of its weights `n exp(m)`.

    Attributes:
      h: its last output, `[*batch, H]`.
      c: the memory cell.
      n: the normaliser, at least 1 after the first step.
      m: the stabiliser, the logarithm of the largest weight so far.
    """

    h: Hidden
    c: Hidden
    n: Hidden
    m: Hidden


@dataclasses.dataclass(frozen=True, repr=False)
class SLSTM(Cell):
    """Scalar LSTM with exponential gating, the sLSTM of xLSTM (Beck et al., 2024).

        i = exp(x W_i + h R_i + b_i)
        f = sigmoid(x W_f + h R_f + b_f)
        z = tanh(x W_z + h R_z + b_z)
        o = sigmoid(x W_o + h R_o + b_o)
        c' = f * c + i * z
        n' = f * n + i
        h' = o * c' / n'

    An exponential gate overflows; with `m' = max(log f + m, log i)` the state holds c and n divided
    by `exp(m)`, which leaves h as it is: f becomes `exp(log f + m - m')` and i `exp(log i - m')`. Of
    the paper's two forget gates this is the sigmoid. R is block-diagonal: a head mixes its own
    units alone.

    Params are `{w_x [I, 4H], w_h [heads, D, 4D], b [4H]}` with D = H / heads and the gates side by
    side in the order i, f, z, o; the state is `SLSTMState(h, c, n, m)`, the output h'.

    Attributes:
      hidden_size: units, H; a multiple of heads.
      heads: blocks of the recurrent weights.
      forget_bias: where the forget gate's bias starts.

    Reference: Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS 2024, equations 8 to
    17.

    Example:
      >>> import jax, seqjax
      >>> cell = seqjax.SLSTM(8, heads=2)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, ys = seqjax.unroll(cell, params, jax.numpy.ones((2, 5, 3)))
      >>> ys.shape, params["w_h"].shape
      ((2, 5, 8), (2, 4, 16))
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    heads: int = 1
    forget_bias: float = 1.0

    mixable: ClassVar[bool] = False

    # A step is exponentials more than products: to compute them again on the way back, as
    # `seqjax.kernels.deferred` does, takes longer than it saves.
    scan = Recurrence.scan

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, heads=size, forget_bias=number)
        check_heads(self, self.hidden_size, self.heads)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        key_x, key_h = jax.random.split(checked_key(key, "key"))
        hidden, of_head = self.hidden_size, self.hidden_size // self.heads
        # [D, 4D] of each head
        blocks = [
            recurrent_weights(head, of_head, of_head, 4)
            for head in jax.random.split(key_h, self.heads)
        ]
        return {
            "w_x": input_weights(key_x, input_size, hidden, 4),
            "w_h": jnp.stack(blocks),
            "b": jnp.zeros(4 * hidden).at[hidden : 2 * hidden].set(self.forget_bias),
        }

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> SLSTMState:
        """Makes an empty memory, float32 or wider."""
        zeros = jnp.zeros((*batch_shape, self.hidden_size), state_dtype(dtype))
        return SLSTMState(h=zeros, c=zeros, n=zeros, m=jnp.full_like(zeros, UNSEEN))

    def step(
        self, params: Params, state: SLSTMState, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[SLSTMState, Output]:
        """Reads one step; returns the next `SLSTMState` and the output h."""
        params, (h, c, n, m), x = step_arguments(SLSTM, self, params, state, x)
        # [*batch, 4 hidden], the sums of all gates side by side
        sums = product(x, params["w_x"], c.dtype) + self._mixed(h, params["w_h"], c.dtype)
        log_i, f, z, o = jnp.split(sums + spread(params["b"], sums), 4, axis=-1)
        kept = log_sigmoid(f) + m
        m = jnp.maximum(kept, log_i)
        # One of both is 1, and the other at most 1.
        f, i = jnp.exp(kept - m), jnp.exp(log_i - m)
        c = f * c + i * jnp.tanh(z)
        n = f * n + i
        # n is at least 1 after any step; a state that is made up may hold less.
        h = sigmoid(o) * c / jnp.where(n < 0.5, 0.5, n)
        after = SLSTMState(*(leaf.astype(state.h.dtype) for leaf in (h, c, n, m)))
        return after, after.h.astype(x.dtype)

    def output(self, state: SLSTMState) -> Hidden:
        """Returns what the cell shows of its state: h."""
        return state.h

    def _mixed(
        self, h: Hidden, w: Float[Array, "heads units sums"], dtype: Any
    ) -> Float[Array, "*batch gates"]:
        """Computes h R head by head, and sets the gates of all heads side by side."""
        # Sizes are all said: beside a batch of no rows none can be found out.
        of_head = self.hidden_size // self.heads
        by_head = h.reshape(*h.shape[:-1], self.heads, of_head)
        sums = product(by_head, w, dtype)  # [*batch, heads, 4D]
        # [*batch, heads, 4, D] to [*batch, 4, heads, D]
        sums = jnp.moveaxis(sums.reshape(*by_head.shape[:-1], 4, of_head), -2, -3)
        return sums.reshape(*h.shape[:-1], 4 * self.hidden_size)
