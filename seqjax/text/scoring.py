"""What a language model pays for each token of a text, in nats."""

import functools
from typing import Any

import jax
import numpy as np
import optax

from seqjax.models import LanguageModel
from seqjax.typing import Params, State

ROWS, CHUNK = 256, 1000
"""Windows read side by side at most, and tokens between two states carried."""

SCORES = 2**24
"""Elements of the logits of a batch at most."""


def nats_carried(
    model: LanguageModel,
    params: Params,
    inputs: np.ndarray,
    targets: np.ndarray,
    chunk: int = CHUNK,
) -> np.ndarray:
    """Computes the nats of each target, the state carried from beginning to end.

    Args:
      model: the network.
      params: its parameters.
      inputs: what is read, `[rows, time]`.
      targets: the token after each, `[rows, time]`.
      chunk: tokens read at once; one shape is compiled.

    Returns:
      float64 `[rows, time]`.
    """
    rows, time = inputs.shape
    # The last chunk is filled up.
    padding = ((0, 0), (0, -time % chunk))
    inputs, targets = np.pad(inputs, padding), np.pad(targets, padding)
    state, found = model.start(params, (rows,)), []
    for start in range(0, time, chunk):
        part = slice(start, start + chunk)
        state, nats = _read(model, params, state, inputs[:, part], targets[:, part])
        found.append(np.asarray(nats, np.float64))
    return np.concatenate(found, 1)[:, :time]


def nats_by_window(
    model: LanguageModel, params: Params, inputs: np.ndarray, targets: np.ndarray, window: int
) -> np.ndarray:
    """Computes the nats of each target where every window is read from the initial state.

    Args:
      model: the network.
      params: its parameters.
      inputs: a text, `[tokens]`.
      targets: the token after each, `[tokens]`.
      window: tokens of a window.

    Returns:
      float64 `[tokens]`.
    """
    count = len(inputs)
    rows = min(ROWS, max(1, SCORES // (window * model.vocab_size)))
    padding = -count % (window * rows)
    found = []
    for batch in zip(
        np.pad(inputs, (0, padding)).reshape(-1, rows, window),
        np.pad(targets, (0, padding)).reshape(-1, rows, window),
        strict=True,
    ):
        found.append(nats_carried(model, params, *batch, window))
    return np.concatenate(found).reshape(-1)[:count]


@functools.partial(jax.jit, static_argnums=0)
def _read(
    model: LanguageModel, params: Params, state: State, inputs: Any, targets: Any
) -> tuple[State, jax.Array]:
    """The state after the inputs, and the nats of the targets `[rows, time]`."""
    found: Any = model.apply({"params": params}, inputs, state)
    state, logits = found
    return state, optax.softmax_cross_entropy_with_integer_labels(logits, targets)
