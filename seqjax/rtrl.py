"""Real-time recurrent learning: exact gradients step by step, in memory that time does not fill.

Backpropagation through time keeps a whole sequence; here a recurrence goes forwards only, and
carries beside its state how that depends on the parameters (Williams and Zipser, 1989). So it
learns from a stream that never ends:

    online = rtrl.init(recurrence, params, batch_shape, input_size)
    online, y, pull = rtrl.step(recurrence, params, online, x)
    gradient = pull(dy)                     # of this step's loss, by the parameters of all steps

The sum of these gradients over a sequence is the gradient that `jax.grad` finds through
`seqjax.unroll`, as long as the parameters stay. Where they change at each step, the older part of
the sensitivity is that of the older parameters.

What it costs depends on the recurrence, which is tried on drawn numbers:

| recurrence                                                  | memory, a row | work of a step |
|-------------------------------------------------------------|---------------|----------------|
| diagonal: LRU, MinGRU, MinLSTM, also gated or with dropout  | params        | params         |
| any other that is causal: cells with `w_h`, stacks          | state * params | state^2 * params |

Diagonal is one whose units do not see each other and have parameters of their own, in whatever
layout (Zucchet et al., 2023). Parameters that the output alone reads take no memory.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.tree_util import Partial
from jaxtyping import Array, Float

from seqjax.checks import REMEMBERED
from seqjax.recurrence import Recurrence
from seqjax.typing import Frame, Output, Params, State

TRIALS, MOST_TRIALS, TOLERANCE = 4, 64, 1e-4
"""Rows that a recurrence is tried on; at most, where some parameter moved nothing; and the error of
numbers that should be equal."""


class Online(NamedTuple):
    """Holds what learning online remembers.

    Attributes:
      state: of the recurrence; leaves `[*batch, ...]`.
      sensitivity: its derivative by the parameters. Of a diagonal recurrence a list with an array
        `[*batch, *shape]` for each parameter that reaches the state, else one array `[*batch,
        numbers of the state, numbers of the params]`.
    """

    state: State
    sensitivity: Any


def init(
    recurrence: Recurrence,
    params: Params,
    batch_shape: tuple[int, ...],
    input_size: int,
    dtype: Any = jnp.float32,
) -> Online:
    """Returns what is remembered before the first step.

    Args:
      recurrence: a causal one; dropout is off.
      params: its parameters, real.
      batch_shape: of the rows, `()` for one.
      input_size: features of each input.
      dtype: that of the inputs.

    Raises:
      ValueError: the recurrence is not causal.

    Example:
      A stream without an end, whose target is the input of two steps before:

      >>> import jax, jax.numpy as jnp, seqjax
      >>> from seqjax import rtrl
      >>> net = seqjax.LRU(8)
      >>> params = net.init(jax.random.key(0), 1)
      >>> def loss(y, target):
      ...     return jnp.square(y.mean() - target)
      >>> @jax.jit
      ... def learn(params, online, x, target):
      ...     online, y, pull = rtrl.step(net, params, online, x)
      ...     value, dy = jax.value_and_grad(loss)(y, target)
      ...     gradient = pull(dy)
      ...     return jax.tree.map(lambda p, g: p - 0.03 * g, params, gradient), online, value
      >>> stream = jax.random.normal(jax.random.key(1), (402,))
      >>> online, losses = rtrl.init(net, params, (), 1), []
      >>> for t in range(2, 402):
      ...     params, online, value = learn(params, online, stream[t, None], stream[t - 2])
      ...     losses.append(value)
      >>> bool(sum(losses[-100:]) < 0.1 * sum(losses[:100]))
      True
    """
    if not recurrence.causal:
        raise ValueError(
            f"{recurrence} reads the future; learning forwards wants a causal recurrence"
        )
    row = functools.partial(recurrence.initial_state, batch_shape=(), dtype=dtype)
    units = _units(recurrence, input_size)
    if units is None:
        vector, unravel = ravel_pytree(params)

        def flat_start(p: Array) -> Array:
            return _flat(row(unravel(p)))

        sensitivity: Any = jax.jacrev(flat_start)(vector)
    else:
        sensitivity = _reaching(_unit_derivatives(row, params), units)

    def for_all_rows(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf, (*batch_shape, *leaf.shape))

    state = recurrence.initial_state(params, batch_shape, dtype)
    return Online(state, jax.tree.map(for_all_rows, sensitivity))


def step(
    recurrence: Recurrence, params: Params, online: Online, x: Frame
) -> tuple[Online, Output, Callable[[Output], Params]]:
    """Reads one step.

    Args:
      recurrence: as given to `init`.
      params: its parameters.
      online: before the step.
      x: the input, `[*batch, features]`.

    Returns:
      `(online, y, pull)`: what is remembered after the step, the output `[*batch, outputs]`, and a
      function from the loss's gradient by y to its gradient by the parameters, in which they count
      at this step and at every one before. `pull` is a pytree of arrays, so that it may leave
      `jax.jit`.
    """

    def forward(params: Params, state: State) -> tuple[State, Output]:
        return recurrence.step(params, state, x)

    (state, y), back = jax.vjp(forward, params, online.state)
    units = _units(recurrence, x.shape[-1])
    move = _move_any if units is None else functools.partial(_move_diagonal, units=units)
    sensitivity = move(recurrence, params, online, x)
    pull = Partial(_pull, back, state, online.sensitivity, units)
    return Online(state, sensitivity), y, pull


def _pull(back: Callable, state: State, sensitivity: Any, units: Any, dy: Output) -> Params:
    """Returns the gradient by the parameters: what is direct, and what comes over the state."""
    direct, d_state = back((jax.tree.map(jnp.zeros_like, state), dy))
    if units is None:
        vector, unravel = ravel_pytree(direct)
        # Of a complex leaf the gradient is that of the real part, less i times the other's.
        d_rows = _flat_rows(jax.tree.map(jnp.conj, d_state), dy.shape[:-1])
        # [rows, numbers of the state] with [rows, numbers of the state, numbers of the params]
        dense = sensitivity.reshape(*d_rows.shape, vector.size)
        return unravel(vector + jnp.einsum("rs,rsp->p", d_rows, dense).astype(vector.dtype))
    (d_units,) = jax.tree.leaves(d_state)
    leaves, structure = jax.tree.flatten(direct)
    waiting = iter(sensitivity)
    for index, unit in enumerate(units):
        if unit is not None:
            leaf = leaves[index]
            # [*batch, *shape]: each parameter reaches the loss by its own unit alone.
            over_state = jnp.real(d_units[..., unit] * next(waiting))
            rows = tuple(range(over_state.ndim - leaf.ndim))
            leaves[index] = leaf + over_state.sum(rows).astype(leaf.dtype)
    return structure.unflatten(leaves)


def _move_diagonal(
    recurrence: Recurrence, params: Params, online: Online, x: Frame, units: Any
) -> list[Array]:
    """Moves the sensitivity of a diagonal recurrence by one step: each unit's by its own decay."""
    (before,), structure = jax.tree.flatten(online.state)

    def after(state: Array) -> Array:
        return jax.tree.leaves(recurrence.step(params, structure.unflatten([state]), x)[0])[0]

    # ds'/ds, [*batch, H]: all units at once, for none sees another.
    _, decay = jax.jvp(after, (before,), (jnp.ones_like(before),))

    def local(state: State, x: Frame) -> Any:
        return _unit_derivatives(lambda p: recurrence.step(p, state, x)[0], params)

    fresh = _reaching(_over_rows(local, x.ndim - 1)(online.state, x), units)
    moved, reaching = [], [unit for unit in units if unit is not None]
    for unit, old, new in zip(reaching, online.sensitivity, fresh, strict=True):
        moved.append((decay[..., unit] * old + new).astype(old.dtype))
    return moved


