"""`save`: a model as an ONNX file."""

import os
from typing import Any, Literal, get_args

from seqjax.files.disk import write_atomically
from seqjax.interop.onnx import forecasters as forecasters
from seqjax.interop.onnx import networks as networks
from seqjax.interop.onnx import translators as translators
from seqjax.interop.onnx.emitters import emitter
from seqjax.interop.onnx.graph import Graph
from seqjax.interop.signature import signature, subject

Stored = Literal["float32", "int8"]


def save(
    given: Any, path: str | os.PathLike, *, step: bool = False, weights: Stored = "float32"
) -> None:
    """Writes a model as an ONNX file.

    Batch and time are open. Inputs and outputs are named as `seqjax.interop.signature` says; what
    is remembered goes in as `state_0`, `state_1`, ... and comes out as `next_0`, `next_1`, ...

    Args:
      given: a `seqjax.Trained`, or a pair `(model, params)` of a module of `seqjax.models` or of a
        recurrence.
      path: the file to write; its folder exists.
      step: write one time step in place of whole sequences. Of a translator the whole is the
        encoder, whose `next_0`, ... are where the decoder begins, and the step is the decoder's.
      weights: `"int8"` stores matrices as whole numbers of 8 bits with a scale for each column,
        about a quarter of the size; sums stay float32.

    Raises:
      TypeError: the model is of no kind that ONNX export knows.
      ValueError: the model has no step, or ONNX cannot say a part of it (which, and the way out).

    Example:
      >>> import jax, os, seqjax, tempfile
      >>> from seqjax import interop
      >>> net = seqjax.bidirectional(seqjax.LSTM(8))
      >>> path = os.path.join(tempfile.mkdtemp(), "net.onnx")
      >>> interop.onnx.save((net, net.init(jax.random.key(0), 3)), path)
    """
    if weights not in get_args(Stored):
        known = ", ".join(map(repr, get_args(Stored)))
        raise ValueError(f"weights={weights!r} is unknown; choose one of {known}")
    model, params = subject(given)
    found = signature(model, params, step)
    emit = emitter(model, step)
    graph = Graph(int8=weights == "int8")
    inputs = {slot.name: graph.input(slot.name, slot.dtype, slot.shape) for slot in found.inputs}
    outputs = emit(graph, model, params, inputs)
    for slot in found.outputs:
        graph.output(slot.name, outputs[slot.name], slot.dtype, slot.shape)
    about = {"seqjax": type(model).__name__, "step": str(int(step)), "weights": weights}
    write_atomically(path, graph.model(about))
