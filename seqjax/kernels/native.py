"""The classic cells in compiled code for CPUs, one call for a whole sequence.

The calls go through XLA's foreign function interface. The sources stand in `seqjax/kernels/cpu`,
and are compiled when the package is installed where there is a compiler. Lowered for another
platform, or differentiated twice, a call becomes the pure XLA of `seqjax.kernels.plain`.
"""

import functools
import importlib
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from seqjax.kernels import plain
from seqjax.kernels.calls import Axis, Shape, call, kernel
from seqjax.kernels.fused import Saved, States
from seqjax.kernels.plain import Static
from seqjax.kernels.rows import as_batch, as_rows
from seqjax.recurrence import Pass, sweep_chunks
from seqjax.typing import Outputs, Params, Sequence

# All batch axes are one here, that of the rows.
Inputs: TypeAlias = Float[Array, "time rows features"]
Row: TypeAlias = Float[Array, "rows hidden"]
Rows: TypeAlias = Float[Array, "time rows hidden"]
Sums: TypeAlias = Float[Array, "time rows sums"]
RowLengths: TypeAlias = Int[Array, " rows"]
RowStarts: TypeAlias = Bool[Array, "time rows"]

Operand: TypeAlias = tuple[Array, Axis]
"""An array and its axis of rows, None where it has none."""

CODES = {
    "elman_tanh": np.int32(0),
    "elman_relu": np.int32(1),
    "lstm": np.int32(2),
    "gru": np.int32(3),
}
CALLS = 5
"""What the compiled code was built for must be the same number, see `cpu/module.cc`."""

ROUNDED = ("bfloat16", "bf16_bf16_f32")
"""Values of `jax_default_matmul_precision` that allow it on CPUs."""

GATES = {"elman_tanh": 1, "elman_relu": 1, "lstm": 4, "gru": 3}


@functools.cache
def missing() -> str | None:
    """Returns the reason why the compiled kernels cannot be used; None where they can."""
    try:
        native = importlib.import_module("seqjax.kernels._native")
    except ModuleNotFoundError:
        return (
            "the compiled kernels are not there; install a C++ compiler, then seqjax again: "
            "pip install --force-reinstall --no-deps --no-cache-dir seqjax"
        )
    except ImportError as error:
        return f"the compiled kernels cannot be loaded ({error}); install seqjax again"
    if getattr(native, "CALLS", 1) != CALLS:
        return "the compiled kernels are of another version of seqjax; install seqjax again"
    try:
        for name, handler in native.targets().items():
            jax.ffi.register_ffi_target(name, handler, platform="cpu")
    except Exception as error:
        # XLA has an error of its own for kernels that were built for another version of it.
        return (
            f"XLA does not take the compiled kernels ({error}); "
            "install seqjax again beside this jaxlib"
        )
    return None


def is_here() -> bool:
    """Tells whether the compiled kernels are there and what JAX computes on is a CPU."""
    return jax.default_backend() == "cpu" and missing() is None


def scan(
    name: str, params: Params, xs: Sequence, state: States, how: Pass
) -> tuple[States, Outputs]:
    """Runs a formula over time, see `seqjax.kernels.fused.scan`.

    Sums, gates and states are float32. What is multiplied is rounded to bfloat16 where inputs and
    parameters are, or where `jax.default_matmul_precision("bfloat16")` allows it, on CPUs that have
    instructions for it. By either kind of `remat` the sequence is read in chunks, of which the
    states between them are kept, the cheapest that a call of many steps can keep.
    """
    time, dtype = xs.shape[0], xs.dtype
    xs, params = xs.astype(jnp.float32), {k: w.astype(jnp.float32) for k, w in params.items()}
    inputs, before, lengths, starts = as_rows(xs, state, how)
    static = (name, how.reverse, rounds(dtype))

    def sweep(state: Any, steps: Any) -> Any:
        """Reads some steps, and knows from their times where a row ends."""
        times, xs, starts = steps
        left = None if lengths is None else jnp.clip(lengths - times[0], 0, xs.shape[0])
        return _scan(static, params, xs, state, left, starts)

    if how.remat == "none" or time == 0:
        after, ys = _scan(static, params, inputs, before, lengths, starts)  # pyright: ignore[reportGeneralTypeIssues]
    else:
        steps = jnp.arange(time, dtype=jnp.int32), inputs, starts
        after, ys = sweep_chunks(sweep, before, steps, time, how.reverse)
    after, ys = as_batch(after, ys, xs.shape[1:-1])
    return after, ys.astype(dtype)


