"""The matrix LSTM of xLSTM: a memory of outer products, read chunk by chunk."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, Float

from seqjax.cells.gates import (
    Cell,
    check_features,
    input_weights,
    layer_norm,
    product,
    step_arguments,
)
from seqjax.cells.options import check_heads, flag, optional_size, settle, size
from seqjax.cells.slstm import UNSEEN
from seqjax.checks import checked_key
from seqjax.recurrence import Pass, Recurrence, is_valid, spread, state_dtype, sweep_chunks
from seqjax.typing import Frame, Hidden, KeyArray, Output, Outputs, Params, Sequence, State

NEVER = 3 * UNSEEN
"""The logarithm of a weight that is 0, also beside a stabiliser that has seen nothing."""

FLOOR = 40.0
"""The normaliser's bound `exp(-m)` is taken for |m| up to this: beyond it derivatives overflow."""


class MLSTMState(NamedTuple):
    """What an mLSTM remembers; the memory itself is `c exp(m)`, its normaliser `n exp(m)`.

    Attributes:
      c: the sum of `v k^T`, weighted.
      n: the sum of k, weighted alike.
      m: the stabiliser, the logarithm of the largest weight so far.
    """

    c: Float[Array, "*batch heads values keys"]
    n: Float[Array, "*batch heads keys"]
    m: Float[Array, "*batch heads"]


class Projected(NamedTuple):
    """What an mLSTM computes from its inputs, before its memory is looked at.

    Attributes:
      q, k, v: queries, keys and values, `[*batch, heads, D]`.
      o: the output gate, `[*batch, H]`.
      log_i: logarithm of the input gate, `[*batch, heads]`.
      log_f: that of the forget gate.
    """

    q: Float[Array, "*batch heads keys"]
    k: Float[Array, "*batch heads keys"]
    v: Float[Array, "*batch heads values"]
    o: Hidden
    log_i: Float[Array, "*batch heads"]
    log_f: Float[Array, "*batch heads"]


