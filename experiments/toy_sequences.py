"""experiments.toy_sequences: reverse, copy, sort, add: an encoder and a decoder at work on what has one right answer.

    python -m experiments.toy_sequences --task reverse          # copy, sort, add
    python -m experiments.toy_sequences --no-attention          # what one state can hold
    python -m experiments.toy_sequences --answer RUN hello      # what a trained model says

A bidirectional GRU reads the letters, a GRU with general attention writes the answer; the attention
drawn shows how: a falling diagonal copies, a rising one reverses. Questions are split 90/5/5 by
their hash. Expect more than 99% of the answers right in every letter, 7 minutes on a shared core.
Papers: Sutskever et al., 2014; Luong et al., 2015.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Options, Run, Verb, launch, load_config, mistakes, option
from seqjax import data, figures, text, training
from seqjax.data.splits import hash_splits
from seqjax.decoding import Writer, Written
from seqjax.figures.attention import plot_attention
from seqjax.models import Decoder, Encoder, Seq2Seq
from seqjax.text.toys import TASKS, toy_pairs
from seqjax.training import judge, teacher_forced_loss

SHARES = {"train": 90, "validation": 5, "test": 5}
SYMBOLS = data.Vocabulary.characters("abcdefghijklmnopqrstuvwxyz0123456789+", data.SPECIALS)
BUCKETS = 2
SHOWN = 6  # answers whose attention is drawn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    task: str = option("reverse", "what to learn", choices=tuple(TASKS))
    questions: int = option(100_000, "to draw", least=200)
    longest: int | None = option(
        None, "letters of a question (default 8), or digits of a number (default 3)", least=2
    )
    attention: bool = option(
        True, "look at the question before every letter; else remember it in one state"
    )
    embedding_size: int = option(32, "features of a letter", least=1)
    hidden_size: int = option(64, "units of each direction; the decoder has twice as many", least=1)
    batch: int = option(1500, "letters of a side a step, padding included, at most", least=1)
    learning_rate: float = option(4e-3, "Adam's, at first; it falls to 0 along a cosine", least=0)
    clip: float = option(1.0, "largest gradient norm", least=1e-12)
    steps: int = option(3000, "training steps", least=1)
    every: int = option(500, "steps between validations and checkpoints", least=1)


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    run = Run("toy_sequences", config)
    config = run.config
    with mistakes():
        longest = config.longest or (3 if config.task == "add" else 8)
        pairs = list(
            zip(*toy_pairs(config.task, config.questions, longest, config.seed), strict=True)
        )
        splits = hash_splits([question for question, _ in pairs], SHARES)
        parts = {
            name: [p for p, split in zip(pairs, splits, strict=True) if split == name]
            for name in SHARES
        }
        batches = make_batches(parts["train"], config)
    run.begin(
        {
            "origin": f"{config.task}, drawn from seed {config.seed}",
            "fingerprint": f"{config.task}-{longest}",
        }
    )
    run.say(" + ".join(f"{len(part):,}" for part in parts.values()) + f" questions: {config.task}")
    model, optimiser = build(config), make_optimiser(config)
    write = make_writer(model, config)
    best = run.train(
        fresh_state(model, optimiser, config),
        functools.partial(teacher_forced_loss, model, first=SYMBOLS.bos),
        optimiser,
        data.mapped(run.share, batches),
        steps=config.steps,
        every=config.every,
        evaluate=make_judge(model, parts["validation"], config),
        monitor=("error", "nats"),
        per_step=len(parts["train"]) // batches.iterator.batches_per_epoch,
        unit="questions",
        clip=training.clip_by_norm(config.clip),
    )
    return report(run, parts["test"], write(best.params, parts["test"]))


def build(config: Config) -> Seq2Seq:
    """The model of a config."""
    size, features = len(SYMBOLS), config.embedding_size
    encoder = Encoder(
        size, features, seqjax.bidirectional(seqjax.GRU(config.hidden_size)), backend=config.backend
    )
    attention = "general" if config.attention else None
    decoder = Decoder(
        size,
        features,
        seqjax.GRU(2 * config.hidden_size),
        attention=attention,
        backend=config.backend,
    )
    return Seq2Seq(encoder, decoder)


def make_optimiser(config: Config) -> optax.GradientTransformation:
    """Adam along a cosine."""
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))


def fresh_state(
    model: Seq2Seq, optimiser: optax.GradientTransformation, config: Config
) -> training.TrainState:
    """The state before the first step."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    one = jnp.ones((1, 1), int)
    params = model.init(init_key, one, None, one)["params"]
    return training.create_state(params, optimiser, run_key, extra=jnp.zeros((), jnp.int32))


