"""Options of a recurrence: checked, and kept as numbers of Python's own.

So equal recurrences hash equal.
"""

import inspect
import math
import numbers
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from seqjax.recurrence import Recurrence


def settle(recurrence: Recurrence, **kinds: Callable[[str, Any], Any]) -> None:
    """Checks fields of a frozen recurrence and stores what its kinds make of them.

    Args:
      recurrence: whose fields; it is changed in place, so call this in `__post_init__`.
      **kinds: for each field one of `size`, `flag`, `number`, `rate`, or the like.

    Raises:
      TypeError: an option is not of its kind.
      ValueError: an option is out of range.
    """
    for name, kind in kinds.items():
        value = kind(f"{type(recurrence).__name__}: {name}", getattr(recurrence, name))
        object.__setattr__(recurrence, name, value)


def size(name: str, value: Any) -> int:
    """Returns a whole number, at least 1."""
    if not hasattr(value, "__index__") or _is_bool(value) or np.ndim(value):
        raise TypeError(f"{name} is {value!r}; give a whole number")
    whole = operator.index(value)
    if whole < 1:
        raise ValueError(f"{name} is {whole}; give at least 1")
    return whole


def optional_size(name: str, value: Any) -> int | None:
    """Returns None, or a whole number, at least 1."""
    return None if value is None else size(name, value)


def flag(name: str, value: Any) -> bool:
    """Returns True or False."""
    if not _is_bool(value):
        raise TypeError(f"{name} is {value!r}; give True or False")
    return bool(value)


def number(name: str, value: Any) -> float:
    """Returns a finite number."""
    if not _is_real(value):
        raise TypeError(f"{name} is {value!r}; give a number")
    real = float(value)
    if not math.isfinite(real):
        raise ValueError(f"{name} is {real}; give a finite number")
    return real


def rate(name: str, value: Any) -> float:
    """Returns a share from 0 up to, but not, 1."""
    share = number(name, value)
    if not 0 <= share < 1:
        raise ValueError(f"{name} is {share}; give a share from 0 up to, but not, 1")
    return share


def check_positions(kind: type, given: tuple[Any, ...]) -> None:
    """Checks that the options of a cell are given by name.

    `LSTM(input, hidden)` is a habit from elsewhere.

    Raises:
      TypeError: more is given by position than `kind.__init__` takes so.
    """
    if len(given) < 2:
        return
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return
    places = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(given) > len(places):
        cell, arguments = kind.__name__, ", ".join(map(repr, given))
        raise TypeError(
            f"{cell}({arguments}): by position give {cell}({', '.join(places)}) alone; options "
            "go by name, and the number of input features to init(key, input_size)"
        )


def check_heads(cell: Recurrence, hidden_size: int, heads: int) -> None:
    """Checks that heads share the units evenly.

    Raises:
      ValueError: they do not.
    """
    if hidden_size % heads:
        raise ValueError(
            f"{type(cell).__name__}: hidden_size is {hidden_size}, heads is {heads}; "
            "give a hidden_size that is a multiple of heads"
        )


def _is_bool(value: Any) -> bool:
    """Tells whether a value is True or False, of Python's or an array without axes."""
    if isinstance(value, bool):
        return True
    return np.ndim(value) == 0 and getattr(value, "dtype", None) == np.bool_


def _is_real(value: Any) -> bool:
    """Tells whether a value is a real number, of Python's or an array without axes; no bool."""
    if _is_bool(value) or np.ndim(value):
        return False
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return isinstance(value, numbers.Real) or kind in "iuf" and kind != ""
