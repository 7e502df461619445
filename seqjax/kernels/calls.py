"""Compiled code as a primitive of JAX: one computation on rows in two forms.

Under `jax.vmap` the mapped axis joins the rows, for no row knows of another; for the same reason a
device needs no other's rows, see `seqjax.kernels.partition`. The axes of the results are fixed
here, and not left to each form: JAX maps the rule of a `jax.custom_jvp` apart from its function,
and never compares where the two put the mapped axis.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from seqjax.kernels.partition import by_rows, leading

Shape: TypeAlias = tuple[int, ...]
Axis: TypeAlias = int | None
"""The axis of rows of an array, or the one that `jax.vmap` maps; None where there is none."""


@dataclasses.dataclass(frozen=True, eq=False)
class Kernel:
    """A function of rows, called as `kernel(static, *arguments)`.

    Attributes:
      compiled: `compiled(static, *arguments)` for `platform`: for CPUs it is made of `call`s.
      plain: the same in pure XLA, for other platforms and to be differentiated.
      arguments: for each argument, a pytree, the axis of rows of its arrays; None for weights,
        which all rows share.
      results: the same of the results, a prefix of their pytree; None where they are sums over the
        rows.
      platform: whose programs are of the compiled form.
    """

    compiled: Callable
    plain: Callable
    arguments: tuple[Axis, ...]
    results: Any
    platform: str = "cpu"
    primitive: Primitive = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        # What JAX asks of a primitive: its value, its types, and a rule for each transformation.
        primitive = Primitive(f"seqjax{self.compiled.__name__}")
        primitive.multiple_results = True
        primitive.def_impl(self._run)
        primitive.def_abstract_eval(_types)
        ad.primitive_jvps[primitive] = self._push
        batching.primitive_batchers[primitive] = self._batch
        mlir.register_lowering(primitive, mlir.lower_fun(self._by_plain))
        mlir.register_lowering(primitive, _lower_compiled, platform=self.platform)
        object.__setattr__(self, "primitive", primitive)

    def __call__(self, static: Any, *arguments: Any) -> Any:
        """Returns the results, by the form that platform and transformation at hand want."""
        # A primitive takes flat arrays, and their containers as a parameter.
        leaves, structure = jax.tree.flatten(arguments)
        # The compiled form is traced here, not when it is lowered: XLA's partitioner must see
        # before that that devices are asked for within.
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arguments)
        compiled, results = jax.make_jaxpr(
            functools.partial(self.compiled, static), return_shape=True
        )(*like)
        found = self.primitive.bind(*leaves, static=static, structure=structure, compiled=compiled)
        return jax.tree.unflatten(jax.tree.structure(results), found)

    def _by_plain(self, *leaves: Any, static: Any, structure: Any, **_: Any) -> list[Any]:
        """Computes the leaves of the results by the plain form."""
        return jax.tree.leaves(self.plain(static, *jax.tree.unflatten(structure, leaves)))

    def _run(self, *leaves: Any, **parameters: Any) -> Any:
        """Computes outside of any transformation, and under `jax.disable_jit`."""
        with jax.disable_jit(False):
            return jax.jit(functools.partial(self.primitive.bind, **parameters))(*leaves)

    def _push(self, primals: Sequence[Any], tangents: Sequence[Any], **parameters: Any) -> Any:
        """Computes the derivative: that of the plain form, of any order."""
        # Only what moves is differentiated: lengths and starts never do.
        moving = [i for i, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]

        def of_moving(*given: Any) -> list[Any]:
            leaves = list(primals)
            for i, leaf in zip(moving, given, strict=True):
                leaves[i] = leaf
            return self._by_plain(*leaves, **parameters)

        return jax.jvp(of_moving, [primals[i] for i in moving], [tangents[i] for i in moving])

    def _batch(
        self, leaves: Sequence[Any], dims: Sequence[Any], *, static: Any, structure: Any, **_: Any
    ) -> tuple[list[Any], list[int]]:
        """Joins the mapped axis to the rows.

        Over mapped weights, or sums over the rows, it is one call after another.
        """
        axes = self._axes(jax.tree.unflatten(structure, leaves))

        def again(leaves: Sequence[Any]) -> Any:
            return self(static, *jax.tree.unflatten(structure, leaves))

        # Weights that differ between the mapped calls cannot be shared by their rows.
        weights_mapped = any(
            axis is None and dim is not None for axis, dim in zip(axes, dims, strict=True)
        )
        if self.results is None or weights_mapped:
            found = jax.tree.leaves(_one_by_one(again, leaves, dims))
            return found, [0] * len(found)
        size = next(
            leaf.shape[dim] for leaf, dim in zip(leaves, dims, strict=True) if dim is not None
        )
        # One call on size times as many rows, whose results are parted again.
        wide = again([_fold(*each, size) for each in zip(leaves, axes, dims, strict=True)])
        parted = jax.tree.map(functools.partial(_unfold_all, size), self.results, wide)
        found = jax.tree.leaves(parted)
        return found, [0] * len(found)

    def _axes(self, arguments: Sequence[Any]) -> list[Axis]:
        """Returns the axis of rows of each leaf of the arguments."""
        axes = []
        for argument, axis in zip(arguments, self.arguments, strict=True):
            axes += [axis] * len(jax.tree.leaves(argument))
        return axes


def kernel(
    plain: Callable, arguments: tuple[Axis, ...], results: Any, platform: str = "cpu"
) -> Callable[[Callable], Kernel]:
    """Decorates the compiled form of a `Kernel`."""
    return lambda compiled: Kernel(compiled, plain, arguments, results, platform)


def _lower_compiled(context: Any, *operands: Any, compiled: Any, **_: Any) -> Any:
    """Lowers the compiled form, which need not know over which axes of a mesh operands vary."""
    context = context.replace(avals_in=compiled.in_avals, avals_out=compiled.out_avals)
    return mlir.lower_fun(jaxpr_as_fun(compiled))(context, *operands)


def _types(*given: Any, compiled: Any, **_: Any) -> list[Any]:
    """Returns the results' types: on the mesh of the operands, and varying over it as they do."""
    like = given[0]

    def of(result: Any) -> Any:
        place = NamedSharding(like.sharding.mesh, PartitionSpec(*[None] * result.ndim))
        return like.update(shape=result.shape, dtype=result.dtype, weak_type=False, sharding=place)

    return [of(result) for result in compiled.out_avals]


