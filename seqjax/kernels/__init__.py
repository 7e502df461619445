"""Fast whole-sequence implementations of cells, and the choice among them.

| backend    | what it is                                                              | differentiates         |
|------------|-------------------------------------------------------------------------|------------------------|
| `"scan"`   | `lax.scan` over the step, under autodiff: the oracle, always available  | forwards and backwards |
| `"fused"`  | pure XLA with a hand-written derivative, see `seqjax.kernels.fused`     | backwards              |
| `"native"` | compiled code for the CPU, see `seqjax.kernels.native`                  | backwards              |
| `"cudnn"`  | NVIDIA's LSTM in float32, see `seqjax.kernels.cudnn`; never run so far  | backwards              |
| `"pallas"` | one kernel for TPUs, see `seqjax.kernels.pallas`; never run on one      | backwards              |

`"auto"` takes `"native"`; the last three give way to `"fused"` where they cannot run, and all but
`"native"` to `"scan"` under `remat` and where the state has another dtype than the inputs
(bfloat16): `explain` tells the reason. Of variants, of the other cells and of a user's own,
`"fused"` runs the cell's own step and computes the gradients of its weights after the loop, see
`seqjax.kernels.deferred`. Forward-mode derivatives (`jax.jvp`, `jax.jacfwd`) want `backend="scan"`;
a program that is to leave the process (`jax.export`) wants `"fused"`, for a custom call has a
meaning only where seqjax is loaded.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterable
from typing import Any, get_args

import jax
import jax.numpy as jnp

from seqjax.kernels import cudnn, deferred, int8, native
from seqjax.kernels import dense as dense
from seqjax.recurrence import Pass, Recurrence, parts, state_dtype
from seqjax.typing import Backend, Params, Sequence, State

BACKENDS = get_args(Backend)
AUTO: Backend = "native"
"""What `"auto"` takes where it can run, and otherwise `"fused"`."""


def run(
    cell: Recurrence, formula: str | None, params: Params, xs: Sequence, state: State, how: Pass
) -> Any:
    """Runs a cell over a whole sequence, by the backend that `how` asks for or allows.

    Args:
      cell: whose step it is.
      formula: its name in `fused.FORMULAS`; None for a variant that has none.
      params: the cell's.
      xs: `[time, *batch, features]`.
      state: before the first step read.
      how: the pass.

    Returns:
      `(state, ys)`.
    """
    # The kernels want inputs and parameters of one dtype.
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params)}
    traced = functools.partial(deferred.serves, cell, params, xs, state)
    chosen, _ = _choose(cell, formula, traced, xs.dtype, dtypes, how)
    if chosen == "scan":
        return Recurrence.scan(cell, params, xs, state, how)
    if formula is None:
        return deferred.scan(cell, params, xs, state, how)
    # Pallas is imported where it is used: it takes a tenth of a second.
    kernel = importlib.import_module(f"seqjax.kernels.{chosen}")
    return _by_formula(kernel.scan, formula, params, xs, state, how)


def run_int8(formula: str | None, params: Params, xs: Sequence, state: State, how: Pass) -> Any:
    """Runs a cell over few steps by matrices in int8 as they are, see `seqjax.kernels.int8`.

    Args:
      formula: its name in `fused.FORMULAS`; None for a variant that has none.
      params: the cell's, with matrices in int8.
      xs: `[time, *batch, features]`.
      state: before the first step read.
      how: the pass.

    Returns:
      `(state, ys)`; None where weights are to be computed first: there are many steps, nothing reads
      int8, or they are floats.
    """
    if formula is None or not int8.is_cell(params) or how.backend not in ("auto", "native"):
        return None
    floats = {xs.dtype, params["b"].dtype} == {jnp.dtype(jnp.float32)}
    count = math.prod(xs.shape[:-1])
    # A program whose sizes are open is not for this process alone.
    few = isinstance(count, int) and count <= int8.FEW
    if not (floats and few) or _not_native(xs.dtype):
        return None
    return _by_formula(int8.scan, formula, params, xs, state, how)


def _by_formula(
    scan: Callable, formula: str, params: Params, xs: Sequence, state: State, how: Pass
) -> Any:
    """Calls a kernel, which knows tuples that begin with h; named ones and bare arrays are put back."""
    named = isinstance(state, tuple)
    flat = tuple(state) if named else (state,)
    after, ys = scan(formula, params, xs, flat, how)
    return (type(state)(*after) if named else after[0]), ys


def explain(
    cell: Recurrence, dtype: Any = jnp.float32, *, remat: str = "none", backend: Backend = "auto"
) -> str:
    """Says in words which implementation runs a recurrence, and why.

    Args:
      cell: a recurrence; of a combinator each part is judged by itself.
      dtype: that of inputs and parameters.
      remat: as given to `seqjax.unroll`.
      backend: as given to `seqjax.unroll`.

    Returns:
      One line, such as `LSTM(8): native, the fastest that computes all that is asked for`.
    """
    if found := parts(cell):
        several = functools.partial(explain, dtype=dtype, remat=remat, backend=backend)
        return "; ".join(map(several, _in_a_row(found.values())))
    if cell.parallel and backend != "scan":
        return f"{cell}: {cell.parallel_form}"
    how = Pass(remat=remat, backend=backend)  # pyright: ignore[reportArgumentType]
    traced = functools.partial(_traced, cell, dtype)
    dtype = jnp.dtype(dtype)
    chosen, why = _choose(cell, cell.formula(), traced, dtype, {dtype}, how)
    return f"{cell}: {chosen}, {why}"


def _traced(cell: Recurrence, dtype: Any) -> bool:
    """Tells whether `deferred` serves a cell, whatever its inputs."""
    if type(cell).scan is Recurrence.scan:
        return False
    xs = jax.ShapeDtypeStruct((1, 1), dtype)
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), 1))
    state = jax.eval_shape(lambda params: cell.initial_state(params, (), dtype), params)
    return deferred.serves(cell, params, xs, state)  # pyright: ignore[reportArgumentType]


def _in_a_row(fields: Iterable[Recurrence | tuple[Recurrence, ...]]) -> list[Recurrence]:
    """Returns the recurrences of fields that hold one or several."""
    found = []
    for field in fields:
        found += field if isinstance(field, tuple) else [field]
    return found


def _choose(
    cell: Recurrence,
    formula: str | None,
    traced: Callable[[], bool],
    dtype: Any,
    param_dtypes: set,
    how: Pass,
) -> tuple[str, str]:
    """Returns the backend that runs, and the reason in words."""
    # What only the scan can do comes first, whatever is asked for.
    if how.backend == "scan":
        return "scan", "as asked for"
    # The compiled kernels can be called for chunks, and keep the state in float32 by themselves.
    asked = formula is not None and how.backend in ("auto", "native")
    compiled = asked and _not_native(dtype) is None
    if how.remat != "none" and not compiled:
        return "scan", f"remat={how.remat!r} rebuilds activations, which the others keep"
    if param_dtypes != {dtype} or not (compiled or state_dtype(dtype) == dtype):
        return "scan", "inputs, parameters and state are not of one dtype"
    if formula is None:
        # Of a variant, or a user's own cell, there is its step alone.
        if traced():
            return "fused", "its own step, with the gradients of weights computed after the loop"
        return "scan", "no other implementation knows this recurrence"
    backend = AUTO if how.backend == "auto" else how.backend
    # Then what the platform and the dtype allow.
    reason = None
    if backend == "native":
        reason = _not_native(dtype)
    elif backend == "cudnn":
        reason = _not_cudnn(formula, dtype, how)
    elif backend == "pallas":
        reason = _not_pallas(cell, dtype)
    if reason:
        return "fused", reason
    more = ""
    if how.remat != "none":
        more += f"; remat={how.remat!r} keeps the states between chunks"
    if backend == "native" and native.rounds(dtype):
        more += "; what is multiplied is rounded to bfloat16"
    if how.backend == backend:
        return backend, f"as asked for{more}"
    return backend, f"the fastest that computes all that is asked for{more}"


def _not_native(dtype: Any) -> str | None:
    """Returns the reason why the compiled kernels cannot run, or None."""
    if jax.default_backend() != "cpu":
        return f"the compiled kernels run on CPUs, not on {jax.default_backend()}"
    if dtype not in (jnp.float32, jnp.bfloat16):
        return f"the compiled kernels compute in float32, not in {dtype}"
    return native.missing()


def _not_cudnn(formula: str, dtype: Any, how: Pass) -> str | None:
    """Returns the reason why NVIDIA's LSTM cannot run, or None."""
    if formula != "lstm":
        return "cuDNN is bound for the LSTM alone"
    if jax.default_backend() != "gpu":
        return f"cuDNN runs on NVIDIA's GPUs, not on {jax.default_backend()}"
    if dtype != jnp.float32:
        return f"cuDNN's LSTM is used in float32, not in {dtype}"
    return cudnn.missing() if how.reset is None else "cuDNN knows no resets"


def _not_pallas(cell: Any, dtype: Any) -> str | None:
    """Returns the reason why the kernels for TPUs cannot run, or None."""
    if jax.default_backend() != "tpu":
        return f"Pallas' kernels run on TPUs, not on {jax.default_backend()}"
    if dtype != jnp.float32:
        return f"Pallas' kernels compute in float32, not in {dtype}"
    if cell.hidden_size % 128:
        return f"Pallas' kernels want units by 128, not {cell.hidden_size}"
    return None
