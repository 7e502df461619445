"""Streams: what a call gives at every step is what a whole sequence gives there, by one program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import interop, models, text
from seqjax.interop import stream as streams
from seqjax.tasks import Trained

pytestmark = pytest.mark.usefixtures("quick_compile")

NET = seqjax.stack(seqjax.LSTM(5), seqjax.GRU(4), dropout=0.5)
WORDS = "to be or not to be\n"


@pytest.fixture(scope="module")
def trained():
    task = text.LanguageModel.of(WORDS, NET, embedding_size=3)
    return Trained(task, task.init(jax.random.key(1)))


def test_features_give_what_unroll_gives(getkey):
    params, xs = NET.init(getkey(), 3), jax.random.normal(getkey(), (2, 7, 3))
    stream = interop.Stream((NET, params), batch=2)
    found = [stream(xs[:, t]) for t in range(7)]
    state, expected = seqjax.unroll(NET, params, xs, backend="scan")
    np.testing.assert_allclose(jnp.stack(found, 1), expected, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), stream.state, state)
    assert streams._step_of(NET)._cache_size() == 1


def test_a_language_model_reads_tokens_with_or_without_the_axis_of_one(trained):
    ids = trained.task.codec.encode(WORDS)
    _, expected = trained.task.model.apply({"params": trained.params}, ids[None])
    stream = interop.Stream(trained)
    np.testing.assert_allclose([stream(i) for i in ids], expected[0], atol=1e-6)
    stream.reset()
    np.testing.assert_allclose(stream(ids[:1]), expected[:, 0], atol=1e-6)
    other = interop.Stream((trained.task.model, trained.params), batch=3)
    np.testing.assert_allclose(other(ids[:3])[2], interop.Stream(trained)(ids[2]), atol=1e-6)


def test_a_small_model_streams_by_int8_as_it_is(trained):
    small = interop.quantise(trained)
    stream, floats = interop.Stream(small), interop.Stream(interop.dequantise(small))
    np.testing.assert_allclose(stream(1), floats(1), atol=1e-4)
    np.testing.assert_allclose(stream(2), floats(2), atol=1e-4)
    stream.reset()
    np.testing.assert_allclose(stream(2), interop.Stream(trained)(2), atol=0.05)
    kept = {leaf.dtype.name for leaf in jax.tree.leaves(stream._params)}
    assert kept == {"int8", "float32"} and stream._params["head"]["kernel"].dtype == jnp.float32


@pytest.mark.parametrize("net", [seqjax.MinGRU(4), seqjax.stack(seqjax.LSTM(3), seqjax.MGU(3))])
def test_cells_that_nothing_reads_by_int8_are_computed_once(net, getkey):
    params = interop.quantise(net.init(getkey(), 3))
    stream = interop.Stream((net, params))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(stream._params)} == {"float32"}
    _, expected = seqjax.unroll(net, interop.dequantise(params), jnp.ones((1, 1, 3)))
    np.testing.assert_allclose(stream(np.ones(3, "f4")), expected[0, 0], atol=1e-5)
    asked = interop.Stream((seqjax.int8(net), params))
    np.testing.assert_allclose(asked(np.ones(3, "f4")), expected[0, 0], atol=1e-4)


def test_a_recogniser_in_int8_reads_pieces(getkey):
    model = models.AcousticModel(6, (seqjax.GRU(4), seqjax.LSTM(3)), stride=2, convolution=5)
    frames = jax.random.normal(getkey(), (1, 4, 3))
    params = interop.quantise(model.init(getkey(), frames)["params"])
    stream = interop.Stream((model, params))
    floats = interop.Stream((model, interop.dequantise(params)))
    np.testing.assert_allclose(stream(frames)[0], floats(frames)[0], atol=1e-4)
    assert "int8" in {leaf.dtype.name for leaf in jax.tree.leaves(stream._params)}


def test_rows_begin_anew_alone(trained):
    stream = interop.Stream(trained, batch=3)
    first = stream(np.array([1, 2, 3]))
    stream(np.array([4, 4, 4]))
    stream.reset(rows=[0, 2])
    again = stream(np.array([1, 2, 3]))
    np.testing.assert_allclose(again[::2], first[::2], atol=1e-6)
    assert np.abs(again[1] - first[1]).max() > 1e-4
    stream.reset(rows=[])
    with pytest.raises(ValueError, match="row 3 is none of the batch; rows are 0 to 2"):
        stream.reset(rows=[3])


def test_an_earlier_state_goes_on_from_there(trained):
    stream = interop.Stream(trained)
    stream(1)
    before = stream.state
    expected = stream(2)
    stream.state = before
    np.testing.assert_array_equal(stream(2), expected)
    stream.state = before
    np.testing.assert_array_equal(stream(2), expected)
    with pytest.raises(ValueError, match="no state of this stream"):
        stream.state = (before,)


def test_an_acoustic_model_reads_pieces(getkey):
    model = models.AcousticModel(6, (seqjax.GRU(4), seqjax.LSTM(3)), stride=2, convolution=5)
    frames = jax.random.normal(getkey(), (2, 12, 3))
    params = model.init(getkey(), frames)["params"]
    expected = model.apply({"params": params}, frames).logits
    stream = interop.Stream((model, params), batch=2)
    found = jnp.concatenate([stream(frames[:, at : at + 4]) for at in range(0, 12, 4)], 1)
    np.testing.assert_allclose(found, expected, atol=3e-5)
    alone = interop.Stream((model, params))
    np.testing.assert_allclose(alone(frames[0, :4]), expected[0, :2], atol=3e-5)


@pytest.mark.parametrize("vocab_size", [None, 7])
def test_a_classifier_reads_tokens_or_features(getkey, vocab_size):
    sizes = {"vocab_size": vocab_size, "embedding_size": 3 if vocab_size else None}
    model = models.SequenceClassifier(3, seqjax.GRU(4), pooling="last", **sizes)
    xs = jnp.arange(10).reshape(2, 5) % 7
    xs = xs if vocab_size else jax.random.normal(getkey(), (2, 5, 3))
    params = model.init(getkey(), xs)["params"]
    stream = interop.Stream((model, params), batch=2)
    for t in range(5):
        found = stream(xs[:, t])
    np.testing.assert_allclose(found, model.apply({"params": params}, xs), atol=1e-6)


@pytest.mark.parametrize(
    "model, message",
    [
        (NET, "the model is a Stack; give a trained model"),
        (("LSTM", {}), "a pair that begins with a str"),
        ((models.Recurrent(seqjax.bidirectional(NET)), {}), "reads the future; stream a causal"),
        ((seqjax.bidirectional(NET), {}), "reads the future; stream a causal network"),
        ((models.ConvGrid((4, 4)), {}), "ConvGrid has no step that reads its inputs"),
    ],
)
def test_what_cannot_stream_is_refused(model, message):
    with pytest.raises((TypeError, ValueError), match=message):
        interop.Stream(model)


def test_inputs_of_another_batch_are_refused(trained):
    with pytest.raises(ValueError, match=r"shape \(2,\); with batch=3 give \[batch\]"):
        interop.Stream(trained, batch=3)(np.array([1, 2]))
    with pytest.raises(ValueError, match="batch is 0"):
        interop.Stream(trained, batch=0)
