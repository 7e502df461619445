"""`fit` and `fit_seeds`: train a task on examples."""

import contextlib
import dataclasses
import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import optax

from seqjax import data
from seqjax.tasks import Task, Trained
from seqjax.training.checkpoints import Checkpoints
from seqjax.training.health import clip_by_norm, is_finite
from seqjax.training.loop import Callback, Outcome, fit_batches
from seqjax.training.progress import restore_best, resume
from seqjax.training.recipe import Recipe
from seqjax.training.reports import progress_bar
from seqjax.training.seeds import all_at_once, stacked, unstacked
from seqjax.training.sharding import gather, make_mesh, shard_batch, shard_params
from seqjax.training.state import TrainState, create_state
from seqjax.training.step import StepFn, make_train_step
from seqjax.typing import KeyArray, Params


class Interrupted(Exception):
    """A signal ended a training.

    Attributes:
      trained: the task with its best parameters so far; of `fit_seeds` a list.
      signal: the number of the signal.
    """

    def __init__(self, message: str, trained: Any, signal: int):
        super().__init__(message)
        self.trained, self.signal = trained, signal


class Carried(NamedTuple):
    """What training hands from batch to batch for a task whose batches continue each other.

    Attributes:
      step: the number of the step.
      carry: what the task's loss returned as `Aux.extra`; at first its `initial_carry`.
    """

    step: jax.Array
    carry: Any


def fit(
    task: Task,
    examples: Any,
    *,
    validation: Any = None,
    recipe: Recipe = Recipe(),  # noqa: B008
    folder: str | os.PathLike | None = None,
    devices: int = 1,
    callbacks: Sequence[Callback] = (),
    on_nonfinite: Callable[[int, Any], None] | None = None,
    quiet: bool = False,
) -> Trained:
    """Trains a task on raw examples and shows how it goes.

    Args:
      task: what is learnt.
      examples: what to learn from, as the task takes them.
      validation: examples that choose the best parameters; None keeps the last ones.
      recipe: how to train.
      folder: where checkpoints are kept; one that holds some of this training is gone on with. None
        keeps them in a temporary folder until training ends.
      devices: how many to spread each batch over.
      callbacks: functions of a `seqjax.training.Event`.
      on_nonfinite: is given the step and the batch of the first gradient that is not finite.
      quiet: show no progress bar.

    Returns:
      The task with its best parameters.

    Raises:
      Interrupted: a signal ended the training; with a folder the same call goes on.
      NonFiniteError: too many gradients in a row were not finite.
      ValueError: an example or a setting cannot be learnt from (which), or the folder holds another
        training.

    Example:
      >>> import numpy as np, seqjax
      >>> from seqjax import training
      >>> rows = [np.full((length, 1), length % 2, np.float32) for length in range(3, 13)]
      >>> labels = ["odd" if len(row) % 2 else "even" for row in rows]
      >>> task = seqjax.Classifier.of(rows, labels, recurrence=seqjax.GRU(4))
      >>> recipe = training.Recipe(epochs=40, learning_rate=0.05)
      >>> trained = training.fit(task, (rows, labels), recipe=recipe, quiet=True)
      >>> trained.predict(rows[:2])
      ['odd', 'even']
    """
    runs = _Runs(
        functools.partial(fresh_state, task, recipe),
        functools.partial(_train_step, task, recipe),
        lambda state: [parameters_of(state)],
        lambda found: found[0],
    )
    how = {"devices": devices, "on_nonfinite": on_nonfinite}
    return _fit(task, examples, runs, validation, recipe, folder, callbacks, quiet, **how)


