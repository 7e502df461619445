"""Recurrences around one other: residual, skip, dropout, zoneout, and a gate on the outputs."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.cells.gates import Cell, input_weights, product, step_arguments
from seqjax.cells.options import flag, rate, settle
from seqjax.checks import checked_key
from seqjax.combinators.base import Wrapper, branch, check_recurrences
from seqjax.recurrence import Pass, Recurrence, select, spread, state_dtype
from seqjax.typing import Frame, KeyArray, Output, Outputs, Params, Sequence, State


def residual(recurrence: Recurrence) -> "Residual":
    """Adds a recurrence's input to its output, `y = x + r(x)` (He et al., 2016).

    Their sizes must be equal.
    """
    check_recurrences("residual", recurrence)
    return Residual(recurrence)


def skip(recurrence: Recurrence) -> "Skip":
    """Lays a recurrence's input beside its output, `y = [r(x), x]`.

    In a stack each layer thus reads the outputs of all layers below it and the network's input: see
    `seqjax.stack(..., skip="concat")`.

    Reference: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017.
    """
    check_recurrences("skip", recurrence)
    return Skip(recurrence)


def dropout(recurrence: Recurrence, rate: float, variational: bool = False) -> "Dropout":
    """Drops outputs of a recurrence while a key is given (Srivastava et al., 2014).

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
    check_recurrences("dropout", recurrence)
    return Dropout(recurrence, rate, variational)


def zoneout(cell: Cell, rate: float = 0.1, cell_rate: float | None = None) -> "Zoneout":
    """Lets units of the state keep their old value at random (Krueger et al., 2017).

    While a key is given each unit stays with probability `rate`; without one, old and new are mixed
    in that ratio, the expectation.

    Args:
      cell: a cell whose output is part of its state, and whose states may be averaged: Elman,
        LSTM, GRU, MGU, IndRNN, MinGRU, MinLSTM, RGLRU.
      rate: probability to stay of the units of h, in [0, 1).
      cell_rate: that of the LSTM's memory c; None takes `rate`.

    Returns:
      One recurrence, with the same params and state.

    Raises:
      TypeError: the argument is not such a cell.
      ValueError: a rate is outside [0, 1).
    """
    check_recurrences("zoneout", cell)
    return Zoneout(cell, rate, rate if cell_rate is None else cell_rate)


def gated(recurrence: Recurrence) -> "Gated":
    """Puts a gated nonlinearity on the outputs (Dauphin et al., 2017).

        u = gelu(r(x))
        y = u * sigmoid(u W + b)

    What linear recurrences need between layers. Params are `{inner, w [O, O], b [O]}`.
    """
    check_recurrences("gated", recurrence)
    return Gated(recurrence)


@dataclasses.dataclass(frozen=True, repr=False)
class Residual(Wrapper):
    """Output plus input; see `residual`."""

    inner: Recurrence

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the inner recurrence's parameters.

        Raises:
          ValueError: input and output differ in size.
        """
        output_size = self.inner.output_size(input_size)
        if output_size != input_size:
            raise ValueError(
                f"residual: {self.inner} turns {input_size} features into {output_size}; "
                "make them equal"
            )
        return self.inner.init(key, input_size)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        state, y = self.inner.step(params, state, x, rng=rng)
        return state, x + y

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence."""
        state, ys = self.inner.scan(params, xs, state, how)
        return state, xs + ys


