"""Why a forecast is what it is: how much each past value and covariate moved it (Sundararajan et al., 2017)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.forecasting.blend import Blend
from seqjax.forecasting.conformal import Conformal
from seqjax.forecasting.interface import Forecaster
from seqjax.forecasting.panel import Panel
from seqjax.tasks import Trained
from seqjax.typing import Params

CALENDAR = ("time of day", "day of the week", "time of the year")
"""What the calendar's pairs of sine and cosine say."""

MOVED = ("values", "features", "past")
"""The arrays of a window that are followed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """How a forecast came about.

    `baseline + values.sum(1) + sum(beside.values())` is the forecast, step by step.

    Attributes:
      forecast: the middle of what is said, `[horizon]`.
      baseline: what would be said of a series that had stood still at its mean, with covariates at
        theirs, `[horizon]`.
      values: what each past value added, the oldest first, `[horizon, steps]`.
      beside: what each covariate added, by name, `[horizon]` each.
      history: the past values, `[steps]`; NaN where missing.
      times: of the history and then of the horizon, `[steps + horizon]`.
      name: of the series.
    """

    forecast: np.ndarray
    baseline: np.ndarray
    values: np.ndarray
    beside: dict[str, np.ndarray]
    history: np.ndarray
    times: np.ndarray
    name: str

    def plot(self, steps_ahead: int | None = None) -> Any:
        """Draws the history, each past value coloured by what it added, and bars of what the covariates did.

        Args:
          steps_ahead: of the step to explain, from 1; None for the mean over the horizon.

        Returns:
          A matplotlib figure.

        Raises:
          ValueError: there is no such step.
        """
        from seqjax.forecasting.plots import plot_explanation

        return plot_explanation(self, steps_ahead)

    def at(self, steps_ahead: int | None) -> "Explanation":
        """Keeps one step of the horizon, or the mean of all, as a horizon of one.

        Raises:
          ValueError: there is no such step.
        """
        horizon = len(self.forecast)
        if steps_ahead is None:
            weights = np.full(horizon, 1 / horizon)
        elif 1 <= steps_ahead <= horizon:
            weights = (np.arange(1, horizon + 1) == steps_ahead).astype(np.float64)
        else:
            raise ValueError(f"steps_ahead is {steps_ahead}; the horizon is 1 to {horizon}")
        return dataclasses.replace(
            self,
            forecast=weights @ self.forecast[:, None],
            baseline=weights @ self.baseline[:, None],
            values=(weights @ self.values)[None],
            beside={name: weights @ found[:, None] for name, found in self.beside.items()},
        )


def explain(
    trained: Trained,
    panel: Panel,
    *,
    series: int | str = 0,
    ago: int = 0,
    steps: int = 32,
) -> Explanation:
    """Computes how much each past value and each covariate moved a forecast, by integrated gradients.

    The gradients of the forecast are averaged along the straight way from a window that had stood
    still, every value and covariate at its mean, to the window as it is, and multiplied by the
    difference: so they add up to what the forecast differs by. Centre and scale of the window are
    held. Of DeepAR, which draws, the path of the means is followed.

    Args:
      trained: a forecaster.
      panel: the series.
      series: which one, by its place or its name.
      ago: steps before its end at which to cut it.
      steps: points along the way; the sum is the more exact the more there are.

    Returns:
      An `Explanation`.

    Raises:
      ValueError: there is no such series, it has not begun so many steps ago, or `steps` is below
        1.

    Reference: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.

    Example:
      >>> import numpy as np
      >>> from seqjax import forecasting
      >>> panel = forecasting.Panel([np.arange(20.0)])
      >>> naive = forecasting.SeasonalNaive(horizon=2, season=1).fit(panel)
      >>> found = forecasting.explain(naive, panel)
      >>> found.forecast, found.values[0, -3:]  # all of it by the last value
      (array([19., 19.]), array([0. , 0. , 1.5]))
    """
    place = _place(panel, series)
    cut = int(panel.lengths[place]) - ago
    if not 1 <= cut <= panel.lengths[place]:
        raise ValueError(
            f"ago is {ago}; the series {panel.names[place]!r} has {panel.lengths[place]} values"
        )
    if steps < 1:
        raise ValueError(f"steps is {steps}; give at least 1")
    parts = [
        (weight, _explained(task, params, panel, place, cut, steps))
        for weight, task, params in _members(trained.task, trained.params)
    ]
    return _sum(parts)


def _members(task: Forecaster, params: Params) -> list[tuple[float, Forecaster, Params]]:
    """Lists what a forecast is the weighted sum of."""
    if isinstance(task, Conformal):
        return _members(task.forecaster, params)
    if not isinstance(task, Blend):
        return [(1.0, task, params)]
    found = []
    for weight, part in zip(task.weights, task.parts(params), strict=True):
        found += [(weight * share, *rest) for share, *rest in _members(*part)]
    return found


def _explained(
    task: Forecaster, params: Params, panel: Panel, place: int, cut: int, steps: int
) -> Explanation:
    """Explains what a single forecaster says."""
    windows = task.windows(panel)
    batch = windows.at(np.array([place]), np.array([cut]))
    standing = _standing(batch, task.horizon)
    moved = {name: jnp.asarray(batch[name], jnp.float32) for name in MOVED}
    held: dict[str, Any] = {
        name: jnp.asarray(array) for name, array in batch.items() if name not in MOVED
    }
    # SeasonalNaive looks values up by what was seen, which is known beforehand.
    held["seen"] = batch["seen"]
    first, last, slopes = _follow(task, params, held, standing, moved, steps)
    loc, scale = (
        float(np.broadcast_to(part, 1)[0]) for part in windows.units_of(np.array([place]))
    )
    added = {
        name: scale
        * np.asarray(slopes[name], np.float64)
        * np.asarray(moved[name] - standing[name])
        for name in MOVED
    }
    offset = float(batch["loc"][0])
    to_units = lambda said: loc + scale * (np.asarray(said, np.float64) + offset)  # noqa: E731
    history = batch["values"].shape[1] - task.horizon
    known = min(history, cut)
    return Explanation(
        forecast=to_units(last),
        baseline=to_units(first),
        values=added["values"][:, history - known : history],
        beside=_named(panel, added["features"].sum(1), added["past"].sum(1)),
        history=panel.values[place][cut - known : cut],
        times=panel.times(place, cut + task.horizon)[cut - known :],
        name=panel.names[place],
    )


def _standing(batch: dict[str, np.ndarray], horizon: int) -> dict[str, jax.Array]:
    """Makes the window that had stood still."""
    seen = batch["seen"].copy()
    seen[:, -horizon:] = False
    values = batch["values"]
    mean = np.where(seen, values, 0).sum(1) / np.maximum(seen.sum(1), 1)
    context = batch["past"].shape[1] - horizon
    past = np.zeros_like(batch["past"])
    past[:, :context] = batch["past"][:, :context].mean(1, keepdims=True)
    features = np.broadcast_to(batch["features"].mean(1, keepdims=True), batch["features"].shape)
    still = {"values": np.where(seen, mean[:, None], 0), "features": features, "past": past}
    return {name: jnp.asarray(array, jnp.float32) for name, array in still.items()}


def _follow(
    task: Forecaster, params: Params, held: dict[str, Any], first: Any, last: Any, steps: int
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Says what is forecast at both ends of a way, and the mean slope along it, `[horizon, ...]`."""

    def said(moved: dict[str, jax.Array]) -> jax.Array:
        return task.point(params, {**held, **moved})[0]

    def slope(share: jax.Array) -> dict[str, jax.Array]:
        between = jax.tree.map(lambda a, b: a + share * (b - a), first, last)
        found = jax.jacrev(said)(between)
        return jax.tree.map(lambda leaf: leaf[:, 0], found)

    # The middle of each of so many equal pieces.
    shares = (jnp.arange(steps) + 0.5) / steps

    @jax.jit
    def run() -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        slopes = jax.tree.map(lambda leaf: leaf.mean(0), jax.lax.map(slope, shares))
        return said(first), said(last), slopes

    return run()


