"""`fit`: trains a task on examples."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import optax
from jax.sharding import Mesh

from seqjax import data
from seqjax.tasks import Task, Trained
from seqjax.training.checkpoints import Checkpoints
from seqjax.training.health import clip_by_norm, is_finite
from seqjax.training.loop import Callback, Outcome, fit_batches
from seqjax.training.progress import restore_best, resume
from seqjax.training.recipe import Recipe
from seqjax.training.reports import progress_bar
from seqjax.training.sharding import gather, make_mesh, shard_batch, shard_params
from seqjax.training.state import TrainState, create_state
from seqjax.training.step import make_train_step
from seqjax.typing import KeyArray, Params


class Interrupted(Exception):
    """A signal ended a training.

    Attributes:
      trained: the task with its best parameters so far.
      signal: the number of the signal.
    """

    def __init__(self, message: str, trained: Trained, signal: int):
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
    with kept_or_passing(folder) as where:
        checkpoints = Checkpoints(where)
        batches = task.batches(
            examples, batch_size=recipe.batch_size, seed=recipe.seed, multiple_of=devices
        )
        steps = recipe.total_steps(batches.batches_per_epoch)
        optimiser = recipe.optimiser(steps)
        batches = data.mapped(own_share, batches)
        state, progress = resume(fresh_state(task, recipe, optimiser), batches, checkpoints)
        mesh = make_mesh(devices)
        judged = validation is not None
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
                _train_step(task, recipe, optimiser),
                placed,
                steps=steps,
                progress=progress,
                evaluate=functools.partial(_evaluate, task, validation, mesh) if judged else None,
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
        best = parameters_of(_best(outcome, checkpoints))
        trained = Trained(task, gather(best))
    if outcome.reason == "interrupted":
        message = f"stopped at step {outcome.progress.step} of {steps}"
        raise Interrupted(message, trained, outcome.signal)
    return trained


def kept_or_passing(folder: str | os.PathLike | None) -> contextlib.AbstractContextManager:
    """Gives the folder, or one that is gone afterwards."""
    if folder is None:
        return tempfile.TemporaryDirectory(prefix="seqjax-")
    return contextlib.nullcontext(folder)


def _train_step(task: Task, recipe: Recipe, optimiser: optax.GradientTransformation) -> Callable:
    clip = None
    if recipe.clip is not None:
        clip = clip_by_norm(recipe.clip)
    loss = functools.partial(_loss, task)
    return make_train_step(loss, optimiser, clip=clip, ema_decay=recipe.average)


def _evaluate(task: Task, validation: Any, mesh: Mesh, state: TrainState) -> dict[str, float]:
    params = parameters_of(state)
    if mesh.size > 1:
        params = gather(params)
    return task.evaluate(params, validation)


def _best(outcome: Outcome, checkpoints: Checkpoints) -> TrainState:
    """Gives the state with the best score, or the last one where nothing was scored.

    A training often ends with it, and then nothing needs to be read.
    """
    state, best = outcome.state, outcome.progress.best_step
    at_hand = int(jax.device_get(state.step)) == (best or outcome.progress.step)
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
