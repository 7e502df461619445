"""experiments.long_memory: how far back can each network remember?

    python -m experiments.long_memory                                   # adding, 200 steps, LSTM
    python -m experiments.long_memory --task adding --suite             # the same for every cell, in one picture
    python -m experiments.long_memory --task copy --suite               # copy memory over 100 steps
    python -m experiments.long_memory --task psmnist --cell lru         # MNIST, 784 pixels in a fixed random order

* adding: of T numbers in [0, 1] two are marked, one in each half; the last output should be their sum. Answering 1
  always costs 1/6; below 1e-3 it counts as solved.
* copy: ten symbols of eight kinds, T blanks, and a signal to repeat them. Without a memory one pays 10 ln 8 / (T + 20)
  nats; below a tenth of it the task counts as solved.
* smnist, psmnist: a digit pixel by pixel, in order or in one fixed random order; the score is the error. A twelfth of
  the training digits chooses the best step.

Gates begin with memories as long as the task, of lengths spread from 1 to T (Tallec and Ollivier, 2018; --no-chrono
begins as usual); the linear recurrences have two residual layers. Adam, gradient norm clipped at 1, the learning rate
falls along a cosine; a run ends early once its validation score is half of what counts as solved. A suite is a run
folder with one run in it for each cell; --resume goes on with all of them.

Expect: adding over 200 steps is solved by the GRU after 1,500 steps, MinGRU 2,000, LSTM 2,300 (5,000 take eight
minutes on a shared core), never by the Elman network; over 600 steps by the GRU after 1,600, MinGRU 2,200, LSTM 2,300,
by the LRU not within 5,000. Copying over 100 steps is solved by the LRU within 200, the GRU 2,300, by LSTM and MinGRU
not within 5,000; over 500 steps by the LRU alone, after 1,200. Of permuted MNIST 1,500 steps, one epoch, leave the LRU
an error of 7%, the GRU 69%, and 5,000 steps the GRU 34%.
Papers: Hochreiter and Schmidhuber, 1997; Arjovsky, Shah and Bengio, 2016; Le, Jaitly and Hinton, 2015.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Run, check_rows, launch, mistakes, option, read_json
from experiments.mnist_rows import CLASSES, PERMUTATION, SIDE
from seqjax import data, datasets, figures, training

CELLS = ("elman", "lstm", "gru", "lru", "min_gru")
SUITES = {
    "adding": CELLS,
    "copy": CELLS,
    "smnist": ("gru", "lru", "min_gru"),
    "psmnist": ("gru", "lru", "min_gru"),
}
LENGTHS = {"adding": 200, "copy": 100, "smnist": 784, "psmnist": 784}
SYMBOLS, COPIED = 8, 10
BLANK, SIGNAL = SYMBOLS, SYMBOLS + 1
RATES = {"adding": 2e-3, "copy": 1e-2, "smnist": 2e-3, "psmnist": 2e-3}
ROWS = 500  # of an evaluation batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    task: str = option("adding", "what to remember", choices=tuple(LENGTHS))
    length: int | None = option(
        None, "steps to remember over (default: 200 for adding, 100 for copy)", least=2
    )
    cell: str = option("lstm", "recurrent layer", choices=CELLS)
    suite: bool = option(False, "every cell that the task is for, one after another")
    chrono: bool = option(True, "begin with memories as long as the task")
    hidden_size: int = option(128, "units of a layer", least=1)
    batch: int = option(32, "sequences a step", least=1)
    learning_rate: float | None = option(
        None, "Adam's, at first (default: 0.002, 0.01 for copy)", least=0
    )
    clip: float = option(1.0, "largest gradient norm", least=1e-12)
    steps: int = option(5000, "training steps at most", least=1)
    enough: float = option(
        0.5, "end at this share of the score that counts as solved; 0 takes all steps", least=0
    )
    every: int = option(100, "steps between evaluations and checkpoints", least=1)
    test_rows: int = option(
        1000, "sequences that choose the best step, and as many that judge it", least=1
    )


class Task(NamedTuple):
    """Something to remember.

    Attributes:
      features: of an input.
      outputs: of the network.
      read: `read(batch) -> (inputs [rows, time, features], targets)`.
      losses: `losses(outputs [rows, time, outputs], targets) -> {name: array}`; the first name is
        what is trained on.
      batches: resumable, for training.
      validation: batches that choose the best step.
      test: batches that judge it.
      score: the name in `losses` that chooses and judges.
      baseline: that score without a memory.
      solved: below it the task counts as solved; 0 where nothing says so.
      source: origin and fingerprint of the data.
    """

    features: int
    outputs: int
    read: Callable
    losses: Callable
    batches: Any
    validation: list
    test: list
    score: str
    baseline: float
    solved: float
    source: dict

    @property
    def monitor(self) -> tuple[str, ...]:
        """The score that chooses, and for a share of errors the one that decides between equal ones."""
        return ("error", "nats") if self.score == "error" else (self.score,)


def main(config: Config) -> dict:
    """Trains one cell, or with `suite` all of them; returns what `result.json` holds."""
    run = Run("long_memory", config)
    config = run.config
    if config.suite:
        return run_suite(run)
    length = config.length or LENGTHS[config.task]
    rate = RATES[config.task] if config.learning_rate is None else config.learning_rate
    with mistakes():
        check_rows(config.batch, config.devices)
        task = TASKS[config.task](config, length)
        network = build(config, length)
    run.begin(task.source)
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, config.steps, alpha=0.01))
    score = jax.jit(functools.partial(means, network, task, config))
    best = run.train(
        fresh_state(network, task, config, length, optimiser),
        functools.partial(loss, network, task, config),
        optimiser,
        task.batches,
        steps=config.steps,
        every=config.every,
        evaluate=lambda state: training.evaluate(score, state.params, task.validation),
        monitor=task.monitor,
        per_step=config.batch,
        unit="sequences",
        clip=training.clip_by_norm(config.clip),
        callbacks=(
            lambda event: event.metrics.get(task.score, math.inf) < config.enough * task.solved,
        ),
    )
    return report(run, task, length, training.evaluate(score, best.params, task.test))


def run_suite(run: Run) -> dict:
    """Every cell in a run folder of its own, and one picture and table of all."""
    config = run.config
    run.begin({"origin": "see the runs in this folder", "fingerprint": f"seed {config.seed}"})
    results = {}
    for cell in SUITES[config.task]:
        folder = run.folder / cell
        begun = str(folder) if (folder / "config.json").exists() else None
        own = dataclasses.replace(
            config, cell=cell, suite=False, resume=begun, out=None if begun else str(folder)
        )
        done = (folder / "result.json").exists()
        run.say(f"--- {cell}{' (done before)' if done else ''} ---")
        results[cell] = read_json(folder / "result.json") if done else main(own)
    first = next(iter(results.values()))["scores"]
    name, scores = next(iter(first)), {}
    log = training.MetricsLog(run.folder / "metrics.jsonl")
    for cell, result in results.items():
        scores[f"{cell}_{name}"] = result["scores"][name]
    log(
        training.Event(
            "evaluation", max(result["counts"]["steps"] for result in results.values()), scores
        )
    )
    histories = {
        cell: training.read_metrics(run.folder / cell / "metrics.jsonl") for cell in results
    }
    draw(run.folder / "curves.png", histories, name, first["baseline"], title_of(config))
    lines = [f"| cell | {name} | solved at step | minutes |", "|---|---|---|---|"]
    for cell, result in results.items():
        solved = result["counts"].get("solved_at", "-")
        lines.append(
            f"| {cell} | {result['scores'][name]:.3g} | {solved} | {result['minutes']:g} |"
        )
    run.write_text("table.md", "\n".join(lines) + "\n")
    run.say("\n".join(lines))
    minutes = sum(result["minutes"] for result in results.values())
    result = run.finish(scores | {"baseline": first["baseline"]}, {"cells": len(results)}, minutes)
    run.say(f"run folder: {run.folder}")
    return result


def build(config: Config, length: int) -> seqjax.Recurrence:
    """The network of a config: one layer of a classic cell, or two residual ones of a linear recurrence."""
    hidden = config.hidden_size
    match config.cell:
        case "elman":
            return seqjax.Elman(hidden)
        case "lstm":
            return seqjax.LSTM(hidden)
        case "gru":
            return seqjax.GRU(hidden)
        case "lru":
            longest = math.exp(-1 / (2 * length))  # 1/e is left after twice as many steps
            layer = seqjax.gated(
                seqjax.LRU(hidden, min_radius=min(0.9, longest**2), max_radius=longest)
            )
        case _:
            layer = seqjax.gated(seqjax.MinGRU(hidden))
    return seqjax.stack(layer, layer, residual=True)


def fresh_state(network, task: Task, config: Config, length: int, optimiser) -> training.TrainState:
    """The state before the first step."""
    net_key, head_key, chrono_key, run_key = jax.random.split(jax.random.key(config.seed), 4)
    net = network.init(net_key, task.features)
    if config.chrono:
        net = with_long_memories(net, config.cell, length, chrono_key)
    hidden = network.output_size(task.features)
    w = jax.nn.initializers.glorot_uniform()(head_key, (hidden, task.outputs))
    return training.create_state(
        {"net": net, "head": {"w": w, "b": jnp.zeros(task.outputs)}}, optimiser, run_key
    )


def with_long_memories(net: Any, cell: str, length: int, key: jax.Array) -> Any:
    """Biases of the gates such that the units' memories last from 1 to `length` steps (Tallec and Ollivier, 2018)."""
    if cell == "min_gru":
        parts = {name: layer["inner"] for name, layer in net.items()}
        return {
            name: net[name]
            | {
                "inner": part
                | {"b": _chrono(part["b"], 2, {0: -1}, length, jax.random.fold_in(key, i))}
            }
            for i, (name, part) in enumerate(parts.items())
        }
    gates = {"lstm": (4, {0: -1, 1: 1}), "gru": (3, {1: 1})}.get(cell)
    return net if gates is None else net | {"b": _chrono(net["b"], *gates, length, key)}


