"""experiments.recurrent_vs_transformer: the trade that the field argues about, measured on this machine.

    python -m experiments.recurrent_vs_transformer

A small causal Transformer (Flax attention with a key/value cache) and an LSTM, a GRU and an LRU of
as many parameters:

* time and memory for each generated token as the context grows from 128 to 16,384: linear against
constant;
* peak memory of a training step against its length: quadratic, linear, and with remat="sqrt" a
fraction of that;
* latency of a step when streaming, the size of the model in float32 and int8, and the validation
  loss in nats per character after the same seconds of training on the same text, compilation not
  counted.

One table and four plots, `trade.png`, after 4 minutes on a shared core. Expect at 16,384 characters
of context fifty times the time a character from the Transformer. Paper: Vaswani et al., "Attention
Is All You Need", 2017.
"""

import bisect
import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Mistake, Run, launch, mistakes, option, read_corpus
from experiments.transformer import Attentive
from seqjax import data, figures, training
from seqjax.models import LanguageModel

EMBEDDING, LAYERS = 128, 2
HIDDEN = range(64, 289, 4)  # sizes to choose from for equal parameter counts
TIMED_TOKENS = 24  # at each context, of which the median is told
STREAMED_TOKENS, STREAMED_CONTEXT = 200, 1024
VALIDATIONS = 8  # along the training time
VALIDATION_WINDOWS = 64
MEMORY_BATCH = 4
MEBIBYTE = 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    corpus: str = option(
        "tiny_shakespeare", "text to learn", choices=("tiny_shakespeare", "pydoc_topics")
    )
    seconds: float = option(60.0, "training time of each model", least=0.01)
    window: int = option(256, "characters of a training window", least=2)
    batch: int = option(16, "windows a step", least=1)
    learning_rate: float = option(2e-3, "Adam's", least=0)
    clip: float = option(1.0, "largest gradient norm", least=1e-12)
    longest: int = option(
        16384, "longest context to generate after, from 128 in factors of 2", least=128
    )
    longest_training: int = option(
        4096, "longest sequence to measure training memory for", least=128
    )


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """A recurrent language model as the measurements see it."""

    vocab_size: int
    recurrence: seqjax.Recurrence
    remat: Any = "none"
    backend: Any = "auto"

    @property
    def model(self):
        """The Flax model."""
        return LanguageModel(
            self.vocab_size, EMBEDDING, self.recurrence, remat=self.remat, backend=self.backend
        )

    def init(self, key):
        """Fresh params."""
        return self.model.init(key, jnp.zeros((1, 2), int))["params"]

    def logits(self, params, tokens):
        """Scores of every next token, `[batch, time, vocab]`."""
        return self.model.apply({"params": params}, tokens)[1]

    def memory(self, params, context, coming):
        """The state, whatever the context."""
        return self.model.start(params, (1,))

    def step(self, params, memory, token):
        """One token `[1]`: the memory after it, and logits."""
        return self.model.advance(params, memory, token)


