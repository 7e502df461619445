"""What the gates of a network do: how often they are open or shut, how long the memory lasts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from seqjax.cells import GRU, LSTM
from seqjax.cells.gates import layer_norm, product
from seqjax.cells.linear import LinearCell
from seqjax.combinators import Zoneout
from seqjax.diagnostics.observe import Sighting, observe, sightings, valid_steps
from seqjax.recurrence import Recurrence, spread, state_dtype
from seqjax.typing import Params

OPEN, SHUT = 0.9, 0.1
"""Beyond these a gate counts as open or as shut (Karpathy et al., 2015)."""

KEEPERS = ("forget", "update", "decay")
"""The gates that multiply what is remembered."""


class GateStatistics(NamedTuple):
    """Tells how one gate of one layer behaved over all valid steps and rows.

    Attributes:
      mean: of its activation.
      open: share of activations above 0.9.
      shut: share below 0.1.
      saturated: share of both, where hardly any gradient passes into the gate.
      half_life: of each unit, the steps after which half of what was remembered is left, `[units]`;
        of gates that do not multiply the memory NaN.
    """

    mean: Float[Array, ""]
    open: Float[Array, ""]
    shut: Float[Array, ""]
    saturated: Float[Array, ""]
    half_life: Float[Array, " units"]

    def summary(self) -> dict[str, float | str]:
        """Lists the figures by what they are called in a table.

        Of the half-life it is the median over the units; a dash where a gate does not multiply the
        memory.
        """
        half_life: float | str = float(np.median(self.half_life))
        if np.isnan(half_life):
            half_life = "-"
        return {
            "mean": float(self.mean),
            "open": float(self.open),
            "shut": float(self.shut),
            "saturated": float(self.saturated),
            "median half-life in steps": half_life,
        }


def gate_activations(
    recurrence: Recurrence, params: Params, xs: ArrayLike, lengths: ArrayLike | None = None
) -> dict[str, Float[Array, "time *batch units"]]:
    """Computes the gates at every step.

    An LSTM has `input`, `forget` and `output`; a GRU `reset` and `update` (the share that stays, z
    in `h' = (1 - z) n + z h`); a linear cell has `decay`, the modulus of what multiplies its state.
    Other parts have none.

    Args:
      recurrence: any, combinators included; dropout is off.
      params: its parameters.
      xs: inputs, `[*batch, time, features]`.
      lengths: valid steps of each row, `[*batch]`.

    Returns:
      `[time, *batch, units]` by name, such as `layer_0/forget`.
    """
    activations = {}
    for place, sighting in sightings(observe(recurrence, params, xs, lengths)[0]).items():
        for gate, values in _gates(sighting).items():
            activations["/".join(filter(None, (place, gate)))] = values
    return activations


def gate_statistics(
    recurrence: Recurrence, params: Params, xs: ArrayLike, lengths: ArrayLike | None = None
) -> dict[str, GateStatistics]:
    """Computes shares of open, shut and saturated gates, and how long the memory lasts.

    The half-life of a unit is `log 2 / -mean(log f)`, f being its forget gate (`update` of a GRU,
    `decay` of a linear cell) over valid steps and rows: infinite where it never closes. Where no
    step is valid all is NaN.

    Args:
      recurrence: any, combinators included; dropout is off.
      params: its parameters.
      xs: inputs, `[*batch, time, features]`.
      lengths: valid steps of each row, `[*batch]`.

    Returns:
      `GateStatistics` by name, such as `layer_0/forget`.
    """
    time = jnp.shape(xs)[-2]
    rows = jnp.full(jnp.shape(xs)[:-2], time) if lengths is None else lengths
    # [time, *batch, 1]
    valid = valid_steps(time, jnp.asarray(rows, jnp.int32))[..., None]
    statistics = {}
    for name, values in gate_activations(recurrence, params, xs, lengths).items():
        keeps = name.rsplit("/")[-1] in KEEPERS
        statistics[name] = _statistics(values, valid, keeps)
    return statistics


def _statistics(
    values: Float[Array, "time *batch units"], valid: Bool[Array, "time *batch 1"], keeps: bool
) -> GateStatistics:
    rows = tuple(range(values.ndim - 1))
    count = valid.sum()

    def by_unit(a: Array) -> Array:
        """Means over the valid steps and rows, `[units]`."""
        return jnp.where(valid, a, 0).sum(rows) / count

    def share(a: Array) -> Array:
        return by_unit(a.astype(values.dtype)).mean()

    is_open, is_shut = share(values > OPEN), share(values < SHUT)
    tiny = jnp.finfo(values.dtype).tiny
    # The mean of log f, [units]; its absolute value, for 0 has no sign.
    decay = jnp.abs(by_unit(jnp.log(jnp.maximum(values, tiny))))
    half_life = jnp.log(2.0) / decay
    if not keeps:
        half_life = jnp.full_like(half_life, jnp.nan)
    return GateStatistics(by_unit(values).mean(), is_open, is_shut, is_open + is_shut, half_life)


def _gates(sighting: Sighting) -> dict[str, jax.Array]:
    part = sighting.part
    cell = part.inner if isinstance(part, Zoneout) else part
    if isinstance(cell, LSTM):
        return _lstm(cell, sighting)
    if isinstance(cell, GRU):
        return _gru(cell, sighting)
    if isinstance(cell, LinearCell):
        decay = jnp.abs(cell.coefficients(sighting.params, sighting.xs)[0])
        return {"decay": jnp.broadcast_to(decay, (*sighting.xs.shape[:-1], decay.shape[-1]))}
    return {}


def _lstm(cell: LSTM, sighting: Sighting) -> dict[str, jax.Array]:
    p, (h, c), c_next = sighting.params, sighting.before, sighting.after.c
    a = _sum_of_products(cell, p, sighting.xs, h, p["b"].shape[0])
    peephole: Any = (0, 0, 0)
    if cell.peephole:
        parts = jnp.split(p["w_p"], 2 if cell.coupled else 3)
        peephole = [spread(part, c) for part in parts]
    if cell.coupled:
        f, _, o = jnp.split(a, 3, axis=-1)
        forget = sigmoid(f + peephole[0] * c)
        return {"input": 1 - forget, "forget": forget, "output": sigmoid(o + peephole[-1] * c_next)}
    # Each [time, *batch, hidden].
    i, f, _, o = jnp.split(a, 4, axis=-1)
    gates = {
        "input": i + peephole[0] * c,
        "forget": f + peephole[1] * c,
        "output": o + peephole[2] * c_next,
    }
    return jax.tree.map(sigmoid, gates)


def _gru(cell: GRU, sighting: Sighting) -> dict[str, jax.Array]:
    a = _sum_of_products(cell, sighting.params, sighting.xs, sighting.before, 2 * cell.hidden_size)
    reset, update = jnp.split(sigmoid(a), 2, axis=-1)
    return {"reset": reset, "update": update}


def _sum_of_products(cell: Any, p: Params, x: Array, h: Array, gates: int) -> Array:
    """Computes `x W_x + h W_h + b` of the first `gates` columns, normalised like the cell's."""
    wide = state_dtype(x.dtype)
    from_x, from_h = product(x, p["w_x"][:, :gates], wide), product(h, p["w_h"][:, :gates], wide)
    if cell.layer_norm:
        from_x = layer_norm(from_x, p["ln_x"][:gates])
        from_h = layer_norm(from_h, p["ln_h"][:gates])
    return from_x + from_h + spread(p["b"][:gates], from_x)
