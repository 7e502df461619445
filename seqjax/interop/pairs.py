"""What a person gives to be written or streamed: a trained model, or a network with its parameters."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax

from seqjax.combinators import Int8, int8
from seqjax.interop.int8 import dequantise
from seqjax.kernels import native
from seqjax.kernels.int8 import all_but_cells, is_cell
from seqjax.recurrence import Recurrence, parts
from seqjax.tasks import Trained
from seqjax.typing import Params

WANTED = "give a trained model, (model, params) of seqjax.models, or (recurrence, params)"


def as_pair(model: Any) -> tuple[Recurrence | nn.Module, Params]:
    """Returns a network and its parameters, as they are kept: perhaps in int8.

    The network is the one that reads floats, even where `seqjax.int8` was given.

    Args:
      model: a `Trained`, or a pair of a recurrence or a module of `seqjax.models` and its parameters.

    Raises:
      TypeError: it is none of these, or the task is not one network (what to give).
    """
    if isinstance(model, Trained):
        network = getattr(model.task, "model", None)
        if not isinstance(network, nn.Module):
            raise TypeError(f"{type(model.task).__name__} has no network of its own; {WANTED}")
        return _changed(network, _of_floats), model.params
    if not isinstance(model, tuple) or len(model) != 2:
        raise TypeError(f"the model is a {type(model).__name__}; {WANTED}")
    network, params = model
    if not isinstance(network, Recurrence | nn.Module):
        raise TypeError(
            f"the model is a pair that begins with a {type(network).__name__}; {WANTED}"
        )
    return _changed(network, _of_floats), params


def as_step_pair(model: Any) -> tuple[Recurrence | nn.Module, Params]:
    """Returns what `as_pair` does, to read one step at a time.

    Weights in int8 stay so in the cells whose steps compiled code reads by them, and are computed
    elsewhere.
    """
    network, params = as_pair(model)
    if not native.is_here():
        return network, dequantise(params)
    small = _changed(network, int8)
    cells = list(_int8_cells(small))
    # Each cell has its own dict of parameters, or it is not known which one is whose.
    known = all(cell.inner.formula() for cell in cells) and len(cells) == _count(params)
    return (small, all_but_cells(params)) if cells and known else (network, dequantise(params))


def _changed(value: Any, change: Callable[[Recurrence], Recurrence]) -> Any:
    """Changes the recurrences of a network; anything else stays."""
    if isinstance(value, Recurrence):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_changed(item, change) for item in value)
    if not isinstance(value, nn.Module):
        return value
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    fields.pop("parent")
    return value.clone(**{name: _changed(field, change) for name, field in fields.items()})


def _of_floats(recurrence: Recurrence) -> Recurrence:
    """Returns what `seqjax.int8` was given."""
    if isinstance(recurrence, Int8):
        return _of_floats(recurrence.inner)
    if not (found := parts(recurrence)):
        return recurrence
    return dataclasses.replace(recurrence, **jax.tree.map(_of_floats, found))  # pyright: ignore[reportArgumentType]


def _int8_cells(value: Any) -> Iterator[Int8]:
    """Finds the cells in int8 of a network."""
    if isinstance(value, Int8) and not parts(value.inner):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _int8_cells(item)
    elif isinstance(value, Recurrence | nn.Module):
        for field in dataclasses.fields(value):  # pyright: ignore[reportArgumentType]
            if field.name != "parent":
                yield from _int8_cells(getattr(value, field.name))


def _count(params: Any) -> int:
    """Counts the cells among parameters whose inputs are read by a matrix in int8."""
    if not isinstance(params, Mapping):
        return 0
    return 1 if is_cell(params) else sum(map(_count, params.values()))
