"""`auto`: compares forecasters on what a panel's end would have been forecast as, and blends the best."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqjax import training
from seqjax.forecasting import metrics
from seqjax.forecasting.baselines import SeasonalNaive
from seqjax.forecasting.blend import Blend, slots
from seqjax.forecasting.candidates import Candidate, candidates
from seqjax.forecasting.conformal import Conformal, calibrated
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.form import Form
from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.network import NetworkForecaster
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.scores import hanging_together, truth
from seqjax.forecasting.split import Split
from seqjax.tasks import Trained
from seqjax.training import Checkpoints, Event
from seqjax.training.fitting import kept_or_passing

SHARE_TO_SEARCH = 0.7
"""Of the time: for comparing; the rest is for fitting anew what was chosen."""

DRAWS = 20
"""Times that a member is drawn into the blend: weights are whole twentieths."""

CHOOSING = 100
"""Forecasts that choose among the steps of one training."""

SEEDS = 3
"""Networks of one kind that are fitted anew side by side, where there is time; their mean forecasts."""


class Tried(NamedTuple):
    """A candidate after its trial.

    Attributes:
      candidate: what was tried.
      trained: what came of it.
      forecast: of the values that choose.
      error: mean absolute scaled error of it.
      steps: those of the best parameters of a network; 0 for what learns at once.
      seconds: that the trial took.
    """

    candidate: Candidate
    trained: Trained
    forecast: Forecast
    error: float
    steps: int
    seconds: float


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
    weighted (Caruana et al., 2004) - a naive one is kept where they beat it by less than two standard
    errors -, put within conformal intervals, and fitted anew on everything, networks from up to
    three seeds whose mean counts.

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
      A trained forecaster: `Conformal` around a `Blend`, whose `tried` lists what was compared; the
      blend alone, with a warning, where too few values choose to calibrate intervals by.

    Raises:
      ValueError: a series is too short for the horizon, or all values that choose are missing.

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
        validation = Split.rolling(panel, season or panel.season, horizon).held_out("test")
        learnt = panel.until(max(validation.ago))
    else:
        whole = validation.panel.until(min(validation.ago) - horizon)
    if not validation.has_values(horizon):
        raise ValueError("every value to choose by is missing; fill the gaps, or give validation=")
    if trials is None:
        trials = candidates(learnt, horizon, season)
    late = began + 60 * SHARE_TO_SEARCH * minutes
    with kept_or_passing(folder) as where:
        search = _Search(learnt, validation, late, seed, Path(where), say)
        for place, candidate in enumerate(trials):
            search.attempt(candidate, f"{place:02d}")
    tried = search.tried
    if not tried:
        raise ValueError(
            f"no candidate could learn the panel ({search.refused}); give longer series"
        )
    y = truth(validation.panel, tried[0].forecast)
    medians = np.stack([each.forecast.median for each in tried])
    weights = blend_weights(y, medians, search.scale)
    naive = _best_naive(tried)
    if naive is not None:
        blended = np.einsum("f,frh->rh", weights, medians)
        gain = metrics.scaled_errors(y, medians[naive], search.scale)
        gain = gain - metrics.scaled_errors(y, blended, search.scale)
        together = hanging_together(validation.panel, tried[naive].forecast)
        if not _is_certain(gain, together):
            weights = np.eye(len(tried))[naive]
    chosen = [place for place in np.argsort(-weights).tolist() if weights[place] > 0]
    blend = Blend(
        horizon=horizon,
        members=tuple(tried[place].trained.task for place in chosen),
        weights=tuple(float(weights[place]) for place in chosen),
        context=max(getattr(each.candidate.forecaster, "context", 1) for each in tried),
        form=Form.of(learnt),
        tried=_listed(tried, weights),
    )
    params = slots([tried[place].trained.params for place in chosen])
    say(f"chosen: {blend}")
    judged = calibrated(Trained(blend, params), validation)
    deadline = began + 60 * minutes
    members, shares = [], []
    for place in chosen:
        again = _again(tried[place], whole, deadline, seed, say)
        members += again
        shares += [float(weights[place]) / len(again)] * len(again)
    blend = dataclasses.replace(
        blend, members=tuple(member.task for member in members), weights=tuple(shares)
    )
    task = blend
    if isinstance(judged.task, Conformal):
        task = dataclasses.replace(judged.task, forecaster=blend)
    return Trained(task, slots([member.params for member in members]))


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


def _best_naive(tried: Sequence[Tried]) -> int | None:
    """Finds the best forecaster that learns nothing; None where none was tried."""
    naive = [
        place
        for place, each in enumerate(tried)
        if isinstance(each.candidate.forecaster, SeasonalNaive)
    ]
    return min(naive, key=lambda place: tried[place].error, default=None)


def _is_certain(gain: np.ndarray, together: np.ndarray) -> bool:
    """Tells whether the mean of `gain` `[rows]` is above 0 by more than two of its standard errors."""
    error = metrics.standard_error(gain, together)
    return bool(np.nanmean(gain) > 2 * np.nan_to_num(error))


class _Search:
    """Fits candidates one after another and keeps what they said."""

    def __init__(
        self,
        learnt: Panel,
        validation: HeldOut,
        deadline: float,
        seed: int,
        folder: Path,
        say: Callable[[str], None],
    ):
        self.learnt, self.validation, self.deadline = learnt, validation, deadline
        self.seed, self.folder, self.say = seed, folder, say
        self.tried: list[Tried] = []
        self.refused = ""
        self.scale = self._scale()

    def attempt(self, candidate: Candidate, name: str) -> None:
        """Fits and scores a candidate, with checkpoints of this name; one that cannot learn is left out."""
        began = time.monotonic()
        if candidate.recipe is not None and began >= self.deadline:
            self.say(f"{'no time':>8}  {candidate.label}")
            return
        try:
            trained, steps = self._fit(candidate, name)
            forecast = trained.predict(self.validation.panel, ago=self.validation.ago)
        except (ValueError, training.NonFiniteError) as reason:
            self.refused = str(reason)
            self.say(f"{'refused':>8}  {candidate.label}: {reason}")
            return
        y = truth(self.validation.panel, forecast)
        error = metrics.mase(y, forecast.median, self.scale)
        if not np.isfinite(error):
            self.say(f"{'diverged':>8}  {candidate.label}")
            return
        seconds = time.monotonic() - began
        self.tried.append(Tried(candidate, trained, forecast, error, steps, seconds))
        self.say(f"{error:8.4f}  {candidate.label} ({seconds:.0f} s)")

    def _fit(self, candidate: Candidate, name: str) -> tuple[Trained, int]:
        """Fits a candidate; beside it the steps after which it was best."""
        if candidate.recipe is None:
            return candidate.forecaster.fit(self.learnt), 0
        assert isinstance(candidate.forecaster, NetworkForecaster)
        most = max(1, CHOOSING // len(self.validation.panel))
        trained = candidate.forecaster.fit(
            self.learnt,
            dataclasses.replace(candidate.recipe, seed=self.seed),
            validation=self.validation.evenly(most),
            callbacks=(self._is_late,),
            folder=self.folder / name,
        )
        return trained, Checkpoints(self.folder / name).progress()["best_step"]

    def _is_late(self, event: Event) -> bool:
        """Ends a training at an evaluation, when time is up."""
        return event.kind == "evaluation" and time.monotonic() >= self.deadline

    def _scale(self) -> np.ndarray:
        """What an error of each row counts in: the seasonal naive error before its cut, or its values' size."""
        panel, ago = self.validation.panel, self.validation.ago
        histories = [values[: len(values) - back] for back in ago for values in panel.values]
        scale = metrics.seasonal_error(histories, self.validation.season)
        sizes = np.array([np.nanmean(np.abs(values)) for values in histories])
        size = np.where(sizes > 0, sizes, 1.0)
        return np.where(np.isfinite(scale), scale, size)


