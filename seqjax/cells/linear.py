"""Recurrences that are linear in their state, run over time by `kernels.linear.linear_scan`."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import initializers, sigmoid

from seqjax.cells.gates import Cell, check_features, input_weights, product, step_arguments
from seqjax.cells.options import number, settle, size
from seqjax.checks import checked_key
from seqjax.kernels.linear import linear_scan
from seqjax.recurrence import Pass, is_valid, scan_steps, spread, state_dtype, sweep_chunks
from seqjax.typing import Frame, KeyArray, Output, Outputs, Params, Sequence, State

CHUNK, LEAST_STEPS = 2**15, 8
"""Numbers of each array that a CPU's cache shall hold at once; never fewer steps than so many."""

SHARPNESS = 8.0
"""The constant c of De et al. (2024): the power of a decay where its gate is wide open."""


class LinearCell(Cell):
    """A recurrence `s' = decay * s + inflow`, element by element.

    The coefficients do not depend on s. A subclass says `coefficients` and, where the output is not
    the state, `read`.
    """

    parallel: ClassVar[bool] = True

    def coefficients(self, params: Params, x: Frame) -> tuple[State, State]:
        """Returns `(decay, inflow)`, each `[*batch, H]`, of the step that reads x."""
        raise NotImplementedError

    def read(self, params: Params, state: State, x: Frame) -> Output:
        """Returns the output of the step that read x and left `state`."""
        return state

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step; returns the next state and the output."""
        params, state, x = step_arguments(type(self), self, params, state, x)
        decay, inflow = self.coefficients(params, x)
        state = (spread(decay, state) * state + inflow).astype(state.dtype)
        return state, self.read(params, state, x).astype(x.dtype)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence by `linear_scan`, or `step` by step with `backend="scan"`.

        On a CPU `remat="none"` also goes in chunks of time, and keeps the states between them
        alone: to compute a chunk again while it is in the cache takes less time than to bring it
        back.
        """
        time, start = xs.shape[0], self.initial_state(params, xs.shape[1:-1], xs.dtype)
        if how.backend == "scan" or time == 0:

            def step(state: State, x: Frame, rng: Any) -> tuple[State, Output]:
                return self.step(params, state, x)

            return scan_steps(step, start, xs, state, how)

        def sweep(state: State, inputs: tuple) -> tuple[State, Outputs]:
            t, x, starts = inputs
            # Of all steps at once, [time, *batch, H]; a decay that no input changes, [1, ..., H].
            decay, inflow = self.coefficients(params, x)
            decay = decay.reshape(*(1,) * (inflow.ndim - decay.ndim), *decay.shape)
            if starts is not None:
                # A step after a reset takes the initial state, and nothing of the one before.
                inflow = jnp.where(starts[..., None], decay * start[None] + inflow, inflow)
                decay = jnp.where(starts[..., None], 0, decay)
            valid = None
            if how.lengths is not None:
                # Past a row's end s' = 1 * s + 0: the state is held.
                valid = is_valid(t, how.lengths)[..., None]
                decay, inflow = jnp.where(valid, decay, 1), jnp.where(valid, inflow, 0)
            states = linear_scan(decay, inflow, state, how.reverse).astype(state.dtype)
            ys = self.read(params, states, x).astype(x.dtype)
            if valid is not None:
                ys = jnp.where(valid, ys, 0)
            return states[0 if how.reverse else -1], ys

        inputs = (jnp.arange(time, dtype=jnp.int32), xs, how.starts(time))
        if how.remat == "sqrt":
            return sweep_chunks(sweep, state, inputs, time, how.reverse)
        if how.remat == "step":
            return jax.checkpoint(sweep)(state, inputs)
        if not all(isinstance(size, int) for size in inputs[1].shape):
            # Symbolic sizes, of `jax.export`, cannot be cut into chunks.
            return sweep(state, inputs)
        size = max(LEAST_STEPS, CHUNK // max(1, state.size))
        if size >= time:
            return sweep(state, inputs)

        def in_chunks(state: State, inputs: tuple) -> tuple[State, Outputs]:
            return sweep_chunks(sweep, state, inputs, time, how.reverse, size)

        return lax.platform_dependent(state, inputs, cpu=in_chunks, default=sweep)


@dataclasses.dataclass(frozen=True, repr=False)
class LRU(LinearCell):
    """Linear recurrent unit (Orvieto et al., 2023): diagonal and complex, with a real read-out.

        lambda = exp(-exp(nu) + i exp(theta))
        s' = lambda * s + exp(gamma) * (x (B_re + i B_im))
        y  = Re(s' (C_re + i C_im)) + x D

    Params are `{nu, theta, gamma [H], b_re, b_im [I, H], c_re, c_im [H, H], d [I, H]}`; the state s
    is complex `[*batch, H]`. The layer is linear: put a nonlinearity between two of them, see
    `seqjax.gated`.

    Attributes:
      hidden_size: complex units of the state, and features of the output, H.
      min_radius: smallest modulus of lambda at the start.
      max_radius: largest modulus of lambda at the start; nearer to 1 remembers for longer.
      max_phase: largest phase of lambda at the start, in radians.

    Reference: Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", ICML
    2023.

    Example:
      >>> import jax, seqjax
      >>> lru = seqjax.LRU(8)
      >>> state, ys = seqjax.unroll(lru, lru.init(jax.random.key(0), 3), jax.numpy.ones((2, 5, 3)))
      >>> ys.dtype.name, state.dtype.name
      ('float32', 'complex64')
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    min_radius: float = 0.4
    max_radius: float = 0.99
    max_phase: float = 2 * math.pi

    shows_state: ClassVar[bool] = False

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, min_radius=number, max_radius=number, max_phase=number)
        if self.max_phase <= 0:
            raise ValueError(f"LRU: max_phase is {self.max_phase}; give more than 0, in radians")
        if not 0 < self.min_radius < self.max_radius < 1:
            raise ValueError(
                f"LRU: radii {self.min_radius} and {self.max_radius}; "
                "give 0 < min_radius < max_radius < 1"
            )

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features.

        Eigenvalues are uniform on the ring between the radii; gamma is such that s keeps unit
        variance.
        """
        keys = jax.random.split(checked_key(key, "key"), 7)
        hidden = self.hidden_size
        low, high = self.min_radius**2, self.max_radius**2
        # Uniform in area: the square of the radius is uniform.
        radius = jnp.sqrt(jax.random.uniform(keys[0], (hidden,), minval=low, maxval=high))
        phase = self.max_phase * jax.random.uniform(keys[1], (hidden,), minval=1e-4)
        into, out = initializers.normal((2 * input_size) ** -0.5), initializers.normal(hidden**-0.5)
        return {
            "nu": jnp.log(-jnp.log(radius)),
            "theta": jnp.log(phase),
            "gamma": 0.5 * jnp.log1p(-jnp.square(radius)),
            "b_re": into(keys[2], (input_size, hidden)),
            "b_im": into(keys[3], (input_size, hidden)),
            "c_re": out(keys[4], (hidden, hidden)),
            "c_im": out(keys[5], (hidden, hidden)),
            "d": input_weights(keys[6], input_size, hidden, 1),
        }

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """Makes zeros `[*batch, H]`, complex64 or wider."""
        return jnp.zeros(
            (*batch_shape, self.hidden_size), np.result_type(state_dtype(dtype), np.complex64)
        )

    def coefficients(self, params: Params, x: Frame) -> tuple[State, State]:
        """Returns lambda `[H]`, and the scaled input `[*batch, H]`."""
        check_features(self, x, params["b_re"])
        wide = state_dtype(x.dtype)
        p = {name: params[name].astype(wide) for name in ("nu", "theta", "gamma")}
        decay = jnp.exp(lax.complex(-jnp.exp(p["nu"]), jnp.exp(p["theta"])))
        real = product(x, params["b_re"], wide)
        imaginary = product(x, params["b_im"], wide)
        scale = spread(jnp.exp(p["gamma"]), real)
        inflow = lax.complex(scale * real, scale * imaginary)
        return decay, inflow

    def read(self, params: Params, state: State, x: Frame) -> Output:
        """Computes the real part of the mixed state, and the input's own path beside it."""
        wide = state.real.dtype
        # Re(s C), in real products
        real = product(state.real, params["c_re"], wide)
        imaginary = product(state.imag, params["c_im"], wide)
        return real - imaginary + product(x, params["d"], wide)


@dataclasses.dataclass(frozen=True, repr=False)
class MinGRU(LinearCell):
    """Minimal GRU (Feng et al., 2024): gates see the input alone, so time is scanned in parallel.

        z  = sigmoid(x W_z + b_z)
        n  = x W_n + b_n
        h' = (1 - z) * h + z * n

    Params are `{w_x [I, 2H], b [2H]}` in the order z, n; the state is h `[*batch, H]`, and so is
    the output.

    Attributes:
      hidden_size: units, H.

    Reference: Feng et al., "Were RNNs All We Needed?", 2024.
    """

    hidden_size: int

    def __post_init__(self) -> None:
        settle(self, hidden_size=size)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        return {
            "w_x": input_weights(checked_key(key, "key"), input_size, self.hidden_size, 2),
            "b": jnp.zeros(2 * self.hidden_size),
        }

    def coefficients(self, params: Params, x: Frame) -> tuple[State, State]:
        """Returns `1 - z` and `z * n`."""
        check_features(self, x, params["w_x"])
        sums = product(x, params["w_x"], state_dtype(x.dtype))
        z, n = jnp.split(sums + spread(params["b"], sums), 2, axis=-1)
        return sigmoid(-z), sigmoid(z) * n


@dataclasses.dataclass(frozen=True, repr=False)
class MinLSTM(LinearCell):
    """Minimal LSTM (Feng et al., 2024): gates see the input alone and sum to one.

        f  = sigmoid(x W_f + b_f)
        i  = sigmoid(x W_i + b_i)
        n  = x W_n + b_n
        h' = f / (f + i) * h + i / (f + i) * n

    Params are `{w_x [I, 3H], b [3H]}` in the order f, i, n; the state is h `[*batch, H]`, and so is
    the output.

    Attributes:
      hidden_size: units, H.
      forget_bias: where the forget gate's bias starts.

    Reference: Feng et al., "Were RNNs All We Needed?", 2024.
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, forget_bias=number)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features."""
        return {
            "w_x": input_weights(checked_key(key, "key"), input_size, self.hidden_size, 3),
            "b": jnp.zeros(3 * self.hidden_size).at[: self.hidden_size].set(self.forget_bias),
        }

    def coefficients(self, params: Params, x: Frame) -> tuple[State, State]:
        """Returns the two gates' shares, the second times the candidate."""
        check_features(self, x, params["w_x"])
        sums = product(x, params["w_x"], state_dtype(x.dtype))
        f, i, n = jnp.split(sums + spread(params["b"], sums), 3, axis=-1)
        # f / (f + i) = sigmoid(log f - log i), which does not divide by what underflows.
        odds = jax.nn.log_sigmoid(f) - jax.nn.log_sigmoid(i)
        return sigmoid(odds), sigmoid(-odds) * n


@dataclasses.dataclass(frozen=True, repr=False)
class RGLRU(LinearCell):
    """Real-gated linear recurrent unit (De et al., 2024, Griffin): gates see the input alone.

        r  = sigmoid(x W_r + b_r)
        i  = sigmoid(x W_i + b_i)
        u  = x W_u + b_u
        a  = sigmoid(lambda) ** (8 r)
        h' = a * h + sqrt(1 - a ** 2) * (i * u)

    The paper's unit reads H features as they are, u = x; here the linear layer that stands before
    it in the paper's block belongs to the cell, so that inputs may have any size.

    Params are `{w_x [I, 3H], b [3H], lambda [H]}` in the order r, i, u; the state is h `[*batch,
    H]`, and so is the output. The layer is nearly linear: put a nonlinearity between two of them,
    see `seqjax.gated`.

    Attributes:
      hidden_size: units, H.
      min_decay: smallest a at the start where r is 1.
      max_decay: largest a there; nearer to 1 remembers for longer.

    Reference: De et al., "Griffin: Mixing Gated Linear Recurrences with Local Attention for
    Efficient Language Models", 2024, section 2.4.

    Example:
      >>> import jax, seqjax
      >>> cell = seqjax.RGLRU(8)
      >>> h, ys = seqjax.unroll(cell, cell.init(jax.random.key(0), 3), jax.numpy.ones((2, 5, 3)))
      >>> ys.shape, h.shape
      ((2, 5, 8), (2, 8))
    """

    hidden_size: int
    _: dataclasses.KW_ONLY
    min_decay: float = 0.9
    max_decay: float = 0.999

    def __post_init__(self) -> None:
        settle(self, hidden_size=size, min_decay=number, max_decay=number)
        if not 0 < self.min_decay < self.max_decay < 1:
            raise ValueError(
                f"RGLRU: decays {self.min_decay} and {self.max_decay}; "
                "give 0 < min_decay < max_decay < 1"
            )

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters for inputs of `input_size` features.

        Decays are uniform between `min_decay` and `max_decay`.
        """
        key_x, key_a = jax.random.split(checked_key(key, "key"))
        low, high = self.min_decay, self.max_decay
        decay = jax.random.uniform(key_a, (self.hidden_size,), minval=low, maxval=high)
        log_a = jnp.log(decay) / SHARPNESS
        return {
            "w_x": input_weights(key_x, input_size, self.hidden_size, 3),
            "b": jnp.zeros(3 * self.hidden_size),
            # The inverse of the sigmoid: log a - log(1 - a).
            "lambda": log_a - jnp.log(-jnp.expm1(log_a)),
        }

    def coefficients(self, params: Params, x: Frame) -> tuple[State, State]:
        """Returns `a`, and `sqrt(1 - a ** 2) * (i * u)`."""
        check_features(self, x, params["w_x"])
        sums = product(x, params["w_x"], state_dtype(x.dtype))
        r, i, u = jnp.split(sums + spread(params["b"], sums), 3, axis=-1)
        log_a = SHARPNESS * sigmoid(r) * jax.nn.log_sigmoid(spread(params["lambda"], r))
        # 1 - a ** 2; the root has no derivative at 0, where r underflows.
        room = jnp.maximum(-jnp.expm1(2 * log_a), float(jnp.finfo(log_a.dtype).tiny))
        return jnp.exp(log_a), jnp.sqrt(room) * sigmoid(i) * u
