"""The classic cells in compiled code for CPUs: one call for a whole sequence, through XLA's foreign function interface.

The sources stand in `seqjax/kernels/cpu`, and are compiled when the package is installed where
there is a compiler. Lowered for another platform, or differentiated twice, a call becomes the pure
XLA of `seqjax.kernels.plain`.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.kernels import plain
from seqjax.kernels.calls import call, kernel
from seqjax.recurrence import Pass
from seqjax.typing import Outputs, Params, Sequence

CODES = {
    "elman_tanh": np.int32(0),
    "elman_relu": np.int32(1),
    "lstm": np.int32(2),
    "gru": np.int32(3),
}
GATES = {"elman_tanh": 1, "elman_relu": 1, "lstm": 4, "gru": 3}


@functools.cache
def missing() -> str | None:
    """Why the compiled kernels cannot be used; None where they can."""
    try:
        from seqjax.kernels import _native  # pyright: ignore[reportAttributeAccessIssue]
    except ImportError as error:
        return f"the compiled kernels are not there ({error}); install a C++ compiler, then seqjax again"
    try:
        for name, handler in _native.targets().items():
            jax.ffi.register_ffi_target(name, handler, platform="cpu")
    except Exception as error:  # XLA has an error of its own for kernels that were built for another version of it.
        return f"XLA does not take the compiled kernels ({error}); install seqjax again beside this jaxlib"
    return None


def scan(name: str, params: Params, xs: Sequence, state: tuple, how: Pass) -> tuple[tuple, Outputs]:
    """Runs a formula over time, see `seqjax.kernels.fused.scan`; float32 only."""
    time, *batch, inputs = xs.shape
    rows = math.prod(batch)
    flat = lambda a, lead: a.reshape(*a.shape[:lead], rows, *a.shape[lead + len(batch) :])  # noqa: E731
    starts = how.starts(time)
    after, ys = _scan(  # pyright: ignore[reportGeneralTypeIssues]
        (name, how.reverse),
        dict(params),
        flat(xs, 1),
        tuple(flat(s, 0) for s in state),
        None if how.lengths is None else flat(how.lengths, 0),
        None if starts is None else flat(starts, 1),
    )
    return tuple(s.reshape(*batch, s.shape[-1]) for s in after), ys.reshape(
        time, *batch, ys.shape[-1]
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(static, params, xs, state, lengths, starts) -> Any:
    return _forward((*static, False), params, xs, state, lengths, starts)[:2]


def _keep(static, params, xs, state, lengths, starts):
    after, ys, kept = _forward((*static, True), params, xs, state, lengths, starts)
    return (after, ys), (params, xs, state, lengths, starts, ys, kept)


def _pull(static, remembered, grads):
    params, xs, state, lengths, starts, ys, kept = remembered
    d_state, d_sums = _backward(static, params["w_h"], state, lengths, starts, ys, kept, *grads)
    d_params = _weight_gradient(static, xs, state, lengths, starts, ys, d_sums)
    return d_params, _input_gradient(static, params["w_x"], d_sums), d_state, None, None


_scan.defvjp(_keep, _pull)


@kernel(plain.forward, arguments=(None, 1, 0, 0, 1), results=(0, 1, 1))
def _forward(static, params, xs, state, lengths, starts):
    name, reverse, keep = static
    (time, rows, _), units = xs.shape, state[0].shape[-1]
    lstm, kept = (
        name == "lstm",
        {"lstm": [4, 1], "gru": [4, 0]}.get(name, [0, 0]) if keep else [0, 0],
    )
    ys, h, c, saved, cs = call(
        "seqjax_forward",
        [params["w_x"], params["w_h"], params["b"], params.get("b_n", _absent()[0])],
        [(xs, 1), *_pair(state), *_marks(lengths, starts)],
        [((time, rows, units), 1), ((rows, units), 0), ((rows, units), 0) if lstm else ((0,), None)]
        + [((time, rows, times * units), 1) if times else ((0,), None) for times in kept],
        cell=CODES[name],
        reverse=reverse,
    )
    return (
        (h, c)[: len(state)],
        ys,
        tuple(a for a, times in zip((saved, cs), kept, strict=True) if times),
    )


@kernel(plain.backward, arguments=(None, 0, 0, 1, 1, 1, 0, 1), results=(0, 1))
def _backward(static, w_h, state, lengths, starts, ys, kept, d_state, d_ys):
    name, reverse = static
    (time, rows, units), lstm = ys.shape, name == "lstm"
    saved, cs = (*((a, 1) for a in kept), _absent(), _absent())[:2]
    d_sums, d_h, d_c = call(
        "seqjax_backward",
        [w_h],
        [
            (d_ys, 1),
            *_pair(d_state),
            (ys, 1),
            (state[0], 0),
            cs,
            _pair(state)[1],
            saved,
            *_marks(lengths, starts),
        ],
        [
            ((time, rows, kept[0].shape[-1] if kept else units), 1),
            ((rows, units), 0),
            ((rows, units), 0) if lstm else ((0,), None),
        ],
        aliases={8: 0} if kept else None,
        cell=CODES[name],
        reverse=reverse,
    )
    return (d_h, d_c)[: len(state)], d_sums


@kernel(plain.weight_gradient, arguments=(1, 0, 0, 1, 1, 1), results=None)
def _weight_gradient(static, xs, state, lengths, starts, ys, d_sums):
    name, reverse = static
    inputs, units, width = xs.shape[-1], ys.shape[-1], GATES[name] * ys.shape[-1]
    data = [(xs, 1), (ys, 1), (state[0], 0), (d_sums, 1), *_marks(lengths, starts)]
    shapes = [(inputs, width), (units, width), (width,), (units if name == "gru" else 0,)]
    found = call(
        "seqjax_weight_gradient",
        [],
        data,
        [(s, None) for s in shapes],
        cell=CODES[name],
        reverse=reverse,
    )
    return dict(
        zip(
            ("w_x", "w_h", "b", "b_n") if name == "gru" else ("w_x", "w_h", "b"),
            found,
            strict=False,
        )
    )


@kernel(plain.input_gradient, arguments=(None, 1), results=1)
def _input_gradient(static, w_x, d_sums):
    name, units = static[0], w_x.shape[-1] // GATES[static[0]]
    shape = (*d_sums.shape[:2], w_x.shape[0])
    return call(
        "seqjax_input_gradient",
        [w_x],
        [(d_sums, 1)],
        [(shape, 1)],
        cell=CODES[name],
        hidden=np.int64(units),
    )[0]


def _absent(dtype=jnp.float32):
    """The operand that stands for none."""
    return jnp.zeros(0, dtype), None


def _pair(state):
    """H and c, each with its axis of rows."""
    return [(state[0], 0), (state[1], 0) if len(state) > 1 else _absent()]


def _marks(lengths, starts):
    return [
        _absent(jnp.int32) if lengths is None else (lengths, 0),
        _absent(jnp.bool_) if starts is None else (starts, 1),
    ]
