"""Encoders, decoders and forecasters in ONNX, under ONNX Runtime."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import forecasting, interop, models
from tests.forecasting.panels import rich, waves
from tests.interop.running import agree, run, session, with_params
from tests.recurrences import draw

pytestmark = pytest.mark.usefixtures("quick_compile")

BOTH = seqjax.bidirectional(seqjax.LSTM(3))
WRITER = seqjax.LSTM(6)
TOKENS, LENGTHS = np.ones((2, 6), np.int32), np.array([6, 1], np.int32)

DECODERS = {
    "general tied last": ({"attention": "general", "tied": True}, "last", False),
    "dot fed shared": ({"attention": "dot", "tied": True, "input_feeding": True}, "zero", True),
    "none read": ({"attention": None}, "read", False),
    "scaled copying": ({"attention": "scaled_dot", "copying": 2}, "zero", False),
    "location": ({"attention": "location", "form": "bahdanau"}, "read", True),
    "heads": ({"attention": "multi_head", "attention_units": 8, "form": "bahdanau"}, "last", False),
    "coverage": ({"attention": "additive", "coverage": True, "copying": 2}, "projected", False),
    "concat": ({"attention": "concat", "form": "bahdanau"}, "zero", False),
}


def translator(options, bridge, shared, net=BOTH, decoder=WRITER):
    encoder = models.Encoder(5, 3, net, reverse=bridge == "last")
    model = models.Seq2Seq(encoder, models.Decoder(5, 3, decoder, **options), bridge, shared)
    return with_params(model, TOKENS, LENGTHS, TOKENS)


@pytest.mark.parametrize("setting", DECODERS.values(), ids=DECODERS.keys())
def test_an_encoder_and_the_step_of_its_decoder(setting, tmp_path):
    given = translator(*setting)
    agree(given, tmp_path / "encoder.onnx")
    agree(given, tmp_path / "decoder.onnx", step=True)


def test_a_decoder_of_complex_states_begins_where_its_encoder_ends(tmp_path):
    net = seqjax.stack(seqjax.LRU(4), seqjax.residual(seqjax.MinGRU(4)))
    given = translator({}, "projected", False, seqjax.stack(BOTH, BOTH), net)
    agree(given, tmp_path / "encoder.onnx")
    agree(given, tmp_path / "decoder.onnx", step=True)


def test_two_files_translate_as_teacher_forcing_does(tmp_path):
    model, params = translator({"attention": "general"}, "projected", False)
    interop.onnx.save((model, params), tmp_path / "encoder.onnx")
    interop.onnx.save((model, params), tmp_path / "decoder.onnx", step=True)
    rng = np.random.default_rng(0)
    source, targets = rng.integers(0, 5, (2, 2, 4)).astype(np.int32)
    lengths = np.array([4, 2], np.int32)
    found = run(tmp_path / "encoder.onnx", {"source": source, "lengths": lengths})
    memory = {name: found.pop(name) for name in ("keys", "memory", "mask")}
    opened, said = session(tmp_path / "decoder.onnx"), []
    for t in range(4):
        state = {name.replace("next", "state"): leaf for name, leaf in found.items()}
        found = run(opened, {"tokens": targets[:, t], **memory, **state})
        said.append(found.pop("logits"))
    wanted = model.apply({"params": params}, source, lengths, targets).logits
    np.testing.assert_allclose(np.stack(said, 1), wanted, rtol=1e-4, atol=1e-5)


def test_a_captioner_is_refused(tmp_path):
    decoder = models.Decoder(5, 3, seqjax.LSTM(6), "additive", "bahdanau")
    model = models.Captioner(models.ImageEncoder(models.ConvGrid((4, 4)), 6), decoder)
    params = {"params": {}}
    with pytest.raises(TypeError, match="a Captioner cannot be exported; known are"):
        interop.onnx.save((model, params), tmp_path / "model.onnx")


def forecasters(panel):
    net = seqjax.stack(seqjax.LSTM(4), seqjax.GRU(4))
    settings = {"context": 6, "recurrence": net, "lags": (1, 3)}
    horizon = {"horizon": 3, **settings}
    mixture = seqjax.losses.likelihoods.Mixture(seqjax.losses.likelihoods.Normal(), 2)
    return [
        forecasting.Direct.of(panel, units=4, **horizon),
        forecasting.Direct.of(panel, units=4, likelihood=mixture, horizon=1, **settings),
        forecasting.DeepAR.of(panel, **horizon),
        forecasting.EncoderDecoder.of(panel, attention="location", **horizon),
    ]


@pytest.mark.parametrize("panel", [waves(), rich()], ids=["waves", "rich"])
@pytest.mark.parametrize("index", range(4))
def test_forecasters(panel, index, tmp_path):
    task = forecasters(panel)[index]
    params = draw(jax.eval_shape(lambda: task.init(jax.random.key(0))), 0, scale=0.5)
    trained = seqjax.Trained(task, params)
    agree(trained, tmp_path / "whole.onnx", tolerance=2e-5)
    if isinstance(task, forecasting.Direct):
        with pytest.raises(ValueError, match="Direct reads whole sequences"):
            interop.onnx.save(trained, tmp_path / "step.onnx", step=True)
    else:
        agree(trained, tmp_path / "step.onnx", step=True, tolerance=2e-5)


def test_an_encoder_decoder_forecasts_by_steps(tmp_path):
    panel = rich()
    task = forecasters(panel)[3]
    params = draw(jax.eval_shape(lambda: task.init(jax.random.key(0))), 0, scale=0.2)
    for step in (False, True):
        interop.onnx.save(seqjax.Trained(task, params), tmp_path / f"{step}.onnx", step=step)
    batch = task.windows(panel).at(np.arange(2), panel.lengths)
    opened = session(tmp_path / "False.onnx")
    found = run(opened, {put.name: batch[put.name] for put in opened.get_inputs()})
    memory = {name: found.pop(name) for name in ("keys", "memory")}
    fed, ahead, said = found.pop("first"), found.pop("ahead"), []
    opened, likelihood = session(tmp_path / "True.onnx"), task.likelihood
    for k in range(task.horizon):
        state = {name.replace("next", "state"): leaf for name, leaf in found.items()}
        found = run(opened, {"fed": fed, "ahead": ahead[:, k], **memory, **state})
        said.append(found.pop("numbers"))
        fed = np.asarray(likelihood.mean(likelihood.parameters(jnp.asarray(said[-1]))))
    wanted = task.network().apply({"params": params}, jax.tree.map(jnp.asarray, dict(batch)))
    np.testing.assert_allclose(np.stack(said, 1), wanted, rtol=1e-4, atol=1e-5)
