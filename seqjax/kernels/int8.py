"""Weights in int8: matrices of whole numbers, of which a scale for each column makes the weights.

    w = int8 * scale;  int8 [inputs, outputs] in -127 to 127, scale [outputs]

A step of few rows takes as long as its weights take to be read, and these are a quarter as long.
Compiled code reads them as they are; sums, gates and states stay float32, and what is multiplied is
a whole number of 15 bits where the CPU multiplies bytes.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from seqjax.kernels import native, plain
from seqjax.kernels.calls import call, kernel
from seqjax.kernels.native import Inputs, Row, RowLengths, Rows, RowStarts
from seqjax.kernels.rows import as_batch, as_rows
from seqjax.recurrence import Pass
from seqjax.typing import Outputs, Params, Sequence

LARGEST = 127
"""Of the numbers, so that they lie evenly on both sides of 0."""

FEW = 16
"""Rows times steps up to which int8 is read as it is; measured, see `benchmarks/chunks.py`. Of more
the weights are computed once, and multiplied by the kernels for floats."""


def is_int8(params: Any) -> bool:
    """Tells whether this is one matrix in int8."""
    return isinstance(params, Mapping) and set(params) == {"int8", "scale"}


def is_matrix(weights: Any) -> bool:
    """Tells whether this is an array of two axes or more, of floating point numbers."""
    return jnp.ndim(weights) > 1 and jnp.issubdtype(weights.dtype, jnp.floating)


def quantised(params: Any) -> Any:
    """Turns the matrices among parameters into int8."""
    if isinstance(params, Mapping):
        return {name: quantised(part) for name, part in params.items()}
    # What is in int8 already comes by here as well, its scale being a vector.
    if not is_matrix(params):
        return params
    matrix = jnp.asarray(params, jnp.float32)
    # [outputs]: the largest weight of each column; a column of zeros may have any scale.
    largest = jnp.abs(matrix).max(axis=tuple(range(matrix.ndim - 1)))
    # In the dtype of the weights, which `dequantised` gives back.
    scale = jnp.where(largest > 0, largest / LARGEST, 1).astype(params.dtype)
    whole = jnp.rint(matrix / jnp.broadcast_to(scale.astype(jnp.float32), matrix.shape))
    return {"int8": jnp.clip(whole, -LARGEST, LARGEST).astype(jnp.int8), "scale": scale}


def dequantised(params: Any) -> Any:
    """Computes the weights of all matrices in int8 among parameters."""
    if is_int8(params):
        whole, scale = params["int8"], params["scale"]
        return whole.astype(scale.dtype) * jnp.broadcast_to(scale, whole.shape)
    if isinstance(params, Mapping):
        return {name: dequantised(part) for name, part in params.items()}
    return params


def is_cell(params: Any) -> bool:
    """Tells whether these are the params of a cell that reads its inputs by a matrix in int8."""
    return isinstance(params, Mapping) and is_int8(params.get("w_x"))


def all_but_cells(params: Any) -> Any:
    """Computes the weights of what is no cell, and leaves the params of cells in int8."""
    if is_cell(params):
        return params
    if isinstance(params, Mapping) and not is_int8(params):
        return {name: all_but_cells(part) for name, part in params.items()}
    return dequantised(params)


def scan(
    name: str, params: Params, xs: Sequence, state: tuple[Array, ...], how: Pass
) -> tuple[tuple[Array, ...], Outputs]:
    """Runs a formula over time, see `seqjax.kernels.fused.scan`, by matrices in int8."""
    after, ys = _forward((name, how.reverse), params, *as_rows(xs, state, how))
    return as_batch(after, ys, xs.shape[1:-1])


def _plain(
    static: tuple[str, bool],
    params: Params,
    xs: Inputs,
    state: tuple[Row, ...],
    lengths: RowLengths | None,
    starts: RowStarts | None,
) -> tuple[tuple[Row, ...], Rows]:
    """Computes the same in pure XLA."""
    weights = dequantised(params)
    return plain.forward((*static, False, False), weights, xs, state, lengths, starts)[:2]


@kernel(_plain, arguments=(None, 1, 0, 0, 1), results=(0, 1))
def _forward(
    static: tuple[str, bool],
    params: Params,
    xs: Inputs,
    state: tuple[Row, ...],
    lengths: RowLengths | None,
    starts: RowStarts | None,
) -> tuple[tuple[Row, ...], Rows]:
    name, reverse = static
    (time, rows, _), units = xs.shape, state[0].shape[-1]
    w_x, w_h = params["w_x"], params["w_h"]
    ys, h, c = call(
        "seqjax_forward_int8",
        [
            *(w_x["int8"], w_x["scale"], w_h["int8"], w_h["scale"]),
            *(params["b"], params.get("b_n", native.absent()[0])),
        ],
        [(xs, 1), *native.pair(state), *native.marks(lengths, starts)],
        [
            ((time, rows, units), 1),
            ((rows, units), 0),
            native.result((rows, units), 0, name == "lstm"),
        ],
        cell=native.CODES[name],
        reverse=reverse,
    )
    return (h, c)[: len(state)], ys
