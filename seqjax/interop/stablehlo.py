"""StableHLO by `jax.export`: models for programs that have JAX and not seqjax.

    interop.stablehlo.save(trained, "model.jax", platforms=("cpu", "cuda"))

    import jax.export, pathlib                  # elsewhere, without seqjax
    model = jax.export.deserialize(bytearray(pathlib.Path("model.jax").read_bytes()))
    outputs = model.call(tokens=tokens, lengths=lengths, state_0=state)

`seqjax.interop.signature` lists the names of inputs and outputs. States are plain arrays, so that
no class needs to be known where the file is read.
"""

import os
from collections.abc import Sequence
from typing import Any

import jax
from jax import export

from seqjax.files.disk import write_atomically
from seqjax.interop.needs import package
from seqjax.interop.signature import SIZES, signature, sizes, subject


def save(
    given: Any,
    path: str | os.PathLike,
    *,
    step: bool = False,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
) -> None:
    """Writes a model as a StableHLO program, its parameters inside; batch and time are open.

    The file loads with the JAX that wrote it and with newer ones within JAX's window of
    compatibility, half a year at least.

    Args:
      given: a `seqjax.Trained`, or a pair `(model, params)` of a module of `seqjax.models` or of a
        recurrence.
      path: the file to write; its folder exists.
      step: write one time step in place of whole sequences, as `interop.onnx.save` does.
      platforms: where it shall run: "cpu", "cuda", "rocm", "tpu".

    Raises:
      ImportError: the package `flatbuffers` is not installed.
      TypeError: the model is of no kind that can be exported.
      ValueError: the model has no step.
    """
    package("flatbuffers", "interop.stablehlo.save")
    model, params = subject(given)
    found = signature(model, params, step)
    words = export.symbolic_shape(", ".join(SIZES))
    known = dict(zip(SIZES, words, strict=True))
    structs = {
        slot.name: jax.ShapeDtypeStruct(sizes(slot, known), slot.dtype) for slot in found.inputs
    }

    def call(**inputs: Any) -> dict[str, Any]:
        # Compiled kernels have a meaning only where seqjax is loaded: plain XLA.
        return found.run(params, inputs, "fused")

    program = export.export(jax.jit(call), platforms=tuple(platforms))(**structs)
    write_atomically(path, bytes(program.serialize()))
