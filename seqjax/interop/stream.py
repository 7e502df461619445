"""`Stream`: a model that reads one step after another, compiled once, its state held.

stream = interop.Stream(trained)
logits = stream(token)
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from seqjax.interop.pairs import as_step_pair
from seqjax.models import AcousticModel
from seqjax.recurrence import Recurrence, select
from seqjax.typing import Params, State


class Stream:
    """Reads one step at a time, of one sequence or of several side by side.

    Each call gives what `seqjax.unroll` gives at that step. The state stays on the device and its
    memory is used again. One program is compiled, at the first call; a step takes as long as a
    jitted `step` (0.8 to 1.05 of it by `python benchmarks/interop.py`).

    Attributes:
      batch: sequences side by side.

    Example:
      >>> import jax, seqjax
      >>> from seqjax import interop
      >>> net = seqjax.stack(seqjax.LSTM(8), seqjax.GRU(8))
      >>> stream = interop.Stream((net, net.init(jax.random.key(0), 3)), batch=2)
      >>> stream(jax.numpy.ones((2, 3))).shape
      (2, 8)
      >>> stream.reset(rows=[0])
    """

    def __init__(self, model: Any, batch: int = 1):
        """Opens a stream before its first step.

        Args:
          model: a trained model of one causal network, such as a language model; or
            `(model, params)` of `seqjax.models` with `step`; or `(recurrence, params)`. In int8 the
            plain Elman, LSTM and GRU read their matrices as they are, which takes half the time;
            other weights are computed once.
          batch: sequences side by side.

        Raises:
          TypeError: it is none of these.
          ValueError: it is not causal, or the batch is less than 1.
        """
        if batch < 1:
            raise ValueError(f"batch is {batch}; give at least 1 sequence")
        self.batch = batch
        self._network, self._params = as_step_pair(model)
        _check_steps(self._network)
        self._step = _step_of(self._network)
        self._inputs: tuple[int, Any] | None = None
        self._state: State = None

    def __call__(self, inputs: ArrayLike | list | tuple) -> Array:
        """Reads one step of each sequence.

        Args:
          inputs: tokens `[batch]`, features `[batch, features]`, or for an acoustic model a piece
            `[batch, time, features]`. With a batch of 1 that axis may be left out.

        Returns:
          What `step` of the model gives, `[batch, ...]`: without the axis if the inputs had none.

        Raises:
          ValueError: the shape is another one.
        """
        x = inputs if isinstance(inputs, jax.Array) else np.asarray(inputs)
        axes = _axes_of_row(self._network, x.dtype)
        if x.shape[: x.ndim - axes] != (self.batch,) and not (self.batch == 1 and x.ndim == axes):
            wanted = "[batch]" + " and an axis of features" * (axes > 0)
            raise ValueError(f"inputs have shape {x.shape}; with batch={self.batch} give {wanted}")
        if self._inputs is None:
            self._inputs = (x.shape[-1] if axes else 0, _floating(x.dtype))
            every = np.ones(self.batch, np.bool)
            self._state = _initial(self._network, self._inputs, self._params, every)
        self._state, y = self._step(self._params, self._state, x)
        return y

    def reset(self, rows: Iterable[int] | None = None) -> None:
        """Takes sequences back to the state before their first step.

        Args:
          rows: places in the batch; None takes all.

        Raises:
          ValueError: there is no such row.
        """
        chosen = list(range(self.batch)) if rows is None else list(rows)
        for row in chosen:
            if not 0 <= row < self.batch:
                raise ValueError(f"row {row} is none of the batch; rows are 0 to {self.batch - 1}")
        if self._inputs is None:
            return
        mask = np.zeros(self.batch, np.bool)
        mask[chosen] = True
        self._state = _restarted(self._network, self._inputs, self._params, self._state, mask)

    @property
    def state(self) -> State:
        """Gives a copy of what the stream remembers; None before the first step."""
        return jax.tree.map(jnp.copy, self._state)

    @state.setter
    def state(self, state: State) -> None:
        """Goes on from an earlier state of a stream of this model.

        Raises:
          ValueError: nothing was read yet, or it is no such state.
        """
        shapes = _shapes(state)
        if self._inputs is None or shapes != _shapes(self._state):
            raise ValueError(
                "that is no state of this stream after its first step; give one that `state` gave"
            )
        self._state = jax.tree.map(jnp.copy, state)


@functools.lru_cache(maxsize=64)
def _step_of(network: Any) -> Callable:
    """Compiles a step once for all streams of a network; the state's memory is given away."""

    def step(params: Params, state: State, x: Array) -> tuple[State, Array]:
        single = x.ndim == _axes_of_row(network, x.dtype)
        rows = x[None] if single else x
        if isinstance(network, Recurrence):
            state, y = network.step(params, state, rows)
        else:
            state, y = network.apply({"params": params}, state, rows, method="step")
        return state, y[0] if single else y

    return jax.jit(step, donate_argnums=1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _initial(network: Any, inputs: tuple[int, Any], params: Params, rows: Array) -> State:
    """Makes the state before the first step, for as many sequences as `rows [batch]` has."""
    features, dtype = inputs
    batch_shape = rows.shape
    if isinstance(network, Recurrence):
        return network.initial_state(params, batch_shape, dtype)
    arguments: tuple = (batch_shape,)
    if features and "input_size" in inspect.signature(network.initial_state).parameters:
        arguments = (batch_shape, features)
    return network.apply({"params": params}, *arguments, method="initial_state")


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def _restarted(
    network: Any, inputs: tuple[int, Any], params: Params, state: State, rows: Array
) -> State:
    """Puts the first state in the rows where `rows [batch]` is True."""
    return select(rows, _initial(network, inputs, params, rows), state)


def _check_steps(network: Recurrence | nn.Module) -> None:
    """Refuses what cannot read step by step."""
    if isinstance(network, Recurrence):
        causal = network.causal
    else:
        starts = getattr(network, "initial_state", None)
        parameters = inspect.signature(starts).parameters if starts else {}
        if "batch_shape" not in parameters or not hasattr(network, "step"):
            raise TypeError(
                f"{type(network).__name__} has no step that reads its inputs; stream a "
                "LanguageModel, an AcousticModel, a SequenceClassifier or a recurrence"
            )
        layers = getattr(network, "layers", None) or (getattr(network, "recurrence", None),)
        causal = all(getattr(layer, "causal", True) for layer in layers)
    if not causal:
        raise ValueError(
            f"{network} reads the future; stream a causal network, such as seqjax.LSTM(256)"
        )


def _axes_of_row(network: Any, dtype: Any) -> int:
    """Returns the axes of one sequence's inputs: none for tokens, two for a piece of sound."""
    if isinstance(network, AcousticModel):
        return 2
    tokens = not isinstance(network, Recurrence) and np.issubdtype(dtype, np.integer)
    return 0 if tokens else 1


def _floating(dtype: Any) -> Any:
    """Returns the dtype of features as JAX keeps it; float32 for tokens."""
    return (
        jax.dtypes.canonicalize_dtype(dtype)
        if jnp.issubdtype(dtype, jnp.floating)
        else jnp.dtype(jnp.float32)
    )


def _shapes(state: State) -> Any:
    leaves, structure = jax.tree.flatten(state)
    return structure, [(jnp.shape(leaf), jnp.asarray(leaf).dtype) for leaf in leaves]
