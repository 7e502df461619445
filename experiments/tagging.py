"""experiments.tagging: a bidirectional LSTM with characters and a CRF gives every word its tag.

    python -m experiments.tagging                                          # parts of speech, UD English GUM
    python -m experiments.tagging --corpus wnut17                          # named entities in noisy text, BIO
    python -m experiments.tagging --corpus wnut17 --no-crf --characters none    # what CRF and characters are worth
    python -m experiments.tagging --train FILE --dev FILE                  # any CoNLL or CoNLL-U (.conllu) files
    python -m experiments.tagging --predict RUN FILE                       # tags a file, in its own format

Words in lower case, a convolution over the characters, one bidirectional LSTM, a linear-chain CRF; an average of the
weights, early stopping by the dev set. A CoNLL file has its words first and its tags last, with tabs or blanks
between; tags in BIO, BIOES, BILOU or BMES are scored by spans, and the CRF keeps to the scheme. Without a network the
Turkish treebank that the package turkish-treebanks ships. Expect 96.4% of the tags of GUM right, 11 minutes on a shared
core.
Papers: Lample et al., 2016; Ma and Hovy, 2016.
"""

import collections
import dataclasses
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Options, Run, Verb, launch, load_config, mistakes, option
from seqjax import data, datasets, figures, training
from seqjax.files.disk import write_atomically
from seqjax.losses import crf
from seqjax.models import Tagger
from seqjax.text.tagged import TaggedSentences, annotate, read_tagged