def _chrono(b, gates, signs, length, key):
    """A bias with `sign * log(u)`, u uniform in [1, length), in the place of the gates that `signs` names."""
    hidden = len(b) // gates
    long = jnp.log(jax.random.uniform(key, (hidden,), minval=1.0, maxval=max(length - 1.0, 1.001)))
    for gate, sign in signs.items():
        b = b.at[gate * hidden : (gate + 1) * hidden].set(sign * long)
    return b


def outputs_of(network, params, xs, backend):
    """What the network says at every step, `[rows, time, outputs]`."""
    _, ys = seqjax.unroll(network, params["net"], xs, backend=backend)
    return ys @ params["head"]["w"] + params["head"]["b"]


def loss(network, task, config, params, batch, rng, extra):
    """The mean of the task's first loss."""
    xs, targets = task.read(batch)
    losses = task.losses(outputs_of(network, params, xs, config.backend), targets)
    return next(iter(losses.values())).mean(), training.Aux(weight=len(xs))


def means(network, task, config, params, batch):
    """The means of all losses over a batch that judges."""
    xs, targets = task.read(batch)
    losses = task.losses(outputs_of(network, params, xs, config.backend), targets)
    return {name: training.Mean.of(values) for name, values in losses.items()}


class RowNumbers:
    """Batches of row numbers, from which the device draws the rows: endless, never the same row twice, resumable."""

    def __init__(self, batch: int):
        self.batch, self.step = batch, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.step += 1
        return {
            "row": np.arange((self.step - 1) * self.batch, self.step * self.batch, dtype=np.uint32)
        }

    def state(self):
        """The steps handed out."""
        return {"step": self.step}

    def restore(self, state):
        """Goes on after as many."""
        self.step = state["step"]


