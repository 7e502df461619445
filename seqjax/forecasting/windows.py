"""Windows over a panel: what a forecaster may look at, and what came then."""

import functools
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from seqjax.data.windows import Source
from seqjax.forecasting.panel import PLAIN, Panel, Units

Scaling = Literal["none", "mean", "standard", "robust", "last"]

SCALINGS: tuple[str, ...] = get_args(Scaling)
"""How a window may be centred and scaled, see `scales`."""

TIMES = 4
"""How often a window of a series of median size comes where larger series come more often."""


class PanelWindows(Source):
    """Every window of every series: some history, a context, and the horizon after it.

    A window is cut at a step: what comes before may be looked at, what comes after is to be
    forecast. Each is centred and scaled by its own context alone, so that nothing of the future
    leaks into it. What is missing, and what would lie before a series' first value, is 0 and not
    `seen`. A series too short for a whole context is read from its beginning.

    A record, or with a leading axis of rows what `gather` gives, is a dict of

        values    float32 [history + context + horizon], minus `loc`, in the series' unit
        seen      bool, of the same shape
        features  float32 [context + horizon, features], known beforehand: calendar, covariates
        past      float32 [context + horizon, past], known only afterwards: 0 from the cut on
        category  int32 [kinds]
        loc, scale  float32

    Args:
      panel: the series.
      context: steps that a network reads.
      horizon: steps to forecast.
      history: steps before the context that lagged values come from: the largest lag.
      scaling: what `loc` and `scale` are, see `scales`.
      stride: steps between two cuts of a series.
      power: oversampling exponent: larger series are drawn more often. A window comes about
        `(mean |y| / the median series' mean |y|)` to this power times `TIMES`, at least once
        (Salinas et al., 2017, section 3.3); 0 takes each window once.
      units: `(loc, scale)`, numbers or one for each series: values are read minus loc, over scale,
        before all else.

    Raises:
      ValueError: a number is out of range, the scaling is unknown, or no series is long enough (how
        long it should be).
    """

    def __init__(
        self,
        panel: Panel,
        context: int,
        horizon: int,
        history: int = 0,
        scaling: Scaling = "mean",
        stride: int = 1,
        power: float = 0.0,
        units: Units = PLAIN,
    ):
        if min(context, horizon, stride) < 1 or history < 0:
            given = f"context={context}, horizon={horizon}, history={history}, stride={stride}"
            raise ValueError(f"{given}; give at least 1 (history: 0)")
        if scaling not in SCALINGS:
            raise ValueError(
                f"scaling={scaling!r} is unknown; choose one of {', '.join(map(repr, SCALINGS))}"
            )
        self.units = units
        self.panel = panel = panel.standardised(units)
        self.scaling: Scaling = scaling
        self.context, self.horizon, self.history = context, horizon, history
        last = panel.lengths - horizon
        first = np.minimum(context, np.maximum(last, 1))
        counts = np.maximum(0, (last - first) // stride + 1)
        self._series = np.repeat(np.arange(len(panel)), counts)
        self._cuts = first[self._series] + stride * (
            np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        )
        if power:
            again = np.repeat(np.arange(len(self._cuts)), self._times(power)[self._series])
            self._series, self._cuts = self._series[again], self._cuts[again]

    def __len__(self) -> int:
        return len(self._cuts)

    def units_of(self, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Looks up the loc and the scale of these series, each `[rows]`."""
        loc, scale = (np.broadcast_to(part, len(self.panel))[series] for part in self.units)
        return loc, scale

    def check(self) -> "PanelWindows":
        """Returns itself, where there is a window.

        Raises:
          ValueError: no series is long enough.
        """
        if not len(self):
            place = int(self.panel.lengths.argmax())
            name, length = self.panel.names[place], self.panel.lengths[place]
            wanted = f"a horizon of {self.horizon} and one value before it want {self.horizon + 1}"
            raise ValueError(
                f"the longest series, {name!r}, has {length} values; {wanted}: give longer series"
            )
        return self

    def _times(self, power: float) -> np.ndarray:
        """Counts how often the windows of each series come, `[series]`."""
        sizes = np.array([np.nanmean(np.abs(values)) for values in self.panel.values])
        ratio = sizes / max(float(np.median(sizes)), np.finfo(float).tiny)
        return np.maximum(1, np.rint(TIMES * ratio**power)).astype(int)

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Gathers the windows at `indices` `[rows]`."""
        return self.at(self._series[indices], self._cuts[indices])

    def ends(self) -> dict[str, np.ndarray]:
        """Gathers one window for each series, cut at its end: nothing of the horizon is there."""
        return self.at(np.arange(len(self.panel)), self.panel.lengths)

    def at(self, series: np.ndarray, cuts: np.ndarray) -> dict[str, np.ndarray]:
        """Gathers windows of these series at these cuts, each `[rows]`: a cut is the number of values before it.

        Raises:
          ValueError: the known covariates of a series end before the horizon does (which series).
        """
        self._check_known(series, cuts)
        before, after = self.history + self.context, self.horizon
        places = (self._starts[series] + self._margin + cuts)[:, None] + np.arange(-before, after)
        values = self._flat[places]
        values[np.arange(-before, after) >= (self.panel.lengths[series] - cuts)[:, None]] = np.nan
        seen = np.isfinite(values)
        context = self._as_known(values[:, self.history : before], series, cuts)
        loc, scale = scales(context, self.scaling)
        centred = np.where(seen, values - loc[:, None], 0)
        steps = places[:, self.history :]
        return {
            "values": centred.astype(np.float32),
            "seen": seen,
            "features": self._features[steps],
            "past": self._past[steps]
            * (np.arange(self.context + self.horizon) < self.context)[:, None],
            "category": self.panel.categories[series],
            "loc": loc.astype(np.float32),
            "scale": scale.astype(np.float32),
        }

    def _as_known(self, context: np.ndarray, series: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        """Takes the last value before a context of which all is missing for its last one."""
        missing = np.flatnonzero(~np.isfinite(context).any(1))
        if not len(missing):
            return context
        context = context.copy()
        for row in missing:
            past = self.panel.values[series[row]][: cuts[row]]
            known = past[np.isfinite(past)]
            if len(known):
                context[row, -1] = known[-1]
        return context

    def _check_known(self, series: np.ndarray, cuts: np.ndarray) -> None:
        late = cuts + self.horizon > self.panel.lengths[series] + self._future()[series]
        if late.any():
            place, cut = int(series[late.argmax()]), int(cuts[late.argmax()])
            name, steps = self.panel.names[place], len(self.panel.known[place])
            wanted = (
                f"a horizon of {self.horizon} from step {cut} on wants {cut + self.horizon}: "
                "give them for all of it"
            )
            raise ValueError(
                f"known covariates of the series {name!r} end after {steps} steps; {wanted}"
            )

    @property
    def _margin(self) -> int:
        """Steps of padding before each series, for windows that begin before it."""
        return self.history + self.context

    @functools.cached_property
    def _starts(self) -> np.ndarray:
        """Where the padding before each series begins in the flat arrays."""
        sizes = self.panel.lengths + self._margin + self.horizon
        return np.concatenate([[0], sizes.cumsum()[:-1]])

    @functools.cached_property
    def _flat(self) -> np.ndarray:
        return self._laid_out([values[:, None] for values in self.panel.values], np.nan)[:, 0]

    @functools.cached_property
    def _features(self) -> np.ndarray:
        return self._laid_out(self.panel.features(self._future()), 0.0).astype(np.float32)

    @functools.cached_property
    def _past(self) -> np.ndarray:
        values = self.panel.values
        columns = self.panel.past or [np.zeros((len(series), 0)) for series in values]
        known = [column[: len(series)] for column, series in zip(columns, values, strict=True)]
        return self._laid_out(known, 0.0).astype(np.float32)

    def _future(self) -> np.ndarray:
        """Steps beyond each series' end whose features are known: the horizon, or fewer where covariates end."""
        if not len(self.panel.known):
            return np.full(len(self.panel), self.horizon)
        return np.minimum(
            self.horizon, np.array([len(known) for known in self.panel.known]) - self.panel.lengths
        )

    def _laid_out(self, columns: Sequence[np.ndarray], filler: float) -> np.ndarray:
        """Arrays `[time, columns]` one after another, each with its padding before and the horizon after."""
        size = int(self._starts[-1]) + self.panel.lengths[-1] + self._margin + self.horizon
        flat = np.full((size, columns[0].shape[1]), filler, np.float64)
        for start, column in zip(self._starts, columns, strict=True):
            flat[start + self._margin : start + self._margin + len(column)] = column
        return flat


def scales(context: np.ndarray, scaling: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """Measures the centre and the size of each row's values.

    Args:
      context: `[rows, time]`, NaN where missing.
      scaling: `"none"`, 0 and 1; `"mean"`, 0 and the mean of `|y|` (Salinas et al., 2017);
        `"standard"`, mean and standard deviation; `"robust"`, median and the quartiles' distance
        over 1.349, the standard deviation of normal values; `"last"`, the last value and the
        standard deviation.

    Returns:
      `(loc, scale)`, each float64 `[rows]`. A scale that would be 0 is the mean of `|y|`, or else
      1.
    """
    rows = len(context)
    seen = np.isfinite(context)
    values, count = np.where(seen, context, 0.0), np.maximum(seen.sum(1), 1)
    size = np.abs(values).sum(1) / count
    loc, scale = np.zeros(rows), np.ones(rows)
    if scaling == "mean":
        scale = size
    elif scaling in ("standard", "last"):
        mean = values.sum(1) / count
        scale = np.sqrt((np.where(seen, context - mean[:, None], 0.0) ** 2).sum(1) / count)
        loc = mean if scaling == "standard" else _last(values, seen)
    elif scaling == "robust":
        low, loc, high = (_quantile(context, seen, share) for share in (0.25, 0.5, 0.75))
        scale = (high - low) / 1.349
    # What differs from a constant by rounding alone is one.
    constant = scale <= 1e-9 * size
    return loc, np.where(constant, np.where(size > 0, size, 1.0), scale)


def _last(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Finds the last seen value of each row; 0 where none is."""
    place = seen.shape[1] - 1 - seen[:, ::-1].argmax(1)
    return values[np.arange(len(values)), place]


def _quantile(context: np.ndarray, seen: np.ndarray, share: float) -> np.ndarray:
    """A quantile of each row's seen values, between two of them linearly; 0 where none is."""
    ordered = np.sort(np.where(seen, context, np.inf), axis=1)
    last = np.maximum(seen.sum(1) - 1, 0)
    place = share * last
    low, rows = np.floor(place).astype(int), np.arange(len(context))
    first, second = ordered[rows, low], ordered[rows, np.minimum(low + 1, last)]
    with np.errstate(invalid="ignore"):
        value = first + (place - low) * (second - first)
    return np.where(seen.any(1), value, 0.0)
