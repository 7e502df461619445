"""experiments.tagging: a bidirectional LSTM with characters and a CRF gives every word its tag.

    python -m experiments.tagging                            # parts of speech, UD English GUM
    python -m experiments.tagging --corpus wnut17            # named entities in noisy text, BIO
    python -m experiments.tagging --corpus conll2000         # chunks of the Wall Street Journal
    python -m experiments.tagging --corpus wnut17 --no-crf --characters none    # without both
    python -m experiments.tagging --train FILE --dev FILE    # any CoNLL or CoNLL-U files
    python -m experiments.tagging --test                     # scored on the test set in the end
    python -m experiments.tagging --members 5                # five networks answer together
    python -m experiments.tagging predict RUN FILE           # tags a file, in its own format

Words in lower case, a convolution over the characters, one bidirectional LSTM, a linear-chain CRF;
an average of the weights, early stopping by the dev set. A CoNLL file has its words first and its
tags last, with tabs or blanks between; tags in BIO, BIOES, BILOU or BMES are scored by spans, and
the CRF keeps to the scheme. Without a network the Turkish treebank that the package
turkish-treebanks ships. Expect 96.4% of the tags of GUM right, 11 minutes on a shared core. Papers:
Lample et al., 2016; Ma and Hovy, 2016.
"""

import dataclasses
import sys
from pathlib import Path

import seqjax
from experiments.cli import Verb, launch
from seqjax import datasets, text, training
from seqjax.files.disk import write_atomically
from seqjax.text import tag_sets
from seqjax.text.tagged import annotate
from seqjax.training import (
    OWN,
    Options,
    RunConfig,
    check_parts,
    members_option,
    option,
    test_option,
)

CORPORA = ("gum", "wnut17", "conll2000", "turkish_treebank")
COLUMNS = ("upos", "xpos")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    corpus: str = option("gum", "data set", choices=CORPORA)
    train: str | None = option(None, "file to learn in place of the corpus", metavar="FILE")
    dev: str | None = option(None, "file of the same form that chooses", metavar="FILE")
    test: str | None = test_option()
    column: str = option("upos", "tags of a treebank", choices=COLUMNS)
    crf: bool = option(True, "learn how tags follow each other")
    characters: str = option("cnn", "what reads the spelling", choices=("cnn", "gru", "none"))
    embedding_size: int = option(100, "features of a word", least=1)
    char_features: int = option(50, "features of a word's spelling", least=2)
    hidden_size: int = option(128, "units of each direction", least=1)
    layers: int = option(1, "bidirectional layers", least=1)
    dropout: float = option(0.4, "rate before, between and after the layers", least=0, below=1)
    word_dropout: float = option(0.15, "rate at which words are read as unknown", least=0, below=1)
    epochs: int | None = option(20, "passes over the training sentences at most", least=1)
    batch_size: int | None = option(600, "words a step, padding included, at most", least=1)
    learning_rate: float = option(3e-3, "Adam's", least=0)
    schedule: str = option("constant", "of the learning rate", choices=training.SCHEDULES)
    average: float | None = option(0.99, "decay of the weights' moving average", least=0, below=1)
    members: int = members_option()
    patience: int | None = option(5, "evaluations without a better score before it stops", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(Options):
    output: str | None = option(None, "file to write; else the standard output", metavar="FILE")
    column: str | None = option(None, "tags of a treebank (default: the run's)", choices=COLUMNS)


def main(config: Config) -> dict:
    """Trains, scores and writes predictions; returns what `result.json` holds."""
    with training.Run("tagging", config) as run:
        config = run.config
        train, dev, test = read_corpora(config)
        task = build(config, train)
        for part in (train, dev, test):
            task.check(part)
        run.say(f"{len(train.tokens):,} + {len(dev.tokens):,} sentences: {train.origin}")
        run.say(repr(task))
        warn(run, task, dev)
        trained = run.fit_seeds(task, train, config.members, validation=dev, source=train.origin)
        if config.test is None:
            return run.finish(trained, dev, "validation")
        return run.finish(trained, test, "test")


def build(config: Config, train: text.TaggedSentences) -> text.WordTagger:
    """Makes the task of a config."""
    layers = [seqjax.bidirectional(seqjax.LSTM(config.hidden_size)) for _ in range(config.layers)]
    reader = None
    if config.characters == "gru":
        reader = seqjax.bidirectional(seqjax.GRU(config.char_features // 2))
    return text.WordTagger.of(
        train,
        seqjax.stack(*layers, dropout=config.dropout),
        embedding_size=config.embedding_size,
        characters=config.characters != "none",
        char_features=config.char_features,
        char_recurrence=reader,
        crf=config.crf,
        dropout=config.dropout,
        word_dropout=config.word_dropout,
        backend=config.backend,
    )


def read_corpora(config: Config) -> list[text.TaggedSentences]:
    """Reads the sentences to learn, those that choose the model, and those to test, else the second again."""
    check_parts(config)
    corpus = config.corpus
    try:
        train = read_part(config, corpus, "train")
    except datasets.DataUnavailable as reason:
        print(f"{reason}. Learning turkish_treebank, which a package ships", file=sys.stderr)
        corpus = "turkish_treebank"
        train = read_part(config, corpus, "train")
    dev = read_part(config, corpus, "dev")
    return [train, dev, dev if config.test is None else read_part(config, corpus, "test")]


def read_part(config: Config, corpus: str, split: str) -> text.TaggedSentences:
    """Reads a part of the file that a setting names, else of the corpus."""
    path = getattr(config, split)
    if path in (None, OWN):
        return text.load_tagged(corpus, split, config.data_dir, config.column)
    return text.read_tagged(path, config.column)


def warn(run: training.Run, task: text.WordTagger, dev: text.TaggedSentences) -> None:
    """Tells of dev tags that cannot be right, and of a tag that keeps spans from being scored."""
    strange = tag_sets.strangers(dev, task.tags)
    if strange:
        shown = ", ".join(f"{tag} ({count:,})" for tag, count in strange.most_common(5))
        run.say(
            f"{strange.total():,} dev words have tags that training lacks, "
            f"and count as wrong: {shown}"
        )
    stray = tag_sets.stray_tag(task.tags)
    if task.scheme is None and stray is not None:
        run.say(f"spans are not scored: with {stray!r} the tags are in no known scheme; correct it")


def predict(folder: str, path: str, options: Predict) -> None:
    """Tags a file, in its own format."""
    tagger = seqjax.load(folder, text.WordTagger)
    column = options.column or training.read_run(Path(folder))["config"]["column"]
    part = text.read_tagged(path, column, tagged=False)
    tagged = annotate(path, tagger.predict(part.tokens), column)
    if options.output is not None:
        write_atomically(options.output, tagged.encode())
    else:
        print(tagged, end="")


VERBS = {"predict": Verb(predict, Predict, "tag a file, in its own format", ("FILE",))}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
