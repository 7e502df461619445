"""The training loop: the only part with effects."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from seqjax.training.checkpoints import CheckpointError, Checkpoints
from seqjax.training.disk import room_for
from seqjax.training.evaluation import rank
from seqjax.training.health import is_finite, summarise
from seqjax.training.interrupts import interruptible
from seqjax.training.processes import Together
from seqjax.training.sources import END, counted, skip, taken_at
from seqjax.training.state import TrainState
from seqjax.training.step import StepFn


@runtime_checkable
class Batches(Protocol):
    """Gives batches without end, and knows where it stands."""

    def __iter__(self) -> Iterator[Any]:
        """Returns itself."""
        ...

    def __next__(self) -> Any:
        """Returns the next batch."""
        ...

    def state(self) -> Any:
        """Returns the position after the last batch handed out, JSON-able."""
        ...

    def restore(self, state: Any) -> None:
        """Goes on from a position."""
        ...


@dataclasses.dataclass(frozen=True)
class Event:
    """Holds what a callback is told.

    Attributes:
      kind: `"start"` (before the first step compiles), `"step"`, `"evaluation"` or `"end"`.
      step: steps taken so far.
      metrics: scalars by name.
    """

    kind: str
    step: int
    metrics: dict[str, float]


@dataclasses.dataclass
class Progress:
    """Holds where a run stands beside its `TrainState`: saved with each checkpoint.

    Attributes:
      step: steps taken.
      best: the best score so far, lower is better; None before the first evaluation.
      ties: the further monitored scores that came with it, which decide between equal ones.
      best_step: the step it was reached at.
      stale: evaluations since then.
      stopped: whether a callback ended the run.
      skipped: steps skipped over a gradient that was not finite.
      since: the health of each gradient since the last evaluation, which the next one summarises.
      data: the position in the data.
    """

    step: int = 0
    best: float | None = None
    ties: list[float] = dataclasses.field(default_factory=list)
    best_step: int | None = None
    stale: int = 0
    stopped: bool = False
    skipped: int = 0
    since: list[dict[str, float]] = dataclasses.field(default_factory=list)
    data: Any = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Holds how a run ended.

    Attributes:
      state: the last state, or the best one where training stopped early.
      progress: where the run stood.
      reason: `"finished"`, `"stopped early"`, `"out of batches"` or `"interrupted"`.
      signal: the number of the signal that interrupted it, else 0.
    """

    state: TrainState
    progress: Progress
    reason: str
    signal: int = 0


SUMMARISED = ("gradient_norm", "clipped", "finite")
"""What `summarise` reads of a step's metrics."""


class NonFiniteError(ArithmeticError):
    """Reports too many gradients or updates in a row that were not finite."""


Callback = Callable[[Event], Any]
"""What is told how a run goes; one that answers True to an evaluation ends the run, as early stopping does."""


