"""`Recurrence`, and the one engine that runs a step over time."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from seqjax.typing import (
    Backend,
    Frame,
    KeyArray,
    Lengths,
    Mask,
    Output,
    Outputs,
    Params,
    Remat,
    Reset,
    Sequence,
    State,
    StepKeys,
)


@dataclasses.dataclass(frozen=True)
class Pass:
    """How one pass over time is made: what `unroll` tells `Recurrence.scan`, time-major.

    Attributes:
      lengths: valid steps of each row, `[*batch]`; None when all are. The inputs past a row's end
        are zero already.
      reset: `[time, *batch]`, True at the first step of each sequence, in input order whatever the
        direction.
      rngs: one key for each time step, `[time]`; None turns every dropout off.
      reverse: read from the last step to the first; outputs stay in input order.
      remat: what the backward pass recomputes, see `unroll`.
      backend: which implementation runs, see `unroll`.
    """

    lengths: Lengths | None = None
    reset: Reset | None = None
    rngs: StepKeys | None = None
    reverse: bool = False
    remat: Remat = "none"
    backend: Backend = "auto"

    def branch(self, index: int) -> "Pass":
        """Returns the pass with independent keys, for the `index`-th part of a combinator."""
        if self.rngs is None:
            return self

        def of_part(key: KeyArray) -> KeyArray:
            return jax.random.fold_in(key, index)

        return dataclasses.replace(self, rngs=jax.vmap(of_part)(self.rngs))

    def starts(self, time: int) -> Reset | None:
        """Returns where the state is thrown away before a step, `[time, *batch]`.

        Read backwards, a sequence is entered at its last step: the one before the next sequence's
        first.
        """
        # The marks move one step ahead; none stands before the last step, where reading begins.
        if self.reset is None or not self.reverse or time == 0:
            return self.reset
        return jnp.concatenate([self.reset[1:], jnp.zeros_like(self.reset[:1])])


class Recurrence:
    """Something that remembers: data that says what it is, pure functions that say what it does.

    A subclass is a frozen dataclass (with `repr=False`) that holds no array: it prints what it is,
    compares and hashes by value, and so serves as a static argument of `jax.jit` and as an
    attribute of a Flax module. It defines `init`, `output_size`, `initial_state` and `step`; `scan`
    comes with the base class, and a cell may have a faster one. The rest says more of a recurrence
    to those that ask: what is left out is answered on the safe side.
    """

    causal: ClassVar[bool] = True
    """False where an output depends on later inputs: then there is no `step`."""

    parallel: ClassVar[bool] = False
    """True where `scan` reads many steps at once, not one after another."""

    parallel_form: ClassVar[str] = "linear scan, for it is linear in its state"
    """What a parallel `scan` is and why, as `seqjax.kernels.explain` says it."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Gives a class with a step of its own the scan over that step.

        It takes the place of a scan that was written for another step.
        """
        super().__init_subclass__(**options)
        # The nearest class that defines a scan, and whether it wrote it for a step of its own.
        owner = next(base for base in cls.__mro__ if "scan" in vars(base))
        if "step" in vars(cls) and owner not in (cls, Recurrence) and "step" in vars(owner):
            cls.scan = Recurrence.scan

    def __repr__(self) -> str:
        fields = [(f, getattr(self, f.name)) for f in dataclasses.fields(self)]  # pyright: ignore[reportArgumentType]
        needed = [repr(value) for f, value in fields if f.default is dataclasses.MISSING]
        chosen = [
            f"{f.name}={value!r}"
            for f, value in fields
            if f.default not in (dataclasses.MISSING, value)
        ]
        return f"{type(self).__name__}({', '.join(needed + chosen)})"

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        raise NotImplementedError

    def output_size(self, input_size: int) -> int:
        """Returns the features of each output, given those of each input."""
        raise NotImplementedError

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """Returns the state before the first step, for inputs of `dtype`.

        Every leaf begins with `batch_shape`.
        """
        raise NotImplementedError

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step; returns the next state, and the output `[*batch, output_size]`."""
        raise NotImplementedError

    def scan(
        self, params: Params, xs: Sequence, state: State, how: Pass = Pass()
    ) -> tuple[State, Outputs]:
        """Reads a whole time-major sequence.

        Returns:
          The state after it, and the outputs `[time, *batch, output_size]`.
        """
        start = self.initial_state(params, xs.shape[1:-1], xs.dtype)
        return scan_steps(functools.partial(self.step, params), start, xs, state, how)

    def formula(self) -> str | None:
        """Returns its name among the fast kernels; None where they do not know it."""
        return None

    def read(self, params: Params, state: State, x: Frame) -> Output | None:
        """Returns the output of the step that read x and left `state`; None where it is unknown.

        An output that is a function of the state hands on what is done to the state from outside.
        """
        return None

    def shown(self, state: State) -> Output | None:
        """Returns what the last layer shows of its state, `[*batch, hidden]`; None for nothing."""
        return None

    def ends(self, first: Output, last: Output) -> Array:
        """Returns the output of every direction after the last step that it reads.

        Args:
          first: the output of each row's first step, `[*batch, outputs]`.
          last: that of its last valid step.

        Returns:
          `last` of a causal recurrence. Of another both side by side, `[*batch, 2 outputs]`, for
          it is not known which features have read which way.
        """
        return last if self.causal else jnp.concatenate([last, first], axis=-1)


