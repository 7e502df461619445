"""Settings as JSON: frozen dataclasses of this library to plain values and back, without pickle.

A number, a string, a boolean, None and a list stand for themselves. All else is an object with one
tag:

| tag       | what it holds                                          |
|-----------|--------------------------------------------------------|
| `"class"` | a dataclass or named tuple, with its `"fields"`        |
| `"tuple"` | a tuple                                                |
| `"dict"`  | a dictionary with strings for keys                     |
| `"array"` | a NumPy or JAX array as nested lists, with its `dtype` |
| `"float"` | a number that JSON lacks: nan, inf, -inf               |
"""

import dataclasses
import functools
import importlib
import math
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

_KNOWN: dict[str, type] = {}
"""Classes of users, by the name under which they were registered."""

_SHELL = ("parent", "name")
"""Fields of a Flax module that are no settings of its."""


def register(cls: type) -> type:
    """Lets settings name a class from outside the library, such as a recurrence of your own.

    Register the class before a model that holds it is saved and before it is loaded.

    Args:
      cls: a dataclass or named tuple.

    Returns:
      The class, so that this serves as a decorator.

    Raises:
      TypeError: it is neither.

    Example:
      >>> import dataclasses, seqjax
      >>> @seqjax.register
      ... @dataclasses.dataclass(frozen=True)
      ... class Width:
      ...     units: int
      >>> to_plain(Width(3))["fields"]
      {'units': 3}
    """
    if not (dataclasses.is_dataclass(cls) or _is_named_tuple(cls)):
        raise TypeError(f"{cls.__name__} is no dataclass; give a frozen dataclass or a NamedTuple")
    _KNOWN[_full_name(cls)] = cls
    return cls


def to_plain(value: Any) -> Any:
    """Turns settings into values that `json.dumps` takes.

    Args:
      value: numbers, text, arrays, containers, and dataclasses of seqjax or registered ones.

    Returns:
      Plain values, from which `from_plain` makes an equal object.

    Raises:
      TypeError: a part is of another kind (which).
    """
    if isinstance(value, np.bool | np.integer | np.floating):
        return to_plain(value.item())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if _is_named_tuple(type(value)):
        return _of_class(type(value), value._asdict())
    if isinstance(value, tuple):
        return {"tuple": [to_plain(item) for item in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: to_plain(item) for key, item in value.items()}}
    if isinstance(value, np.ndarray | jax.Array):
        array = np.asarray(value)
        return {"array": array.tolist(), "dtype": array.dtype.name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        settings = {name: getattr(value, name) for name in names if name not in _SHELL}
        return _of_class(type(value), settings)
    raise TypeError(
        f"{type(value).__name__} {value!r:.80} cannot be written as settings; "
        "give numbers, text, arrays, or dataclasses of them"
    )


def from_plain(plain: Any) -> Any:
    """Makes settings from what `to_plain` gave.

    Raises:
      ValueError: a class or a field is unknown to this version, or a value is none of these.
    """
    if isinstance(plain, list):
        return [from_plain(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"tuple": [*items]}:
            return tuple(from_plain(item) for item in items)
        case {"dict": dict(items)}:
            return {key: from_plain(item) for key, item in items.items()}
        case {"array": values, "dtype": str(dtype)}:
            return np.asarray(values, dtype)
        case {"float": str(text)}:
            return float(text)
        case {"class": str(name), "fields": dict(fields)}:
            return _made(name, {key: from_plain(item) for key, item in fields.items()})
    raise ValueError(f"settings hold {str(plain)[:80]}, which is no value of theirs")


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def _of_class(cls: type, fields: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: to_plain(value) for name, value in fields.items()}
    return {"class": _name_of(cls), "fields": plain}


@functools.cache
def _name_of(cls: type) -> str:
    """Returns the shortest public name of a class of the library, or its registered one."""
    full = _full_name(cls)
    if full in _KNOWN:
        return full
    parts = cls.__module__.split(".")
    if parts[0] != "seqjax":
        raise TypeError(
            f"{full} is no class of seqjax; "
            "register it with @seqjax.register, here and where it is loaded"
        )
    # seqjax.Name before seqjax.part.Name: a file survives a move within the library.
    for depth in range(1, len(parts) + 1):
        module = ".".join(parts[:depth])
        if getattr(importlib.import_module(module), cls.__name__, None) is cls:
            return f"{module}.{cls.__name__}"
    raise TypeError(
        f"{full} stands inside another class or function; move it to the top of its module"
    )


def _full_name(cls: type) -> str:
    """Returns the name to import a class by, also where its module is the program (`python -m`)."""
    module = cls.__module__
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec is not None else module
    return f"{module}.{cls.__qualname__}"


def _class_of(name: str) -> type:
    """Returns the class of a name; nothing outside seqjax is imported for it."""
    if name in _KNOWN:
        return _KNOWN[name]
    module, _, last = name.rpartition(".")
    if module.split(".")[0] != "seqjax":
        raise ValueError(
            f"{name} is no class of seqjax; import its module, which registers it, before loading"
        )
    try:
        found = getattr(importlib.import_module(module), last)
    except (ImportError, AttributeError):
        raise ValueError(
            f"{name} is unknown to this version of seqjax; install the one that wrote it"
        ) from None
    if not isinstance(found, type):
        raise ValueError(f"{name} is no class; the settings are damaged")
    return found


def _made(name: str, fields: dict[str, Any]) -> Any:
    cls = _class_of(name)
    if dataclasses.is_dataclass(cls):
        known = {field.name for field in dataclasses.fields(cls) if field.init}
    elif _is_named_tuple(cls):
        known = set(cls._fields)  # pyright: ignore[reportAttributeAccessIssue]
    else:
        raise ValueError(f"{name} is no dataclass; the settings are damaged")
    if unknown := sorted(set(fields) - known):
        raise ValueError(
            f"{name} has no setting {unknown[0]!r} in this version of seqjax; "
            "install the one that wrote it"
        )
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made of its settings ({error})") from None