def main(config: Config) -> dict:
    """Trains, measures, draws; returns what `result.json` holds."""
    if config.resume is not None:
        raise Mistake(
            "experiments.recurrent_vs_transformer measures times in one go; leave --resume out"
        )
    run = Run("recurrent_vs_transformer", config)
    with mistakes():
        train, valid, source = read_corpus(config.corpus, config.data_dir)
        vocabulary = data.Vocabulary.characters(train + valid)
        train_ids, valid_ids = vocabulary.encode(train), vocabulary.encode(valid)
        data.Windows(train_ids, config.window)
        judged = list(validation_batches(valid_ids, config.window))
    run.begin(source)
    log = training.MetricsLog(run.folder / "metrics.jsonl")
    models, rows, curves = contenders(len(vocabulary.tokens), config), {}, {}
    for name, model in models.items():
        params, curves[name] = train_for(model, train_ids, judged, config)
        rows[name] = row = {"parameters": count(params)}
        row |= {"validation nats": curves[name][-1][1], "steps": curves[name][-1][2]} | sizes(
            model, params, judged
        )
        row |= streaming(model, params)
        log(
            training.Event(
                "evaluation", row["steps"], {f"{name}/{k}": float(v) for k, v in row.items()}
            )
        )
        run.say(
            f"{name:<12} {row['parameters']:,} parameters, {row['validation nats']:.3f} nats after {config.seconds:g} s"
        )
    contexts = doublings(config.longest)
    generating = {
        name: [generation(model, context) for context in contexts] for name, model in models.items()
    }
    lengths = doublings(config.longest_training)[::-2][::-1]
    memory = {
        name: [training_memory(m, t) for t in lengths] for name, m in with_remat(models).items()
    }
    for name, row in rows.items():
        row["ms a token at the longest context"] = generating[name][-1][0]
        row["memory of a token's step, KiB"] = generating[name][-1][1] / 1024
        row["training memory at the longest, MiB"] = memory[name][-1] / MEBIBYTE
    units = {
        name: m.recurrence.output_size(EMBEDDING)
        for name, m in models.items()
        if name != "transformer"
    }
    measured = {
        "hidden": units,
        "contexts": contexts,
        "generation": generating,
        "lengths": lengths,
        "training_bytes": memory,
        "curves": curves,
    }
    run.write_json("measurements.json", measured)
    figures.save_figure(draw(measured), run.folder / "trade.png")
    table = as_table(rows)
    run.write_text("table.md", table)
    run.say(table)
    scores = {f"{name}_nats": row["validation nats"] for name, row in rows.items()}
    scores |= {
        f"{name}_ms_at_{contexts[-1]}": row["ms a token at the longest context"]
        for name, row in rows.items()
    }
    result = run.finish(
        scores, {"parameters": rows["transformer"]["parameters"], "seconds_each": config.seconds}
    )
    run.say(f"run folder: {run.folder}")
    return result


def contenders(vocab_size: int, config: Config) -> dict[str, Any]:
    """The Transformer, and recurrent models of as many parameters as can be, layer for layer."""
    attentive = Attentive(vocab_size, EMBEDDING, LAYERS)
    target = count(jax.eval_shape(attentive.init, jax.random.key(0)))
    linear = lambda hidden: seqjax.gated(seqjax.LRU(hidden, min_radius=0.9, max_radius=0.999))  # noqa: E731
    models: dict[str, Any] = {"transformer": attentive}
    for name, layer in {"lstm": seqjax.LSTM, "gru": seqjax.GRU, "lru": linear}.items():
        sized = functools.partial(recurrent_of, vocab_size, layer, name == "lru", config.backend)
        enough = (
            bisect.bisect_left(HIDDEN[1:-1], target, key=lambda hidden: size_of(sized(hidden))) + 1
        )
        models[name] = min(
            map(sized, HIDDEN[enough - 1 : enough + 1]), key=lambda m: abs(size_of(m) - target)
        )
    return models


def recurrent_of(vocab_size, layer, residual, backend, hidden):
    """A recurrent model with layers of `hidden` units."""
    recurrence = seqjax.stack(*[layer(hidden)] * LAYERS, residual=residual)
    return Recurrent(vocab_size, recurrence, backend=backend)


def size_of(model: Recurrent) -> int:
    """Parameters, without making them: embedding, recurrence and head."""
    shapes = jax.eval_shape(lambda: model.recurrence.init(jax.random.key(0), EMBEDDING))
    outputs = model.recurrence.output_size(EMBEDDING)
    return model.vocab_size * EMBEDDING + count(shapes) + (outputs + 1) * model.vocab_size


def count(params) -> int:
    """Numbers in a pytree of arrays."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@functools.partial(jax.jit, static_argnums=0)
def fresh(model, key):
    """A model's params."""
    return model.init(key)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def step_of(model, params, memory, token):
    """A model's step, in the place of the memory given."""
    return model.step(params, memory, token)


