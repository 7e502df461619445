"""`auto`: compares forecasters on what a panel's end would have been forecast as, and blends the best."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqjax.forecasting import metrics
from seqjax.forecasting.baselines import SeasonalNaive
from seqjax.forecasting.blend import Blend
from seqjax.forecasting.candidates import Candidate, candidates
from seqjax.forecasting.conformal import calibrated
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.form import Form
from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.network import NetworkForecaster
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.scores import truth
from seqjax.forecasting.split import Split
from seqjax.tasks import Trained
from seqjax.training import Event

SHARE_TO_SEARCH = 0.7
"""Of the time: for comparing; the rest is for fitting anew what was chosen."""

DRAWS = 20
"""Times that a member is drawn into the blend: weights are whole twentieths."""

CHOOSING = 100
"""Forecasts that choose among the steps of one training."""


class Tried(NamedTuple):
    """A candidate after its trial.

    Attributes:
      candidate: what was tried.
      trained: what came of it.
      forecast: of the values that choose.
      errors: mean absolute scaled error of each of its rows, `[rows]`.
      steps: those of the best parameters of a network; 0 for what learns at once.
    """

    candidate: Candidate
    trained: Trained
    forecast: Forecast
    errors: np.ndarray
    steps: int

    @property
    def error(self) -> float:
        """The mean over the rows."""
        return float(self.errors.mean())


def auto(
    panel: Panel,
    horizon: int,
    *,
    validation: HeldOut | None = None,
    minutes: float | int = 5,
    trials: Sequence[Candidate] | None = None,
    season: int | None = None,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    say: Callable[[str], None] | None = None,
) -> Trained:
    """Chooses a forecaster for a panel.

    Candidates are fitted on the panel without its end, forecast that end from many times, and are
    compared by their mean absolute scaled error. Those that together would have been best are
    weighted (Caruana et al., 2004) - a naive one is kept where they beat it by less than a standard
    error -, put within conformal intervals, and fitted anew on everything.

    Args:
      panel: the series.
      horizon: steps to forecast.
      validation: values that choose, where `panel` ends before them; None for the last fifth of
        the panel.
      minutes: how long it may take. What learns at once is always tried; a network is begun while
        there is time, and cut short when there is none left.
      trials: candidates; None for `seqjax.forecasting.candidates`.
      season: steps of the season; None for the shortest that the panel's step has.
      seed: of all that is random.
      folder: where the networks' checkpoints are kept; None keeps none.
      say: is given a line for each candidate.

    Returns:
      A trained forecaster: `Conformal` around a `Blend`, whose `tried` lists what was compared.

    Raises:
      ValueError: a series is too short for the horizon.

    Example:
      >>> import numpy as np
      >>> from seqjax import forecasting
      >>> wave = np.sin(np.arange(400) / 4) + 0.01 * np.random.default_rng(0).normal(size=400)
      >>> trained = forecasting.auto(forecasting.Panel([wave]), 5, minutes=0)
      >>> trained.task.forecaster.tried[0][0]
      'linear, 32 steps read'
    """
    began, say = time.monotonic(), say or (lambda line: None)
    learnt, whole = panel, panel
    if validation is None:
        validation = Split.chosen(panel, season or panel.season, horizon)
        learnt = panel.until(max(validation.ago))
    else:
        whole = validation.panel.until(min(validation.ago) - horizon)
    if trials is None:
        trials = candidates(learnt, horizon, season)
    search = _Search(learnt, validation, began + 60 * SHARE_TO_SEARCH * minutes, seed, folder, say)
    for candidate in trials:
        search.attempt(candidate)
    tried = search.tried
    if not tried:
        raise ValueError(
            f"no candidate could learn the panel ({search.refused}); give longer series"
        )
    weights = blend_weights(
        truth(validation.panel, tried[0].forecast),
        np.stack([each.forecast.median for each in tried]),
        search.scale,
    )
    weights = _or_naive(tried, validation.panel, weights, search.scale)
    chosen = [place for place in np.argsort(-weights).tolist() if weights[place] > 0]
    blend = Blend(
        horizon=horizon,
        members=tuple(tried[place].trained.task for place in chosen),
        weights=tuple(float(weights[place]) for place in chosen),
        context=max(getattr(each.candidate.forecaster, "context", 1) for each in tried),
        form=Form.of(learnt),
        tried=_listed(tried, weights),
    )
    params = {f"member_{slot}": tried[place].trained.params for slot, place in enumerate(chosen)}
    say(f"chosen: {blend}")
    judged = calibrated(Trained(blend, params), validation)
    deadline = began + 60 * minutes
    again = [_again(tried[place], whole, deadline, seed, say) for place in chosen]
    params = {f"member_{slot}": trained.params for slot, trained in enumerate(again)}
    return Trained(judged.task, params)


def tried_table(trained: Trained) -> str:
    """Lays out what `auto` tried: error on the values that chose, weight, candidate."""
    blend = getattr(trained.task, "forecaster", trained.task)
    lines = [" error  weight  candidate"]
    for label, error, weight in blend.tried:
        share = f"{weight:.2f}" if weight else "-"
        lines.append(f"{error:6.4f}  {share:>6}  {label}")
    return "\n".join(lines)


def blend_weights(y: np.ndarray, medians: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weighs forecasters so that their weighted mean would have been best, by greedy draws.

    Args:
      y: what came, `[rows, horizon]`; NaN where nothing did.
      medians: what each said, `[forecasters, rows, horizon]`.
      scale: what an error of each row counts in, `[rows]`.

    Returns:
      `[forecasters]`, at least 0, of sum 1.
    """
    drawn = np.zeros(len(medians))
    best, total = np.inf, np.zeros_like(medians[0])
    for count in range(1, DRAWS + 1):
        errors = [metrics.mase(y, (total + median) / count, scale) for median in medians]
        place = int(np.argmin(errors))
        # A member that makes the mean worse is not drawn, but drawing goes on from equal ones.
        if errors[place] > best:
            break
        best, total = errors[place], total + medians[place]
        drawn[place] += 1
    return drawn / drawn.sum()