def _move_any(recurrence: Recurrence, params: Params, online: Online, x: Frame) -> Array:
    """Moves the sensitivity by one step, `S' = (ds'/ds) S + ds'/dparams`."""
    vector, unravel = ravel_pytree(params)

    def of_row(state: State, sensitivity: Array, x: Frame) -> Array:
        flat, restore = _flat_and_back(state)

        def after(p: Array, s: Array) -> Array:
            return _flat(recurrence.step(unravel(p), restore(s), x)[0])

        # [numbers of the state, numbers of the params], and a square one of the state
        by_params, by_state = jax.jacrev(after, argnums=(0, 1))(vector, flat)
        return (by_state @ sensitivity + by_params).astype(sensitivity.dtype)

    return _over_rows(of_row, x.ndim - 1)(online.state, online.sensitivity, x)


def _unit_derivatives(function: Callable[[Params], State], params: Params) -> list[Array]:
    """Returns for each parameter the derivative of the one unit of a row's state that it moves."""
    after, back = jax.vjp(function, params)

    def pulled(factor: float | complex) -> list[Array]:
        # A sum over the units, of which all others have no share.
        return jax.tree.leaves(back(jax.tree.map(lambda a: jnp.full_like(a, factor), after))[0])

    if jnp.iscomplexobj(jax.tree.leaves(after)[0]):
        return [lax.complex(*both) for both in zip(pulled(1.0), pulled(-1j), strict=True)]
    return pulled(1.0)