def fit_batches(
    state: TrainState,
    train_step: StepFn,
    batches: Batches | Iterable[Any],
    *,
    steps: int,
    progress: Progress | None = None,
    evaluate: Callable[[TrainState], dict[str, float]] | None = None,
    every: int | None = None,
    monitor: str | Sequence[str] | None = None,
    patience: int | None = None,
    checkpoints: Checkpoints | None = None,
    callbacks: Sequence[Callback] = (),
    max_skipped: int = 10,
    on_nonfinite: Callable[[int, Any], None] | None = None,
) -> Outcome:
    """Trains for a number of steps.

    SIGTERM, SIGINT and SIGHUP end the step at hand, save and return (in the main thread). Where the
    state is spread over several processes, a signal to one of them ends all at the same step, and
    the scores of the first one count.

    Args:
      state: from `create_state`, or restored.
      train_step: from `make_train_step`.
      batches: a resumable iterator, best an endless one; or a list or any other iterator. Where it
        ends before `steps`, so does the run: it is evaluated and saved as at its last step.
      steps: the step to stop at, counted from the run's very beginning.
      progress: where the run stands; None for a new run.
      evaluate: scores a state; called every `every` steps and after the last one.
      every: steps between evaluations, and between checkpoints; None for the end only.
      monitor: which of evaluate's scores to minimise; needed for the best checkpoint and for
        `patience`. Of several names each decides where those before it are equal:
        `("error", "nats")`. A score that is NaN never wins.
      patience: stop after this many evaluations without a better score, and return the best state.
      checkpoints: where to save; None saves nothing.
      callbacks: plain functions of an `Event`; one that answers True to an evaluation stops the
        training.
      max_skipped: stop after this many non-finite gradients in a row.
      on_nonfinite: `on_nonfinite(step, batch)`, called at the run's first non-finite gradient with
        its batch.

    Returns:
      An `Outcome`.

    Raises:
      OSError: the disk is full.
      NonFiniteError: `max_skipped` gradients in a row were not finite; the last good state is
        saved.
      ValueError: an argument is out of range, `monitor` is not among the scores, or there is no
        batch.
    """
    _check(steps, every, patience, monitor, checkpoints, evaluate)
    if progress is None and checkpoints is not None and _begun(checkpoints):
        raise ValueError(
            f"{checkpoints.folder} holds a run already; resume() it, or name another folder"
        )
    progress = Progress() if progress is None else progress
    source = batches if isinstance(batches, Batches) else counted(batches, progress.data)
    together = Together.of(state)
    run = _Run(
        progress,
        evaluate,
        monitor,
        checkpoints,
        source,
        tuple(callbacks),
        max_skipped,
        on_nonfinite,
        together,
    )
    run.began_finite = is_finite((state.params, state.ema))
    every = every or steps
    if checkpoints is not None:
        run.save(state)
    run.tell("start", {})
    if run.is_over(patience):
        return run.end(run.best(state), "stopped early")
    with interruptible() as interrupt:
        while progress.step < steps:
            batch = next(source, END)
            if batch is END:
                return run.out_of_batches(state)
            state, metrics = train_step(state, batch)
            # Asked of all processes now and read with the metrics: it costs no wait of its own.
            asked = together.largest(interrupt.number, after=state.step)
            progress.step += 1
            metrics, asked = jax.device_get((metrics, asked))
            run.after_step(state, batch, metrics)
            due = progress.step % every == 0 or progress.step == steps
            if due:
                run.assess(state)
            # The signal that any process has got.
            number = int(asked) if together.several else interrupt.number
            if (due or number) and checkpoints is not None:
                run.save(state)
            if number and progress.step < steps:
                return run.end(state, "interrupted", number)
            if due and run.is_over(patience):
                return run.end(run.best(state), "stopped early")
    return run.end(state, "finished")


def resume(
    state: TrainState, batches: Batches | Iterable[Any], checkpoints: Checkpoints
) -> tuple[TrainState, Progress]:
    """Restores the newest sound checkpoint, and the data at its position.

    Args:
      state: a fresh state of the same shapes.
      batches: moved to the position of the checkpoint; of a plain iterator as many as were taken
        are passed over, and a list is left to `fit_batches`.
      checkpoints: where to look; in a folder that never had any the run begins at the beginning.

    Returns:
      The state and progress to give to `fit_batches`.

    Raises:
      CheckpointError: there are checkpoints, but none is sound, or they are of another model.
    """
    if not _begun(checkpoints):
        return state, Progress()
    _, state, saved = checkpoints.restore(state)
    progress = Progress(**saved)
    if isinstance(batches, Batches):
        batches.restore(progress.data)
    elif isinstance(batches, Iterator):
        skip(batches, taken_at(progress.data))
    return state, progress


def restore_best(state: TrainState, checkpoints: Checkpoints) -> TrainState:
    """Restores the checkpoint with the best score so far, or the newest of a run that has none.

    Args:
      state: a state of the same shapes.
      checkpoints: where to look.

    Returns:
      The state.

    Raises:
      CheckpointError: there is no sound checkpoint, or it is of another model.
    """
    step, newest, saved = checkpoints.restore(state)
    best = saved["best_step"]
    if best is None or best == step:
        return newest
    try:
        return checkpoints.restore(state, best)[1]
    except CheckpointError as error:
        warnings.warn(
            f"the best checkpoint, of step {best}, cannot be had ({error}); the newest is taken",
            stacklevel=2,
        )
        return newest


