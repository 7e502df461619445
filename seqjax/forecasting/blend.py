"""A weighted mean of forecasters."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from seqjax.forecasting.columns import Columns
from seqjax.forecasting.forecast import LEVELS, Forecast
from seqjax.forecasting.form import Form
from seqjax.forecasting.interface import Forecaster
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.windows import PanelWindows
from seqjax.typing import KeyArray, Params


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Blend(Forecaster):
    """Forecasts the weighted means of what its members say: of their means, and of each quantile.

    A member that says a point alone says it at every level.

    Attributes:
      members: forecasters of the same horizon.
      weights: of each member; they sum to 1.
      context: steps whose deviation is the scale of intervals; None for those of the member that
        looks back furthest.
      form: of the panels that were learnt; None where any will do.
      tried: of `seqjax.forecasting.auto`: each candidate, its error on the values that chose, and
        its weight, the best first.
    """

    members: tuple[Forecaster, ...]
    weights: tuple[float, ...]
    context: int | None = None
    form: Form | None = None
    tried: tuple[tuple[str, float, float], ...] = ()

    name: ClassVar[str] = "blend"

    def __post_init__(self) -> None:
        if not self.members or len(self.members) != len(self.weights):
            raise ValueError(
                f"{len(self.members)} members have {len(self.weights)} weights; give one to each"
            )
        for member in self.members:
            if member.horizon != self.horizon:
                raise ValueError(
                    f"{member} forecasts {member.horizon} steps, the blend {self.horizon}; "
                    "give members of one horizon"
                )

    def __repr__(self) -> str:
        parts = [
            f"{weight:.2g} {member!r}"
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        return f"Blend({' + '.join(parts)})"

    @property
    def columns(self) -> Columns | None:
        """The columns of the table that was learnt; None where there was none."""
        return None if self.form is None else self.form.columns

    def read(self, table: str | os.PathLike, **columns: Any) -> Panel:
        """Reads a table to forecast, see `Forecaster.read`; it is of the step that was learnt."""
        panel = super().read(table, **columns)
        if self.form is None:
            return panel
        try:
            return self.form.aligned(panel)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters of every member, by `member_0` and so on."""
        keys = jax.random.split(key, len(self.members))
        return slots([member.init(keys[place]) for place, member in enumerate(self.members)])

    def windows(self, panel: Panel) -> PanelWindows:
        """Makes windows whose scale is steady: of `context`, else of the member that looks back furthest."""
        if self.context is not None:
            return PanelWindows(panel.bare(), self.context, self.horizon, scaling="standard")
        found = [member.windows(panel) for member in self.members]
        return max(found, key=lambda windows: windows.context)

    def predict_at(
        self, params: Params, panel: Panel, series: np.ndarray, cuts: np.ndarray, *, seed: int = 0
    ) -> Forecast:
        """Forecasts these series at these cuts, each `[rows]`, see `Forecaster.predict_at`."""
        parts = [
            member.predict_at(own, panel, series, cuts, seed=seed)
            for member, own in self.parts(params)
        ]
        return weighted_mean(parts, self.weights)

    def parts(self, params: Params) -> list[tuple[Forecaster, Params]]:
        """Lists each member with its parameters; a file holds nothing of one that has none."""
        found = enumerate(self.members)
        return [(member, params.get(_slot(place), {})) for place, member in found]


def weighted_mean(parts: list[Forecast], weights: tuple[float, ...]) -> Forecast:
    """Averages forecasts of the same rows, by their means and level by level."""
    first = parts[0]
    levels = LEVELS if any(part.spread for part in parts) else first.levels
    mean = np.zeros_like(first.mean)
    quantiles = np.zeros((*first.mean.shape, len(levels)))
    for part, weight in zip(parts, weights, strict=True):
        mean = mean + weight * part.mean
        if part.spread:
            found = np.stack([part.quantile(level) for level in levels], axis=-1)
        else:
            found = part.median[..., None]
        quantiles = quantiles + weight * found
    return Forecast(mean, quantiles, levels, series=first.series, cuts=first.cuts)


def slots(parts: Sequence[Params]) -> Params:
    """Lays the parameters of members side by side, as a `Blend` takes them."""
    return {_slot(place): params for place, params in enumerate(parts)}


def _slot(place: int) -> str:
    return f"member_{place}"
