"""The minimal gated unit."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from seqjax.cells.gates import Cell, input_weights, product, recurrent_weights, step_arguments
from seqjax.cells.options import settle, size
from seqjax.checks import checked_key
from seqjax.recurrence import spread
from seqjax.typing import Frame, Hidden, KeyArray, Output, Params


@dataclasses.dataclass(frozen=True, repr=False)
class MGU(Cell):
    """Minimal gated unit (Zhou et al., 2016): a GRU whose two gates are one.

        f  = sigmoid(x W_xf + h W_hf + b_f)
        n  = tanh(x W_xn + (f * h) W_hn + b_n)
        h' = (1 - f) * h + f * n

    Params are `{w_x [I, 2H], w_h [H, 2H], b [2H]}` in the order f, n; the state is h `[*batch, H]`,
    and so is the output.

    Attributes:
      hidden_size: units, H.

    Reference: Zhou et al., "Minimal Gated Unit for Recurrent Neural Networks", International
    Journal of Automation and Computing, 2016.

    Example:
      >>> import jax, seqjax
      >>> cell = seqjax.MGU(4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> h, ys = seqjax.unroll(cell, params, jax.numpy.ones((7, 3)))
      >>> ys.shape
      (7, 4)
    """

    hidden_size: int

    def __post_init__(self) -> None:
        settle(self, hidden_size=size)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        key_x, key_h = jax.random.split(checked_key(key, "key"))
        return {
            "w_x": input_weights(key_x, input_size, self.hidden_size, 2),
            "w_h": recurrent_weights(key_h, self.hidden_size, self.hidden_size, 2),
            "b": jnp.zeros(2 * self.hidden_size),
        }

    def step(
        self, params: Params, state: Hidden, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[Hidden, Output]:
        """Reads one step; returns the next h and the output."""
        params, h, x = step_arguments(MGU, self, params, state, x)
        # f stands before n.
        of_f, of_n = slice(self.hidden_size), slice(self.hidden_size, None)
        sums = product(x, params["w_x"], h.dtype)
        # [*batch, hidden] each
        x_f, x_n = jnp.split(sums + spread(params["b"], sums), 2, axis=-1)
        f = sigmoid(x_f + product(h, params["w_h"], h.dtype, of_f))
        n = jnp.tanh(x_n + product(f * h, params["w_h"], h.dtype, of_n))
        h = ((1 - f) * h + f * n).astype(h.dtype)
        return h, h.astype(x.dtype)
