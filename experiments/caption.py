"""experiments.caption: a picture in, a sentence out.

    python -m experiments.caption                                   # scenes drawn on the fly, whose truth is known
    python -m experiments.caption --pictures emoji --side 64        # 1,720 emoji and their names; or stamps
    python -m experiments.caption --pictures DIR                    # any images with captions, Flickr8k's form too
    python -m experiments.caption --no-attention                    # Show and Tell; else Show, Attend and Tell
    python -m experiments.caption --describe RUN IMAGE...           # says what is on pictures of any size and mode

A residual convolution net makes a grid of cells, an LSTM looks at it before every word (additive attention), and a beam
search writes. A scene has one sentence that is true of it, and no test sentence occurs in training; the scores are the
share of sentences that match it word for word, and of the attention how much lay on an object while its noun was
written. DIR holds images and `captions.tsv` (lines of a file's name, a tab, a caption), or Flickr8k as it was
published; pictures that look alike stay in one split, and the scores are BLEU-4, chrF and ROUGE-L, beside those of the
caption of the training picture that is nearest pixel by pixel.
Papers: Vinyals et al., 2015; Xu et al., 2015.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Options, Run, Verb, launch, load_config, mistakes, option
from seqjax import data, decoding, training
from seqjax.data import scenes
from seqjax.data.pictures import Pictures, read_pictures
from seqjax.diagnostics.pictures import plot_captions, plot_looks
from seqjax.models import Captioner, ConvGrid, Decoder, ImageEncoder

COLLECTIONS = ("emoji", "stamps")
LONGEST = 24  # words of a caption that are learnt and written
ROWS = 50  # pictures described side by side
SCENES = {"train": 10**9, "validation": 400, "test": 2000}
SHOWN = 12  # pictures drawn with their captions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    pictures: str = option("scenes", "what to describe: scenes, emoji, stamps, or a folder")
    side: int = option(48, "pixels of a side that pictures are brought to", least=16)
    features: int = option(24, "of the first of three stages; each doubles them", least=1)
    kernel: int = option(1, "side of the residual convolutions; 3 lets a cell see most of the picture", least=1)
    attention: bool = option(True, "look at the grid before every word; else read the picture once, before the first")
    spread: float = option(0.0, "weight of the doubly stochastic regularisation", least=0)
    embedding_size: int = option(96, "features of a word", least=1)
    hidden_size: int = option(192, "units of the LSTM", least=1)
    dropout: float = option(0.2, "rate on cells, words and readouts", least=0, below=1)
    label_smoothing: float = option(0.1, "share of probability spread over all words", least=0, below=1)
    sampling: float = option(1.0, "probability of reading the true word, at the end; it falls from 1", least=0)
    beam: int = option(4, "hypotheses of the search", least=1)
    batch: int = option(64, "pictures a step", least=1)
    learning_rate: float = option(2e-3, "Adam's, at first; it falls along a cosine", least=0)
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    steps: int = option(2000, "training steps", least=1)
    every: int = option(250, "steps between validations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Describe(Options):
    output: str | None = option(None, "folder to draw the pictures in, with what each word looked at")


class Task(NamedTuple):
    """Pictures to describe.

    Attributes:
      train: records of an image and a caption.
      validation: pictures that choose the best step.
      test: pictures that judge it.
      objects: for scenes, the pixels of their objects, `[pictures, 2, side, side]` of each judging split.
      captions: what the vocabulary is made of.
      vary: what training does to images first.
      source: origin and fingerprint of the data.
    """

    train: Any
    validation: Pictures
    test: Pictures
    objects: dict[str, np.ndarray]
    captions: list[str]
    vary: Callable[[jax.Array, jax.Array], jax.Array]
    source: dict


class Written(NamedTuple):
    """Captions: their words, and at each of them the attention `[words, cells]`."""

    words: list[list[str]]
    looks: list[np.ndarray]

    @property
    def texts(self) -> list[str]:
        """As sentences."""
        return [sentence_of(words) for words in self.words]


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    run = Run("caption", config)
    config = run.config
    with mistakes():
        task = drawn(config) if config.pictures == "scenes" else found(config)
        vocabulary = data.Vocabulary.words(map(words_of, task.captions))
        batches = make_batches(task, vocabulary, config, run.shard)
        sampling = training.linear_sampling(config.steps, end=config.sampling)
        model = build(config, vocabulary)
    run.begin(task.source)
    if run.leads:
        vocabulary.save(run.folder / "words.json")
    run.say(f"{len(vocabulary):,} words, {len(task.test):,} test pictures: {task.source['origin']}")
    optimiser, write = make_optimiser(config), make_writer(model, vocabulary, config)
    best = run.train(
        fresh_state(model, config, optimiser),
        functools.partial(loss, model, vocabulary, config, task.vary, sampling),
        optimiser,
        batches,
        steps=config.steps,
        every=config.every,
        evaluate=lambda state: score(task, "validation", write(state.params, task.validation.images)),
        monitor="error",
        per_step=config.batch,
        unit="pictures",
        clip=training.clip_by_norm(config.clip),
    )
    return report(run, task, write(best.params, task.test.images))


def build(config: Config, vocabulary: data.Vocabulary) -> Captioner:
    """The model of a config: Show, Attend and Tell, or without attention Show and Tell."""
    stages = tuple(config.features * 2**stage for stage in range(3))
    look = {"attention": "additive", "form": "bahdanau"} if config.attention else {"attention": None}
    decoder = Decoder(
        len(vocabulary), config.embedding_size, seqjax.LSTM(config.hidden_size), dropout=config.dropout,
        backend=config.backend, **look,
    )  # fmt: skip
    encoder = ImageEncoder(ConvGrid(stages, config.kernel), stages[-1], config.dropout)
    return Captioner(encoder, decoder, bridge="projected" if config.attention else "read")


def make_optimiser(config: Config) -> optax.GradientTransformation:
    """Adam along a cosine."""
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps, alpha=0.01))


def fresh_state(model: Captioner, config: Config, optimiser) -> training.TrainState:
    """The state before the first step; it carries the number of the step, which scheduled sampling goes by."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    images, words = jnp.zeros((1, config.side, config.side, 3), jnp.uint8), jnp.zeros((1, 1), int)
    params = model.init(init_key, images, words)["params"]
    return training.create_state(params, optimiser, run_key, extra=jnp.zeros((), jnp.int32))


