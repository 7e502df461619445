"""The classic cells as Pallas kernels for TPUs, a whole sequence each, in float32.

The loops are those of `seqjax.kernels.fused`, as grids whose steps follow each other: the state and
its weights stay in the chip's own memory from the first step to the last, where XLA's loop reads
the weights anew at every step. The products with the inputs, and all gradients of weights, are
single ones outside. Interpreted they are compared with the scan, and they are lowered for TPUs; on
a TPU they have not been run yet. Lowered for another platform they are the pure XLA of `fused`.
"""

import functools
import math
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Float

from seqjax.kernels import fused
from seqjax.kernels.calls import kernel
from seqjax.kernels.fused import Saved, States, Step
from seqjax.kernels.rows import as_batch, as_rows
from seqjax.recurrence import Pass
from seqjax.typing import Lengths, Outputs, Params, Reset, Sequence

Static: TypeAlias = tuple[str, bool, bool]
"""Name of the formula, whether the last step is read first, and whether anything is kept."""

Sums: TypeAlias = Float[Array, "time rows gates"]

LANES = 128
"""Numbers side by side in a register of a TPU: gates are parted at multiples of it."""

MEMORY = 12 * 2**20
"""Bytes of the chip's own memory that a kernel may take, of 16 MB."""

INTERPRETED: Any = False
"""What `pallas_call` is told, for tests."""


def scan(
    name: str, params: Params, xs: Sequence, state: States, how: Pass
) -> tuple[States, Outputs]:
    """Runs a formula over time, see `seqjax.kernels.fused.scan`.

    Where `fits` says no it is that.
    """
    time, *batch, _ = xs.shape
    rows, units = math.prod(batch), state[0].shape[-1]
    if not (time and rows and fits(rows, units, params["w_h"].shape[-1])):
        return fused.scan(name, params, xs, state, how)

    after, ys = _scan((name, how.reverse), dict(params), *as_rows(xs, state, how))  # pyright: ignore[reportGeneralTypeIssues]
    return as_batch(after, ys, xs.shape[1:-1])


def fits(rows: int, units: int, gates: int) -> bool:
    """Tells whether gates can be parted, and the weights of the state and a step be held."""
    # A step reads the sums of the inputs, and writes at most as much and four states; all is there
    # twice, for what comes next is fetched meanwhile.
    held = units * gates + rows * (2 * gates + 4 * units)
    return units % LANES == 0 and 2 * 4 * held <= MEMORY


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(
    static: fused.Static,
    params: Params,
    xs: Sequence,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
) -> tuple[States, Outputs]:
    return _advance((*static, False), *_summed(params, xs), state, lengths, starts)[0]


def _keep(
    static: fused.Static,
    params: Params,
    xs: Sequence,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
) -> tuple[tuple[States, Outputs], tuple]:
    """Computes the outputs, and beside them what `_pull` reads."""
    after, kept = _advance((*static, True), *_summed(params, xs), state, lengths, starts)
    return after, (params, xs, lengths, starts, kept)


def _pull(static: fused.Static, remembered: tuple, grads: tuple[States, Outputs]) -> tuple:
    """Computes the gradients of params, inputs and first state; lengths and starts have none."""
    params, xs, lengths, starts, (hs, saved) = remembered
    d_state, from_x, from_h = _retreat(
        (*static, True), params["w_h"], saved, lengths, starts, *grads
    )
    d_params = fused.weight_gradient(static[0], xs, hs, from_x, from_h)
    return d_params, from_x @ params["w_x"].T, d_state, None, None


_scan.defvjp(_keep, _pull)


def _summed(params: Params, xs: Sequence) -> tuple[Params, Sums]:
    """Computes all `x W_x + b` as one product; returns what is left of the params, and the sums."""
    left = {name: w for name, w in params.items() if name not in ("w_x", "b")}
    return left, xs @ params["w_x"] + params["b"][None, None]


def _plain_advance(static: Static, *arguments: Any) -> Any:
    return fused.advance(static[:2], *arguments, keep=static[2])  # pyright: ignore[reportCallIssue]


