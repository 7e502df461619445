"""The models in ONNX, under ONNX Runtime."""

import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import interop, models
from tests.interop.running import agree, named, run, session, with_params

pytestmark = pytest.mark.usefixtures("quick_compile")

BOTH = seqjax.bidirectional(seqjax.LSTM(3))
CAUSAL = seqjax.stack(seqjax.LSTM(4), seqjax.GRU(4), residual=True)
TOKENS = np.ones((2, 6), np.int32)
FRAMES = np.ones((2, 6, 4), np.float32)
LENGTHS = np.array([0, 1, 6], np.int32)


def tokens(seed=0, shape=(3, 6)):
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.int32)


@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model_goes_on_by_step(tied, tmp_path):
    model, params = with_params(models.LanguageModel(5, 4, CAUSAL, tied=tied), TOKENS)
    for step in (False, True):
        interop.onnx.save((model, params), tmp_path / f"{step}.onnx", step=step)
    read = tokens()
    zeros = named(model.start(params, (3,)))
    found = run(tmp_path / "False.onnx", {"tokens": read, "lengths": LENGTHS, **zeros})
    _, logits = model.clone(backend="scan").apply({"params": params}, read, lengths=LENGTHS)
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-5)
    # A prefix at once and the rest step by step are the whole.
    full = np.full(3, 6, np.int32)
    whole = run(tmp_path / "False.onnx", {"tokens": read, "lengths": full, **zeros})
    prefix = {"tokens": read[:, :4], "lengths": np.full(3, 4, np.int32), **zeros}
    after, opened = run(tmp_path / "False.onnx", prefix), session(tmp_path / "True.onnx")
    for t in (4, 5):
        state = {k.replace("next", "state"): v for k, v in after.items() if k != "logits"}
        after = run(opened, {"tokens": read[:, t], **state})
        np.testing.assert_allclose(after["logits"], whole["logits"][:, t], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize(
    "net", [BOTH, seqjax.bidirectional(seqjax.GRU(3), merge="sum"), CAUSAL], ids=repr
)
def test_a_classifier_pools(pooling, net, tmp_path):
    built = models.SequenceClassifier(2, net, 5, 3, pooling)
    model, params = with_params(built, TOKENS)
    interop.onnx.save((model, params), tmp_path / "model.onnx")
    opened = session(tmp_path / "model.onnx")
    for lengths in (LENGTHS, np.array([1], np.int32)):
        read = tokens(shape=(len(lengths), 6))
        found = run(opened, {"tokens": read, "lengths": lengths})
        wanted = model.clone(backend="scan").apply({"params": params}, read, lengths=lengths)
        np.testing.assert_allclose(found["logits"], wanted, rtol=1e-5, atol=1e-5)
        assert ("weights" in found) == (pooling == "attention")


def test_a_classifier_of_features_streams(tmp_path):
    given = with_params(models.SequenceClassifier(2, CAUSAL), FRAMES)
    agree(given, tmp_path / "whole.onnx")
    agree(given, tmp_path / "step.onnx", step=True)
    pooled = with_params(models.SequenceClassifier(2, CAUSAL, pooling="max"), FRAMES)
    with pytest.raises(ValueError, match="no step; export it with step=False"):
        interop.onnx.save(pooled, tmp_path / "no.onnx", step=True)


@pytest.mark.parametrize(
    "options",
    [{}, {"char_vocab_size": 5}, {"char_vocab_size": 5, "char_recurrence": BOTH}, {"crf": False}],
    ids=["words", "convolution", "recurrence", "softmax"],
)
def test_a_tagger_scores_words_and_says_its_chain(options, tmp_path):
    spelt = [np.ones((2, 6, 4), np.int32)] if "char_vocab_size" in options else []
    model, params = with_params(models.Tagger(5, 4, BOTH, 3, **options), TOKENS, *spelt)
    agree((model, params), tmp_path / "tagger.onnx")
    inputs = {"words": tokens(), "lengths": LENGTHS}
    if spelt:
        inputs["characters"] = tokens(shape=(3, 6, 4))
        inputs["char_lengths"] = np.tile(np.array([0, 1, 4], np.int32), (3, 2))
    found = run(tmp_path / "tagger.onnx", inputs)
    wanted = model.apply({"params": params}, **inputs)
    for name in ("emissions", "transitions", "start", "end"):
        np.testing.assert_allclose(found[name], getattr(wanted, name), rtol=1e-5, atol=1e-5)


def test_a_tagger_says_the_intent_too(tmp_path):
    spelt = np.ones((2, 6, 4), np.int32)
    network = models.IntentTagger(5, 4, BOTH, 3, char_vocab_size=5, num_intents=3)
    model, params = with_params(network, TOKENS, spelt)
    agree((model, params), tmp_path / "intents.onnx")
    inputs = {
        "words": tokens(),
        "lengths": LENGTHS,
        "characters": tokens(shape=(3, 6, 4)),
        "char_lengths": np.tile(np.array([0, 1, 4], np.int32), (3, 2)),
    }
    found = run(tmp_path / "intents.onnx", inputs)
    wanted = model.apply({"params": params}, **inputs)
    for name, array in {**wanted.scores._asdict(), "intents": wanted.intents}.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stride", "convolution"), [(1, None), (2, None), (1, 6), (3, 6)])
def test_an_acoustic_model_hears_whole_and_by_step(stride, convolution, tmp_path):
    layers = (CAUSAL, seqjax.LRU(4))
    model = models.AcousticModel(5, layers, stride=stride, convolution=convolution)
    model, params = with_params(model, FRAMES)
    agree((model, params), tmp_path / "whole.onnx", tolerance=2e-5)
    agree((model, params), tmp_path / "step.onnx", step=True, tolerance=2e-5)
    # Steps are the whole, too.
    frames = np.random.default_rng(0).normal(size=(2, 2 * stride, 4)).astype(np.float32)
    full = {"frames": frames, "lengths": np.full(2, 2 * stride, np.int32)}
    whole = run(tmp_path / "whole.onnx", full)["logits"]
    state = model.apply({"params": params}, (2,), 4, method="initial_state")
    opened, state = session(tmp_path / "step.onnx"), named(state)
    for t in range(2):
        after = run(opened, {"frames": frames[:, t * stride : (t + 1) * stride], **state})
        np.testing.assert_allclose(after.pop("logits"), whole[:, t], rtol=1e-4, atol=2e-5)
        state = {name.replace("next", "state"): leaf for name, leaf in after.items()}


def test_frames_that_fill_no_step_are_left_out(tmp_path):
    model, params = with_params(models.AcousticModel(5, (BOTH,), stride=2), FRAMES)
    interop.onnx.save((model, params), tmp_path / "model.onnx")
    frames, lengths = np.ones((2, 7, 4), np.float32), np.array([7, 3], np.int32)
    found = run(tmp_path / "model.onnx", {"frames": frames, "lengths": lengths})
    wanted = model.apply({"params": params}, frames, lengths=lengths)
    np.testing.assert_allclose(found["logits"], wanted.logits, rtol=1e-5, atol=1e-5)
    assert found["steps"].tolist() == [3, 1]


def test_a_framewise_model_reads_each_token_several_times(tmp_path):
    reader = models.AcousticModel(5, (BOTH,))
    agree(with_params(models.Framewise(5, 3, reader), TOKENS), tmp_path / "model.onnx")


def test_a_trained_task_is_its_model(tmp_path):
    rows = [np.ones((4, 3), np.float32), np.zeros((2, 3), np.float32)]
    task = seqjax.Classifier.of(rows, ["a", "b"], recurrence=seqjax.GRU(4))
    params = with_params(task.model, jnp.ones((1, 2, 3)))[1]
    agree(seqjax.Trained(task, params), tmp_path / "model.onnx")
    wanted = task.probabilities(params, rows)
    xs = np.zeros((2, 4, 3), np.float32)
    for row, sequence in enumerate(task.inputs.sequences(rows)):
        xs[row, : len(sequence)] = sequence
    found = run(tmp_path / "model.onnx", {"xs": xs, "lengths": np.array([4, 2], np.int32)})
    chances = np.exp(found["logits"])
    np.testing.assert_allclose(chances / chances.sum(1, keepdims=True), wanted, rtol=1e-4)