def parts(recurrence: Recurrence) -> dict[str, Recurrence | tuple[Recurrence, ...]]:
    """Returns the recurrences whose scans a combinator's scan is made of, by field.

    There are none in one that runs its own step over time, whatever that step is made of.
    """
    if type(recurrence).scan is Recurrence.scan:
        return {}
    found = {}
    for field in dataclasses.fields(recurrence):  # pyright: ignore[reportArgumentType]
        value = getattr(recurrence, field.name)
        values = value if isinstance(value, tuple) else (value,)
        if values and all(isinstance(item, Recurrence) for item in values):
            found[field.name] = value
    return found


def state_dtype(dtype: Any) -> Any:
    """Returns the dtype that states and sums are kept in.

    It is at least float32, so that bfloat16 inputs lose nothing over time.
    """
    # Not by jnp.promote_types, which refuses where JAX is told to promote no dtype.
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype


def select(mask: Mask, on_true: State, on_false: State) -> State:
    """Picks `on_true` in rows where `mask [*batch]` holds, else `on_false`.

    Both are pytrees whose leaves begin with the batch.
    """

    def pick(a: Any, b: Any) -> Array:
        # The mask with an axis of 1 for each that the leaf has beyond the batch.
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - mask.ndim)), a, b)

    return jax.tree.map(pick, on_true, on_false)


def spread(values: Array, like: Array) -> Array:
    """Spreads what all rows share, `[units]`, to shape and dtype of `like [*batch, units]`.

    Said in words, so that it also holds where JAX is told not to promote ranks and dtypes.
    """
    return jnp.broadcast_to(values.astype(like.dtype), like.shape)


def is_valid(steps: Array, lengths: Lengths) -> Mask:
    """Tells which of some steps `[steps]` lie before each row's end, `[steps, *batch]`."""
    return steps.reshape(-1, *(1,) * lengths.ndim) < lengths[None]


def turned(values: Array, lengths: Lengths | None) -> Array:
    """Turns each row's valid steps round; the padding stays behind them. Done twice it is as before.

    Args:
      values: `[time, *batch, ...]`.
      lengths: valid steps of each row, `[*batch]`; None when all are.
    """
    if lengths is None:
        return values[::-1]
    times = jnp.arange(values.shape[0], dtype=lengths.dtype)
    after = lengths[None] - 1 - times.reshape(-1, *(1,) * lengths.ndim)
    order = jnp.where(after >= 0, after, lengths[None] - 1 - after)
    # The order with an axis of 1 for each that the values have beyond the batch.
    order = order.reshape(*order.shape, *(1,) * (values.ndim - order.ndim))
    return jnp.take_along_axis(values, order, axis=0)


