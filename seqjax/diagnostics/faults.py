"""Where a number that is not finite came from."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from seqjax.diagnostics.flow import state_gradients
from seqjax.diagnostics.observe import by_name, observe, states, valid_steps
from seqjax.recurrence import Recurrence
from seqjax.typing import Params
from seqjax.unrolling import unroll


@dataclasses.dataclass(frozen=True)
class Fault:
    """The first quantity that was not finite, in the order of computation.

    Attributes:
      quantity: `"parameter"`, `"input"`, `"state"`, `"output"`, `"loss"` or `"gradient"` (of the
        loss by the state or a parameter).
      name: of the state or parameter, such as `layer_1/c`; empty for inputs, outputs and the loss.
      step: the time step, from 0; None where time has no part in it.
      row: its place in the batch; None where there is no batch.
      value: NaN, inf or -inf.
    """

    quantity: str
    name: str
    step: int | None
    row: tuple[int, ...] | None
    value: float

    def __str__(self) -> str:
        at = "" if self.step is None else f"step {self.step}: "
        name = f" {self.name}" if self.name else ""
        row = f" of row {', '.join(map(str, self.row))}" if self.row else ""
        return f"{at}{self.quantity}{name}{row} is {self.value}"


def which_step(
    recurrence: Recurrence,
    params: Params,
    xs: ArrayLike,
    loss_of_outputs: Callable[[jax.Array], jax.Array] | None = None,
    lengths: ArrayLike | None = None,
) -> Fault | None:
    """Finds the first quantity that is not finite: of the parameters, the inputs, the way forward, or the way back.

    Forward is judged in the order of time, and layer after layer within a step (for a recurrence
    that reads the future layer after layer, for there each one reads all that the one below wrote).
    A gradient goes wrong on the way back, so there the latest step of the last layer is the first,
    and the parameters, which sum over all steps, come last.

    Args:
      recurrence: any, combinators included; dropout is off.
      params: its parameters.
      xs: inputs, `[*batch, time, features]`.
      loss_of_outputs: a scalar function of the outputs; None to look at the way forward alone.
      lengths: valid steps of each row, `[*batch]`; what stands in the padding is not looked at.

    Returns:
      The `Fault`, or None where everything is finite. It prints as
      `step 37: state layer_1/c of row 2 is inf`.
    """
    if fault := _first_of_params("parameter", params):
        return fault
    xs = jnp.moveaxis(jnp.asarray(xs), -2, 0)
    if lengths is not None:
        valid = valid_steps(len(xs), jnp.asarray(lengths))
        xs = jnp.where(valid[..., None], xs, 0)
    batch_major = jnp.moveaxis(xs, 0, -2)
    seen, ys = observe(recurrence, params, batch_major, lengths)
    forward = [("input", "", xs)]
    forward += [("state", name, leaf) for name, leaf in by_name(states(seen)).items()]
    forward += [("output", "", jnp.moveaxis(ys, -2, 0))]
    fault = _first(forward, by_time=recurrence.causal)
    if fault is not None or loss_of_outputs is None:
        return fault
    loss = loss_of_outputs(ys)
    if not jnp.isfinite(loss):
        return Fault("loss", "", None, None, float(loss))
    gradients = state_gradients(recurrence, params, batch_major, loss_of_outputs, lengths)
    backward = [("gradient", name, leaf) for name, leaf in reversed(gradients.items())]
    fault = _first(backward, by_time=recurrence.causal, backwards=True)
    if fault is not None:
        return fault
    loss_of_params = lambda params: loss_of_outputs(  # noqa: E731
        unroll(recurrence, params, batch_major, lengths=lengths)[1]
    )
    return _first_of_params("gradient", jax.grad(loss_of_params)(params))


def _first_of_params(quantity: str, params: Params) -> Fault | None:
    for path, leaf in jax.tree.leaves_with_path(params):
        if not jnp.isfinite(leaf).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            return Fault(quantity, name, None, None, _first_bad(leaf))
    return None


def _first(
    quantities: list[tuple[str, str, Any]], by_time: bool, backwards: bool = False
) -> Fault | None:
    """The first fault among arrays `[time, *batch, units]`, given in the order of their computation."""
    faults = []
    for order, (quantity, name, leaf) in enumerate(quantities):
        bad = ~np.isfinite(np.asarray(leaf))
        steps = np.flatnonzero(bad.any(axis=tuple(range(1, bad.ndim))))
        if len(steps) == 0:
            continue
        late = backwards != ("backward" in name.split("/"))
        step = int(steps[-1] if late else steps[0])
        row = tuple(int(i) for i in np.argwhere(bad[step].any(-1))[0]) or None
        rank = (-step if backwards else step, order) if by_time else (order,)
        faults.append((rank, Fault(quantity, name, step, row, _first_bad(leaf[step]))))
    return min(faults, key=lambda pair: pair[0])[1] if faults else None


def _first_bad(leaf: Any) -> float:
    values = np.asarray(leaf).reshape(-1)
    bad = values[~np.isfinite(values)][0]
    return float(bad.real if np.isfinite(bad.imag) else bad.imag)