def loss(model, vocabulary, config: Config, vary, sampling, params, batch, rng, step):
    """Mean cross-entropy of the next word in nats, and what the attention pays for passing over parts."""
    keys = dict(zip(("vary", "dropout", "sampling"), jax.random.split(rng, 3), strict=True))
    images, read = vary(keys.pop("vary"), batch["image"]), training.shift_right(batch["words"], vocabulary.bos)
    chance = None if config.sampling == 1 else sampling(step)
    logits, looks = model.apply({"params": params}, images, read, sampling=chance, rngs=keys)
    mask = seqjax.losses.length_mask(batch["lengths"], logits.shape[1])
    total = seqjax.losses.cross_entropy(logits, batch["words"], mask, label_smoothing=config.label_smoothing)
    if config.attention and config.spread:
        total += config.spread * seqjax.losses.doubly_stochastic(looks, mask)
    return total, training.Aux(weight=mask.sum(), extra=step + 1)


def varied(key: jax.Array, images: jax.Array) -> jax.Array:
    """The images moved, zoomed, and shaded a little, each in its own way, on white; floats from 0 to 1."""

    def vary(key, image):
        zoom_key, move_key, shade_key = jax.random.split(key, 3)
        side = image.shape[0]
        zoom = jax.random.uniform(zoom_key, (2,), minval=0.85, maxval=1.15)
        move = jax.random.uniform(move_key, (2,), minval=-0.08, maxval=0.08) * side + (1 - zoom) * side / 2
        dark = jax.image.scale_and_translate(1 - image, image.shape, (0, 1), zoom, move, "linear", antialias=False)
        return jnp.clip(1 - dark * jax.random.uniform(shade_key, (3,), minval=0.85, maxval=1.15), 0, 1)

    return jax.vmap(vary)(jax.random.split(key, len(images)), images.astype(jnp.float32) / 255)


def make_batches(task: Task, vocabulary: data.Vocabulary, config: Config, shard: tuple[int, int]):
    """Endless batches: `image`, `words [rows, time]` with the end of the sentence, and their `lengths`."""
    time = 1 + min(LONGEST, max(len(words_of(caption)) for caption in task.captions))

    def numbered(batch):
        # A longer sentence is learnt as far as it goes: it does not end there.
        ids = [
            np.append(vocabulary.encode(words_of(text)), vocabulary.eos)[:time] for text in batch["caption"].tolist()
        ]
        words, lengths, _ = data.pad_batch(ids, time, len(ids))
        return {"image": batch["image"], "words": words, "lengths": lengths}

    stream = data.batches(
        task.train, config.batch, seed=config.seed, shuffle=not task.objects, shard=shard, drop_remainder=True
    )
    return data.mapped(numbered, stream)