def _named(panel: Panel, known: np.ndarray, past: np.ndarray) -> dict[str, np.ndarray]:
    """Names what covariates added, `[horizon, columns]` each; sine and cosine belong together."""
    found = {}
    if panel.has_calendar and known.shape[1] >= 2 * len(CALENDAR):
        for number, name in enumerate(CALENDAR):
            found[name] = known[:, [number, number + len(CALENDAR)]].sum(1)
        known = known[:, 2 * len(CALENDAR) :]
    columns = panel.columns
    for kind, added in (("known", known), ("past", past)):
        names = () if columns is None else getattr(columns, kind)
        for number in range(added.shape[1]):
            label = names[number] if number < len(names) else f"{kind} {number}"
            found[label] = added[:, number]
    return found


def _sum(parts: list[tuple[float, Explanation]]) -> Explanation:
    """Adds weighted explanations, of which some look back further than others."""
    longest = max((part for _, part in parts), key=lambda part: len(part.history))
    values = np.zeros_like(longest.values)
    beside: dict[str, np.ndarray] = {}
    forecast, baseline = np.zeros_like(longest.forecast), np.zeros_like(longest.baseline)
    for weight, part in parts:
        steps = part.values.shape[1]
        values[:, values.shape[1] - steps :] += weight * part.values
        forecast, baseline = forecast + weight * part.forecast, baseline + weight * part.baseline
        for name, added in part.beside.items():
            beside[name] = beside.get(name, 0) + weight * added
    return dataclasses.replace(
        longest, forecast=forecast, baseline=baseline, values=values, beside=beside
    )


def _place(panel: Panel, series: int | str) -> int:
    if isinstance(series, str):
        if series not in panel.names:
            few = ", ".join(panel.names[:5])
            raise ValueError(f"there is no series {series!r}; the first are {few}")
        return list(panel.names).index(series)
    if not -len(panel) <= series < len(panel):
        raise ValueError(f"series is {series}; the panel has {len(panel)}")
    return series % len(panel)
