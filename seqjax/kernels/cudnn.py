"""The LSTM by NVIDIA's cuDNN, through `jax.experimental.rnn`, in float32.

It is lowered for CUDA and compared with JAX's own account of what cuDNN computes; on a GPU it has
not been run yet. Lowered for another platform it is the pure XLA of `seqjax.kernels.fused`.
Products are rounded to TF32 only where `jax_default_matmul_precision` asks for it.
"""

import dataclasses
import functools
import math
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap
from jax.experimental import rnn
from jaxtyping import Array, Float, Int

from seqjax.kernels import fused
from seqjax.kernels.fused import States
from seqjax.recurrence import Pass, is_valid, select, turned
from seqjax.typing import Outputs, Params, Sequence

Results: TypeAlias = tuple[Array, Array, Array]
"""Of cuDNN: ys `[rows, time, hidden]`, and h and c after it, `[1, rows, hidden]`."""


def missing() -> str | None:
    """Returns the reason why cuDNN cannot be used; None where it can."""
    if hasattr(getattr(rnn, "gpu_rnn", None), "compute_rnn_workspace_reserve_space_sizes"):
        return None
    return "this jaxlib comes without cuDNN; install jax[cuda13]"


def scan(
    name: str, params: Params, xs: Sequence, state: States, how: Pass
) -> tuple[States, Outputs]:
    """Runs the LSTM over time, see `seqjax.kernels.fused.scan`; float32 only, and no resets."""
    time, *batch, inputs = xs.shape
    if xs.size == 0:
        return fused.scan(name, params, xs, state, how)
    rows = math.prod(batch)
    if how.lengths is None:
        lengths = jnp.full(rows, time, jnp.int32)
    else:
        lengths = how.lengths.reshape(rows)
    # All batch axes are one from here on: [time, rows, features], [rows, hidden].
    flat = xs.reshape(time, rows, inputs), tuple(s.reshape(rows, -1) for s in state)

    def by_fused(
        params: Params, xs: Sequence, state: States, lengths: Array
    ) -> tuple[States, Outputs]:
        return fused.scan(name, params, xs, state, dataclasses.replace(how, lengths=lengths))

    (h, c), ys = lax.platform_dependent(
        dict(params),
        *flat,
        lengths,
        cuda=functools.partial(_by_cudnn, how.reverse),
        default=by_fused,
    )
    after = tuple(s.reshape(*batch, -1) for s in (h, c))
    return after, ys.reshape(time, *batch, -1)


def _by_cudnn(
    reverse: bool,
    params: Params,
    xs: Float[Array, "time rows features"],
    state: States,
    lengths: Int[Array, " rows"],
) -> tuple[States, Float[Array, "time rows hidden"]]:
    """Computes what `fused.scan` does; cuDNN reads rows first, and each from its first step on."""
    valid = is_valid(jnp.arange(len(xs)), lengths)  # [time, rows]
    if reverse:
        xs = turned(xs, lengths)
    # cuDNN has all weights in one array, and a second bias, which is zero.
    weights = jnp.concatenate(
        [params["w_x"].T.ravel(), params["w_h"].T.ravel(), params["b"], 0 * params["b"]]
    )
    # A row of no steps is one that cuDNN does not know.
    ys, h, c = _lstm(
        jnp.moveaxis(xs, 1, 0),
        state[0][None],
        state[1][None],
        weights,
        jnp.maximum(lengths, 1),
    )
    # Such a row has read one step of padding: its state is as before.
    after = select(lengths > 0, (h[0], c[0]), tuple(state))
    nothing = jnp.zeros_like(ys, shape=(*valid.shape, h.shape[-1]))
    ys = select(valid, jnp.moveaxis(ys, 1, 0), nothing)
    return after, turned(ys, lengths) if reverse else ys


@jax.custom_vjp
def _lstm(xs: Array, h: Array, c: Array, weights: Array, lengths: Array) -> Any:
    """Calls cuDNN on `[rows, time, features]`."""
    return _forward(xs, h, c, weights, lengths)[0]


def _keep(xs: Array, h: Array, c: Array, weights: Array, lengths: Array) -> tuple[Results, Any]:
    return _forward(xs, h, c, weights, lengths)


def _pull(kept: Any, gradients: Results) -> tuple:
    """Computes the gradients of inputs, h, c and weights; lengths have none."""
    return *_backward(kept, gradients)[:4], None


_lstm.defvjp(_keep, _pull)


@sequential_vmap
def _forward(xs: Array, h: Array, c: Array, weights: Array, lengths: Array) -> Any:
    return rnn.lstm_fwd(xs, h, c, weights, lengths, **_sizes(xs, h), precision=_precision())


@sequential_vmap
def _backward(kept: Any, gradients: Any) -> Any:
    return rnn.lstm_bwd(*_sizes(*kept[:2]).values(), _precision(), kept, gradients)  # pyright: ignore[reportCallIssue]


def _sizes(xs: Array, h: Array) -> dict[str, Any]:
    """Returns the sizes that `jax.experimental.rnn` asks for, in the order of its arguments."""
    sizes = {"input_size": xs.shape[-1], "hidden_size": h.shape[-1]}
    return sizes | {"num_layers": 1, "dropout": 0.0, "bidirectional": False}


def _precision() -> lax.Precision:
    """Returns the precision of the products: TF32 where JAX is told to take it."""
    asked = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    if asked in ("high", "tensorfloat32", "TF32_TF32_F32"):
        return lax.Precision.HIGH
    return lax.Precision.HIGHEST
