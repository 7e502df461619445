"""experiments.classify_series: several values over time, of any length, to a class.

    python -m experiments.classify_series                            # who said these vowels?
    python -m experiments.classify_series --train FILE --test FILE   # .ts of the UEA archive, .npz, CSV
    python -m experiments.classify_series --train FILE --test FILE --hold-out 0.2   # chosen, scored by a part
    python -m experiments.classify_series predict RUN FILE

A bidirectional GRU reads the standardised channels, with noise in training; the mean of its outputs
over time names the class. All training series are learnt, and the weights are an average; nothing is
chosen by the test series. Japanese Vowels (Kudo et al., 1999) are 270 utterances of nine speakers to
learn and 370 to test, 12 channels, 7 to 29 steps. Expect 98% of those right after a minute on a
shared core.
"""

import dataclasses

import numpy as np

import seqjax
from experiments.cli import Verb, launch
from seqjax import datasets, files, training
from seqjax.training import Options, RunConfig, members_option, option

CELLS = {"lstm": seqjax.LSTM, "gru": seqjax.GRU}
POOLINGS = ("mean", "max", "attention", "last")

Examples = tuple[list[np.ndarray], list[str]]
"""Series `[time, channels]`, and their classes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    train: str | None = option(None, "series to learn", metavar="FILE")
    test: str | None = option(None, "series of the same form to score", metavar="FILE")
    hold_out: float = option(
        0.0, "share of the training series that chooses the model, and is scored", least=0, below=1
    )
    cell: str = option("gru", "recurrent layer", choices=tuple(CELLS))
    hidden_size: int = option(128, "units of each layer and direction", least=1)
    layers: int = option(1, "bidirectional layers", least=1)
    pooling: str = option("mean", "of the outputs", choices=POOLINGS)
    dropout: float = option(0.5, "rate between layers and before the classes", least=0, below=1)
    noise: float = option(0.3, "added to the standardised values in training", least=0)
    steps: int | None = option(600, "training steps", least=1)
    batch_size: int | None = option(32, "series of a step", least=1)
    weight_decay: float = option(1e-3, "AdamW's; 0 for plain Adam", least=0)
    average: float | None = option(0.99, "decay of the weights' moving average", least=0, below=1)
    members: int = members_option()


def main(config: Config) -> dict:
    """Trains and scores; returns what `result.json` holds."""
    with training.Run("classify_series", config) as run:
        config = run.config
        train, test, origin = read_series(config)
        held_out = None
        if config.hold_out:
            train, held_out = hold_out(*train, config.hold_out)
        task = build(config, train)
        lengths = [len(series) for series in train[0]]
        run.say(
            f"{len(train[0]):,} series of {min(lengths)} to {max(lengths)} steps to learn, "
            f"{len(test[0]):,} to test: {origin}"
        )
        run.say(repr(task))
        trained = run.fit_seeds(task, train, config.members, validation=held_out, source=origin)
        if held_out is not None:
            return run.finish(trained, held_out, "validation")
        return run.finish(trained, test, "test")


def build(config: Config, train: Examples) -> seqjax.Classifier:
    """Makes the task of a config."""
    layer = CELLS[config.cell]
    layers = [seqjax.bidirectional(layer(config.hidden_size)) for _ in range(config.layers)]
    return seqjax.Classifier.of(
        *train,
        recurrence=seqjax.stack(*layers, dropout=config.dropout),
        pooling=config.pooling,
        dropout=config.dropout,
        noise=config.noise,
        backend=config.backend,
    )


def read_series(config: Config) -> tuple[Examples, Examples, str]:
    """Reads the series to learn and those to test, and says where they are from."""
    if (config.train is None) != (config.test is None):
        raise ValueError("--train and --test go together; give both files")
    if config.train is not None and config.test is not None:
        train, test = map(files.read_classified_series, (config.train, config.test))
        return train[:2], test[:2], config.train
    parts = [
        datasets.load("japanese_vowels", split, config.data_dir) for split in ("train", "test")
    ]
    train, test = (part.records.columns() for part in parts)
    return (
        (list(train["values"]), list(train["label"])),
        (list(test["values"]), list(test["label"])),
        parts[0].origin,
    )


def hold_out(
    values: list[np.ndarray], labels: list[str], share: float
) -> tuple[Examples, Examples]:
    """Cuts off a share of each class, evenly spread over its series."""
    places = {label: [] for label in labels}
    for place, label in enumerate(labels):
        places[label].append(place)
    chosen = set()
    for own in places.values():
        count = round(share * len(own))
        chosen.update(own[index * len(own) // count] for index in range(count))
    if not chosen:
        raise ValueError(f"--hold-out {share} holds out no series; give more")
    rows = range(len(labels))
    kept, out = [row for row in rows if row not in chosen], sorted(chosen)
    return (
        ([values[row] for row in kept], [labels[row] for row in kept]),
        ([values[row] for row in out], [labels[row] for row in out]),
    )


def predict(folder: str, path: str, options: Options) -> None:
    """Names the class of each series of a file, and how likely it is."""
    model = seqjax.load(folder, seqjax.Classifier)
    series = files.read_classified_series(path)
    for probabilities in model.probabilities(series.values):
        best = int(probabilities.argmax())
        print(f"{model.task.labels[best]}\t{probabilities[best]:.3f}")


VERBS = {"predict": Verb(predict, Options, "name the classes of series", ("FILE",))}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
