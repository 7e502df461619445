"""Recurrences made of recurrences: each function here takes some and gives one."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from seqjax.cells.gates import Cell, input_weights, product, step_arguments
from seqjax.cells.options import flag, rate, settle
from seqjax.checks import checked_key
from seqjax.recurrence import Pass, Recurrence, select, spread, state_dtype
from seqjax.typing import Frame, KeyArray, Output, Outputs, Params, Sequence, State

Merge = Literal["concat", "sum", "mean", "max"]

_MERGES: dict[str, Callable] = {
    "concat": lambda a, b: jnp.concatenate([a, b], axis=-1),
    "sum": jnp.add,
    "mean": lambda a, b: (a + b) / 2,
    "max": jnp.maximum,
}


def stack(*layers: Recurrence, dropout: float = 0.0, residual: bool = False) -> "Stack":
    """Layers one upon another: the outputs of each are the inputs of the next.

    Params are `{layer_0, layer_1, ...}`, the state a tuple.

    Args:
      *layers: recurrences, the one that reads the input first.
      dropout: rate of dropout on the outputs of every layer but the last.
      residual: add to each layer's output, the first excepted, its input.

    Returns:
      One recurrence.

    Raises:
      TypeError: a layer is not a recurrence.
      ValueError: there is no layer, or the rate is outside [0, 1).

    Example:
      >>> import seqjax
      >>> seqjax.stack(seqjax.GRU(32), seqjax.GRU(32)).layers
      (GRU(32), GRU(32))
    """
    if not layers:
        raise ValueError("stack() has no layer; give at least one recurrence")
    _check_recurrences("stack", *layers)
    dropout, residual = rate("stack: dropout", dropout), flag("stack: residual", residual)
    built = []
    for index, layer in enumerate(layers):
        if dropout and index < len(layers) - 1:
            layer = Dropout(layer, dropout)
        built.append(Residual(layer) if residual and index else layer)
    return Stack(tuple(built))


def bidirectional(
    forward: Recurrence, backward: Recurrence | None = None, merge: Merge = "concat"
) -> "Bidirectional":
    """Two recurrences over the same inputs, the second read from each row's end (Schuster and Paliwal, 1997).

    Params are `{forward, backward}`, the state is `BidirectionalState(forward, backward)`. The
    whole is not causal.

    Args:
      forward: reads from the first step on.
      backward: reads from the last valid step back; None takes the same kind as `forward`, with
        parameters of its own.
      merge: how two outputs become one: `"concat"`, `"sum"`, `"mean"` or `"max"`.

    Returns:
      One recurrence.

    Raises:
      TypeError: an argument is not a recurrence.
      ValueError: `merge` is unknown.
    """
    backward = forward if backward is None else backward
    _check_recurrences("bidirectional", forward, backward)
    return Bidirectional(forward, backward, merge)


def residual(recurrence: Recurrence) -> "Residual":
    """The recurrence's output plus its input, `y = x + r(x)` (He et al., 2016); their sizes must be equal."""
    _check_recurrences("residual", recurrence)
    return Residual(recurrence)


def dropout(recurrence: Recurrence, rate: float, variational: bool = False) -> "Dropout":
    """Dropout on the outputs of a recurrence, on while a key is given (Srivastava et al., 2014).

    Args:
      recurrence: whose outputs to drop.
      rate: share of outputs set to zero, in [0, 1); the others grow by `1 / (1 - rate)`.
      variational: draw one mask for each row and keep it at every step (Gal and Ghahramani, 2016).
        The mask comes from the key of the sequence's first step; streaming with `step`, give the
        same key each time.

    Returns:
      One recurrence, with the same params and state.

    Raises:
      TypeError: the argument is not a recurrence.
      ValueError: the rate is outside [0, 1).
    """
    _check_recurrences("dropout", recurrence)
    return Dropout(recurrence, rate, variational)


def zoneout(cell: Cell, rate: float = 0.1, cell_rate: float | None = None) -> "Zoneout":
    """Lets units of the state keep their old value at random (Krueger et al., 2017).

    While a key is given each unit stays with probability `rate`; without one, old and new are mixed
    in that ratio, the expectation.

    Args:
      cell: a cell whose output is part of its state: Elman, LSTM, GRU, MinGRU, MinLSTM.
      rate: probability to stay of the units of h, in [0, 1).
      cell_rate: that of the LSTM's memory c; None takes `rate`.

    Returns:
      One recurrence, with the same params and state.

    Raises:
      TypeError: the argument is not such a cell.
      ValueError: a rate is outside [0, 1).
    """
    _check_recurrences("zoneout", cell)
    return Zoneout(cell, rate, rate if cell_rate is None else cell_rate)


def gated(recurrence: Recurrence) -> "Gated":
    """A gated nonlinearity on the outputs: `u = gelu(r(x))`, `y = u * sigmoid(u W + b)` (Dauphin et al., 2017).

    What linear recurrences need between layers. Params are `{inner, w [O, O], b [O]}`.
    """
    _check_recurrences("gated", recurrence)
    return Gated(recurrence)


