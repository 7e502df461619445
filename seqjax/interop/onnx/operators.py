"""ONNX's own operators LSTM, GRU and RNN, for the cells that they compute."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import seqjax
from seqjax.interop.onnx.cells import States
from seqjax.interop.onnx.graph import Graph, Value
from seqjax.typing import Params


class Weights(NamedTuple):
    """What the three operators read, of one direction.

    Attributes:
      w: of the inputs, `[gates * H, I]`.
      r: of the state, `[gates * H, H]`.
      b: of both, `[2 * gates * H]`.
      p: of the memory in the gates, `[3 * H]`; None without peepholes.
      attributes: further ones of the operator.
    """

    w: np.ndarray
    r: np.ndarray
    b: np.ndarray
    p: np.ndarray | None
    attributes: dict[str, Any]


def has_operator(cell: Any) -> bool:
    """Tells whether one of the operators computes this cell."""
    if type(cell) is seqjax.LSTM:
        return not cell.layer_norm and cell.projection_size is None
    if type(cell) is seqjax.GRU:
        return not cell.layer_norm
    return type(cell) is seqjax.Elman


def run(
    graph: Graph,
    cell: Any,
    params: Params,
    xs: Value,
    states: States,
    lengths: Value | None = None,
    reverse: bool = False,
) -> tuple[States, Value]:
    """Writes one operator.

    Args:
      graph: to write to.
      cell: one with `has_operator`.
      params: the cell's.
      xs: `[time, batch, features]`, at least one step.
      states: before the first step read, `[batch, units]` each.
      lengths: valid steps of each row, int32 `[batch]`, at least 1; None when all are.
      reverse: read each row from its own end.

    Returns:
      The states after the last step read, and the outputs `[time, batch, units]`.
    """
    operator, weights_of = _OPERATORS[type(cell)]
    found: Weights = weights_of(cell, params)
    # All but the outputs begin with an axis of directions, of which there is one here.
    operands = [
        xs,
        graph.weight(found.w[None], 1),
        graph.weight(found.r[None], 1),
        found.b[None],
        lengths or "",
    ]
    operands += [graph.node("Unsqueeze", state, [0]) for state in states]
    if found.p is not None:
        operands.append(found.p[None])
    ys, *after = graph.nodes(
        operator,
        1 + len(states),
        *operands,
        hidden_size=cell.hidden_size,
        direction="reverse" if reverse else "forward",
        **found.attributes,
    )
    after = [graph.node("Squeeze", state, [0]) for state in after]
    return after, graph.node("Squeeze", ys, [1])


def _lstm_weights(cell: Any, params: Params) -> Weights:
    # ONNX's order is i, o, f, g; that of the peepholes i, o, f.
    if not cell.coupled:
        peeps = None
        if cell.peephole:
            peeps = _reordered(params["w_p"], 3, [(0, 1), (2, 1), (1, 1)])
        gates = [(0, 1), (3, 1), (1, 1), (2, 1)]
        return _weights(params, 4, gates, peeps, {})
    # The operator forgets what it does not write, f = 1 - i, where seqjax writes what it does
    # not forget, i = 1 - f = sigmoid(-(what f is the sigmoid of)).
    peeps = None
    if cell.peephole:
        peeps = _reordered(params["w_p"], 2, [(0, -1), (1, 1), (0, 1)])
    gates = [(0, -1), (2, 1), (0, 1), (1, 1)]
    return _weights(params, 3, gates, peeps, {"input_forget": 1})


def _gru_weights(cell: Any, params: Params) -> Weights:
    # ONNX's order is z, r, n.
    after = int(cell.reset == "after")
    found = _weights(params, 3, [(1, 1), (0, 1), (2, 1)], None, {"linear_before_reset": after})
    b = found.b.copy()
    b[-cell.hidden_size :] = params["b_n"]
    return found._replace(b=b)


def _elman_weights(cell: Any, params: Params) -> Weights:
    activation = {"tanh": "Tanh", "relu": "Relu"}[cell.activation]
    return _weights(params, 1, [(0, 1)], None, {"activations": [activation]})


_OPERATORS: dict[type, tuple[str, Callable]] = {
    seqjax.LSTM: ("LSTM", _lstm_weights),
    seqjax.GRU: ("GRU", _gru_weights),
    seqjax.Elman: ("RNN", _elman_weights),
}


def _weights(
    params: Params,
    gates: int,
    order: list[tuple[int, int]],
    peeps: np.ndarray | None,
    attributes: dict[str, Any],
) -> Weights:
    """Reorders the gates and turns the matrices; the bias of the state is zero."""
    b = _reordered(params["b"], gates, order)
    return Weights(
        _reordered(params["w_x"], gates, order).T,
        _reordered(params["w_h"], gates, order).T,
        np.concatenate([b, np.zeros_like(b)]),
        peeps,
        attributes,
    )


def _reordered(array: Any, gates: int, order: list[tuple[int, int]]) -> np.ndarray:
    """Sets gates side by side in another order: each entry is a gate's place, and its sign."""
    parts = np.split(np.asarray(array, np.float32), gates, axis=-1)
    return np.concatenate([sign * parts[place] for place, sign in order], axis=-1)