def drawn(draw: Callable, config: Config) -> dict[str, Any]:
    """What a task of drawn rows has: rows that train and rows that judge come from different keys."""
    train_key, test_key = jax.random.split(jax.random.key(config.seed + 1))

    def read(batch):
        key = test_key if "judges" in batch else train_key
        return jax.vmap(lambda row: draw(jax.random.fold_in(key, row)))(batch["row"])

    rows = np.arange(2 * config.test_rows, dtype=np.uint32)
    validation, test = (
        [
            {"row": part, "judges": np.ones(len(part), bool)}
            for part in np.split(half, range(ROWS, len(half), ROWS))
        ]
        for half in np.split(rows, 2)
    )
    source = {"origin": "drawn at random", "fingerprint": f"seed {config.seed}"}
    return {
        "read": read,
        "validation": validation,
        "test": test,
        "batches": RowNumbers(config.batch),
        "source": source,
    }


def adding(config: Config, length: int) -> Task:
    """The adding problem (Hochreiter and Schmidhuber, 1997)."""

    def draw(key):
        numbers, first, second = jax.random.split(key, 3)
        half = length // 2
        values = jax.random.uniform(numbers, (length,))
        places = (
            jax.random.randint(first, (), 0, half),
            jax.random.randint(second, (), half, length),
        )
        marks = jnp.zeros(length).at[jnp.array(places)].set(1.0)
        return jnp.stack([values, marks], -1), values @ marks

    def losses(outputs, targets):
        return {"mse": jnp.square(outputs[:, -1, 0] - targets)}

    return Task(
        2, 1, losses=losses, score="mse", baseline=1 / 6, solved=1e-3, **drawn(draw, config)
    )