class BidirectionalState(NamedTuple):
    """What both directions remember after their last step."""

    forward: State
    backward: State


@dataclasses.dataclass(frozen=True, repr=False)
class Stack(Recurrence):
    """Layers one upon another; see `stack`."""

    layers: tuple[Recurrence, ...]

    @property
    def causal(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """True if every layer is."""
        return all(layer.causal for layer in self.layers)

    def output_size(self, input_size: int) -> int:
        """Features of the last layer's outputs."""
        for layer in self.layers:
            input_size = layer.output_size(input_size)
        return input_size

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Fresh parameters `{layer_0, layer_1, ...}`."""
        params, key = {}, checked_key(key, "key")
        for index, layer in enumerate(self.layers):
            params[f"layer_{index}"] = layer.init(jax.random.fold_in(key, index), input_size)
            input_size = layer.output_size(input_size)
        return params

    def initial_state(
        self, params: Params, batch_shape: tuple[int, ...], dtype: Any
    ) -> tuple[State, ...]:
        """The initial states of the layers."""
        return tuple(layer.initial_state(p, batch_shape, dtype) for layer, p in self._with(params))

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """One time step through every layer."""
        _check_causal(self)
        if not isinstance(state, tuple | list) or len(state) != len(self.layers):
            raise ValueError(
                f"state is {_in_short(state)}; {self} wants a tuple of {len(self.layers)} states"
            )
        states = []
        for index, (layer, p) in enumerate(self._with(params)):
            layer_state, x = layer.step(p, state[index], x, rng=_branch(rng, index))
            states.append(layer_state)
        return tuple(states), x

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """A whole sequence, layer after layer, each with its own fastest implementation."""
        states = []
        for index, (layer, p) in enumerate(self._with(params)):
            layer_state, xs = layer.scan(p, xs, state[index], how.branch(index))
            states.append(layer_state)
        return tuple(states), xs

    def _with(self, params):
        return [(layer, params[f"layer_{index}"]) for index, layer in enumerate(self.layers)]


@dataclasses.dataclass(frozen=True, repr=False)
class Bidirectional(Recurrence):
    """Two directions over the same inputs; see `bidirectional`."""

    forward: Recurrence
    backward: Recurrence
    merge: Merge = "concat"

    causal: ClassVar[bool] = False

    def __post_init__(self):
        if self.merge not in get_args(Merge):
            raise ValueError(
                f"bidirectional: merge={self.merge!r} is unknown; choose one of {', '.join(map(repr, get_args(Merge)))}"
            )

    def output_size(self, input_size: int) -> int:
        """Features of the merged outputs."""
        sizes = self.forward.output_size(input_size), self.backward.output_size(input_size)
        if self.merge == "concat":
            return sum(sizes)
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"bidirectional: merge={self.merge!r} wants equal output sizes; they are {sizes}"
            )
        return sizes[0]

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Fresh parameters `{forward, backward}`."""
        self.output_size(input_size)
        keys = jax.random.split(checked_key(key, "key"))
        return {
            "forward": self.forward.init(keys[0], input_size),
            "backward": self.backward.init(keys[1], input_size),
        }

    def initial_state(
        self, params: Params, batch_shape: tuple[int, ...], dtype: Any
    ) -> BidirectionalState:
        """The initial states of both directions."""
        return BidirectionalState(
            self.forward.initial_state(params["forward"], batch_shape, dtype),
            self.backward.initial_state(params["backward"], batch_shape, dtype),
        )

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Refused: an output depends on later inputs.

        Raises:
          ValueError: always.
        """
        return _check_causal(self)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """A whole sequence, both ways."""
        back = dataclasses.replace(how.branch(1), reverse=not how.reverse)
        forward, ys = self.forward.scan(params["forward"], xs, state.forward, how.branch(0))
        backward, zs = self.backward.scan(params["backward"], xs, state.backward, back)
        return BidirectionalState(forward, backward), _MERGES[self.merge](ys, zs)


class Wrapper(Recurrence):
    """A recurrence around another, with the same params and state; a subclass changes the outputs or the step."""

    inner: Recurrence

    @property
    def causal(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """True if the inner recurrence is."""
        return self.inner.causal

    def output_size(self, input_size: int) -> int:
        """Features of the inner recurrence's outputs."""
        return self.inner.output_size(input_size)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """The inner recurrence's fresh parameters."""
        return self.inner.init(key, input_size)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """The inner recurrence's initial state."""
        return self.inner.initial_state(params, batch_shape, dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class Residual(Wrapper):
    """Output plus input; see `residual`."""

    inner: Recurrence

    def init(self, key: KeyArray, input_size: int) -> Params:
        """The inner recurrence's fresh parameters.

        Raises:
          ValueError: input and output differ in size.
        """
        output_size = self.inner.output_size(input_size)
        if output_size != input_size:
            raise ValueError(
                f"residual: {self.inner} turns {input_size} features into {output_size}; make them equal"
            )
        return self.inner.init(key, input_size)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """One time step."""
        state, y = self.inner.step(params, state, x, rng=rng)
        return state, x + y

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """A whole sequence."""
        state, ys = self.inner.scan(params, xs, state, how)
        return state, xs + ys


@dataclasses.dataclass(frozen=True, repr=False)
class Dropout(Wrapper):
    """Outputs dropped at random; see `dropout`."""

    inner: Recurrence
    rate: float
    variational: bool = False

    def __post_init__(self):
        settle(self, rate=rate, variational=flag)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """One time step."""
        state, y = self.inner.step(params, state, x, rng=_branch(rng, 0))
        return state, y if rng is None else self._drop(_branch(rng, 1), y)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """A whole sequence."""
        state, ys = self.inner.scan(params, xs, state, how.branch(0))
        keys = how.branch(1).rngs
        if keys is None or len(ys) == 0:
            return state, ys
        return state, jax.vmap(self._drop, in_axes=(None if self.variational else 0, 0))(
            keys[0] if self.variational else keys, ys
        )

    def _drop(self, key, y):
        keep = jax.random.bernoulli(key, 1 - self.rate, y.shape)
        return jnp.where(keep, y / (1 - self.rate), 0).astype(y.dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class Zoneout(Wrapper):
    """Units that keep their state at random; see `zoneout`."""

    inner: Cell
    rate: float
    cell_rate: float

    def __post_init__(self):
        settle(self, rate=rate, cell_rate=rate)
        if not isinstance(self.inner, Cell) or not self.inner.shows_state:
            raise TypeError(
                f"zoneout: {self.inner} does not show its state; give Elman, LSTM, GRU, MinGRU or MinLSTM"
            )

    def formula(self) -> None:
        """None: the kernels do not know a cell whose state is held at random."""

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """One time step."""
        params, state, x = step_arguments(type(self.inner), self.inner, params, state, x)
        new, _ = self.inner.step(params, state, x)
        leaves, structure = jax.tree.flatten(new)
        rates = jax.tree.unflatten(structure, (self.rate, self.cell_rate)[: len(leaves)])
        if rng is None:
            state = jax.tree.map(
                lambda old, new, rate: rate * old + (1 - rate) * new, state, new, rates
            )
        else:
            keys = jax.tree.unflatten(
                structure, list(jax.random.split(checked_key(rng), len(leaves)))
            )
            stays = jax.tree.map(
                lambda key, new, rate: jax.random.bernoulli(key, rate, new.shape), keys, new, rates
            )
            state = jax.tree.map(select, stays, state, new)
        return state, self.inner.output(state).astype(x.dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class Gated(Wrapper):
    """A gated nonlinearity on the outputs; see `gated`."""

    inner: Recurrence

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Fresh parameters `{inner, w, b}`."""
        size = self.inner.output_size(input_size)
        inner, gate = jax.random.split(checked_key(key, "key"))
        return {
            "inner": self.inner.init(inner, input_size),
            "w": input_weights(gate, size, size, 1),
            "b": jnp.zeros(size),
        }

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """The inner recurrence's initial state."""
        return self.inner.initial_state(params["inner"], batch_shape, dtype)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """One time step."""
        state, y = self.inner.step(params["inner"], state, x, rng=rng)
        return state, self._gate(params, y)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """A whole sequence; zeros in the padding stay zero, for gelu(0) is 0."""
        state, ys = self.inner.scan(params["inner"], xs, state, how)
        return state, self._gate(params, ys)

    def _gate(self, params, y):
        u = jax.nn.gelu(y)
        sums = product(u, params["w"], state_dtype(y.dtype))
        gate = jax.nn.sigmoid(sums + spread(params["b"], sums))
        return (u.astype(gate.dtype) * gate).astype(y.dtype)


def _branch(rng: KeyArray | None, index: int) -> KeyArray | None:
    return None if rng is None else jax.random.fold_in(checked_key(rng), index)


def _check_causal(recurrence: Recurrence) -> Any:
    if not recurrence.causal:
        raise ValueError(
            f"{recurrence} reads the future, so it has no step; give the whole sequence to seqjax.unroll"
        )


def _check_recurrences(name: str, *recurrences: Recurrence) -> None:
    for r in recurrences:
        if not isinstance(r, Recurrence):
            raise TypeError(
                f"{name}() was given a {type(r).__name__}; give recurrences, for example LSTM(256)"
            )


def _in_short(state: Any) -> str:
    """A pytree in a few words."""
    count = f" of {len(state)}" if isinstance(state, tuple | list) else ""
    return f"a {type(state).__name__}{count}"
