"""One step of every cell, in plain operators: for what ONNX has no operator of its own."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import seqjax
from seqjax.cells.linear import SHARPNESS
from seqjax.interop.onnx.graph import Graph, Value
from seqjax.typing import Params

States: TypeAlias = list[Value]
"""Arrays `[batch, units]` that a cell remembers: h, and c of an LSTM; two parts of a complex one."""

EPSILON = 1e-6
"""Of layer normalisation inside a cell."""


def state_sizes(cell: Any) -> list[int]:
    """Returns the units of each array that a cell remembers."""
    if isinstance(cell, seqjax.LSTM):
        return [cell.projection_size or cell.hidden_size, cell.hidden_size]
    if isinstance(cell, seqjax.LRU):
        return [cell.hidden_size] * 2
    return [cell.hidden_size]


def step(
    graph: Graph,
    cell: Any,
    params: Params,
    states: States,
    x: Value,
    zoneout: tuple[float, float] | None = None,
) -> tuple[States, Value]:
    """Writes one step.

    Args:
      graph: to write to.
      cell: one of `STEPS`.
      params: the cell's.
      states: before the step.
      x: `[batch, features]`.
      zoneout: the shares of each state that keep their old value.

    Returns:
      The states after the step, and the output `[batch, outputs]`.
    """
    after, y = STEPS[type(cell)](graph, cell, params, states, x)
    if zoneout is None:
        return after, y
    mixed = []
    for old, new, rate in zip(states, after, zoneout, strict=False):
        # The expectation: rate * old + (1 - rate) * new.
        kept = graph.node("Mul", old, float(rate))
        mixed.append(graph.node("Add", kept, graph.node("Mul", new, 1.0 - rate)))
    return mixed, mixed[0]


def _elman(
    graph: Graph, cell: Any, params: Params, states: States, x: Value
) -> tuple[States, Value]:
    from_x = graph.dense(x, params["w_x"], params["b"])
    sums = graph.node("Add", from_x, graph.dense(states[0], params["w_h"]))
    h = graph.node({"tanh": "Tanh", "relu": "Relu"}[cell.activation], sums)
    return [h], h


def _lstm(
    graph: Graph, cell: Any, params: Params, states: States, x: Value
) -> tuple[States, Value]:
    h, c = states
    # [batch, gates], the sums of all gates side by side
    from_x, from_h = graph.dense(x, params["w_x"]), graph.dense(h, params["w_h"])
    if cell.layer_norm:
        from_x = _normalised(graph, from_x, params["ln_x"])
        from_h = _normalised(graph, from_h, params["ln_h"])
    sums = graph.node("Add", graph.node("Add", from_x, from_h), _floats(params["b"]))
    gates = graph.split(sums, [cell.hidden_size] * (3 if cell.coupled else 4))
    g, o = gates[-2:]
    # What the memory adds to i (where there is one), f and o.
    peeps = [None] * (len(gates) - 1)
    if cell.peephole:
        peeps = np.split(_floats(params["w_p"]), len(peeps))
    f = graph.node("Sigmoid", _peeped(graph, gates[-3], c, peeps[-2]))
    if cell.coupled:
        i = graph.node("Sub", 1.0, f)
    else:
        i = graph.node("Sigmoid", _peeped(graph, gates[0], c, peeps[0]))
    written = graph.node("Mul", i, graph.node("Tanh", g))
    c = graph.node("Add", graph.node("Mul", f, c), written)
    # The output gate alone sees the memory after the step.
    o = graph.node("Sigmoid", _peeped(graph, o, c, peeps[-1]))
    shown = c
    if cell.layer_norm:
        shown = _normalised(graph, c, params["ln_c"], params["b_c"])
    h = graph.node("Mul", o, graph.node("Tanh", shown))
    if cell.projection_size is not None:
        h = graph.dense(h, params["w_r"])
    return [h, c], h


def _gru(graph: Graph, cell: Any, params: Params, states: States, x: Value) -> tuple[States, Value]:
    (h,), hidden = states, cell.hidden_size
    # r and z stand before n.
    rz, only_n = slice(2 * hidden), slice(2 * hidden, None)
    w_h, b = np.asarray(params["w_h"]), _floats(params["b"])
    x_rz, x_n = graph.split(graph.dense(x, params["w_x"]), [2 * hidden, hidden])
    h_rz, h_n = graph.dense(h, w_h[:, rz]), None
    if cell.reset == "after":
        h_n = graph.dense(h, w_h[:, only_n])
    if cell.layer_norm:
        x_rz = _normalised(graph, x_rz, params["ln_x"][rz])
        x_n = _normalised(graph, x_n, params["ln_x"][only_n])
        h_rz = _normalised(graph, h_rz, params["ln_h"][rz])
    sums = graph.node("Add", graph.node("Add", x_rz, b[rz]), h_rz)
    r, z = graph.split(graph.node("Sigmoid", sums), [hidden, hidden])
    if h_n is None:
        # r must be known before the product of the candidate.
        h_n = graph.dense(graph.node("Mul", r, h), w_h[:, only_n])
    if cell.layer_norm:
        h_n = _normalised(graph, h_n, params["ln_h"][only_n])
    h_n = graph.node("Add", h_n, _floats(params["b_n"]))
    if cell.reset == "after":
        h_n = graph.node("Mul", r, h_n)
    n = graph.node("Tanh", graph.node("Add", graph.node("Add", x_n, b[only_n]), h_n))
    # h' = n + z (h - n)
    h = graph.node("Add", n, graph.node("Mul", z, graph.node("Sub", h, n)))
    return [h], h


def _mgu(graph: Graph, cell: Any, params: Params, states: States, x: Value) -> tuple[States, Value]:
    (h,), (w_hf, w_hn) = states, np.split(np.asarray(params["w_h"]), 2, axis=-1)
    from_x = graph.dense(x, params["w_x"], params["b"])
    x_f, x_n = graph.split(from_x, [cell.hidden_size] * 2)
    f = graph.node("Sigmoid", graph.node("Add", x_f, graph.dense(h, w_hf)))
    # f must be known before the product of the candidate.
    h_n = graph.dense(graph.node("Mul", f, h), w_hn)
    return _towards(graph, h, graph.node("Tanh", graph.node("Add", x_n, h_n)), f)


def _ind_rnn(
    graph: Graph, cell: Any, params: Params, states: States, x: Value
) -> tuple[States, Value]:
    from_x = graph.dense(x, params["w_x"], params["b"])
    sums = graph.node("Add", from_x, graph.node("Mul", states[0], _floats(params["u"])))
    h = graph.node({"tanh": "Tanh", "relu": "Relu"}[cell.activation], sums)
    return [h], h


def _min_gru(
    graph: Graph, cell: Any, params: Params, states: States, x: Value
) -> tuple[States, Value]:
    sums = graph.dense(x, params["w_x"], params["b"])
    z, n = graph.split(sums, [cell.hidden_size] * 2)
    return _towards(graph, states[0], n, graph.node("Sigmoid", z))


def _min_lstm(
    graph: Graph, cell: Any, params: Params, states: States, x: Value
) -> tuple[States, Value]:
    sums = graph.dense(x, params["w_x"], params["b"])
    f, i, n = graph.split(sums, [cell.hidden_size] * 3)
    # i / (f + i) = sigmoid(log i - log f), and -log sigmoid(x) = softplus(-x).
    minus_log_f = graph.node("Softplus", graph.node("Neg", f))
    minus_log_i = graph.node("Softplus", graph.node("Neg", i))
    share = graph.node("Sigmoid", graph.node("Sub", minus_log_f, minus_log_i))
    return _towards(graph, states[0], n, share)


def _lru(graph: Graph, cell: Any, params: Params, states: States, x: Value) -> tuple[States, Value]:
    real, imaginary = states
    p = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    # lambda, in its real and its imaginary part
    radius, phase = np.exp(-np.exp(p["nu"])), np.exp(p["theta"])
    re, im = _floats(radius * np.cos(phase)), _floats(radius * np.sin(phase))
    # The scale of the input is that of the columns of B.
    scale = np.exp(p["gamma"])
    in_re, in_im = graph.dense(x, scale * p["b_re"]), graph.dense(x, scale * p["b_im"])
    kept_re = graph.node("Sub", graph.node("Mul", real, re), graph.node("Mul", imaginary, im))
    kept_im = graph.node("Add", graph.node("Mul", real, im), graph.node("Mul", imaginary, re))
    real, imaginary = graph.node("Add", kept_re, in_re), graph.node("Add", kept_im, in_im)
    # Re(s C), in real products
    mixed = graph.node("Sub", graph.dense(real, p["c_re"]), graph.dense(imaginary, p["c_im"]))
    return [real, imaginary], graph.node("Add", mixed, graph.dense(x, p["d"]))


def _rg_lru(
    graph: Graph, cell: Any, params: Params, states: States, x: Value
) -> tuple[States, Value]:
    sums = graph.dense(x, params["w_x"], params["b"])
    r, i, u = graph.split(sums, [cell.hidden_size] * 3)
    # The logarithm of the decay where its gate is wide open.
    log_a = -SHARPNESS * np.logaddexp(0.0, -np.asarray(params["lambda"], np.float64))
    a = graph.node("Exp", graph.node("Mul", graph.node("Sigmoid", r), _floats(log_a)))
    # 1 - a ** 2, as a product that keeps the digits of 1 - a
    room = graph.node("Mul", graph.node("Sub", 1.0, a), graph.node("Add", 1.0, a))
    written = graph.node("Mul", graph.node("Sigmoid", i), u)
    inflow = graph.node("Mul", graph.node("Sqrt", room), written)
    h = graph.node("Add", graph.node("Mul", a, states[0]), inflow)
    return [h], h


STEPS: dict[type, Callable] = {
    seqjax.Elman: _elman,
    seqjax.LSTM: _lstm,
    seqjax.GRU: _gru,
    seqjax.LRU: _lru,
    seqjax.MinGRU: _min_gru,
    seqjax.MinLSTM: _min_lstm,
    seqjax.MGU: _mgu,
    seqjax.IndRNN: _ind_rnn,
    seqjax.RGLRU: _rg_lru,
}
"""By the exact class: a subclass may step in a way of its own."""


def gelu(graph: Graph, x: Value) -> Value:
    """Writes the tanh form of gelu, that of `jax.nn.gelu`."""
    cubed = graph.node("Mul", graph.node("Mul", x, x), x)
    inner = graph.node("Add", x, graph.node("Mul", cubed, 0.044715))
    grown = graph.node("Tanh", graph.node("Mul", inner, math.sqrt(2 / math.pi)))
    return graph.node("Mul", graph.node("Mul", x, 0.5), graph.node("Add", grown, 1.0))


def _towards(graph: Graph, h: Value, n: Value, share: Value) -> tuple[States, Value]:
    """Moves h towards n: `h' = h + share (n - h)`."""
    h = graph.node("Add", h, graph.node("Mul", share, graph.node("Sub", n, h)))
    return [h], h


def _peeped(graph: Graph, sums: Value, c: Value, weights: np.ndarray | None) -> Value:
    """Adds what a gate sees of the memory."""
    if weights is None:
        return sums
    return graph.node("Add", sums, graph.node("Mul", c, weights))


def _normalised(graph: Graph, x: Value, scale: Any, bias: Any = None) -> Value:
    operands = [x, _floats(scale)]
    if bias is not None:
        operands.append(_floats(bias))
    return graph.node("LayerNormalization", *operands, axis=-1, epsilon=EPSILON)


def _floats(array: Any) -> np.ndarray:
    return np.asarray(array, np.float32)
