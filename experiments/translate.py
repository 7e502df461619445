"""experiments.translate: one sentence in, another one out: translation, dialogue, summaries.

    python -m experiments.translate                                  # Multi30k, German to English
    python -m experiments.translate --no-attention                   # all of a sentence through one vector
    python -m experiments.translate --sampling 0.75                  # reads its own words now and then while it learns
    python -m experiments.translate --train FILE.de,FILE.en          # two files aligned by line, or one TSV
    python -m experiments.translate --train FILE.tsv --tokens words --copy --coverage 1 --label-smoothing 0  # summary
    python -m experiments.translate --translate RUN < FILE           # a line for every line; --n-best 3 for more
    python -m experiments.translate --compare RUN... --output DIR    # pictures: score by length, curves

A bidirectional GRU reads, a GRU with additive attention writes, a beam search finds the best; subwords shared by both
sides, embeddings tied, an average of the weights. Without `--dev` and `--test` a hash of the source decides: 5 % each.
Scores by sacrebleu, ROUGE for pairs of your own; scripts without blanks are scored by their characters. The first
command took 35 minutes on one core and gave BLEU 39.6 with a beam of 5, 37.9 greedily.
Papers: Sutskever et al., 2014; Bahdanau et al., 2015; Luong et al., 2015; See et al., 2017.
"""

import dataclasses
import functools
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Options, Run, Verb, launch, load_config, mistakes, option
from seqjax import data, datasets, figures, files, training
from seqjax.decoding import Writer, Written
from seqjax.figures.attention import plot_attention
from seqjax.metrics.texts import bleu, bleu_by_length, plot_lines, text_scores
from seqjax.models import Decoder, Encoder, Seq2Seq
from seqjax.text import codecs as sentences
from seqjax.text.pairs import SHARES, Pairs, held_out, pair_batches, read_pairs
from seqjax.training import judge, teacher_forced_loss

