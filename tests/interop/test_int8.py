"""Int8 weights: what they cost, how small they are, and that a model of them is a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import interop, text, training
from seqjax.tasks import Trained, flatten_params

pytestmark = pytest.mark.usefixtures("quick_compile")

SENTENCE = "the quick brown fox jumps over the lazy dog; my cat sleeps in the sun all day.\n"


@pytest.fixture(scope="module")
def trained():
    """A character model as large as file sizes want it, in the midst of learning."""
    net = seqjax.stack(seqjax.LSTM(128), seqjax.GRU(128))
    task = text.LanguageModel.of(SENTENCE, net, embedding_size=64, window=32)
    recipe = training.Recipe(steps=30, every=15, batch_size=8, learning_rate=0.005)
    return training.fit(task, SENTENCE * 20, validation=SENTENCE * 3, recipe=recipe, quiet=True)


@pytest.fixture(scope="module")
def small(trained):
    return interop.quantise(trained)


def test_a_trained_model_pays_less_than_two_thousandths_of_a_nat(trained, small):
    before, after = trained.evaluate(SENTENCE * 3), small.evaluate(SENTENCE * 3)
    assert 0.1 < before["nats"] < 2.9
    assert after["nats"] < before["nats"] + 0.002
    assert after["nats"] != before["nats"]


def test_the_file_is_a_quarter_of_the_size_and_is_read_again(trained, small, tmp_path):
    trained.save(tmp_path / "large")
    small.save(tmp_path / "small")
    sizes = [
        (tmp_path / name / "weights.safetensors").stat().st_size for name in ("small", "large")
    ]
    assert sizes[0] < 0.27 * sizes[1]
    again = seqjax.load(tmp_path / "small", text.LanguageModel)
    assert again.evaluate(SENTENCE * 2) == small.evaluate(SENTENCE * 2)
    assert again.task.codec == trained.task.codec
    with pytest.raises(ValueError, match="holds a Quantised; give a Classifier"):
        seqjax.load(tmp_path / "small", text.Classifier)


def test_a_small_model_does_what_the_task_does(trained, small):
    assert small.predict(["the qu"], max_length=5, temperature=0) == trained.predict(
        ["the qu"], max_length=5, temperature=0
    )
    assert small.stream().read("the").shape == (3,)
    assert small.score(["fox"]) == pytest.approx(trained.score(["fox"]), abs=0.02)
    assert "score" in dir(small) and "LanguageModel" in repr(small)
    batches = small.task.batches(SENTENCE, batch_size=1)
    with pytest.raises(TypeError, match="int8 weights cannot be trained; train the model first"):
        small.loss(next(iter(batches)), jax.random.key(0), 0)
    with pytest.raises(AttributeError, match="nowhere"):
        small.nowhere()


def test_each_column_is_right_to_half_of_its_step(getkey):
    w = jax.random.normal(getkey(), (20, 6)) * jnp.array([[1.0, 10.0, 0.1, 1e-6, 0.0, 3.0]])
    params = {"layer": {"kernel": w, "bias": w[0]}, "count": jnp.arange(3)}
    found = interop.quantise(params)
    kernel = found["layer"]["kernel"]
    assert kernel["int8"].dtype == jnp.int8 and kernel["scale"].shape == (6,)
    again = interop.dequantise(found)
    steps = np.abs(w).max(0) / 127
    assert (np.abs(again["layer"]["kernel"] - w) <= 0.501 * steps).all()
    assert (np.abs(kernel["int8"]).max(0) == [127, 127, 127, 127, 0, 127]).all()
    np.testing.assert_array_equal(again["layer"]["bias"], w[0])
    np.testing.assert_array_equal(again["count"], [0, 1, 2])


def test_what_is_in_int8_stays_as_it_is_and_comes_back(trained, small):
    assert interop.quantise(small) is small
    large = interop.dequantise(small)
    assert large.task == trained.task and interop.dequantise(large) is large
    twice = flatten_params(interop.quantise(interop.quantise(trained.params)))
    once = flatten_params(small.params)
    assert set(twice) == set(once)
    assert all((twice[name] == once[name]).all() for name in once)


def test_bfloat16_comes_back_as_bfloat16():
    found = interop.quantise({"w": jnp.ones((3, 2), jnp.bfloat16)})
    assert interop.dequantise(found)["w"].dtype == jnp.bfloat16


def test_a_diverged_model_is_refused():
    params = {"a": {"w": jnp.full((2, 2), jnp.nan)}}
    with pytest.raises(ValueError, match="a/w holds nan or inf"):
        interop.quantise(params)


def test_every_task_may_be_small():
    rows = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("f4")
    task = seqjax.Classifier.of(list(rows), ["a", "b"] * 3, recurrence=seqjax.GRU(8))
    trained = Trained(task, task.init(jax.random.key(0)))
    small = interop.quantise(trained)
    expected, found = trained.probabilities(list(rows)), small.probabilities(list(rows))
    np.testing.assert_allclose(found, expected, atol=0.02)
