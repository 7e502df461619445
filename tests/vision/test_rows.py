"""Images to classes, row by row and pixel by pixel."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import seqjax
from seqjax import training, vision
from seqjax.files.settings import from_plain, to_plain
from seqjax.vision.row_pictures import rows_shown
from tests.fresh import run_afresh

HEIGHT, WIDTH = 6, 5
MIXED = tuple(np.random.default_rng(3).permutation(HEIGHT * WIDTH).tolist())

pytestmark = pytest.mark.usefixtures("quick_compile")


def bars(count=20, seed=0):
    """Images in which the class is the column of a white bar, on noise."""
    labels = np.arange(count) % WIDTH
    images = np.random.default_rng(seed).integers(0, 40, (count, HEIGHT, WIDTH), np.uint8)
    images[np.arange(count), :, labels] = 255
    return images, labels


def make(recurrence=None, **settings):
    images, labels = bars()
    return vision.RowClassifier.of(images, labels, recurrence or seqjax.GRU(8), **settings)


@pytest.fixture(scope="module")
def trained():
    recipe = training.Recipe(epochs=20, every=50, batch_size=8, learning_rate=0.05)
    return training.fit(make(), bars(), validation=bars(10, 1), recipe=recipe, quiet=True)


def test_it_learns_to_tell_images_apart(trained):
    images, labels = bars(20, 2)
    assert trained.evaluate((images, labels))["accuracy"] == 1
    assert trained.predict(images) == labels.tolist()
    assert type(trained.predict(images)[0]) is int


def test_rows_and_pixels_are_read_in_their_order():
    images = np.arange(60).reshape(2, HEIGHT, WIDTH)
    rows = vision.Rows(HEIGHT, WIDTH).read(images)
    np.testing.assert_allclose(rows * 255, images, rtol=1e-6)
    plain = vision.Rows(HEIGHT, WIDTH, tuple(range(30)))
    mixed = vision.Rows(HEIGHT, WIDTH, MIXED)
    np.testing.assert_allclose(plain.read(images)[1, :, 0] * 255, np.arange(30, 60), rtol=1e-6)
    np.testing.assert_array_equal(mixed.read(images), plain.read(images)[:, MIXED])
    assert (rows.shape[1:], mixed.read(images).shape[1:]) == ((6, 5), (30, 1))
    assert (mixed.steps, mixed.size) == (30, 1) and (vision.Rows(6, 5).steps) == 6


def test_whole_numbers_are_brought_to_1_and_floats_are_as_they_are():
    images, _ = bars(3)
    rows = vision.Rows(HEIGHT, WIDTH)
    for same in (images[..., None], images.astype(int), list(images), images / 255):
        np.testing.assert_allclose(rows.read(same), images / 255, rtol=1e-6)
    assert rows.read(images).max() == 1 and rows.read(images).dtype == np.float32
    np.testing.assert_array_equal(rows.read(np.full((1, 6, 5), 7.5)), np.full((1, 6, 5), 7.5))


def test_images_may_be_names_of_files(trained, tmp_path):
    images, labels = bars(5)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    assert trained.predict(paths) == trained.predict([str(path) for path in paths])
    np.testing.assert_array_equal(trained.probabilities(paths), trained.probabilities(images))
    Image.fromarray(np.zeros((7, 5), np.uint8)).save(paths[1])
    with pytest.raises(ValueError, match="1.png: 5x7 pixels; wanted 5x6"):
        trained.predict(paths)


def test_batches_hold_every_image_once_and_are_shuffled():
    task, (images, labels) = make(), bars()
    ordered = list(task.batches((images, labels), batch_size=8, once=True))
    assert [batch["weight"].sum() for batch in ordered] == [8, 8, 4]
    np.testing.assert_allclose(ordered[1]["inputs"] * 255, images[8:16], rtol=1e-6)
    assert ordered[1]["label"].tolist() == labels[8:16].tolist()
    first = task.batches((images, labels), batch_size=8)
    assert first.batches_per_epoch == 3
    begun = next(first)
    state = first.state()
    again = task.batches((images, labels), batch_size=8)
    again.restore(state)
    np.testing.assert_array_equal(next(again)["inputs"], next(first)["inputs"])
    assert begun["label"].tolist() != ordered[0]["label"].tolist()
    with pytest.raises(ValueError, match="batch_size is 8; give a multiple of 3"):
        task.batches((images, labels), batch_size=8, multiple_of=3)


def test_many_images_compile_few_shapes(trained):
    images, _ = bars(60)
    count = vision.RowClassifier._scores._cache_size()
    for number in (33, 40, 47, 50, 55, 60, 64):
        trained.predict(images[:number])
    assert vision.RowClassifier._scores._cache_size() - count <= 1
    alone = np.concatenate([trained.probabilities(images[n : n + 1]) for n in range(3)])
    np.testing.assert_allclose(trained.probabilities(images)[:3], alone, atol=1e-5)


@pytest.mark.parametrize("order", [None, MIXED])
def test_a_stream_and_the_arrival_of_rows_agree(order):
    task = make(order=order)
    params = task.init(jax.random.key(1))
    images, _ = bars(3)
    arrival = task.arrival(params, images)
    assert arrival.shape == (HEIGHT, 3, WIDTH)
    np.testing.assert_allclose(arrival[-1], task.probabilities(params, images), atol=1e-6)
    stream = task.stream(params)
    steps = task.inputs.steps // HEIGHT
    pixels = images[1] if order is None else images[1].reshape(-1)[list(order)]
    for place, step in enumerate(pixels, start=1):
        found = stream.step(step)
        if place % steps == 0:
            np.testing.assert_allclose(found, arrival[place // steps - 1, 1], atol=1e-5)
    with pytest.raises(ValueError, match="the row has 2 pixels"):
        stream.step([1, 2])


@pytest.mark.parametrize(
    "task",
    [make(seqjax.bidirectional(seqjax.GRU(2))), make(pooling="mean")],
    ids=["both ways", "mean"],
)
def test_what_reads_whole_images_cannot_stream(task):
    with pytest.raises(TypeError, match="RowClassifier reads whole images and cannot stream"):
        seqjax.Trained(task, task.init(jax.random.key(0))).stream()


@pytest.mark.parametrize("order", [None, MIXED])
def test_a_report_draws_mistakes_and_the_arrival_of_rows(trained, tmp_path, order):
    model = trained
    if order is not None:
        task = make(order=order)
        model = seqjax.Trained(task, task.init(jax.random.key(0)))
    images, labels = bars(12, 4)
    labels = np.append(labels[:-1], 77)
    report = model.report((images, labels), tmp_path)
    model.draw_reading(images[3], tmp_path)
    right = round(12 * model.evaluate((images, labels))["accuracy"])
    assert report.counts == {"images": 12, "right": right, "of_unknown_labels": 1}
    assert {"accuracy", "nats", "accuracy_after_row_1", "accuracy_after_row_4"} == {
        name
        for name in report.metrics
        if name not in ("accuracy_after_row_2", "accuracy_after_row_3")
    }
    places = np.array([*labels[:-1], -1])
    early = (model.arrival(images)[1].argmax(-1) == places).mean()
    assert report.metrics["accuracy_after_row_2"] == pytest.approx(early)
    pictures = ("confusion", "mistakes", "rows_arrive", "sequence", "hidden_units")
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in pictures)
    assert (tmp_path / "predictions.tsv").read_text().splitlines()[-1].startswith("77\t")


def test_rows_are_shown_evenly():
    assert rows_shown(28) == (5, 10, 15, 20, 25, 28)
    assert rows_shown(6) == (1, 2, 3, 4, 5, 6) and rows_shown(1) == (1,)


def test_settings_and_weights_come_back_in_a_fresh_process(tmp_path):
    task = make(seqjax.stack(seqjax.bidirectional(seqjax.LSTM(3)), dropout=0.3), order=MIXED)
    assert from_plain(json.loads(json.dumps(to_plain(task)))) == task
    model = seqjax.Trained(task, task.init(jax.random.key(0)))
    model.save(tmp_path / "model")
    images, _ = bars(3)
    np.save(tmp_path / "images.npy", images)
    program = (
        "import json, numpy as np, seqjax\n"
        "model, images = seqjax.load(sys.argv[1]), np.load(sys.argv[2])\n"
        "print(json.dumps([model.predict(images), model.probabilities(images).tolist()]))\n"
    )
    words = tmp_path / "model", tmp_path / "images.npy"
    labels, probabilities = run_afresh(program, *words, without=("matplotlib",))
    assert labels == model.predict(images)
    np.testing.assert_allclose(probabilities, model.probabilities(images), atol=1e-5)


def test_it_says_what_it_is(trained):
    assert repr(trained.task) == "RowClassifier(GRU(8) to 5 classes: 0, 1, 2, 3, ...)"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 6, 5, 3)), r"array of shape \[2, 6, 5, 3\]; give \[images, 6, 5\], in grey"),
        (np.zeros((2, 30)), r"image 0 has shape \[30\]; give images of \[rows, columns\]"),
        ([np.zeros((6, 5)), np.zeros((5, 6))], r"differ in shape \(\[6, 5\], \[5, 6\]\)"),
        (np.full((2, 6, 5), 300), "values from 300 to 300; give 0 to 255"),
        (np.full((2, 6, 5), -1), "values from -1 to -1; give 0 to 255"),
        (np.stack([np.zeros((6, 5)), np.full((6, 5), np.nan)]), "image 1 has values that are not"),
        (np.full((2, 6, 5), "x"), "the images are <U1"),
        (np.zeros((1, 6, 5)), "1 inputs and 2 labels"),
    ],
)
def test_what_cannot_be_learnt_is_named(images, message):
    with pytest.raises(ValueError, match=message):
        vision.RowClassifier.of(images, ["a", "b"], seqjax.GRU(2))


def test_other_mistakes(trained):
    with pytest.raises(ValueError, match="order is no order of 30 pixels"):
        make(order=range(29))
    with pytest.raises(ValueError, match=r"give \[images, 6, 5\]"):
        trained.predict(np.zeros((2, 5, 6)))
    with pytest.raises(ValueError, match="the images are one name, 'digit.png'"):
        vision.Rows(6, 5).images("digit.png")