@functools.partial(jax.jit, static_argnums=0)
def nats(model, params, batch):
    """Cross-entropy of every next character, `[batch, time]`."""
    return optax.softmax_cross_entropy_with_integer_labels(
        model.logits(params, batch["inputs"]), batch["targets"]
    )


def train_for(model, ids, judged, config: Config) -> tuple[Any, list[tuple[float, float, int]]]:
    """Trains for `seconds`; returns the params, and (seconds, validation nats, steps) along the way."""
    optimiser = optax.adam(config.learning_rate)
    params_key, run_key = jax.random.split(jax.random.key(config.seed))
    state = training.create_state(fresh(model, params_key), optimiser, run_key)
    loss = lambda params, batch, *_: (nats(model, params, batch).mean(), training.Aux())  # noqa: E731
    step = training.make_train_step(loss, optimiser, clip=training.clip_by_norm(config.clip))
    batches = data.batches(
        data.Windows(ids, config.window), config.batch, seed=config.seed, drop_remainder=True
    )
    first = {name: next(batches)[name] for name in ("inputs", "targets")}
    step = step.lower(state, first).compile()
    score = functools.partial(validate, model, judged)
    spent, steps, curve = 0.0, 0, [(0.0, score(state.params), 0)]
    for part in range(1, VALIDATIONS + 1):
        began = time.perf_counter()
        while (
            now := time.perf_counter() - began
        ) < config.seconds * part / VALIDATIONS - spent or steps == 0:
            batch = next(batches)
            state, metrics = step(state, {name: batch[name] for name in first})
            jax.block_until_ready(metrics["loss"])
            steps += 1
        spent += now
        curve.append((spent, score(state.params), steps))
    return state.params, curve


def validate(model, judged, params) -> float:
    """Mean nats over the validation windows."""
    return float(np.mean([nats(model, params, batch).mean() for batch in judged]))


def validation_batches(ids, window):
    """Windows that do not overlap, spread over the whole text, in batches of one shape."""
    windows = data.Windows(ids, window, stride=window)
    rows = np.linspace(0, len(windows) - 1, min(VALIDATION_WINDOWS, len(windows))).astype(int)
    chosen = windows.gather(rows)
    for part in range(0, len(rows) - len(rows) % 16 or len(rows), 16):
        yield {name: chosen[name][part : part + 16] for name in ("inputs", "targets")}


def sizes(model, params, judged) -> dict[str, float]:
    """Bytes of the params in float32 and with matrices in int8, and the loss of the latter."""
    whole, small = (
        sum(map(size, jax.tree.leaves(params))) for size in (lambda leaf: leaf.nbytes, int8_bytes)
    )
    loss = validate(model, judged, jax.tree.map(through_int8, params))
    return {
        "float32, MiB": whole / MEBIBYTE,
        "int8, MiB": small / MEBIBYTE,
        "validation nats in int8": loss,
    }


def through_int8(leaf):
    """A matrix rounded to int8, one float32 scale for each entry of its last axis; a vector as it is."""
    if leaf.ndim < 2:
        return leaf
    scale = jnp.maximum(jnp.abs(leaf).max(axis=tuple(range(leaf.ndim - 1))), 1e-12) / 127
    return jnp.round(leaf / scale).astype(jnp.int8) * scale


def int8_bytes(leaf) -> int:
    """Bytes of an array so kept."""
    return leaf.nbytes if leaf.ndim < 2 else leaf.size + 4 * leaf.shape[-1]


def timed_steps(model, params, context: int, tokens: int) -> np.ndarray:
    """Seconds of each of many steps, one token at a time, each waited for."""
    memory, token = model.memory(params, context, tokens + 3), jnp.zeros(1, int)
    times = []
    for _ in range(tokens + 3):
        began = time.perf_counter()
        memory, logits = step_of(model, params, memory, token)
        token = logits.argmax(-1)
        token.block_until_ready()
        times.append(time.perf_counter() - began)
    return np.array(times[3:])


