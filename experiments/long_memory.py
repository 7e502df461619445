"""experiments.long_memory: how far back can each network remember?

    python -m experiments.long_memory                            # adding, 200 steps, LSTM
    python -m experiments.long_memory --task adding --suite      # five cells, in one picture
    python -m experiments.long_memory --task copy --suite        # copy memory over 100 steps
    python -m experiments.long_memory --task psmnist --cell lru  # MNIST, pixels in a random order

* adding: of T numbers in [0, 1] two are marked, one in each half; the last output should be their
  sum. Answering 1 always costs 1/6; below 1e-3 it counts as solved.
* copy: ten symbols of eight kinds, T blanks, and a signal to repeat them. Without a memory one pays
  10 ln 8 / (T + 20) nats; below a tenth of it the task counts as solved.
* smnist, psmnist: a digit pixel by pixel, in order or in one fixed random order; the score is the
  error. A twelfth of the training digits chooses the best step.

Gates begin with memories as long as the task, of lengths spread from 1 to T (Tallec and Ollivier,
2018; --no-chrono begins as usual); the linear recurrences have two residual layers. Adam, gradient
norm clipped at 1, the learning rate falls along a cosine; a run ends early once its validation
score is half of what counts as solved. A suite is a run folder with one run in it for each cell;
--resume goes on with all of them.

Expect: adding over 200 steps is solved by the GRU after 1,500 steps, MinGRU 2,000, LSTM 2,300
(5,000 take eight minutes on a shared core), never by the Elman network; over 600 steps by the GRU
after 1,600, MinGRU 2,200, LSTM 2,300, by the LRU not within 5,000; over 1,000 steps by the GRU after
2,000. Copying over 100 steps is solved by the LRU within 200, the GRU 2,300, by LSTM and MinGRU not
within 5,000; over 1,000 steps by the LRU after 900 (--steps 1500). Of permuted MNIST 1,500 steps,
one epoch, leave the LRU an error of 7%, 9,000 steps 4.1%; the GRU 69%, and 5,000 steps 34%.
Papers: Hochreiter and Schmidhuber, 1997; Arjovsky, Shah and Bengio, 2016; Le, Jaitly and Hinton, 2015.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import optax

import seqjax
from experiments.cli import launch
from experiments.mnist_rows import PERMUTATION, SIDE
from seqjax import datasets, figures, training
from seqjax.diagnostics import memory
from seqjax.training import RunConfig, option
from seqjax.training.folders import read_json

CLASSIC = {
    "elman": seqjax.Elman,
    "lstm": seqjax.LSTM,
    "gru": seqjax.GRU,
    "mgu": seqjax.MGU,
    "indrnn": lambda hidden: seqjax.IndRNN(hidden, min_weight=0.9),
    "slstm": lambda hidden: seqjax.SLSTM(hidden, heads=4),
}
PARALLEL = {
    "lru": lambda hidden, low, high: seqjax.LRU(hidden, min_radius=low, max_radius=high),
    "rglru": lambda hidden, low, high: seqjax.RGLRU(hidden, min_decay=low, max_decay=high),
    "min_gru": lambda hidden, low, high: seqjax.MinGRU(hidden),
    "mlstm": lambda hidden, low, high: seqjax.MLSTM(hidden, heads=4, layer_norm=True),
}
SUITES = {
    "adding": ("elman", "lstm", "gru", "lru", "min_gru"),
    "copy": ("elman", "lstm", "gru", "lru", "min_gru"),
    "smnist": ("gru", "lru", "min_gru"),
    "psmnist": ("gru", "lru", "min_gru"),
}
LENGTHS = {"adding": 200, "copy": 100, "smnist": SIDE * SIDE, "psmnist": SIDE * SIDE}
RATES = {"adding": 2e-3, "copy": 1e-2, "smnist": 2e-3, "psmnist": 2e-3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    task: str = option("adding", "what to remember", choices=tuple(LENGTHS))
    length: int | None = option(
        None, "steps to remember over (default: 200 for adding, 100 for copy)", least=2
    )
    cell: str = option("lstm", "recurrent layer", choices=(*CLASSIC, *PARALLEL))
    suite: bool = option(False, "five cells (three of digits), one after another")
    chrono: bool = option(True, "begin with memories as long as the task")
    hidden_size: int = option(128, "units of a layer", least=1)
    enough: float = option(
        0.5, "end at this share of the score that counts as solved; 0 takes all steps", least=0
    )
    test_rows: int = option(
        1000, "sequences that choose the best step, and as many that score it", least=1
    )
    steps: int | None = option(5000, "training steps at most", least=1)
    batch_size: int | None = option(32, "sequences a step", least=1)
    learning_rate: float | None = option(
        None, "Adam's, at first (default: 0.002, 0.01 for copy)", least=0
    )
    clip: float | None = option(1.0, "largest gradient norm", least=1e-12)
    every: int | None = option(100, "steps between evaluations and checkpoints", least=1)

    @property
    def span(self) -> int:
        """Steps to remember over."""
        return self.length or LENGTHS[self.task]

    def rate(self, steps: int) -> optax.Schedule:
        """Gives a rate that falls to a hundredth along a cosine."""
        first = RATES[self.task] if self.learning_rate is None else self.learning_rate
        return optax.cosine_decay_schedule(first, steps, alpha=0.01)


def main(config: Config) -> dict[str, Any]:
    """Trains one cell, or with `suite` all of them; returns what `result.json` holds."""
    with training.Run("long_memory", config) as run:
        config = run.config
        if config.suite:
            return run_suite(run)
        problem, train, validation, test, origin = read(config)
        task = memory.MemoryTask(
            problem,
            build(config),
            chrono=config.chrono,
            seed=config.seed + 1,
            backend=config.backend,
        )
        name = problem.monitor[0]

        def is_solved(event: training.Event) -> bool:
            return event.metrics.get(name, math.inf) < config.enough * problem.solved

        trained = run.fit(task, train, validation=validation, source=origin, callbacks=[is_solved])
        return report(run, trained, test)


def read(config: Config) -> tuple[Any, Any, Any, Any, str]:
    """Reads or draws what to remember: problem, training, validation and test examples, their origin."""
    rows = config.test_rows
    if config.task in ("adding", "copy"):
        kind = memory.Adding if config.task == "adding" else memory.Copying
        held_out = memory.fresh_rows(rows), memory.fresh_rows(rows, first=rows)
        return kind(config.span), None, *held_out, "drawn at random"
    if config.length not in (None, SIDE * SIDE):
        raise ValueError(
            f"--length is {config.length}; a digit has {SIDE * SIDE} pixels, leave it out"
        )
    order = PERMUTATION if config.task == "psmnist" else np.arange(SIDE * SIDE)
    train = datasets.load("mnist", "train", config.data_dir)
    test = datasets.load("mnist", "test", config.data_dir)
    keep = len(train.records) * 11 // 12
    parts = train.records[:keep], train.records[keep:], test.records
    return memory.Pixels(tuple(order.tolist())), *parts, train.origin


def build(config: Config) -> seqjax.Recurrence:
    """Makes one layer of a classic cell, or two residual ones whose gates see the input alone."""
    if config.cell in CLASSIC:
        return CLASSIC[config.cell](config.hidden_size)
    longest = math.exp(-1 / (2 * config.span))  # 1/e is left after twice as many steps
    # Copying wants every unit for the whole task, from half as many steps on.
    shortest = longest**4 if config.task == "copy" else min(0.9, longest**2)
    layer = seqjax.gated(PARALLEL[config.cell](config.hidden_size, shortest, longest))
    return seqjax.stack(layer, layer, residual=True)


def report(run: training.Run, trained: seqjax.Trained, test: Any) -> dict[str, Any]:
    """Draws the curve of the validation score and writes the result with that of the test."""
    problem = trained.task.problem
    name, config, history = problem.monitor[0], run.config, run.history()
    metrics = trained.evaluate(test)
    counts = {"test_sequences": len(test), "length": config.span}
    for line in history:
        # A score that was not finite is null in the log.
        found = line.get(name) if line["kind"] == "evaluation" else None
        if found is not None and found < problem.solved:
            counts["solved_at"] = line["step"]
            break
    draw(run.folder / "curve.png", {config.cell: history}, name, problem.baseline, title_of(config))
    scores = {name: metrics[name], **metrics, "baseline": problem.baseline}
    return run.write_result(scores, counts, "test")


def run_suite(run: training.Run) -> dict[str, Any]:
    """Trains every cell in a run folder of its own, and makes one picture and table of all."""
    config = run.config
    run.begin("see the runs in this folder", config.seed)
    results, histories = {}, {}
    for cell in SUITES[config.task]:
        folder = run.folder / cell
        begun = (folder / "config.json").exists()
        where = {"resume": str(folder)} if begun else {"out": str(folder)}
        own = dataclasses.replace(
            config, cell=cell, suite=False, **{"out": None, "resume": None, **where}
        )
        done = (folder / "result.json").exists()
        run.say(f"--- {cell}{' (done before)' if done else ''} ---")
        results[cell] = read_json(folder / "result.json") if done else main(own)
        histories[cell] = training.read_metrics(folder / "metrics.jsonl")
    first = next(iter(results.values()))["scores"]
    name = next(iter(first))
    draw(run.folder / "curves.png", histories, name, first["baseline"], title_of(config))
    table, scores = [], {}
    for cell, result in results.items():
        scores[f"{cell}_{name}"] = result["scores"][name]
        table.append(
            {
                "cell": cell,
                name: result["scores"][name],
                "solved at step": result["counts"].get("solved_at", "-"),
                "minutes": result["minutes"],
            }
        )
    run.write_text("table.md", figures.markdown_table(table))
    run.say(figures.plain_table(table))
    scores["baseline"] = first["baseline"]
    minutes = sum(result["minutes"] for result in results.values())
    return run.write_result(scores, {"cells": len(results)}, "test", minutes=minutes)


def title_of(config: Config) -> str:
    """Says what a picture is of."""
    return f"{config.task}, {config.span} steps"


def draw(
    path: Path, histories: dict[str, list[dict]], name: str, baseline: float, title: str
) -> None:
    """Draws the score of each cell over the training steps, with the published baseline."""
    figure = figures.new_figure((8, 4.8))
    axis = figure.add_subplot()
    for cell, lines in histories.items():
        scored = [line for line in lines if line["kind"] == "evaluation" and line.get(name)]
        steps = [line["step"] for line in scored]
        axis.plot(steps, [line[name] for line in scored], marker="o", markersize=3, label=cell)
    label = f"without memory {baseline:.3g}"
    axis.axhline(baseline, color="k", linestyle="--", linewidth=1, label=label)
    figures.use_log_scale(axis)
    axis.set(xlabel="training step", ylabel=f"validation {name}", title=title)
    axis.grid(alpha=0.25)
    figures.add_legends(figure)
    figures.save_figure(figure, path)


if __name__ == "__main__":
    launch(Config, main, __doc__)
