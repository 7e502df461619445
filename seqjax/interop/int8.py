"""`quantise`: weights as whole numbers of eight bits, a quarter of the size.

    small = interop.quantise(trained)
    small.predict(["ROMEO:"])
    small.save("small")                  # seqjax.load("small") reads it

Each column of a matrix has a scale of its own, so that its largest weight becomes 127 or -127.
Inputs and states stay floating point: nothing is calibrated.
"""

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from seqjax.kernels.int8 import dequantised, is_matrix, quantised
from seqjax.tasks import Trained
from seqjax.typing import KeyArray, Params


@dataclasses.dataclass(frozen=True, repr=False)
class Quantised:
    """A task whose parameters are kept in int8: what `quantise` makes of a trained model's task.

    Every method of the task is a method of this one; it computes the weights anew at each call.

    Attributes:
      task: what was learnt.
    """

    task: Any

    def __repr__(self) -> str:
        return f"Quantised({self.task!r})"

    def __getattr__(self, name: str) -> Any:
        """Gives another attribute of the task; its methods read int8 parameters."""
        if name.startswith("_") or name == "task":
            raise AttributeError(f"Quantised has no attribute {name!r}")
        found = getattr(self.task, name)
        if not inspect.ismethod(found):
            return found

        @functools.wraps(found)
        def method(params: Params, *arguments: Any, **options: Any) -> Any:
            return found(dequantise(params), *arguments, **options)

        return method

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.task)})

    @property
    def monitor(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Names the metrics of the task that choose parameters."""
        return self.task.monitor

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters, in int8."""
        return quantised(self.task.init(key))

    def batches(self, examples: Any, **options: Any) -> Any:
        """Makes batches of raw examples, see the task's `batches`."""
        return self.task.batches(examples, **options)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any, *carry: Any
    ) -> tuple[jax.Array, Any]:
        """Refuses: whole numbers have no gradient.

        Raises:
          TypeError: always.
        """
        raise TypeError(
            "int8 weights cannot be trained; train the model first and quantise it then, or go on "
            "from interop.dequantise(trained)"
        )

    def evaluate(self, params: Params, examples: Any, **options: Any) -> dict[str, float]:
        """Scores parameters on raw examples, see the task's `evaluate`."""
        return self.task.evaluate(dequantise(params), examples, **options)

    def predict(self, params: Params, inputs: Any, **options: Any) -> Any:
        """Answers raw inputs, see the task's `predict`."""
        return self.task.predict(dequantise(params), inputs, **options)


def quantise(model: Trained | Params) -> Any:
    """Turns the matrices of a model into int8 with a scale for each column.

    Matrices are recurrent and dense weights, embeddings, filters: all that has two axes or more. A
    matrix `w [inputs, outputs]` becomes `{"int8": [inputs, outputs], "scale": [outputs]}`, with
    `w = int8 * scale`; biases and scales of norms stay as they are. On character models this costs
    less than 0.001 nats.

    Args:
      model: a trained model, or parameters: nested dicts of arrays.

    Returns:
      A trained model that is used, saved and loaded as before, or parameters for `dequantise`. What
      is in int8 already stays as it is.

    Raises:
      ValueError: a weight is not finite (which array).

    Example:
      >>> import jax, seqjax
      >>> from seqjax import interop
      >>> params = seqjax.LSTM(8).init(jax.random.key(0), 4)
      >>> small = interop.quantise(params)
      >>> small["w_x"]["int8"].dtype.name, small["w_x"]["scale"].shape
      ('int8', (32,))
      >>> interop.dequantise(small)["w_x"].shape
      (4, 32)
    """
    if not isinstance(model, Trained):
        _check_finite(model, "")
        return _QUANTISE(model)
    if isinstance(model.task, Quantised):
        return model
    return Trained(Quantised(model.task), quantise(model.params))


def dequantise(model: Trained | Params) -> Any:
    """Computes the floating point weights of a quantised model.

    Args:
      model: what `quantise` returned. Other models and parameters come back as they are.

    Returns:
      A trained model of the task that was quantised, or parameters.
    """
    if not isinstance(model, Trained):
        return _DEQUANTISE(model)
    if not isinstance(model.task, Quantised):
        return model
    return Trained(model.task.task, _DEQUANTISE(model.params))


def _check_finite(params: Any, path: str) -> None:
    if isinstance(params, Mapping):
        for name, part in params.items():
            _check_finite(part, f"{path}/{name}" if path else name)
    elif is_matrix(params) and not np.isfinite(np.asarray(params, np.float32)).all():
        raise ValueError(f"{path} holds nan or inf; quantise a model whose weights are finite")


_QUANTISE, _DEQUANTISE = jax.jit(quantised), jax.jit(dequantised)
