"""experiments.caption: a picture in, a sentence out.

    python -m experiments.caption                                   # scenes drawn on the fly, whose truth is known
    python -m experiments.caption --pictures emoji --dropout 0.3    # 1,720 emoji and their names; or stamps
    python -m experiments.caption --pictures DIR                    # any images with captions, Flickr8k's form too
    python -m experiments.caption --no-attention                    # Show and Tell; else Show, Attend and Tell
    python -m experiments.caption --describe RUN IMAGE...           # says what is on pictures of any size and mode

A small convolutional net makes a grid of cells, an LSTM looks at it before every word (additive attention), and a beam
search writes. A scene has one sentence that is true of it; scores are the share of sentences that are right word for
word, and of the attention how much lay on an object while its noun was written. Test scenes show objects that no
training scene shows together: expect 99.6% right, 92% of the attention, 17 minutes on a shared core; without attention
93%, 10 minutes. "Novel" scenes show a colour in a shape that it never had in training: expect 53%, the other nouns
being of shapes that the colour did have; without attention 2%.
DIR holds images and `captions.tsv` (lines of a file's name, a tab, a caption), or Flickr8k as it was published;
pictures that look alike stay in one split, and the scores are BLEU-4, chrF and ROUGE-L, beside those of the caption of
the training picture that is nearest pixel by pixel. Expect of stamps a chrF of 34, above the nearest picture's 31
(`--dropout 0.3 --steps 1500 --every 250`), of emoji 15, below its 30 (2,000 steps).
Papers: Vinyals et al., 2015; Xu et al., 2015.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

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
from seqjax.decoding import Writer
from seqjax.figures.attention import plot_captions, plot_looks
from seqjax.metrics.texts import text_scores
from seqjax.models import Captioner, ConvGrid, Decoder, ImageEncoder
from seqjax.text import codecs as sentences
from seqjax.training import judge, teacher_forced_loss
from seqjax.vision import scenes
from seqjax.vision.captioned import Pictures, read_pictures

COLLECTIONS = ("emoji", "stamps")
GRID = 8  # rows and columns of cells, about
LONGEST = 24  # words of a caption that are learnt and written
ROWS = 50  # pictures described side by side
SCENES = {"train": 10**9, "validation": 400, "test": 2000, "novel": 1000}
MONITOR = ("error", "nats")  # of equally many sentences right, the likelier ones
SHOWN = 12  # pictures drawn with their captions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    pictures: str = option("scenes", "what to describe: scenes, emoji, stamps, or a folder")
    side: int = option(32, "pixels of a side that pictures are brought to", least=16)
    features: int = option(32, "of the first stage of convolutions; each doubles them", least=1)
    attention: bool = option(
        True, "look at the grid before every word; else read the picture once, before the first"
    )
    spread: float = option(0.0, "weight of the doubly stochastic regularisation", least=0)
    embedding_size: int = option(64, "features of a word", least=1)
    hidden_size: int = option(128, "units of the LSTM", least=1)
    dropout: float = option(0.1, "rate on cells, words and readouts", least=0, below=1)
    label_smoothing: float = option(
        0.1, "share of probability spread over all words", least=0, below=1
    )
    sampling: float = option(
        1.0, "probability of reading the true word, at the end; it falls from 1", least=0
    )
    beam: int = option(4, "hypotheses of the search", least=1)
    batch: int = option(32, "pictures a step", least=1)
    learning_rate: float = option(2e-3, "Adam's, at first; it falls along a cosine", least=0)
    clip: float = option(5.0, "largest gradient norm", least=1e-12)
    steps: int = option(6000, "training steps", least=1)
    every: int = option(500, "steps between validations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Describe(Options):
    output: str | None = option(
        None, "folder to draw the pictures in, with what each word looked at"
    )


class Task(NamedTuple):
    """Pictures to describe.

    Attributes:
      train: records of an image and a caption.
      validation: pictures that choose the best step.
      test: pictures that judge it.
      novel: for scenes, pictures of colours in shapes that they never had in training.
      objects: for scenes, the pixels of their objects, `[pictures, 2, side, side]` of each judging
        split.
      captions: what the vocabulary is made of.
      vary: what training does to images first.
      source: origin and fingerprint of the data.
    """

    train: Any
    validation: Pictures
    test: Pictures
    novel: Pictures | None
    objects: dict[str, np.ndarray]
    captions: list[str]
    vary: Callable[[jax.Array, jax.Array], jax.Array]
    source: dict


class Said(NamedTuple):
    """A caption that was written: its words, and the attention at each of them, `[words, cells]`."""

    words: list[str]
    looks: np.ndarray

    @property
    def text(self) -> str:
        """As a sentence."""
        return sentences.sentence_of(self.words)


def main(config: Config) -> dict:
    """Trains, scores and draws; returns what `result.json` holds."""
    run = Run("caption", config)
    config = run.config
    with mistakes():
        check_rows(config.batch, config.devices)
        task = drawn(config) if config.pictures == "scenes" else found(config)
        vocabulary = data.Vocabulary.words(map(words_of, task.captions))
        batches = make_batches(task, vocabulary, config, run.shard)
        model, optimiser = build(config, vocabulary), make_optimiser(config)
        state, loss = (
            fresh_state(model, config, optimiser),
            make_loss(model, vocabulary, config, task.vary),
        )
    run.begin(task.source)
    if run.leads:
        vocabulary.save(run.folder / "words.json")
    run.say(f"{len(vocabulary):,} words, {len(task.test):,} test pictures: {task.source['origin']}")
    write = make_writer(model, vocabulary, config)
    best = run.train(
        state,
        loss,
        optimiser,
        batches,
        steps=config.steps,
        every=config.every,
        evaluate=make_judge(model, task, vocabulary, write),
        monitor=MONITOR,
        per_step=config.batch,
        unit="pictures",
        clip=training.clip_by_norm(config.clip),
    )
    return report(run, task, functools.partial(write, best.params))


def build(config: Config, vocabulary: data.Vocabulary) -> Captioner:
    """The model of a config: Show, Attend and Tell, or without attention Show and Tell."""
    stages = tuple(
        config.features * 2**stage for stage in range(round(math.log2(config.side / GRID)))
    )
    look = (
        {"attention": "additive", "form": "bahdanau"} if config.attention else {"attention": None}
    )
    decoder = Decoder(
        len(vocabulary),
        config.embedding_size,
        seqjax.LSTM(config.hidden_size),
        dropout=config.dropout,
        attention_units=stages[-1],
        backend=config.backend,
        **look,
    )
    encoder = ImageEncoder(ConvGrid(stages), stages[-1], config.dropout)
    return Captioner(encoder, decoder)


def make_optimiser(config: Config) -> optax.GradientTransformation:
    """Adam along a cosine."""
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps, alpha=0.01))


def fresh_state(model: Captioner, config: Config, optimiser) -> training.TrainState:
    """The state before the first step; it carries the number of the step, which scheduled sampling goes by."""
    init_key, run_key = jax.random.split(jax.random.key(config.seed))
    images, words = jnp.zeros((1, config.side, config.side, 3), jnp.uint8), jnp.zeros((1, 1), int)
    params = model.init(init_key, images, None, words)["params"]
    return training.create_state(params, optimiser, run_key, extra=jnp.zeros((), jnp.int32))


def make_loss(model: Captioner, vocabulary: data.Vocabulary, config: Config, vary):
    """The loss of a config, on images that are varied first."""
    forced = functools.partial(
        teacher_forced_loss,
        model,
        first=vocabulary.bos,
        label_smoothing=config.label_smoothing,
        sampling=None
        if config.sampling == 1
        else training.linear_sampling(config.steps, end=config.sampling),
        spread=config.spread if config.attention else 0.0,
    )

    def loss(params, batch, rng, step):
        vary_key, rng = jax.random.split(rng)
        return forced(params, batch | {"source": vary(vary_key, batch["source"])}, rng, step)

    return loss


def varied(key: jax.Array, images: jax.Array) -> jax.Array:
    """The images moved, zoomed, and shaded a little, each in its own way, on white; floats from 0 to 1."""

    def vary(key, image):
        zoom_key, move_key, shade_key = jax.random.split(key, 3)
        side = image.shape[0]
        zoom = jax.random.uniform(zoom_key, (2,), minval=0.85, maxval=1.15)
        move = (
            jax.random.uniform(move_key, (2,), minval=-0.08, maxval=0.08) * side
            + (1 - zoom) * side / 2
        )
        dark = jax.image.scale_and_translate(
            1 - image, image.shape, (0, 1), zoom, move, "linear", antialias=False
        )
        return jnp.clip(
            1 - dark * jax.random.uniform(shade_key, (3,), minval=0.85, maxval=1.15), 0, 1
        )

    return jax.vmap(vary)(jax.random.split(key, len(images)), images.astype(jnp.float32) / 255)


def make_batches(task: Task, vocabulary: data.Vocabulary, config: Config, shard: tuple[int, int]):
    """Endless batches: images as `source`, words with the end of the sentence as `targets`, and `target_lengths`."""
    stream = data.batches(
        task.train,
        config.batch,
        seed=config.seed,
        shuffle=not task.objects,
        shard=shard,
        drop_remainder=True,
    )
    return data.mapped(functools.partial(numbered, vocabulary, longest(task)), stream)


def longest(task: Task) -> int:
    """Words of a caption that are learnt, its end counted."""
    return 1 + min(LONGEST, max(len(words_of(caption)) for caption in task.captions))


def numbered(
    vocabulary: data.Vocabulary, time: int, batch: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """A batch of images and captions, with up to `time` words as numbers."""
    # A longer sentence is learnt as far as it goes: it does not end there.
    ids = [
        np.append(vocabulary.encode(words_of(text)), vocabulary.eos)[:time]
        for text in batch["caption"].tolist()
    ]
    targets, lengths, _ = data.pad_batch(ids, time, len(ids))
    # The last batch of an epoch is filled up with rows that do not count.
    counted = np.where(batch["weight"] > 0, lengths, 0) if "weight" in batch else lengths
    return {"source": batch["image"], "targets": targets, "target_lengths": counted}


def make_judge(model: Captioner, task: Task, vocabulary: data.Vocabulary, write):
    """A function of a state: scores of what it says of the validation pictures, and nats a word of their captions."""
    nats_of, time = jax.jit(functools.partial(judge, model, first=vocabulary.bos)), longest(task)

    def evaluate(state) -> dict[str, float]:
        stream = data.batches(task.validation.pairs(), ROWS, shuffle=False, epochs=1)
        batches = data.mapped(functools.partial(numbered, vocabulary, time), stream)
        written = write(state.params, task.validation.images)
        return training.evaluate(nats_of, state.params, batches) | score(
            task, "validation", written
        )

    return evaluate


def make_writer(model: Captioner, vocabulary: data.Vocabulary, config: Config):
    """A function of params and images that writes their captions by beam search."""
    writer = Writer(
        model,
        vocabulary.bos,
        vocabulary.eos,
        beam=config.beam,
        shortest=2,
        longest=LONGEST + 1,
        banned=(vocabulary.pad, vocabulary.unk, vocabulary.bos),
    )

    def write(params, images: np.ndarray) -> list[Said]:
        places = np.arange(-(-len(images) // ROWS) * ROWS).reshape(-1, ROWS)
        batches = (
            {
                "source": images[rows % len(images)],
                "indices": np.where(rows < len(images), rows, -1),
            }
            for rows in places
        )
        found = writer(params, batches, len(images))
        return [Said(vocabulary.decode(best.tokens), best.attention) for (best,) in found]

    return write


def words_of(caption: str) -> list[str]:
    """The words and signs of a caption, in lower case."""
    return sentences.words_of(caption.lower())


def drawn(config: Config) -> Task:
    """Scenes: those that train are endless, those that judge have captions of their own."""
    train, *judging = (
        scenes.Scenes(name, size, config.side, config.seed) for name, size in SCENES.items()
    )
    parts, objects = {}, {}
    for part in judging:
        records = [part[i] for i in range(len(part))]
        image, objects[part.split] = (
            np.stack([record[name] for record in records]) for name in ("image", "objects")
        )
        captions = [[record["caption"]] for record in records]
        parts[part.split] = Pictures(
            image, captions, [f"{part.split} {i}" for i in range(len(part))]
        )
    source = {"origin": f"drawn from seed {config.seed}", "fingerprint": train.fingerprint()}
    return Task(
        train,
        **parts,
        objects=objects,
        captions=scenes.captions(),
        vary=lambda _, image: image,
        source=source,
    )


def found(config: Config) -> Task:
    """Pictures of a collection that `seqjax.data` knows, or of a folder."""
    if config.pictures in COLLECTIONS:
        loaded = [
            datasets.load(f"captions/{config.pictures}", split, config.data_dir)
            for split in ("train", "dev", "test")
        ]
        columns, origin = [part.records.columns() for part in loaded], loaded[0].origin
        parts = [
            Pictures.of(c["image"], [[text] for text in c["caption"]], c["file"], config.side)
            for c in columns
        ]
    else:
        parts, origin = (
            list(read_pictures(config.pictures, config.side).values()),
            f"folder {config.pictures}",
        )
    train, validation, test = parts
    source = {"origin": origin, "fingerprint": "-".join(part.fingerprint() for part in parts)}
    captions = [text for texts in train.captions for text in texts]
    return Task(train.pairs(), validation, test, None, {}, captions, varied, source)


def score(task: Task, split: str, written: list[Said]) -> dict[str, float]:
    """How good captions are; `error` is what chooses the best step."""
    pictures, texts = getattr(task, split), [said.text for said in written]
    if not task.objects:
        scores = caption_scores(texts, pictures.captions)
        return scores | {"error": 1 - scores["chrf"] / 100}
    exact = float(
        np.mean([text in right for text, right in zip(texts, pictures.captions, strict=True)])
    )
    return {"exact_match": exact, "error": 1 - exact} | looks_at_objects(
        written, task.objects[split]
    )


def caption_scores(texts: list[str], captions: list[list[str]]) -> dict[str, float]:
    """BLEU-4, chrF and ROUGE-L in per cent, case ignored."""
    references = [[text.lower() for text in right] for right in captions]
    scores = text_scores([text.lower() for text in texts], references, rouge=True)
    return {name: scores[name] for name in ("bleu", "chrf", "rouge_l")}


def looks_at_objects(written: list[Said], objects: np.ndarray) -> dict[str, float]:
    """The mean attention on an object while its noun was written, and what even attention would have given it.

    A cell counts as the object's if any of its pixels show the object.
    """
    masses, areas = [], []
    for (words, looks), shown in zip(written, objects, strict=True):
        cells = cells_of(shown, math.isqrt(looks.shape[-1]))
        nouns = [looks[place] for place, word in enumerate(words) if word in scenes.SHAPES]
        for look, cell in zip(nouns, cells, strict=False):
            if cell.any():
                masses.append(look[cell].sum())
                areas.append(cell.mean())
    return {
        "attention": float(np.mean(masses or [0])),
        "even_attention": float(np.mean(areas or [0])),
    }


def cells_of(shown: np.ndarray, grid: int) -> np.ndarray:
    """Which cells of a grid show an object of `[objects, side, side]`: `[objects, grid * grid]`."""
    cell = -(-shown.shape[-1] // grid)
    padded = np.pad(shown, ((0, 0), *[(0, grid * cell - shown.shape[-1])] * 2))
    return padded.reshape(-1, grid, cell, grid, cell).any((2, 4)).reshape(-1, grid * grid)


def nearest(train: Pictures, images: np.ndarray) -> list[str]:
    """For each image the caption of the training picture that differs least from it, pixel by pixel."""
    known, asked = (
        pixels.reshape(len(pixels), -1).astype(np.float32) / 255
        for pixels in (train.images, images)
    )
    distances = np.square(known).sum(1) - 2 * asked @ known.T
    return [train.captions[place][0] for place in distances.argmin(1)]


def report(run: Run, task: Task, write: Callable[[np.ndarray], list[Said]]) -> dict:
    """Writes predictions, pictures and the result; returns the result."""
    test, config, history = task.test, run.config, run.history()
    written = write(test.images)
    rows = zip(test.names, written, test.captions, strict=True)
    run.write_text(
        "predictions.tsv",
        "".join("\t".join([name, said.text, *right]) + "\n" for name, said, right in rows),
    )
    scores = {
        name: value for name, value in score(task, "test", written).items() if name != "error"
    }
    if not task.objects:
        retrieved = caption_scores(nearest(task.train.pictures, test.images), test.captions)
        scores |= {f"nearest_{name}": value for name, value in retrieved.items()}
    if task.novel is not None:
        scores["novel_exact_match"] = score(task, "novel", write(task.novel.images))["exact_match"]
    if not config.attention:
        scores = {name: value for name, value in scores.items() if "attention" not in name}
    draw(run.folder, test, written, config, [captions[:1] for captions in test.captions])
    figures.plot_history(
        run.folder / "loss.png", history, {"error": "error of validation"}, config.clip
    )
    best = run.best()
    counts = {"test_pictures": len(test), "steps": history[-1]["step"], "best_step": best["step"]}
    result = run.finish(scores, counts)
    for name, value in scores.items():
        run.say(f"{name.replace('_', ' '):>16}  {value:.4g}")
    run.say(f"run folder: {run.folder}")
    return result


def draw(
    folder: Path, pictures: Pictures, written: list[Said], config: Config, beside: list[list[str]]
) -> None:
    """Captions under some images, with lines `beside` them, and for three where each word looked."""
    shown = range(0, len(written), -(-len(written) // SHOWN))
    images, lines = (
        pictures.images[list(shown)],
        [[written[place].text, *beside[place]] for place in shown],
    )
    figures.save_figure(plot_captions(images, lines), folder / "captions.png")
    if not config.attention:
        return
    for number, place in enumerate(shown[:3], start=1):
        words, looks = written[place]
        grid = math.isqrt(looks.shape[-1])
        figure = plot_looks(
            pictures.images[place], words, looks.reshape(-1, grid, grid), written[place].text
        )
        figures.save_figure(figure, folder / f"looks-{number}.png")


def describe(folder: str, *given: Any) -> None:
    """Writes what is on images of any size and mode."""
    *paths, options = given
    config = load_config(folder, "caption", Config)
    with mistakes():
        if not paths:
            raise ValueError("--describe RUN wants images; name at least one")
        images = np.stack([files.read_picture(path, config.side) for path in paths])
        vocabulary = data.Vocabulary.load(Path(folder) / "words.json")
        model = build(config, vocabulary)
        state = fresh_state(model, config, make_optimiser(config))
        state = training.restore_best(state, training.Checkpoints(Path(folder) / "checkpoints"))
        if options.output is not None:
            Path(options.output).mkdir(parents=True, exist_ok=True)
    written = make_writer(model, vocabulary, config)(state.params, images)
    for path, said in zip(paths, written, strict=True):
        print(f"{path}: {said.text}" if len(paths) > 1 else said.text)
    if options.output is not None:
        pictures = Pictures(images, [[said.text] for said in written], list(paths))
        draw(Path(options.output), pictures, written, config, [[] for _ in paths])


if __name__ == "__main__":
    launch(
        Config,
        main,
        __doc__,
        {"describe": Verb(describe, Describe, "say what is on images", "IMAGE...")},
    )
