"""What the cells share: products, normalisation, and weights initialised gate by gate."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.nn import initializers
from jaxtyping import Array, Float

from seqjax import kernels
from seqjax.recurrence import Pass, Recurrence, state_dtype
from seqjax.typing import KeyArray, Outputs, Params, Sequence, State


class Cell(Recurrence):
    """A layer of `hidden_size` units whose output is read off its state."""

    hidden_size: int
    shows_state: ClassVar[bool] = True
    """False where the output also depends on the input, so that `output` has nothing to read."""

    parallel: ClassVar[bool] = False
    """True where time is scanned in parallel, not step by step."""

    def output_size(self, input_size: int) -> int:
        """Features of each output: the layer's units."""
        return self.hidden_size

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any):
        """Zeros `[*batch, hidden]`, float32 or wider."""
        return jnp.zeros((*batch_shape, self.hidden_size), state_dtype(dtype))

    def output(self, state) -> Float[Array, "*batch hidden"]:
        """What the cell shows of its state: the state itself."""
        return state

    def formula(self) -> str | None:
        """The name of this cell among the kernels; None where they do not know it."""
        return None

    def scan(self, params: Params, xs: Sequence, state: State, how: Pass = Pass()) -> tuple[State, Outputs]:  # noqa: B008
        """A whole sequence, by the implementation that `how` asks for or allows."""
        return kernels.run(self, self.formula(), params, xs, state, how)


def check_sizes(cell: Recurrence, **sizes: int) -> None:
    """Checks that sizes are positive whole numbers.

    Raises:
      TypeError: a size is not an int.
      ValueError: a size is below 1.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"{type(cell).__name__}: {name} is {size!r}; give a whole number")
        if size < 1:
            raise ValueError(f"{type(cell).__name__}: {name} is {size}; give at least 1")


def check_features(cell: Recurrence, x: Any, w: Any) -> None:
    """Checks that a step's input `[*batch, features]` fits the weights that read it, `[features, ...]`.

    Raises:
      ValueError: it does not.
    """
    if x.shape[-1] != w.shape[0]:
        raise ValueError(f"{cell} was given {x.shape[-1]} features; its parameters are for {w.shape[0]}")


def product(
    x: Float[Array, "*batch features"], w: Float[Array, "features gates"], dtype: Any
) -> Float[Array, "*batch gates"]:
    """`x @ w` in the weights' dtype, summed in `dtype`."""
    return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=dtype)


def layer_norm(
    x: Float[Array, "*batch gates"], scale: Float[Array, " gates"], epsilon: float = 1e-6
) -> Float[Array, "*batch gates"]:
    """Layer normalisation over the last axis, without bias (Ba et al., 2016)."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon) * scale


def input_weights(key: KeyArray, inputs: int, hidden: int, gates: int) -> Float[Array, "features gates"]:
    """Glorot uniform weights `[inputs, gates * hidden]`, each gate drawn as a matrix of its own."""
    draw = initializers.glorot_uniform()
    return jnp.concatenate([draw(k, (inputs, hidden)) for k in jax.random.split(key, gates)], axis=-1)


def recurrent_weights(key: KeyArray, inputs: int, hidden: int, gates: int) -> Float[Array, "features gates"]:
    """Weights `[inputs, gates * hidden]` in which each gate's matrix is orthogonal (Saxe et al., 2014)."""
    draw = initializers.orthogonal()
    return jnp.concatenate([draw(k, (inputs, hidden)) for k in jax.random.split(key, gates)], axis=-1)
