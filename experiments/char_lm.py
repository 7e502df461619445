"""experiments.char_lm: a character LSTM learns a text and writes some.

    python -m experiments.char_lm                                   # tiny Shakespeare
    python -m experiments.char_lm --text FILE --cell gru            # any text, another cell
    python -m experiments.char_lm --generate RUN --prompt "ROMEO:"  # write with a trained model

The classic exercise: embedding 128, two LSTM layers of 256, dropout 0.3, windows of 100 characters,
batch 64, Adam 2e-3, gradient norm clipped at 5, 3,000 steps; the last tenth of the text is for
validation. Expect 1.50 nats a character there, 43 minutes on a shared core. Paper: Graves,
"Generating Sequences With Recurrent Neural Networks", 2013.
"""

import dataclasses
import functools
import hashlib
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import (
    BaseConfig,
    Options,
    Run,
    Verb,
    check_rows,
    launch,
    load_config,
    mistakes,
    option,
    read_corpus,
)
from seqjax import data, figures, files, training
from seqjax.models import LanguageModel

LAYERS = {
    "elman": seqjax.Elman,
    "lstm": seqjax.LSTM,
    "gru": seqjax.GRU,
    "lru": lambda hidden: seqjax.gated(seqjax.LRU(hidden)),
    "min_gru": lambda hidden: seqjax.gated(seqjax.MinGRU(hidden)),
    "min_lstm": lambda hidden: seqjax.gated(seqjax.MinLSTM(hidden)),
}
ROWS, CHUNK = (
    256,
    1000,
)  # of validation: windows side by side, characters between two states carried


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    corpus: str = option(
        "tiny_shakespeare", "text to learn", choices=("tiny_shakespeare", "pydoc_topics")
    )
    text: str | None = option(None, "UTF-8 file to learn instead of the corpus")
    cell: str = option("lstm", "recurrent layer", choices=tuple(LAYERS))
    embedding_size: int = option(128, "features of a character", least=1)
    hidden_size: int = option(256, "units of each layer", least=1)
    layers: int = option(2, "recurrent layers", least=1)
    dropout: float = option(0.3, "rate between layers", least=0, below=1)
    window: int = option(100, "characters of a training window", least=1)
    batch: int = option(64, "windows a step", least=1)
    learning_rate: float = option(2e-3, "Adam's", least=0)
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    steps: int = option(3000, "training steps", least=1)
    every: int = option(250, "steps between validations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate(Options):
    prompt: str | None = option(None, "text to go on from (default: a new line)")
    temperature: float = option(0.8, "0 takes the likeliest character always", least=0)
    length: int = option(500, "characters to write", least=1)
    top_k: int | None = option(None, "draw from the k likeliest characters", least=1)
    top_p: float | None = option(
        None, "draw from the likeliest characters that hold this much probability"
    )
    seed: int = option(0, "seed of the draws", least=0)


def main(config: Config) -> dict:
    """Trains, validates and writes; returns what `result.json` holds."""
    run = Run("char_lm", config)
    config = run.config
    with mistakes():
        train, valid, source = read_texts(config)
        check_rows(config.batch, config.devices)
        vocabulary = data.Vocabulary.characters(train + valid)
        windows = data.Windows(vocabulary.encode(train), config.window)
        valid_ids = vocabulary.encode(valid)
        if len(valid_ids) < 2:
            raise ValueError(
                f"the text has {len(train + valid)} characters; give at least 20, a tenth validates"
            )
        batches = data.batches(
            windows, config.batch, seed=config.seed, shard=run.shard, drop_remainder=True
        )
        model = build(config, len(vocabulary.tokens))
    run.begin(source)
    vocabulary.save(run.folder / "vocabulary.json")
    run.say(
        f"{len(train):,} + {len(valid):,} characters, {len(vocabulary.tokens)} kinds: {source['origin']}"
    )

    best = run.train(
        fresh_state(model, config),
        functools.partial(loss, model),
        optax.adam(config.learning_rate),
        batches,
        steps=config.steps,
        every=config.every,
        evaluate=make_validation(model, valid_ids, config),
        monitor="carried_nats",
        per_step=config.batch * config.window,
        unit="characters",
        clip=training.clip_by_norm(config.clip),
    )
    return report(run, model, vocabulary, best.params)


def build(config: Config, vocab_size: int) -> LanguageModel:
    """The model of a config."""
    layers = [LAYERS[config.cell](config.hidden_size) for _ in range(config.layers)]
    recurrence = seqjax.stack(
        *layers, dropout=config.dropout, residual=config.cell in ("lru", "min_gru", "min_lstm")
    )
    return LanguageModel(vocab_size, config.embedding_size, recurrence, backend=config.backend)


def fresh_state(model: LanguageModel, config: Config) -> training.TrainState:
    """The state before the first step."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    params = model.init(init_key, jnp.zeros((1, 1), int))["params"]
    return training.create_state(params, optax.adam(config.learning_rate), run_key)


def loss(model, params, batch, rng, extra):
    """Mean cross-entropy of the next character, in nats."""
    _, logits = model.apply({"params": params}, batch["inputs"], rngs={"dropout": rng})
    return seqjax.losses.cross_entropy(logits, batch["targets"]), training.Aux(
        weight=batch["targets"].size
    )


def make_validation(model, ids, config):
    """A function that scores a state on the text's windows, and on the whole text with the state carried through."""
    windows, chunks = cut(ids, config.window, ROWS), cut(ids, CHUNK, 1)

    @jax.jit
    def score(params, memory, batch):
        memory, logits = model.apply({"params": params}, batch["inputs"], memory)
        nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
        return memory, {"nats": training.Mean.of(nll, batch["weight"])}

    def carried(params):
        memory = model.start(params, (1,))
        for chunk in chunks:
            memory, mean = score(params, memory, chunk)
            yield mean

    def validate(state):
        params, empty = state.params, model.start(state.params, (ROWS,))
        by_window = training.average(score(params, empty, batch)[1] for batch in windows)["nats"]
        by_text = training.average(carried(params))["nats"]
        nats = {"window_nats": by_window, "carried_nats": by_text}
        return nats | {
            name.replace("nats", "bits"): value / math.log(2) for name, value in nats.items()
        }

    return validate


def cut(ids, window, rows):
    """The text cut into windows side by side, batches of `[rows, window]`, the rest of the last one with weight 0."""
    count = len(ids) - 1
    padding = -count % (window * rows)
    shape = lambda a: np.pad(a, (0, padding)).reshape(-1, rows, window)  # noqa: E731
    parts = {
        "inputs": shape(ids[:-1]),
        "targets": shape(ids[1:]),
        "weight": shape(np.ones(count, np.float32)),
    }
    return [dict(zip(parts, batch, strict=True)) for batch in zip(*parts.values(), strict=True)]


def report(run, model, vocabulary, params):
    """Writes samples, pictures and the result; returns the result."""
    lines = run.history()
    best = run.best()
    samples = []
    for temperature in (0.5, 0.8, 1.2):
        text = write(
            model, params, vocabulary, Generate(temperature=temperature, seed=run.config.seed)
        )
        samples.append(f"--- temperature {temperature} ---\n{text}\n")
    run.write_text("samples.txt", "\n".join(samples))
    labels = {
        "window_nats": f"validation, windows of {run.config.window}",
        "carried_nats": "validation, state carried",
    }
    figures.plot_history(run.folder / "loss.png", lines, labels, run.config.clip)
    run.say("\n" + "\n".join(samples))
    scores = {
        name: best[name] for name in ("window_nats", "carried_nats", "window_bits", "carried_bits")
    }
    result = run.finish(scores, {"steps": lines[-1]["step"], "best_step": best["step"]})
    for name, value in scores.items():
        run.say(f"{name.replace('_', ' '):>13}  {value:.4f}")
    run.say(f"run folder: {run.folder}")
    return result


def generate(folder: str, config: Generate) -> None:
    """Writes text with the best checkpoint of a run."""
    settings = load_config(folder, "char_lm", Config)
    with mistakes():
        vocabulary = data.Vocabulary.load(Path(folder) / "vocabulary.json")
        model = build(settings, len(vocabulary.tokens))
        checkpoints = training.Checkpoints(Path(folder) / "checkpoints")
        state = training.restore_best(fresh_state(model, settings), checkpoints)
        if config.prompt == "":
            raise ValueError("--prompt is empty; give at least one character")
        text = write(model, state.params, vocabulary, config)
    print((config.prompt or "") + text)


def write(model, params, vocabulary, config: Generate) -> str:
    """Characters sampled after the prompt, in one compiled program."""
    beginning = "\n" if "\n" in vocabulary else vocabulary.tokens[0]
    prompt = vocabulary.encode(config.prompt or beginning)[None]
    samples = seqjax.decoding.sample(
        model.advance,
        params,
        model.start(params, (1,)),
        prompt,
        jax.random.key(config.seed),
        config.length,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
    )
    return "".join(vocabulary.decode(np.asarray(samples.tokens[0])))


def read_texts(config: Config) -> tuple[str, str, dict]:
    """The text to train on, the last tenth for validation, and where they come from."""
    if config.text is not None:
        return read_file(config.text)
    return read_corpus(config.corpus, config.data_dir)


def read_file(path: str) -> tuple[str, str, dict]:
    """A user's own text."""
    text = files.read_text(path)
    if not text:
        raise ValueError(f"{path}: empty; give a text to learn")
    if "\0" in text:
        raise ValueError(f"{path}: binary (it has zero bytes); give a text file in UTF-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return (
        text[: len(text) * 9 // 10],
        text[len(text) * 9 // 10 :],
        {"origin": path, "fingerprint": digest},
    )


if __name__ == "__main__":
    launch(
        Config,
        main,
        __doc__,
        {"generate": Verb(generate, Generate, "write text with a trained model")},
    )
