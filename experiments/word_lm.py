"""experiments.word_lm: the classic benchmark of language models, the Penn Treebank.

    python -m experiments.word_lm                                   # words, perplexity
    python -m experiments.word_lm --characters                      # characters, bits
    python -m experiments.word_lm --train FILE --dev FILE           # any text of words with blanks between
    python -m experiments.word_lm --test                            # scored on the test set in the end
    python -m experiments.word_lm evaluate RUN FILE --cache 500     # with a neural cache
    python -m experiments.word_lm evaluate RUN FILE --dynamic 0.1   # learning while it reads
    python -m experiments.word_lm generate RUN

What AWD-LSTM is made of, smaller: embeddings tied to the projection, LSTM layers whose recurrent
weights are dropped, masks that stay for a whole window, words dropped from the table, outputs kept
small and slow, the text cut at other places in every epoch, an average of the weights. Expect a
perplexity of 84.2 on the validation text by --epochs 30 --precision bfloat16, 103 minutes on a
shared core with AMX. Papers: Zaremba et al., 2014; Merity et al., 2018; Grave et al., 2017; Krause
et al., 2018.
"""

import dataclasses

import numpy as np
import optax

import seqjax
from experiments.char_lm import Generate, generate
from experiments.cli import Verb, launch
from seqjax import files, text, training
from seqjax.combinators import LAYERS, RESIDUAL
from seqjax.training import OWN, Options, RunConfig, check_parts, option, test_option

WEIGHTED = ("lstm", "gru", "elman", "mgu", "slstm")
"""Layers with recurrent weights that can be dropped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    train: str | None = option(None, "text to learn, a sentence a line", metavar="FILE")
    dev: str | None = option(None, "text that chooses the model", metavar="FILE")
    test: str | None = test_option()
    characters: bool = option(False, "read characters, not words")
    cell: str = option("lstm", "recurrent layer", choices=tuple(LAYERS))
    hidden_size: int = option(400, "units of each layer, and features of a token", least=1)
    layers: int = option(2, "recurrent layers", least=1)
    dropout: float = option(0.4, "rate on embeddings and outputs", least=0, below=1)
    layer_dropout: float = option(0.25, "rate between layers", least=0, below=1)
    embedding_dropout: float = option(0.1, "rate of dropped words", least=0, below=1)
    weight_dropout: float = option(0.3, "rate of dropped recurrent weights", least=0, below=1)
    activation_penalty: float = option(2.0, "weight of the mean square of outputs", least=0)
    change_penalty: float = option(1.0, "weight of that of their change", least=0)
    window: int = option(70, "tokens that a gradient goes back, on average", least=1)
    epochs: int | None = option(40, "passes over the text", least=1)
    batch_size: int | None = option(32, "rows of a step", least=1)
    warmup: float = option(0.02, "share of the steps over which the rate rises", least=0, below=1)
    weight_decay: float = option(1e-6, "AdamW's; 0 for plain Adam", least=0)
    clip: float | None = option(0.25, "largest gradient norm", least=1e-12)
    average: float | None = option(0.998, "decay of the weights' average", least=0, below=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Options):
    cache: int | None = option(None, "outputs that a neural cache keeps", least=1)
    sharpness: float = option(0.3, "of the cache", least=0)
    share: float = option(0.1, "of the cache in the mixture", least=0, below=1)
    dynamic: float | None = option(None, "rate at which the model learns while it reads", least=0)


def main(config: Config) -> dict:
    """Trains, scores and writes; returns what `result.json` holds."""
    with training.Run("word_lm", config) as run:
        config = run.config
        corpus = read_texts(config)
        task = build(config, corpus)
        # A text too short is told before anything is written.
        task.batches(corpus.train, batch_size=config.batch_size, multiple_of=config.devices)
        sizes = f"{len(corpus.train):,} + {len(corpus.validation):,} characters"
        run.say(f"{sizes}: {corpus.origin}")
        run.say(repr(task))
        trained = run.fit(task, corpus.train, validation=corpus.validation, source=corpus.origin)
        if corpus.test is None:
            return run.finish(trained, corpus.validation, "validation")
        return run.finish(trained, corpus.test, "test")


def build(config: Config, corpus: text.Corpus) -> text.LanguageModel:
    """Makes the task of a config."""
    if "weight_dropout" in config.given and config.cell not in WEIGHTED:
        raise ValueError(f"--weight-dropout wants recurrent weights, and {config.cell} has none")
    layers = []
    for place in range(config.layers):
        layer = LAYERS[config.cell](config.hidden_size)
        if config.weight_dropout and config.cell in WEIGHTED:
            layer = seqjax.weight_drop(layer, config.weight_dropout)
        if config.layer_dropout and place < config.layers - 1:
            layer = seqjax.dropout(layer, config.layer_dropout, variational=True)
        layers.append(layer)
    codec = None if config.characters else text.codecs.Lines.of(corpus.train, tokenised=True)
    return text.LanguageModel.of(
        corpus.train + corpus.validation + (corpus.test or ""),
        seqjax.stack(*layers, residual=config.cell in RESIDUAL),
        codec=codec,
        embedding_size=config.hidden_size,
        window=config.window,
        carried=True,
        varied=True,
        activation_penalty=config.activation_penalty,
        change_penalty=config.change_penalty,
        tied=True,
        variational=True,
        dropout=config.dropout,
        embedding_dropout=config.embedding_dropout,
        backend=config.backend,
    )


def read_texts(config: Config) -> text.Corpus:
    """Reads the text to learn, that which chooses the model, and that to test."""
    check_parts(config)
    if config.train is not None and config.dev is not None:
        return text.read_parts(config.train, config.dev, config.test)
    if config.test not in (None, OWN):
        raise ValueError("a file to --test goes with --train and --dev; give them, or no file")
    return text.load_corpus("penn", config.data_dir, test=config.test is not None)


def evaluate(folder: str, path: str, options: Evaluate) -> None:
    """Prints what the model of a run pays for a text."""
    model = seqjax.load(folder, text.LanguageModel)
    words = files.read_text(path)
    for name, value in model.evaluate(words).items():
        print(f"{name.replace('_', ' '):>24}  {value:.4f}")
    if options.cache is not None:
        nats = text.cached_nats(
            model, words, size=options.cache, sharpness=options.sharpness, share=options.share
        )
        print(f"{'perplexity with a cache':>24}  {np.exp(nats.mean()):.4f}")
    if options.dynamic is not None:
        nats = text.dynamic_nats(model, words, optax.sgd(options.dynamic))
        print(f"{'perplexity, dynamic':>24}  {np.exp(nats.mean()):.4f}")


VERBS = {
    "generate": Verb(generate, Generate, "write text with a trained model"),
    "evaluate": Verb(evaluate, Evaluate, "perplexity of a text", ("FILE",)),
}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