LANGUAGES = ("de", "en", "fr")
BUCKETS = 4
COPIED = 30  # different words of a source that only it has and that may be copied
WIDTHS = (1, 2, 5, 10)  # beams measured on the validation pairs
MONITOR = ("error", "nats")  # BLEU moves in steps, and stays at 0 for long
SHOWN = 4  # sentences whose attention is drawn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    source: str = option("de", "language of Multi30k to read", choices=LANGUAGES)
    target: str = option("en", "language of Multi30k to write", choices=LANGUAGES)
    train: str | None = option(
        None, "pairs to learn in place of Multi30k: FILE.tsv, or FILE,FILE aligned by line"
    )
    dev: str | None = option(None, "pairs that choose the best step, in the same form")
    test: str | None = option(None, "pairs that judge it, in the same form")
    tokens: str = option("bpe", "what a sentence is made of", choices=("bpe", "words"))
    vocab_size: int = option(5000, "tokens that both sides share, at most", least=5)
    longest: int = option(
        60, "tokens of a side of a training pair; longer pairs are left out and counted", least=1
    )
    attention: bool = option(
        True, "look at the source before every token; else remember it in one state"
    )
    form: str = option("luong", "when the decoder looks", choices=("luong", "bahdanau"))
    input_feeding: bool = option(False, "Luong's form reads its last readout beside each token")
    copy: bool = option(
        False, "may copy words of the source, also those unknown (with --tokens words)"
    )
    coverage: float = option(
        0.0, "weight of the loss for looking twice; above 0 attention sees where it looked", least=0
    )
    sampling: float = option(
        1.0, "probability of reading the true token, at the end; it falls from 1", least=0
    )
    embedding_size: int = option(256, "features of a token, and units of the decoder", least=2)
    layers: int = option(1, "bidirectional layers", least=1)
    dropout: float = option(0.3, "rate on embeddings, outputs and readouts", least=0, below=1)
    label_smoothing: float = option(
        0.1, "share of probability spread over all tokens", least=0, below=1
    )
    batch: int = option(2500, "tokens of a side a step, padding included, at most", least=1)
    learning_rate: float = option(2e-3, "Adam's, at first; it falls to 0 along a cosine", least=0)
    average: float = option(
        0.998,
        "decay of the moving average of the weights, which is what is scored",
        least=0,
        below=1,
    )
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    beam: int = option(5, "hypotheses of the search", least=1)
    length_penalty: float = option(
        1.0, "exponent of the length that scores are divided by", least=0
    )
    steps: int = option(3000, "training steps", least=1)
    every: int = option(300, "steps between validations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Translate(Options):
    input: str | None = option(None, "file of sentences, one a line; else the standard input")
    n_best: int = option(1, "translations of each sentence, each on a line with its score", least=1)
    beam: int | None = option(None, "hypotheses of the search (default: the run's)", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare(Options):
    output: str = option("compared", "folder of the pictures")


class Task(NamedTuple):
    """What is learnt.

    Attributes:
      parts: train, validation and test.
      codec: text to ids and back.
      characters: those of the training pairs.
      source: origin and fingerprint of the data.
    """

    parts: dict[str, Pairs]
    codec: Any
    characters: data.Vocabulary
    source: dict


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    run = Run("translate", config)
    config = run.config
    with mistakes():
        task = read_task(config)
        batches, left_out = training_batches(task, config)
        model, optimiser = build(config, task.codec), make_optimiser(config)
        state, loss = fresh_state(model, optimiser, config), make_loss(model, task.codec, config)
    run.begin(task.source)
    if run.leads:
        task.codec.save(run.folder / "tokens.json")
        task.characters.save(run.folder / "characters.json")
    counts = " + ".join(f"{len(part.sources):,}" for part in task.parts.values())
    run.say(f"{counts} pairs, {len(task.codec.tokens):,} tokens: {task.source['origin']}")
    if left_out:
        run.say(
            f"{left_out:,} training pairs are longer than {config.longest} tokens and left out; raise --longest"
        )
    run.say(batches.iterator.report())

    greedy = make_writer(model, task.codec, config, beam=1)
    best = run.train(
        state,
        loss,
        optimiser,
        data.mapped(run.share, batches),
        steps=config.steps,
        every=config.every,
        evaluate=make_judge(model, task, greedy, config),
        monitor=MONITOR,
        per_step=int(sum(batches.iterator.lengths)) // batches.iterator.batches_per_epoch,
        unit="tokens",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return report(run, model, best.ema, task, left_out)


def build(config: Config, codec: Any) -> Seq2Seq:
    """The model of a config: Bahdanau's or Luong's, or without attention that of Sutskever et al."""
    if config.copy and not (
        config.attention and config.tokens == "words" and not config.label_smoothing
    ):
        raise ValueError("--copy wants attention, --tokens words and --label-smoothing 0")
    if config.embedding_size % 2:
        raise ValueError(
            f"--embedding-size is {config.embedding_size}; give an even number, half for each direction"
        )
    size, vocab_size = config.embedding_size, len(codec.tokens)
    layers = [seqjax.bidirectional(seqjax.GRU(size // 2)) for _ in range(config.layers)]
    encoder = Encoder(
        vocab_size,
        size,
        seqjax.stack(*layers, dropout=config.dropout),
        dropout=config.dropout,
        backend=config.backend,
    )
    decoder = Decoder(
        vocab_size,
        size,
        seqjax.GRU(size),
        attention="additive" if config.attention else None,
        form=config.form,
        input_feeding=config.input_feeding,
        coverage=config.coverage > 0,
        copying=COPIED if config.copy else None,
        dropout=config.dropout,
        tied=True,
        backend=config.backend,
    )
    return Seq2Seq(encoder, decoder, shared=True)


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
    return training.create_state(
        params, optimiser, run_key, extra=jnp.zeros((), jnp.int32), ema=True
    )


def make_loss(model: Seq2Seq, codec: Any, config: Config):
    """The loss of a config."""
    return functools.partial(
        teacher_forced_loss,
        model,
        first=codec.tokens.bos,
        label_smoothing=config.label_smoothing,
        sampling=None
        if config.sampling == 1
        else training.linear_sampling(config.steps, end=config.sampling),
        coverage=config.coverage,
    )


def make_judge(model: Seq2Seq, task: Task, greedy, config: Config):
    """A function of a state: nats a token of the validation pairs, BLEU of what it writes freely, and its `error`."""
    part, nats_of = (
        task.parts["validation"],
        jax.jit(functools.partial(judge, model, first=task.codec.tokens.bos)),
    )

    def evaluate(state) -> dict[str, float]:
        batches = pair_batches(
            *encoded(part, task.codec), tokens=2 * config.batch, buckets=BUCKETS, once=True
        )
        score = bleu(
            texts_of(task.codec, part.sources, greedy(state.ema, part.sources)), part.targets
        )[0]
        return training.evaluate(nats_of, state.ema, batches) | {
            "bleu": score,
            "error": 1 - score / 100,
        }

    return evaluate


def make_writer(model: Seq2Seq, codec: Any, config: Config, beam: int, n_best: int = 1):
    """A function of params and sentences that writes the best targets of each."""
    tokens = codec.tokens
    writer = Writer(
        model,
        tokens.bos,
        tokens.eos,
        beam=max(beam, n_best),
        n_best=n_best,
        shortest=2,
        length_penalty=config.length_penalty,
        banned=(tokens.pad, tokens.unk, tokens.bos),
    )

    def write(params, sources: list[str]) -> list[list[Written]]:
        ids = [codec.encode(text, codec.new(text)) for text in sources]
        return writer(
            params, pair_batches(ids, tokens=config.batch, buckets=BUCKETS, once=True), len(ids)
        )

    return write


def encoded(part: Pairs, codec: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sources, and targets with their stop token."""
    new = [codec.new(text) for text in part.sources]
    sources = [codec.encode(text, words) for text, words in zip(part.sources, new, strict=True)]
    targets = [codec.encode(text, words) for text, words in zip(part.targets, new, strict=True)]
    return sources, [np.append(ids, codec.tokens.eos) for ids in targets]


def texts_of(codec: Any, sources: list[str], written: list[list[Written]]) -> list[str]:
    """The best target of each source."""
    return [
        codec.decode(best.tokens, codec.new(text))
        for text, (best, *_) in zip(sources, written, strict=True)
    ]


def training_batches(task: Task, config: Config):
    """Endless batches of the pairs within the limit, and how many are beyond it."""
    pairs = list(zip(*encoded(task.parts["train"], task.codec), strict=True))
    kept = [pair for pair in pairs if max(map(len, pair)) <= config.longest]
    if not kept:
        raise ValueError(
            f"every training pair is longer than --longest {config.longest} tokens; raise it"
        )
    sources, targets = zip(*kept, strict=True)
    batches = pair_batches(
        sources,
        targets,
        tokens=config.batch,
        buckets=BUCKETS,
        seed=config.seed,
        multiple_of=config.devices,
    )
    return batches, len(pairs) - len(kept)


def read_task(config: Config) -> Task:
    """The pairs of a config, and the tokens that its training pairs are made of."""
    parts, origin = read_parts(config)
    if empty := [split for split, part in parts.items() if not part.sources]:
        raise ValueError(
            f"{origin} leaves no pair for {empty[0]}; give more pairs, or --dev and --test"
        )
    both = parts["train"].sources + parts["train"].targets
    if config.tokens == "bpe":
        codec = sentences.learn_subwords(both, config.vocab_size)
    else:
        codec = sentences.learn_words(both, config.vocab_size, COPIED if config.copy else 0)
    prints = "-".join(data.Records(part._asdict()).fingerprint() for part in parts.values())
    characters = data.Vocabulary.characters("".join(both), (data.SPECIALS[1],))
    return Task(parts, codec, characters, {"origin": origin, "fingerprint": prints})


def read_parts(config: Config) -> tuple[dict[str, Pairs], str]:
    """Train, validation and test, and where they come from."""
    given = {"train": config.train, "validation": config.dev, "test": config.test}
    if config.train is None:
        if config.dev or config.test:
            raise ValueError("--dev and --test go with --train; give the pairs to learn as well")
        if config.source == config.target:
            raise ValueError(
                f"--source and --target are both {config.source}; choose two of {', '.join(LANGUAGES)}"
            )
        loaded = {split: datasets.load("multi30k", split, config.data_dir) for split in SHARES}
        columns = {split: part.records.columns() for split, part in loaded.items()}
        parts = {
            split: Pairs(table[config.source], table[config.target])
            for split, table in columns.items()
        }
        return parts, loaded["train"].origin
    return held_out(
        {split: read_pairs(paths) for split, paths in given.items() if paths}
    ), config.train


def report(run: Run, model: Seq2Seq, params: Any, task: Task, left_out: int) -> dict:
    """Writes predictions, pictures and the result; returns the result."""
    test, codec, config, history = task.parts["test"], task.codec, run.config, run.history()
    began = time.monotonic()
    found = make_writer(model, codec, config, config.beam)(params, test.sources)
    seconds = time.monotonic() - began
    texts = texts_of(codec, test.sources, found)
    greedy = texts_of(
        codec, test.sources, make_writer(model, codec, config, beam=1)(params, test.sources)
    )
    rows = zip(test.sources, texts, test.targets, strict=True)
    # A tab within a sentence would be the end of its column.
    lines = ["\t".join(text.replace("\t", " ") for text in row) + "\n" for row in rows]
    run.write_text("predictions.tsv", "".join(lines))
    scores = text_scores(texts, test.targets, rouge=config.train is not None) | {
        "beam_seconds": seconds
    }
    signature, scores["greedy_bleu"] = bleu(texts, test.targets)[1], bleu(greedy, test.targets)[0]
    run.write_text("signature.txt", signature + "\n")
    draw(
        run, [(codec, source, best) for source, (best, *_) in zip(test.sources, found, strict=True)]
    )
    measure_widths(run, model, params, task)
    best = run.best()
    counts = {f"{split}_pairs": len(part.sources) for split, part in task.parts.items()}
    counts |= {
        "left_out": left_out,
        "cut_off": sum(not best.ended for best, *_ in found),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }
    counts |= {"steps": history[-1]["step"], "best_step": best["step"]}
    result = run.finish(scores, counts, bleu_signature=signature)
    for name, value in scores.items():
        run.say(f"{name.replace('_', ' '):>12}  {value:.4g}")
    run.say(f"{signature}\nrun folder: {run.folder}")
    return result


def draw(run: Run, answers: list[tuple[Any, str, Written]]) -> None:
    """The loss, and the attention of some sentences of middle length."""
    figures.plot_history(
        run.folder / "loss.png", run.history(), {"nats": "validation"}, run.config.clip
    )
    if run.config.attention:
        shown = sorted(answers, key=lambda answer: abs(len(answer[2].tokens) - 12))[:SHOWN]
        figures.save_figure(
            plot_attention([looks(*answer) for answer in shown], columns=2),
            run.folder / "attention.png",
        )


def looks(codec: Any, source: str, written: Written) -> tuple[list[str], list[str], np.ndarray]:
    """What each token looked at, for `plot_attention`."""
    new = codec.new(source)
    return (
        codec.pieces(codec.encode(source, new), new),
        codec.pieces(written.tokens, new),
        written.attention,
    )


def measure_widths(run: Run, model: Seq2Seq, params: Any, task: Task) -> None:
    """BLEU of the validation pairs and seconds for each width of the beam: `beams.json` and `beams.png`."""
    part, rows = task.parts["validation"], []
    for write, width in (
        (make_writer(model, task.codec, run.config, width), width) for width in WIDTHS
    ):
        found = write(params, part.sources)
        began = time.monotonic()
        write(params, part.sources)
        score = bleu(texts_of(task.codec, part.sources, found), part.targets)[0]
        rows.append({"beam": width, "bleu": score, "seconds": time.monotonic() - began})
    run.write_json("beams.json", rows)
    panels = {
        name: {name: ([r["beam"] for r in rows], [r[name] for r in rows])}
        for name in ("bleu", "seconds")
    }
    figures.save_figure(
        plot_lines(panels, "width of the beam", f"{len(part.sources):,} validation pairs"),
        run.folder / "beams.png",
    )


def read_stdin() -> list[str]:
    """The lines of the standard input, which line feeds alone end, as `data.formats.read_lines` has it."""
    text = sys.stdin.read()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ValueError(
            f"standard input, line {line}: not UTF-8; write the sentences in UTF-8"
        ) from None
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def translate(folder: str, options: Translate) -> None:
    """Translates sentences, one a line."""
    config = load_config(folder, "translate", Config)
    with mistakes():
        lines = files.read_lines(options.input) if options.input else read_stdin()
        codec = load_codec(Path(folder), config)
        known = data.Vocabulary.load(Path(folder) / "characters.json")
        model = build(config, codec)
        state = fresh_state(model, make_optimiser(config), config)
        state = training.restore_best(state, training.Checkpoints(Path(folder) / "checkpoints"))
    if new := sorted({letter for line in lines for letter in line.strip() if letter not in known}):
        print(f"warning: characters that no training pair has: {' '.join(new)}", file=sys.stderr)
    full = [line.strip() for line in lines if line.strip()]
    write = make_writer(model, codec, config, options.beam or config.beam, options.n_best)
    found = write(state.ema, full) if full else []
    if cut := sum(not best.ended for best, *_ in found):
        print(
            f"warning: {cut:,} translations reached the limit of their length and are cut off",
            file=sys.stderr,
        )
    answers = iter(zip(full, found, strict=True))
    for line in lines:
        # An empty line stays one, so that line i of the output belongs to line i of the input.
        print("\n".join(said(codec, *next(answers), options.n_best > 1)) if line.strip() else "")


def said(codec: Any, source: str, hypotheses: list[Written], scored: bool) -> list[str]:
    """The lines that answer a source."""
    texts = [codec.decode(written.tokens, codec.new(source)) for written in hypotheses]
    if not scored:
        return texts
    return [f"{text}\t{written.score:.3f}" for text, written in zip(texts, hypotheses, strict=True)]


def load_codec(folder: Path, config: Config) -> Any:
    """The tokens of a run folder."""
    path = folder / "tokens.json"
    if config.tokens == "bpe":
        return sentences.load_subwords(path)
    return sentences.load_words(path, COPIED if config.copy else 0)


def compare(*given: Any) -> None:
    """Draws runs beside each other: BLEU of the test pairs by length of the source, and the curves of validation."""
    *folders, options = given
    with mistakes():
        if not folders:
            raise ValueError("--compare wants run folders; name at least one")
        names = [name_of(folder) for folder in folders]
        tables = [files.read_lines(Path(folder) / "predictions.tsv") for folder in folders]
        Path(options.output).mkdir(parents=True, exist_ok=True)
    lengths, curves = {}, {"nats a token, true words read": {}, "BLEU, own words read": {}}
    for folder, name, table in zip(folders, names, tables, strict=True):
        lengths[name] = bleu_by_length(*zip(*(line.split("\t") for line in table), strict=True))
        print(
            f"{name}: "
            + ", ".join(
                f"{score:.1f} ({words:.0f} words)"
                for words, score in zip(*lengths[name], strict=True)
            )
        )
        history = [
            h
            for h in training.read_metrics(Path(folder) / "metrics.jsonl")
            if h["kind"] == "evaluation"
        ]
        for lines, key in zip(curves.values(), ("nats", "bleu"), strict=True):
            lines[name] = [h["step"] for h in history], [h[key] for h in history]
    by_length = plot_lines({"BLEU of the test pairs": lengths}, "words of the source")
    figures.save_figure(by_length, Path(options.output) / "lengths.png")
    figures.save_figure(plot_lines(curves, "step"), Path(options.output) / "curves.png")


def name_of(folder: str) -> str:
    """What tells a run from others: its settings of the model and of what it reads while it learns."""
    config, usual = load_config(folder, "translate", Config), Config()
    told = (
        "attention",
        "form",
        "input_feeding",
        "copy",
        "coverage",
        "sampling",
        "embedding_size",
        "layers",
    )
    changed = [
        (name, getattr(config, name))
        for name in told
        if getattr(config, name) != getattr(usual, name)
    ]
    parts = [
        f"{'no ' * (not value)}{name}" if isinstance(value, bool) else f"{name} {value}"
        for name, value in changed
    ]
    return ", ".join(parts) or "attention"


if __name__ == "__main__":
    verbs = {
        "translate": Verb(
            translate, Translate, "translate lines of --input or of the standard input"
        ),
        "compare": Verb(compare, Compare, "draw runs beside each other", "RUN..."),
    }
    launch(Config, main, __doc__, verbs)
