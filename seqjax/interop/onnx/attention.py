"""`seqjax.models.Attention` in ONNX, one query at a time."""

from typing import NamedTuple

import numpy as np

from seqjax.interop.onnx.emitters import layer, masked_softmax
from seqjax.interop.onnx.graph import Graph, Value
from seqjax.models import Attention
from seqjax.typing import Params


class Looked(NamedTuple):
    """What one step of a decoder looks at, and with what.

    Attributes:
      query: `[batch, query]`.
      keys: `[batch, positions, keys]`.
      values: `[batch, positions, values]`.
      mask: True at valid positions, `[batch, positions]`.
      before: the weights of the step before, `[batch, positions]`.
      coverage: the sum of all weights so far; None for a model without.
    """

    query: Value
    keys: Value
    values: Value
    mask: Value
    before: Value
    coverage: Value | None = None


def prepare(graph: Graph, score: str, params: Params, memory: Value) -> tuple[Value, Value]:
    """Writes the keys and the values of a memory `[batch, positions, features]`."""
    if score in ("dot", "scaled_dot"):
        return memory, memory
    keys = layer(graph, params["key"], memory)
    values = layer(graph, params["value"], memory) if score == "multi_head" else memory
    return keys, values


def look(graph: Graph, attention: Attention, params: Params, at: Looked) -> tuple[Value, Value]:
    """Writes one look.

    Args:
      graph: to write to.
      attention: the module.
      params: of it.
      at: what is looked at.

    Returns:
      The context `[batch, values]` and the weights `[batch, positions]`.
    """
    column = graph.node("Unsqueeze", at.mask, [2])
    keys = graph.node("Where", column, at.keys, 0.0)
    values = graph.node("Where", column, at.values, 0.0)
    score = attention.score
    if score == "multi_head":
        return _multi_head(graph, params, attention.heads, at._replace(keys=keys, values=values))
    if score in ("dot", "scaled_dot", "general"):
        scores = _products(graph, at.query, keys)
        if score == "scaled_dot":
            scores = graph.node("Mul", scores, float(attention.query_size**-0.5))
    else:
        scores = _additive(graph, score, params, at._replace(keys=keys))
    weights = masked_softmax(graph, scores, at.mask)
    # [batch, 1, positions] times [batch, positions, values]
    context = graph.node("MatMul", graph.node("Unsqueeze", weights, [1]), values)
    return graph.node("Squeeze", context, [1]), weights


def _products(graph: Graph, query: Value, keys: Value) -> Value:
    """Writes the product of a query with each key, `[batch, positions]`."""
    found = graph.node("MatMul", keys, graph.node("Unsqueeze", query, [2]))
    return graph.node("Squeeze", found, [2])


def _additive(graph: Graph, score: str, params: Params, at: Looked) -> Value:
    """Writes `v . tanh(query w_query + key)`, with what location and coverage add in the tanh."""
    asked = graph.node("Unsqueeze", graph.dense(at.query, params["w_query"]), [1])
    inner = graph.node("Add", asked, at.keys)
    if score == "location":
        filters = np.asarray(params["filters"], np.float32)
        width = filters.shape[0]
        # [batch, 1, positions] under filters [channels, 1, width]: [batch, channels, positions].
        found = graph.node(
            "Conv",
            graph.node("Unsqueeze", at.before, [1]),
            filters.T[:, None, :],
            pads=[(width - 1) // 2, width // 2],
        )
        found = graph.node("Transpose", found, perm=[0, 2, 1])
        inner = graph.node("Add", inner, graph.dense(found, params["w_location"]))
    if at.coverage is not None:
        seen = graph.node("Unsqueeze", at.coverage, [2])
        beside = graph.node("Mul", seen, np.asarray(params["w_coverage"], np.float32))
        inner = graph.node("Add", inner, beside)
    v = np.asarray(params["v"], np.float32)[:, None]
    return graph.node("Squeeze", graph.node("MatMul", graph.node("Tanh", inner), v), [2])


def _multi_head(graph: Graph, params: Params, heads: int, at: Looked) -> tuple[Value, Value]:
    """Writes scaled products in slices of the features; the weights are the heads' mean."""
    query = layer(graph, params["ask"], at.query)
    units = np.shape(params["ask"]["kernel"])[1]
    query = graph.node("Mul", query, float((units // heads) ** -0.5))
    # [batch, heads, 1, slice]
    query = graph.node("Reshape", query, [0, heads, 1, units // heads])
    keys, values = (_sliced(graph, part, heads) for part in (at.keys, at.values))
    turned = graph.node("Transpose", keys, perm=[0, 1, 3, 2])
    mask = graph.node("Unsqueeze", at.mask, [1, 2])
    # [batch, heads, 1, positions]
    weights = masked_softmax(graph, graph.node("MatMul", query, turned), mask)
    context = graph.node("Flatten", graph.node("MatMul", weights, values), axis=1)
    mean = graph.node("ReduceMean", weights, axes=[1, 2], keepdims=0)
    return context, mean


def _sliced(graph: Graph, memory: Value, heads: int) -> Value:
    """Cuts the features into heads, `[batch, heads, positions, slice]`."""
    parted = graph.node("Reshape", memory, [0, 0, heads, -1])
    return graph.node("Transpose", parted, perm=[0, 2, 1, 3])
