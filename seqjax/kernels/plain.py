"""The compiled kernels in pure XLA, for other platforms and to be differentiated again.

Each function gives just what the call of the same name in `seqjax.kernels.native` gives. A step
keeps for its derivative, beside its output, the LSTM its gates `i, f, g, o` and its memory, the GRU
`n, r, z, h W_hn + b_n`, Elman nothing; the gradients of a step's sums stand in the same places, and
of the GRU's the first three are those of `x W_x + b`, the last three those of `h W_h`.
"""

from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.kernels import fused
from seqjax.kernels.fused import Saved, States
from seqjax.recurrence import select
from seqjax.typing import Lengths, Outputs, Params, Reset, Sequence

Static: TypeAlias = tuple[str, bool, bool]
"""Name of the formula, whether the last step is read first, and whether products are rounded, which
here they are not."""

Sums: TypeAlias = Float[Array, "time *batch sums"]
"""Gradients of the sums of each step, in the layout that the module names."""


def forward(
    static: tuple[str, bool, bool, bool],
    params: Params,
    xs: Sequence,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
) -> tuple[States, Outputs, Saved]:
    """Runs the loop forwards.

    Args:
      static: as of the others, and whether to keep anything.
      params: the cell's.
      xs: the inputs.
      state: before the first step read.
      lengths: valid steps of each row, or None.
      starts: where the state is thrown away before a step, or None.

    Returns:
      The state after the last step read, the outputs, and what their derivative needs of each step:
      nothing unless it shall be kept.
    """
    name, reverse, _, keep = static
    (after, ys), kept = fused.advance((name, reverse), params, xs, state, lengths, starts, keep)
    if not keep:
        return after, ys, ()
    _, saved = kept
    return after, ys, _kept(name, saved)


def _kept(name: str, saved: Saved) -> Saved:
    """Brings what the formula saves into the compiled kernels' layout, `[time, *batch, ...]`."""
    if name == "lstm":
        gates, c, _ = saved
        i, f, g, _ = jnp.split(gates, 4, axis=-1)
        # c is the memory before the step; kept is the one after it.
        return gates, f * c + i * g
    if name == "gru":
        rz, n, h_n, _ = saved
        return (jnp.concatenate([n, rz, h_n], axis=-1),)
    return ()


def backward(
    static: Static,
    w_h: Float[Array, "hidden gates"],
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
    ys: Outputs,
    kept: Saved,
    d_state: States,
    d_ys: Outputs,
) -> tuple[States, Sums]:
    """Computes the gradients of the first state and of the sums of each step."""
    name = static[0]
    # What the formula's derivative reads is rebuilt from outputs and gates.
    hs = _before(static, ys, state[0], lengths, starts)
    if name == "lstm":
        gates, cs = kept
        saved = (gates, _before(static, cs, state[1], lengths, starts), jnp.tanh(cs))
    elif name == "gru":
        n, r, z, h_n = jnp.split(kept[0], 4, axis=-1)
        saved = (jnp.concatenate([r, z], axis=-1), n, h_n, hs)
    else:
        saved = (ys,)
    d_state, from_x, from_h = fused.retreat(static[:2], w_h, saved, lengths, starts, d_state, d_ys)
    if name != "gru":
        return d_state, from_x
    # n, r, z of from_x and r, z, n of from_h share r and z: [time, *batch, 4 hidden].
    units = w_h.shape[0]
    return d_state, jnp.concatenate([from_x[..., 2 * units :], from_h], axis=-1)


def weight_gradient(
    static: Static,
    xs: Sequence,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
    ys: Outputs,
    d_sums: Sums,
) -> dict[str, Array]:
    """Computes the gradients of the params."""
    # Both [time, *batch, gates], and h before each step, [time, *batch, hidden].
    from_x, from_h = _split(static[0], d_sums)
    hs = _before(static, ys, state[0], lengths, starts)
    return fused.weight_gradient(static[0], xs, hs, from_x, from_h)


def input_gradient(
    static: Static,
    w_x: Float[Array, "features gates"],
    d_sums: Sums,
    lengths: Lengths | None,
) -> Float[Array, "time *batch features"]:
    """Computes the gradients of the inputs; past a row's end those of the sums are zero already."""
    del lengths
    from_x, _ = _split(static[0], d_sums)
    return from_x @ w_x.T


def _before(
    static: Static,
    states: Float[Array, "time *batch hidden"],
    initial: Float[Array, "*batch hidden"],
    lengths: Lengths | None,
    starts: Reset | None,
) -> Float[Array, "time *batch hidden"]:
    """Returns the states before each step, given those after it."""
    reverse = static[1]
    times = jnp.arange(states.shape[0], dtype=jnp.int32)[:, None]
    if not reverse:
        # Past a row's end these are wrong, where no gradient is taken.
        before = jnp.concatenate([initial[None], states])[:-1]
    else:
        before = jnp.concatenate([states, initial[None]])[1:]
        if lengths is not None:
            # Read backwards a row begins at its own end, not at that of the longest.
            everywhere = jnp.broadcast_to(initial, before.shape)
            before = select(times == lengths[None] - 1, everywhere, before)
    # After a reset a step begins at zero.
    if starts is None:
        return before
    return select(starts, jnp.zeros_like(before), before)


def _split(name: str, d_sums: Sums) -> tuple[Array, Array]:
    """Returns the gradients of `x W_x + b` and of `h W_h`, gates in the order of the params."""
    # Of the other cells both sums have the same gradient.
    if name != "gru":
        return d_sums, d_sums
    units = d_sums.shape[-1] // 4
    # n, r, z becomes r, z, n; behind it stands the part of h, r, z, n already.
    return jnp.roll(d_sums[..., :-units], -units, axis=-1), d_sums[..., units:]
