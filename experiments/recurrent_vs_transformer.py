"""experiments.recurrent_vs_transformer: the trade that the field argues about, measured on this machine.

    python -m experiments.recurrent_vs_transformer
    python -m experiments.recurrent_vs_transformer --cells slstm,mlstm,rglru

A small causal Transformer (Flax attention with a key/value cache) and an LSTM, a GRU, an LRU and
an mLSTM of as many parameters:

* time and memory for each generated token as the context grows from 128 to 16,384: linear against
  constant;
* peak memory of a training step against its length: quadratic, linear, and with remat="sqrt" a
  fraction of that;
* latency of a step when streaming, the size of the model in float32 and int8, and the validation
  loss in nats per character after the same seconds of training on the same text, compilation not
  counted.

One table and four plots, `trade.png`, after 5 minutes on a shared core. Expect at 16,384 characters
of context fifty times the time a character from the Transformer. Paper: Vaswani et al., "Attention
Is All You Need", 2017.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import optax

from experiments.char_lm import load_or_prose
from experiments.cli import launch
from experiments.transformer import Attentive
from seqjax import data, figures, training
from seqjax.combinators import LAYERS, stack_of
from seqjax.diagnostics import cost, writers
from seqjax.diagnostics.plots import Panel, plot_panels
from seqjax.training import Settings, option

EMBEDDING, DEPTH = 128, 2
HIDDEN = range(64, 289, 4)  # sizes to choose from for equal parameter counts
TIMED_TOKENS = 24  # at each context, of which the median is told
STREAMED_TOKENS, STREAMED_CONTEXT = 200, 1024
VALIDATIONS = 8  # along the training time
VALIDATION_WINDOWS, ROWS = 64, 16
MEMORY_BATCH = 4
KIBIBYTE, MEBIBYTE = 2**10, 2**20
CHUNKED = ("lru", "rglru", "mlstm", "min_gru", "min_lstm")
"""Layers whose scans recompute by themselves."""
PARTS = ("inputs", "targets")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    corpus: str = option(
        "tiny_shakespeare", "text to learn", choices=("tiny_shakespeare", "pydoc_topics")
    )
    cells: str = option("lstm,gru,lru,mlstm", "recurrent layers, with commas between")
    seconds: float = option(60.0, "training time of each model", least=0.01)
    window: int = option(256, "characters of a training window", least=2)
    batch_size: int = option(16, "windows a step", least=1)
    learning_rate: float = option(2e-3, "Adam's", least=0)
    clip: float = option(1.0, "largest gradient norm", least=1e-12)
    longest: int = option(16384, "longest context, from 128 in factors of 2", least=128)
    longest_training: int = option(4096, "longest sequence for training memory", least=128)

    @property
    def names(self) -> list[str]:
        """The recurrent layers to compare."""
        return self.cells.split(",")


def main(config: Config) -> dict[str, Any]:
    """Trains, measures, draws; returns what `result.json` holds."""
    if config.resume is not None:
        raise ValueError("times are measured in one go; leave --resume out")
    if unknown := [name for name in config.names if name not in LAYERS]:
        raise ValueError(f"--cells: {unknown[0]!r} is unknown; choose of {', '.join(LAYERS)}")
    with training.Run("recurrent_vs_transformer", config) as run:
        corpus = load_or_prose(config.corpus, config.data_dir)
        vocabulary = data.Vocabulary.characters(corpus.train + corpus.validation)
        windows = data.Windows(vocabulary.encode(corpus.train), config.window)
        held_out = validation_batches(vocabulary.encode(corpus.validation), config.window)
        run.begin(corpus.origin, (corpus.train, corpus.validation))
        models = contenders(len(vocabulary.tokens), config)
        rows, curves = learn(run, models, windows, held_out)
        measured = {"curves": curves, **measure(models, config)}
        for name, row in rows.items():
            token, peak = measured["generation"][name][-1], measured["training_bytes"][name][-1]
            row["ms a token at the longest context"] = token.milliseconds
            row["memory of a token's step, KiB"] = token.remembered / KIBIBYTE
            row["training memory at the longest, MiB"] = peak / MEBIBYTE
        run.write_json("measurements.json", measured)
        figures.save_figure(draw(measured), run.folder / "trade.png")
        table = [{"model": name, **row} for name, row in rows.items()]
        run.write_text("table.md", figures.markdown_table(table))
        run.say(figures.plain_table(table))
        metrics = {f"{name}_nats": row["validation nats"] for name, row in rows.items()}
        for name, points in measured["generation"].items():
            metrics[f"{name}_ms_at_{measured['contexts'][-1]}"] = points[-1].milliseconds
        counts = {"parameters": rows["transformer"]["parameters"]}
        section = figures.Section("The trade", "", [run.folder / "trade.png"], table)
        return run.write_result(metrics, counts, sections=[section], seconds_each=config.seconds)


def contenders(vocab_size: int, config: Config) -> dict[str, Any]:
    """Makes the Transformer, and recurrent models of as many parameters as can be, layer for layer."""

    def make(name: str, hidden: int) -> writers.RecurrentWriter:
        recurrence = stack_of(name, hidden, DEPTH)
        return writers.RecurrentWriter(vocab_size, EMBEDDING, recurrence, backend=config.backend)

    def size_of(name: str, hidden: int) -> int:
        return writers.count_params(make(name, hidden))

    models: dict[str, Any] = {"transformer": Attentive(vocab_size, EMBEDDING, DEPTH)}
    target = writers.count_params(models["transformer"])
    for name in config.names:
        hidden = cost.nearest_size(HIDDEN, functools.partial(size_of, name), target)
        models[name] = make(name, hidden)
    return models


def learn(
    run: training.Run, models: dict[str, Any], windows: data.Windows, held_out: list[dict]
) -> tuple[dict[str, dict], dict[str, list[cost.Point]]]:
    """Trains all models for the same time; returns a row of the table and a curve for each."""
    config, rows, curves, steps = run.config, {}, {}, 0
    log = training.MetricsLog(run.folder / "metrics.jsonl")
    for name, model in models.items():
        params, curves[name] = train(model, windows, held_out, config)
        last = curves[name][-1]
        milliseconds = 1e3 * writers.time_tokens(model, params, STREAMED_CONTEXT, STREAMED_TOKENS)
        rows[name] = row = {
            "parameters": cost.count(params),
            "validation nats": last.score,
            "steps": last.steps,
            "float32, MiB": cost.size_in_bytes(params) / MEBIBYTE,
            "int8, MiB": cost.int8_bytes(params) / MEBIBYTE,
            "validation nats in int8": validate(model, held_out, cost.through_int8(params)),
            "step p50, ms": float(np.median(milliseconds)),
            "step p99, ms": float(np.quantile(milliseconds, 0.99)),
        }
        steps += last.steps
        told = {f"{name}/{title}": float(value) for title, value in row.items()}
        log(training.Event("evaluation", steps, told))
        run.say(f"{name:<12} {last.score:.3f} nats after {config.seconds:g} s")
    return rows, curves


def train(
    model: Any, windows: data.Windows, held_out: list[dict], config: Config
) -> tuple[Any, list[cost.Point]]:
    """Trains a model for `seconds`; returns the params, and the validation nats along the way."""

    def loss(params: Any, batch: Any, *_: Any) -> tuple[jax.Array, training.Aux]:
        return writers.nats(model, params, batch).mean(), training.Aux()

    optimiser = optax.adam(config.learning_rate)
    params_key, run_key = jax.random.split(jax.random.key(config.seed))
    state = training.create_state(writers.fresh_params(model, params_key), optimiser, run_key)
    step = training.make_train_step(loss, optimiser, clip=training.clip_by_norm(config.clip))
    batches = data.batches(windows, config.batch_size, seed=config.seed, drop_remainder=True)
    parts = ({name: batch[name] for name in PARTS} for batch in batches)
    score = functools.partial(validate, model, held_out)
    state, curve = cost.train_for(config.seconds, step, state, parts, score, VALIDATIONS)
    return state.params, curve


def validate(model: Any, held_out: list[dict], params: Any) -> float:
    """Computes the mean nats over the validation windows."""
    return float(np.mean([writers.nats(model, params, batch).mean() for batch in held_out]))


def validation_batches(ids: np.ndarray, window: int) -> list[dict[str, np.ndarray]]:
    """Cuts windows that do not overlap, spread over the whole text, into batches of one shape."""
    windows = data.Windows(ids, window, stride=window)
    count = min(VALIDATION_WINDOWS, len(windows))
    rows = np.linspace(0, len(windows) - 1, count).astype(int)
    chosen = windows.gather(rows)
    # A text too short for a whole batch has one of its own.
    whole = count - count % ROWS or count
    batches = []
    for first in range(0, whole, ROWS):
        batches.append({name: chosen[name][first : first + ROWS] for name in PARTS})
    return batches


def measure(models: dict[str, Any], config: Config) -> dict[str, Any]:
    """Measures time and memory by the length of context and sequence."""
    contexts, lengths = doublings(config.longest), doublings(config.longest_training)[::-2][::-1]
    layers = {name: repr(models[name].recurrence) for name in config.names}
    tokens, peaks = {}, {}
    for name, model in models.items():
        tokens[name] = [writers.cost_of_token(model, size, TIMED_TOKENS) for size in contexts]
    sparing = dict(models)
    for name in [name for name in config.names if name not in CHUNKED]:
        sparing[f'{name} remat="sqrt"'] = dataclasses.replace(models[name], remat="sqrt")
    for name, model in sparing.items():
        peaks[name] = [writers.training_bytes(model, MEMORY_BATCH, length) for length in lengths]
    return {
        "layers": layers,
        "contexts": contexts,
        "generation": tokens,
        "lengths": lengths,
        "training_bytes": peaks,
    }


def doublings(longest: int) -> list[int]:
    """Lists 128, 256, ... up to `longest`."""
    return [128 * 2**i for i in range((longest // 128).bit_length())]


def draw(measured: dict[str, Any]) -> Any:
    """Draws the four plots."""
    contexts, lengths = measured["contexts"], measured["lengths"]
    times, states, peaks, curves = {}, {}, {}, {}
    for name, points in measured["generation"].items():
        milliseconds, remembered = zip(*points, strict=True)
        times[name] = contexts, milliseconds
        states[name] = contexts, np.array(remembered) / KIBIBYTE
    for name, needed in measured["training_bytes"].items():
        peaks[name] = lengths, np.array(needed) / MEBIBYTE
    for name, points in measured["curves"].items():
        # Before the first step all are alike.
        seconds, nats, _ = zip(*points[1:], strict=True)
        curves[name] = seconds, nats
    of, peak = "context, tokens", f"Memory of a training step, batch {MEMORY_BATCH}"
    return plot_panels(
        [
            Panel("Time for a generated token", of, "milliseconds", times, True),
            Panel("Memory behind a generated token", of, "KiB of state or cache", states, True),
            Panel(peak, "length T", "MiB", peaks, True),
            Panel("Validation loss by training time", "seconds", "nats per character", curves),
        ]
    )


if __name__ == "__main__":
    launch(Config, main, __doc__)
