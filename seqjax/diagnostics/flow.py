"""Gradients and states along time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact

from seqjax.diagnostics.observe import by_name, observe, states, zero_probes
from seqjax.recurrence import Recurrence
from seqjax.typing import Params, State

Flow = dict[str, Float[Array, "time *batch"]]
"""A norm for each time step and row, by the name of the state."""

Traces = dict[str, Inexact[Array, "time *batch units"]]
"""An array of a state's shape for each time step, by the name of the state."""


def gradient_flow(
    recurrence: Recurrence,
    params: Params,
    xs: ArrayLike,
    loss_of_outputs: Callable[[jax.Array], jax.Array],
    lengths: ArrayLike | None = None,
) -> Flow:
    """Computes how strongly the loss depends on each step's state: `|dL/dh_t|`, `|dL/dc_t|`.

    Exact and from one backward pass: a probe that is zero is added to each state after each step,
    and the loss is differentiated by the probes. The parts of a state are independent of each other
    here, as they are for the next
    step: `dL/dc_t` holds h_t fixed.

    Args:
      recurrence: any, combinators included; dropout is off. Of a recurrence that is not one of
        seqjax's cells, only what flows through later steps is seen, not what the output of step t
        itself takes from its state.
      params: its parameters.
      xs: inputs, `[*batch, time, features]`.
      loss_of_outputs: a scalar function of the outputs `[*batch, time, output_size]`.
      lengths: valid steps of each row, `[*batch]`; past them the gradient is zero.

    Returns:
      The norm over a state's units for each step and row, `[time, *batch]`, by the state's name,
      such as `layer_0/c`.

    Example:
      >>> import jax, seqjax
      >>> from seqjax.diagnostics import gradient_flow
      >>> net = seqjax.stack(seqjax.LSTM(8), seqjax.GRU(8))
      >>> params = net.init(jax.random.key(0), 3)
      >>> flow = gradient_flow(net, params, jax.numpy.ones((20, 3)), lambda ys: ys[-1].sum())
      >>> sorted(flow), flow["layer_0/c"].shape
      (['layer_0/c', 'layer_0/h', 'layer_1/h'], (20,))
    """
    gradients = state_gradients(recurrence, params, xs, loss_of_outputs, lengths)
    return {name: jnp.linalg.norm(g, axis=-1) for name, g in gradients.items()}


def state_gradients(
    recurrence: Recurrence,
    params: Params,
    xs: ArrayLike,
    loss_of_outputs: Callable[[jax.Array], jax.Array],
    lengths: ArrayLike | None = None,
) -> Traces:
    """Computes the gradients that `gradient_flow` takes the norms of, unit by unit.

    Args:
      recurrence: see `gradient_flow`.
      params: its parameters.
      xs: inputs, `[*batch, time, features]`.
      loss_of_outputs: a scalar function of the outputs.
      lengths: valid steps of each row, `[*batch]`.

    Returns:
      `dL/dstate_t`, `[time, *batch, units]`, by the state's name; complex where the state is.
    """

    def loss(probes: State) -> Array:
        return loss_of_outputs(observe(recurrence, params, xs, lengths, probes)[1])

    zeros = zero_probes(recurrence, params, jnp.moveaxis(jnp.asarray(xs), -2, 0))
    return by_name(jax.grad(loss)(zeros))


def hidden_traces(
    recurrence: Recurrence, params: Params, xs: ArrayLike, lengths: ArrayLike | None = None
) -> Traces:
    """Returns every state after every step.

    Args:
      recurrence: any; dropout is off.
      params: its parameters.
      xs: inputs, `[*batch, time, features]`.
      lengths: valid steps of each row, `[*batch]`; past them the state is held.

    Returns:
      `[time, *batch, units]` by the state's name, such as `layer_0/h`.
    """
    return by_name(states(observe(recurrence, params, xs, lengths)[0]))