def rounds(dtype: Any) -> bool:
    """Tells whether products of such inputs are those of numbers rounded to bfloat16."""
    asked = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    allowed = dtype == jnp.bfloat16 or str(asked).lower() in ROUNDED
    return allowed and importlib.import_module("seqjax.kernels._native").rounds()


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(
    static: Static,
    params: Params,
    xs: Inputs,
    state: tuple[Row, ...],
    lengths: RowLengths | None,
    starts: RowStarts | None,
) -> Any:
    return _forward((*static, False), params, xs, state, lengths, starts)[:2]


def _keep(
    static: Static,
    params: Params,
    xs: Inputs,
    state: tuple[Row, ...],
    lengths: RowLengths | None,
    starts: RowStarts | None,
) -> tuple[tuple[tuple[Row, ...], Rows], tuple]:
    """Computes the outputs, and beside them what `_pull` reads."""
    after, ys, kept = _forward((*static, True), params, xs, state, lengths, starts)
    return (after, ys), (params, xs, state, lengths, starts, ys, kept)


def _pull(static: Static, remembered: tuple, grads: tuple[tuple[Row, ...], Rows]) -> tuple:
    """Computes the gradients of params, inputs and first state; lengths and starts have none."""
    params, xs, state, lengths, starts, ys, kept = remembered
    # The loop gives the gradients of the sums alone, [time, rows, gates].
    d_state, d_sums = _backward(static, params["w_h"], state, lengths, starts, ys, kept, *grads)
    # Those of the weights and of the inputs are single products after it.
    d_params = _weight_gradient(static, xs, state, lengths, starts, ys, d_sums)
    return d_params, _input_gradient(static, params["w_x"], d_sums, lengths), d_state, None, None


_scan.defvjp(_keep, _pull)


@kernel(plain.forward, arguments=(None, 1, 0, 0, 1), results=(0, 1, 1))
def _forward(
    static: tuple[str, bool, bool, bool],
    params: Params,
    xs: Inputs,
    state: tuple[Row, ...],
    lengths: RowLengths | None,
    starts: RowStarts | None,
) -> tuple[tuple[Row, ...], Rows, Saved]:
    name, reverse, rounded, keep = static
    (time, rows, _), units = xs.shape, state[0].shape[-1]
    lstm = name == "lstm"
    # What a step keeps, in multiples of the units: of its gates, and of its memory.
    kept = [0, 0]
    if keep:
        kept = {"lstm": [4, 1], "gru": [4, 0]}.get(name, [0, 0])
    # ys, the last h and c, and what is kept; of what a cell lacks no numbers.
    results = [((time, rows, units), 1), ((rows, units), 0), result((rows, units), 0, lstm)]
    results += [result((time, rows, times * units), 1, times > 0) for times in kept]
    ys, h, c, saved, cs = call(
        "seqjax_forward",
        [params["w_x"], params["w_h"], params["b"], params.get("b_n", absent()[0])],
        [(xs, 1), *pair(state), *marks(lengths, starts)],
        results,
        cell=CODES[name],
        reverse=reverse,
        rounded=rounded,
    )
    present = tuple(a for a, times in zip((saved, cs), kept, strict=True) if times)
    return (h, c)[: len(state)], ys, present


