"""Where a run stands, and how it is taken up again from its checkpoints."""

import dataclasses
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from seqjax.training.checkpoints import CheckpointError, Checkpoints
from seqjax.training.sources import skip, taken_at
from seqjax.training.state import TrainState


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


def has_begun(checkpoints: Checkpoints) -> bool:
    """Tells whether the folder holds checkpoints, sound or not."""
    folder = checkpoints.folder
    return folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())


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
    if not has_begun(checkpoints):
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
