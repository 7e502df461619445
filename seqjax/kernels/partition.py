"""Calls on sharded rows: under `jax.jit` each device calls for the rows that it holds.

None are gathered. Without a rule XLA takes a foreign call for one that wants to see everything.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax import lax
from jax.experimental.custom_partitioning import ArrayMapping, SdyShardingRule, custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec


def by_rows(
    function: Callable,
    weights: Sequence[jax.Array],
    data: Sequence[tuple[jax.Array, int | None]],
    results: Sequence[tuple[Sequence[int], int | None]],
) -> Callable:
    """Makes a function of any number of rows, which each device calls for its own.

    Args:
      function: `function(weights, *data)`, a list of results; one without rows is a sum over them,
        or empty.
      weights: what all rows share.
      data: what they do not, each with its axis of rows; None where an array has none.
      results: shapes, with the same.

    Returns:
      `function`, with a rule for XLA's partitioner.
    """
    axes, found_axes = [axis for _, axis in data], [axis for _, axis in results]
    leader, axis_of_rows = leading(data)
    rows = data[leader][0].shape[axis_of_rows]

    def partition(mesh: Any, given: Any, wanted: Any) -> tuple[Any, Callable, Any, Any]:
        """Tells XLA what each device computes, and where operands and results lie for it."""
        split = _split(mesh, given[1 + leader].sharding.spec, axis_of_rows, rows)

        def place(axis: int | None) -> NamedSharding:
            return NamedSharding(mesh, _spec(axis, split))

        def local(weights: Any, *arrays: Any) -> list[Any]:
            found = function(weights, *arrays)
            # A sum over the rows of one device is a part of the sum over all.
            return [
                lax.psum(a, split) if axis is None and split else a
                for a, axis in zip(found, found_axes)  # noqa: B905
            ]

        # Weights lie whole on every device.
        places = [place(None)] * len(weights), *(place(axis) for axis in axes)
        return mesh, local, [place(axis) for axis in found_axes], places

    shared = [("w", a.ndim, None) for a in weights]
    rule = SdyShardingRule(
        _factors([*shared, *(("a", a.ndim, axis) for a, axis in data)]),
        _factors([("y", len(shape), axis) for shape, axis in results]),
    )
    apart = custom_partitioning(function)
    apart.def_partition(partition=partition, sharding_rule=rule)
    return apart


def leading(data: Sequence[tuple[jax.Array, int | None]]) -> tuple[int, int]:
    """Returns which of the arrays is the first with rows, and its axis of them."""
    return next((i, axis) for i, (_, axis) in enumerate(data) if axis is not None)


def _split(mesh: Any, spec: Any, axis: int, rows: int) -> tuple[str, ...]:
    """Returns the axes of the mesh that rows are spread over; none where they do not divide."""
    # Beyond its end a spec says nothing: what follows is not spread.
    names: Any = spec[axis] if axis < len(spec) else None
    if names is None:
        names = ()
    elif not isinstance(names, tuple):
        names = (names,)
    return names if rows % math.prod(mesh.shape[name] for name in names) == 0 else ()


def _spec(axis: int | None, split: tuple[str, ...]) -> PartitionSpec:
    """Returns the spec of an array whose rows are spread over the axes `split` of the mesh."""
    return PartitionSpec() if axis is None or not split else PartitionSpec(*[None] * axis, split)


def _factors(arrays: Iterable[tuple[str, int, int | None]]) -> tuple[ArrayMapping, ...]:
    """Names the axes for the partitioner: those of rows are one, all others strangers.

    Args:
      arrays: `(kind, rank, axis of rows)` of each, its number making the names its own.
    """
    mappings = []
    for number, (kind, rank, axis) in enumerate(arrays):
        names = ["rows" if i == axis else f"{kind}_{number}_{i}" for i in range(rank)]
        mappings.append(ArrayMapping(*names))
    return tuple(mappings)
