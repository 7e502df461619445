"""Pictures of one network at work: its gates, its states and its gradients, unit by unit."""

from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from seqjax.diagnostics.flow import hidden_traces, state_gradients
from seqjax.diagnostics.gates import gate_activations
from seqjax.diagnostics.plots import plot_heat_maps, plot_histograms
from seqjax.recurrence import Recurrence
from seqjax.typing import Params


def plot_portrait(
    recurrence: Recurrence, params: Params, xs: ArrayLike, direction: ArrayLike, title: str = ""
) -> dict[str, Any]:
    """Draws what a network does on one row.

    Args:
      recurrence: one that has gates; dropout is off.
      params: its parameters.
      xs: the row, `[time, features]`.
      direction: what the last output is multiplied by, `[output_size]`, which is the loss whose
        gradients are drawn.
      title: over the first picture.

    Returns:
      Matplotlib figures by name: `gates`, every gate and state over time; `gate_histograms`;
      `gradient_histograms`, of the gradients by the states.

    Raises:
      ValueError: the recurrence has no gates.
    """

    def loss(ys: jax.Array) -> jax.Array:
        return ys[-1] @ direction

    gates = gate_activations(recurrence, params, xs)
    if not gates:
        raise ValueError(f"{recurrence} has no gates; give one that has, such as an LSTM")
    gates = {f"{name} gate": np.asarray(values) for name, values in gates.items()}
    traces = hidden_traces(recurrence, params, xs)
    states = {f"state {name}": np.asarray(values) for name, values in traces.items()}
    gradients = {}
    for name, values in state_gradients(recurrence, params, xs, loss).items():
        gradients[f"dL/d{name}"] = np.asarray(values)
    return {
        "gates": plot_heat_maps(gates | states, title),
        "gate_histograms": plot_histograms(gates, "Gates over all steps"),
        "gradient_histograms": plot_histograms(gradients, "Gradients over all steps", log=True),
    }