def _one_by_one(function: Callable, leaves: Sequence[Any], dims: Sequence[Any]) -> Any:
    """Calls the function once for each index of the mapped axis, in a loop."""
    # What is mapped, its mapped axis in front; the rest is the same in each call.
    mapped = [
        jnp.moveaxis(leaf, dim, 0)
        for leaf, dim in zip(leaves, dims, strict=True)
        if dim is not None
    ]

    def of_one(some: Sequence[Any]) -> Any:
        some_left = iter(some)
        given = [
            leaf if dim is None else next(some_left) for leaf, dim in zip(leaves, dims, strict=True)
        ]
        return function(given)

    return lax.map(of_one, mapped)


def _fold(leaf: Any, axis: Axis, dim: Any, size: int) -> Any:
    """Puts the rows of all `size` mapped calls side by side along `axis`."""
    if axis is None:
        return leaf
    # [size, *shape], whether the leaf is mapped or not
    if dim is None:
        wide = jnp.broadcast_to(leaf, (size, *leaf.shape))
    else:
        wide = jnp.moveaxis(leaf, dim, 0)
    shape = wide.shape[1:]
    # [..., size, rows, ...], then [..., size * rows, ...]
    return jnp.moveaxis(wide, 0, axis).reshape(_with_rows(shape, axis, size * shape[axis]))


def _unfold_all(size: int, axis: int, tree: Any) -> Any:
    """Unfolds all leaves below one entry of `Kernel.results`."""
    return jax.tree.map(functools.partial(_unfold, size, axis), tree)


def _unfold(size: int, axis: int, leaf: Array) -> Array:
    """Takes the mapped axis out of the rows and puts it in front."""
    shape = leaf.shape
    # [..., size, rows, ...]
    parted = leaf.reshape(*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :])
    return jnp.moveaxis(parted, axis, 0)


def call(
    target: str,
    weights: Sequence[jax.Array],
    data: Sequence[tuple[jax.Array, Axis]],
    results: Sequence[tuple[Shape, Axis]],
    aliases: dict[int, int] | None = None,
    **attributes: Any,
) -> list[jax.Array]:
    """Calls a handler through XLA's foreign function interface.

    Each device calls for the rows that it holds.

    Args:
      target: the name of the handler.
      weights: what all rows share.
      data: what they do not, each with its axis of rows; None where an array has none.
      results: the shapes of the float32 results, with the same; one without rows is a sum over
        them, or empty.
      aliases: results, by the operands whose memory they may take.
      attributes: constants of the call.

    Returns:
      The results.
    """
    leader, axis_of_rows = leading(data)

    def compiled(weights: Sequence[Any], *arrays: Any) -> Any:
        # On a mesh these are the rows of one device, fewer than `results` say.
        rows = arrays[leader].shape[axis_of_rows]
        shapes = [
            jax.ShapeDtypeStruct(_with_rows(shape, axis, rows), jnp.float32)
            for shape, axis in results
        ]
        run = jax.ffi.ffi_call(target, shapes, input_output_aliases=aliases)
        return run(*weights, *arrays, **attributes)

    run = compiled
    if jax.device_count() > 1:
        run = by_rows(compiled, weights, data, results)
    # Each result [..., rows, ...] with the rows of all devices, or a sum over them.
    return list(run(list(weights), *(array for array, _ in data)))


def _with_rows(shape: Shape, axis: Axis, rows: int) -> Shape:
    """Returns the shape with so many rows on its axis of them."""
    return shape if axis is None else (*shape[:axis], rows, *shape[axis + 1 :])
