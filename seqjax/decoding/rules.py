"""Rules of a user's own, penalties and constraints of whatever class, as arguments under jit."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer


def as_arguments(name: str, rules: Any) -> tuple[Callable, ...]:
    """Returns the rules as pytrees, so that a compiled program takes them as arguments.

    A pytree of numbers and arrays, such as a registered dataclass, stays as it is. A function is
    static: it is known again by itself. Of an object of a user's class the attributes that hold
    arrays are arguments, and all else is static: another value of it compiles anew, so an object
    may change between two calls.

    Args:
      name: of the argument, for a complaint.
      rules: a sequence of functions, or of objects that can be called.

    Raises:
      TypeError: one cannot be called, or holds what cannot be an argument and has no hash.
    """
    if not isinstance(rules, Iterable) or isinstance(rules, str):
        raise TypeError(
            f"{name} is a {type(rules).__name__}; give a sequence, such as {name}=[...]"
        )
    return tuple(_as_pytree(f"{name}[{place}]", rule) for place, rule in enumerate(rules))


def _as_pytree(name: str, rule: Any) -> Callable:
    if inspect.isclass(rule):
        raise TypeError(
            f"{name} is the class {rule.__name__}; give an object of it, such as {rule.__name__}()"
        )
    if not callable(rule):
        raise TypeError(
            f"{name} is a {type(rule).__name__}; "
            "give a function, or an object that can be called like one"
        )
    # A leaf is what JAX does not know how to take apart: a function, or an object of a plain class.
    is_leaf = jax.tree_util.treedef_is_leaf(jax.tree.structure(rule))
    if not is_leaf and all(_is_number(leaf) for leaf in jax.tree.leaves(rule)):
        return rule
    # Functions, also compiled ones and parts of them, and objects without attributes are known by
    # their hash.
    is_function = is_leaf and not (
        hasattr(rule, "__dict__") and inspect.isfunction(type(rule).__call__)
    )
    if is_function:
        _check_hash(name, rule, [rule])
        return jax.tree_util.Partial(rule)
    return _split(name, rule, is_leaf)


class _Static(NamedTuple):
    """Holds what of an object is static: a key that compares by value and by type.

    The type counts, for `0`, `0.0` and `False` are equal.

    Attributes:
      kind: the class of an object that is no pytree, else None.
      structure: of its attributes, or of the pytree itself.
      values: of the leaves, `_ARRAY` for those that are arguments.
      types: of these values.
    """

    kind: type | None
    structure: Any
    values: tuple
    types: tuple


class _Array:
    """Stands where an array is."""


_ARRAY = _Array()


@jax.tree_util.register_pytree_node_class
class OwnRule:
    """An object of a user's class as a pytree that can be called, see `as_arguments`."""

    def __init__(self, rule: Any, arrays: list, static: _Static):
        self.rule, self.arrays, self.static = rule, arrays, static

    def tree_flatten(self) -> tuple[list, _Static]:
        """The arrays, and all else."""
        return self.arrays, self.static

    @classmethod
    def tree_unflatten(cls, static: _Static, arrays: Iterable) -> "OwnRule":
        """The same object with other arrays."""
        arrays = list(arrays)
        # The arrays take the places that were marked, the static values their own.
        rest = iter(arrays)
        leaves = [next(rest) if value is _ARRAY else value for value in static.values]
        rule = jax.tree.unflatten(static.structure, leaves)
        if static.kind is not None:
            # Made without `__init__`, which may want arguments or change the attributes.
            attributes, rule = rule, object.__new__(static.kind)
            rule.__dict__.update(attributes)
        return cls(rule, arrays, static)

    def __call__(self, *args: Any) -> Any:
        """What the object answers."""
        return self.rule(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)


def _split(name: str, rule: Any, is_leaf: bool) -> OwnRule:
    # Of an object its attributes are taken apart, of a pytree the leaves.
    leaves, structure = jax.tree.flatten(vars(rule) if is_leaf else rule)
    arrays = [leaf for leaf in leaves if _is_array(leaf)]
    values = tuple(_ARRAY if _is_array(leaf) else leaf for leaf in leaves)
    _check_hash(name, rule, values)
    kind = type(rule) if is_leaf else None
    return OwnRule(
        rule, arrays, _Static(kind, structure, values, tuple(type(value) for value in values))
    )


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | Tracer)


def _is_number(leaf: Any) -> bool:
    return _is_array(leaf) or isinstance(leaf, bool | int | float | complex)


def _check_hash(name: str, rule: Any, values: Iterable) -> None:
    for value in values:
        if type(value).__hash__ is None:
            raise TypeError(
                f"{name}, a {type(rule).__name__}, holds a {type(value).__name__}, "
                "which has no hash; give it arrays, numbers, text and functions"
            )