def _reaching(leaves: list[Array], units: Any) -> list[Array]:
    """Returns the leaves of those parameters that reach the state."""
    return [leaf for leaf, unit in zip(leaves, units, strict=True) if unit is not None]


@functools.lru_cache(maxsize=REMEMBERED)
def _units(recurrence: Recurrence, input_size: int) -> tuple[np.ndarray | None, ...] | None:
    """Returns the unit of the state that each parameter moves, where the recurrence is diagonal.

    It is tried on drawn parameters, states and inputs: neither layout nor kind need be known.

    Returns:
      For each leaf of the params the units in its shape, or None where it does not reach the state;
      None for all where a unit sees another, or a parameter moves several.
    """
    like = jax.eval_shape(lambda: recurrence.init(jax.random.key(0), input_size))
    draw = np.random.default_rng(0)
    found: list[np.ndarray] = []
    # Coarse products, the default on accelerators, would blur which unit it is.
    with jax.ensure_compile_time_eval(), jax.default_matmul_precision("highest"):
        for count in range(MOST_TRIALS):
            # Where a parameter moved nothing, such as one behind a relu, another trial tells.
            if count >= TRIALS and not _is_open(found):
                break
            trial = _units_of_trial(recurrence, like, input_size, draw)
            if trial is None:
                return None
            found = found or trial
            known = zip(found, trial, strict=True)
            if any(np.any((a >= 0) & (b >= 0) & (a != b)) for a, b in known):
                return None
            found = [np.maximum(*both) for both in zip(found, trial, strict=True)]
    # What still moves nothing has no share in any unit, so that 0 does.
    return tuple(np.maximum(units, 0) if np.any(units >= 0) else None for units in found)


def _is_open(found: list[np.ndarray]) -> bool:
    """Tells whether nothing moved a unit so far, or only some entries of a parameter did."""
    moves = [units >= 0 for units in found]
    mixed = any(np.any(entries) and not np.all(entries) for entries in moves)
    return mixed or not any(np.any(entries) for entries in moves)