def make_writer(model: Captioner, vocabulary: data.Vocabulary, config: Config):
    """A function of params and images that writes their captions by beam search."""
    start = jax.jit(model.start)
    rules = [
        decoding.BanTokens([vocabulary.pad, vocabulary.unk, vocabulary.bos]),
        decoding.MinLength(1, vocabulary.eos),
    ]

    def write(params, images) -> Written:
        written = Written([], [])
        for begin in range(0, len(images), ROWS):
            rows = images[begin : begin + ROWS]
            context, state = start(params, np.resize(rows, (ROWS, *rows.shape[1:])))
            found = decoding.beam_search(
                model.advance, context, state, np.full(ROWS, vocabulary.bos), beam=config.beam, length=LONGEST,
                stop_token=vocabulary.eos, constraints=rules, observe=attention_of,
            )  # fmt: skip
            best = jax.device_get((found.tokens[:, 0], found.lengths[:, 0] - found.ended[:, 0], found.observed[:, 0]))
            for tokens, length, looks in [*zip(*best, strict=True)][: len(rows)]:
                written.words.append(vocabulary.decode(tokens[:length]))
                written.looks.append(looks[:length])
        return written

    return write


def attention_of(state):
    """What the search observes."""
    return state.attention


def words_of(caption: str) -> list[str]:
    """The words and signs of a caption, in lower case."""
    return re.findall(r"\w+(?:['’-]\w+)*|[^\w\s]", caption.lower())


def sentence_of(words: list[str]) -> str:
    """Words as one writes them."""
    return re.sub(r" ([.,:;!?)])", r"\1", " ".join(words))


def drawn(config: Config) -> Task:
    """Scenes: those that train are endless, those that judge have captions of their own."""
    train, *judging = (scenes.Scenes(name, size, config.side, config.seed) for name, size in SCENES.items())
    parts, objects = {}, {}
    for part in judging:
        records = [part[i] for i in range(len(part))]
        image, objects[part.split] = (np.stack([record[name] for record in records]) for name in ("image", "objects"))
        captions = [[record["caption"]] for record in records]
        parts[part.split] = Pictures(image, captions, [f"{part.split} {i}" for i in range(len(part))])
    source = {"origin": f"drawn from seed {config.seed}", "fingerprint": train.fingerprint()}
    return Task(train, **parts, objects=objects, captions=scenes.captions(), vary=lambda _, image: image, source=source)


def found(config: Config) -> Task:
    """Pictures of a collection that `seqjax.data` knows, or of a folder."""
    if config.pictures in COLLECTIONS:
        loaded = [
            data.load(f"captions/{config.pictures}", split, config.data_dir) for split in ("train", "dev", "test")
        ]
        columns, origin = [part.records.columns() for part in loaded], loaded[0].origin
        parts = [Pictures.of(c["image"], [[text] for text in c["caption"]], c["file"], config.side) for c in columns]
    else:
        parts, origin = list(read_pictures(config.pictures, config.side).values()), f"folder {config.pictures}"
    train, validation, test = parts
    source = {"origin": origin, "fingerprint": "-".join(part.fingerprint() for part in parts)}
    captions = [text for texts in train.captions for text in texts]
    return Task(train.pairs(), validation, test, {}, captions, varied, source)


def score(task: Task, split: str, written: Written) -> dict[str, float]:
    """How good captions are; `error` is what chooses the best step."""
    pictures = getattr(task, split)
    if not task.objects:
        scores = text_scores(written.texts, pictures.captions)
        return scores | {"error": 1 - scores["chrf"] / 100}
    exact = [text in right for text, right in zip(written.texts, pictures.captions, strict=True)]
    scores = {"exact_match": float(np.mean(exact)), "error": 1 - float(np.mean(exact))}
    return scores | looks_at_objects(written, task.objects[split])


