"""What training costs beside its steps, in CPU time: `python benchmarks/loop.py`.

`loop`: `training.fit_batches` with its log, less the bare jitted step, in ms of CPU a step.
`fit`: the same of `training.fit`, which makes batches of its examples as well. Both with a classifier
of 4 units, so that little else counts. `batch`: shuffled batches of a column in memory, in
microseconds of CPU a row. `save`: a checkpoint of a model of 1 MB: how long training waits for it,
and how long it takes to be on the disk. Each is a median over rounds, in which the sides alternate.
"""

import argparse
import functools
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

import seqjax
from seqjax import data, training
from seqjax.training.reports import MetricsLog
from seqjax.training.saving import BackgroundSaves

ROWS, TIME, FEATURES, BATCH = 512, 8, 4, 32
WARM = 100
"""Steps before the clock starts."""


class Clock:
    """A callback that notes the CPU time of the process at two steps."""

    def __init__(self, first: int, last: int):
        self.seconds = dict.fromkeys((first, last), 0.0)

    def __call__(self, event: training.Event) -> None:
        """Notes the time, where the step is one of them."""
        if event.kind == "step" and event.step in self.seconds:
            self.seconds[event.step] = time.process_time()

    def per_step(self) -> float:
        """Returns the CPU seconds of a step between the two."""
        (first, began), (last, ended) = self.seconds.items()
        return (ended - began) / (last - first)


def small_task() -> tuple[seqjax.Classifier, tuple[list, list]]:
    """Makes a task whose step is cheap, and its examples."""
    rng = np.random.default_rng(0)
    rows = list(rng.normal(size=(ROWS, TIME, FEATURES)).astype(np.float32))
    labels = ["ab"[row % 2] for row in range(ROWS)]
    task = seqjax.Classifier.of(rows, labels, recurrence=seqjax.GRU(4), backend="scan")
    return task, (rows, labels)


def fit_seconds(steps: int) -> float:
    """Returns the CPU seconds of a step of `training.fit` with its log."""
    task, examples = small_task()
    clock = Clock(WARM, WARM + steps)
    # Past the last step that is timed, so that neither the evaluation nor the save counts.
    last = WARM + steps + 1
    recipe = training.Recipe(steps=last, every=last, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        log = MetricsLog(Path(folder) / "metrics.jsonl")
        training.fit(task, examples, recipe=recipe, callbacks=[log, clock], quiet=True)
    return clock.per_step()


class Peers:
    """The bare jitted step and the loop around it, on one batch that lies on the device."""

    def __init__(self, steps: int):
        self.steps = steps
        self.task, examples = small_task()
        self.recipe = training.Recipe(steps=steps, batch_size=BATCH)
        self.optimiser = self.recipe.optimiser(steps)
        batches = self.task.batches(examples, batch_size=BATCH, seed=0, multiple_of=1)
        self.batch = jax.device_put(next(batches))
        clip = training.clip_by_norm(5.0)
        make = functools.partial(
            training.make_train_step, self.task.loss, self.optimiser, clip=clip
        )
        self.train_step = make()
        self.bare = jax.jit(make(jit=False), donate_argnums=0)

    def state(self) -> training.TrainState:
        """Makes a fresh state."""
        params = self.task.init(jax.random.key(0))
        return training.create_state(params, self.optimiser, 1)

    def bare_seconds(self) -> float:
        """Returns the CPU seconds of a bare step."""
        state, _ = self.bare(self.state(), self.batch)
        jax.block_until_ready(state)
        began = time.process_time()
        for _ in range(self.steps):
            state, _ = self.bare(state, self.batch)
        jax.block_until_ready(state)
        return (time.process_time() - began) / self.steps

    def loop_seconds(self) -> float:
        """Returns the CPU seconds of a step of `fit_batches` with a log."""
        clock = Clock(WARM, WARM + self.steps)
        with tempfile.TemporaryDirectory() as folder:
            log = MetricsLog(Path(folder) / "metrics.jsonl")
            training.fit_batches(
                self.state(),
                self.train_step,
                itertools.repeat(self.batch),
                steps=WARM + self.steps + 1,
                callbacks=[log, clock],
            )
        return clock.per_step()


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
    """Returns the seconds for which a save of 1 MB keeps training waiting, and until it is on the disk."""
    state = {f"layer_{index}": jax.numpy.ones((64, 512)) for index in range(8)}
    held, done = [], []
    with tempfile.TemporaryDirectory() as folder:
        with BackgroundSaves(training.Checkpoints(folder)) as saves:
            for step in range(rounds + 1):
                began = time.perf_counter()
                saves.save(step, state, {}, None)
                held.append(time.perf_counter() - began)
                saves.wait()
                done.append(time.perf_counter() - began)
    return statistics.median(held[1:]), statistics.median(done[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000, help="timed in each round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    peers = Peers(args.steps)
    found = {"bare": [], "loop": [], "fit": []}
    for _ in range(args.rounds):
        bare = peers.bare_seconds()
        found["bare"].append(bare)
        found["loop"].append(peers.loop_seconds() - bare)
        found["fit"].append(fit_seconds(args.steps) - bare)
    for name, seconds in found.items():
        middle, least, most = (1e3 * pick(seconds) for pick in (statistics.median, min, max))
        over = "" if name == "bare" else " over the bare one"
        print(f"{name}: {middle:.3f} ms a step{over} (from {least:.3f} to {most:.3f})")
    rows = [batch_seconds(100_000, 64, 200) for _ in range(args.rounds)]
    print(f"batch: {1e6 * statistics.median(rows):.2f} us a row")
    held, done = save_seconds(20)
    print(f"save: waits {1e3 * held:.1f} ms, done after {1e3 * done:.1f} ms")


if __name__ == "__main__":
    main()
