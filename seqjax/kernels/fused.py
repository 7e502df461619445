"""The classic cells with a hand-written derivative, in pure XLA.

Plain autodiff of a scan adds up the gradient of the weights inside the loop, one small product and
one pass over the whole matrix a step. Here the loop back through time yields only the gradients of
the gates; the gradients of weights, biases and inputs are single products over time and batch after
it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import sigmoid
from jaxtyping import Array, Bool, Float

from seqjax.recurrence import Pass, is_valid, select, spread
from seqjax.typing import Hidden, Lengths, Outputs, Params, Reset, Sequence

Static: TypeAlias = tuple[str, bool]
"""Name of the formula, and whether the last step is read first."""

States: TypeAlias = tuple[Hidden, ...]
"""`(h,)`, or `(h, c)` of the LSTM."""

Gates: TypeAlias = Float[Array, "*batch gates"]
Saved: TypeAlias = tuple[Array, ...]
"""What a step keeps for its derivative, in the order of its formula."""

Pulled: TypeAlias = tuple[Gates, Gates, States]
"""Gradients of `from_x`, of `from_h`, and of the state but for what flows through `from_h`."""


Step: TypeAlias = Callable[[Any, States, Any], tuple[States, Any]]
"""`(constants, carry, inputs of a step)` to the next carry and the outputs of the step."""

Loop: TypeAlias = Callable[[Step, Any, States, Any, bool], tuple[States, Any]]
"""Takes `(step, constants, carry, inputs, reverse)` and does as `lax.scan`, time being the first axis."""


class Formula(NamedTuple):
    """A cell as the kernel sees it.

    `from_x = x W_x + b` and `from_h = h W_h + b_h` go in, the next state comes out.

    Attributes:
      forward: `(from_x, from_h, state) -> (state, saved)`, states being tuples that begin with h.
      backward: `(saved, gradient of the next state)` to the gradients of from_x, of from_h, and of
        the state, but for what flows through from_h.
    """

    forward: Callable[[Array, Array, States], tuple[States, Saved]]
    backward: Callable[[Saved, States], Pulled]


def _elman_forward(
    activation: Callable[[Array], Array], from_x: Gates, from_h: Gates, state: States
) -> tuple[States, Saved]:
    h = activation(from_x + from_h)
    # Both derivatives can be read off the output, so that the sums need not be kept.
    return (h,), (h,)


def _tanh_backward(saved: Saved, grads: States) -> Pulled:
    # tanh' = 1 - tanh^2
    da = grads[0] * (1 - jnp.square(saved[0]))
    # h enters the step through from_h alone: nothing flows past it.
    return da, da, (jnp.zeros_like(da),)


def _relu_backward(saved: Saved, grads: States) -> Pulled:
    # relu' is 1 where the output is above 0.
    da = jnp.where(saved[0] > 0, grads[0], 0)
    return da, da, (jnp.zeros_like(da),)


def _lstm_forward(from_x: Gates, from_h: Gates, state: States) -> tuple[States, Saved]:
    _, c = state
    # [*batch, hidden] each
    i, f, g, o = jnp.split(from_x + from_h, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), jnp.tanh(g), sigmoid(o)
    c_next = f * c + i * g
    shown = jnp.tanh(c_next)
    # The gates go into one array, [*batch, 4 hidden]: one write a step in place of four.
    return (o * shown, c_next), (jnp.concatenate([i, f, g, o], axis=-1), c, shown)


def _lstm_backward(saved: Saved, grads: States) -> Pulled:
    gates, c, shown = saved
    dh, dc = grads
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    # The gradient of c': what later steps send, and what comes through h' = o tanh(c').
    dc = dc + dh * o * (1 - jnp.square(shown))
    # Those of the sums under the gates, by sigmoid' = s (1 - s): [*batch, 4 hidden].
    da = jnp.concatenate(
        [
            dc * g * i * (1 - i),
            dc * c * f * (1 - f),
            dc * i * (1 - jnp.square(g)),
            dh * shown * o * (1 - o),
        ],
        axis=-1,
    )
    # h is read through from_h alone; c also goes on by itself, as far as f lets it.
    return da, da, (jnp.zeros_like(dh), dc * f)


def _gru_forward(from_x: Gates, from_h: Gates, state: States) -> tuple[States, Saved]:
    (h,) = state
    units = h.shape[-1]
    # r and z side by side, [*batch, 2 hidden]
    rz = sigmoid(from_x[..., : 2 * units] + from_h[..., : 2 * units])
    r, z = jnp.split(rz, 2, axis=-1)
    # The two sums of the candidate are kept apart: r acts on the recurrent one alone.
    h_n = from_h[..., 2 * units :]
    n = jnp.tanh(from_x[..., 2 * units :] + r * h_n)
    return ((1 - z) * n + z * h,), (rz, n, h_n, h)


def _gru_backward(saved: Saved, grads: States) -> Pulled:
    rz, n, h_n, h = saved
    (dh,) = grads
    r, z = jnp.split(rz, 2, axis=-1)
    # Gradients of the sums under tanh and sigmoids, [*batch, hidden] each.
    dn = dh * (1 - z) * (1 - jnp.square(n))
    dr = dn * h_n * r * (1 - r)
    dz = dh * (h - n) * z * (1 - z)
    # Here from_x and from_h differ: the reset gate stands between h W_hn and the candidate.
    from_x = jnp.concatenate([dr, dz, dn], axis=-1)
    from_h = jnp.concatenate([dr, dz, dn * r], axis=-1)
    return from_x, from_h, (dh * z,)


FORMULAS = {
    "elman_tanh": Formula(functools.partial(_elman_forward, jnp.tanh), _tanh_backward),
    "elman_relu": Formula(functools.partial(_elman_forward, jax.nn.relu), _relu_backward),
    "lstm": Formula(_lstm_forward, _lstm_backward),
    "gru": Formula(_gru_forward, _gru_backward),
}


def scan(
    name: str, params: Params, xs: Sequence, state: States, how: Pass
) -> tuple[States, Outputs]:
    """Runs a formula over time from states that a reset returns to zero.

    Args:
      name: one of `FORMULAS`.
      params: `{w_x, w_h, b}`, and for the GRU `b_n`.
      xs: `[time, *batch, features]` in the params' dtype.
      state: a tuple that begins with h.
      how: lengths, resets and direction; `remat` must be `"none"`.

    Returns:
      The state after the last step read, and the outputs `[time, *batch, hidden]`.
    """
    return _scan((name, how.reverse), dict(params), xs, state, how.lengths, how.starts(xs.shape[0]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(
    static: Static,
    params: Params,
    xs: Sequence,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
) -> tuple[States, Outputs]:
    return advance(static, params, xs, state, lengths, starts, keep=False)[0]


def _forward(
    static: Static,
    params: Params,
    xs: Sequence,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
) -> tuple[tuple[States, Outputs], tuple]:
    """Computes the outputs, and beside them what `_backward` reads."""
    after, kept = advance(static, params, xs, state, lengths, starts)
    return after, (params, xs, lengths, starts, kept)


def _backward(static: Static, remembered: tuple, grads: tuple[States, Outputs]) -> tuple:
    """Computes the gradients of params, inputs and first state; lengths and starts have none."""
    params, xs, lengths, starts, (hs, saved) = remembered
    # The loop gives the gradients of the sums alone, [time, *batch, gates].
    d_state, from_x, from_h = retreat(static, params["w_h"], saved, lengths, starts, *grads)
    # All weights at once, over time and batch, and then all inputs.
    d_params = weight_gradient(static[0], xs, hs, from_x, from_h)
    return d_params, from_x @ params["w_x"].T, d_state, None, None


_scan.defvjp(_forward, _backward)


def in_turn(
    step: Step, constants: Any, state: States, inputs: Any, reverse: bool
) -> tuple[States, Any]:
    """Loops by `lax.scan`."""
    return lax.scan(functools.partial(step, constants), state, inputs, reverse=reverse)


def advance(
    static: Static,
    params: Params,
    xs: Sequence,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
    keep: bool = True,
    loop: Loop = in_turn,
) -> tuple[tuple[States, Outputs], Any]:
    """Runs the loop forwards.

    Args:
      static: the formula, and the direction.
      params: the cell's; without `w_x` the inputs are `x W_x + b` already.
      xs: the inputs.
      state: before the first step read.
      lengths: valid steps of each row, or None.
      starts: where the state is thrown away before a step, or None.
      keep: whether to return what the derivative reads.
      loop: runs the steps.

    Returns:
      `(state, ys)`, and `(h before each step, saved)` with time as first axis, or None unless
      `keep`.
    """
    name, reverse = static

    def step(constants: Any, state: States, inputs: tuple) -> tuple[States, tuple]:
        w_x, b, w_h, bias = constants
        x, valid, start = inputs
        # Where a new sequence starts the state is zero.
        before = state
        if start is not None:
            before = select(start, jax.tree.map(jnp.zeros_like, state), state)
        # Both sums of the formula, [*batch, gates].
        from_x, from_h = x, before[0] @ w_h
        if w_x is not None:
            from_x = x @ w_x
            from_x = from_x + spread(b, from_x)
        if bias is not None:
            from_h = from_h + spread(bias, from_h)
        after, saved = FORMULAS[name].forward(from_x, from_h, before)
        y = after[0]
        if valid is not None:
            # Past a row's end the state is held, resets ignored, and the output is zero.
            after, y = select(valid, after, state), select(valid, y, jnp.zeros_like(y))
        kept = (before[0], saved) if keep else None
        return after, (y, kept)

    constants = params.get("w_x"), params.get("b"), params["w_h"], _recurrent_bias(params)
    inputs = xs, _within(xs.shape[0], lengths), starts
    state, (ys, kept) = loop(step, constants, state, inputs, reverse)
    return (state, ys), kept


def retreat(
    static: Static,
    w_h: Float[Array, "hidden gates"],
    saved: Saved,
    lengths: Lengths | None,
    starts: Reset | None,
    d_state: States,
    d_ys: Outputs,
    loop: Loop = in_turn,
) -> tuple[States, Float[Array, "time *batch gates"], Float[Array, "time *batch gates"]]:
    """Runs the loop backwards.

    Returns:
      The gradients of the first state, and of all `from_x` and `from_h`.
    """
    name, reverse = static

    def step(back: Array, d_after: States, inputs: tuple) -> tuple[States, tuple]:
        dy, saved, valid, start = inputs
        # The output is h: what comes from it joins what later steps send.
        d_next = (d_after[0] + dy, *d_after[1:])
        from_x, from_h, (direct, *rest) = FORMULAS[name].backward(saved, d_next)
        # The gradient of h also comes back through its product with the weights.
        d_before = (direct + from_h @ back, *rest)
        if start is not None:
            # No gradient goes back over a reset.
            d_before = select(start, jax.tree.map(jnp.zeros_like, d_before), d_before)
        if valid is not None:
            # A held state hands its gradient on untouched, and the step has no share in it.
            d_before = select(valid, d_before, d_after)
            from_x = select(valid, from_x, jnp.zeros_like(from_x))
            from_h = select(valid, from_h, jnp.zeros_like(from_h))
        # But for the GRU both are the same array, which is written once.
        apart = from_h if name == "gru" else None
        return d_before, (from_x, apart)

    inputs = d_ys, saved, _within(d_ys.shape[0], lengths), starts
    # Against the direction of reading.
    d_state, (from_x, from_h) = loop(step, w_h.T, d_state, inputs, not reverse)
    if from_h is None:
        from_h = from_x
    return d_state, from_x, from_h


def _within(time: int, lengths: Lengths | None) -> Bool[Array, "time *batch"] | None:
    """Tells which steps are valid; None where all are."""
    return None if lengths is None else is_valid(jnp.arange(time, dtype=jnp.int32), lengths)


def weight_gradient(
    name: str,
    xs: Sequence,
    hs: Float[Array, "time *batch hidden"],
    from_x: Float[Array, "time *batch gates"],
    from_h: Float[Array, "time *batch gates"],
) -> dict[str, Array]:
    """Computes the gradient of the params in single products over time and batch.

    Args:
      name: of the formula.
      xs: the inputs.
      hs: h before each step.
      from_x: gradients of the sums of each step.
      from_h: those of their recurrent part.
    """
    d_params: dict[str, Any] = {
        "w_x": _over_time(xs, from_x),
        "w_h": _over_time(hs, from_h),
        "b": from_x.reshape(-1, from_x.shape[-1]).sum(0),
    }
    if name == "gru":
        units = hs.shape[-1]
        # b_n stands inside the reset gate's product, so its gradient is the recurrent sum's.
        d_params["b_n"] = from_h[..., -units:].reshape(-1, units).sum(0)
    return d_params


def _recurrent_bias(params: Params) -> Float[Array, " gates"] | None:
    """Returns the GRU's b_n behind zeros for r and z; None for a cell that has none."""
    if "b_n" not in params:
        return None
    b_n = params["b_n"]
    return jnp.concatenate([jnp.zeros(2 * b_n.shape[0], b_n.dtype), b_n])


def _over_time(
    a: Float[Array, "time *batch rows"], b: Float[Array, "time *batch columns"]
) -> Float[Array, "rows columns"]:
    """Sums the outer products of `a` and `b` over time and batch."""
    # [rows, time * batch] times [time * batch, columns]: one product.
    return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])
