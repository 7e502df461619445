"""The classic cells with a hand-written derivative, in pure XLA.

Plain autodiff of a scan adds up the gradient of the weights inside the loop, one small product and
one pass over the whole matrix a step. Here the loop back through time yields only the gradients of
the gates; the gradients of weights, biases and inputs are single products over time and batch after
it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import sigmoid

from seqjax.recurrence import Pass, select, spread
from seqjax.typing import Outputs, Params, Sequence


class Formula(NamedTuple):
    """A cell as the kernel sees it.

    `from_x = x W_x + b` and `from_h = h W_h + b_h` go in, the next state comes out.

    Attributes:
      forward: `(from_x, from_h, state) -> (state, saved)`, states being tuples that begin with h.
      backward: `(saved, gradient of the next state)` to the gradients of from_x, of from_h, and of
        the state, but for what flows through from_h.
    """

    forward: Callable
    backward: Callable


def _elman_forward(activation, from_x, from_h, state):
    h = activation(from_x + from_h)
    return (h,), (h,)


def _tanh_backward(saved, grads):
    da = grads[0] * (1 - jnp.square(saved[0]))
    return da, da, (jnp.zeros_like(da),)


def _relu_backward(saved, grads):
    da = jnp.where(saved[0] > 0, grads[0], 0)
    return da, da, (jnp.zeros_like(da),)


def _lstm_forward(from_x, from_h, state):
    _, c = state
    i, f, g, o = jnp.split(from_x + from_h, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), jnp.tanh(g), sigmoid(o)
    c_next = f * c + i * g
    shown = jnp.tanh(c_next)
    return (o * shown, c_next), (jnp.concatenate([i, f, g, o], axis=-1), c, shown)


def _lstm_backward(saved, grads):
    gates, c, shown = saved
    dh, dc = grads
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    dc = dc + dh * o * (1 - jnp.square(shown))
    da = jnp.concatenate(
        [
            dc * g * i * (1 - i),
            dc * c * f * (1 - f),
            dc * i * (1 - jnp.square(g)),
            dh * shown * o * (1 - o),
        ],
        axis=-1,
    )
    return da, da, (jnp.zeros_like(dh), dc * f)


def _gru_forward(from_x, from_h, state):
    (h,) = state
    units = h.shape[-1]
    rz = sigmoid(from_x[..., : 2 * units] + from_h[..., : 2 * units])
    r, z = jnp.split(rz, 2, axis=-1)
    h_n = from_h[..., 2 * units :]
    n = jnp.tanh(from_x[..., 2 * units :] + r * h_n)
    return ((1 - z) * n + z * h,), (rz, n, h_n, h)


def _gru_backward(saved, grads):
    rz, n, h_n, h = saved
    (dh,) = grads
    r, z = jnp.split(rz, 2, axis=-1)
    dn = dh * (1 - z) * (1 - jnp.square(n))
    dr = dn * h_n * r * (1 - r)
    dz = dh * (h - n) * z * (1 - z)
    return (
        jnp.concatenate([dr, dz, dn], axis=-1),
        jnp.concatenate([dr, dz, dn * r], axis=-1),
        (dh * z,),
    )


FORMULAS = {
    "elman_tanh": Formula(functools.partial(_elman_forward, jnp.tanh), _tanh_backward),
    "elman_relu": Formula(functools.partial(_elman_forward, jax.nn.relu), _relu_backward),
    "lstm": Formula(_lstm_forward, _lstm_backward),
    "gru": Formula(_gru_forward, _gru_backward),
}


def scan(name: str, params: Params, xs: Sequence, state: tuple, how: Pass) -> tuple[tuple, Outputs]:
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
def _scan(static, params, xs, state, lengths, starts):
    return advance(static, params, xs, state, lengths, starts, keep=False)[0]


def _forward(static, params, xs, state, lengths, starts):
    after, kept = advance(static, params, xs, state, lengths, starts)
    return after, (params, xs, lengths, starts, kept)


def _backward(static, remembered, grads):
    params, xs, lengths, starts, (hs, saved) = remembered
    d_state, from_x, from_h = retreat(static, params["w_h"], saved, lengths, starts, *grads)
    d_params = weight_gradient(static[0], xs, hs, from_x, from_h)
    return d_params, from_x @ params["w_x"].T, d_state, None, None


_scan.defvjp(_forward, _backward)


def advance(static, params, xs, state, lengths, starts, keep=True) -> Any:
    """The loop forwards: `((state, ys), (h before each step, what its derivative needs))`."""
    name, reverse = static
    bias = _recurrent_bias(params)

    def step(state, inputs):
        t, x, start = inputs
        before = (
            state if start is None else select(start, jax.tree.map(jnp.zeros_like, state), state)
        )
        from_x, from_h = x @ params["w_x"], before[0] @ params["w_h"]
        from_x, from_h = (
            from_x + spread(params["b"], from_x),
            from_h if bias is None else from_h + spread(bias, from_h),
        )
        after, saved = FORMULAS[name].forward(from_x, from_h, before)
        y = after[0]
        if lengths is not None:
            valid = t < lengths
            after, y = select(valid, after, state), select(valid, y, jnp.zeros_like(y))
        return after, (y, (before[0], saved) if keep else None)

    state, (ys, kept) = lax.scan(
        step, state, (jnp.arange(xs.shape[0], dtype=jnp.int32), xs, starts), reverse=reverse
    )
    return (state, ys), kept


def retreat(static, w_h, saved, lengths, starts, d_state, d_ys):
    """The loop backwards: the gradients of the first state, and of all `from_x` and `from_h`."""
    name, reverse = static

    def step(d_after, inputs):
        t, dy, saved, start = inputs
        d_next = (d_after[0] + dy, *d_after[1:])
        from_x, from_h, (direct, *rest) = FORMULAS[name].backward(saved, d_next)
        d_before = (direct + from_h @ w_h.T, *rest)
        if start is not None:
            d_before = select(start, jax.tree.map(jnp.zeros_like, d_before), d_before)
        if lengths is not None:
            valid = t < lengths
            d_before = select(valid, d_before, d_after)
            from_x, from_h = (select(valid, a, jnp.zeros_like(a)) for a in (from_x, from_h))
        return d_before, (from_x, None if name != "gru" else from_h)

    inputs = (jnp.arange(d_ys.shape[0], dtype=jnp.int32), d_ys, saved, starts)
    d_state, (from_x, from_h) = lax.scan(step, d_state, inputs, reverse=not reverse)
    return d_state, from_x, from_x if from_h is None else from_h


def weight_gradient(name, xs, hs, from_x, from_h):
    """The gradient of the params, given h before each step."""
    d_params: dict[str, Any] = {
        "w_x": _over_time(xs, from_x),
        "w_h": _over_time(hs, from_h),
        "b": from_x.reshape(-1, from_x.shape[-1]).sum(0),
    }
    if name == "gru":
        units = hs.shape[-1]
        d_params["b_n"] = from_h[..., -units:].reshape(-1, units).sum(0)
    return d_params


def _recurrent_bias(params):
    """The GRU's b_n behind zeros for r and z; None for a cell that has none."""
    if "b_n" not in params:
        return None
    b_n = params["b_n"]
    return jnp.concatenate([jnp.zeros(2 * b_n.shape[0], b_n.dtype), b_n])


def _over_time(a, b):
    """The sum over time and batch of the outer products of `a` and `b`."""
    return a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1])