SPELLING = 20  # characters of a word; of longer ones the first and the last half of them
BUCKETS = 5
MONITOR = ("error", "nats")  # before the first span is right, the likelihood decides


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    corpus: str = option("gum", "data set", choices=("gum", "wnut17", "turkish_treebank"))
    train: str | None = option(None, "CoNLL or CoNLL-U file to learn in place of the corpus")
    dev: str | None = option(None, "file of the same form to score")
    column: str = option("upos", "tags of a treebank", choices=("upos", "xpos"))
    crf: bool = option(True, "learn how tags follow each other")
    characters: str = option("cnn", "what reads the spelling", choices=("cnn", "gru", "none"))
    embedding_size: int = option(100, "features of a word", least=1)
    char_features: int = option(50, "features of a word's spelling", least=2)
    hidden_size: int = option(128, "units of each direction", least=1)
    layers: int = option(1, "bidirectional layers", least=1)
    dropout: float = option(0.4, "rate before, between and after the layers", least=0, below=1)
    word_dropout: float = option(0.15, "rate at which words are read as unknown", least=0, below=1)
    batch: int = option(600, "words a step, padding included, at most", least=1)
    learning_rate: float = option(3e-3, "Adam's", least=0)
    average: float = option(
        0.99,
        "decay of the moving average of the weights, which is what is scored",
        least=0,
        below=1,
    )
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    epochs: int = option(20, "passes over the training sentences at most", least=1)
    patience: int = option(5, "epochs without a better dev score before training stops", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(Options):
    output: str | None = option(None, "file to write; else the standard output")


class Encoder:
    """Sentences as numbers: words in lower case, their spelling, and tags."""

    def __init__(self, words: data.Vocabulary, characters: data.Vocabulary, tags: data.Vocabulary):
        self.words, self.characters, self.tags = words, characters, tags

    @classmethod
    def of(cls, train: TaggedSentences) -> "Encoder":
        """The words, characters and tags of the training sentences."""
        text = {character for sentence in train.tokens for word in sentence for character in word}
        return cls(
            data.Vocabulary.words([word.lower() for word in sentence] for sentence in train.tokens),
            data.Vocabulary.characters(text, data.SPECIALS),
            data.Vocabulary.characters({tag for sentence in train.tags for tag in sentence}),
        )

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """What `save` wrote."""
        return cls(
            *(
                data.Vocabulary.load(folder / f"{name}.json")
                for name in ("words", "characters", "tags")
            )
        )

    def save(self, folder: Path) -> None:
        """Writes the three vocabularies."""
        for name in ("words", "characters", "tags"):
            getattr(self, name).save(folder / f"{name}.json")

    def encode(self, sentence: list[str]) -> dict[str, np.ndarray]:
        """One sentence: `words [time]`, `characters [time, SPELLING]` and `char_lengths [time]`."""
        half = SPELLING // 2
        spelt = [word if len(word) <= SPELLING else word[:half] + word[-half:] for word in sentence]
        characters, char_lengths, _ = data.pad_batch(
            [self.characters.encode(w) for w in spelt], SPELLING, len(spelt)
        )
        words = self.words.encode([word.lower() for word in sentence])
        return {"words": words, "characters": characters, "char_lengths": char_lengths}


def main(config: Config) -> dict:
    """Trains, scores and writes predictions; returns what `result.json` holds."""
    run = Run("tagging", config)
    config = run.config
    with mistakes():
        train, dev, source = read_corpora(config)
        encoder = Encoder.of(train)
        scheme = scheme_of(encoder.tags)
        for part in (train, dev):
            check_tags(part, encoder.tags, scheme if config.crf else None)
        strange = strangers(dev, encoder.tags)
        batches = make_batches(encoder, train, config)
    run.begin(source)
    if run.leads:
        encoder.save(run.folder)
    kinds = f"{len(encoder.tags)} tags" + (f" in {scheme}" if scheme else "")
    run.say(f"{len(train.tokens):,} + {len(dev.tokens):,} sentences, {kinds}: {source['origin']}")
    if strange:
        shown = ", ".join(f"{tag} ({count:,})" for tag, count in strange.most_common(5))
        run.say(
            f"{strange.total():,} dev words have tags that training lacks, and count as wrong: {shown}"
        )
    run.say(batches.iterator.report())
    if scheme is None and (stray := stray_tag(encoder.tags)):
        run.say(
            f"spans are not scored: with {stray!r} the tags are in none of {', '.join(crf.SCHEMES)}; correct it"
        )

    model, every = build(config, encoder), batches.iterator.batches_per_epoch
    tagger = make_tagger(model, encoder, config)
    judged = list(make_batches(encoder, dev, config, once=True))
    state = run.train(
        fresh_state(model, config),
        functools.partial(loss, model, constraints_of(encoder, config)),
        optax.adam(config.learning_rate),
        data.mapped(run.share, batches),
        steps=config.epochs * every,
        every=every,
        evaluate=lambda state: score(dev, *tagger(state.ema, judged, len(dev.tokens)), scheme),
        monitor=MONITOR,
        patience=config.patience,
        per_step=sum(map(len, train.tokens)) // every,
        unit="words",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return report(run, *tagger(state.ema, judged, len(dev.tokens)), encoder, train, dev, scheme)


def build(config: Config, encoder: Encoder) -> Tagger:
    """The model of a config."""
    layers = [seqjax.bidirectional(seqjax.LSTM(config.hidden_size)) for _ in range(config.layers)]
    reader = seqjax.bidirectional(seqjax.GRU(config.char_features // 2))
    return Tagger(
        len(encoder.words),
        len(encoder.tags),
        seqjax.stack(*layers, dropout=config.dropout),
        config.embedding_size,
        char_vocab_size=None if config.characters == "none" else len(encoder.characters),
        char_features=config.char_features,
        char_recurrence=reader if config.characters == "gru" else None,
        crf=config.crf,
        dropout=config.dropout,
        word_dropout=config.word_dropout,
        unknown=encoder.words.unk,
        backend=config.backend,
    )


def fresh_state(model, config: Config) -> training.TrainState:
    """The state before the first step."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    characters = None if config.characters == "none" else jnp.zeros((1, 1, SPELLING), int)
    params = model.init(init_key, jnp.zeros((1, 1), int), characters)["params"]
    return training.create_state(params, optax.adam(config.learning_rate), run_key, ema=True)


def scores_of(model, constraints, params, batch, rngs=None) -> crf.Scores:
    """The chain of a batch, kept to the scheme of its tags."""
    spelling = (batch["characters"],) if model.char_vocab_size else ()
    scores = model.apply(
        {"params": params},
        batch["words"],
        *spelling,
        lengths=batch["lengths"],
        char_lengths=batch["char_lengths"],
        rngs=rngs,
    )
    return scores if constraints is None else crf.constrain(scores, constraints)


def loss(model, constraints, params, batch, rng, extra):
    """Negative log-likelihood of the tags, in nats a word."""
    scores = scores_of(model, constraints, params, batch, {"dropout": rng})
    words = batch["lengths"].sum()
    likelihood = crf.log_likelihood(batch["tags"], *scores, lengths=batch["lengths"]).sum()
    return -likelihood / jnp.maximum(words, 1), training.Aux(weight=words)


def make_tagger(model, encoder: Encoder, config: Config):
    """A function of `(params, batches, sentences)`: the best tags of every sentence, and the true ones' nats a word.

    Sentences with a tag that training lacks have no likelihood, and are left out of the nats.
    """
    constraints = constraints_of(encoder, config)

    @jax.jit
    def judge(params, batch):
        scores = scores_of(model, constraints, params, batch)
        likelihood = crf.log_likelihood(batch["tags"], *scores, lengths=batch["lengths"])
        return crf.viterbi(*scores, lengths=batch["lengths"]).tags, likelihood

    def tag(params, batches, sentences):
        found, total, words = [[]] * sentences, 0.0, 0
        for batch in batches:
            best, likelihood = jax.device_get(judge(params, batch))
            known = batch["tagged"]
            total, words = (
                total - float(likelihood[known].sum()),
                words + int(batch["lengths"][known].sum()),
            )
            for row, index, length in zip(best, batch["indices"], batch["lengths"], strict=True):
                if index >= 0:
                    found[index] = encoder.tags.decode(row[:length])
        return found, total / max(words, 1)

    return tag


def make_batches(encoder: Encoder, part: TaggedSentences, config: Config, once: bool = False):
    """Batches by length: endless and shuffled, or once in order; `indices` are those of sentences, -1 for none.

    `tagged` says of which sentences training has every tag; any other tag is numbered 0.
    """
    sentences = [encoder.encode(tokens) for tokens in part.tokens]
    tagged = np.array([all(tag in encoder.tags for tag in tags) for tags in part.tags], bool)
    for sentence, tags in zip(sentences, part.tags, strict=True):
        sentence["tags"] = np.array([encoder.tags.ids.get(tag, 0) for tag in tags], np.int32)
    lengths = [len(tokens) for tokens in part.tokens]

    def collate(chosen):
        columns = {
            name: data.pad_batch(
                [sentences[i][name] for i in chosen.indices], chosen.time, chosen.rows
            )
            for name in ("words", "characters", "char_lengths", "tags")
        }
        indices = np.full(chosen.rows, -1)
        indices[: len(chosen.indices)] = chosen.indices
        return {name: parts[0] for name, parts in columns.items()} | {
            "lengths": columns["words"][1],
            "indices": indices,
            "tagged": (indices >= 0) & tagged[indices],
        }

    order = data.BucketBatches(
        lengths,
        tokens=max(config.batch, max(lengths) * config.devices),
        buckets=BUCKETS,
        seed=config.seed,
        shuffle=not once,
        epochs=1 if once else None,
        multiple_of=config.devices,
    )
    return data.mapped(collate, order)


def scheme_of(tags: data.Vocabulary) -> str | None:
    """The scheme of spans that the tags are in; None for tags that are no spans."""
    return crf.scheme_of(tags.tokens)


def stray_tag(tags: data.Vocabulary) -> str | None:
    """A tag that keeps the others from being spans of a scheme; None where they look like none."""
    spans = [tag for tag in tags.tokens if re.fullmatch(r"[BIELSUMW]-.+", tag)]
    stray = [tag for tag in tags.tokens if tag not in spans and tag != "O"]
    return (stray or spans)[0] if spans and 2 * len(spans) >= len(tags.tokens) else None


def constraints_of(encoder: Encoder, config: Config) -> crf.Constraints | None:
    """What the tags' scheme allows; None without a CRF or a scheme."""
    scheme = scheme_of(encoder.tags)
    return crf.SCHEMES[scheme](encoder.tags.tokens) if scheme and config.crf else None


def strangers(part: TaggedSentences, known: data.Vocabulary) -> collections.Counter[str]:
    """Counts the tags that training lacks.

    Raises:
      ValueError: it lacks all of them: the files have different tag sets.
    """
    counts = collections.Counter(tag for sentence in part.tags for tag in sentence)
    found = collections.Counter({tag: count for tag, count in counts.items() if tag not in known})
    if found.total() == counts.total():
        tag = next(iter(found))
        raise ValueError(
            f"{part.place(0)}: the tag {tag!r}, and all others of the file, do not occur in training"
        )
    return found


def check_tags(part: TaggedSentences, known: data.Vocabulary, scheme: str | None) -> None:
    """Refuses words without a tag, and tags that break their scheme in sentences that can be learnt.

    Raises:
      ValueError: says where the first one is.
    """
    flat = [tag for sentence in part.tags for tag in sentence]
    if "_" in flat:
        raise ValueError(f"{part.place(flat.index('_'))}: the word has no tag (_); add it")
    if scheme is None:
        return
    allowed, count = crf.SCHEMES[scheme](known.tokens), 0
    for sentence in part.tags:
        if not all(tag in known for tag in sentence):
            count += len(sentence)
            continue
        ids = known.encode(sentence)
        steps = [allowed.start[ids[0]], *allowed.transitions[ids[:-1], ids[1:]]] if len(ids) else []
        if not all(steps):
            wrong = steps.index(False)
            before = f"after {sentence[wrong - 1]}" if wrong else "at the start of a sentence"
            raise ValueError(
                f"{part.place(count + wrong)}: {sentence[wrong]} {before} is not {scheme}; mend it, or --no-crf"
            )
        if len(ids) and not allowed.end[ids[-1]]:
            raise ValueError(
                f"{part.place(count + len(ids) - 1)}: {sentence[-1]} at the end of a sentence is not {scheme}"
            )
        count += len(ids)


def read_corpora(config: Config) -> tuple[TaggedSentences, TaggedSentences, dict]:
    """The sentences to learn, those to score, and where they come from."""
    if (config.train is None) != (config.dev is None):
        raise ValueError("--train and --dev go together; give both files")
    if config.train is not None:
        train, dev = (read_tagged(path, config.column) for path in (config.train, config.dev))
    else:
        try:
            train, dev = load_corpora(config, config.corpus)
        except datasets.DataUnavailable as reason:
            print(f"{reason}. Learning turkish_treebank, which a package ships", file=sys.stderr)
            train, dev = load_corpora(config, "turkish_treebank")
    prints = (
        data.Records({"tokens": p.tokens, "tags": p.tags}).fingerprint() for p in (train, dev)
    )
    return train, dev, {"origin": train.origin, "fingerprint": "-".join(prints)}


def load_corpora(config: Config, name: str) -> Iterator[TaggedSentences]:
    """The two parts of a corpus that `seqjax.data` knows."""
    parts = [datasets.load(name, split, config.data_dir) for split in ("train", "dev")]
    tables = [part.records.columns() for part in parts]
    column = "tags" if "tags" in tables[0] else config.column
    return (
        TaggedSentences(t["tokens"], t[column], p.origin)
        for t, p in zip(tables, parts, strict=True)
    )


def score(part: TaggedSentences, predictions, nats: float, scheme: str | None) -> dict[str, float]:
    """Accuracy of the words, and F1 of the spans where the tags have a scheme; `error` is 1 less the latter, if any."""
    pairs = [
        (tag, guess)
        for tags, guesses in zip(part.tags, predictions, strict=True)
        for tag, guess in zip(tags, guesses, strict=True)
    ]
    scores = {"nats": nats, "accuracy": sum(tag == guess for tag, guess in pairs) / len(pairs)}
    if scheme is not None:
        from seqeval.metrics import f1_score

        truth, found = (
            [crf.in_bioes(tags, scheme) for tags in rows] for rows in (part.tags, predictions)
        )
        scores["span_f1"] = float(f1_score(truth, found, zero_division=0))
    return scores | {"error": 1 - scores.get("span_f1", scores["accuracy"])}


def report(run, predictions, nats, encoder, train, dev, scheme):
    """Writes predictions, pictures and the result; returns the result."""
    rows = (
        "".join(f"{word}\t{tag}\t{guess}\n" for word, tag, guess in zip(*sentence, strict=True))
        for sentence in zip(dev.tokens, dev.tags, predictions, strict=True)
    )
    run.write_text("predictions.conll", "\n".join(rows))
    truth, guesses = (
        [tag for sentence in part for tag in sentence] for part in (dev.tags, predictions)
    )
    strange = strangers(dev, encoder.tags)
    figures.plot_confusion(
        run.folder / "confusion.png", truth, guesses, (*encoder.tags.tokens, *sorted(strange))
    )
    history = run.history()
    figures.plot_history(run.folder / "loss.png", history, {"nats": "dev"}, run.config.clip)
    if scheme is not None:
        from seqeval.metrics import classification_report

        spans = ([crf.in_bioes(tags, scheme) for tags in rows] for rows in (dev.tags, predictions))
        run.write_text("spans.txt", classification_report(*spans, digits=4, zero_division=0))
    known = [word.lower() in encoder.words for sentence in dev.tokens for word in sentence]
    unknown = [
        tag == guess for tag, guess, seen in zip(truth, guesses, known, strict=True) if not seen
    ]
    scores = {
        name: value
        for name, value in score(dev, predictions, nats, scheme).items()
        if name != "error"
    }
    if unknown:
        scores["accuracy_unknown_words"] = sum(unknown) / len(unknown)
    best = run.best()
    counts = {
        "train_sentences": len(train.tokens),
        "dev_sentences": len(dev.tokens),
        "dev_words": len(truth),
    }
    counts |= {
        "unknown_words": len(unknown),
        "steps": history[-1]["step"],
        "best_step": best["step"],
    }
    if strange:
        counts["words_of_unknown_tags"] = strange.total()
    result = run.finish(scores, counts)
    for name, value in scores.items():
        run.say(f"{name.replace('_', ' '):>22}  {value:.4f}")
    run.say(f"run folder: {run.folder}")
    return result


def predict(folder: str, path: str, options: Predict) -> None:
    """Tags a file, in its own format."""
    config = load_config(folder, "tagging", Config)
    with mistakes():
        encoder = Encoder.load(Path(folder))
        part = read_tagged(path, config.column, tagged=False)
        part = dataclasses.replace(
            part, tags=[[encoder.tags.tokens[0]] * len(tokens) for tokens in part.tokens]
        )
        model = build(config, encoder)
        state = training.restore_best(
            fresh_state(model, config), training.Checkpoints(Path(folder) / "checkpoints")
        )
        batches = make_batches(encoder, part, config, once=True)
        predictions, _ = make_tagger(model, encoder, config)(state.ema, batches, len(part.tokens))
        text = annotate(path, predictions, config.column)
        if options.output is not None:
            write_atomically(options.output, text.encode())
    if options.output is None:
        print(text, end="")


if __name__ == "__main__":
    launch(Config, main, __doc__, {"predict": Verb(predict, Predict, "tag a file", "FILE")})
