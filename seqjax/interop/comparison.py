"""`compare`: does an exported file say what the model says?"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from seqjax.interop.needs import package
from seqjax.interop.signature import SIZES, draw, signature, subject


def compare(
    path: str | os.PathLike, given: Any, *, batch: int = 3, time: int = 7, seed: int = 0
) -> float:
    """Runs an ONNX file beside the model that it was made of, on the same random inputs.

    Lengths are drawn from 0 to all steps, states at random.

    Args:
      path: of `interop.onnx.save`.
      given: what was saved.
      batch: rows.
      time: steps of each row.
      seed: of the inputs.

    Returns:
      The greatest absolute difference of all outputs, states included; infinity where one is not
      finite and the other is.

    Raises:
      ImportError: `onnxruntime` is not installed.
      ValueError: the file is not what seqjax saved of such a model.
    """
    runtime = package("onnxruntime", "interop.compare")
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; write it by seqjax.interop.onnx.save")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    model, params = subject(given)
    if about.get("seqjax") != type(model).__name__:
        raise ValueError(
            f"{path} holds {about.get('seqjax', 'no model of seqjax')}, "
            f"not a {type(model).__name__}; give what was saved"
        )
    found = signature(model, params, about["step"] == "1")
    wants = [slot.name for slot in found.inputs]
    has = [value.name for value in session.get_inputs()]
    if has != wants:
        raise ValueError(f"{path} has inputs {has}, the model {wants}; give what was saved")
    known = dict.fromkeys(SIZES, time) | {"batch": batch}
    inputs = draw(found.inputs, known, seed)
    wanted = found.run(params, inputs, "scan")
    names = [value.name for value in session.get_outputs()]
    differences = [0.0]
    for name, says in zip(names, session.run(names, inputs), strict=True):
        differences.append(_difference(says, np.asarray(wanted[name])))
    return max(differences)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the greatest absolute difference."""
    if a.shape != b.shape:
        return float("inf")
    apart = np.abs(a.astype(np.float64) - b.astype(np.float64))
    apart[(a == b) | (np.isnan(a.astype(float)) & np.isnan(b.astype(float)))] = 0
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))
