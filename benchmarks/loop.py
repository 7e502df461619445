"""What training costs beside its steps, in CPU time: `python benchmarks/loop.py`.

`step`: `training.fit` with a log, less the bare jitted step on batches that lie on the device, in ms
of CPU a step; a classifier of 4 units, so that little else counts. `batch`: shuffled batches of a
column in memory, in microseconds of CPU a row. `save`: a checkpoint of a model of 1 MB: how long the
loop waits for it, and how long until it is on the disk. Each is a median over rounds; the two sides
of `step` alternate.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

import seqjax
from seqjax import data, training
from seqjax.training.fitting import fresh_state
from seqjax.training.reports import MetricsLog

ROWS, TIME, FEATURES, BATCH = 512, 8, 4, 32
WARM = 100
"""Steps before the clock starts."""


class Clock:
    """A callback that notes the CPU time of the process at two steps."""

    def __init__(self, first: int, last: int):
        self.seconds = dict.fromkeys((first, last), 0.0)

    def __call__(self, event: training.Event) -> None:
        if event.kind == "step" and event.step in self.seconds:
            self.seconds[event.step] = time.process_time()

    def per_step(self) -> float:
        (first, began), (last, ended) = self.seconds.items()
        return (ended - began) / (last - first)


def small_task() -> tuple[seqjax.Classifier, tuple[list, list]]:
    """Makes a task whose step is cheap, and its examples."""
    rng = np.random.default_rng(0)
    rows = list(rng.normal(size=(ROWS, TIME, FEATURES)).astype(np.float32))
    labels = ["ab"[row % 2] for row in range(ROWS)]
    task = seqjax.Classifier.of(rows, labels, recurrence=seqjax.GRU(4), backend="scan")
    return task, (rows, labels)


def fitted(steps: int) -> float:
    """Returns the CPU seconds of a step of `training.fit` with its log."""
    task, examples = small_task()
    clock = Clock(WARM, WARM + steps)
    # Past the last step that is timed, so that neither the evaluation nor the save counts.
    recipe = training.Recipe(steps=WARM + steps + 1, every=WARM + steps + 1, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        log = MetricsLog(Path(folder) / "metrics.jsonl")
        training.fit(task, examples, recipe=recipe, callbacks=[log, clock], quiet=True)
    return clock.per_step()


def bare_step(steps: int):
    """Returns a function that takes so many bare steps and gives the CPU seconds of one."""
    import optax

    task, examples = small_task()
    recipe = training.Recipe(steps=steps, batch_size=BATCH)
    optimiser = recipe.optimiser(steps)
    batch = jax.device_put(next(task.batches(examples, batch_size=BATCH, seed=0, multiple_of=1)))
    loss = lambda params, batch, rng, step: task.loss(params, batch, rng, step)  # noqa: E731
    clip = training.clip_by_norm(recipe.clip)
    plain = training.make_train_step(loss, optimiser, clip=clip, jit=False)
    step = jax.jit(plain, donate_argnums=0)
    assert isinstance(optimiser, optax.GradientTransformation)

    def run() -> float:
        state = fresh_state(task, recipe, optimiser).replace(extra=None)
        state, _ = step(state, batch)
        jax.block_until_ready(state)
        began = time.process_time()
        for _ in range(steps):
            state, _ = step(state, batch)
        jax.block_until_ready(state)
        return (time.process_time() - began) / steps

    return run


def batch_seconds(records: int, batch: int, batches: int) -> float:
    """Returns the CPU seconds of a row of shuffled batches."""
    source = data.Records({"x": np.arange(records, dtype=np.int32)})
    stream = data.batches(source, batch, seed=0)
    next(stream)
    began = time.process_time()
    for _ in range(batches):
        next(stream)
    return (time.process_time() - began) / (batches * batch)


def save_seconds(rounds: int) -> tuple[float, float]:
    """Returns the seconds for which a save of 1 MB keeps its caller, and until it is on the disk."""
    state = {f"layer_{index}": jax.numpy.ones((64, 512)) for index in range(8)}
    held, done = [], []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = training.Checkpoints(folder)
        for step in range(rounds + 1):
            began = time.perf_counter()
            checkpoints.save(step, state, {})
            held.append(time.perf_counter() - began)
            if hasattr(checkpoints, "wait"):
                checkpoints.wait()
            done.append(time.perf_counter() - began)
    return statistics.median(held[1:]), statistics.median(done[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000, help="timed in each round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    bare = bare_step(args.steps)
    over, alone = [], []
    for _ in range(args.rounds):
        alone.append(bare())
        over.append(fitted(args.steps) - alone[-1])
    step, least, most = (1e3 * pick(over) for pick in (statistics.median, min, max))
    print(f"step: {step:.3f} ms over the bare {1e3 * statistics.median(alone):.3f} ms", end="")
    print(f" (from {least:.3f} to {most:.3f})")
    rows = [batch_seconds(100_000, 64, 200) for _ in range(args.rounds)]
    print(f"batch: {1e6 * statistics.median(rows):.2f} us a row")
    held, done = save_seconds(20)
    print(f"save: waits {1e3 * held:.1f} ms, done after {1e3 * done:.1f} ms")


if __name__ == "__main__":
    main()
