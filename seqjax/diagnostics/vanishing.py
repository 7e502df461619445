"""How fast a gradient vanishes or explodes: its slope over time, beside what the Jacobians of the steps say.

found = measure_vanishing(seqjax.LSTM(32), params, xs, direction)
found.slope, found.exponent
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from seqjax.diagnostics.flow import gradient_flow
from seqjax.diagnostics.gates import GateStatistics, gate_statistics
from seqjax.diagnostics.plots import LEAST
from seqjax.diagnostics.spectrum import Spectrum, jacobian_spectrum
from seqjax.recurrence import Recurrence
from seqjax.typing import Params


class Vanishing(NamedTuple):
    """What becomes of the gradient of a loss that looks at the last step alone.

    Attributes:
      norms: of the gradient by the whole state after each step, the geometric mean over the rows,
        `[time]`.
      spectrum: of the Jacobians along the first row.
      gates: how the gates behaved, by name.
    """

    norms: Float[np.ndarray, " time"]
    spectrum: Spectrum
    gates: dict[str, GateStatistics]

    @property
    def slope(self) -> float:
        """Growth of the gradient's logarithm for each step back in time, by least squares."""
        steps_back = np.arange(len(self.norms))[::-1]
        return float(np.polyfit(steps_back, np.log(self.norms), 1)[0])

    @property
    def exponent(self) -> float:
        """The largest Lyapunov exponent, which the slope follows over a long time."""
        return float(self.spectrum.exponents[0])

    @property
    def bound(self) -> float:
        """The mean logarithm of each step's largest singular value; no gradient grows faster."""
        return float(np.log(self.spectrum.steps[:, 0]).mean())

    @property
    def share_left(self) -> float:
        """The norm at the first step by that at the last."""
        logs = np.log(self.norms)
        return float(np.exp(logs[0] - logs[-1]))

    def summary(self) -> dict[str, float]:
        """Lists the figures by what they are called in a table."""
        return {
            "slope measured": self.slope,
            "Lyapunov exponent": self.exponent,
            "bound: mean log of the largest singular value": self.bound,
            "|dL/dh_1| / |dL/dh_T|": self.share_left,
        }


def measure_vanishing(
    recurrence: Recurrence, params: Params, xs: ArrayLike, direction: ArrayLike
) -> Vanishing:
    """Measures the gradient of the last output in one direction, over time.

    Args:
      recurrence: any causal one; dropout is off.
      params: its parameters.
      xs: inputs, `[rows, time, features]`.
      direction: what the last output is multiplied by, `[output_size]`; the loss is the mean over
        the rows.

    Returns:
      A `Vanishing`, with arrays of NumPy.

    Example:
      >>> import jax, seqjax
      >>> elman = seqjax.Elman(4)
      >>> params = elman.init(jax.random.key(0), 3)
      >>> xs = jax.random.normal(jax.random.key(1), (2, 20, 3))
      >>> found = measure_vanishing(elman, params, xs, jax.numpy.ones(4))
      >>> found.norms.shape, found.slope < 0
      ((20,), True)
    """
    norms, spectrum, gates = jax.device_get(_measure(recurrence, params, xs, direction))
    # A norm of zero has no logarithm.
    logs = np.log(np.maximum(norms, LEAST))
    return Vanishing(np.exp(logs.mean(1)), spectrum, gates)


@functools.partial(jax.jit, static_argnums=0)
def _measure(
    recurrence: Recurrence, params: Params, xs: jax.Array, direction: jax.Array
) -> tuple[jax.Array, Spectrum, dict[str, GateStatistics]]:
    """Computes the norms `[time, rows]`, the spectrum along the first row, and the gates."""

    def loss(ys: jax.Array) -> jax.Array:
        return (ys[:, -1] @ direction).mean()

    flow = gradient_flow(recurrence, params, xs, loss)
    # The parts of a state, such as h and c, count as one vector.
    squares = [jnp.square(norms) for norms in flow.values()]
    whole = jnp.sqrt(sum(squares))
    spectrum = jacobian_spectrum(recurrence, params, xs[0])
    return whole, spectrum, gate_statistics(recurrence, params, xs)
