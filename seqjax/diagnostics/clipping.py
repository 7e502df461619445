"""What clipping cures: a network recalls its first input, many seeds side by side, and how they fared.

problem = Recall(hidden_size=32, length=100, rows=16)
history = train_side_by_side(problem, optax.sgd(0.01), clip, steps=300, seeds=10, key=key)
Verdict.of(history, problem.baseline)
"""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Shaped

from seqjax import training
from seqjax.cells import Elman
from seqjax.typing import Backend, KeyArray, Params
from seqjax.unrolling import unroll


@dataclasses.dataclass(frozen=True)
class Recall:
    """A relu network tells its first input after many steps of small noise.

    The first input is uniform in [-1, 1]; the recurrent matrix begins as the identity (Le, Jaitly
    and Hinton, 2015), and collects its gradient over the whole time.

    Attributes:
      hidden_size: units.
      length: steps to remember over.
      rows: sequences of a training step.
      noise: standard deviation of the further inputs.
      backend: see `seqjax.unroll`.
    """

    hidden_size: int
    length: int
    rows: int
    noise: float = 1e-3
    backend: Backend = "auto"

    baseline: ClassVar[float] = 1 / 3
    """The squared error of answering 0 always."""

    @property
    def recurrence(self) -> Elman:
        """The network without its output."""
        return Elman(self.hidden_size, activation="relu")

    def fresh_state(
        self, key: KeyArray, optimiser: optax.GradientTransformation
    ) -> training.TrainState:
        """Makes the training state of one seed."""
        net_key, head_key, run_key = jax.random.split(key, 3)
        net = dict(self.recurrence.init(net_key, 1))
        net["w_h"] = jnp.eye(self.hidden_size)
        weights = jax.random.normal(head_key, (self.hidden_size,)) * self.hidden_size**-0.5
        params = {"net": net, "w": weights, "b": jnp.zeros(())}
        return training.create_state(params, optimiser, run_key)

    def draw(self, key: KeyArray) -> tuple[Float[Array, "rows time 1"], Float[Array, " rows"]]:
        """Draws inputs, and the numbers to recall."""
        first_key, noise_key = jax.random.split(key)
        first = jax.random.uniform(first_key, (self.rows,), minval=-1.0)
        xs = self.noise * jax.random.normal(noise_key, (self.rows, self.length, 1))
        return xs.at[:, 0, 0].set(first), first

    def loss(
        self, params: Params, batch: None, rng: KeyArray, extra: Any
    ) -> tuple[Float[Array, ""], training.Aux]:
        """Computes the squared error on rows that it draws itself."""
        xs, first = self.draw(rng)
        _, ys = unroll(self.recurrence, params["net"], xs, backend=self.backend)
        # [rows, time, hidden] -> [rows]
        answers = ys[:, -1] @ params["w"] + params["b"]
        return jnp.square(answers - first).mean(), training.Aux(weight=self.rows)


class History(NamedTuple):
    """The metrics of every step and seed, `[steps, seeds]`.

    Attributes:
      loss: of the step's rows.
      gradient_norm: before clipping.
      clipped_norm: after it.
      clipped: whether the gradient was clipped, 0 or 1.
      finite: whether loss and gradient were finite, 0 or 1; other steps are skipped.
    """

    loss: Shaped[np.ndarray, "steps seeds"]
    gradient_norm: Shaped[np.ndarray, "steps seeds"]
    clipped_norm: Shaped[np.ndarray, "steps seeds"]
    clipped: Shaped[np.ndarray, "steps seeds"]
    finite: Shaped[np.ndarray, "steps seeds"]


class Verdict(NamedTuple):
    """How seeds fared.

    Attributes:
      diverged: seeds that met a loss or gradient that was not finite, or whose last tenth of steps
        has a mean loss above the baseline.
      converged: seeds that met none, and whose last tenth is ten times better than the baseline.
      median_loss: of the last tenth, over the seeds.
      largest_loss: of the last tenth.
      largest_norm: of a finite gradient.
      share_of_clipped_steps: among those that were finite.
      steps_not_finite: of all seeds.
    """

    diverged: int
    converged: int
    median_loss: float
    largest_loss: float
    largest_norm: float
    share_of_clipped_steps: float
    steps_not_finite: int

    @classmethod
    def of(cls, history: History, baseline: float) -> "Verdict":
        """Computes the verdict on a training.

        Args:
          history: of the seeds.
          baseline: the loss without learning.
        """
        finite = history.finite > 0
        sound = finite.all(0)
        # [seeds]
        last = history.loss[-len(history.loss) // 10 :].mean(0)
        norms = history.gradient_norm
        bounded = np.where(np.isfinite(last), last, np.inf)
        return cls(
            diverged=int((~sound | (last > baseline)).sum()),
            converged=int((sound & (last < baseline / 10)).sum()),
            median_loss=float(np.median(bounded)),
            largest_loss=float(bounded.max()),
            largest_norm=float(norms[np.isfinite(norms)].max()),
            share_of_clipped_steps=float(history.clipped[finite].mean()),
            steps_not_finite=int((~finite).sum()),
        )

    def summary(self) -> dict[str, float]:
        """Lists the figures by what they are called in a table."""
        return {name.replace("_", " "): float(value) for name, value in self._asdict().items()}


def train_side_by_side(
    problem: Recall,
    optimiser: optax.GradientTransformation,
    clip: optax.GradientTransformation | None,
    *,
    steps: int,
    seeds: int,
    key: KeyArray,
) -> History:
    """Trains many seeds at once, each on rows of its own.

    Args:
      problem: what is learnt.
      optimiser: such as `optax.sgd(0.01)`.
      clip: a transformation of the gradient, such as `training.clip_by_norm(0.25)`; None for none.
      steps: of each seed.
      seeds: how many.
      key: split into one key for each seed.
    """
    create = functools.partial(problem.fresh_state, optimiser=optimiser)
    states = training.create_states(create, key, seeds)
    step = training.make_train_step(problem.loss, optimiser, clip=clip, jit=False)
    step = training.over_seeds(step)
    lines: dict[str, list[jax.Array]] = {name: [] for name in History._fields}
    for _ in range(steps):
        states, metrics = step(states, None)
        for name, values in lines.items():
            values.append(metrics[name])
    return History(**{name: np.array(values) for name, values in lines.items()})