def _units_of_trial(
    recurrence: Recurrence, like: Any, input_size: int, draw: np.random.Generator
) -> list[np.ndarray] | None:
    """Returns the unit that each parameter moves, -1 for none; None where it is not diagonal."""
    params = jax.tree.map(functools.partial(_drawn, draw), like)
    x = _drawn(draw, jax.ShapeDtypeStruct((input_size,), jnp.float32))
    start = jax.eval_shape(lambda p: recurrence.initial_state(p, (), jnp.float32), params)
    leaves, structure = jax.tree.flatten(start)
    if len(leaves) != 1 or leaves[0].ndim != 1:
        return None
    noise, tangent = (_drawn(draw, leaves[0]) for _ in range(2))
    # Of all units' sum, of the sum weighted by their numbers, and of one weighted by noise.
    units = leaves[0].size
    weights = np.stack([np.ones(units), np.arange(1, units + 1), draw.normal(size=units)])
    decays, pulled = _tried(recurrence, structure, params, x, noise, tangent, weights)
    # A unit sees no other where any tangent comes out as the ones', unit by unit.
    if not np.allclose(decays[0], decays[1], TOLERANCE, TOLERANCE):
        return None
    found = [_units_of_leaf(*np.asarray(leaf), noise=weights[2]) for leaf in pulled]
    return None if any(leaf is None for leaf in found) else found  # pyright: ignore[reportReturnType]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _tried(
    recurrence: Recurrence,
    structure: Any,
    params: Params,
    x: Frame,
    noise: Array,
    tangent: Array,
    weights: Array | np.ndarray,
) -> tuple[tuple[Array, Array], list[Array]]:
    """Differentiates one step from the initial state and noise.

    Returns:
      The derivatives of the units by all units at once, along ones and along `tangent` and divided
      by it; and for each leaf of the params those of the sums with each of `weights`.
    """

    def after(params: Params, noise: Array) -> Array:
        # With the initial state's own dependence on the params, should it have one.
        (begin,) = jax.tree.leaves(recurrence.initial_state(params, (), jnp.float32))
        state = structure.unflatten([begin + noise])
        return jax.tree.leaves(recurrence.step(params, state, x)[0])[0]

    value, by_params = jax.vjp(lambda p: after(p, noise), params)
    of_noise = functools.partial(after, params)
    _, plain = jax.jvp(of_noise, (noise,), (jnp.ones_like(noise),))
    _, other = jax.jvp(of_noise, (noise,), (tangent,))
    # A complex state by real and imaginary part together, for a parameter may move either.
    both = 1 + 0.7j if jnp.iscomplexobj(value) else 1.0
    (pulled,) = jax.vmap(by_params)(jnp.asarray(both * weights, value.dtype))
    return (plain, other / tangent), jax.tree.leaves(pulled)


def _units_of_leaf(
    plain: np.ndarray, numbered: np.ndarray, weighted: np.ndarray, noise: np.ndarray
) -> np.ndarray | None:
    """Returns the unit of each entry of a parameter; None where one moves several.

    Args:
      plain: the derivative of the sum of all units.
      numbered: of the sum weighted by 1, 2, 3, ...
      weighted: of the sum weighted by `noise`.
      noise: a weight for each unit.
    """
    moves = (plain != 0) | (numbered != 0) | (weighted != 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(moves, numbered / plain, 0)
    if not np.isfinite(ratio).all():
        return None
    units = np.rint(ratio).astype(np.int32) - 1
    inside = (units < len(noise)) & ((units >= 0) | ~moves)
    if not inside.all():
        return None
    wanted = np.where(moves, noise[np.maximum(units, 0)] * plain, 0)
    return units if np.allclose(weighted, wanted, TOLERANCE, 1e-30) else None


def _drawn(draw: np.random.Generator, like: Any) -> Array:
    """Draws numbers in the shape of `like`, none of them zero or one."""
    values = 0.5 * draw.normal(size=like.shape)
    if jnp.issubdtype(like.dtype, jnp.complexfloating):
        values = values + 0.5j * draw.normal(size=like.shape)
    return jnp.asarray(values, like.dtype)


def _over_rows(function: Callable, axes: int) -> Callable:
    """Maps a function of rows over so many batch axes."""
    for _ in range(axes):
        function = jax.vmap(function)
    return function


def _flat(state: State) -> Float[Array, " numbers"]:
    """Returns all numbers of a row's state, real and imaginary parts apart."""
    return _flat_and_back(state)[0]


def _flat_rows(state: State, batch_shape: tuple[int, ...]) -> Float[Array, "rows numbers"]:
    """Returns all numbers of each row's state."""
    flat = _over_rows(_flat, len(batch_shape))(state)
    return flat.reshape(-1, flat.shape[-1])


def _flat_and_back(state: State) -> tuple[Float[Array, " numbers"], Callable[[Array], State]]:
    """Returns all numbers of a row's state, and the way back."""
    leaves, structure = jax.tree.flatten(state)
    parts = [(a.real, a.imag) if jnp.iscomplexobj(a) else (a,) for a in leaves]
    flat, unravel = ravel_pytree(parts)

    def restore(flat: Array) -> State:
        pairs = unravel(flat)
        return structure.unflatten([lax.complex(*p) if len(p) == 2 else p[0] for p in pairs])

    return flat, restore
