"""experiments.sentiment: a bidirectional LSTM with attention reads a sentence and says what its author thinks.

    python -m experiments.sentiment                               # Stanford Sentiment Treebank
    python -m experiments.sentiment --corpus imdb                 # film reviews, through TFDS
    python -m experiments.sentiment --train FILE --dev FILE       # any labels: label, tab, text
    python -m experiments.sentiment --test                        # scored on the test set in the end
    python -m experiments.sentiment --members 5                   # five networks answer together
    python -m experiments.sentiment predict RUN "a charming film" # the class, and each word's weight

The 6,920 sentences of SST-2 without their phrases and no pretrained vectors: embeddings of
lower-case words, one bidirectional layer, attention pooling, much dropout, an average of the
weights, early stopping by the dev set. `attention.html` in the run folder shows where the model
looked. Expect 80% of the dev set right after a minute on a shared core. Papers: Socher et al.,
2013, for the data; Yang et al., 2016, for attention pooling.
"""

import dataclasses

import seqjax
from experiments.cli import Verb, launch
from seqjax import data, text, training
from seqjax.text.labelled import CORPORA
from seqjax.training import (
    OWN,
    Options,
    RunConfig,
    check_parts,
    members_option,
    option,
    test_option,
)

CELLS = {"lstm": seqjax.LSTM, "gru": seqjax.GRU}
POOLINGS = ("attention", "mean", "max", "last")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    corpus: str = option("sst2", "data set", choices=CORPORA)
    train: str | None = option(
        None,
        "file to learn in place of the corpus, each line a label, a tab, a text",
        metavar="FILE",
    )
    dev: str | None = option(None, "file of the same form that chooses the model", metavar="FILE")
    test: str | None = test_option()
    tokens: str = option("words", "what the network reads", choices=("words", "bpe"))
    min_count: int = option(2, "rarer words are unknown words", least=1)
    bpe_size: int = option(4000, "byte-pair tokens, with --tokens bpe", least=260)
    max_length: int = option(400, "tokens of a text that are read", least=1)
    cell: str = option("lstm", "recurrent layer", choices=tuple(CELLS))
    embedding_size: int = option(100, "features of a token", least=1)
    hidden_size: int = option(100, "units of each direction", least=1)
    layers: int = option(1, "bidirectional layers", least=1)
    pooling: str = option("attention", "of the outputs", choices=POOLINGS)
    dropout: float = option(
        0.5, "rate on embeddings, between layers and before the classes", least=0, below=1
    )
    word_dropout: float = option(0.2, "rate at which words are read as unknown", least=0, below=1)
    epochs: int | None = option(15, "passes over the training texts at most", least=1)
    batch_size: int | None = option(32, "texts of a step", least=1)
    schedule: str = option("constant", "of the learning rate", choices=training.SCHEDULES)
    weight_decay: float = option(1e-2, "AdamW's; 0 for plain Adam", least=0)
    average: float | None = option(0.99, "decay of the weights' moving average", least=0, below=1)
    members: int = members_option()
    patience: int | None = option(5, "evaluations without a better score before it stops", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(Options):
    html: str | None = option(None, "page to write, the text with its attention", metavar="FILE")


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    with training.Run("sentiment", config) as run:
        config = run.config
        train, dev, test, origin = read_texts(config)
        task = build(config, train)
        run.say(f"{len(train.texts):,} + {len(dev.texts):,} texts: {origin}")
        run.say(repr(task))
        tell_what_is_lost(run, task, train, dev)
        trained = run.fit_seeds(task, train, config.members, validation=dev, source=origin)
        if test is not None:
            return run.finish(trained, test, "test")
        return run.finish(trained, dev, "validation")


def build(config: Config, train: text.LabelledTexts) -> text.Classifier:
    """Makes the task of a config."""
    layers = [
        seqjax.bidirectional(CELLS[config.cell](config.hidden_size)) for _ in range(config.layers)
    ]
    vocab = None
    if config.tokens == "bpe":
        vocab = data.BPE.train(map(str.lower, train.texts), config.bpe_size)
    return text.Classifier.of(
        train.texts,
        train.labels,
        seqjax.stack(*layers, dropout=config.dropout),
        vocab=vocab,
        min_count=config.min_count,
        max_length=config.max_length,
        embedding_size=config.embedding_size,
        pooling=config.pooling,
        dropout=config.dropout,
        word_dropout=config.word_dropout,
        backend=config.backend,
    )


def read_texts(
    config: Config,
) -> tuple[text.LabelledTexts, text.LabelledTexts, text.LabelledTexts | None, str]:
    """Reads the texts to learn, those that choose the model, those to test, and says where they are from."""
    check_parts(config)
    if config.train is None and config.test not in (None, OWN):
        raise ValueError("a file to --test goes with --train and --dev; give them, or no file")
    if config.train is None or config.dev is None:
        train, origin = text.load_labelled(config.corpus, "train", config.data_dir)
        dev, _ = text.load_labelled(config.corpus, "validation", config.data_dir)
        if config.test is None:
            return train, dev, None, origin
        test, _ = text.load_labelled(config.corpus, "test", config.data_dir)
        return train, dev, test, origin
    paths = [path for path in (config.train, config.dev, config.test) if path is not None]
    train, dev, *rest = text.read_labelled(*paths)
    return train, dev, rest[0] if rest else None, ", ".join(paths)


def tell_what_is_lost(
    run: training.Run, task: text.Classifier, train: text.LabelledTexts, dev: text.LabelledTexts
) -> None:
    """Says which dev labels cannot be right, and how many texts are cut."""
    strange = [label for label in dev.labels if label not in task.labels]
    if strange:
        shown = ", ".join(map(repr, sorted(set(strange))[:5]))
        run.say(
            f"{len(strange):,} dev texts have labels that training lacks, "
            f"and count as wrong: {shown}"
        )
    cut = task.inputs.count_cut(train.texts + dev.texts)
    if cut:
        run.say(f"{cut:,} texts are read up to their first {task.inputs.max_length} tokens")


def predict(folder: str, words: str, options: Predict) -> None:
    """Names the class of a text, and the weight of each of its words."""
    classifier = seqjax.load(folder, text.Classifier)
    (found,) = classifier.explain([words])
    print(f"{found.label} {found.probability:.3f}")
    if found.weights is not None:
        pairs = zip(found.words, found.weights, strict=True)
        print(" ".join(f"{word}:{weight:.2f}" for word, weight in pairs))
    if options.html is not None:
        classifier.draw_attention([words], options.html)


VERBS = {"predict": Verb(predict, Predict, "name the class of a text", ("TEXT",))}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
