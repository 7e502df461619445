"""Which function writes which model: one for each class, of whole sequences and of one step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqjax.interop.onnx.graph import Graph, Value
from seqjax.typing import Params

Emit = Callable[[Graph, Any, Params, Mapping[str, Value]], dict[str, Value]]
"""Writes a model: graph, model, params and inputs by name to outputs by name."""

EMITTERS: dict[tuple[type, bool], Emit] = {}
"""By class, and whether it is of one step."""


def emits(*kinds: type, step: bool = False) -> Callable[[Emit], Emit]:
    """Decorates the function that writes models of these classes."""

    def mark(emit: Emit) -> Emit:
        EMITTERS.update(dict.fromkeys([(kind, step) for kind in kinds], emit))
        return emit

    return mark


def emitter(model: Any, step: bool) -> Emit:
    """Returns the function that writes a model.

    Raises:
      TypeError: there is none.
    """
    if (type(model), step) not in EMITTERS:
        raise TypeError(
            f"no ONNX of a {type(model).__name__} {'by step' if step else 'as a whole'}; "
            "export it by seqjax.interop.stablehlo.save"
        )
    return EMITTERS[type(model), step]


def remembered(inputs: Mapping[str, Value]) -> list[Value]:
    """Returns the states among the inputs, in order."""
    count = sum(name.startswith("state_") for name in inputs)
    return [inputs[f"state_{index}"] for index in range(count)]


def following(states: Sequence[Value]) -> dict[str, Value]:
    """Names the states that come out."""
    return {f"next_{index}": state for index, state in enumerate(states)}


def layer(graph: Graph, params: Params, x: Value) -> Value:
    """Writes a Flax `Dense`."""
    return graph.dense(x, params["kernel"], params.get("bias"))


def layer_norm(graph: Graph, params: Params, x: Value) -> Value:
    """Writes a Flax `LayerNorm`."""
    scale, bias = (np.asarray(params[name], np.float32) for name in ("scale", "bias"))
    return graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-6)


def embedded(graph: Graph, params: Params, tokens: Value) -> Value:
    """Writes a `TokenEmbedding`."""
    return graph.rows(params["table"]["embedding"], tokens)


def masked_softmax(graph: Graph, scores: Value, mask: Value) -> Value:
    """Writes `seqjax.attention.masked_softmax` over the last axis: 0 where nothing is valid."""
    lowest = float(np.finfo(np.float32).min)
    weights = graph.node("Softmax", graph.node("Where", mask, scores, lowest), axis=-1)
    return graph.node("Where", mask, weights, 0.0)
