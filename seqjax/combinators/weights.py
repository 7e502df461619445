"""Recurrences whose weights are changed before a sequence is read, or kept in eight bits."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import DictKey
from jaxtyping import Array

from seqjax import kernels
from seqjax.cells.gates import step_arguments
from seqjax.cells.options import rate, settle
from seqjax.combinators.base import Wrapper, branch, check_recurrences
from seqjax.kernels.int8 import all_but_cells, dequantised, is_cell, quantised
from seqjax.recurrence import Pass, Recurrence, parts
from seqjax.typing import Frame, KeyArray, Output, Outputs, Params, Sequence, State


def weight_drop(recurrence: Recurrence, rate: float) -> "WeightDrop":
    """Drops recurrent weights while a key is given: DropConnect, as in AWD-LSTM.

    One mask of `w_h` serves all rows and all steps, so that every implementation of a cell stays in
    use. It comes from the key of the sequence's first step; streaming with `step`, give the same
    key each time. Of a combinator, the `w_h` of each part is dropped.

    Args:
      recurrence: whose recurrent weights to drop.
      rate: share of weights set to zero, in [0, 1); the others grow by `1 / (1 - rate)`.

    Returns:
      One recurrence, with the same params and state.

    Raises:
      TypeError: the argument is not a recurrence.
      ValueError: the rate is outside [0, 1); or, by `init`, the params have no `w_h`.

    References: Wan et al., "Regularization of Neural Networks using DropConnect", ICML 2013. Merity
    et al., "Regularizing and Optimizing LSTM Language Models", ICLR 2018.
    """
    check_recurrences("weight_drop", recurrence)
    return WeightDrop(recurrence, rate)


@dataclasses.dataclass(frozen=True, repr=False)
class WeightDrop(Wrapper):
    """Recurrent weights dropped at random; see `weight_drop`."""

    inner: Recurrence
    rate: float

    def __post_init__(self) -> None:
        settle(self, rate=rate)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the inner recurrence's parameters.

        Raises:
          ValueError: none of them is a `w_h`.
        """
        params = self.inner.init(key, input_size)
        if not any(_is_recurrent(path) for path, _ in jax.tree.leaves_with_path(params)):
            raise ValueError(
                f"weight_drop: {self.inner} has no recurrent weights w_h; "
                "give what is made of Elman, LSTM or GRU"
            )
        return params

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        dropped = self._drop(params, branch(rng, 1))
        return self.inner.step(dropped, state, x, rng=branch(rng, 0))

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence with one mask."""
        keys = how.branch(1).rngs
        if keys is not None and len(xs) > 0:
            params = self._drop(params, keys[0])
        return self.inner.scan(params, xs, state, how.branch(0))

    def _drop(self, params: Params, key: KeyArray | None) -> Params:
        """Drops entries of each `w_h`; those left grow, so that the expectation stays."""
        if key is None:
            return params
        leaves, structure = jax.tree.flatten_with_path(params)
        kept = []
        for index, (path, leaf) in enumerate(leaves):
            if _is_recurrent(path):
                leaf = self._drop_array(jax.random.fold_in(key, index), leaf)
            kept.append(leaf)
        return structure.unflatten(kept)

    def _drop_array(self, key: KeyArray, weights: Array) -> Array:
        """Drops entries of one array."""
        keep = jax.random.bernoulli(key, 1 - self.rate, weights.shape)
        return jnp.where(keep, weights / (1 - self.rate), 0).astype(weights.dtype)


def _is_recurrent(path: tuple[Any, ...]) -> bool:
    """Tells whether a path among params leads to recurrent weights."""
    return DictKey("w_h") in path


def int8(recurrence: Recurrence) -> Recurrence:
    """Keeps matrices in int8, with a scale for each column; for what is trained already.

    Each matrix `w` among the params becomes `{int8, scale}`, as `seqjax.interop.quantise` makes
    them of trained ones. On CPUs a step or a short chunk of the plain Elman, LSTM and GRU
    reads them as they are, a quarter of the bytes; for longer sequences, on other devices and for
    other cells the weights are computed once, and may be rounded to bfloat16, which errs less than
    int8.

    Args:
      recurrence: a cell, or a combinator.

    Returns:
      A recurrence with the same state, whose params are those that `interop.quantise` gives.

    Raises:
      TypeError: the argument is not a recurrence.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import interop
      >>> lstm = seqjax.LSTM(8)
      >>> small = interop.quantise(lstm.init(jax.random.key(0), 3))
      >>> state, ys = seqjax.unroll(seqjax.int8(lstm), small, jax.numpy.ones((2, 5, 3)))
      >>> ys.shape
      (2, 5, 8)
    """
    check_recurrences("int8", recurrence)
    if isinstance(recurrence, Int8):
        return recurrence
    if found := parts(recurrence):
        return Int8(dataclasses.replace(recurrence, **jax.tree.map(_of_part, found)))  # pyright: ignore[reportArgumentType]
    return Int8(recurrence)


def _of_part(recurrence: Recurrence) -> Recurrence:
    """Changes a part of a combinator, whose other matrices the whole computes."""
    changed = int8(recurrence)
    return changed.inner if isinstance(changed, Int8) and parts(changed.inner) else changed


@dataclasses.dataclass(frozen=True, repr=False)
class Int8(Wrapper):
    """A cell whose matrices are in int8, or a combinator of such cells; see `int8`."""

    inner: Recurrence

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters, and turns matrices into int8."""
        return quantised(self.inner.init(key, input_size))

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """Returns the inner recurrence's initial state."""
        return self.inner.initial_state(self._weights(params), batch_shape, dtype)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        if self.inner.formula() and is_cell(params):
            params, state, x = step_arguments(Int8, self, params, state, x)
            read = kernels.run_int8(self.inner.formula(), params, x[None], state, Pass())
            if read is not None:
                state, ys = read
                return state, ys[0]
        return self.inner.step(self._weights(params), state, x, rng=rng)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence."""
        read = kernels.run_int8(self.inner.formula(), params, xs, state, how)
        if read is not None:
            return read
        with jax.default_matmul_precision("bfloat16"):
            return self.inner.scan(self._weights(params), xs, state, how)

    def read(self, params: Params, state: State, x: Frame) -> Output | None:
        """Returns what the cell shows of the state."""
        return self.inner.read(self._weights(params), state, x)

    def _weights(self, params: Params) -> Params:
        """Computes the weights of all but the cells within, which do so themselves."""
        return all_but_cells(params) if parts(self.inner) else dequantised(params)
