"""`unroll`: the one public door from a recurrence to a sequence."""

import functools
from typing import Any, get_args

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
    state_dtypes,
)
from seqjax.recurrence import Pass, Recurrence
from seqjax.typing import Backend, KeyArray, Lengths, Params, Remat, State


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
        states alone; `"sqrt"` keeps one state for each of about sqrt(time) chunks, and so do the
        compiled kernels by either.
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
            f"recurrence is a {type(recurrence).__name__}; "
            "give a seqjax.Recurrence, for example LSTM(256)"
        )
    order = "[time, *batch, features]" if time_major else "[*batch, time, features]"
    inputs = checked_features(xs, "xs", order, least_axes=2)
    batch_shape, time = _batch_and_time(inputs.shape, time_major)
    _check_option("remat", remat, get_args(Remat))
    _check_option("backend", backend, get_args(Backend))
    params, state = _fitted(recurrence, params, state, inputs.shape[-1], batch_shape, inputs.dtype)
    if lengths is not None:
        lengths = lengths_in_range(lengths, batch_shape, time, of=" of xs")
    if reset is not None:
        reset = _checked_reset(reset, batch_shape, time, time_major)
    if rng is not None:
        rng = checked_key(rng)
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
def _unroll(
    recurrence: Recurrence,
    params: Params,
    xs: Any,
    state: State | None,
    lengths: Lengths | None,
    reset: Any,
    rng: KeyArray | None,
    *,
    time_major: bool,
    **options: Any,
) -> tuple[State, Any]:
    """Runs the compiled part of `unroll`.

    On a mesh with explicit axes the outputs lie as the inputs do.
    """
    if state is None:
        batch_shape, _ = _batch_and_time(xs.shape, time_major)
        state = recurrence.initial_state(params, batch_shape, xs.dtype)
    params, xs, state = varying_alike((params, xs, state))
    run: Any = functools.partial(_sweep, recurrence, time_major=time_major, **options)
    place = jax.typeof(xs).sharding
    if explicit := place.mesh.explicit_axes:
        of_batch, of_time = _batch_and_time(place.spec, time_major)

        def on_mesh(axes: tuple) -> NamedSharding:
            return NamedSharding(place.mesh, PartitionSpec(*axes))

        def as_batch(leaf: Any) -> NamedSharding:
            return on_mesh((*of_batch, *[None] * (leaf.ndim - len(of_batch))))

        # Features are whole on every device; batch and time are spread as those of xs.
        of_state = jax.tree.map(as_batch, state)
        axes_of_ys = (of_time, *of_batch, None) if time_major else (*of_batch, of_time, None)
        of_ys = on_mesh(axes_of_ys)
        run = jax.sharding.auto_axes(run, axes=explicit, out_sharding=(of_state, of_ys))
    return run(params, xs, state, lengths, reset, rng)


def varying_alike(tree: Any) -> Any:
    """Returns the same arrays, all varying over the same axes of a mesh inside `jax.shard_map`.

    These are the axes that any of them varies over: a loop wants its carry to keep its type.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return tree
    # A sum varies as all of its terms do; it is zero, and so is what it adds.
    zero = sum(lax.full_like(leaf, 0, jnp.float32, ()) for leaf in jax.tree.leaves(tree))
    return jax.tree.map(lambda leaf: leaf + lax.convert_element_type(zero, leaf.dtype), tree)


def _sweep(
    recurrence: Recurrence,
    params: Params,
    xs: Any,
    state: State,
    lengths: Lengths | None,
    reset: Any,
    rng: KeyArray | None,
    *,
    reverse: bool,
    remat: Remat,
    backend: Backend,
    time_major: bool,
) -> tuple[State, Any]:
    """Brings the axes in order, empties the padding, and lets the recurrence scan."""
    if not time_major:
        xs = jnp.moveaxis(xs, -2, 0)
        if reset is not None:
            reset = jnp.moveaxis(reset, -1, 0)
    # From here on [time, *batch, features] and [time, *batch].
    time = xs.shape[0]
    if lengths is not None:
        lengths = jnp.asarray(lengths)
        steps = jnp.arange(time, dtype=jnp.int32).reshape(time, *(1,) * lengths.ndim)
        valid = steps < lengths[None]  # [time, *batch]
        # Whatever stands in the padding, NaN included, reaches neither state nor gradient.
        xs = jnp.where(valid[..., None], xs, 0)
        if reset is not None:
            reset = reset & valid
    # A key for each step, [time].
    rngs = None
    if rng is not None:
        rngs = jax.vmap(functools.partial(jax.random.fold_in, rng))(jnp.arange(time))
    how = Pass(lengths, reset, rngs, reverse, remat, backend)
    state, ys = recurrence.scan(params, xs, state, how)
    if not time_major:
        ys = jnp.moveaxis(ys, 0, -2)
    return state, ys


def _check_option(name: str, given: Any, known: tuple[str, ...]) -> None:
    """Refuses a value that is not among those known."""
    if given not in known:
        raise ValueError(
            f"{name}={given!r} is unknown; choose one of {', '.join(map(repr, known))}"
        )


def _batch_and_time(shape: Any, time_major: bool) -> tuple[Any, Any]:
    """Takes batch and time out of a shape, or of another tuple with an entry for each axis."""
    return (shape[1:-1], shape[0]) if time_major else (shape[:-2], shape[-2])


def _fitted(
    recurrence: Recurrence,
    params: Params,
    state: State | None,
    features: int,
    batch_shape: Shape,
    dtype: Any,
) -> tuple[Params, State | None]:
    """Returns params and state in the containers of the recurrence; the state in its dtype.

    Every shape is looked at before. The looking is remembered by shapes, dtypes and containers, so
    that a loop of single steps pays for it once.
    """
    leaves, layout = laid_out(params)
    params = _params_plan(recurrence, features, layout).carry_out(leaves)
    if state is None:
        return params, None
    leaves, given = laid_out(state)
    found = _state_plan(recurrence, features, layout, batch_shape, dtype, given)
    return params, found.carry_out(leaves)


@functools.lru_cache(maxsize=REMEMBERED)
def _params_plan(recurrence: Recurrence, features: int, given: Layout) -> Plan:
    """Returns how params of this layout become those of the recurrence."""
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
    """Returns how a state of this layout becomes that of the recurrence, dtypes included."""
    like = _params_plan(recurrence, features, params).carry_out(jax.tree.leaves(params.structs()))
    start = functools.partial(recurrence.initial_state, batch_shape=batch_shape, dtype=dtype)
    wanted = jax.eval_shape(start, like)
    found = plan("state", f"{recurrence} on batch {batch_shape}", given, wanted)
    return found._replace(dtypes=state_dtypes(found, given, wanted, recurrence))


def _checked_reset(reset: Any, batch_shape: Shape, time: int, time_major: bool) -> Array:
    """Returns the marks as an array, after a look at dtype and shape."""
    reset = jnp.asarray(reset)
    wanted = (time, *batch_shape) if time_major else (*batch_shape, time)
    if reset.dtype != jnp.bool_:
        raise TypeError(f"reset is {reset.dtype}; give booleans, True where a new sequence starts")
    if reset.shape != wanted:
        raise ValueError(f"reset has shape {reset.shape}; these xs want {wanted}")
    return reset
