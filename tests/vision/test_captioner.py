"""Captioners: what they learn, say, look at and score."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

import seqjax
from seqjax import training, vision
from seqjax.decoding import Writer
from seqjax.files.settings import from_plain, to_plain
from seqjax.tasks import Trained
from seqjax.vision import scenes
from tests.fresh import run_afresh

pytestmark = pytest.mark.usefixtures("quick_compile")

TINTS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
TINY = {"features": 4, "embedding_size": 8}


def tinted(count, seed=0):
    """Pictures in three tints, each with a sentence, the first with two."""
    random, names = np.random.default_rng(seed), list(TINTS)
    images = [
        random.integers(0, 56, (16, 16, 3)) + np.array(TINTS[names[i % 3]]) for i in range(count)
    ]
    captions = [[f"A {names[i % 3]} one."] for i in range(count)]
    captions[0] = [*captions[0], "Red!"]
    return np.stack(images).astype(np.uint8), captions


@pytest.fixture(scope="module")
def trained():
    """Knows three tints."""
    examples = tinted(32)
    task = vision.Captioner.of(*examples, seqjax.LSTM(16), augment=True, spread=0.1, **TINY)
    recipe = training.Recipe(steps=60, every=30, batch_size=8, learning_rate=0.02)
    return training.fit(task, examples, validation=tinted(6, 1), recipe=recipe, quiet=True)


@pytest.fixture(scope="module")
def fresh():
    """Knows nothing of two scenes."""
    pictures = vision.Scenes("validation", 3, side=16).pictures()
    task = vision.Captioner.of(
        pictures.images,
        pictures.captions,
        seqjax.GRU(8),
        known=scenes.captions(),
        criterion="exact_match",
        **TINY,
    )
    return Trained(task, task.init(jax.random.key(0)))


def test_it_learns_what_is_on_pictures(trained):
    images, captions = tinted(9, 2)
    assert trained.predict(images) == [own[0].lower() for own in captions]
    metrics = trained.evaluate((images, captions))
    assert 0 < metrics["nats"] < 0.5
    assert metrics["rouge_l"] == pytest.approx(100)
    assert metrics["error"] == pytest.approx(1 - metrics["chrf"] / 100) == pytest.approx(0)


def test_images_may_be_files_floats_and_of_any_size(trained, tmp_path):
    images, _ = tinted(3, 2)
    large = np.full((40, 30, 3), TINTS["blue"], np.uint8)
    Image.fromarray(large).convert("P").save(tmp_path / "blue.gif")
    Image.fromarray(images[1]).save(tmp_path / "green.png")
    given = [images[0], large, tmp_path / "green.png", str(tmp_path / "blue.gif")]
    said = ["a red one.", "a blue one.", "a green one.", "a blue one."]
    assert trained.predict(given) == said
    scaled = (images / 255).astype(np.float32)
    for one, other in zip(trained.attention(scaled), trained.attention(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_an_answer_does_not_depend_on_what_else_is_asked(trained):
    images, _ = tinted(5, 3)
    together = trained.describe(images, beam=2)
    for image, found in zip(images, together, strict=True):
        (alone,) = trained.describe(image[None], beam=2)
        assert alone.words == found.words
        np.testing.assert_allclose(alone.attention, found.attention, atol=1e-5)
    assert trained.predict(images[:0]) == trained.predict([]) == []


def test_attention_is_over_the_cells_at_each_word(trained):
    images, _ = tinted(3, 3)
    looks, said = trained.attention(images), trained.describe(images)
    assert [look.shape for look in looks] == [(len(words), 64) for words, _ in said]
    for look in looks:
        np.testing.assert_allclose(look.sum(1), 1, atol=1e-5)


def test_no_more_words_than_asked_for(trained):
    written = trained.describe(tinted(6)[0], max_length=2)
    assert {len(words) for words, _ in written} <= {1, 2}
    assert all(len(words) == len(looks) for words, looks in written)


def test_numbers_of_images_share_their_shapes(trained):
    images, _ = tinted(8)
    trained.predict(images, max_length=3)
    count = Writer.search._cache_size()
    for size in (5, 6, 7):
        trained.predict(images[:size], max_length=3)
    assert Writer.search._cache_size() == count
    for size in range(1, 9):
        trained.predict(images[:size], max_length=3)
    assert Writer.search._cache_size() - count <= 3


def test_every_picture_comes_with_each_of_its_captions(trained):
    images, captions = tinted(4)
    (batch,) = trained.task.batches((images, captions), batch_size=8, once=True)
    np.testing.assert_array_equal(batch["source"][:5], images[[0, 0, 1, 2, 3]])
    words = trained.task.words
    assert batch["target_lengths"].tolist() == [5, 3, 5, 5, 5, 0, 0, 0]
    assert words.decode(batch["targets"][0, :5]) == ["a", "red", "one", ".", "<eos>"]
    assert words.decode(batch["targets"][1, :3]) == ["red", "!", "<eos>"]


def test_the_order_is_of_the_seed_and_goes_on_where_it_stopped(trained):
    examples = tinted(20)
    batches = trained.task.batches(examples, batch_size=4, seed=1)
    assert batches.batches_per_epoch == 5
    next(batches)
    position, following = batches.state(), next(batches)
    again = trained.task.batches(examples, batch_size=4, seed=1)
    again.restore(position)
    np.testing.assert_array_equal(next(again)["source"], following["source"])
    other = next(trained.task.batches(examples, batch_size=4, seed=2))
    assert (next(trained.task.batches(examples, batch_size=4))["source"] != other["source"]).any()


def test_scenes_come_in_order(fresh):
    endless = vision.Scenes("train", 10**9, side=16)
    batches = fresh.task.batches(endless, batch_size=2)
    np.testing.assert_array_equal(next(batches)["source"][1], endless[1]["image"])
    np.testing.assert_array_equal(next(batches)["source"][0], endless[2]["image"])


def test_a_caption_that_is_cut_has_no_end(trained):
    short = dataclasses.replace(trained.task, max_length=2)
    batch = next(short.batches(tinted(4), batch_size=4, once=True))
    assert batch["targets"].shape == (4, 3) and batch["target_lengths"][0] == 3
    assert short.words.decode(batch["targets"][0]) == ["a", "red", "one"]


def loss_of(trained, step=0, key=0, **settings):
    task = dataclasses.replace(trained.task, **settings)
    batch = next(task.batches(tinted(4), batch_size=4, once=True))
    return float(task.loss(trained.params, batch, jax.random.key(key), jax.numpy.int32(step))[0])


def test_what_training_adds_to_the_cross_entropy(trained):
    plain = {"augment": False, "spread": 0.0}
    assert loss_of(trained, **plain) == loss_of(trained, key=1, **plain)
    varied = plain | {"augment": True}
    assert loss_of(trained, **varied) != loss_of(trained, key=1, **varied)
    assert loss_of(trained, **plain | {"spread": 0.1}) > loss_of(trained, **plain)
    assert loss_of(trained, **plain | {"label_smoothing": 0.1}) > loss_of(trained, **plain)
    # The chance of the true word falls with the step.
    sampled = plain | {"sampling": 0.0, "sampling_steps": 10}
    assert loss_of(trained, step=0, **sampled) == pytest.approx(loss_of(trained, **plain), rel=1e-5)
    assert loss_of(trained, step=10, **sampled) != pytest.approx(
        loss_of(trained, **plain), rel=1e-5
    )


def test_nats_are_a_word_of_the_captions(fresh):
    pictures = vision.Scenes("validation", 3, side=16).pictures()
    (batch,) = fresh.task.batches(pictures, batch_size=3, once=True)
    read = training.shift_right(batch["targets"], fresh.task.words.bos)
    logits = fresh.task.model.apply({"params": fresh.params}, batch["source"], None, read).logits
    scores = np.asarray(jax.nn.log_softmax(logits), np.float64)
    paid = [
        -scores[row, place, batch["targets"][row, place]]
        for row, length in enumerate(batch["target_lengths"])
        for place in range(length)
    ]
    metrics = fresh.evaluate(pictures)
    assert metrics["nats"] == pytest.approx(np.mean(paid), rel=1e-5)
    assert metrics["error"] == 1 - metrics["exact_match"] == 1
    assert 0 < metrics["attention"] < 1 and 0 < metrics["even_attention"] < 1
    assert "chrf" not in metrics
    assert fresh.evaluate(vision.Scenes("validation", 3, side=16)) == pytest.approx(metrics)


def test_without_attention_an_image_is_read_once(tmp_path):
    images, captions = tinted(3)
    task = vision.Captioner.of(images, captions, seqjax.LSTM(4), attention=False, **TINY)
    model = Trained(task, task.init(jax.random.key(0)))
    with pytest.raises(ValueError, match="the model has no attention"):
        model.attention(images)
    with pytest.raises(ValueError, match="spread is 0.1; it wants a model with attention"):
        dataclasses.replace(task, spread=0.1)
    model.report((images, captions), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.tsv", "captions.png"}


def test_the_report_writes_predictions_and_pictures(trained, tmp_path):
    images, captions = tinted(4, 2)
    report = trained.report((images, captions), tmp_path)
    assert set(report.metrics) == {"bleu", "chrf", "rouge_l"} and report.counts == {"pictures": 4}
    rows = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text().splitlines()]
    assert rows[0] == ["0", "a red one.", "A red one.", "Red!"] and len(rows) == 4
    names = {"captions.png", "looks-1.png", "looks-2.png", "looks-3.png", "predictions.tsv"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_fresh_process_gives_the_same_answers(trained, tmp_path):
    trained.save(tmp_path / "model")
    np.save(tmp_path / "images.npy", tinted(3, 4)[0])
    program = (
        "import json, numpy as np, seqjax\n"
        "model = seqjax.load(sys.argv[1])\n"
        "images = np.load(sys.argv[2])\n"
        "looks = [look.tolist() for look in model.attention(images, beam=2)]\n"
        "print(json.dumps([model.predict(images, beam=2), looks]))\n"
    )
    words = tmp_path / "model", tmp_path / "images.npy"
    without = ("matplotlib", "sacrebleu", "tokenizers")
    said, looks = run_afresh(program, *words, without=without)
    assert said == trained.predict(tinted(3, 4)[0], beam=2)
    for look, own in zip(looks, trained.attention(tinted(3, 4)[0], beam=2), strict=True):
        np.testing.assert_allclose(look, own, atol=1e-4)


def test_settings_and_repr(trained, fresh):
    for task in (trained.task, fresh.task):
        assert from_plain(json.loads(json.dumps(to_plain(task)))) == task
    assert repr(fresh.task) == "Captioner(GRU(8) over images of 16x16x3, 23 words)"


def test_own_files_are_learnt_from(tmp_path):
    images, captions = tinted(3)
    files = [tmp_path / f"{place}.png" for place in range(3)]
    for image, file in zip(images, files, strict=True):
        Image.fromarray(image).save(file)
    task = vision.Captioner.of(files, captions, seqjax.LSTM(4), side=16, **TINY)
    assert task.shape == (16, 16, 3) and "green" in task.words
    batch = next(task.batches((files, captions), batch_size=4, once=True))
    np.testing.assert_array_equal(batch["source"][1:], images)


EMPTY = np.zeros((0, 16, 16, 3), np.uint8)
BLACK = np.zeros((2, 16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "captions", "settings", "message"),
    [
        (EMPTY, [], {}, "there is no picture"),
        (BLACK, ["a"], {}, "2 images and 1 captions; give as many of both"),
        (BLACK, ["a", []], {}, "the caption of image 1 is empty"),
        (BLACK, [" ", "a"], {}, "the caption of image 0 is empty"),
        (BLACK[0], ["a"] * 16, {}, r"images have shape \(16, 16, 3\); give"),
        (BLACK[:, :8], ["a", "b"], {}, "give at least 16 pixels a side"),
        (BLACK.astype(int), ["a", "b"], {}, "image 0 is int64; give uint8"),
        (BLACK + 2.0, ["a", "b"], {}, "image 0 has values outside 0 to 1"),
        (list(BLACK), ["a", "b"], {}, "images are a list; say with side=..."),
        (["no.png"], ["a"], {"side": 16}, "no.png: no such file"),
        (BLACK, ["a", "b"], {"max_length": 0}, "max_length is 0"),
        (BLACK, ["a", "b"], {"beam": 0}, "beam is 0"),
    ],
)
def test_what_cannot_be_learnt_is_told_in_one_line(images, captions, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        vision.Captioner.of(images, captions, seqjax.LSTM(4), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_criterion_is_refused(fresh):
    with pytest.raises(
        ValueError, match="criterion is 'bleu'; choose one of 'chrf', 'exact_match'"
    ):
        dataclasses.replace(fresh.task, criterion="bleu")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.predict("a.png"), "images are one file, a.png; give a list of images"),
        (lambda m: m.predict(BLACK[0]), r"images have shape \(16, 16, 3\)"),
        (lambda m: m.predict([BLACK[0], "a.png"]), "a.png: no such file"),
        (lambda m: m.predict(BLACK[..., :1]), r"image 0 has shape \(16, 16, 1\); the model takes"),
        (lambda m: m.evaluate((EMPTY, [])), "there is no picture"),
        (
            lambda m: m.task.batches(vision.Scenes("train", 9, side=32)),
            r"scenes have 32 pixels a side; the model takes images of \(16, 16, 3\)",
        ),
        (
            lambda m: m.task.batches((BLACK, ["a", "b"]), batch_size=3, multiple_of=2),
            "batch_size is 3; give a multiple of 2",
        ),
        (lambda m: m.task.batches((BLACK, ["a", "b"])), "a batch wants 32: give more or smaller"),
    ],
)
def test_mistakes_are_told_in_one_line(fresh, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(fresh)
    assert "\n" not in str(caught.value)
