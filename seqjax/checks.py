"""What public functions make of their arguments: arrays, or one line that says what to give.

Lengths that are known are checked. Under `jax.jit` their values are not known: then they are
clamped to what the array holds, `[0, steps]`, in the same way wherever the library takes lengths.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from seqjax.typing import KeyArray, Lengths

Shape = tuple[Any, ...]
"""Sizes of axes: integers, or symbolic dimensions under `jax.export`."""

REMEMBERED = 256
"""Entries of a cache of checks; the oldest give way."""


def checked_features(xs: Any, name: str, order: str, least_axes: int = 1) -> Float[Array, "..."]:
    """Returns floating-point features as an array.

    Args:
      xs: an array, or lists of numbers or of arrays.
      name: what a complaint calls it.
      order: its axes, for a complaint.
      least_axes: the fewest axes that it may have.

    Returns:
      The array.

    Raises:
      TypeError: it is not floating point.
      ValueError: it has too few axes, or its rows differ in length.
    """
    if not isinstance(xs, jax.Array):
        xs = _one_array(xs, name, order)
    if xs.ndim < least_axes:
        axes = "axis" if least_axes == 1 else "axes"
        raise ValueError(
            f"{name} has shape {xs.shape}; give {order}, at least {_count(least_axes)} {axes}"
        )
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        raise TypeError(
            f"{name} is {xs.dtype}; give floating-point features {order} "
            "(embed or one-hot tokens first)"
        )
    return xs


def _count(number: int) -> str:
    return {1: "one", 2: "two"}.get(number, str(number))


def _one_array(values: Any, name: str, order: str) -> Array:
    """Makes an array of an array or of lists."""
    if isinstance(values, np.ndarray) and values.dtype.hasobject:
        values = list(values)
    if isinstance(values, list | tuple) and _is_ragged(values):
        raise ValueError(
            f"{name} is ragged: its {len(values)} rows differ in shape; "
            f"pad them to one array {order} "
            "(seqjax.data.pad_batch does) and give their lengths"
        )
    return jnp.asarray(values)


def _is_ragged(rows: list | tuple) -> bool:
    """Tells whether lists of numbers, lists or arrays make no array."""
    shapes = set()
    for row in rows:
        if not isinstance(row, list | tuple):
            shapes.add(np.shape(row))
        elif _is_ragged(row):
            return True
        else:
            inner = np.shape(row[0]) if row else ()
            shapes.add((len(row), *inner))
    return len(shapes) > 1


def checked_lengths(
    lengths: Any, batch_shape: Shape, most: Any, name: str = "lengths", of: str = ""
) -> Lengths:
    """Returns lengths as int32 `[*batch]`, from 0 to `most`.

    Known lengths are checked; those that are traced (under `jax.jit`) are clamped to `[0, most]`.

    Args:
      lengths: integers `[*batch]`, an array or a list, under `jax.jit` also a list of traced ones;
        None for `most`.
      batch_shape: of the rows that they are of.
      most: steps of the sequences.
      name: what a complaint calls them.
      of: whose batch it is, for a complaint, such as `" of xs"`.

    Returns:
      The lengths.

    Raises:
      TypeError: they are not integers.
      ValueError: they are not of the batch's shape, or one is out of range.
    """
    if lengths is None:
        return jnp.full(batch_shape, most, jnp.int32)
    return jnp.asarray(lengths_in_range(lengths, batch_shape, most, name, of))


def lengths_in_range(
    lengths: Any, batch_shape: Shape, most: Any, name: str = "lengths", of: str = ""
) -> Int[Array | np.ndarray, "*batch"]:
    """Does as `checked_lengths`, but leaves known lengths a NumPy array, the faster to hand on."""
    lengths = _known_or_traced(lengths)
    if lengths.size == 0 and lengths.shape == batch_shape:
        lengths = lengths.astype(jnp.int32)  # An empty list makes an array of floats.
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(
            f"{name} are {lengths.dtype}; give integers, the number of valid steps of each row"
        )
    if lengths.shape != batch_shape:
        raise ValueError(f"{name} have shape {lengths.shape}; the batch{of} is {batch_shape}")
    if isinstance(lengths, Tracer):
        # Clamped in their own dtype: int64 numbers beyond int32 would come round to others.
        return jnp.clip(lengths, 0, most).astype(jnp.int32)
    if lengths.size:
        _check_range(lengths, most, name)
    return lengths.astype(np.int32)


def _known_or_traced(values: Any) -> Array | np.ndarray:
    """Makes a NumPy array where all values are known, else a traced one."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values)):
        return jnp.asarray(values)
    return np.asarray(values)


