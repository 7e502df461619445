"""`Recipe`: how a task is trained."""

import dataclasses
import math

import optax

from seqjax.training.options import Options, option

SCHEDULES = ("constant", "cosine")
LEAST_STEPS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Options):
    """How a task is trained: Adam, clipped gradients, and what else a person sets.

    Attributes:
      steps: batches to learn from; None counts `epochs`.
      epochs: passes over the examples, where `steps` is None. Without either there are 10, or as
        many as make 1,000 steps, so that few examples are learnt as well.
      batch_size: examples of a batch, in the task's own unit; None takes the task's default.
      learning_rate: Adam's, at its highest.
      schedule: `"constant"`, or `"cosine"`, which falls to 0 at the last step.
      warmup: share of the steps over which the rate rises from 0.
      weight_decay: AdamW's; 0 for plain Adam.
      clip: largest norm of a gradient; None clips nothing.
      average: decay of a moving average of the parameters, which is then what is scored and kept;
        None for none.
      every: steps between evaluations; None takes an epoch, and from 10 to 20 evaluations in all.
      patience: evaluations without a better score before training stops; None never stops early.
      seed: of all that is random.

    Raises:
      ValueError: a setting is out of its range.
    """

    steps: int | None = option(None, "training steps", least=1)
    epochs: int | None = option(None, "passes over the training examples", least=1)
    batch_size: int | None = option(None, "examples of a step", least=1)
    learning_rate: float = option(2e-3, "Adam's, at its highest", least=0)
    schedule: str = option("cosine", "of the learning rate", choices=SCHEDULES)
    warmup: float = option(0.0, "share of the steps over which the rate rises", least=0, below=1)
    weight_decay: float = option(0.0, "AdamW's; 0 for plain Adam", least=0)
    clip: float | None = option(5.0, "largest gradient norm", least=1e-12)
    average: float | None = option(
        None, "decay of a moving average of the weights, which is scored", least=0, below=1
    )
    every: int | None = option(None, "steps between evaluations and checkpoints", least=1)
    patience: int | None = option(
        None, "evaluations without a better score before training stops", least=1
    )
    seed: int = option(0, "seed of all that is random", least=0)

    def __post_init__(self):
        self.check()

    def total_steps(self, batches_per_epoch: int) -> int:
        """Counts the steps of the whole training."""
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return self.epochs * batches_per_epoch
        return max(LEAST_STEPS, 10 * batches_per_epoch)

    def steps_between_evaluations(self, batches_per_epoch: int) -> int:
        """Counts the steps from one evaluation to the next."""
        steps = self.total_steps(batches_per_epoch)
        return self.every or min(
            max(batches_per_epoch, math.ceil(steps / 20)), math.ceil(steps / 10)
        )

    def optimiser(self, steps: int) -> optax.GradientTransformation:
        """Makes Adam, or AdamW, with the rate of each of so many steps."""
        rate = self.rate(steps)
        return (
            optax.adamw(rate, weight_decay=self.weight_decay)
            if self.weight_decay
            else optax.adam(rate)
        )

    def rate(self, steps: int) -> float | optax.Schedule:
        """Gives the learning rate: a number, or a function of the step."""
        rise = round(self.warmup * steps)
        if self.schedule == "cosine" and rise:
            return optax.warmup_cosine_decay_schedule(
                0.0, self.learning_rate, rise, max(steps, rise + 1)
            )
        if self.schedule == "cosine":
            return optax.cosine_decay_schedule(self.learning_rate, steps)
        if rise:
            return optax.linear_schedule(0.0, self.learning_rate, rise)
        return self.learning_rate
