"""Calls of compiled code on rows: under `jax.vmap` the mapped axis joins the rows, for no row knows of another.

For the same reason a device needs no other's rows, see `seqjax.kernels.partition`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from seqjax.kernels.partition import by_rows, leading

Shape = tuple[int, ...]


def call(
    target: str,
    weights: Sequence[jax.Array] | None,
    data: Sequence[tuple[jax.Array, int | None]],
    results: Sequence[tuple[Shape, int | None]],
    aliases: dict[int, int] | None = None,
    **attributes: Any,
) -> Any:
    """One call through XLA's foreign function interface; mapped over weights, it is one call after another.

    Args:
      target: the name of the handler.
      weights: what all rows share; None where rows are summed over, and each mapped call is one of its own.
      data: what they do not, each with its axis of rows; None where an array has none.
      results: the shapes of the float32 results, with the same.
      aliases: results, by the operands whose memory they may take.
      attributes: constants of the call.

    Returns:
      A list of the results.
    """
    leader, axis_of_rows = leading(data)

    def compiled(weights, *arrays):
        rows = arrays[leader].shape[axis_of_rows]
        shapes = [jax.ShapeDtypeStruct(_with_rows(shape, axis, rows), jnp.float32) for shape, axis in results]
        run = jax.ffi.ffi_call(target, shapes, vmap_method="sequential", input_output_aliases=aliases)
        return run(*weights, *arrays, **attributes)

    def over_rows(size, mapped, weights, *arrays):
        if any(mapped[0]):
            axes = [[0 if m else None for m in mapped[0]], *(0 if m else None for m in mapped[1:])]
            return jax.vmap(compiled, in_axes=axes)(weights, *arrays), [True] * len(results)
        wide = [(_fold(a, axis, size, m), axis) for a, m, (_, axis) in zip(arrays, mapped[1:], data, strict=True)]
        shapes = [(_times(shape, axis, size), axis) for shape, axis in results]
        found = call(target, weights, wide, shapes, aliases, **attributes)
        unfolded = [_unfold(a, axis, size) for a, (_, axis) in zip(found, results, strict=True)]
        return unfolded, [axis is not None for _, axis in results]

    def one_by_one(size, mapped, weights, *arrays):
        return jax.vmap(compiled, [0 if m else None for m in mapped])(weights, *arrays), [True] * len(results)

    apart = jax.device_count() > 1
    run = custom_vmap(by_rows(compiled, weights or [], data, results) if apart else compiled)
    run.def_vmap(one_by_one if weights is None else over_rows)
    return run(list(weights or []), *(a for a, _ in data))


def _times(shape, axis, size):
    return _with_rows(shape, axis, 0 if axis is None else size * shape[axis])


def _with_rows(shape, axis, rows):
    return shape if axis is None else (*shape[:axis], rows, *shape[axis + 1 :])


def _fold(array, axis, size, mapped):
    if axis is None:
        return array
    array = array if mapped else jnp.broadcast_to(array, (size, *array.shape))
    return jnp.moveaxis(array, 0, axis).reshape(_times(array.shape[1:], axis, size))


def _unfold(array, axis, size):
    if axis is None:
        return array
    apart = array.reshape(*array.shape[:axis], size, array.shape[axis] // size, *array.shape[axis + 1 :])
    return jnp.moveaxis(apart, axis, 0)
