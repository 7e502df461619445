"""Recurrences that make more of their state: a learned first one, and all of them as outputs."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from seqjax.combinators.base import Wrapper, check_causal, check_recurrences
from seqjax.recurrence import Pass, Recurrence, parts, spread
from seqjax.typing import Frame, KeyArray, Output, Outputs, Params, Sequence, State


def learn_initial_state(recurrence: Recurrence) -> Recurrence:
    """Makes the state before the first step a parameter, which all rows share.

    `unroll` without a state begins in it, and a reset returns to it. Before training it is what the
    recurrence itself begins in: zeros for every cell of seqjax.

    Of a combinator each part that steps through time learns its own: `learn_initial_state(stack(a,
    b))` is `stack(learn_initial_state(a), learn_initial_state(b))`, and so for `bidirectional` and
    the others. The params of such a part are `{inner, initial_state}`, where `initial_state` has an
    array for each leaf of the state: `{h [H]}`, `{h, c}` of an LSTM, `{h_re, h_im}` where the state
    is complex.

    Every implementation stays in use, but for rows with `reset`: these run step by step.

    Args:
      recurrence: whose initial state to learn.

    Returns:
      One recurrence, with the same state.

    Raises:
      TypeError: the argument is not a recurrence.

    Example:
      >>> import jax, seqjax
      >>> net = seqjax.learn_initial_state(seqjax.GRU(2))
      >>> params = net.init(jax.random.key(0), 3)
      >>> params["initial_state"]["h"] += 0.5
      >>> net.initial_state(params, (1,), "float32").tolist()
      [[0.5, 0.5]]
    """
    check_recurrences("learn_initial_state", recurrence)
    if isinstance(recurrence, LearnedInitialState):
        return recurrence
    found = parts(recurrence)
    if not found:
        return LearnedInitialState(recurrence)
    learned: dict[str, Any] = {}
    for name, part in found.items():
        if isinstance(part, tuple):
            learned[name] = tuple(map(learn_initial_state, part))
        else:
            learned[name] = learn_initial_state(part)
    return dataclasses.replace(recurrence, **learned)  # pyright: ignore[reportArgumentType]


def return_states(recurrence: Recurrence) -> "ReturnStates":
    """Lays the state after each step beside its output, on the axis of features.

    The outputs `[*batch, time, outputs + states]` hold the recurrence's own, and then each leaf of
    the state in order; of a complex leaf first the real parts, then the imaginary ones. `split`
    takes them apart. As all outputs, they have the dtype of the inputs and are zero past a row's
    end.

    It runs step by step, for the fast implementations keep no state but the last.

    Args:
      recurrence: a causal one. Of two directions, wrap each.

    Returns:
      One recurrence, with the same params and state.

    Raises:
      TypeError: the argument is not a recurrence.
      ValueError: it is not causal.

    Example:
      >>> import jax, seqjax
      >>> net = seqjax.return_states(seqjax.LSTM(8))
      >>> params = net.init(jax.random.key(0), 3)
      >>> _, outputs = seqjax.unroll(net, params, jax.numpy.ones((2, 5, 3)))
      >>> ys, states = net.split(params, outputs)
      >>> ys.shape, states.h.shape, states.c.shape
      ((2, 5, 8), (2, 5, 8), (2, 5, 8))
    """
    check_recurrences("return_states", recurrence)
    return ReturnStates(recurrence)


@dataclasses.dataclass(frozen=True, repr=False)
class LearnedInitialState(Wrapper):
    """A first state that is a parameter; see `learn_initial_state`."""

    inner: Recurrence

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters `{inner, initial_state}`."""
        params = self.inner.init(key, input_size)
        leaves = jax.tree.leaves_with_path(self.inner.initial_state(params, (), jnp.float32))
        learned = {}
        for path, leaf in leaves:
            learned |= dict(zip(_names(path, leaf), _real_parts(leaf), strict=True))
        return {"inner": params, "initial_state": learned}

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """Returns the learned state, the same in every row."""
        learned = params["initial_state"]

        def for_all_rows(path: Any, like: Array) -> Array:
            own = [learned[name] for name in _names(path, like)]
            wide = [spread(part, real) for part, real in zip(own, _real_parts(like), strict=True)]
            return lax.complex(*wide) if len(wide) == 2 else wide[0]

        start = self.inner.initial_state(params["inner"], batch_shape, dtype)
        return jax.tree.map_with_path(for_all_rows, start)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        check_causal(self)
        return self.inner.step(params["inner"], state, x, rng=rng)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence, with resets step by step."""
        if how.reset is not None:
            # A reset inside the inner scan would return to the inner recurrence's own state.
            return Recurrence.scan(self, params, xs, state, how)
        return self.inner.scan(params["inner"], xs, state, how)


@dataclasses.dataclass(frozen=True, repr=False)
class ReturnStates(Wrapper):
    """States beside the outputs; see `return_states`."""

    inner: Recurrence

    def __post_init__(self) -> None:
        if not self.inner.causal:
            raise ValueError(
                f"return_states: {self.inner} reads the future, so it has no state at each step; "
                "wrap each direction: bidirectional(return_states(a), return_states(b))"
            )

    def output_size(self, input_size: int) -> int:
        """Returns the features of the outputs and of the states together."""
        return self.inner.output_size(input_size) + _state_size(self.inner, input_size)

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step."""
        state, y = self.inner.step(params, state, x, rng=rng)
        beside = [y]
        for leaf in jax.tree.leaves(state):
            for part in _real_parts(leaf):
                # [*batch, units], also of a leaf that has several axes of them, or none
                units = math.prod(part.shape[y.ndim - 1 :])
                beside.append(part.reshape(*y.shape[:-1], units).astype(y.dtype))
        return state, jnp.concatenate(beside, axis=-1)

    def split(
        self, params: Params, outputs: Float[Array, "*batch features"]
    ) -> tuple[Output, State]:
        """Takes the outputs apart.

        Args:
          params: of the recurrence.
          outputs: of a step or of many, `[..., outputs + states]`.

        Returns:
          The recurrence's own outputs, `[..., outputs]`, and its states: a state whose leaves begin
          with the same axes.
        """
        start = functools.partial(
            self.inner.initial_state, batch_shape=outputs.shape[:-1], dtype=outputs.dtype
        )
        likes, structure = jax.tree.flatten(jax.eval_shape(start, params))
        axes = outputs.ndim - 1
        leaves, end = [], outputs.shape[-1]
        # From the last leaf to the first, for they stand behind outputs of unknown size.
        for like in reversed(likes):
            units, real = math.prod(like.shape[axes:]), jnp.finfo(like.dtype).dtype
            pieces = []
            for _ in range(2 if jnp.issubdtype(like.dtype, jnp.complexfloating) else 1):
                piece = outputs[..., end - units : end]
                pieces.insert(0, piece.reshape(like.shape).astype(real))
                end -= units
            leaves.insert(0, lax.complex(*pieces) if len(pieces) == 2 else pieces[0])
        return outputs[..., :end], structure.unflatten(leaves)


@functools.lru_cache
def _state_size(recurrence: Recurrence, input_size: int) -> int:
    """Returns the real numbers that a state of one row holds."""

    def start() -> State:
        # A size of 0 asks for what does not depend on it, and not every cell has params for it.
        params = recurrence.init(jax.random.key(0), max(1, input_size))
        return recurrence.initial_state(params, (), jnp.float32)

    leaves = jax.tree.leaves(jax.eval_shape(start))
    complex_ones = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.complexfloating)]
    return sum(leaf.size for leaf in [*leaves, *complex_ones])


def _real_parts(leaf: Array) -> list[Array]:
    """Returns a leaf, or the real and the imaginary part of a complex one."""
    return [leaf.real, leaf.imag] if jnp.iscomplexobj(leaf) else [leaf]


def _names(path: Any, leaf: Array) -> list[str]:
    """Returns the names of a leaf's parts; a state that is one array is called h."""
    name = jax.tree_util.keystr(path, simple=True, separator="_") or "h"
    return [f"{name}_re", f"{name}_im"] if jnp.iscomplexobj(leaf) else [name]
