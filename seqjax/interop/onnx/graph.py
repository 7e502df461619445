"""`Graph`: ONNX nodes written one after another, each by one call."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from seqjax.interop.needs import package

onnx = package("onnx", "seqjax.interop.onnx")
package("onnx.helper", "seqjax.interop.onnx")

OPSET = 17
"""The first one with LayerNormalization."""

IR_VERSION = 8
"""Of the file, the one that came with the opset: newer ones older run times refuse."""

Value: TypeAlias = str
"""The name of an array in the graph."""

Operand: TypeAlias = str | float | int | list[int] | np.ndarray
"""A value, or a constant: a float is float32, integers are int64, arrays are as they are."""

FLOAT32, INT32, INT64, BOOL = 1, 6, 7, 9
"""ONNX's numbers of the dtypes, for `Cast`."""

SMALL = 256
"""Weights of fewer numbers stay float32: rounded, they would lose more than the file gains."""


class Graph:
    """Collects the nodes, the constants, the inputs and the outputs of one graph.

    The body of a loop is a graph too; its constants and weights stand in the graph around it.

    Args:
      int8: store weights as whole numbers of 8 bits, with a scale for each column.
      outer: the graph around the body of a loop.
    """

    def __init__(self, int8: bool = False, outer: "Graph | None" = None):
        self._top: Graph = self if outer is None else outer._top
        self._int8 = int8
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        # Of the outermost graph alone: constants by name and by content, names given so far.
        self._constants: dict[str, Any] = {}
        self._known: dict[Any, str] = {}
        self._count = 0

    def node(self, operator: str, *inputs: Operand, **attributes: Any) -> Value:
        """Adds a node with one output and returns it; an attribute that is None is left out."""
        return self.nodes(operator, 1, *inputs, **attributes)[0]

    def nodes(self, operator: str, count: int, *inputs: Operand, **attributes: Any) -> list[Value]:
        """Adds a node with `count` outputs and returns them."""
        names = [self._operand(given) for given in inputs]
        made = [self._fresh(operator) for _ in range(count)]
        given = {name: value for name, value in attributes.items() if value is not None}
        self._nodes.append(onnx.helper.make_node(operator, names, made, **given))
        return made

    def constant(self, array: np.ndarray) -> Value:
        """Returns a constant; equal ones are stored once."""
        top = self._top
        array = np.asarray(array, order="C")
        digest = hashlib.sha256(array.tobytes()).digest()
        key = (array.dtype.name, array.shape, digest)
        if key not in top._known:
            name = self._fresh("constant")
            top._known[key] = name
            top._constants[name] = onnx.numpy_helper.from_array(array, name)
        return top._known[key]

    def weight(self, array: Any, axis: int) -> Value:
        """Returns a matrix of weights, stored as the graph stores weights.

        Args:
          array: any number of axes.
          axis: that of the columns, each of which has a scale of its own.
        """
        array = np.asarray(array, np.float32)
        if not self._top._int8 or array.size < SMALL:
            return self.constant(array)
        key = ("weight", *self._codes(array, axis), axis)
        # Made once, and outside of every loop.
        if key not in self._top._known:
            codes, scales = key[1:3]
            made = self._top.node("DequantizeLinear", codes, scales, axis=axis)
            self._top._known[key] = made
        return self._top._known[key]

    def rows(self, table: Any, ids: Value) -> Value:
        """Looks up rows of a table `[rows, features]`; as int8 only these become floats."""
        table = np.asarray(table, np.float32)
        if not self._top._int8 or table.size < SMALL:
            return self.node("Gather", table, ids)
        codes, scales = self._codes(table, 1)
        return self.node("DequantizeLinear", self.node("Gather", codes, ids), scales, axis=-1)

    def dense(self, x: Value, kernel: Any, bias: Any = None) -> Value:
        """Computes `x kernel + bias` on the last axis."""
        product = self.node("MatMul", x, self.weight(kernel, 1))
        if bias is None:
            return product
        return self.node("Add", product, np.asarray(bias, np.float32))

    def size(self, x: Value, axis: int) -> Value:
        """Returns the size of one axis, int64 `[1]`."""
        return self.node("Shape", x, start=axis, end=axis + 1 or None)

    def zeros(self, *sizes: Operand) -> Value:
        """Makes float32 zeros; each size is int64 `[1]`, a value or a list of one."""
        return self.node("ConstantOfShape", self.node("Concat", *sizes, axis=0))

    def split(self, x: Value, sizes: list[int]) -> list[Value]:
        """Cuts the last axis into parts of these sizes."""
        if len(sizes) == 1:
            return [x]
        return self.nodes("Split", len(sizes), x, sizes, axis=-1)

    def concat(self, parts: Sequence[Value]) -> Value:
        """Sets arrays side by side on their last axis."""
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=-1)

    def cut(self, x: Value, axis: int, start: int, end: int = np.iinfo(np.int64).max) -> Value:
        """Returns the part from `start` to, but not with, `end` of an axis."""
        return self.node("Slice", x, [start], [end], [axis])

    def input(self, name: str, dtype: str, shape: Sequence[int | str] | None) -> Value:
        """Declares an input; a size that is a word is open."""
        self._inputs.append(_declared(name, dtype, shape))
        return name

    def output(self, name: str, value: Value, dtype: str, shape: Sequence[int | str]) -> None:
        """Declares a value an output, under this name."""
        self._nodes.append(onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(_declared(name, dtype, shape))

    def scan(
        self,
        body: Callable[["Graph", list[Value], list[Value]], tuple[list[Value], Value]],
        states: Sequence[Value],
        inputs: Sequence[tuple[Value, str]],
        reverse: bool,
    ) -> tuple[list[Value], Value]:
        """Loops over time.

        Args:
          body: `body(graph, states, inputs)` of one step returns the next states and the output.
          states: before the first step read.
          inputs: `[time, ...]`, each with its dtype.
          reverse: read the last step first; outputs stay in input order.

        Returns:
          The states after the last step read, and the outputs `[time, ...]`.
        """
        inner = Graph(outer=self)
        before = [inner.input(self._fresh("state"), "float32", None) for _ in states]
        now = [inner.input(self._fresh("step"), dtype, None) for _, dtype in inputs]
        after, output = body(inner, before, now)
        inner._outputs = [_declared(name, "float32", None) for name in (*after, output)]
        ways = [int(reverse)]
        *last, ys = self.nodes(
            "Scan",
            len(after) + 1,
            *states,
            *[value for value, _ in inputs],
            body=onnx.helper.make_graph(inner._nodes, "step", inner._inputs, inner._outputs),
            num_scan_inputs=len(inputs),
            scan_input_directions=ways * len(inputs),
            scan_output_directions=ways,
        )
        return last, ys

    def model(self, about: dict[str, str]) -> bytes:
        """Returns the file's bytes, after ONNX's own check; `about` becomes its metadata."""
        constants = list(self._constants.values())
        graph = onnx.helper.make_graph(
            self._nodes, "seqjax", self._inputs, self._outputs, constants
        )
        opsets = [onnx.helper.make_opsetid("", OPSET)]
        model = onnx.helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="seqjax"
        )
        onnx.helper.set_model_props(model, about)
        onnx.checker.check_model(model)
        return model.SerializeToString()

    def _operand(self, given: Operand) -> Value:
        if isinstance(given, str):
            return given
        if isinstance(given, float):
            return self.constant(np.asarray(given, np.float32))
        if isinstance(given, int | list):
            return self.constant(np.asarray(given, np.int64))
        return self.constant(given)

    def _fresh(self, kind: str) -> Value:
        self._top._count += 1
        return f"{kind}_{self._top._count}"

    def _codes(self, array: np.ndarray, axis: int) -> tuple[Value, Value]:
        """Returns whole numbers from -127 to 127, and the scale of each column."""
        others = tuple(i for i in range(array.ndim) if i != axis)
        largest = np.abs(array).max(axis=others, keepdims=True)
        scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
        codes = np.clip(np.rint(array / scales), -127, 127).astype(np.int8)
        return self.constant(codes), self.constant(scales.reshape(-1))


def _declared(name: str, dtype: str, shape: Sequence[int | str] | None) -> Any:
    """Makes the declaration of an input or output."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.helper.make_tensor_value_info(name, kind, shape)
