"""experiments.char_lm: an LSTM learns a text character by character and writes some.

    python -m experiments.char_lm                                   # tiny Shakespeare
    python -m experiments.char_lm --text FILE --cell gru            # any text, another cell
    python -m experiments.char_lm --tokens words --carried          # words, the state carried on
    python -m experiments.char_lm generate RUN --prompt "ROMEO:"    # writes with a trained model
    python -m experiments.char_lm evaluate RUN FILE                 # bits a character of a text

The classic exercise: embedding 128, two LSTM layers of 256, dropout 0.3, windows of 100 characters,
batch 64, Adam 2e-3, gradient norm clipped at 5, 3,000 steps; the last tenth of the text is for
validation. Expect 1.465 nats a character there with the state carried through, 43 minutes on a
shared core. Paper: Graves, "Generating Sequences With Recurrent Neural Networks", 2013.
"""

import dataclasses
import sys

import seqjax
from experiments.cli import Verb, launch
from seqjax import data, datasets, files, text, training
from seqjax.combinators import LAYERS, stack_of
from seqjax.training import Options, RunConfig, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    corpus: str = option(
        "tiny_shakespeare", "text to learn", choices=("tiny_shakespeare", "pydoc_topics")
    )
    text: str | None = option(None, "UTF-8 file to learn instead of the corpus", metavar="FILE")
    tokens: str = option("characters", "of the text", choices=("characters", "words", "subwords"))
    vocab_size: int = option(10_000, "words or subwords at most", least=300)
    cell: str = option("lstm", "recurrent layer", choices=tuple(LAYERS))
    embedding_size: int = option(128, "features of a token", least=1)
    hidden_size: int = option(256, "units of each layer", least=1)
    layers: int = option(2, "recurrent layers", least=1)
    dropout: float = option(0.3, "rate between layers", least=0, below=1)
    window: int = option(100, "tokens of a training window", least=1)
    carried: bool = option(False, "windows continue each other, the state carried on")
    steps: int | None = option(3000, "training steps", least=1)
    batch_size: int | None = option(64, "windows of a step", least=1)
    schedule: str = option("constant", "of the learning rate", choices=training.SCHEDULES)
    every: int | None = option(250, "steps between evaluations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate(Options):
    prompt: str | None = option(None, "text to go on from (default: a new line)")
    temperature: float = option(0.8, "0 takes the likeliest token always", least=0)
    max_length: int = option(500, "tokens to write", least=1)
    top_k: int | None = option(None, "draw from the k likeliest tokens", least=1)
    top_p: float | None = option(
        None, "draw from the likeliest tokens that hold this much probability", least=0
    )
    seed: int = option(0, "seed of the draws", least=0)


def main(config: Config) -> dict:
    """Trains, validates and writes; returns what `result.json` holds."""
    with training.Run("char_lm", config) as run:
        config = run.config
        corpus = read_or_load(config)
        task = build(config, corpus)
        # A text too short is told before anything is written.
        task.batches(corpus.train, batch_size=config.batch_size, multiple_of=config.devices)
        sizes = f"{len(corpus.train):,} + {len(corpus.validation):,} characters"
        run.say(f"{sizes}: {corpus.origin}")
        run.say(repr(task))
        trained = run.fit(task, corpus.train, validation=corpus.validation, source=corpus.origin)
        result = run.finish(trained, corpus.validation, "validation")
        run.say((run.folder / "samples.txt").read_text(encoding="utf-8"))
        return result


def build(config: Config, corpus: text.Corpus) -> text.LanguageModel:
    """Makes the task of a config."""
    recurrence = stack_of(config.cell, config.hidden_size, config.layers, dropout=config.dropout)
    codec = None
    if config.tokens == "words":
        codec = text.codecs.Lines.of(corpus.train, config.vocab_size)
    if config.tokens == "subwords":
        codec = data.BPE.train([corpus.train], config.vocab_size, specials=())
    return text.LanguageModel.of(
        corpus.train + corpus.validation,
        recurrence,
        codec=codec,
        embedding_size=config.embedding_size,
        window=config.window,
        carried=config.carried,
        backend=config.backend,
    )


def read_or_load(config: Config) -> text.Corpus:
    """Reads the text to learn."""
    if config.text is not None:
        return text.read_corpus(config.text)
    return load_or_prose(config.corpus, config.data_dir)


def load_or_prose(name: str, data_dir: str | None) -> text.Corpus:
    """Loads a text to learn; where it was not found, what ships with CPython."""
    try:
        return text.load_corpus(name, data_dir)
    except datasets.DataUnavailable as reason:
        print(
            f"{reason}. Learning pydoc_topics, the English prose that ships with CPython",
            file=sys.stderr,
        )
        return text.load_corpus("pydoc_topics", data_dir)


def generate(folder: str, options: Generate) -> None:
    """Writes text with the model of a run."""
    model = seqjax.load(folder, text.LanguageModel)
    (written,) = model.predict(
        [model.task.opening if options.prompt is None else options.prompt],
        max_length=options.max_length,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
    )
    print((options.prompt or "") + written)


def evaluate(folder: str, path: str, options: Options) -> None:
    """Prints what the model of a run pays for a text."""
    for name, value in (
        seqjax.load(folder, text.LanguageModel).evaluate(files.read_text(path)).items()
    ):
        print(f"{name.replace('_', ' '):>18}  {value:.4f}")


VERBS = {
    "generate": Verb(generate, Generate, "write text with a trained model"),
    "evaluate": Verb(evaluate, Options, "bits a character of a text", ("FILE",)),
}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