def fit_seeds(
    task: Task,
    examples: Any,
    seeds: Sequence[int],
    *,
    validation: Any = None,
    recipe: Recipe = Recipe(),  # noqa: B008
    folder: str | os.PathLike | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> list[Trained]:
    """Trains a task from several seeds side by side, as one program.

    Each run has parameters, dropout and an optimiser of its own, clips and skips by itself, and is
    what `fit` would make of it; all see the same batches, those of the recipe's seed, and are kept
    at the step whose mean score is best. What they say is then averaged: by `forecasting.Blend`,
    `decoding.Ensemble`, or a mean and spread of their scores.

    Args:
      task: what is learnt.
      examples: what to learn from, as the task takes them.
      seeds: of the parameters and of what is drawn in training, one for each run.
      validation: examples that choose the best step; None keeps the last one.
      recipe: how to train.
      folder: where checkpoints are kept, see `fit`.
      callbacks: functions of a `seqjax.training.Event`, whose metrics are means over the runs.
      quiet: show no progress bar.

    Returns:
      A trained task for each seed.

    Raises:
      Interrupted: a signal ended the training; its `trained` is the list.
      NonFiniteError: too many gradients of one run in a row were not finite.
      ValueError: as of `fit`, or there is no seed.

    Example:
      >>> import numpy as np, seqjax
      >>> from seqjax import training
      >>> rows = [np.full((length, 1), length % 2, np.float32) for length in range(3, 13)]
      >>> labels = ["odd" if len(row) % 2 else "even" for row in rows]
      >>> task = seqjax.Classifier.of(rows, labels, recurrence=seqjax.GRU(4))
      >>> recipe = training.Recipe(epochs=40, learning_rate=0.05)
      >>> found = training.fit_seeds(task, (rows, labels), range(3), recipe=recipe, quiet=True)
      >>> [trained.evaluate((rows, labels))["accuracy"] for trained in found]
      [1.0, 1.0, 1.0]
    """
    seeds = tuple(seeds)
    if not seeds:
        raise ValueError("fit_seeds was given no seed; give at least one, such as range(3)")

    def fresh(optimiser: optax.GradientTransformation) -> TrainState:
        recipes = [dataclasses.replace(recipe, seed=seed) for seed in seeds]
        return stacked([fresh_state(task, each, optimiser) for each in recipes])

    def step(optimiser: optax.GradientTransformation) -> StepFn:
        return all_at_once(_train_step(task, recipe, optimiser, jit=False))

    def params(state: TrainState) -> list[Params]:
        return unstacked(parameters_of(state), len(seeds))

    runs = _Runs(fresh, step, params, list)
    return _fit(task, examples, runs, validation, recipe, folder, callbacks, quiet)


class _Runs(NamedTuple):
    """One run, or several side by side.

    Attributes:
      fresh: makes the state before the first step, given the optimiser.
      step: makes the training step, given the optimiser.
      params: the parameters of each run that are scored and kept, given the state.
      answer: what the caller is given, of the trained task of each run.
    """

    fresh: Callable[[optax.GradientTransformation], TrainState]
    step: Callable[[optax.GradientTransformation], StepFn]
    params: Callable[[TrainState], list[Params]]
    answer: Callable[[list[Trained]], Any]


def _fit(
    task: Task,
    examples: Any,
    runs: _Runs,
    validation: Any,
    recipe: Recipe,
    folder: str | os.PathLike | None,
    callbacks: Sequence[Callback],
    quiet: bool,
    devices: int = 1,
    on_nonfinite: Callable[[int, Any], None] | None = None,
) -> Any:
    """Trains one run or several, see `fit`; returns their answer."""
    with kept_or_passing(folder) as where:
        checkpoints = Checkpoints(where)
        batches = task.batches(
            examples, batch_size=recipe.batch_size, seed=recipe.seed, multiple_of=devices
        )
        steps = recipe.total_steps(batches.batches_per_epoch)
        optimiser = recipe.optimiser(steps)
        batches = data.mapped(own_share, batches)
        state, progress = resume(runs.fresh(optimiser), batches, checkpoints)
        mesh = make_mesh(devices)
        judged = validation is not None

        def evaluate(state: TrainState) -> dict[str, float]:
            found = [gather(params) if mesh.size > 1 else params for params in runs.params(state)]
            scores = [task.evaluate(params, validation) for params in found]
            return {name: sum(each[name] for each in scores) / len(scores) for name in scores[0]}

        with (
            data.prefetch(batches, device_put=functools.partial(shard_batch, mesh)) as placed,
            progress_bar(
                steps,
                per_step=recipe.batch_size or getattr(task, "batch_size", 1),
                unit=getattr(task, "unit", "examples"),
                quiet=quiet,
            ) as bar,
        ):
            outcome = fit_batches(
                shard_params(mesh, state),
                runs.step(optimiser),
                placed,
                steps=steps,
                progress=progress,
                evaluate=evaluate if judged else None,
                every=recipe.steps_between_evaluations(batches.batches_per_epoch),
                monitor=task.monitor if judged else None,
                patience=recipe.patience if judged else None,
                checkpoints=checkpoints,
                callbacks=(*callbacks, bar),
                on_nonfinite=on_nonfinite,
            )
        if outcome.reason != "interrupted" and judged and outcome.progress.best is None:
            raise ValueError(
                f"the training diverged: {task.monitor[0]} was never a finite number in {steps} "
                "steps; lower the learning rate or the clipping threshold"
            )
        best = runs.params(_best(outcome, checkpoints))
        answer = runs.answer([Trained(task, gather(params)) for params in best])
    if outcome.reason == "interrupted":
        message = f"stopped at step {outcome.progress.step} of {steps}"
        raise Interrupted(message, answer, outcome.signal)
    return answer


def kept_or_passing(folder: str | os.PathLike | None) -> contextlib.AbstractContextManager:
    """Gives the folder, or one that is gone afterwards."""
    if folder is None:
        return tempfile.TemporaryDirectory(prefix="seqjax-")
    return contextlib.nullcontext(folder)


def _train_step(
    task: Task, recipe: Recipe, optimiser: optax.GradientTransformation, jit: bool = True
) -> StepFn:
    clip = None
    if recipe.clip is not None:
        clip = clip_by_norm(recipe.clip)
    loss = functools.partial(_loss, task)
    return make_train_step(loss, optimiser, clip=clip, ema_decay=recipe.average, jit=jit)


def _best(outcome: Outcome, checkpoints: Checkpoints) -> TrainState:
    """Gives the state with the best score, or the last one where nothing was scored.

    A training often ends with it, and then nothing needs to be read.
    """
    state, best = outcome.state, outcome.progress.best_step
    # Runs side by side have taken the same steps.
    at_hand = int(jax.device_get(state.step).max()) == (best or outcome.progress.step)
    if at_hand and is_finite((state.params, state.ema)):
        return state
    return restore_best(state, checkpoints)


def own_share(batch: Any) -> Any:
    """Takes this process's rows of a batch that every process makes."""
    index, count = jax.process_index(), jax.process_count()
    if count == 1:
        return batch

    def share(rows: Any) -> Any:
        size = len(rows) // count
        return rows[size * index : size * (index + 1)]

    return jax.tree.map(share, batch)


def fresh_state(task: Task, recipe: Recipe, optimiser: optax.GradientTransformation) -> TrainState:
    """Makes the state before the first step.

    It counts the steps for the task's loss, and holds the task's `initial_carry` where there is one.
    """
    init_key, run_key = jax.random.split(jax.random.key(recipe.seed))
    params = task.init(init_key)
    extra: Any = jax.numpy.zeros((), jax.numpy.int32)
    carry = _initial_carry(task, params, recipe.batch_size)
    if carry is not None:
        extra = Carried(extra, carry)
    return create_state(params, optimiser, run_key, extra=extra, ema=recipe.average is not None)


def _initial_carry(task: Any, params: Params, batch_size: int | None) -> Any:
    """Gives what a task carries before its first batch; None for most tasks."""
    if not hasattr(task, "initial_carry"):
        return None
    return task.initial_carry(params, batch_size or task.batch_size)


def parameters_of(state: TrainState) -> Params:
    """Gives the parameters that are scored and kept: the average where there is one."""
    return state.params if state.ema is None else state.ema


def _loss(
    task: Any, params: Params, batch: Any, rng: KeyArray, extra: Any
) -> tuple[jax.Array, Any]:
    """The task's loss; what the next batch shall see goes into `Aux.extra`."""
    if isinstance(extra, Carried):
        loss, aux = task.loss(params, batch, rng, extra.step, extra.carry)
        return loss, aux._replace(extra=Carried(extra.step + 1, aux.extra))
    loss, aux = task.loss(params, batch, rng, extra)
    return loss, aux._replace(extra=extra + 1)