def advancing(step: Callable, start: State, lengths: Lengths | None) -> Callable:
    """Returns the body of a loop over time, `(state, (t, x, starts, rng)) -> (state, y)`.

    Args:
      step: one time step, `step(state, x, rng=key) -> (state, y)`.
      start: the state that a reset returns to.
      lengths: valid steps of each row, or None.
    """

    def advance(state: State, inputs: tuple) -> tuple[State, Any]:
        t, x, starts, rng = inputs
        before = state if starts is None else select(starts, start, state)
        after, y = step(before, x, rng=rng)
        if lengths is None:
            return after, y
        # Past a row's end the state is held, resets ignored, and the output is zero.
        valid = t < lengths  # [*batch]
        return select(valid, after, state), select(valid, y, jax.tree.map(jnp.zeros_like, y))

    return advance


def scan_steps(
    step: Callable, start: State, xs: Sequence, state: State, how: Pass
) -> tuple[State, Outputs]:
    """Folds `step(state, x, rng=key) -> (state, y)` over time with `lax.scan`: the engine.

    Args:
      step: one time step.
      start: the state that a reset returns to.
      xs: inputs, `[time, *batch, features]`.
      state: the state before the first step read.
      how: lengths, resets, direction, keys and rematerialisation.

    Returns:
      The state after the last step read, and the outputs, `[time, *batch, ...]`.
    """
    time, advance = xs.shape[0], advancing(step, start, how.lengths)
    inputs = (jnp.arange(time, dtype=jnp.int32), xs, how.starts(time), how.rngs)
    for leaf in jax.tree.leaves(inputs):
        if leaf.shape[:1] != (time,):
            raise ValueError(
                f"xs have {time} steps; "
                f"a reset or the keys have shape {leaf.shape}, not [{time}, ...]"
            )
    if how.remat == "step":
        advance = jax.checkpoint(advance, prevent_cse=False)
    sweep = functools.partial(lax.scan, advance, reverse=how.reverse)
    if how.remat == "sqrt":
        return sweep_chunks(sweep, state, inputs, time, how.reverse)
    return sweep(state, inputs)


def sweep_chunks(
    sweep: Callable, state: State, inputs: Any, time: int, reverse: bool, size: int | None = None
) -> tuple[State, Any]:
    """Runs `sweep(state, inputs)` over chunks of time, and keeps the states between them.

    The backward pass runs each chunk again: by sqrt(time) memory grows, and work by one forward
    pass (Chen et al., 2016, "Training Deep Nets with Sublinear Memory Cost").

    Args:
      sweep: runs some steps, `(state, inputs) -> (state, ys)`.
      state: before the first step read.
      inputs: a pytree of `[time, ...]`.
      time: steps of all chunks together.
      reverse: read the last step first.
      size: steps of a chunk; None takes about sqrt(time).

    Returns:
      The state after the last step read, and the outputs, leaves `[time, ...]`.
    """
    size = size or _near_root(time)
    whole = time - time % size
    sweep = jax.checkpoint(sweep, prevent_cse=False)

    def cut(leaf: Any) -> Any:
        return leaf[:whole].reshape(whole // size, size, *leaf.shape[1:])

    def rejoin(leaf: Any) -> Any:
        return leaf.reshape(whole, *leaf.shape[2:])

    # Leaves [chunks, size, ...], and a rest of less than `size` steps, which stands last in time.
    chunks = jax.tree.map(cut, inputs)
    rest = jax.tree.map(lambda a: a[whole:], inputs)
    last = None
    # Backwards the rest is read first, forwards last.
    if reverse and whole < time:
        state, last = sweep(state, rest)
    state, ys = lax.scan(sweep, state, chunks, reverse=reverse)
    if not reverse and whole < time:
        state, last = sweep(state, rest)
    if whole == time:
        return state, jax.tree.map(rejoin, ys)
    return state, jax.tree.map(lambda a, b: jnp.concatenate([rejoin(a), b]), ys, last)


def _near_root(time: int) -> int:
    """Returns the largest divisor of `time` from half its root to its root; else the root.

    Without a rest no copy of all outputs is made.
    """
    root = max(1, math.isqrt(time))
    return next((size for size in range(root, root // 2, -1) if time % size == 0), root)
