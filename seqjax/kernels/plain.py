"""What the compiled kernels compute, in pure XLA: for other platforms, and to be differentiated again.

Each function gives just what the call of the same name in `seqjax.kernels.native` gives. A step
keeps for its derivative, beside its output, the LSTM its gates `i, f, g, o` and its memory, the GRU
`n, r, z, h W_hn + b_n`, Elman nothing; the gradients of a step's sums stand in the same places, and
of the GRU's the first three are those of `x W_x + b`, the last three those of `h W_h`.
"""

import jax.numpy as jnp

from seqjax.kernels import fused
from seqjax.recurrence import select


def forward(static, params, xs, state, lengths, starts):
    """The state after the last step, the outputs, and what their derivative needs of each step if it shall be kept."""
    name, reverse, keep = static
    (after, ys), kept = fused.advance((name, reverse), params, xs, state, lengths, starts, keep)
    return after, ys, _kept(name, kept[1]) if keep else ()


def _kept(name, saved):
    """What a step keeps beside its output: the LSTM its gates and its memory, the GRU `n, r, z, h W_hn + b_n`."""
    if name == "lstm":
        gates, c, _ = saved
        i, f, g, _ = jnp.split(gates, 4, axis=-1)
        return gates, f * c + i * g
    if name == "gru":
        rz, n, h_n, _ = saved
        return (jnp.concatenate([n, rz, h_n], axis=-1),)
    return ()


def backward(static, w_h, state, lengths, starts, ys, kept, d_state, d_ys):
    """The gradients of the first state and of the sums of each step."""
    name = static[0]
    hs = _before(static, ys, state[0], lengths, starts)
    if name == "lstm":
        gates, cs = kept
        saved = (gates, _before(static, cs, state[1], lengths, starts), jnp.tanh(cs))
    elif name == "gru":
        n, r, z, h_n = jnp.split(kept[0], 4, axis=-1)
        saved = (jnp.concatenate([r, z], axis=-1), n, h_n, hs)
    else:
        saved = (ys,)
    d_state, from_x, from_h = fused.retreat(static, w_h, saved, lengths, starts, d_state, d_ys)
    units = w_h.shape[0]
    return d_state, from_x if name != "gru" else jnp.concatenate(
        [from_x[..., 2 * units :], from_h], axis=-1
    )


def weight_gradient(static, xs, state, lengths, starts, ys, d_sums):
    """Those of the params."""
    from_x, from_h = _split(static[0], d_sums)
    return fused.weight_gradient(
        static[0], xs, _before(static, ys, state[0], lengths, starts), from_x, from_h
    )


def input_gradient(static, w_x, d_sums):
    """Those of the inputs."""
    return _split(static[0], d_sums)[0] @ w_x.T


def _before(static, states, initial, lengths, starts):
    """The states before each step, given those after it."""
    _, reverse = static
    times = jnp.arange(states.shape[0], dtype=jnp.int32)[:, None]
    if not reverse:
        before = jnp.concatenate([initial[None], states])[:-1]
    else:
        before = jnp.concatenate([states, initial[None]])[1:]
        before = (
            before
            if lengths is None
            else select(times == lengths[None] - 1, jnp.broadcast_to(initial, before.shape), before)
        )
    return before if starts is None else select(starts, jnp.zeros_like(before), before)


def _split(name, d_sums):
    """The gradients of `x W_x + b` and of `h W_h`, gates in the order of the params."""
    if name != "gru":
        return d_sums, d_sums
    units = d_sums.shape[-1] // 4
    return jnp.roll(d_sums[..., :-units], -units, axis=-1), d_sums[..., units:]
