"""What a person gives to be written or streamed: a trained model, or a network with its parameters."""

from typing import Any

import flax.linen as nn

from seqjax.interop.int8 import dequantise
from seqjax.recurrence import Recurrence
from seqjax.tasks import Trained
from seqjax.typing import Params

WANTED = "give a trained model, (model, params) of seqjax.models, or (recurrence, params)"


def as_pair(model: Any) -> tuple[Recurrence | nn.Module, Params]:
    """Returns a network and its parameters, as they are kept: perhaps in int8.

    Args:
      model: a `Trained`, or a pair of a recurrence or a module of `seqjax.models` and its parameters.

    Raises:
      TypeError: it is none of these, or the task is not one network (what to give).
    """
    if isinstance(model, Trained):
        network = getattr(model.task, "model", None)
        if not isinstance(network, nn.Module):
            raise TypeError(f"{type(model.task).__name__} has no network of its own; {WANTED}")
        return network, model.params
    if not isinstance(model, tuple) or len(model) != 2:
        raise TypeError(f"the model is a {type(model).__name__}; {WANTED}")
    network, params = model
    if not isinstance(network, Recurrence | nn.Module):
        raise TypeError(
            f"the model is a pair that begins with a {type(network).__name__}; {WANTED}"
        )
    return network, params


def as_float_pair(model: Any) -> tuple[Recurrence | nn.Module, Params]:
    """Returns what `as_pair` does, with weights in floating point."""
    network, params = as_pair(model)
    return network, dequantise(params)