def text_scores(written: list[str], captions: list[list[str]]) -> dict[str, float]:
    """BLEU-4 and chrF of sacrebleu and ROUGE-L of rouge-score, in per cent, case ignored."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU, CHRF

    most, rouge = max(map(len, captions)), RougeScorer(["rougeL"])
    references = [[texts[i] if i < len(texts) else None for texts in captions] for i in range(most)]
    matches = [rouge.score_multi(texts, text)["rougeL"].fmeasure for text, texts in zip(written, captions, strict=True)]
    bleu, chrf = (metric(lowercase=True).corpus_score(written, references).score for metric in (BLEU, CHRF))
    return {"bleu": bleu, "chrf": chrf, "rouge_l": 100 * float(np.mean(matches))}


def looks_at_objects(written: Written, objects: np.ndarray) -> dict[str, float]:
    """The mean attention on an object while its noun was written, and what even attention would have given it.

    A cell counts as the object's if any of its pixels show the object.
    """
    masses, areas = [], []
    for words, looks, shown in zip(written.words, written.looks, objects, strict=True):
        cells = cells_of(shown, math.isqrt(looks.shape[-1]))
        nouns = [looks[place] for place, word in enumerate(words) if word in scenes.SHAPES]
        for look, cell in zip(nouns, cells, strict=False):
            if cell.any():
                masses.append(look[cell].sum())
                areas.append(cell.mean())
    return {"attention": float(np.mean(masses or [0])), "even_attention": float(np.mean(areas or [0]))}


def cells_of(shown: np.ndarray, grid: int) -> np.ndarray:
    """Which cells of a grid show an object of `[objects, side, side]`: `[objects, grid * grid]`."""
    cell = -(-shown.shape[-1] // grid)
    padded = np.pad(shown, ((0, 0), *[(0, grid * cell - shown.shape[-1])] * 2))
    return padded.reshape(-1, grid, cell, grid, cell).any((2, 4)).reshape(-1, grid * grid)


def nearest(train: Pictures, images: np.ndarray) -> list[str]:
    """For each image the caption of the training picture that differs least from it, pixel by pixel."""
    known, asked = (pixels.reshape(len(pixels), -1).astype(np.float32) / 255 for pixels in (train.images, images))
    distances = np.square(known).sum(1) - 2 * asked @ known.T
    return [train.captions[place][0] for place in distances.argmin(1)]


def report(run: Run, task: Task, written: Written) -> dict:
    """Writes predictions, pictures and the result; returns the result."""
    test, config, history = task.test, run.config, run.history()
    rows = zip(test.names, written.texts, test.captions, strict=True)
    run.write_text("predictions.tsv", "".join("\t".join([name, text, *right]) + "\n" for name, text, right in rows))
    scores = {name: value for name, value in score(task, "test", written).items() if name != "error"}
    if not task.objects:
        retrieved = text_scores(nearest(task.train.pictures, test.images), test.captions)
        scores |= {f"nearest_{name}": value for name, value in retrieved.items()}
    if not config.attention:
        scores = {name: value for name, value in scores.items() if "attention" not in name}
    draw(run.folder, test, written, config, [captions[:1] for captions in test.captions])
    training.plot_history(run.folder / "loss.png", history, {"error": "error of validation"}, config.clip)
    best = min((line for line in history if line["kind"] == "evaluation"), key=lambda line: line["error"])
    counts = {"test_pictures": len(test), "steps": history[-1]["step"], "best_step": best["step"]}
    result = run.finish(scores, counts)
    for name, value in scores.items():
        run.say(f"{name.replace('_', ' '):>16}  {value:.4g}")
    run.say(f"run folder: {run.folder}")
    return result


def draw(folder: Path, pictures: Pictures, written: Written, config: Config, beside: list[list[str]]) -> None:
    """Captions under images, with lines `beside` them, and for the first three where each word looked."""
    lines = [[text, *more] for text, more in zip(written.texts, beside, strict=True)]
    training.save_figure(plot_captions(pictures.images[:SHOWN], lines[:SHOWN]), folder / "captions.png")
    if not config.attention:
        return
    for place, (image, words, looks) in enumerate(zip(pictures.images[:3], *written, strict=False), start=1):
        grid = math.isqrt(looks.shape[-1])
        figure = plot_looks(image, words, looks.reshape(-1, grid, grid), sentence_of(words))
        training.save_figure(figure, folder / f"looks-{place}.png")


def describe(folder: str, *given: Any) -> None:
    """Writes what is on images of any size and mode."""
    *paths, options = given
    config = load_config(folder, "caption", Config)
    with mistakes():
        if not paths:
            raise ValueError("--describe RUN wants images; name at least one")
        images = np.stack([data.formats.read_picture(path, config.side) for path in paths])
        vocabulary = data.Vocabulary.load(Path(folder) / "words.json")
        model = build(config, vocabulary)
        state = fresh_state(model, config, make_optimiser(config))
        state = training.restore_best(state, training.Checkpoints(Path(folder) / "checkpoints"))
        if options.output is not None:
            Path(options.output).mkdir(parents=True, exist_ok=True)
    written = make_writer(model, vocabulary, config)(state.params, images)
    for path, text in zip(paths, written.texts, strict=True):
        print(f"{path}: {text}" if len(paths) > 1 else text)
    if options.output is not None:
        pictures = Pictures(images, [[text] for text in written.texts], list(paths))
        draw(Path(options.output), pictures, written, config, [[] for _ in paths])


if __name__ == "__main__":
    launch(Config, main, __doc__, {"describe": Verb(describe, Describe, "say what is on images", "IMAGE...")})
