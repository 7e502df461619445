"""experiments.sentiment: a bidirectional LSTM with attention reads a sentence and says what its author thinks.

    python -m experiments.sentiment                                      # Stanford Sentiment Treebank, two classes
    python -m experiments.sentiment --train train.tsv --dev dev.tsv      # any labels: label, tab, text
    python -m experiments.sentiment --corpus imdb                        # film reviews, through TFDS
    python -m experiments.sentiment --predict RUN "a charming film"      # the class, and the weight of each word

The 6,920 sentences of SST-2 without their phrases and no pretrained vectors: embeddings of lower-case words, one
bidirectional layer, attention pooling, much dropout, an average of the weights, early stopping by the dev set.
`attention.html` in the run folder shows where the model looked. Expect 80% of the dev set right after
a minute on a shared core.
Papers: Socher et al., 2013, for the data; Yang et al., 2016, for attention pooling.
"""

import dataclasses
import functools
import html
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import regex

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
    read_json,
)
from seqjax import data, datasets, figures, files, training
from seqjax.data.words import CHARACTER, PART
from seqjax.files.disk import write_atomically
from seqjax.models import SequenceClassifier

WORD = regex.compile(
    rf"n't|{CHARACTER}|'{PART}|{PART}(?=n't)|{PART}(?:-{PART})*|\.\.\.|--|(?!\s)\X", regex.V1
)
"""Words as the treebank writes them: `didn't` is `did n't`, `it's` is `it 's`; of scripts without blanks characters."""

