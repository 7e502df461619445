"""The training loop: the only part with effects."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax

from seqjax.training.checkpoints import Checkpoints
from seqjax.training.compiled import fetched, packed_step
from seqjax.training.evaluation import rank
from seqjax.training.health import is_finite, summarise
from seqjax.training.interrupts import Interrupt, interruptible
from seqjax.training.processes import Together
from seqjax.training.progress import Batches, Progress, has_begun, restore_best
from seqjax.training.saving import BackgroundSaves
from seqjax.training.sources import END, counted
from seqjax.training.state import TrainState
from seqjax.training.step import StepFn


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

    The loop looks one step back: while a step is worked on, callbacks are told of the one before.
    Evaluations, checkpoints and the end wait for the step at hand, and so does the loop where one
    more lost step would be too many. Checkpoints are written while training goes on; all are
    written when this returns.

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
    if progress is None and checkpoints is not None and has_begun(checkpoints):
        raise ValueError(
            f"{checkpoints.folder} holds a run already; resume() it, or name another folder"
        )
    progress = Progress() if progress is None else progress
    source = batches if isinstance(batches, Batches) else counted(batches, progress.data)
    train_step = packed_step(train_step)
    every = every or steps
    with contextlib.ExitStack() as stack:
        interrupt = stack.enter_context(interruptible())
        saves = None
        if checkpoints is not None:
            # Left, and so written, before signals end the process again.
            saves = stack.enter_context(BackgroundSaves(checkpoints))
        run = _Run(
            progress,
            evaluate,
            monitor,
            saves,
            source,
            tuple(callbacks),
            max_skipped,
            on_nonfinite,
            Together.of(state),
        )
        run.began_finite = is_finite((state.params, state.ema))
        run.save(state)
        run.tell("start", {})
        if run.is_over(patience):
            return run.end(run.best(state), "stopped early")
        while progress.step < steps:
            batch = run.next_batch(state)
            if batch is END:
                return run.out_of_batches(state)
            state, metrics = train_step(state, batch)
            run.take(state, batch, metrics, interrupt)
            due = progress.step % every == 0 or progress.step == steps
            if due or run.signal(interrupt) or run.is_at_stake():
                run.settle(state)
            if due:
                run.assess(state)
            number = run.signal(interrupt)
            if due or number:
                run.settle(state)
                run.save(state)
            if number and progress.step < steps:
                return run.end(state, "interrupted", number)
            if due and run.is_over(patience):
                return run.end(run.best(state), "stopped early")
        return run.end(state, "finished")


@dataclasses.dataclass(frozen=True)
class _Taken:
    """Holds a step whose metrics were not looked at yet.

    Attributes:
      step: its number.
      batch: what it learnt from; None once no one will ask for it.
      metrics: as the step returned them, perhaps still being computed.
      asked: the signal that any process has got.
    """

    step: int
    batch: Any
    metrics: Any
    asked: Any


@dataclasses.dataclass
class _Run:
    progress: Progress
    evaluate: Callable | None
    monitor: str | Sequence[str] | None
    saves: BackgroundSaves | None
    batches: Batches
    callbacks: tuple[Callback, ...]
    max_skipped: int
    on_nonfinite: Callable | None
    together: Together
    began_finite: bool = True
    taken: _Taken | None = None
    asked: int = 0
    in_a_row: float = math.inf  # Unknown before the first step.

    def tell(self, kind: str, metrics: dict[str, Any], step: int | None = None) -> bool:
        """Tells all callbacks; returns whether one of them ends the run."""
        event = Event(kind, self.progress.step if step is None else step, metrics)
        # All of them are told, also after one has said to stop.
        answers = [callback(event) for callback in self.callbacks]
        return any(answer is True for answer in answers)

    def next_batch(self, state: TrainState) -> Any:
        """Returns the next batch, or `END`; where the source fails, the last step is told before."""
        try:
            return next(self.batches, END)
        except Exception:
            self.settle(state)
            raise

    def take(self, state: TrainState, batch: Any, metrics: Any, interrupt: Interrupt) -> None:
        """Counts a step that was begun, and looks at the one before."""
        self.progress.step += 1
        # Asked of all processes now and read with the metrics: it costs no wait of its own.
        asked = self.together.largest(interrupt.number, after=state.step)
        wanted = self.on_nonfinite is not None and self.progress.skipped == 0
        before = self.taken
        self.taken = _Taken(self.progress.step, batch if wanted else None, metrics, asked)
        if before is not None:
            self.look_at(before, state)

    def settle(self, state: TrainState) -> None:
        """Looks at the last step, if that was not done yet."""
        taken, self.taken = self.taken, None
        if taken is not None:
            self.look_at(taken, state)

    def signal(self, interrupt: Interrupt) -> int:
        """Returns the number of the signal that ends the run, 0 for none; the same on all processes."""
        return self.asked if self.together.several else interrupt.number

    def is_at_stake(self) -> bool:
        """Tells whether the run stops if the step at hand is lost as well."""
        return self.in_a_row + 1 >= self.max_skipped

    def look_at(self, taken: _Taken, state: TrainState) -> None:
        """Records a step; stops where too many in a row were lost."""
        progress = self.progress
        values = fetched(taken.metrics)
        if math.isinf(self.in_a_row) and self.saves is not None:
            # A log that tells of a step has a checkpoint beside it, for a run that is killed now.
            self.saves.wait()
        if self.together.several:
            self.asked = max(self.asked, int(jax.device_get(taken.asked)))
        self.in_a_row = values["skipped_in_a_row"]
        progress.since.append({name: values[name] for name in SUMMARISED})
        progress.skipped += not values["finite"]
        self.tell("step", values | {"skipped": progress.skipped}, taken.step)
        if values["finite"]:
            return
        if progress.skipped == 1 and self.on_nonfinite is not None:
            self.on_nonfinite(taken.step, taken.batch)
        if self.in_a_row >= self.max_skipped:
            self.save(state)
            healthy = math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])
            what = "updates" if healthy else "gradients"
            raise NonFiniteError(
                f"{int(self.in_a_row)} {what} in a row were not finite, "
                "the last at step "
                f"{taken.step}; lower the learning rate or the clipping threshold, "
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
        """Begins to write a checkpoint, where there shall be any."""
        if self.saves is None:
            return
        self.progress.data = self.batches.state()
        saved = dataclasses.asdict(self.progress)
        self.saves.save(self.progress.step, state, saved, self.progress.best_step)

    def is_over(self, patience: int | None) -> bool:
        return self.progress.stopped or (patience is not None and self.progress.stale >= patience)

    def best(self, state: TrainState) -> TrainState:
        """Returns the best state that was saved; without checkpoints the one given."""
        if self.saves is None:
            return state
        self.saves.wait()
        return restore_best(state, self.saves.checkpoints)

    def out_of_batches(self, state: TrainState) -> Outcome:
        """Ends a run that has no more batches: evaluates and saves, unless that was just done."""
        if self.progress.step == 0:
            raise ValueError("batches gave none; give at least one batch")
        self.settle(state)
        if self.progress.since:
            self.assess(state)
            self.save(state)
        return self.end(state, "out of batches")

    def end(self, state: TrainState, reason: str, number: int = 0) -> Outcome:
        self.tell("end", {})
        return Outcome(state, self.progress, reason, number)


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