def _or_naive(
    tried: Sequence[Tried], panel: Panel, weights: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Takes a naive forecaster alone, where the blend is not better by more than the standard error."""
    naive = [
        place
        for place, each in enumerate(tried)
        if isinstance(each.candidate.forecaster, SeasonalNaive)
    ]
    if not naive:
        return weights
    best = min(naive, key=lambda place: tried[place].error)
    first = tried[best].forecast
    blend = np.einsum("f,frh->rh", weights, np.stack([each.forecast.median for each in tried]))
    y = truth(panel, first)
    gain = metrics.scaled_errors(y, first.median, scale) - metrics.scaled_errors(y, blend, scale)
    together = (panel.lengths[first.series] - first.cuts) // y.shape[1]
    if np.nanmean(gain) > np.nan_to_num(metrics.standard_error(gain, together)):
        return weights
    return np.eye(len(tried))[best]


class _Search:
    """Fits candidates one after another and keeps what they said."""

    def __init__(
        self,
        learnt: Panel,
        validation: HeldOut,
        deadline: float,
        seed: int,
        folder: str | os.PathLike | None,
        say: Callable[[str], None],
    ):
        self.learnt, self.validation, self.deadline = learnt, validation, deadline
        self.seed, self.folder, self.say = seed, folder, say
        self.tried: list[Tried] = []
        self.refused = ""
        self.scale = self._scale()

    def attempt(self, candidate: Candidate) -> None:
        """Fits and scores a candidate; one that cannot learn the panel is said and left out."""
        began = time.monotonic()
        if candidate.recipe is not None and began >= self.deadline:
            self.say(f"{'no time':>8}  {candidate.label}")
            return
        try:
            trained, steps = self._fit(candidate)
            forecast = trained.predict(self.validation.panel, ago=self.validation.ago)
        except ValueError as reason:
            self.refused = str(reason)
            self.say(f"{'refused':>8}  {candidate.label}: {reason}")
            return
        y = truth(self.validation.panel, forecast)
        errors = metrics.scaled_errors(y, forecast.median, self.scale)
        errors = errors[np.isfinite(y).any(1)]
        if not np.isfinite(errors).all():
            self.say(f"{'diverged':>8}  {candidate.label}")
            return
        self.tried.append(Tried(candidate, trained, forecast, errors, steps))
        seconds = time.monotonic() - began
        self.say(f"{errors.mean():8.4f}  {candidate.label} ({seconds:.0f} s)")

    def _fit(self, candidate: Candidate) -> tuple[Trained, int]:
        if candidate.recipe is None:
            return candidate.forecaster.fit(self.learnt), 0
        assert isinstance(candidate.forecaster, NetworkForecaster)
        judge = _thinned(self.validation)
        watch = _Watch(self.deadline)
        folder = None
        if self.folder is not None:
            folder = Path(self.folder) / f"{len(self.tried):02d}"
        trained = candidate.forecaster.fit(
            self.learnt,
            dataclasses.replace(candidate.recipe, seed=self.seed),
            validation=judge,
            callbacks=(watch,),
            folder=folder,
        )
        return trained, watch.best_step

    def _scale(self) -> np.ndarray:
        """What an error of each row counts in: the seasonal naive error before its cut, or its values' size."""
        panel, ago = self.validation.panel, self.validation.ago
        histories = [values[: len(values) - back] for back in ago for values in panel.values]
        scale = metrics.seasonal_error(histories, self.validation.season)
        sizes = np.array([np.nanmean(np.abs(values)) for values in histories])
        size = np.where(sizes > 0, sizes, 1.0)
        return np.where(np.isfinite(scale), scale, size)


class _Watch:
    """Follows a training: remembers its best step, and ends it when time is up."""

    def __init__(self, deadline: float):
        self.deadline, self.best, self.best_step = deadline, np.inf, 0

    def __call__(self, event: Event) -> bool:
        if event.kind != "evaluation":
            return False
        if event.metrics["error"] < self.best:
            self.best, self.best_step = event.metrics["error"], event.step
        return time.monotonic() >= self.deadline


def _thinned(held_out: HeldOut) -> HeldOut:
    """Keeps few enough cuts, evenly spread, to be scored again and again."""
    most = max(1, CHOOSING // len(held_out.panel))
    if len(held_out.ago) <= most:
        return held_out
    places = np.unique(np.linspace(0, len(held_out.ago) - 1, most).astype(int))
    return dataclasses.replace(held_out, ago=tuple(held_out.ago[place] for place in places))


def _again(
    tried: Tried, whole: Panel, deadline: float, seed: int, say: Callable[[str], None]
) -> Trained:
    """Fits what was chosen on everything: a network for as many steps as were best."""
    recipe, task = tried.candidate.recipe, tried.trained.task
    if recipe is None:
        return task.fit(whole)
    if time.monotonic() >= deadline or not tried.steps:
        say(f"no time to fit anew: {tried.candidate.label}")
        return tried.trained
    recipe = dataclasses.replace(recipe, steps=tried.steps, every=None, patience=None, seed=seed)
    return task.fit(whole, recipe)


def _listed(tried: Sequence[Tried], weights: np.ndarray) -> tuple[tuple[str, float, float], ...]:
    lines = [
        (each.candidate.label, each.error, float(weight))
        for each, weight in zip(tried, weights, strict=True)
    ]
    return tuple(sorted(lines, key=lambda line: line[1]))