@dataclasses.dataclass(frozen=True, repr=False)
class MLSTM(Cell):
    """Matrix LSTM, the mLSTM of xLSTM (Beck et al., 2024): each head stores values under keys.

        q = x W_q + b_q,    k = x W_k / sqrt(D) + b_k,    v = x W_v + b_v
        i = exp(x w_i + b_i),    f = sigmoid(x w_f + b_f)        one number a head
        o = sigmoid(x W_o + b_o)
        C' = f C + i v k^T
        n' = f n + i k
        y  = o * C' q / max(|n' . q|, 1)

    C and n are kept divided by `exp(m)`, `m' = max(log f + m, log i)`; then the 1 is `exp(-m')`. Of
    the paper's two forget gates this is the sigmoid.

    Gates see the input alone, so a sequence is read chunk by chunk: within a chunk by products of
    matrices, as in attention, between chunks by the memory. Time and memory grow linearly with the
    sequence; the backward pass reads each chunk again, from the memory before it.

    Where a query is nearly orthogonal to n, the quotient is large: the paper's block
    normalises it head by head, and so does `layer_norm`, before the output gate, with the scales
    `ln_h [H]`.

    Params are `{w_x [I, 4H], b [4H], w_g [I, 2 heads], b_g [2 heads]}` in the orders q, k, v, o and
    i, f; the state is `MLSTMState(c [*batch, heads, D, D], n, m)` with D = H / heads.

    Attributes:
      hidden_size: units, H; a multiple of heads.
      heads: memories side by side. At the start i and f do not depend on x; the biases of f are
        evenly spread from 3 to 6.
      layer_norm: normalise what each head answers.
      chunk_size: steps of a chunk, which change time and memory, not the result; None takes half of
        D, from 16 to 64, the fastest on a CPU.

    Reference: Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS 2024, equations 19 to
    27.

    Example:
      >>> import jax, seqjax
      >>> cell = seqjax.MLSTM(8, heads=2)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, ys = seqjax.unroll(cell, params, jax.numpy.ones((2, 5, 3)))
      >>> ys.shape, state.c.shape
      ((2, 5, 8), (2, 2, 4, 4))
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    heads: int = 1
    layer_norm: bool = False
    chunk_size: int | None = None

    parallel: ClassVar[bool] = True
    parallel_form: ClassVar[str] = "chunkwise scan, for its gates see the input alone"
    shows_state: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, heads=size, layer_norm=flag, chunk_size=optional_size)
        check_heads(self, self.hidden_size, self.heads)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        forget = jnp.linspace(3.0, 6.0, self.heads)
        params = {
            "w_x": input_weights(checked_key(key, "key"), input_size, self.hidden_size, 4),
            "b": jnp.zeros(4 * self.hidden_size),
            "w_g": jnp.zeros((input_size, 2 * self.heads)),
            "b_g": jnp.concatenate([jnp.zeros(self.heads), forget]),
        }
        if self.layer_norm:
            params |= {"ln_h": jnp.ones(self.hidden_size)}
        return params

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> MLSTMState:
        """Makes an empty memory, float32 or wider."""
        wide, of_head = state_dtype(dtype), self.hidden_size // self.heads
        return MLSTMState(
            c=jnp.zeros((*batch_shape, self.heads, of_head, of_head), wide),
            n=jnp.zeros((*batch_shape, self.heads, of_head), wide),
            m=jnp.full((*batch_shape, self.heads), UNSEEN, wide),
        )

    def step(
        self, params: Params, state: MLSTMState, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[MLSTMState, Output]:
        """Reads one step; returns the next `MLSTMState` and the output."""
        params, (c, n, m), x = step_arguments(MLSTM, self, params, state, x)
        p = self._projected(params, x)
        kept = p.log_f.astype(m.dtype) + m
        after = jnp.maximum(kept, p.log_i.astype(m.dtype))
        # [*batch, heads, 1]
        f, i = jnp.exp(kept - after)[..., None], jnp.exp(p.log_i - after)[..., None]
        # v k^T, [*batch, heads, D, D]
        written = (i * p.v)[..., :, None] * p.k[..., None, :]
        c, n = f[..., None] * c + written, f * n + i * p.k
        after = MLSTMState(*(leaf.astype(m.dtype) for leaf in (c, n, after)))
        return after, self._answer(params, p, after).astype(x.dtype)

    def read(self, params: Params, state: MLSTMState, x: Frame) -> Output:
        """Returns what the memory answers to the query of x."""
        return self._answer(params, self._projected(params, x), state)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence chunk by chunk, or `step` by step with `backend="scan"`.

        A symbolic number of steps, of `jax.export`, and resets to a state of a subclass's own are
        read step by step too.
        """
        time = xs.shape[0]
        own_start = type(self).initial_state is not MLSTM.initial_state
        by_steps = how.backend == "scan" or (own_start and how.reset is not None)
        if by_steps or not isinstance(time, int) or time == 0:
            return Recurrence.scan(self, params, xs, state, how)

        def sweep(state: State, inputs: Any) -> tuple[State, Outputs]:
            return self._chunk(params, state, inputs, how)

        def in_chunks(state: State, inputs: Any) -> tuple[State, Outputs]:
            steps = inputs[0].shape[0]
            size = min(self._chunk_size(), steps)
            return sweep_chunks(sweep, state, inputs, steps, how.reverse, size)

        inputs = (jnp.arange(time, dtype=jnp.int32), xs, how.starts(time))
        if how.remat == "sqrt":
            return sweep_chunks(in_chunks, state, inputs, time, how.reverse)
        return in_chunks(state, inputs)

    def _chunk_size(self) -> int:
        """Returns the steps of a chunk."""
        return self.chunk_size or min(64, max(16, self.hidden_size // self.heads // 2))

    def _projected(self, params: Params, x: Float[Array, "*batch features"]) -> Projected:
        """Projects inputs, of one step or of many."""
        check_features(self, x, params["w_x"])
        wide = state_dtype(x.dtype)
        q, k, v, o = jnp.split(product(x, params["w_x"], wide), 4, axis=-1)
        b_q, b_k, b_v, b_o = (spread(b, q) for b in jnp.split(params["b"], 4))
        k = k / math.sqrt(self.hidden_size // self.heads)
        gates = product(x, params["w_g"], wide)
        log_i, f = jnp.split(gates + spread(params["b_g"], gates), 2, axis=-1)

        def by_head(units: Hidden) -> Float[Array, "*batch heads units"]:
            # All sizes are said: beside a batch of no rows none can be found out.
            return units.reshape(*units.shape[:-1], self.heads, self.hidden_size // self.heads)

        q, k, v = by_head(q + b_q), by_head(k + b_k), by_head(v + b_v)
        return Projected(q, k, v, sigmoid(o + b_o), log_i, log_sigmoid(f))

    def _answer(self, params: Params, p: Projected, state: MLSTMState) -> Hidden:
        """Returns what a memory answers to queries."""
        values = jnp.einsum("...nvk,...nk->...nv", state.c, p.q)
        norms = (state.n * p.q).sum(-1)
        return self._output(params, p.o, values, norms, state.m)

    def _output(
        self,
        params: Params,
        o: Hidden,
        values: Float[Array, "*batch heads values"],
        norms: Float[Array, "*batch heads"],
        m: Float[Array, "*batch heads"],
    ) -> Hidden:
        """Computes `o * values / max(|norms|, exp(-m))`, head by head normalised if wanted."""
        norms = jnp.maximum(jnp.abs(norms), jnp.exp(jnp.clip(-m, -FLOOR, FLOOR)))
        h = values / norms[..., None]
        if self.layer_norm:
            h = layer_norm(h, jnp.ones(h.shape[-1], h.dtype)).reshape(o.shape)
            h = h * spread(params["ln_h"], h)
        return o * h.reshape(o.shape)

    def _chunk(
        self, params: Params, state: MLSTMState, inputs: Any, how: Pass
    ) -> tuple[MLSTMState, Outputs]:
        """Reads a chunk of steps at once; shapes below are of t steps that read s steps."""
        if how.reverse:
            inputs = jax.tree.map(lambda leaf: jnp.flip(leaf, 0), inputs)
        steps, x, starts = inputs
        p = self._projected(params, x)
        log_i, log_f, valid = p.log_i, p.log_f, None
        if starts is not None:
            log_f = jnp.where(starts[..., None], UNSEEN, log_f)
        if how.lengths is not None:
            # Past a row's end nothing is written, nothing forgotten.
            valid = is_valid(steps, how.lengths)[..., None]  # [t, *batch, 1]
            log_i, log_f = jnp.where(valid, log_i, NEVER), jnp.where(valid, log_f, 0)
        weights, carried, m = _weights(log_i, log_f, state.m)
        # How much each step takes of each other, as in attention: [*batch, heads, t, s].
        scores = weights * jnp.einsum("t...nk,s...nk->...nts", p.q, p.k)
        # From within the chunk, and from the memory before it: [t, *batch, heads, D].
        values = jnp.einsum("...nts,s...nv->t...nv", scores, p.v)
        kept = jnp.moveaxis(carried, -1, 0)  # [t, *batch, heads]
        values = values + kept[..., None] * jnp.einsum("...nvk,t...nk->t...nv", state.c, p.q)
        norms = jnp.moveaxis(scores.sum(-1), -1, 0)
        norms = norms + kept * jnp.einsum("...nk,t...nk->t...n", state.n, p.q)
        ys = self._output(params, p.o, values, norms, jnp.moveaxis(m, -1, 0)).astype(x.dtype)
        if valid is not None:
            ys = jnp.where(valid, ys, 0)
        # The memory after the last step, which weighs as that step does: [s, *batch, heads, D].
        keys = jnp.moveaxis(weights[..., -1, :], -1, 0)[..., None] * p.k
        keep = carried[..., -1:]
        after = MLSTMState(
            c=keep[..., None] * state.c + jnp.einsum("s...nv,s...nk->...nvk", p.v, keys),
            n=keep * state.n + keys.sum(0),
            m=m[..., -1],
        )
        return after, jnp.flip(ys, 0) if how.reverse else ys


def _weights(
    log_i: Float[Array, "time *batch heads"],
    log_f: Float[Array, "time *batch heads"],
    m: Float[Array, "*batch heads"],
) -> tuple[Array, Array, Array]:
    """Computes how much is left at step t of what was written at step s.

    Args:
      log_i: logarithms of the input gates.
      log_f: those of the forget gates.
      m: the stabiliser before the first step.

    Returns:
      The weights `[*batch, heads, t, s]`, that of the memory before the first step
      `[*batch, heads, t]`, both divided by `exp` of the stabiliser at t, which comes last.
    """
    log_i, log_f = jnp.moveaxis(log_i, 0, -1), jnp.moveaxis(log_f, 0, -1)  # [*batch, heads, t]
    time = log_i.shape[-1]
    square = (*log_i.shape, time)
    t, s = jnp.arange(time)[:, None], jnp.arange(time)[None]
    # Sums of log f from s + 1 to t: a difference of sums from the start would lose small ones.
    later = jnp.where(jnp.broadcast_to(t > s, square), log_f[..., :, None], 0)
    logs = jnp.cumsum(later, axis=-2) + log_i[..., None, :]
    logs = jnp.where(jnp.broadcast_to(t >= s, square), logs, NEVER)
    before = jnp.cumsum(log_f, axis=-1) + m[..., None]
    m = jnp.maximum(before, logs.max(-1))
    return jnp.exp(logs - m[..., None]), jnp.exp(before - m), m
