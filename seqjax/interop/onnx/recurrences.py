"""A recurrence in ONNX: a whole sequence, or one step."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqjax.interop.layers import Level, levels
from seqjax.interop.onnx import operators
from seqjax.interop.onnx.cells import STEPS, States, gelu, state_sizes, step
from seqjax.interop.onnx.graph import INT32, Graph, Value
from seqjax.recurrence import Recurrence
from seqjax.typing import Params


class Rows(NamedTuple):
    """What is known of the rows of a batch.

    Attributes:
      lengths: valid steps, int32 `[batch]`.
      mask: True at valid steps, `[time, batch, 1]`.
      read: True where there is at least one, `[batch, 1]`.
    """

    lengths: Value
    mask: Value
    read: Value


def rows(graph: Graph, lengths: Value, steps: Value) -> Rows:
    """Finds what is known of rows.

    Args:
      graph: to write to.
      lengths: int32 `[batch]`; clamped to the steps.
      steps: of the padded sequences, int64 `[1]`.
    """
    zero = np.zeros(1, np.int32)
    most = graph.node("Cast", steps, to=INT32)
    lengths = graph.node("Min", graph.node("Max", lengths, zero), most)
    places = graph.node("Range", 0, graph.node("Squeeze", steps, [0]), 1)
    places = graph.node("Cast", places, to=INT32)
    # [time, 1, 1] against [batch, 1]
    places = graph.node("Unsqueeze", places, [1, 2])
    column = graph.node("Unsqueeze", lengths, [1])
    mask = graph.node("Less", places, column)
    return Rows(lengths, mask, graph.node("Greater", column, zero))


def state_count(net: Recurrence, params: Params) -> int:
    """Counts the arrays that a recurrence remembers."""
    return len(_state_sizes(net, params))


def states_of(graph: Graph, net: Recurrence, params: Params, batch: Value) -> States:
    """Makes the state before the first step: zeros for each array that the recurrence remembers.

    Args:
      graph: to write to.
      net: the recurrence.
      params: of it.
      batch: rows, int64 `[1]`.
    """
    return [graph.zeros(batch, [size]) for size in _state_sizes(net, params)]


def read(
    graph: Graph,
    net: Recurrence,
    params: Params,
    xs: Value,
    found: Rows,
    states: Sequence[Value] | None = None,
    reverse: bool = False,
) -> tuple[States, Value]:
    """Writes the reading of whole sequences, as `seqjax.unroll` does.

    Args:
      graph: to write to.
      net: the recurrence.
      params: of it.
      xs: `[batch, time, features]`.
      found: from `rows`.
      states: before the first step; None for zeros.
      reverse: read each row from its own end.

    Returns:
      The states after each row's last step, and the outputs `[batch, time, outputs]`, zero past a
      row's end.

    Raises:
      ValueError: ONNX cannot say a part of the recurrence (which, and the way out).
    """
    if states is None:
        states = states_of(graph, net, params, graph.size(xs, 0))
    left, after = list(states), []
    # Run times leave out the operators' batch-major form, or misread it in silence.
    xs = graph.node("Transpose", xs, perm=[1, 0, 2])
    xs = graph.node("Where", found.mask, xs, 0.0)
    for level in _checked(net, params):
        outputs = []
        for index in range(len(level.cells)):
            own = _taken(left, level.cells[index])
            own, ys = _read_cell(graph, level, index, xs, found, own, reverse)
            after += own
            outputs.append(ys)
        xs = _finished(graph, level, xs, outputs)
    return after, graph.node("Transpose", xs, perm=[1, 0, 2])


def advance(
    graph: Graph, net: Recurrence, params: Params, x: Value, states: Sequence[Value]
) -> tuple[States, Value]:
    """Writes one step.

    Args:
      graph: to write to.
      net: the recurrence, a causal one.
      params: of it.
      x: `[batch, features]`.
      states: before the step.

    Returns:
      The states after it, and the output `[batch, outputs]`.

    Raises:
      ValueError: ONNX cannot say a part of the recurrence (which, and the way out).
    """
    left, after = list(states), []
    for level in _checked(net, params):
        cell, p = level.cells[0], level.params[0]
        own = _taken(left, cell)
        if level.zoneout is None and operators.has_operator(cell):
            # A sequence of one step: a single operator is faster than the many of a step.
            once = graph.node("Unsqueeze", x, [0])
            own, ys = operators.run(graph, cell, p, once, own)
            y = graph.node("Squeeze", ys, [0])
        else:
            own, y = step(graph, cell, p, own, x, level.zoneout)
        after += own
        x = _finished(graph, level, x, [y])
    return after, x


def _read_cell(
    graph: Graph,
    level: Level,
    index: int,
    xs: Value,
    found: Rows,
    states: States,
    reverse: bool,
) -> tuple[States, Value]:
    """Reads whole sequences by one direction of a level, `[time, batch, features]`."""
    cell, params = level.cells[index], level.params[index]
    # The second direction reads against the first one.
    backwards = reverse != (index == 1)
    if level.zoneout is not None or not operators.has_operator(cell):
        return _scan_cell(graph, level, index, xs, found, states, backwards)
    # Run times forget the state of a row without steps, or refuse it: it reads one step of zeros,
    # of which nothing is kept.
    lengths = graph.node("Max", found.lengths, np.ones(1, np.int32))
    after, ys = operators.run(graph, cell, params, xs, states, lengths, backwards)
    after = [
        graph.node("Where", found.read, new, old) for new, old in zip(after, states, strict=True)
    ]
    return after, graph.node("Where", found.mask, ys, 0.0)


def _scan_cell(
    graph: Graph,
    level: Level,
    index: int,
    xs: Value,
    found: Rows,
    states: States,
    backwards: bool,
) -> tuple[States, Value]:
    """Loops over the steps of a cell that has no operator."""

    def body(inner: Graph, before: list[Value], inputs: list[Value]) -> tuple[list[Value], Value]:
        x, valid = inputs
        after, y = step(inner, level.cells[index], level.params[index], before, x, level.zoneout)
        # Past a row's end the state is held, and the output is zero.
        held = [
            inner.node("Where", valid, new, old) for new, old in zip(after, before, strict=True)
        ]
        return held, inner.node("Where", valid, y, 0.0)

    inputs = [(xs, "float32"), (found.mask, "bool")]
    return graph.scan(body, states, inputs, backwards)


def _finished(graph: Graph, level: Level, xs: Value, outputs: list[Value]) -> Value:
    """Merges the directions of a level, and adds its gate and its residual path."""
    y = _merged(graph, level.merge, outputs)
    if level.gate is not None:
        u = gelu(graph, y)
        gate = graph.node("Sigmoid", graph.dense(u, level.gate["w"], level.gate["b"]))
        y = graph.node("Mul", u, gate)
    if level.residual:
        y = graph.node("Add", xs, y)
    return y


def _merged(graph: Graph, merge: str | None, outputs: list[Value]) -> Value:
    match merge:
        case "sum":
            return graph.node("Add", *outputs)
        case "mean":
            return graph.node("Mul", graph.node("Add", *outputs), 0.5)
        case "max":
            return graph.node("Max", *outputs)
    return graph.concat(outputs)


def _state_sizes(net: Recurrence, params: Params) -> list[int]:
    """Returns the units of each array that a recurrence remembers."""
    sizes: list[int] = []
    for level in _checked(net, params):
        for cell in level.cells:
            sizes += state_sizes(cell)
    return sizes


def _taken(left: list[Value], cell: Any) -> States:
    """Takes what a cell remembers from the front of all states."""
    count = len(state_sizes(cell))
    own = left[:count]
    del left[:count]
    return own


def _checked(net: Recurrence, params: Params) -> list[Level]:
    """Lists the layers, all of them known here."""
    found = levels(net, params)
    for level in found:
        for cell in level.cells:
            if type(cell) not in STEPS:
                raise ValueError(
                    f"{level.path or net}: ONNX knows no {type(cell).__name__}; "
                    "export it by seqjax.interop.stablehlo.save"
                )
    return found
