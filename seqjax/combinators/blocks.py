"""The residual block of today's recurrent networks, and the short convolution inside it."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import silu
from jaxtyping import Array, Float, Int

from seqjax.cells.gates import input_weights, product, step_arguments
from seqjax.cells.options import settle, size
from seqjax.checks import checked_key
from seqjax.combinators.base import Wrapper, branch, check_causal, check_recurrences
from seqjax.recurrence import Pass, Recurrence, is_valid, spread, state_dtype, turned
from seqjax.typing import Frame, KeyArray, Lengths, Output, Outputs, Params, Reset, Sequence, State


def block(recurrence: Recurrence, *, width: int = 4) -> "Block":
    """Puts a recurrence into the residual block that xLSTM and Griffin share.

        u = rms_norm(x) * norm
        y = r(silu(conv(u W_in)))
        x + (y * silu(u W_gate)) W_out

    The input is normalised, led to as many features as the recurrence gives and through a short
    convolution that looks back; what the recurrence makes of it is gated by the input, led back and
    added. Inputs and outputs are of one size, so that blocks stack. Params are `{norm [I],
    w_in [I, O], w_gate [I, O], convolution {w [width, O], b [O]}, inner, w_out [O, I]}`, the state
    is a `BlockState`.

    Args:
      recurrence: a causal one, such as `RGLRU(256)` or `MLSTM(256, heads=4)`.
      width: steps that the convolution sees, the present one among them; 1 sees no other.

    Returns:
      One recurrence, of as many outputs as inputs.

    Raises:
      TypeError: the argument is not a recurrence.
      ValueError: it is not causal, or the width is below 1.

    References: De et al., "Griffin", 2024; Beck et al., "xLSTM", 2024; Gu and Dao, "Mamba", 2023.

    Example:
      >>> import jax, seqjax
      >>> net = seqjax.stack(*[seqjax.block(seqjax.RGLRU(24))] * 2)
      >>> params = net.init(jax.random.key(0), 8)
      >>> _, ys = seqjax.unroll(net, params, jax.numpy.ones((2, 5, 8)))
      >>> ys.shape
      (2, 5, 8)
    """
    check_recurrences("block", recurrence)
    check_causal(recurrence)
    return Block(recurrence, width)


class BlockState(NamedTuple):
    """What a block remembers.

    Attributes:
      window: the last inputs of the convolution, the oldest first, `[*batch, width - 1, O]`.
      inner: the recurrence's state.
    """

    window: Float[Array, "*batch before outputs"]
    inner: Any


@dataclasses.dataclass(frozen=True, repr=False)
class Block(Wrapper):
    """A recurrence between projections, beside a gate and a way around; see `block`."""

    inner: Recurrence
    width: int = 4

    def __post_init__(self) -> None:
        settle(self, width=size)

    def output_size(self, input_size: int) -> int:
        """Returns the features of each output: those of the input."""
        return input_size

    @property
    def convolution(self) -> "Convolution":
        """The convolution before the recurrence."""
        return Convolution(self.width)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters, see `block`."""
        middle = self.inner.output_size(input_size)
        keys = jax.random.split(checked_key(key, "key"), 5)
        return {
            "norm": jnp.ones(input_size),
            "w_in": input_weights(keys[0], input_size, middle, 1),
            "w_gate": input_weights(keys[1], input_size, self.inner.output_size(middle), 1),
            "convolution": self.convolution.init(keys[2], middle),
            "inner": self.inner.init(keys[3], middle),
            "w_out": input_weights(keys[4], self.inner.output_size(middle), input_size, 1),
        }

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> BlockState:
        """Makes a window of zeros, and the recurrence's initial state."""
        window = self.convolution.initial_state(params["convolution"], batch_shape, dtype)
        return BlockState(window, self.inner.initial_state(params["inner"], batch_shape, dtype))

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[BlockState, Output]:
        """Reads one step."""
        params, state, x = step_arguments(Block, self, params, state, x)
        window, inner = state
        u = self._normalised(params, x)
        v = _project(u, params["w_in"])
        window, v = self.convolution.step(params["convolution"], window, v)
        inner, y = self.inner.step(params["inner"], inner, v, rng=branch(rng, 0))
        return BlockState(window, inner), self._joined(params, x, u, y)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[BlockState, Outputs]:
        """Reads a whole sequence; zeros in the padding stay zero."""
        window, inner = state
        u = self._normalised(params, xs)
        v = _project(u, params["w_in"])
        window, v = self.convolution.scan(params["convolution"], v, window, how)
        inner, ys = self.inner.scan(params["inner"], v, inner, how.branch(0))
        return BlockState(window, inner), self._joined(params, xs, u, ys)

    def shown(self, state: State) -> None:
        """Returns None: the outputs also depend on the input."""
        return None

    def _normalised(self, params: Params, x: Frame) -> Frame:
        """Divides by the root of the mean square (Zhang and Sennrich, 2019)."""
        wide = x.astype(state_dtype(x.dtype))
        normed = wide * lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + 1e-6)
        return (normed * spread(params["norm"], normed)).astype(x.dtype)

    def _joined(self, params: Params, x: Frame, u: Frame, y: Output) -> Output:
        """Gates what the recurrence said and adds the input."""
        gate = silu(_project(u, params["w_gate"]))
        return x + _project(y * gate, params["w_out"])