def generation(model, context: int) -> tuple[float, int]:
    """Milliseconds of a token after `context` others, and the bytes that are remembered of them."""
    params = fresh(model, jax.random.key(0))
    seconds = float(np.median(timed_steps(model, params, context, TIMED_TOKENS)))
    return 1e3 * seconds, sum(
        leaf.nbytes for leaf in jax.tree.leaves(model.memory(params, context, 0))
    )


def streaming(model, params) -> dict[str, float]:
    """Latency of a step, the median and the 99th percentile."""
    milliseconds = 1e3 * timed_steps(model, params, STREAMED_CONTEXT, STREAMED_TOKENS)
    return {
        "step p50, ms": float(np.median(milliseconds)),
        "step p99, ms": float(np.quantile(milliseconds, 0.99)),
    }


def with_remat(models: dict) -> dict:
    """The contenders, and those that keep all of a sequence doing with less; the LRU recomputes by itself."""
    sparing = {
        f'{name} remat="sqrt"': dataclasses.replace(model, remat="sqrt")
        for name, model in models.items()
        if name in ("lstm", "gru")
    }
    return models | sparing


def training_memory(model, length: int) -> int:
    """Bytes that one gradient needs at its peak beside params and inputs, as XLA plans them; nothing is run."""
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((MEMORY_BATCH, length), jnp.int32)
    gradient = jax.jit(jax.grad(lambda p, i, t: nats(model, p, {"inputs": i, "targets": t}).mean()))
    return gradient.lower(params, tokens, tokens).compile().memory_analysis().temp_size_in_bytes


def doublings(longest: int) -> list[int]:
    """128, 256, ... up to `longest`."""
    return [128 * 2**i for i in range((longest // 128).bit_length())]


def as_table(rows: dict[str, dict]) -> str:
    """The rows as a Markdown table."""
    names = list(next(iter(rows.values())))
    lines = [f"| model | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    shown = lambda value: f"{value:,}" if isinstance(value, int) else f"{value:.3g}"  # noqa: E731
    lines += [
        f"| {model} | {' | '.join(shown(row[name]) for name in names)} |"
        for model, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def draw(measured: dict):
    """The four plots."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.4), layout="constrained")
    times, states, peaks, curves = figure.subplots(2, 2).ravel()
    colors = {name: f"C{i}" for i, name in enumerate(measured["generation"])}
    for name, points in measured["generation"].items():
        milliseconds, remembered = zip(*points, strict=True)
        times.plot(measured["contexts"], milliseconds, "o-", color=colors[name], label=name)
        states.plot(
            measured["contexts"], np.array(remembered) / 1024, "o-", color=colors[name], label=name
        )
    for name, needed in measured["training_bytes"].items():
        base, *sparing = name.split()
        peaks.plot(
            measured["lengths"],
            np.array(needed) / MEBIBYTE,
            "s--" if sparing else "o-",
            color=colors[base],
            label=name,
        )
    for name, points in measured["curves"].items():
        seconds, loss, _ = zip(*points[1:], strict=True)
        curves.plot(seconds, loss, "o-", color=colors[name], label=name)
    times.set(title="Time for a generated token", ylabel="milliseconds")
    states.set(title="Memory behind a generated token", ylabel="KiB of state or cache")
    peaks.set(
        title=f"Memory of a training step, batch {MEMORY_BATCH}", xlabel="length T", ylabel="MiB"
    )
    curves.set(
        title="Validation loss by training time", xlabel="seconds", ylabel="nats per character"
    )
    for axis in (times, states, peaks):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
    for axis in (times, states):
        axis.set_xlabel("context, tokens")
    for axis in (times, states, peaks, curves):
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    return figure


if __name__ == "__main__":
    launch(Config, main, __doc__)
