"""The gated recurrent unit."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from seqjax.cells.gates import (
    Cell,
    input_weights,
    layer_norm,
    product,
    recurrent_weights,
    step_arguments,
)
from seqjax.cells.options import flag, settle, size
from seqjax.checks import checked_key
from seqjax.recurrence import spread
from seqjax.typing import Frame, Hidden, KeyArray, Output, Params


@dataclasses.dataclass(frozen=True, repr=False)
class GRU(Cell):
    """Gated recurrent unit (Cho et al., 2014; `reset="after"` is the form of cuDNN and PyTorch).

        r  = sigmoid(x W_xr + h W_hr + b_r)
        z  = sigmoid(x W_xz + h W_hz + b_z)
        n  = tanh(x W_xn + b_xn + r * (h W_hn + b_n))      reset="after"
        n  = tanh(x W_xn + b_xn + (r * h) W_hn + b_n)      reset="before"
        h' = (1 - z) * n + z * h

    Params are `{w_x [I, 3H], w_h [H, 3H], b [3H], b_n [H]}` with the gates side by side in the
    order r, z, n, and b holding b_r, b_z, b_xn; the state is h `[*batch, H]`, and so is the output.
    With `layer_norm` each product is normalised, r and z together and n on its own, with scales
    `ln_x [3H]` and `ln_h [3H]` (Ba et al., 2016).

    Attributes:
      hidden_size: units, H.
      reset: whether the reset gate acts `"after"` or `"before"` the recurrent product.
      layer_norm: normalise inside the cell.

    Example:
      >>> import jax, seqjax
      >>> gru = seqjax.GRU(16, reset="before")
      >>> params = gru.init(jax.random.key(0), 4)
      >>> h, ys = seqjax.unroll(gru, params, jax.numpy.ones((7, 4)))
      >>> ys.shape
      (7, 16)
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    reset: Literal["after", "before"] = "after"
    layer_norm: bool = False

    def __post_init__(self):
        settle(self, hidden_size=size, layer_norm=flag)
        if self.reset not in ("after", "before"):
            raise ValueError(f"GRU: reset={self.reset!r} is unknown; choose 'after' or 'before'")

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Fresh parameters for inputs of `input_size` features."""
        key_x, key_h = jax.random.split(checked_key(key, "key"))
        hidden = self.hidden_size
        params = {
            "w_x": input_weights(key_x, input_size, hidden, 3),
            "w_h": recurrent_weights(key_h, hidden, hidden, 3),
            "b": jnp.zeros(3 * hidden),
            "b_n": jnp.zeros(hidden),
        }
        return (
            params | {"ln_x": jnp.ones(3 * hidden), "ln_h": jnp.ones(3 * hidden)}
            if self.layer_norm
            else params
        )

    def step(
        self, params: Params, state: Hidden, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[Hidden, Output]:
        """One time step: the next h and the output."""
        params, h, x = step_arguments(GRU, self, params, state, x)
        gates = 2 * self.hidden_size
        norm_x, norm_h = self._norms(params)
        from_x = product(x, params["w_x"], h.dtype)
        x_rz, x_n = (
            norm_x(from_x[..., :gates], slice(gates)),
            norm_x(from_x[..., gates:], slice(gates, None)),
        )
        x_rz, x_n = x_rz + spread(params["b"][:gates], x_rz), x_n + spread(params["b"][gates:], x_n)
        b_n = spread(params["b_n"], h)
        if self.reset == "after":
            from_h = product(h, params["w_h"], h.dtype)
            h_rz, h_n = (
                norm_h(from_h[..., :gates], slice(gates)),
                norm_h(from_h[..., gates:], slice(gates, None)),
            )
            r, z = jnp.split(sigmoid(x_rz + h_rz), 2, axis=-1)
            n = jnp.tanh(x_n + r * (h_n + b_n))
        else:
            h_rz = norm_h(product(h, params["w_h"][:, :gates], h.dtype), slice(gates))
            r, z = jnp.split(sigmoid(x_rz + h_rz), 2, axis=-1)
            h_n = norm_h(product(r * h, params["w_h"][:, gates:], h.dtype), slice(gates, None))
            n = jnp.tanh(x_n + h_n + b_n)
        h = ((1 - z) * n + z * h).astype(h.dtype)
        return h, h.astype(x.dtype)

    def formula(self) -> str | None:
        """The name of this cell among the kernels; None where they do not know the variant."""
        return "gru" if self.reset == "after" and not self.layer_norm else None

    def _norms(self, params):
        if not self.layer_norm:
            return (lambda a, units: a,) * 2
        return tuple(
            lambda a, units, s=params[name]: layer_norm(a, s[units]) for name in ("ln_x", "ln_h")
        )