@dataclasses.dataclass(frozen=True, repr=False)
class Convolution(Recurrence):
    """A short causal convolution of every feature by itself, `y_t = silu(sum_k w_k x_(t-k) + b)`.

    Params are `{w [width, F], b [F]}`, the newest step last; the state is the inputs before,
    `[*batch, width - 1, F]`.

    Attributes:
      width: steps that it sees, the present one among them.
    """

    width: int = 4

    def __post_init__(self) -> None:
        settle(self, width=size)

    def output_size(self, input_size: int) -> int:
        """Returns the features of each output: those of the input."""
        return input_size

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws weights of variance `1 / width`."""
        w = jax.random.normal(checked_key(key, "key"), (self.width, input_size))
        return {"w": w / self.width**0.5, "b": jnp.zeros(input_size)}

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> Array:
        """Makes zeros: nothing came before."""
        features = params["w"].shape[1]
        return jnp.zeros((*batch_shape, self.width - 1, features), state_dtype(dtype))

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[Array, Output]:
        """Reads one step."""
        params, state, x = step_arguments(Convolution, self, params, state, x)
        # [*batch, width, F]
        seen = jnp.concatenate([state, x[..., None, :].astype(state.dtype)], axis=-2)
        sums = (seen * spread(params["w"], seen)).sum(-2)
        return seen[..., 1:, :], silu(sums + spread(params["b"], sums)).astype(x.dtype)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[Array, Outputs]:
        """Reads a whole sequence at once: a sum of `width` shifted copies."""
        time = xs.shape[0]
        if how.backend == "scan" or time == 0:
            return Recurrence.scan(self, params, xs, state, how)
        starts = how.starts(time)
        if how.reverse:
            xs = turned(xs, how.lengths)
            if starts is not None:
                starts = turned(starts, how.lengths)
        before = self.width - 1
        # Time-major, with the window in front, [before + time, *batch, F].
        window = jnp.moveaxis(state, -2, 0)
        seen = jnp.concatenate([window, xs.astype(state.dtype)])
        run = _run(starts, before, xs)
        sums = jnp.zeros(xs.shape, state.dtype)
        for place in range(self.width):
            part = lax.dynamic_slice_in_dim(seen, place, time)
            if run is not None:
                # What came before a reset counts no more.
                same = lax.dynamic_slice_in_dim(run, place, time) == run[before:]
                part = jnp.where(same[..., None], part, 0)
            sums = sums + part * spread(params["w"][place], part)
        ys = silu(sums + spread(params["b"], sums)).astype(xs.dtype)
        if how.lengths is not None:
            valid = is_valid(jnp.arange(time), how.lengths)
            ys = jnp.where(valid[..., None], ys, 0)
        state = self._last(seen, run, how.lengths, time)
        if how.reverse:
            ys = turned(ys, how.lengths)
        return state, ys

    def _last(self, seen: Array, run: Array | None, lengths: Lengths | None, time: int) -> Array:
        """Returns the window after each row's last step, `[*batch, width - 1, F]`."""
        before = self.width - 1
        places = jnp.arange(before)
        if lengths is None:
            lengths = jnp.full(seen.shape[1:-1], time)
        # [before, *batch]: in `seen` a row's last steps end at its length plus `before`.
        index = lengths[None] + places.reshape(-1, *(1,) * lengths.ndim)
        window = jnp.take_along_axis(seen, index[..., None], axis=0)
        if run is not None:
            newest = jnp.take_along_axis(run, lengths[None] + before - 1, axis=0)
            same = jnp.take_along_axis(run, index, axis=0) == newest
            window = jnp.where(same[..., None], window, 0)
        return jnp.moveaxis(window, 0, -2)


def _project(x: Frame, w: Array) -> Array:
    return product(x, w, state_dtype(x.dtype)).astype(x.dtype)


def _run(starts: Reset | None, before: int, xs: Sequence) -> Int[Array, "steps *batch"] | None:
    """Numbers the sequences of each row, those of the window 0; None where there is one."""
    if starts is None:
        return None
    counts = jnp.cumsum(starts.astype(jnp.int32), axis=0)
    return jnp.concatenate([jnp.zeros((before, *xs.shape[1:-1]), jnp.int32), counts])
