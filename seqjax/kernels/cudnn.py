"""The LSTM by NVIDIA's cuDNN, through `jax.experimental.rnn`, in float32.

It is lowered for CUDA and compared with JAX's own account of what cuDNN computes; on a GPU it has
not been run yet. Lowered for another platform it is the pure XLA of `seqjax.kernels.fused`.
Products are rounded to TF32 only where `jax_default_matmul_precision` asks for it.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap
from jax.experimental import rnn

from seqjax.kernels import fused
from seqjax.recurrence import Pass, select
from seqjax.typing import Outputs, Params, Sequence


def missing() -> str | None:
    """Why cuDNN cannot be used; None where it can."""
    if hasattr(getattr(rnn, "gpu_rnn", None), "compute_rnn_workspace_reserve_space_sizes"):
        return None
    return "this jaxlib comes without cuDNN; install jax[cuda13]"


def scan(name: str, params: Params, xs: Sequence, state: tuple, how: Pass) -> tuple[tuple, Outputs]:
    """Runs the LSTM over time, see `seqjax.kernels.fused.scan`; float32 only, and no resets."""
    time, *batch, inputs = xs.shape
    if xs.size == 0:
        return fused.scan(name, params, xs, state, how)
    rows = math.prod(batch)
    lengths = jnp.full(rows, time, jnp.int32) if how.lengths is None else how.lengths.reshape(rows)
    flat = xs.reshape(time, rows, inputs), tuple(s.reshape(rows, -1) for s in state)
    (h, c), ys = lax.platform_dependent(
        dict(params),
        *flat,
        lengths,
        cuda=functools.partial(_by_cudnn, how.reverse),
        default=lambda params, xs, state, lengths: fused.scan(
            name, params, xs, state, dataclasses.replace(how, lengths=lengths)
        ),
    )
    return tuple(s.reshape(*batch, -1) for s in (h, c)), ys.reshape(time, *batch, -1)


def _by_cudnn(reverse, params, xs, state, lengths):
    times = jnp.arange(len(xs))[:, None]
    valid = times < lengths
    order = jnp.where(valid, lengths - 1 - times, times)[..., None]
    turned = lambda a: jnp.take_along_axis(a, order, axis=0) if reverse else a  # noqa: E731
    weights = jnp.concatenate(
        [params["w_x"].T.ravel(), params["w_h"].T.ravel(), params["b"], 0 * params["b"]]
    )
    # A row of no steps is one that cuDNN does not know.
    ys, h, c = _lstm(
        jnp.moveaxis(turned(xs), 1, 0),
        state[0][None],
        state[1][None],
        weights,
        jnp.maximum(lengths, 1),
    )
    after = select(lengths > 0, (h[0], c[0]), tuple(state))
    return after, turned(
        select(valid, jnp.moveaxis(ys, 1, 0), jnp.zeros_like(ys, shape=(*valid.shape, h.shape[-1])))
    )


@jax.custom_vjp
def _lstm(xs, h, c, weights, lengths) -> Any:
    return _forward(xs, h, c, weights, lengths)[0]


def _keep(*args):
    return _forward(*args)


def _pull(kept, gradients):
    return *_backward(kept, gradients)[:4], None


_lstm.defvjp(_keep, _pull)


@sequential_vmap
def _forward(xs, h, c, weights, lengths):
    return rnn.lstm_fwd(xs, h, c, weights, lengths, **_sizes(xs, h), precision=_precision())


@sequential_vmap
def _backward(kept, gradients):
    return rnn.lstm_bwd(*_sizes(*kept[:2]).values(), _precision(), kept, gradients)  # pyright: ignore[reportCallIssue]


def _sizes(xs, h) -> dict[str, Any]:
    sizes = {"input_size": xs.shape[-1], "hidden_size": h.shape[-1]}
    return sizes | {"num_layers": 1, "dropout": 0.0, "bidirectional": False}


def _precision() -> lax.Precision:
    asked = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return (
        lax.Precision.HIGH
        if asked in ("high", "tensorfloat32", "TF32_TF32_F32")
        else lax.Precision.HIGHEST
    )
