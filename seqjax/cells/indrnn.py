"""The independently recurrent network."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from seqjax.cells.elman import ACTIVATIONS
from seqjax.cells.gates import Cell, input_weights, product, step_arguments
from seqjax.cells.options import number, settle, size
from seqjax.checks import checked_key
from seqjax.recurrence import spread
from seqjax.typing import Frame, Hidden, KeyArray, Output, Params


@dataclasses.dataclass(frozen=True, repr=False)
class IndRNN(Cell):
    """Independently recurrent network (Li et al., 2018): a unit sees of the state itself alone.

        h' = activation(x W_x + u * h + b)

    Over T steps a memory changes by a factor of up to `u ** T`. The paper draws u uniformly from 0
    to `2 ** (1 / T)`, and in the last layer of a task over T steps from just below 1 on, so that
    every unit remembers that long. They start so; training may move them.

    Params are `{w_x [I, H], u [H], b [H]}`; the state is h `[*batch, H]`, and so is the output.

    Attributes:
      hidden_size: units, H.
      activation: `"relu"`, the paper's, or `"tanh"`.
      min_weight: smallest u at the start.
      max_weight: largest u at the start.

    Reference: Li et al., "Independently Recurrent Neural Network (IndRNN): Building A Longer and
    Deeper RNN", CVPR 2018.

    Example:
      >>> import jax, seqjax
      >>> cell = seqjax.IndRNN(4, max_weight=2 ** (1 / 100))
      >>> cell.init(jax.random.key(0), 3)["u"].shape
      (4,)
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    activation: Literal["relu", "tanh"] = "relu"
    min_weight: float = 0.0
    max_weight: float = 1.0

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, min_weight=number, max_weight=number)
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"IndRNN: activation={self.activation!r} is unknown; choose 'relu' or 'tanh'"
            )
        if self.min_weight > self.max_weight:
            raise ValueError(
                f"IndRNN: weights from {self.min_weight} to {self.max_weight}; "
                "give min_weight <= max_weight"
            )

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        key_x, key_u = jax.random.split(checked_key(key, "key"))
        low, high = self.min_weight, self.max_weight
        return {
            "w_x": input_weights(key_x, input_size, self.hidden_size, 1),
            "u": jax.random.uniform(key_u, (self.hidden_size,), minval=low, maxval=high),
            "b": jnp.zeros(self.hidden_size),
        }

    def step(
        self, params: Params, state: Hidden, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[Hidden, Output]:
        """Reads one step; returns the next h and the output."""
        params, h, x = step_arguments(IndRNN, self, params, state, x)
        # x W_x + u * h + b, [*batch, hidden]
        a = product(x, params["w_x"], h.dtype) + spread(params["u"], h) * h
        a = a + spread(params["b"], a)
        h = ACTIVATIONS[self.activation](a).astype(h.dtype)
        return h, h.astype(x.dtype)
