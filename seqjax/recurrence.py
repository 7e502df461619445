"""`Recurrence`, and the one engine that unrolls a step over time."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array

from seqjax.checks import (
    REMEMBERED,
    Layout,
    Plan,
    Shape,
    checked_features,
    checked_key,
    laid_out,
    lengths_in_range,
    plan,
)
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
        """The same pass with independent keys, for the `index`-th part of a combinator."""
        if self.rngs is None:
            return self
        return dataclasses.replace(
            self, rngs=jax.vmap(lambda key: jax.random.fold_in(key, index))(self.rngs)
        )

    def starts(self, time: int) -> Reset | None:
        """Where the state is thrown away before a step, `[time, *batch]`, in the direction of reading.

        Read backwards, a sequence is entered at its last step: the one before the next sequence's
        first.
        """
        if self.reset is None or not self.reverse or time == 0:
            return self.reset
        return jnp.concatenate([self.reset[1:], jnp.zeros_like(self.reset[:1])])


class Recurrence:
    """Something that remembers: data that says what it is, and pure functions that say what it does.

    A subclass is a frozen dataclass (with `repr=False`) that holds no array: it prints what it is,
    compares and hashes by value, and so serves as a static argument of `jax.jit` and as an
    attribute of a Flax module. It defines `init`, `output_size`, `initial_state` and `step`; `scan`
    comes with the base class, and a cell may have a faster one.
    """

    causal: ClassVar[bool] = True
    """False where an output depends on later inputs: then there is no `step`."""

    def __init_subclass__(cls, **options: Any):
        """Gives a class with a step of its own the scan over it, in place of one that was written for another step."""
        super().__init_subclass__(**options)
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
        """Fresh parameters for inputs of `input_size` features."""
        raise NotImplementedError

    def output_size(self, input_size: int) -> int:
        """Features of each output, given those of each input."""
        raise NotImplementedError

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """The state before the first step, for inputs of `dtype`; every leaf begins with `batch_shape`."""
        raise NotImplementedError

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """One time step: the next state, and the output `[*batch, output_size]`."""
        raise NotImplementedError

    def scan(
        self, params: Params, xs: Sequence, state: State, how: Pass = Pass()
    ) -> tuple[State, Outputs]:
        """A whole time-major sequence: the state after it, and the outputs `[time, *batch, output_size]`."""
        start = self.initial_state(params, xs.shape[1:-1], xs.dtype)
        return scan_steps(functools.partial(self.step, params), start, xs, state, how)


def state_dtype(dtype: Any) -> Any:
    """The dtype that states and sums are kept in: at least float32, so that bfloat16 inputs lose nothing over time."""
    # Not by jnp.promote_types, which refuses where JAX is told to promote no dtype.
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype


def select(mask: Mask, on_true: State, on_false: State) -> State:
    """Row by row `on_true` where `mask` `[*batch]`, else `on_false`, over pytrees whose leaves begin with the batch."""

    def pick(a, b):
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - mask.ndim)), a, b)

    return jax.tree.map(pick, on_true, on_false)


def spread(values: Array, like: Array) -> Array:
    """What all rows share, `[units]`, in the shape and the dtype of `like [*batch, units]`.

    Said in words, so that it also holds where JAX is told not to promote ranks and dtypes.
    """
    return jnp.broadcast_to(values.astype(like.dtype), like.shape)


def scan_steps(
    step: Callable, start: State, xs: Sequence, state: State, how: Pass
) -> tuple[State, Outputs]:
    """The engine: folds `step(state, x, rng=key) -> (state, y)` over time with `lax.scan`.

    Args:
      step: one time step.
      start: the state that a reset returns to.
      xs: inputs, `[time, *batch, features]`.
      state: the state before the first step read.
      how: lengths, resets, direction, keys and rematerialisation.

    Returns:
      The state after the last step read, and the outputs, `[time, *batch, ...]`.
    """
    time = xs.shape[0]

    def advance(state, inputs):
        t, x, starts, rng = inputs
        before = state if starts is None else select(starts, start, state)
        after, y = step(before, x, rng=rng)
        if how.lengths is None:
            return after, y
        valid = t < how.lengths
        return select(valid, after, state), select(valid, y, jax.tree.map(jnp.zeros_like, y))

    inputs = (jnp.arange(time, dtype=jnp.int32), xs, how.starts(time), how.rngs)
    for leaf in jax.tree.leaves(inputs):
        if leaf.shape[:1] != (time,):
            raise ValueError(
                f"xs have {time} steps; a reset or the keys have shape {leaf.shape}, not [{time}, ...]"
            )
    if how.remat == "step":
        advance = jax.checkpoint(advance, prevent_cse=False)
    sweep = functools.partial(lax.scan, advance, reverse=how.reverse)
    return (
        sweep_chunks(sweep, state, inputs, time, how.reverse)
        if how.remat == "sqrt"
        else sweep(state, inputs)
    )


def sweep_chunks(
    sweep: Callable, state: State, inputs: Any, time: int, reverse: bool, size: int | None = None
) -> tuple[State, Any]:
    """Runs `sweep(state, inputs)` over chunks of `size` steps, else of about sqrt(time); keeps the states between them.

    The backward pass runs each chunk again: by sqrt(time) memory grows, and work by one forward
    pass (Chen et al., 2016, "Training Deep Nets with Sublinear Memory Cost").
    """
    size = size or _near_root(time)
    whole = time - time % size
    sweep = jax.checkpoint(sweep, prevent_cse=False)
    chunks = jax.tree.map(lambda a: a[:whole].reshape(whole // size, size, *a.shape[1:]), inputs)
    rest = jax.tree.map(lambda a: a[whole:], inputs)
    last = None
    if reverse and whole < time:
        state, last = sweep(state, rest)
    state, ys = lax.scan(sweep, state, chunks, reverse=reverse)
    if not reverse and whole < time:
        state, last = sweep(state, rest)
    if whole == time:
        return state, jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), ys)
    join = lambda a, b: jnp.concatenate([a.reshape(whole, *a.shape[2:]), b])  # noqa: E731
    return state, jax.tree.map(join, ys, last)


def _near_root(time: int) -> int:
    """The largest divisor of `time` from half its root to its root, for a rest costs a copy of all; else the root."""
    root = max(1, math.isqrt(time))
    return next((size for size in range(root, root // 2, -1) if time % size == 0), root)


def unroll(
    recurrence: Recurrence,
    params: Params,
    xs: ArrayLike | list | tuple,
    state: State | None = None,
    *,
    lengths: ArrayLike | list | tuple | None = None,
    reset: ArrayLike | list | tuple | None = None,
    reverse: bool = False,
    rng: Any = None,
    remat: Remat = "none",
    backend: Backend = "auto",
    time_major: bool = False,
) -> tuple[State, Any]:
    """Runs a recurrence over a batch of sequences: the one public door to a sequence.

    Without options it is the fold of `recurrence.step` over time. The recurrence and the options
    are static, so a call compiles once for each of them and each shape.

    Args:
      recurrence: what to run.
      params: its parameters, from `recurrence.init`; arrays may be wrapped, as in `flax.nnx.Param`.
      xs: inputs, `[*batch, time, features]` with any number of batch axes, none included.
      state: the state to begin with, from `recurrence.initial_state` or an earlier call; None takes
        the former.
      lengths: valid steps of each row, integers `[*batch]`. Past a row's end outputs are zero, the
        state is held and whatever stands in the padding is ignored. Under `jax.jit`, where no value
        is known, what is out of range is clamped: 0 for less, all steps for more.
      reset: `[*batch, time]`, True at steps where a new sequence starts: the state returns to the
        initial one. With `reverse` the marks still stand on first steps in input order, and no
        memory crosses them.
      reverse: read each row backwards from its own end; outputs stay in input order.
      rng: key for dropout and its kin; None turns them off. Step t draws from
        `jax.random.fold_in(rng, t)`.
      remat: `"none"` keeps every step's activations for the backward pass; `"step"` keeps the
        states alone; `"sqrt"` keeps one state for each of about sqrt(time) chunks.
      backend: which implementation runs: `"auto"` or one of `seqjax.kernels.BACKENDS`. One that
        cannot do what is asked for gives way to `"fused"` or `"scan"`; `seqjax.kernels.explain`
        says which runs, and why.
      time_major: xs, reset and outputs have time as their first axis.

    Returns:
      `(state, ys)`: the state after each row's last step, and the outputs
      `[*batch, time, output_size]` in xs' dtype.

    Raises:
      TypeError: `xs` is not floating point, or an argument is not of its kind.
      ValueError: a shape does not fit, a length exceeds the sequence, or an option is unknown.

    Example:
      >>> import jax, seqjax
      >>> gru = seqjax.GRU(8)
      >>> params = gru.init(jax.random.key(0), 3)
      >>> state, ys = seqjax.unroll(gru, params, jax.numpy.ones((2, 5, 3)), lengths=[5, 2])
      >>> ys.shape, state.shape
      ((2, 5, 8), (2, 8))
    """
    if not isinstance(recurrence, Recurrence):
        raise TypeError(
            f"recurrence is a {type(recurrence).__name__}; give a seqjax.Recurrence, for example LSTM(256)"
        )
    order = "[time, *batch, features]" if time_major else "[*batch, time, features]"
    inputs = checked_features(xs, "xs", order, least_axes=2)
    batch_shape, time = _batch_and_time(inputs.shape, time_major)
    _check_option("remat", remat, get_args(Remat))
    _check_option("backend", backend, get_args(Backend))
    params, state = _fitted(recurrence, params, state, inputs.shape[-1], batch_shape, inputs.dtype)
    lengths = None if lengths is None else lengths_in_range(lengths, batch_shape, time, of=" of xs")
    reset = None if reset is None else _checked_reset(reset, batch_shape, time, time_major)
    rng = None if rng is None else checked_key(rng)
    return _unroll(
        recurrence,
        params,
        inputs,
        state,
        lengths,
        reset,
        rng,
        reverse=bool(reverse),
        remat=remat,
        backend=backend,
        time_major=bool(time_major),
    )


@functools.partial(
    jax.jit, static_argnums=0, static_argnames=("reverse", "remat", "backend", "time_major")
)
def _unroll(recurrence, params, xs, state, lengths, reset, rng, *, time_major, **options):
    if state is None:
        batch_shape, _ = _batch_and_time(xs.shape, time_major)
        state = recurrence.initial_state(params, batch_shape, xs.dtype)
    params, xs, state = _varying_alike((params, xs, state))
    run: Any = functools.partial(_sweep, recurrence, time_major=time_major, **options)
    place = jax.typeof(xs).sharding
    if explicit := place.mesh.explicit_axes:
        of_batch, of_time = _batch_and_time(place.spec, time_major)
        on_mesh = lambda axes: NamedSharding(place.mesh, PartitionSpec(*axes))  # noqa: E731
        of_state = jax.tree.map(
            lambda leaf: on_mesh((*of_batch, *[None] * (leaf.ndim - len(of_batch)))), state
        )
        of_ys = on_mesh((of_time, *of_batch, None) if time_major else (*of_batch, of_time, None))
        run = jax.sharding.auto_axes(run, axes=explicit, out_sharding=(of_state, of_ys))
    return run(params, xs, state, lengths, reset, rng)


def _varying_alike(tree: Any) -> Any:
    """The same arrays, each varying over all axes of a mesh that one of them varies over inside `jax.shard_map`."""
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return tree
    zero = sum(lax.full_like(leaf, 0, jnp.float32, ()) for leaf in jax.tree.leaves(tree))
    return jax.tree.map(lambda leaf: leaf + lax.convert_element_type(zero, leaf.dtype), tree)


def _sweep(
    recurrence, params, xs, state, lengths, reset, rng, *, reverse, remat, backend, time_major
):
    if not time_major:
        xs = jnp.moveaxis(xs, -2, 0)
        reset = None if reset is None else jnp.moveaxis(reset, -1, 0)
    time = xs.shape[0]
    if lengths is not None:
        lengths = jnp.asarray(lengths)
        valid = (
            jnp.arange(time, dtype=jnp.int32).reshape(time, *(1,) * lengths.ndim) < lengths[None]
        )
        xs = jnp.where(valid[..., None], xs, 0)
        reset = None if reset is None else reset & valid
    rngs = (
        None
        if rng is None
        else jax.vmap(functools.partial(jax.random.fold_in, rng))(jnp.arange(time))
    )
    how = Pass(lengths, reset, rngs, reverse, remat, backend)
    state, ys = recurrence.scan(params, xs, state, how)
    return state, ys if time_major else jnp.moveaxis(ys, 0, -2)


def _check_option(name: str, given: Any, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ValueError(
            f"{name}={given!r} is unknown; choose one of {', '.join(map(repr, known))}"
        )


def _batch_and_time(shape: tuple[int, ...], time_major: bool) -> tuple[tuple[int, ...], int]:
    return (shape[1:-1], shape[0]) if time_major else (shape[:-2], shape[-2])


def _fitted(recurrence, params, state, features, batch_shape, dtype):
    """Params and state in the containers of the recurrence, after a look at every shape; the state in its dtype.

    The looking is remembered by shapes, dtypes and containers, so that a loop of single steps pays
    for it once.
    """
    leaves, layout = laid_out(params)
    params = _params_plan(recurrence, features, layout).carry_out(leaves)
    if state is None:
        return params, None
    leaves, given = laid_out(state)
    return params, _state_plan(recurrence, features, layout, batch_shape, dtype, given).carry_out(
        leaves
    )


@functools.lru_cache(maxsize=REMEMBERED)
def _params_plan(recurrence: Recurrence, features: int, given: Layout) -> Plan:
    wanted = jax.eval_shape(lambda: recurrence.init(jax.random.key(0), features))
    return plan("params", f"{recurrence} on inputs of {features} features", given, wanted)


@functools.lru_cache(maxsize=REMEMBERED)
def _state_plan(
    recurrence: Recurrence,
    features: int,
    params: Layout,
    batch_shape: Shape,
    dtype: Any,
    given: Layout,
) -> Plan:
    like = _params_plan(recurrence, features, params).carry_out(jax.tree.leaves(params.structs()))
    start = functools.partial(recurrence.initial_state, batch_shape=batch_shape, dtype=dtype)
    wanted = jax.eval_shape(start, like)
    found = plan("state", f"{recurrence} on batch {batch_shape}", given, wanted)
    return found._replace(dtypes=state_dtypes(found, given, wanted, recurrence))


def state_dtypes(found: Plan, given: Layout, wanted: State, owner: Any) -> tuple[Any, ...]:
    """The wanted dtype of each leaf of a state.

    Raises:
      TypeError: a leaf is complex where real numbers are wanted.
    """
    dtypes = tuple(leaf.dtype for leaf in jax.tree.leaves(wanted))
    for index, dtype in zip(found.order, dtypes, strict=True):
        has = given.dtypes[index]
        if jnp.issubdtype(has, jnp.complexfloating) and not jnp.issubdtype(
            dtype, jnp.complexfloating
        ):
            raise TypeError(f"the state is {has}; {owner} remembers real numbers, give {dtype}")
    return dtypes


def _checked_reset(reset, batch_shape, time, time_major):
    reset = jnp.asarray(reset)
    wanted = (time, *batch_shape) if time_major else (*batch_shape, time)
    if reset.dtype != jnp.bool_:
        raise TypeError(f"reset is {reset.dtype}; give booleans, True where a new sequence starts")
    if reset.shape != wanted:
        raise ValueError(f"reset has shape {reset.shape}; these xs want {wanted}")
    return reset