@dataclasses.dataclass
class _Run:
    progress: Progress
    evaluate: Callable | None
    monitor: str | Sequence[str] | None
    checkpoints: Checkpoints | None
    batches: Batches
    callbacks: tuple[Callback, ...]
    max_skipped: int
    on_nonfinite: Callable | None
    together: Together
    began_finite: bool = True

    def tell(self, kind: str, metrics: dict[str, Any]) -> bool:
        """Tells all callbacks; returns whether one of them ends the run."""
        event = Event(kind, self.progress.step, metrics)
        # All of them are told, also after one has said to stop.
        answers = [callback(event) for callback in self.callbacks]
        return any(answer is True for answer in answers)

    def after_step(self, state: TrainState, batch: Any, metrics: dict[str, Any]) -> None:
        """Records a step; stops where too many in a row were lost."""
        progress = self.progress
        values = {name: float(np.asarray(value)) for name, value in metrics.items()}
        progress.since.append({name: values[name] for name in SUMMARISED})
        progress.skipped += not metrics["finite"]
        self.tell("step", values | {"skipped": progress.skipped})
        if metrics["finite"]:
            return
        if progress.skipped == 1 and self.on_nonfinite is not None:
            self.on_nonfinite(progress.step, batch)
        if metrics["skipped_in_a_row"] >= self.max_skipped:
            if self.checkpoints is not None:
                self.save(state)
            healthy = math.isfinite(metrics["loss"]) and math.isfinite(metrics["gradient_norm"])
            what = "updates" if healthy else "gradients"
            raise NonFiniteError(
                f"{int(metrics['skipped_in_a_row'])} {what} in a row were not finite, "
                "the last at step "
                f"{self.progress.step}; lower the learning rate or the clipping threshold, "
                "or look at the dumped batch"
            )

    def assess(self, state: TrainState) -> None:
        """Scores a state, and records whether it is the best so far."""
        scores = {}
        if self.evaluate is not None:
            scores = {name: float(value) for name, value in self.evaluate(state).items()}
        # Processes on unlike machines differ in the last digit; a tie must not fall both ways.
        scores = self.together.first(scores)
        progress = self.progress
        if self.monitor is not None:
            found = rank(scores, self.monitor)
            # A score may look good on a network that is lost: the largest of NaN is a class as
            # well.
            if found < self._best_rank(len(found)) and self.is_sound(state):
                progress.best, progress.ties = found[0], list(found[1:])
                progress.best_step, progress.stale = progress.step, 0
            else:
                progress.stale += 1
        stopped = self.tell("evaluation", scores | summarise(progress.since))
        stopped = self.together.largest(int(stopped), after=state.step)
        progress.stopped = bool(jax.device_get(stopped))
        progress.since = []

    def is_sound(self, state: TrainState) -> bool:
        """Tells whether what is learnt is finite, or was not so from the beginning."""
        return not self.began_finite or is_finite((state.params, state.ema))

    def _best_rank(self, size: int) -> tuple[float, ...]:
        """Returns the best scores so far, infinite where there was none."""
        known = [] if self.progress.best is None else [self.progress.best, *self.progress.ties]
        return tuple((known + [math.inf] * size)[:size])

    def save(self, state: TrainState) -> None:
        assert self.checkpoints is not None
        self.progress.data = self.batches.state()
        saved = dataclasses.asdict(self.progress)
        with room_for(state, self.checkpoints.folder):
            self.checkpoints.save(self.progress.step, state, saved, best=self.progress.best_step)

    def is_over(self, patience: int | None) -> bool:
        return self.progress.stopped or (patience is not None and self.progress.stale >= patience)

    def best(self, state: TrainState) -> TrainState:
        return state if self.checkpoints is None else restore_best(state, self.checkpoints)

    def out_of_batches(self, state: TrainState) -> Outcome:
        """Ends a run that has no more batches: evaluates and saves, unless that was just done."""
        if self.progress.step == 0:
            raise ValueError("batches gave none; give at least one batch")
        if self.progress.since:
            self.assess(state)
            if self.checkpoints is not None:
                self.save(state)
        return self.end(state, "out of batches")

    def end(self, state: TrainState, reason: str, number: int = 0) -> Outcome:
        self.tell("end", {})
        return Outcome(state, self.progress, reason, number)


def _begun(checkpoints: Checkpoints) -> bool:
    """Tells whether the folder holds checkpoints, sound or not."""
    folder = checkpoints.folder
    return folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())


def _check(
    steps: int,
    every: int | None,
    patience: int | None,
    monitor: str | Sequence[str] | None,
    checkpoints: Checkpoints | None,
    evaluate: Callable | None,
) -> None:
    if steps < 1:
        raise ValueError(f"steps is {steps}; give at least 1")
    if every is not None and every < 1:
        raise ValueError(f"every is {every}; give at least 1 step between evaluations")
    if monitor is not None and evaluate is None:
        raise ValueError(f"monitor={monitor!r} wants scores; give evaluate")
    if patience is not None and (patience < 1 or monitor is None or checkpoints is None):
        raise ValueError(
            f"patience={patience} wants at least 1, a score to monitor "
            "and checkpoints to return the best"
        )
