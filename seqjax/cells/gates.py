"""What the cells share: products, normalisation, and weights initialised gate by gate."""

import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.nn import initializers
from jaxtyping import Array, Float

from seqjax import kernels
from seqjax.cells.options import check_positions
from seqjax.checks import (
    REMEMBERED,
    Layout,
    Plan,
    Shape,
    checked_features,
    laid_out,
    plan,
    state_dtypes,
)
from seqjax.kernels.products import product as product
from seqjax.recurrence import Pass, Recurrence, spread, state_dtype
from seqjax.typing import Frame, Hidden, KeyArray, Output, Outputs, Params, Sequence, State


class Cell(Recurrence):
    """A layer of `hidden_size` units whose output is read off its state."""

    hidden_size: int

    def __new__(cls, *sizes: Any, **options: Any) -> Any:
        """Refuses options that are given by position.

        Raises:
          TypeError: more is given by position than the sizes.
        """
        check_positions(cls, sizes)
        return super().__new__(cls)

    def __init_subclass__(cls, **options: Any) -> None:
        """Takes the kernels' formula from a class that steps or starts in a way of its own."""
        super().__init_subclass__(**options)
        # The nearest class that names a formula: another step than its own, or another start, is
        # not what the kernels compute.
        owner = next(base for base in cls.__mro__ if "formula" in vars(base))
        if owner not in (cls, Recurrence) and {"step", "initial_state"} & set(vars(cls)):
            cls.formula = Recurrence.formula
        if cls.scan is Recurrence.scan:
            cls.parallel = False

    shows_state: ClassVar[bool] = True
    """False where the output also depends on the input, so that `output` has nothing to read."""

    mixable: ClassVar[bool] = True
    """False where the mean of two states is no state, so that `seqjax.zoneout` refuses the cell."""

    def output_size(self, input_size: int) -> int:
        """Returns the features of each output: the layer's units."""
        return self.hidden_size

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """Makes zeros `[*batch, hidden]`, float32 or wider."""
        return jnp.zeros((*batch_shape, self.hidden_size), state_dtype(dtype))

    def output(self, state: State) -> Hidden:
        """Returns what the cell shows of its state: the state itself."""
        return state

    def shown(self, state: State) -> Hidden | None:
        """Returns `output(state)`; None where the state does not hold the output."""
        return self.output(state) if self.shows_state else None

    def read(self, params: Params, state: State, x: Frame) -> Output | None:
        """Returns what the state shows: the output but for its dtype."""
        return self.shown(state)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence, by the implementation that `how` asks for or allows."""
        return kernels.run(self, self.formula(), params, xs, state, how)


def check_features(cell: Recurrence, x: Any, w: Any) -> None:
    """Checks that a step's input `[*batch, features]` fits its weights, `[features, ...]`.

    Raises:
      ValueError: it does not.
    """
    if x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"{cell} was given {x.shape[-1]} features; its parameters are for {w.shape[0]}"
        )


def step_arguments(
    owner: type, cell: Any, params: Params, state: State, x: Any
) -> tuple[Params, State, Frame]:
    """Returns what a step reads, after the looks that `unroll` takes at it.

    Shapes must fit, and features be floating point. The state keeps its precision. A list may stand
    for a named tuple, and a wrapped array for the array.

    Args:
      owner: the class whose step it is, for a subclass may have more params than the step reads.
      cell: the cell.
      params: its parameters; what `owner` does not know is left out.
      state: before the step.
      x: features `[*batch, features]`.

    Returns:
      `(params, state, x)`.

    Raises:
      TypeError: x is not floating point, or the state of a real cell is complex.
      ValueError: a shape does not fit.
    """
    x = checked_features(x, "x", "[*batch, features]")
    names = _names(owner, cell, x.shape[-1])
    leaves, layout = laid_out({name: params[name] for name in names if name in params})
    remembered, state_layout = laid_out(state)
    of_params, of_state = _plans(owner, cell, x.shape, x.dtype, layout, state_layout)
    return of_params.carry_out(leaves), of_state.carry_out(remembered), x


@functools.lru_cache(maxsize=REMEMBERED)
def _names(owner: Any, cell: Recurrence, features: int) -> tuple[str, ...]:
    """Returns the entries of the params."""
    return tuple(_params_like(owner, cell, features))


def _params_like(owner: Any, cell: Recurrence, features: int) -> Any:
    """Returns shapes and dtypes of the params, nothing drawn."""
    return jax.eval_shape(lambda: owner.init(cell, jax.random.key(0), features))


@functools.lru_cache(maxsize=REMEMBERED)
def _plans(
    owner: Any, cell: Recurrence, shape: Shape, dtype: Any, params: Layout, state: Layout
) -> tuple[Plan, Plan]:
    """Returns how params and state become what the step reads."""
    *batch, features = shape
    like = _params_like(owner, cell, features)
    of_params = plan("params", f"{cell} on inputs of {features} features", params, like)
    wanted = jax.eval_shape(lambda p: owner.initial_state(cell, p, tuple(batch), dtype), like)
    of_state = plan("state", f"{cell} on batch {tuple(batch)}", state, wanted)
    # A leaf changes dtype only where it is of another kind: float64 and bfloat16 states stay.
    dtypes = state_dtypes(of_state, state, wanted, cell)
    given = [state.dtypes[index] for index in of_state.order]
    kept = tuple(None if _alike(a, b) else b for a, b in zip(given, dtypes, strict=True))
    return of_params, of_state._replace(dtypes=kept)


def _alike(given: Any, wanted: Any) -> bool:
    """Tells whether two dtypes differ in precision at most."""
    kinds = jnp.complexfloating, jnp.floating
    return any(jnp.issubdtype(given, kind) and jnp.issubdtype(wanted, kind) for kind in kinds)


def layer_norm(
    x: Float[Array, "*batch gates"], scale: Float[Array, " gates"], epsilon: float = 1e-6
) -> Float[Array, "*batch gates"]:
    """Normalises over the last axis, without bias (Ba et al., 2016)."""
    centred = x - x.mean(-1, keepdims=True)
    normed = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)
    return normed * spread(scale, normed)


def input_weights(
    key: KeyArray, inputs: int, hidden: int, gates: int
) -> Float[Array, "features gates"]:
    """Draws Glorot uniform weights `[inputs, gates * hidden]`, each gate as its own matrix."""
    draw = initializers.glorot_uniform()
    return jnp.concatenate(
        [draw(k, (inputs, hidden)) for k in jax.random.split(key, gates)], axis=-1
    )


def recurrent_weights(
    key: KeyArray, inputs: int, hidden: int, gates: int
) -> Float[Array, "features gates"]:
    """Draws weights `[inputs, gates * hidden]` whose gates are orthogonal (Saxe et al., 2014)."""
    draw = initializers.orthogonal()
    return jnp.concatenate(
        [draw(k, (inputs, hidden)) for k in jax.random.split(key, gates)], axis=-1
    )
