"""Exported files, run as one runs them elsewhere."""

import jax
import numpy as np
import onnxruntime

from seqjax import interop
from tests.recurrences import draw


def session(path):
    """The file under ONNX Runtime."""
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(opened, inputs):
    """The outputs by name; of a file or of a session."""
    opened = opened if hasattr(opened, "run") else session(opened)
    names = [output.name for output in opened.get_outputs()]
    return dict(zip(names, opened.run(names, inputs), strict=True))


def leaves(state):
    """A state as arrays, a complex one as its two parts."""
    parts = []
    for leaf in map(np.asarray, jax.tree.leaves(state)):
        parts += [leaf.real, leaf.imag] if np.iscomplexobj(leaf) else [leaf]
    return parts


def named(state, name="state"):
    """A state by the names of inputs, or of outputs."""
    return {f"{name}_{index}": leaf for index, leaf in enumerate(leaves(state))}


def with_params(model, *inputs, seed=0):
    """A model and params in which nothing is zero or one, biases included."""
    init = lambda: model.init(jax.random.key(0), *inputs)  # noqa: E731
    return model, draw(jax.eval_shape(init)["params"], seed, scale=0.5)


def agree(given, path, step=False, tolerance=1e-5, sizes=((3, 6), (1, 1))):
    """What ONNX Runtime says of a saved model is what the model says."""
    interop.onnx.save(given, path, step=step)
    for seed, (batch, time) in enumerate(sizes):
        apart = interop.compare(path, given, batch=batch, time=time, seed=seed)
        assert apart < tolerance, (batch, time, apart)
