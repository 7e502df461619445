"""`fingerprint`: what tells examples from other examples."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np


def fingerprint(value: Any) -> str:
    """Computes a digest of examples: the same for equal values, in every process and on every machine.

    Args:
      value: numbers, text, bytes, arrays, None, and lists, tuples, mappings or dataclasses of them;
        or an object with a `fingerprint` of its own, such as `Records`. Paths count by their
        names alone.

    Returns:
      The first 16 hexadecimal digits of a sha256.

    Raises:
      TypeError: a part is of another kind (which).

    Example:
      >>> fingerprint(["a", 1]) == fingerprint(["a", 1]), fingerprint(["a"]) == fingerprint("a")
      (True, False)
    """
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()[:16]


def _parts(value: Any) -> Iterable[bytes]:
    """Spells a value as bytes, each kind with a head of its own that says how much follows."""
    if isinstance(value, np.bool | np.number):
        yield from _parts(value.item())
    elif value is None or isinstance(value, bool | int | float | complex | np.generic):
        yield f"{value!r};".encode()
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        yield f"s{len(text)}:".encode()
        yield text
    elif isinstance(value, bytes):
        yield f"b{len(value)}:".encode()
        yield value
    elif isinstance(value, os.PathLike):
        yield from _parts(os.fspath(value))
    elif isinstance(value, np.ndarray | jax.Array):
        yield from _array_parts(np.asarray(value))
    elif hasattr(value, "fingerprint"):
        own = value.fingerprint
        yield from _parts(own() if callable(own) else own)
    elif isinstance(value, Mapping):
        yield f"m{len(value)}:".encode()
        for key, item in value.items():
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        yield f"l{len(value)}:".encode()
        for item in value:
            yield from _parts(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield f"d{type(value).__name__}:".encode()
        for field in dataclasses.fields(value):
            yield from _parts(getattr(value, field.name))
    else:
        raise TypeError(
            f"{type(value).__name__} has no fingerprint; give text, numbers, arrays, or lists of them"
        )


def _array_parts(array: np.ndarray) -> Iterable[bytes]:
    if array.dtype == object:
        yield from _parts(array.tolist())
        return
    yield f"a{array.dtype.str}{array.shape}:".encode()
    yield np.ascontiguousarray(array).tobytes()
