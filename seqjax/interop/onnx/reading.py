"""Weights of ONNX's operators `LSTM`, `GRU` and `RNN`.

    net, params = interop.onnx.load("model.onnx")

ONNX keeps `W [directions, gates H, inputs]`, `R [directions, gates H, H]`, two biases in one row,
`B [directions, 2 gates H]`, and peepholes `P [directions, 3 H]`. Gates are i, o, f, c in an LSTM
(P: i, o, f) and z, r, h in a GRU. A coupled LSTM computes f = 1 - i there and i = 1 - f here: the
sums of i, with the sign changed, are those of f.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

import seqjax
from seqjax.interop.arrays import Arrays, as_level, reorder
from seqjax.interop.layers import Level, assemble
from seqjax.typing import Params

ORDERS = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""seqjax's gates by their place in ONNX."""

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")

ACTIVATIONS = {
    "LSTM": [("sigmoid", "tanh", "tanh")],
    "GRU": [("sigmoid", "tanh")],
    "RNN": [("tanh",), ("relu",)],
}
"""The operators' activations that seqjax has; the first ones are ONNX's own."""

PASSING = ("Transpose", "Reshape", "Squeeze", "Identity", "Dropout", "Cast")
"""Operators that may stand between the layers of a stack."""


def load(
    source: Any, node: str | Sequence[str] | None = None, *, reverse: bool = False
) -> tuple[seqjax.Recurrence, Params]:
    """Reads recurrent nodes of a model.

    Args:
      source: an `.onnx` file, or a model that the package `onnx` has loaded.
      node: its name (or that of its first output), or several for a stack; None for the only
        recurrent node, or for several that feed each other.
      reverse: take a node of direction "reverse" too; unroll it with `reverse=True`.

    Returns:
      `(net, params)`.

    Raises:
      ImportError: the package onnx is not installed.
      ValueError: the file is not what it should be, the node is not there (which are), its weights
        are computed in the graph, or it computes what seqjax does not.
    """
    model, name = _read(source)
    nodes = [each for each in model.graph.node if each.op_type in ORDERS and not each.domain]
    arrays = Arrays(name, _constants(model.graph))
    levels = []
    for index, each in enumerate(_choose(nodes, node, model.graph, name)):
        levels.append(_level(index, each, arrays, reverse))
    return assemble(levels, name)


def _read(source: Any) -> tuple[Any, str]:
    """Returns the model, and what to call it."""
    if hasattr(source, "graph"):
        return source, "model"
    onnx = _import_onnx()
    if not Path(source).is_file():
        raise ValueError(f"{os.fspath(source)}: no such file")
    try:
        return onnx.load(os.fspath(source)), str(source)
    except Exception as error:
        # The kinds of error differ with protobuf's version.
        raise ValueError(f"{source}: no ONNX file, or a damaged one ({error})") from None


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise ImportError("ONNX files want onnx: pip install 'seqjax[interop]'") from None
    return onnx


def _constants(graph: Any) -> dict[str, Any]:
    """Returns the arrays that the model holds, by name."""
    to_array = _import_onnx().numpy_helper.to_array
    arrays = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            arrays[node.output[0]] = to_array(node.attribute[0].t)
        elif node.op_type == "Identity" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    return arrays


def _choose(
    nodes: Sequence[Any], wanted: str | Sequence[str] | None, graph: Any, source: str
) -> list[Any]:
    there = ", ".join(map(_name, nodes)) or "no recurrent node at all"
    if wanted is None:
        if not nodes or not _is_pile(nodes, graph):
            raise ValueError(f"{source}: node= is wanted, in order where several; found {there}")
        return list(nodes)
    chosen = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        found = [node for node in nodes if name in (node.name, *node.output[:1])]
        if len(found) != 1:
            raise ValueError(f"{source}: {len(found)} recurrent nodes {name!r}; found {there}")
        chosen += found
    return chosen


def _name(node: Any) -> str:
    return node.name or node.output[0]


def _is_pile(nodes: Sequence[Any], graph: Any) -> bool:
    """Tells whether each node reads the outputs of the one before it, shapes aside."""
    makers: dict[str, Any] = {}
    for node in graph.node:
        makers |= dict.fromkeys(node.output, node)
    for before, after in zip(nodes, nodes[1:], strict=False):
        name = after.input[0]
        while name in makers and makers[name].op_type in PASSING:
            name = makers[name].input[0]
        if name != before.output[0]:
            return False
    return True