@dataclasses.dataclass(frozen=True, repr=False)
class Skip(Wrapper):
    """Output beside input; see `skip`."""

    inner: Recurrence

    def output_size(self, input_size: int) -> int:
        """Returns the features of the inner recurrence's outputs and of the inputs together."""
        return self.inner.output_size(input_size) + input_size

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        state, y = self.inner.step(params, state, x, rng=rng)
        return state, jnp.concatenate([y, x], axis=-1)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence."""
        state, ys = self.inner.scan(params, xs, state, how)
        return state, jnp.concatenate([ys, xs], axis=-1)

    def ends(self, first: Output, last: Output) -> Array:
        """Returns `last`; where the inner recurrence is not causal, both ends whole."""
        return Recurrence.ends(self, first, last)


@dataclasses.dataclass(frozen=True, repr=False)
class Dropout(Wrapper):
    """Outputs dropped at random; see `dropout`."""

    inner: Recurrence
    rate: float
    variational: bool = False

    def __post_init__(self) -> None:
        settle(self, rate=rate, variational=flag)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        state, y = self.inner.step(params, state, x, rng=branch(rng, 0))
        key = branch(rng, 1)
        if key is None:
            return state, y
        return state, self._drop(key, y)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence."""
        state, ys = self.inner.scan(params, xs, state, how.branch(0))
        keys = how.branch(1).rngs
        if keys is None or len(ys) == 0:
            return state, ys
        if self.variational:
            # One mask for all steps.
            return state, jax.vmap(self._drop, in_axes=(None, 0))(keys[0], ys)
        return state, jax.vmap(self._drop)(keys, ys)

    def _drop(self, key: KeyArray, y: Output) -> Output:
        """Drops outputs of one step; those left grow, so that the expectation stays."""
        keep = jax.random.bernoulli(key, 1 - self.rate, y.shape)
        return jnp.where(keep, y / (1 - self.rate), 0).astype(y.dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class Zoneout(Wrapper):
    """Units that keep their state at random; see `zoneout`."""

    inner: Cell
    rate: float
    cell_rate: float

    def __post_init__(self) -> None:
        settle(self, rate=rate, cell_rate=rate)
        if not isinstance(self.inner, Cell) or not self.inner.shows_state:
            raise TypeError(
                f"zoneout: {self.inner} does not show its state; "
                "give Elman, LSTM, GRU, MinGRU or MinLSTM"
            )
        if not self.inner.mixable:
            raise TypeError(
                f"zoneout: {self.inner} keeps its memory relative to a stabiliser, so two of its "
                "states cannot be mixed; give Elman, LSTM, GRU, MinGRU or MinLSTM"
            )

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        params, state, x = step_arguments(type(self.inner), self.inner, params, state, x)
        new, _ = self.inner.step(params, state, x)
        # A rate for each leaf of the state: h, and of the LSTM c.
        leaves, structure = jax.tree.flatten(new)
        rates = jax.tree.unflatten(structure, (self.rate, self.cell_rate)[: len(leaves)])
        if rng is None:
            state = jax.tree.map(_mix, state, new, rates)
        else:
            split = list(jax.random.split(checked_key(rng), len(leaves)))
            keys = jax.tree.unflatten(structure, split)
            # Units that stay, [*batch, hidden].
            stays = jax.tree.map(_draw, keys, new, rates)
            state = jax.tree.map(select, stays, state, new)
        return state, self.inner.output(state).astype(x.dtype)

    def read(self, params: Params, state: State, x: Frame) -> Output | None:
        """Returns the cell's output of the state that was held or mixed."""
        return self.inner.read(params, state, x)


def _mix(old: Any, new: Array, rate: float) -> Array:
    """Returns the expectation of a unit that keeps its old value with probability `rate`."""
    return rate * old + (1 - rate) * new


def _draw(key: KeyArray, new: Array, rate: float) -> Array:
    """Draws the units that keep their old value."""
    return jax.random.bernoulli(key, rate, new.shape)


@dataclasses.dataclass(frozen=True, repr=False)
class Gated(Wrapper):
    """A gated nonlinearity on the outputs; see `gated`."""

    inner: Recurrence

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters `{inner, w, b}`."""
        size = self.inner.output_size(input_size)
        inner, gate = jax.random.split(checked_key(key, "key"))
        return {
            "inner": self.inner.init(inner, input_size),
            "w": input_weights(gate, size, size, 1),
            "b": jnp.zeros(size),
        }

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """Returns the inner recurrence's initial state."""
        return self.inner.initial_state(params["inner"], batch_shape, dtype)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        state, y = self.inner.step(params["inner"], state, x, rng=rng)
        return state, self._gate(params, y)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence; zeros in the padding stay zero, for gelu(0) is 0."""
        state, ys = self.inner.scan(params["inner"], xs, state, how)
        return state, self._gate(params, ys)

    def _gate(
        self, params: Params, y: Float[Array, "*batch outputs"]
    ) -> Float[Array, "*batch outputs"]:
        """Computes the gate on outputs of one step, or of all."""
        u = jax.nn.gelu(y)
        sums = product(u, params["w"], state_dtype(y.dtype))
        gate = jax.nn.sigmoid(sums + spread(params["b"], sums))
        return (u.astype(gate.dtype) * gate).astype(y.dtype)