def make_batches(pairs: list[tuple[str, str]], config: Config, once: bool = False):
    """Batches of questions and answers."""
    questions, answers = zip(*pairs, strict=True)
    return text.pair_batches(
        [SYMBOLS.encode(question) for question in questions],
        [np.append(SYMBOLS.encode(answer), SYMBOLS.eos) for answer in answers],
        tokens=config.batch,
        buckets=BUCKETS,
        seed=config.seed,
        once=once,
        multiple_of=config.devices,
    )


def make_judge(model: Seq2Seq, pairs: list[tuple[str, str]], config: Config):
    """A function of a state: share of the answers that are wrong, and nats a letter of the right ones."""
    write, nats_of = (
        make_writer(model, config),
        jax.jit(functools.partial(judge, model, first=SYMBOLS.bos)),
    )

    def evaluate(state) -> dict[str, float]:
        nats = training.evaluate(nats_of, state.params, make_batches(pairs, config, once=True))
        return {"error": 1 - exact(pairs, write(state.params, pairs))} | nats

    return evaluate


def make_writer(model: Seq2Seq, config: Config):
    """A function of params and pairs that answers the questions greedily."""
    writer = Writer(model, SYMBOLS.bos, SYMBOLS.eos, beam=1)

    def write(params, pairs: list[tuple[str, str]]) -> list[Written]:
        return [
            best for (best,) in writer(params, make_batches(pairs, config, once=True), len(pairs))
        ]

    return write


def said(written: Written) -> str:
    """An answer as text."""
    return "".join(SYMBOLS.decode(written.tokens))


def exact(pairs: list[tuple[str, str]], written: list[Written]) -> float:
    """Share of the answers that are right to the letter."""
    return float(
        np.mean([said(found) == answer for (_, answer), found in zip(pairs, written, strict=True)])
    )


def report(run: Run, test: list[tuple[str, str]], written: list[Written]) -> dict:
    """Writes predictions, pictures and the result; returns the result."""
    rows = [
        f"{question}\t{said(found)}\t{answer}\n"
        for (question, answer), found in zip(test, written, strict=True)
    ]
    run.write_text("predictions.tsv", "".join(rows))
    if run.config.attention:
        shown = [
            (question, said(found), found.attention)
            for (question, _), found in zip(test, written, strict=True)
        ]
        figures.save_figure(plot_attention(shown[:SHOWN]), run.folder / "attention.png")
    figures.plot_history(
        run.folder / "loss.png", run.history(), {"error": "share wrong"}, run.config.clip
    )
    result = run.finish(
        {"exact": exact(test, written)}, {"test_questions": len(test), "steps": run.config.steps}
    )
    run.say(f"exact  {result['scores']['exact']:.4f}\nrun folder: {run.folder}")
    return result


def answer(folder: str, *given: Any) -> None:
    """Answers questions."""
    *questions, _ = given
    config = load_config(folder, "toy_sequences", Config)
    with mistakes():
        if not questions:
            raise ValueError("--answer RUN wants questions; give at least one")
        if new := [
            letter for question in questions for letter in question if letter not in SYMBOLS
        ]:
            raise ValueError(
                f"{new[0]!r} is no letter that the model knows; give small letters, or numbers and +"
            )
        model = build(config)
        state = fresh_state(model, make_optimiser(config), config)
        state = training.restore_best(state, training.Checkpoints(Path(folder) / "checkpoints"))
        found = make_writer(model, config)(state.params, [(question, "") for question in questions])
    for question, written in zip(questions, found, strict=True):
        print(f"{question}\t{said(written)}")


if __name__ == "__main__":
    launch(
        Config, main, __doc__, {"answer": Verb(answer, Options, "answer questions", "QUESTION...")}
    )
