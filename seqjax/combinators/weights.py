"""Recurrences whose weights are changed before a sequence is read."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import DictKey
from jaxtyping import Array

from seqjax.cells.options import rate, settle
from seqjax.combinators.base import Wrapper, branch, check_recurrences
from seqjax.recurrence import Pass, Recurrence
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