def _again(
    tried: Tried, whole: Panel, deadline: float, seed: int, say: Callable[[str], None]
) -> list[Trained]:
    """Fits what was chosen on everything: a network for as many steps as were best.

    It is fitted from several seeds, as many as there is time for, side by side.
    """
    recipe, task = tried.candidate.recipe, tried.trained.task
    if recipe is None:
        return [task.fit(whole)]
    left = deadline - time.monotonic()
    if left <= 0:
        say(f"no time to fit anew: {tried.candidate.label}")
        return [tried.trained]
    recipe = dataclasses.replace(recipe, steps=tried.steps, every=None, patience=None, seed=seed)
    count = min(SEEDS, max(1, int(left / tried.seconds)))
    seeds = range(seed, seed + count)
    try:
        return training.fit_seeds(task.settled(whole), whole, seeds, recipe=recipe, quiet=True)
    except training.NonFiniteError as reason:
        say(f"not fitted anew: {tried.candidate.label}: {reason}")
        return [tried.trained]


def _listed(tried: Sequence[Tried], weights: np.ndarray) -> tuple[tuple[str, float, float], ...]:
    lines = [
        (each.candidate.label, each.error, float(weight))
        for each, weight in zip(tried, weights, strict=True)
    ]
    return tuple(sorted(lines, key=lambda line: line[1]))