def copy(config: Config, length: int) -> Task:
    """Copy memory (Hochreiter and Schmidhuber, 1997, in the form of Arjovsky et al., 2016)."""

    def draw(key):
        symbols = jax.random.randint(key, (COPIED,), 0, SYMBOLS)
        blanks = jnp.full(length + COPIED, BLANK)
        tokens = jnp.concatenate([symbols, blanks]).at[length + COPIED - 1].set(SIGNAL)
        return jax.nn.one_hot(tokens, SYMBOLS + 2), jnp.concatenate([blanks, symbols])

    def losses(outputs, targets):
        right = outputs[:, -COPIED:].argmax(-1) == targets[:, -COPIED:]
        return {
            "nats": optax.softmax_cross_entropy_with_integer_labels(outputs, targets),
            "copied": right,
        }

    baseline = COPIED * math.log(SYMBOLS) / (length + 2 * COPIED)
    return Task(
        SYMBOLS + 2,
        SYMBOLS + 1,
        losses=losses,
        score="nats",
        baseline=baseline,
        solved=baseline / 10,
        **drawn(draw, config),
    )


def pixels(config: Config, length: int) -> Task:
    """MNIST pixel by pixel (Le et al., 2015)."""
    if config.length not in (None, SIDE * SIDE):
        raise ValueError(f"--length is {length}; a digit has {SIDE * SIDE} pixels, leave it out")
    train, test = (datasets.load("mnist", split, config.data_dir) for split in ("train", "test"))
    order = PERMUTATION if config.task == "psmnist" else np.arange(SIDE * SIDE)

    def read(batch):
        images = jnp.asarray(batch["image"], jnp.float32).reshape(-1, SIDE * SIDE)[:, order]
        return images[..., None] / 255, batch["label"]

    def losses(outputs, labels):
        nats = optax.softmax_cross_entropy_with_integer_labels(outputs[:, -1], labels)
        return {"nats": nats, "error": outputs[:, -1].argmax(-1) != labels}

    keep = len(train.records) * 11 // 12
    learnt, held_out = train.records[:keep], train.records[keep:]

    def judged(records):
        return list(
            data.batches(
                records, min(ROWS, len(records)), shuffle=False, epochs=1, drop_remainder=True
            )
        )

    return Task(
        features=1,
        outputs=CLASSES,
        read=read,
        losses=losses,
        score="error",
        baseline=1 - 1 / CLASSES,
        solved=0.0,
        batches=data.batches(learnt, config.batch, seed=config.seed, drop_remainder=True),
        validation=judged(held_out),
        test=judged(test.records),
        source={"origin": train.origin, "fingerprint": f"{train.fingerprint}-{test.fingerprint}"},
    )


TASKS = {"adding": adding, "copy": copy, "smnist": pixels, "psmnist": pixels}


def report(run: Run, task: Task, length: int, scores: dict[str, float]) -> dict:
    """Draws the curve of the validation scores and writes the result with those of the test; returns the result."""
    config, lines = run.config, run.history()
    assessments = [line for line in lines if line["kind"] == "evaluation"]
    best = run.best()
    counts = {
        "steps": lines[-1]["step"],
        "best_step": best["step"],
        "test_sequences": test_rows(task),
    }
    # A score that was not finite is null in the log.
    finite = [line for line in assessments if line[task.score] is not None]
    solved = [line["step"] for line in finite if line[task.score] < task.solved]
    counts |= {"solved_at": solved[0]} if solved else {}
    draw(
        run.folder / "curve.png", {config.cell: lines}, task.score, task.baseline, title_of(config)
    )
    result = run.finish(
        {task.score: scores[task.score]} | scores | {"baseline": task.baseline, "length": length},
        counts,
    )
    run.say(
        f"{config.cell}: {task.score} {scores[task.score]:.3g}, without memory {task.baseline:.3g}"
    )
    run.say(f"run folder: {run.folder}")
    return result


def test_rows(task: Task) -> int:
    """How many sequences judge."""
    return sum(len(next(iter(batch.values()))) for batch in task.test)


def title_of(config: Config) -> str:
    """What a picture is of."""
    return f"{config.task}, {config.length or LENGTHS[config.task]} steps"


def draw(
    path: Path, histories: dict[str, list[dict]], name: str, baseline: float, title: str
) -> None:
    """The score of each cell over the training steps, with the published baseline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axis = figure.add_subplot()
    for cell, lines in histories.items():
        points = [
            (line["step"], line[name])
            for line in lines
            if line["kind"] == "evaluation" and line.get(name)
        ]
        axis.plot(
            *zip(*points, strict=True), marker="o", markersize=3, label=cell
        ) if points else None
    axis.axhline(
        baseline, color="k", linestyle="--", linewidth=1, label=f"without memory {baseline:.3g}"
    )
    axis.set(yscale="log", xlabel="training step", ylabel=f"validation {name}", title=title)
    axis.grid(alpha=0.25)
    axis.legend(frameon=False)
    figures.save_figure(figure, path)


if __name__ == "__main__":
    launch(Config, main, __doc__)
