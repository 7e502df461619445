"""Conformal intervals around any forecaster (Vovk et al., 2005; Romano et al., 2019)."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.interface import Fitted
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.scores import truth
from seqjax.forecasting.windows import PanelWindows
from seqjax.typing import KeyArray


def conformal(
    fitted: Fitted, panel: Panel, ago: Iterable[int], shares: Sequence[float] = (0.5, 0.9)
) -> "Conformal":
    """Measures how far a forecaster's intervals miss, and moves their ends by as much (Romano et al., 2019).

    For each step of the horizon and each share the misses are

        e = max(low - y, y - high) / scale

    of forecasts that the forecaster has not learnt from; its new intervals are
    `[low - m scale, high + m scale]`, m the `ceil((n + 1) share)`-th smallest of n misses. They
    hold their share of new values, whatever the forecaster, as far as the new windows are like
    those. A point forecast counts as an interval without width.

    Args:
      fitted: any forecaster.
      panel: series whose values after the cuts were not learnt.
      ago: steps before their end at which to cut them.
      shares: of the values that the intervals are to hold.

    Returns:
      A forecaster like it, with the quantiles of those intervals and the median.

    Raises:
      ValueError: there are too few forecasts for a share (how many it wants).

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
    forecast = fitted.predict(panel, ago)
    scale = fitted.windows(panel).at(forecast.series, forecast.cuts)["scale"][:, None]
    y = truth(panel, forecast)
    margins = []
    for share in sorted(shares):
        low, high = _ends(forecast, share)
        margins.append(_margins(np.maximum(low - y, y - high) / scale, share))
    return Conformal(fitted, tuple(sorted(shares)), np.stack(margins))


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


@dataclasses.dataclass(frozen=True, eq=False)
class Conformal(Fitted):
    """A forecaster whose intervals are moved by what they used to miss by.

    Attributes:
      fitted: the forecaster.
      shares: of the intervals, ascending.
      margins: how far each interval's ends move, in units of a window's scale, `[shares, horizon]`.
    """

    fitted: Fitted
    shares: tuple[float, ...]
    margins: np.ndarray

    @property
    def horizon(self) -> int:
        """The forecaster's."""
        return self.fitted.horizon

    def windows(self, panel: Panel) -> PanelWindows:
        """What the forecaster looks at."""
        return self.fitted.windows(panel)

    def forecast(self, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """The forecaster's median within the moved ends."""
        forecast = self.fitted.forecast(batch, key)
        lows, highs = [], []
        low = high = forecast.median
        for share, margin in zip(self.shares, self.margins, strict=True):
            # A wider interval holds every narrower one.
            ends, move = _ends(forecast, share), margin * batch["scale"][:, None]
            low, high = np.minimum(low, ends[0] - move), np.maximum(high, ends[1] + move)
            lows.append(low)
            highs.append(high)
        quantiles = np.stack([*lows[::-1], forecast.median, *highs], axis=-1)
        below = tuple(round((1 - share) / 2, 9) for share in self.shares[::-1])
        levels = (*below, 0.5, *(round(1 - level, 9) for level in below[::-1]))
        return Forecast(forecast.mean, quantiles, levels)
