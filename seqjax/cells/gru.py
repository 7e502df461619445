"""The gated recurrent unit."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.nn import sigmoid
from jaxtyping import Array

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

Norm: TypeAlias = Callable[[Array, slice], Array]


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

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, layer_norm=flag)
        if self.reset not in ("after", "before"):
            raise ValueError(f"GRU: reset={self.reset!r} is unknown; choose 'after' or 'before'")

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        key_x, key_h = jax.random.split(checked_key(key, "key"))
        hidden = self.hidden_size
        params = {
            "w_x": input_weights(key_x, input_size, hidden, 3),
            "w_h": recurrent_weights(key_h, hidden, hidden, 3),
            "b": jnp.zeros(3 * hidden),
            "b_n": jnp.zeros(hidden),
        }
        if self.layer_norm:
            params |= {"ln_x": jnp.ones(3 * hidden), "ln_h": jnp.ones(3 * hidden)}
        return params

    def step(
        self, params: Params, state: Hidden, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[Hidden, Output]:
        """Reads one step; returns the next h and the output."""
        params, h, x = step_arguments(GRU, self, params, state, x)
        # r and z stand before n.
        rz, only_n = slice(2 * self.hidden_size), slice(2 * self.hidden_size, None)
        norm_x, norm_h = self._norms(params)
        # x W + b: [*batch, 2 hidden] of r and z, [*batch, hidden] of n
        from_x = product(x, params["w_x"], h.dtype)
        x_rz, x_n = norm_x(from_x[..., rz], rz), norm_x(from_x[..., only_n], only_n)
        x_rz, x_n = x_rz + spread(params["b"][rz], x_rz), x_n + spread(params["b"][only_n], x_n)
        b_n = spread(params["b_n"], h)
        if self.reset == "after":
            # One product for all three gates; r acts on its result.
            from_h = product(h, params["w_h"], h.dtype)
            h_rz, h_n = norm_h(from_h[..., rz], rz), norm_h(from_h[..., only_n], only_n)
            r, z = jnp.split(sigmoid(x_rz + h_rz), 2, axis=-1)
            n = jnp.tanh(x_n + r * (h_n + b_n))
        else:
            # r must be known before the product of the candidate.
            h_rz = norm_h(product(h, params["w_h"], h.dtype, rz), rz)
            r, z = jnp.split(sigmoid(x_rz + h_rz), 2, axis=-1)
            h_n = norm_h(product(r * h, params["w_h"], h.dtype, only_n), only_n)
            n = jnp.tanh(x_n + h_n + b_n)
        h = ((1 - z) * n + z * h).astype(h.dtype)
        return h, h.astype(x.dtype)

    def formula(self) -> str | None:
        """Returns the name of this cell among the kernels; None for a variant they do not know."""
        return "gru" if self.reset == "after" and not self.layer_norm else None

    def _norms(self, params: Params) -> tuple[Norm, Norm]:
        """Returns what normalises the products with x and with h, given the units to scale."""
        if not self.layer_norm:
            return _unchanged, _unchanged
        return functools.partial(_scaled, params["ln_x"]), functools.partial(
            _scaled, params["ln_h"]
        )


def _unchanged(sums: Array, units: slice) -> Array:
    return sums


def _scaled(scale: Array, sums: Array, units: slice) -> Array:
    """Normalises sums, which are those of `units` among all gates."""
    return layer_norm(sums, scale[units])
