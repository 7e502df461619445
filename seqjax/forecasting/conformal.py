"""Conformal intervals around any forecaster (Vovk et al., 2005; Romano et al., 2019)."""

import dataclasses
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

from seqjax.forecasting.columns import Columns
from seqjax.forecasting.forecast import SHARES, Forecast
from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.interface import Forecaster
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.report import CONFORMAL, write_report
from seqjax.forecasting.scores import truth
from seqjax.forecasting.windows import PanelWindows
from seqjax.tasks import Report, Trained
from seqjax.typing import KeyArray, Params


def conformal(
    trained: Trained, panel: Panel, ago: Iterable[int], shares: Sequence[float] = (0.5, 0.9)
) -> Trained:
    """Measures how far a forecaster's intervals miss, and moves their ends by as much (Romano et al., 2019).

    For each step of the horizon and each share the misses are

        e = max(low - y, y - high) / scale

    of forecasts that the forecaster has not learnt from; its new intervals are
    `[low - m scale, high + m scale]`, m the `ceil((n + 1) share)`-th smallest of n misses. They
    hold their share of new values, whatever the forecaster, as far as the new windows are like
    those. A point forecast counts as an interval without width.

    Args:
      trained: any forecaster.
      panel: series whose values after the cuts were not learnt.
      ago: steps before their end at which to cut them.
      shares: of the values that the intervals are to hold, each between 0 and 1.

    Returns:
      A trained `Conformal`: it forecasts the quantiles of those intervals and the median.

    Raises:
      ValueError: there are too few forecasts for a share (how many it wants), or a share is not
        between 0 and 1, or comes twice.

    Example:
      >>> import numpy as np
      >>> from seqjax.forecasting import Panel
      >>> from seqjax.forecasting import SeasonalNaive, conformal
      >>> panel = Panel([np.random.default_rng(0).normal(size=200).cumsum()])
      >>> naive = SeasonalNaive(horizon=2, season=1).fit(panel)
      >>> forecast = conformal(naive, panel, ago=range(2, 100)).predict(panel)
      >>> forecast.levels
      (0.05, 0.25, 0.5, 0.75, 0.95)
    """
    task, shares = trained.task, sorted(float(share) for share in shares)
    if not all(0 < share < 1 for share in shares) or len(set(shares)) < max(1, len(shares)):
        raise ValueError(f"shares are {shares}; give different ones between 0 and 1, such as 0.9")
    forecast = trained.predict(panel, ago=ago)
    scale = task.sizes(panel, forecast.series, forecast.cuts)
    y = truth(panel, forecast)
    margins = []
    for share in shares:
        low, high = _ends(forecast, share)
        margin = _margins(np.maximum(low - y, y - high) / scale[:, None], share)
        margins.append(tuple(margin.tolist()))
    made = Conformal(
        horizon=task.horizon,
        forecaster=task,
        shares=tuple(shares),
        margins=tuple(margins),
    )
    return Trained(made, trained.params)


def calibrated(trained: Trained, held_out: HeldOut) -> Trained:
    """Puts conformal intervals of all `SHARES` around a forecaster.

    Where there are too few forecasts to calibrate by it stays as it is, and a warning tells.

    Args:
      trained: any forecaster.
      held_out: values that were not learnt.
    """
    try:
        return conformal(trained, held_out.panel, held_out.ago, SHARES)
    except ValueError as reason:
        warnings.warn(f"no conformal intervals: {reason}", stacklevel=2)
        return trained


def _margins(misses: np.ndarray, share: float) -> np.ndarray:
    """Of each column the `ceil((n + 1) share)`-th smallest of its n misses that are there."""
    counts = np.isfinite(misses).sum(0)
    ranks = np.ceil((counts + 1) * share - 1e-9).astype(int)
    if (ranks > counts).any():
        step, wanted = int((ranks > counts).argmax()), int(np.ceil(share / (1 - share) - 1e-9))
        raise ValueError(
            f"{counts[step]} values came at step {step + 1} of the horizon; {share:.0%} wants {wanted}"
        )
    return np.take_along_axis(np.sort(misses, axis=0), ranks[None] - 1, axis=0)[0]


def _ends(forecast: Forecast, share: float) -> tuple[np.ndarray, np.ndarray]:
    return forecast.interval(share) if forecast.spread else (forecast.median, forecast.median)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Conformal(Forecaster):
    """A forecaster whose intervals are moved by what they used to miss by, see `conformal`.

    Attributes:
      forecaster: whose parameters these are.
      shares: of the intervals, ascending.
      margins: of each share and each step of the horizon how far the ends move, in units of a
        window's scale.
    """

    forecaster: Forecaster
    shares: tuple[float, ...]
    margins: tuple[tuple[float, ...], ...]

    name: ClassVar[str] = CONFORMAL

    def __repr__(self) -> str:
        return (
            f"Conformal({self.forecaster!r}, {', '.join(f'{share:.0%}' for share in self.shares)})"
        )

    @property
    def columns(self) -> Columns | None:
        """The columns of the table that the forecaster learnt."""
        return self.forecaster.columns

    def read(self, table: str | os.PathLike, **columns: Any) -> Panel:
        """Reads a table as the forecaster does."""
        return self.forecaster.read(table, **columns)

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters of the forecaster."""
        return self.forecaster.init(key)

    def batches(self, examples: Any, **options: Any) -> Any:
        """Makes the forecaster's batches."""
        return self.forecaster.batches(examples, **options)

    def loss(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> tuple[jax.Array, Any]:
        """Computes the forecaster's loss."""
        return self.forecaster.loss(params, batch, rng, step)

    def windows(self, panel: Panel) -> PanelWindows:
        """Makes the windows that the forecaster looks at."""
        return self.forecaster.windows(panel)

    def report(
        self, params: Params, examples: Panel | HeldOut, folder: str | os.PathLike
    ) -> Report:
        """Scores the forecaster, see `Forecaster.report`; predictions are within the intervals."""
        held_out = HeldOut.of(examples, self.horizon)
        own = {task.name: Trained(task, params) for task in (self.forecaster, self)}
        return write_report(Path(folder), held_out, own)

    def predict_at(
        self, params: Params, panel: Panel, series: np.ndarray, cuts: np.ndarray, *, seed: int = 0
    ) -> Forecast:
        """Forecasts the forecaster's median within the moved ends, see `Forecaster.predict_at`."""
        forecast = self.forecaster.predict_at(params, panel, series, cuts, seed=seed)
        sizes = self.forecaster.sizes(panel, series, cuts)[:, None]
        lows, highs = [], []
        low = high = forecast.median
        for share, margin in zip(self.shares, self.margins, strict=True):
            # A wider interval holds every narrower one.
            ends, move = _ends(forecast, share), np.asarray(margin)[None, :] * sizes
            low, high = np.minimum(low, ends[0] - move), np.maximum(high, ends[1] + move)
            lows.append(low)
            highs.append(high)
        quantiles = np.stack([*lows[::-1], forecast.median, *highs], axis=-1)
        below = tuple(round((1 - share) / 2, 9) for share in self.shares[::-1])
        levels = (*below, 0.5, *(round(1 - level, 9) for level in below[::-1]))
        return Forecast(
            forecast.mean, quantiles, levels, series=forecast.series, cuts=forecast.cuts
        )