def _level(index: int, node: Any, arrays: Arrays, reverse: bool) -> Level:
    """Reads one node."""
    place = f"{arrays.source}: {node.op_type} {_name(node)}"
    options = {attribute.name: _value(attribute) for attribute in node.attribute}
    direction = options.get("direction", "forward")
    if direction == "reverse" and not reverse:
        raise ValueError(f"{place} reads backwards; load and unroll it with reverse=True")
    if "clip" in options:
        raise ValueError(f"{place} clips its sums, which seqjax does not")
    rows = 2 if direction == "bidirectional" else 1
    activations = _activations(node.op_type, options, rows, place)
    given: dict[str, str] = {}
    for name, tensor in zip(INPUTS, node.input, strict=False):
        given[name] = tensor
    tensors = _tensors(node.op_type, given, arrays, rows, place)
    read = []
    for row in range(rows):
        own = {name: tensor[row] for name, tensor in tensors.items()}
        read.append(_cell(node.op_type, own, options, activations))
    return as_level(index, read)


def _value(attribute: Any) -> Any:
    """Returns the value of an attribute, texts as `str`."""
    value = _import_onnx().helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [each.decode() if isinstance(each, bytes) else each for each in value]
    return value


def _activations(op: str, options: Mapping[str, Any], rows: int, place: str) -> tuple[str, ...]:
    """Returns the activations of a node, the same for all directions."""
    own = ACTIVATIONS[op][0] * rows
    given = tuple(name.lower() for name in options.get("activations", own))
    for known in ACTIVATIONS[op]:
        if given == known * rows:
            return known
    raise ValueError(f"{place} has activations {given}; seqjax has {ACTIVATIONS[op]}")


def _tensors(
    op: str, given: Mapping[str, str], arrays: Arrays, rows: int, place: str
) -> dict[str, np.ndarray]:
    """Reads W, R, B and P, `[directions, ...]`."""
    for name in ("W", "R", "B", "P"):
        if given.get(name) and given[name] not in arrays.entries:
            raise ValueError(
                f"{place}: {name} ({given[name]}) is no array of the file but an input, or computed"
            )
    gates = len(ORDERS[op])
    hidden = arrays.take(given["R"], rows, None, None).shape[-1]
    owner = f"{op} of {hidden} units"
    tensors = {
        "W": arrays.take(given["W"], rows, gates * hidden, None, owner=owner),
        "R": arrays.take(given["R"], rows, gates * hidden, hidden, owner=owner),
        "B": np.zeros((rows, 2 * gates * hidden), np.float32),
    }
    if given.get("B"):
        tensors["B"] = arrays.take(given["B"], rows, 2 * gates * hidden, owner=owner)
    if given.get("P"):
        tensors["P"] = arrays.take(given["P"], rows, 3 * hidden, owner=owner)
    return tensors


def _cell(
    op: str,
    tensors: Mapping[str, np.ndarray],
    options: Mapping[str, Any],
    activations: Sequence[str],
) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    """Reads one direction."""
    hidden = tensors["R"].shape[-1]
    b_x, b_h = (reorder(bias, ORDERS[op]) for bias in np.split(tensors["B"], 2))
    params = {
        "w_x": reorder(tensors["W"], ORDERS[op], 0).T,
        "w_h": reorder(tensors["R"], ORDERS[op], 0).T,
        "b": b_x + b_h,
    }
    if op == "RNN":
        return seqjax.Elman(hidden, activation=cast(Any, activations[0])), params
    if op == "GRU":
        both = 2 * hidden
        params["b"] = np.concatenate([params["b"][:both], b_x[both:]])
        params["b_n"] = b_h[both:]
        reset = "after" if options.get("linear_before_reset", 0) else "before"
        return seqjax.GRU(hidden, reset=reset), params
    if "P" in tensors:
        params["w_p"] = reorder(tensors["P"], (0, 2, 1))
    coupled = bool(options.get("input_forget", 0))
    if coupled:
        params = {name: _coupled(array, hidden) for name, array in params.items()}
    return seqjax.LSTM(hidden, peephole="P" in tensors, coupled=coupled), params


def _coupled(array: np.ndarray, hidden: int) -> np.ndarray:
    """Returns f, g, o of i, f, g, o, with f's sums those of i with the sign changed."""
    return np.concatenate([-array[..., :hidden], array[..., 2 * hidden :]], axis=-1)