CELLS = {"lstm": seqjax.LSTM, "gru": seqjax.GRU}
SST2 = ("negative", "positive")
MONITOR = ("error", "nats")
BUCKETS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    corpus: str = option("sst2", "data set", choices=("sst2", "imdb"))
    train: str | None = option(
        None, "file to learn in place of the corpus, each line a label, a tab, a text"
    )
    dev: str | None = option(None, "file of the same form to score")
    tokens: str = option("words", "what the network reads", choices=("words", "bpe"))
    min_count: int = option(2, "rarer words are unknown words", least=1)
    bpe_size: int = option(4000, "byte-pair tokens, with --tokens bpe", least=260)
    max_length: int = option(400, "tokens of a text that are read", least=1)
    cell: str = option("lstm", "recurrent layer", choices=tuple(CELLS))
    embedding_size: int = option(100, "features of a token", least=1)
    hidden_size: int = option(100, "units of each direction", least=1)
    layers: int = option(1, "bidirectional layers", least=1)
    pooling: str = option(
        "attention", "of the outputs", choices=("attention", "mean", "max", "last")
    )
    dropout: float = option(
        0.5, "rate on embeddings, between layers and before the classes", least=0, below=1
    )
    word_dropout: float = option(0.2, "rate at which words are read as unknown", least=0, below=1)
    batch: int = option(32, "texts a step", least=1)
    learning_rate: float = option(2e-3, "Adam's", least=0)
    weight_decay: float = option(1e-2, "AdamW's", least=0)
    average: float = option(
        0.99,
        "decay of the moving average of the weights, which is what is scored",
        least=0,
        below=1,
    )
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    epochs: int = option(15, "passes over the training texts at most", least=1)
    patience: int = option(5, "epochs without a better dev score before training stops", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(Options):
    html: str | None = option(None, "page to write, the text with its attention")


@dataclasses.dataclass(frozen=True)
class Texts:
    """Labelled texts: numbers of labels, texts, and the labels' names; those that training lacks come last."""

    labels: np.ndarray
    texts: list[str]
    names: tuple[str, ...]


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    run = Run("sentiment", config)
    config = run.config
    with mistakes():
        check_rows(config.batch, config.devices)
        train, dev, source = read_texts(config)
        tokeniser = make_tokeniser(config, train.texts)
        batches = make_batches(encode_all(tokeniser, train.texts, config), train.labels, config)
        judged = list(
            make_batches(encode_all(tokeniser, dev.texts, config), dev.labels, config, once=True)
        )
    run.begin(source)
    if run.leads:
        tokeniser.save(run.folder / "tokens.json")
        run.write_json("labels.json", train.names)
    long = sum(len(pieces(tokeniser, text)) > config.max_length for text in train.texts + dev.texts)
    run.say(
        f"{len(train.texts):,} + {len(dev.texts):,} texts, {len(tokeniser):,} tokens: {source['origin']}"
    )
    if strange := dev.names[len(train.names) :]:
        count = int((dev.labels >= len(train.names)).sum())
        shown = ", ".join(map(repr, strange[:5]))
        run.say(f"{count:,} dev texts have labels that training lacks, and count as wrong: {shown}")
    if long:
        run.say(f"{long:,} texts are read up to their first {config.max_length} tokens")

    model, optimiser = build(config, len(tokeniser), len(train.names)), make_optimiser(config)
    score = jax.jit(functools.partial(metrics, model))
    every = batches.iterator.batches_per_epoch
    state = run.train(
        fresh_state(model, config),
        functools.partial(loss, model),
        optimiser,
        data.mapped(run.share, batches),
        steps=config.epochs * every,
        every=every,
        evaluate=lambda state: training.evaluate(score, state.ema, judged),
        monitor=MONITOR,
        patience=config.patience,
        per_step=config.batch,
        unit="texts",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return report(run, model, state.ema, tokeniser, train, dev)


def build(config: Config, vocab_size: int, classes: int) -> SequenceClassifier:
    """The model of a config."""
    layers = [
        seqjax.bidirectional(CELLS[config.cell](config.hidden_size)) for _ in range(config.layers)
    ]
    return SequenceClassifier(
        classes,
        seqjax.stack(*layers, dropout=config.dropout),
        vocab_size,
        config.embedding_size,
        pooling=config.pooling,
        dropout=config.dropout,
        word_dropout=config.word_dropout,
        backend=config.backend,
    )


def make_optimiser(config: Config) -> optax.GradientTransformation:
    return optax.adamw(config.learning_rate, weight_decay=config.weight_decay)


def fresh_state(model, config: Config) -> training.TrainState:
    """The state before the first step."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    params = model.init(init_key, jnp.zeros((1, 1), int))["params"]
    return training.create_state(params, make_optimiser(config), run_key, ema=True)


def loss(model, params, batch, rng, extra):
    """Mean cross-entropy of the labels, in nats."""
    logits = model.apply(
        {"params": params}, batch["tokens"], lengths=batch["lengths"], rngs={"dropout": rng}
    )
    right = training.Mean.of(logits.argmax(-1) == batch["label"], batch["weight"])
    nats = seqjax.losses.cross_entropy(logits, batch["label"], batch["weight"])
    return nats, training.Aux(weight=batch["weight"].sum(), metrics={"accuracy": right})


def metrics(model, params, batch):
    """Means over a batch."""
    logits = model.apply({"params": params}, batch["tokens"], lengths=batch["lengths"])
    # A label that training lacks is never right, and has no likelihood.
    known = batch["label"] < logits.shape[-1]
    nll = optax.softmax_cross_entropy_with_integer_labels(
        logits, jnp.where(known, batch["label"], 0)
    )
    wrong = logits.argmax(-1) != batch["label"]
    means = {
        name: training.Mean.of(values, batch["weight"])
        for name, values in (("error", wrong), ("accuracy", ~wrong))
    }
    return {"nats": training.Mean.of(nll, batch["weight"] * known), **means}


def make_tokeniser(config: Config, texts: list[str]) -> data.Vocabulary | data.BPE:
    """The words or byte pairs of the training texts."""
    if config.tokens == "bpe":
        return data.BPE.train([text.lower() for text in texts], config.bpe_size)
    return data.Vocabulary.words((WORD.findall(text.lower()) for text in texts), config.min_count)


def pieces(tokeniser, text: str) -> list[str]:
    """The tokens of a text as they can be read."""
    if isinstance(tokeniser, data.Vocabulary):
        return WORD.findall(text.lower())
    return [tokeniser.decode([number]) for number in tokeniser.encode(text.lower())]


def encode_all(tokeniser, texts: list[str], config: Config) -> list[np.ndarray]:
    """The numbers of the tokens of texts, up to `max_length`."""
    if isinstance(tokeniser, data.Vocabulary):
        ids = [tokeniser.encode(pieces(tokeniser, text)) for text in texts]
    else:
        ids = tokeniser.encode_all(text.lower() for text in texts)
    return [numbers[: config.max_length] for numbers in ids]


def make_batches(ids, labels, config: Config, once: bool = False):
    """Batches by length: endless and shuffled, or once in order; `indices` are those of the texts, -1 for no text."""

    def collate(chosen):
        tokens, lengths, weight = data.pad_batch(
            [ids[i] for i in chosen.indices], chosen.time, chosen.rows
        )
        indices = np.full(chosen.rows, -1)
        indices[: len(chosen.indices)] = chosen.indices
        return {
            "tokens": tokens,
            "lengths": lengths,
            "weight": weight,
            "label": np.where(indices < 0, 0, labels[indices]),
            "indices": indices,
        }

    lengths = [len(numbers) for numbers in ids]
    return data.mapped(
        collate,
        data.BucketBatches(
            lengths,
            config.batch,
            buckets=BUCKETS,
            seed=config.seed,
            shuffle=not once,
            epochs=1 if once else None,
        ),
    )


def read_texts(config: Config) -> tuple[Texts, Texts, dict]:
    """The texts to learn, those to score, and where they come from."""
    if (config.train is None) != (config.dev is None):
        raise ValueError("--train and --dev go together; give both files")
    if config.train is not None:
        train, dev = read_files(config.train, config.dev)
        origin = f"{config.train}, {config.dev}"
    elif config.corpus == "imdb":
        train, dev = read_imdb(config.data_dir)
        origin = "imdb_reviews by TFDS, every tenth training review for dev"
    else:
        parts = [datasets.load("sst2", split, config.data_dir) for split in ("train", "dev")]
        tables = [part.records.columns() for part in parts]
        train, dev = (
            {"label": [SST2[n] for n in t["label"]], "text": t["sentence"]} for t in tables
        )
        origin = parts[0].origin
    fingerprint = "-".join(data.Records(table).fingerprint() for table in (train, dev))
    names = tuple(sorted(set(train["label"])))
    if len(names) < 2:
        raise ValueError(
            f"{config.train or origin}: every text has the label {names[0]!r}; give at least two labels"
        )
    strange = tuple(sorted(set(dev["label"]) - set(names)))
    if len(strange) == len(set(dev["label"])):
        shown = ", ".join(names[:10])
        raise ValueError(
            f"{config.dev or origin}: no label is in training ({shown}), such as {strange[0]!r}"
        )
    train, dev = numbered(train, names), numbered(dev, names + strange)
    return train, dev, {"origin": origin, "fingerprint": fingerprint}


def numbered(table: dict, names: tuple[str, ...]) -> Texts:
    """The texts of a table, with their labels as places among the names."""
    places = {name: place for place, name in enumerate(names)}
    return Texts(np.array([places[label] for label in table["label"]]), list(table["text"]), names)


def read_files(*paths: str) -> list[dict[str, list[str]]]:
    """Labels and texts of a user's files, in either order."""
    tables = files.read_classified(paths)
    for path, table in zip(paths, tables, strict=True):
        if not table.lines:
            raise ValueError(f"{path}: empty; give lines of a label, a tab and a text")
    return [table.columns for table in tables]


def read_imdb(data_dir: str | None):
    """The 25,000 labelled training reviews of IMDB, prepared by TFDS: nine tenths to learn, one tenth to score."""
    import tensorflow_datasets as tfds

    from seqjax.datasets.prepared import read_prepared

    try:
        builder = tfds.builder("imdb_reviews", data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises what its network library raises.
        raise ValueError(
            f"TFDS cannot prepare imdb_reviews ({type(error).__name__}: {error}); see to the network"
        ) from error
    columns = read_prepared(Path(builder.data_dir), "train").columns()
    rows = list(zip((SST2[int(label)] for label in columns["label"]), columns["text"], strict=True))
    parts = [row for at, row in enumerate(rows) if at % 10 != 9], rows[9::10]
    return (
        {"label": [label for label, _ in part], "text": [text for _, text in part]}
        for part in parts
    )


def report(run, model, params, tokeniser, train, dev):
    """Scores the dev set, writes predictions, the attention page, pictures and the result; returns the result."""
    found = classify(model, params, tokeniser, dev.texts, run.config)
    guesses = np.array([probabilities.argmax() for probabilities, _ in found])
    lines = [
        f"{dev.names[label]}\t{dev.names[guess]}\t{probabilities[guess]:.3f}\t{text}"
        for label, guess, (probabilities, _), text in zip(
            dev.labels, guesses, found, dev.texts, strict=True
        )
    ]
    run.write_text(
        "predictions.tsv", "\n".join(["label\tpredicted\tprobability\ttext", *lines]) + "\n"
    )
    if run.config.pooling == "attention":
        certainty = np.array([probabilities.max() for probabilities, _ in found])
        order = np.argsort(-certainty, kind="stable")
        right, wrong = (order[(guesses == dev.labels)[order] == hit] for hit in (True, False))
        parts = {
            "right, the surest": right[:30],
            "wrong, the surest": wrong[:30],
            "unsure": order[::-1][:20],
        }
        sections = {
            title: [
                row(tokeniser, dev.texts[i], found[i], dev.names, dev.names[dev.labels[i]])
                for i in indices
            ]
            for title, indices in parts.items()
        }
        run.write_text(
            "attention.html", page(f"Where the model looked: {run.folder.name}", sections)
        )
    names = [*dev.names]
    figures.plot_confusion(
        run.folder / "confusion.png",
        [names[i] for i in dev.labels],
        [names[i] for i in guesses],
        names,
    )
    history = run.history()
    figures.plot_history(run.folder / "loss.png", history, {"nats": "dev"}, run.config.clip)
    best = run.best()
    scores = {"dev_accuracy": float((guesses == dev.labels).mean()), "dev_nats": best["nats"]}
    counts = {
        "train_texts": len(train.texts),
        "dev_texts": len(dev.texts),
        "right": int((guesses == dev.labels).sum()),
    }
    if len(dev.names) > len(train.names):
        counts["texts_of_unknown_labels"] = int((dev.labels >= len(train.names)).sum())
    result = run.finish(scores, counts | {"steps": history[-1]["step"], "best_step": best["step"]})
    run.say(
        f"dev accuracy {scores['dev_accuracy']:.2%}: {counts['right']:,} of {counts['dev_texts']:,}"
    )
    run.say(f"run folder: {run.folder}")
    return result


def classify(
    model, params, tokeniser, texts, config: Config
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each text the probabilities of the classes, and the weights of its tokens (ones without attention)."""
    attends = config.pooling == "attention"

    @jax.jit
    def apply(tokens, lengths):
        found = model.apply(
            {"params": params}, tokens, lengths=lengths, method="attend" if attends else None
        )
        logits, weights = found if attends else (found, jnp.ones(tokens.shape))
        return jax.nn.softmax(logits), weights

    results = [None] * len(texts)
    for batch in make_batches(
        encode_all(tokeniser, texts, config), np.zeros(len(texts), int), config, once=True
    ):
        probabilities, weights = jax.device_get(apply(batch["tokens"], batch["lengths"]))
        for place, index in enumerate(batch["indices"]):
            if index >= 0:
                results[index] = probabilities[place], weights[place, : batch["lengths"][place]]
    return results


def row(tokeniser, text, found, names, truth=None) -> str:
    """A text as a line of HTML: each token shaded by its weight, unknown words in italics."""
    probabilities, weights = found
    guess = names[probabilities.argmax()]
    spans = []
    for token, weight in zip(pieces(tokeniser, text), weights, strict=False):
        known = not isinstance(tokeniser, data.Vocabulary) or token in tokeniser
        style = f"background:rgba(255,170,0,{(weight / weights.max()) ** 2:.2f})"
        kind = "" if known else ' class="unknown"'
        spans.append(
            f'<span{kind} style="{style}" title="{weight:.1%}">{html.escape(token)}</span>'
        )
    note = f"{html.escape(guess)} {probabilities.max():.0%}"
    if truth is not None and truth != guess:
        note += f", in truth {html.escape(truth)}"
    return f"<p><b>{note}</b> {' '.join(spans)}</p>"


def page(title: str, sections: dict[str, list[str]]) -> str:
    """A self-contained HTML page of lines under headings."""
    body = "\n".join(
        f"<h2>{html.escape(name)}</h2>\n" + "\n".join(rows) for name, rows in sections.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>
body {{ font: 17px/1.7 Georgia, serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.1rem; margin-top: 2rem }}
body {{ color: #222; background: #fff }}
b {{ font: 600 13px sans-serif; color: #555; margin-right: .6em }}
span {{ padding: .1em .15em; border-radius: .2em }} .unknown {{ font-style: italic; text-decoration: underline dotted }}
</style></head><body>
<h1>{html.escape(title)}</h1>
<p>The darker a word, the more it weighed; the darkest of each text is at full colour. Words in italics the model does
not know.</p>
{body}
</body></html>
"""


def predict(folder: str, text: str, options: Predict) -> None:
    """Names the class of a text, and the weight of each of its words."""
    config = load_config(folder, "sentiment", Config)
    with mistakes():
        kind = data.BPE if config.tokens == "bpe" else data.Vocabulary
        tokeniser = kind.load(Path(folder) / "tokens.json")
        names = read_json(Path(folder) / "labels.json")
        words = pieces(tokeniser, text)
        if not words:
            raise ValueError("the text is empty; give at least one word")
        model = build(config, len(tokeniser), len(names))
        state = training.restore_best(
            fresh_state(model, config), training.Checkpoints(Path(folder) / "checkpoints")
        )
        found = classify(model, state.ema, tokeniser, [text], config)[0]
        print(f"{names[found[0].argmax()]} {found[0].max():.3f}")
        if config.pooling == "attention":
            print(
                " ".join(
                    f"{word}:{weight:.2f}" for word, weight in zip(words, found[1], strict=False)
                )
            )
        if options.html is not None:
            lines = {"": [row(tokeniser, text, found, names)]}
            write_atomically(options.html, page("Where the model looked", lines).encode())


if __name__ == "__main__":
    launch(
        Config,
        main,
        __doc__,
        {"predict": Verb(predict, Predict, "name the class of a text", "TEXT")},
    )