@kernel(_plain_advance, arguments=(None, 1, 0, 0, 1), results=((0, 1), 1), platform="tpu")
def _advance(
    static: Static,
    params: Params,
    sums: Sums,
    state: States,
    lengths: Lengths | None,
    starts: Reset | None,
) -> Any:
    """Computes what `fused.advance` does."""
    return fused.advance(static[:2], params, sums, state, lengths, starts, static[2], loop)


def _plain_retreat(static: Static, *arguments: Any) -> Any:
    return fused.retreat(static[:2], *arguments)


@kernel(_plain_retreat, arguments=(None, 1, 0, 1, 0, 1), results=(0, 1, 1), platform="tpu")
def _retreat(
    static: Static,
    w_h: Float[Array, "hidden gates"],
    saved: Saved,
    lengths: Lengths | None,
    starts: Reset | None,
    d_state: States,
    d_ys: Outputs,
) -> Any:
    """Computes what `fused.retreat` does."""
    return fused.retreat(static[:2], w_h, saved, lengths, starts, d_state, d_ys, loop)


def loop(step: Step, constants: Any, state: States, inputs: Any, reverse: bool) -> Any:
    """Does as `fused.in_turn`, in one kernel: step by step along its grid.

    Args:
      step: of arrays `[rows, features]`, or `[1, features]` of the constants, or `[rows, 1]` of
        masks.
      constants: what every step reads, `[rows, columns]` or `[columns]`.
      state: `[rows, features]` each.
      inputs: `[time, rows, features]`, or masks `[time, rows]`.
      reverse: whether the last step is the first.
    """
    constants = jax.tree.map(lambda a: a if a.ndim == 2 else a[None], constants)
    # A TPU's memory holds no truth values, and tiles of two axes at least.
    numbers = jax.tree.map(lambda a: a if a.ndim == 3 else a[..., None].astype(jnp.int32), inputs)
    time = jax.tree.leaves(inputs)[0].shape[0]

    def at(array: Any) -> Any:
        """One step of an array, as the step sees it."""
        return jax.ShapeDtypeStruct(array.shape[1:], array.dtype)

    # Of each step the outputs, [rows, features].
    _, each = jax.eval_shape(step, constants, state, jax.tree.map(at, numbers))
    outputs = jax.tree.map(lambda a: jax.ShapeDtypeStruct((time, *a.shape), a.dtype), each)
    of_steps = functools.partial(_of_step, reverse)
    call = pl.pallas_call(
        functools.partial(_body, step),
        grid=(time,),
        in_specs=(
            jax.tree.map(_whole, constants),
            jax.tree.map(_whole, state),
            jax.tree.map(of_steps, numbers),
        ),
        out_specs=(jax.tree.map(_whole, state), jax.tree.map(of_steps, outputs)),
        out_shape=(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), state), outputs),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("arbitrary",)),
        interpret=INTERPRETED,
    )
    return call(constants, state, numbers)


def _body(step: Step, constants: Any, first: Any, inputs: Any, state: Any, outputs: Any) -> None:
    """Computes one step; what it makes of the state stays where it is until the last one."""

    @pl.when(pl.program_id(0) == 0)
    def _() -> None:
        jax.tree.map(lambda kept, begin: _write(kept, ..., begin[...]), state, first)

    held, weights = jax.tree.map(lambda reference: reference[...], (state, constants))
    after, each = step(weights, held, jax.tree.map(_read, inputs))
    jax.tree.map(lambda kept, value: _write(kept, ..., value), state, after)
    jax.tree.map(lambda written, value: _write(written, 0, value), outputs, each)


def _write(reference: Any, place: Any, value: Array) -> None:
    reference[place] = value


def _read(reference: Any) -> Array:
    """Reads the step at hand; numbers in place of truth values become those again."""
    value = reference[0]
    return value != 0 if value.dtype == jnp.int32 else value


def _whole(array: Any) -> pl.BlockSpec:
    """The block of what is there at every step, `[rows, columns]`."""
    return pl.BlockSpec(array.shape, lambda step: (0, 0))


def _of_step(reverse: bool, array: Any) -> pl.BlockSpec:
    """The block of one step of `[time, rows, columns]`."""
    last = array.shape[0] - 1
    return pl.BlockSpec(
        (1, *array.shape[1:]), lambda step: (last - step if reverse else step, 0, 0)
    )
