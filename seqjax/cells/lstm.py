"""Long short-term memory and its variants."""

import dataclasses
from typing import Any, NamedTuple

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
from seqjax.cells.options import flag, number, optional_size, settle, size
from seqjax.checks import checked_key
from seqjax.recurrence import spread, state_dtype
from seqjax.typing import Frame, Hidden, KeyArray, Output, Params


class LSTMState(NamedTuple):
    """What an LSTM remembers.

    Attributes:
      h: its last output, `[*batch, H or P]`.
      c: the memory cell, `[*batch, H]`.
    """

    h: Hidden
    c: Hidden


@dataclasses.dataclass(frozen=True, repr=False)
class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; Gers et al., 2000: forget gate).

        i = sigmoid(x W_xi + h W_hi + b_i)
        f = sigmoid(x W_xf + h W_hf + b_f)
        g =    tanh(x W_xg + h W_hg + b_g)
        o = sigmoid(x W_xo + h W_ho + b_o)
        c' = f * c + i * g
        h' = o * tanh(c')

    Params are `{w_x [I, 4H], w_h [H, 4H], b [4H]}` with the gates side by side in the order i, f,
    g, o; the state is `LSTMState(h, c)`, the output h'. The variants combine freely:

    * `peephole`: i and f also see `c * w_p`, o sees `c' * w_p`; `w_p [3H]` in the order i, f, o
      (Gers et al., 2002).
    * `projection_size=P`: `h' = (o * tanh(c')) W_r` with `w_r [H, P]`; `w_h` is `[P, 4H]` (Sak et
      al., 2014).
    * `layer_norm`: the products with x and with h and the memory under the output's tanh are
      normalised, with scales `ln_x [4H]`, `ln_h [4H]`, `ln_c [H]` and the last one's bias `b_c [H]`
      (Ba et al., 2016, equations 20 to 22).
    * `coupled`: `i = 1 - f`; the gates are f, g, o, and all that was 4H is 3H (Greff et al., 2017).

    Attributes:
      hidden_size: units, H.
      forget_bias: where the forget gate's bias starts (Jozefowicz et al., 2015).
      peephole: let the gates see the memory.
      projection_size: size of h where it differs from that of c; None for H.
      layer_norm: normalise inside the cell.
      coupled: forget just what is written.

    Example:
      >>> import jax, seqjax
      >>> lstm = seqjax.LSTM(256, projection_size=64)
      >>> params = lstm.init(jax.random.key(0), 32)
      >>> state, ys = seqjax.unroll(lstm, params, jax.numpy.ones((8, 10, 32)))
      >>> ys.shape, state.h.shape, state.c.shape
      ((8, 10, 64), (8, 64), (8, 256))
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    forget_bias: float = 1.0
    peephole: bool = False
    projection_size: int | None = None
    layer_norm: bool = False
    coupled: bool = False

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, projection_size=optional_size, forget_bias=number)
        settle(self, peephole=flag, layer_norm=flag, coupled=flag)

    def output_size(self, input_size: int) -> int:
        """Returns the features of each output: `projection_size`, or else `hidden_size`."""
        return self.projection_size or self.hidden_size

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        key_x, key_h, key_r = jax.random.split(checked_key(key, "key"), 3)
        hidden, gates = self.hidden_size, 3 if self.coupled else 4
        # The forget gate stands second, or first where there is no i.
        first = 0 if self.coupled else hidden
        bias = jnp.zeros(gates * hidden).at[first : first + hidden].set(self.forget_bias)
        params = {
            "w_x": input_weights(key_x, input_size, hidden, gates),
            "w_h": recurrent_weights(key_h, self.output_size(input_size), hidden, gates),
            "b": bias,
        }
        if self.peephole:
            params |= {"w_p": jnp.zeros((gates - 1) * hidden)}
        if self.projection_size is not None:
            params |= {"w_r": input_weights(key_r, hidden, self.projection_size, 1)}
        if self.layer_norm:
            scales = {"ln_x": jnp.ones(gates * hidden), "ln_h": jnp.ones(gates * hidden)}
            params |= scales | {"ln_c": jnp.ones(hidden), "b_c": jnp.zeros(hidden)}
        return params

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> LSTMState:
        """Makes zeros, float32 or wider."""
        wide = state_dtype(dtype)
        outputs = self.projection_size or self.hidden_size
        return LSTMState(
            h=jnp.zeros((*batch_shape, outputs), wide),
            c=jnp.zeros((*batch_shape, self.hidden_size), wide),
        )

    def step(
        self, params: Params, state: LSTMState, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[LSTMState, Output]:
        """Reads one step; returns the next `LSTMState` and the output h."""
        params, (h, c), x = step_arguments(LSTM, self, params, state, x)
        # [*batch, gates], the sums of all gates side by side
        from_x, from_h = product(x, params["w_x"], c.dtype), product(h, params["w_h"], c.dtype)
        if self.layer_norm:
            from_x, from_h = layer_norm(from_x, params["ln_x"]), layer_norm(from_h, params["ln_h"])
        sums = from_x + from_h
        # [*batch, hidden] each
        i, f, g, o = self._split(sums + spread(params["b"], sums))
        p_i, p_f, p_o = self._split_peephole(params, c)
        f = sigmoid(f + p_f * c)
        i = 1 - f if i is None else sigmoid(i + p_i * c)
        c = (f * c + i * jnp.tanh(g)).astype(c.dtype)
        # The output gate alone sees the memory after the step.
        o = sigmoid(o + p_o * c)
        shown = c
        if self.layer_norm:
            shown = layer_norm(c, params["ln_c"]) + spread(params["b_c"], c)
        h = o * jnp.tanh(shown)
        if self.projection_size is not None:
            h = product(h, params["w_r"], c.dtype)
        h = h.astype(c.dtype)
        return LSTMState(h, c), h.astype(x.dtype)

    def formula(self) -> str | None:
        """Returns the name of this cell among the kernels; None for a variant they do not know."""
        variant = self.peephole or self.projection_size or self.layer_norm or self.coupled
        return None if variant else "lstm"

    def output(self, state: LSTMState) -> Hidden:
        """Returns what the cell shows of its state: h."""
        return state.h

    def _split(self, sums: Array) -> tuple[Array | None, Array, Array, Array]:
        """Returns the sums of i, f, g, o; None for i where it is coupled to f."""
        if self.coupled:
            f, g, o = jnp.split(sums, 3, axis=-1)
            return None, f, g, o
        i, f, g, o = jnp.split(sums, 4, axis=-1)
        return i, f, g, o

    def _split_peephole(self, params: Params, c: Any) -> tuple[Any, Any, Any]:
        """Returns the memory's weights in i, f and o, in the shape of c; 0 for those absent."""
        if not self.peephole:
            return 0, 0, 0
        if self.coupled:
            p_f, p_o = jnp.split(params["w_p"], 2)
            return 0, spread(p_f, c), spread(p_o, c)
        p_i, p_f, p_o = jnp.split(params["w_p"], 3)
        return spread(p_i, c), spread(p_f, c), spread(p_o, c)
