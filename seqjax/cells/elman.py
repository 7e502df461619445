"""The simple recurrent network."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from seqjax.cells.gates import Cell, input_weights, product, recurrent_weights, step_arguments
from seqjax.cells.options import settle, size
from seqjax.checks import checked_key
from seqjax.recurrence import spread
from seqjax.typing import Frame, Hidden, KeyArray, Output, Params

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}


@dataclasses.dataclass(frozen=True, repr=False)
class Elman(Cell):
    """Simple recurrent network (Elman, 1990), the "vanilla" RNN.

        h' = activation(x W_x + h W_h + b)

    Params are `{w_x [I, H], w_h [H, H], b [H]}`; the state is h `[*batch, H]`, and so is the
    output.

    Attributes:
      hidden_size: units, H.
      activation: `"tanh"` or `"relu"`.

    Reference: Elman, "Finding Structure in Time", Cognitive Science, 1990.

    Example:
      >>> import jax, seqjax
      >>> cell = seqjax.Elman(4, activation="relu")
      >>> params = cell.init(jax.random.key(0), 3)
      >>> h, y = cell.step(params, jax.numpy.zeros(4), jax.numpy.ones(3))
      >>> bool((h == y).all())
      True
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    activation: Literal["tanh", "relu"] = "tanh"

    def __post_init__(self) -> None:
        settle(self, hidden_size=size)
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"Elman: activation={self.activation!r} is unknown; choose 'tanh' or 'relu'"
            )

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        key_x, key_h = jax.random.split(checked_key(key, "key"))
        return {
            "w_x": input_weights(key_x, input_size, self.hidden_size, 1),
            "w_h": recurrent_weights(key_h, self.hidden_size, self.hidden_size, 1),
            "b": jnp.zeros(self.hidden_size),
        }

    def step(
        self, params: Params, state: Hidden, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[Hidden, Output]:
        """Reads one step; returns the next h and the output."""
        params, h, x = step_arguments(Elman, self, params, state, x)
        # x W_x + h W_h + b, [*batch, hidden]
        a = product(x, params["w_x"], h.dtype) + product(h, params["w_h"], h.dtype)
        a = a + spread(params["b"], a)
        h = ACTIVATIONS[self.activation](a).astype(h.dtype)
        return h, h.astype(x.dtype)

    def formula(self) -> str | None:
        """Returns the name of this cell among the kernels; None for a variant they do not know."""
        return f"elman_{self.activation}"
