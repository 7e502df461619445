"""Layers of one size learning one text: `python benchmarks/cells.py --data-dir DATA`.

Two layers of each kind of `seqjax.combinators.LAYERS` on tiny Shakespeare, as `experiments.char_lm`
has them (embedding 128, dropout 0.3, 64 windows of 100 characters, Adam 2e-3, clipped at 5), of as
many parameters as two LSTM layers of 256. Each is trained for as many steps and scored on the last
tenth of the text. Then steps of training and of writing are timed, layer after layer in every
round, so that a busy machine is busy for all; medians are told. `--skip-training` only times.
"""

import argparse
import statistics

import jax
import jax.numpy as jnp
import optax
from recurrent_layers import seconds

import seqjax
from seqjax import text, training
from seqjax.combinators import stack_of
from seqjax.diagnostics import cost

SIZES = range(64, 513, 4)
EMBEDDING, DROPOUT, RATE, CLIP = 128, 0.3, 2e-3, 5.0
ROWS, WINDOW = 64, 100


def make_task(corpus: text.Corpus, name: str, hidden: int) -> text.LanguageModel:
    recurrence = stack_of(name, hidden, dropout=DROPOUT)
    return text.LanguageModel.of(
        corpus.train + corpus.validation, recurrence, embedding_size=EMBEDDING, window=WINDOW
    )


def params_of(task: text.LanguageModel) -> int:
    return cost.count(jax.eval_shape(task.init, jax.random.key(0)))


def matched(corpus: text.Corpus, name: str, wanted: int) -> text.LanguageModel:
    """The layer with as nearly so many parameters as can be."""

    def size_of(hidden: int) -> int:
        return params_of(make_task(corpus, name, hidden))

    return make_task(corpus, name, cost.nearest_size(SIZES, size_of, wanted))


def training_call(task: text.LanguageModel, corpus: text.Corpus):
    """A function that takes one training step and waits for it."""
    optimiser = optax.adam(RATE)
    state = training.create_state(task.init(jax.random.key(0)), optimiser, jax.random.key(1))

    def loss(params, batch, rng, extra):
        value, aux = task.loss(params, batch, rng, 0)
        return value, aux._replace(extra=extra)

    train = training.make_train_step(loss, optimiser, clip=training.clip_by_norm(CLIP))
    batch = next(task.batches(corpus.train, batch_size=ROWS))

    def call():
        nonlocal state
        state, metrics = train(state, batch)
        return float(metrics["loss"])

    return call


def writing_call(task: text.LanguageModel, length: int = 200):
    """A function that writes characters one by one in a compiled loop, and the bytes of its state."""
    model, params = task.model, task.init(jax.random.key(0))
    state = model.start(params, (1,))
    prompt = jnp.zeros((1, 1), int)

    def call():
        key = jax.random.key(0)
        written = seqjax.decoding.sample(
            model.advance, params, state, prompt, key, length, temperature=0.8
        )
        jax.block_until_ready(written)
        return length

    return call, cost.size_in_bytes(state)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="local folder of data sets")
    parser.add_argument(
        "--cells", nargs="+", default=("lstm", "gru", "slstm", "mlstm", "rglru", "min_gru")
    )
    parser.add_argument("--steps", type=int, default=1000, help="of training")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--skip-training", action="store_true")
    args = parser.parse_args()
    corpus = text.load_corpus("tiny_shakespeare", args.data_dir)
    wanted = params_of(make_task(corpus, "lstm", 256))
    tasks = {name: matched(corpus, name, wanted) for name in args.cells}
    nats = dict.fromkeys(tasks, float("nan"))
    recipe = training.Recipe(
        steps=args.steps,
        batch_size=ROWS,
        learning_rate=RATE,
        schedule="constant",
        clip=CLIP,
        every=max(1, args.steps // 4),
    )
    for name, task in tasks.items():
        if not args.skip_training:
            trained = training.fit(
                task, corpus.train, validation=corpus.validation, recipe=recipe, quiet=True
            )
            nats[name] = trained.evaluate(corpus.validation)["nats"]
            print(f"{name}: {nats[name]:.4f} nats", flush=True)
    learn = {name: training_call(task, corpus) for name, task in tasks.items()}
    write = {name: writing_call(task) for name, task in tasks.items()}
    times = {name: ([], []) for name in tasks}
    for turn in range(args.rounds + 2):
        for name in tasks:
            measured = seconds(learn[name]), seconds(write[name][0]) / write[name][0]()
            if turn >= 2:
                for kept, value in zip(times[name], measured, strict=True):
                    kept.append(value)
    print(
        "| layer | parameters | nats | characters/s in training | us a character | state, bytes |"
    )
    print("|---|---|---|---|---|---|")
    for name, task in tasks.items():
        step, character = map(statistics.median, times[name])
        print(
            f"| {task.model.recurrence.layers[-1]!r} | {params_of(task):,} | {nats[name]:.3f} "
            f"| {ROWS * WINDOW / step:,.0f} | {1e6 * character:.1f} | {write[name][1]:,} |"
        )


if __name__ == "__main__":
    main()
