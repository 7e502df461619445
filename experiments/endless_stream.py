"""experiments.endless_stream: a network learns at every step of a stream that never ends.

    python -m experiments.endless_stream

One of four symbols at each step, none seen twice; wanted is the symbol of five steps before, then
of twenty. One LRU learns forwards in time by real-time recurrent learning: after each step it has
the exact gradient through all steps so far, in memory that does not grow with them. The same
network learns by backpropagation through windows of 1, 10 and 40 steps, its state carried on. All
have one learning rate, and see the same symbols.

Expect, at the end of each half, 0.0003 and 0.36 nats forwards, 0.02 and 0.52 with a window of 40,
0.02 and 0.71 with one of 10, 0.26 and 0.87 with one of 1; without a memory log 4 = 1.39. About a
minute on a shared core.
Papers: Williams and Zipser, 1989; Zucchet et al., "Online learning of long-range dependencies", 2023.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

import seqjax
from experiments.cli import launch
from seqjax import figures, training
from seqjax.diagnostics import cost, endless
from seqjax.figures import Section
from seqjax.training import Settings, option

WINDOWS = (1, 10, 40)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    hidden_size: int = option(32, "units of the LRU", least=1)
    delay: int = option(20, "steps to look back; a quarter of it in the first half", least=4)
    steps: int = option(50_000, "of the stream that are read", least=2 * max(WINDOWS))
    learning_rate: float = option(1e-3, "Adam's", least=0)


def main(config: Config) -> dict[str, Any]:
    """Learns in each way, draws, and writes the page; returns what `result.json` holds."""
    if config.resume is not None:
        raise ValueError(
            "experiments.endless_stream takes a minute and keeps no checkpoints; leave --resume out"
        )
    with training.Run("endless_stream", config) as run:
        run.begin("symbols drawn at random", config.seed)
        problem = endless.Echo((config.delay // 4, config.delay), config.steps // 2)
        recurrence = seqjax.LRU(config.hidden_size, min_radius=0.9, max_radius=0.999)
        log = training.MetricsLog(run.folder / "metrics.jsonl")
        losses, rows = {}, []
        for window in (None, *WINDOWS):
            name = "forwards" if window is None else f"window {window}"
            began = time.perf_counter()
            losses[name], learner = learn(config, problem, recurrence, window)
            seconds = time.perf_counter() - began
            kept = remembered(learner, problem, window)
            middle, end = told(losses[name][: problem.period]), told(losses[name])
            rows.append({"learning": name, "nats, first half": middle, "nats, second half": end})
            rows[-1] |= {"bytes of the past": kept, "seconds": seconds}
            log(training.Event("evaluation", config.steps, {f"{name}/nats": end}))
            run.say(f"{name:<10} {middle:.4f} nats at the end of the first half, {end:.4f} at last")
        picture = draw(run.folder / "stream.png", problem, losses)
        scores = {row["learning"]: row["nats, second half"] for row in rows}
        scores["without a memory"] = problem.chance
        section = Section("A stream without an end", WORDS, [picture], rows)
        return run.write_result(scores, {"steps": config.steps}, sections=[section])


def learn(
    config: Config, problem: endless.Echo, recurrence: seqjax.Recurrence, window: int | None
) -> tuple[np.ndarray, endless.Learner]:
    """Learns forwards, or back over windows; every way meets the same stream and parameters."""
    optimiser, key = optax.adam(config.learning_rate), jax.random.key(config.seed)
    if window is None:
        return endless.learn_online(problem, recurrence, optimiser, config.steps, key)
    return endless.learn_over_windows(problem, recurrence, optimiser, config.steps, window, key)


def remembered(learner: endless.Learner, problem: endless.Echo, window: int | None) -> int:
    """Counts the bytes of the past: state and sensitivity, or state and input of every step kept."""
    memory = cost.size_in_bytes(learner.memory)
    return memory if window is None else window * (memory + 4 * problem.symbols)


def told(losses: np.ndarray) -> float:
    """Returns the mean loss of the last twentieth of some steps."""
    return float(losses[-max(1, len(losses) // 20) :].mean())


def draw(path: Path, problem: endless.Echo, losses: dict[str, np.ndarray]) -> Path:
    """Draws the running loss of each way, and where the delay changes."""
    figure, span = figures.new_figure((8, 4.8)), max(1, problem.period // 100)
    axis = figure.add_subplot()
    for name, values in losses.items():
        means = endless.running_mean(values, span)
        axis.plot(span * (1 + np.arange(len(means))), means, label=name, linewidth=1.5)
    axis.axhline(problem.chance, color="k", linestyle="--", linewidth=1, label="without a memory")
    axis.axvline(problem.period, color="0.6", linewidth=1)
    axis.set(
        xlabel="step", ylabel=f"loss in nats, mean of {span} steps", ylim=(0, 2 * problem.chance)
    )
    delays = ", then ".join(str(delay) for delay in problem.delays)
    figures.add_title(figure, f"The symbol of {delays} steps before, learnt from a stream")
    figures.add_legends(figure)
    figures.save_figure(figure, path)
    return path


WORDS = """
Every step is learnt from when it is read, and forgotten. Forward learning carries the derivative of the state by
every parameter along with the state; of an LRU, whose units do not see each other, that is one number for each
parameter that the state depends on. A window forgets what was before it: where the delay is longer, what it learns
it learns from what the state happens to hold. The grey line is where the delay changes.
"""


if __name__ == "__main__":
    launch(Config, main, __doc__)