def _check_range(lengths: np.ndarray, most: Any, name: str) -> None:
    low, high = int(lengths.min()), int(lengths.max())
    if low < 0 or high > most:
        wrong = high if high > most else low
        raise ValueError(
            f"{name} reach from {low} to {high}: a length is {wrong}; "
            f"the sequence has {most} steps, "
            f"give lengths from 0 to {most}"
        )


def broadcasts(function: Callable) -> Callable:
    """Lets a function broadcast over axes that one operand lacks, also where JAX is told to raise.

    `jax_numpy_rank_promotion="raise"` is there for a user's own mistakes.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        with jax.numpy_rank_promotion("allow"):
            return function(*args, **options)

    return wrapped


def checked_key(key: Any, name: str = "rng") -> KeyArray:
    """Returns one key of `jax.random`, of the new or the old form.

    Raises:
      TypeError: it is none, for example a seed.
    """
    if isinstance(key, int | np.integer):
        raise TypeError(f"{name} is the number {key}; give a key, {name}=jax.random.key({key})")
    if not hasattr(key, "dtype"):
        raise TypeError(f"{name} is a {type(key).__name__}; give one key from jax.random.key(seed)")
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ():
        return key
    if key.dtype == jnp.uint32 and key.shape == (2,):
        return jax.random.wrap_key_data(jnp.asarray(key))
    raise TypeError(
        f"{name} is an array {key.dtype}{list(key.shape)}; give one key from jax.random.key(seed)"
    )


class Layout(NamedTuple):
    """Holds all that is known of a pytree without its arrays: hashable, and so the key of a cache.

    Attributes:
      structure: its containers.
      shapes: of each leaf.
      dtypes: of each leaf.
    """

    structure: Any
    shapes: tuple[Shape, ...]
    dtypes: tuple[Any, ...]

    def indices(self) -> Any:
        """Returns the pytree with the number of each leaf in its place."""
        return self.structure.unflatten(range(len(self.shapes)))

    def structs(self) -> Any:
        """Returns the pytree with the shape and dtype of each leaf in its place."""
        return self.structure.unflatten(map(jax.ShapeDtypeStruct, self.shapes, self.dtypes))


def laid_out(tree: Any) -> tuple[list, Layout]:
    """Returns the leaves of a pytree, and its layout."""
    leaves, structure = jax.tree.flatten(tree)
    leaves = [leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in leaves]
    shapes = tuple(leaf.shape for leaf in leaves)
    dtypes = tuple(leaf.dtype for leaf in leaves)
    return leaves, Layout(structure, shapes, dtypes)


class Plan(NamedTuple):
    """Tells how the leaves that were given become the pytree that is wanted.

    Attributes:
      order: the number of the given leaf for each wanted one.
      structure: the wanted containers.
      dtypes: that each leaf shall have; None to keep its own.
    """

    order: tuple[int, ...]
    structure: Any
    dtypes: tuple[Any, ...]

    def carry_out(self, leaves: list) -> Any:
        """Makes the wanted pytree."""
        pairs = zip(self.order, self.dtypes, strict=True)
        placed = [_as_dtype(leaves[index], dtype) for index, dtype in pairs]
        return self.structure.unflatten(placed)


def _as_dtype(leaf: Any, dtype: Any) -> Any:
    if dtype is None:
        return leaf
    # A weak dtype is another one to a compiled function.
    if isinstance(leaf, jax.Array) and leaf.dtype == dtype and not leaf.weak_type:
        return leaf
    return jnp.asarray(leaf, dtype)


def plan(name: str, owner: str, given: Layout, wanted: Any) -> Plan:
    """Finds how given leaves become the pytree that is wanted, all of the wanted shapes.

    A list may stand for a tuple or a named tuple; a mapping for a dict or, by the names of its
    fields, for a named tuple; and what holds one array, such as `flax.nnx.Param`, for the array.

    Args:
      name: what a complaint calls the pytree.
      owner: who wants it, for a complaint.
      given: the layout of what was given.
      wanted: a pytree of `jax.ShapeDtypeStruct`.

    Returns:
      The plan; it keeps every dtype.

    Raises:
      ValueError: an entry is missing, strange, or of another shape.
    """
    want = jax.tree.leaves(wanted)
    order = _arranged(given.indices(), wanted)
    if order is None:
        _complain(name, owner, _by_path(given.structs()), _by_path(wanted))
        raise ValueError(f"{name} is {given.structure}; {owner} wants {jax.tree.structure(wanted)}")
    # In the order that is wanted.
    shapes = [given.shapes[index] for index in order]
    if shapes != [leaf.shape for leaf in want]:
        paths = _by_path(wanted)
        _complain(name, owner, dict(zip(paths, shapes, strict=True)), paths)
    return Plan(tuple(order), jax.tree.structure(wanted), (None,) * len(want))


def _complain(name: str, owner: str, given: dict[str, Any], want: dict[str, Any]) -> None:
    """Raises for the first path whose shape is not the wanted one."""
    for path in want | given:
        if given.get(path) != want.get(path):
            has = f"has shape {given[path]}" if path in given else "is missing"
            wants = f"wants {want[path]}" if path in want else "has no such entry"
            raise ValueError(f"{name}{path} {has}; {owner} {wants}")


def _by_path(tree: Any) -> dict[str, Shape]:
    """Returns the shape of each leaf by its path, in the order of the leaves."""
    shapes = {}
    # What holds one array, such as a Flax variable, counts as the array.
    holds_one = lambda node: hasattr(node, "__jax_array__")  # noqa: E731
    for path, leaf in jax.tree.leaves_with_path(tree, is_leaf=holds_one):
        shapes[jax.tree_util.keystr(path)] = jax.tree.leaves(leaf)[0].shape
    return shapes


def _arranged(given: Any, wanted: Any) -> list[int] | None:
    """Orders the numbers of a pytree's leaves as another one; None where a container does not fit.

    `given` has the numbers as leaves, `wanted` instances of `jax.ShapeDtypeStruct`.
    """
    if isinstance(wanted, jax.ShapeDtypeStruct):
        return _the_leaf(given)
    if isinstance(wanted, Mapping):
        names = sorted(wanted)
        parts = _named_parts(given, names)
    elif isinstance(wanted, tuple | list):
        names = range(len(wanted))
        fields = getattr(wanted, "_fields", tuple(map(str, names)))
        parts = _ordered_parts(given, fields)
    else:
        same = jax.tree.structure(given) == jax.tree.structure(wanted)
        return jax.tree.leaves(given) if same else None
    if parts is None:
        return None
    order = []
    for part, name in zip(parts, names, strict=True):
        inner = _arranged(part, wanted[name])
        if inner is None:
            return None
        order += inner
    return order


def _the_leaf(given: Any) -> list[int] | None:
    """Returns a leaf, or the only one of a node that is no container of Python."""
    leaves = jax.tree.leaves(given)
    if isinstance(given, Mapping | list | tuple) or len(leaves) != 1:
        return None
    return leaves


def _named_parts(given: Any, names: Sequence[Any]) -> list | None:
    same = isinstance(given, Mapping) and set(given) == set(names)
    return [given[name] for name in names] if same else None


def _ordered_parts(given: Any, names: tuple[Any, ...]) -> list | None:
    """Returns what stands for a tuple with these names, or numbers, of its fields."""
    if isinstance(given, Mapping):
        by_name = {str(name): part for name, part in given.items()}
        return _named_parts(by_name, names)
    if not isinstance(given, list | tuple) or len(given) != len(names):
        return None
    fields = getattr(given, "_fields", names)
    return None if fields != names else list(given)


def state_dtypes(found: Plan, given: Layout, wanted: Any, owner: Any) -> tuple[Any, ...]:
    """Returns the wanted dtype of each leaf of a state.

    Raises:
      TypeError: a leaf is complex where real numbers are wanted.
    """
    dtypes = tuple(leaf.dtype for leaf in jax.tree.leaves(wanted))
    for index, dtype in zip(found.order, dtypes, strict=True):
        has = given.dtypes[index]
        is_complex = jnp.issubdtype(has, jnp.complexfloating)
        if is_complex and not jnp.issubdtype(dtype, jnp.complexfloating):
            raise TypeError(f"the state is {has}; {owner} remembers real numbers, give {dtype}")
    return dtypes