@kernel(plain.backward, arguments=(None, 0, 0, 1, 1, 1, 0, 1), results=(0, 1))
def _backward(
    static: Static,
    w_h: Float[Array, "hidden gates"],
    state: tuple[Row, ...],
    lengths: RowLengths | None,
    starts: RowStarts | None,
    ys: Rows,
    kept: Saved,
    d_state: tuple[Row, ...],
    d_ys: Rows,
) -> tuple[tuple[Row, ...], Sums]:
    name, reverse, rounded = static
    time, rows, units = ys.shape
    # Elman keeps nothing, the GRU no memory.
    saved, cs = (*((a, 1) for a in kept), absent(), absent())[:2]
    # A step's gradients are as wide as what it keeps; Elman's as wide as its output.
    width = kept[0].shape[-1] if kept else units
    # Of the sums of each step, and of the first h and c.
    results = [
        ((time, rows, width), 1),
        ((rows, units), 0),
        result((rows, units), 0, name == "lstm"),
    ]
    d_sums, d_h, d_c = call(
        "seqjax_backward",
        [w_h],
        [
            (d_ys, 1),
            *pair(d_state),
            (ys, 1),
            (state[0], 0),
            cs,
            pair(state)[1],
            saved,
            *marks(lengths, starts),
        ],
        results,
        # `saved` is operand 8, the weight counted: the gradients take its place in memory.
        aliases={8: 0} if kept else None,
        cell=CODES[name],
        reverse=reverse,
        rounded=rounded,
    )
    return (d_h, d_c)[: len(state)], d_sums


@kernel(plain.weight_gradient, arguments=(1, 0, 0, 1, 1, 1), results=None)
def _weight_gradient(
    static: Static,
    xs: Inputs,
    state: tuple[Row, ...],
    lengths: RowLengths | None,
    starts: RowStarts | None,
    ys: Rows,
    d_sums: Sums,
) -> dict[str, Array]:
    name, reverse, rounded = static
    inputs, units, width = xs.shape[-1], ys.shape[-1], GATES[name] * ys.shape[-1]
    # w_x, w_h, b and b_n: sums over the rows, which have no axis of them.
    results = [
        ((inputs, width), None),
        ((units, width), None),
        ((width,), None),
        result((units,), None, name == "gru"),
    ]
    found = call(
        "seqjax_weight_gradient",
        [],
        [(xs, 1), (ys, 1), (state[0], 0), (d_sums, 1), *marks(lengths, starts)],
        results,
        cell=CODES[name],
        reverse=reverse,
        rounded=rounded,
    )
    d_params: dict[str, Array] = dict(zip(("w_x", "w_h", "b", "b_n"), found, strict=True))
    if name != "gru":
        del d_params["b_n"]
    return d_params


@kernel(plain.input_gradient, arguments=(None, 1, 0), results=1)
def _input_gradient(
    static: Static,
    w_x: Float[Array, "features gates"],
    d_sums: Sums,
    lengths: RowLengths | None,
) -> Inputs:
    name, units = static[0], w_x.shape[-1] // GATES[static[0]]
    # [time, rows, features]
    shape = (*d_sums.shape[:2], w_x.shape[0])
    return call(
        "seqjax_input_gradient",
        [w_x],
        [(d_sums, 1), marks(lengths, None)[0]],
        [(shape, 1)],
        cell=CODES[name],
        rounded=static[2],
        hidden=np.int64(units),
    )[0]


def absent(dtype: Any = jnp.float32) -> Operand:
    """Makes the operand that stands for none."""
    return jnp.zeros(0, dtype), None


def result(shape: Shape, axis: Axis, present: bool) -> tuple[Shape, Axis]:
    """Returns the shape of a result and its axis of rows; of one that is not there, no size."""
    return (shape, axis) if present else ((0,), None)


def pair(state: tuple[Row, ...]) -> list[Operand]:
    """Returns h and c, each with its axis of rows; of a state without c, a stand-in."""
    h, *memory = state
    c = (memory[0], 0) if memory else absent()
    return [(h, 0), c]


def marks(lengths: RowLengths | None, starts: RowStarts | None) -> list[Operand]:
    """Returns lengths and starts, each with its axis of rows, or a stand-in."""
    return [
        absent(jnp.int32) if lengths is None else (lengths, 0),
        absent(jnp.bool_) if starts is None else (starts, 1),
    ]
