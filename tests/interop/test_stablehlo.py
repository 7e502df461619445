"""Programs of `jax.export`, loaded where seqjax is not."""

import numpy as np
import pytest

import seqjax
from seqjax import interop, models
from seqjax.interop.signature import SIZES, draw, signature, subject
from tests.fresh import run_afresh
from tests.interop.running import leaves, with_params
from tests.recurrences import draw_inputs, draw_params, draw_state

# Annotations say int where a size is symbolic.
pytestmark = pytest.mark.usefixtures("unchecked", "quick_compile")

LOADED = """
import json, pathlib, jax, numpy as np
from jax import export
path, inputs, outputs = sys.argv[1:]
program = export.deserialize(bytearray(pathlib.Path(path).read_bytes()))
found = program.call(**np.load(inputs))
np.savez(outputs, **found)
print(json.dumps([list(program.platforms), program.fun_name]))
"""

BOTH = seqjax.bidirectional(seqjax.LSTM(3), seqjax.LRU(3))
DEEP = seqjax.stack(seqjax.LSTM(4), seqjax.gated(seqjax.LRU(4)), seqjax.zoneout(seqjax.MinGRU(4)))
TOKENS = np.ones((2, 6), np.int32)


def loaded(given, tmp_path, inputs, **options):
    """What a fresh process without seqjax and Flax says."""
    interop.stablehlo.save(given, tmp_path / "model.jax", **options)
    np.savez(tmp_path / "in.npz", **inputs)
    paths = [tmp_path / name for name in ("model.jax", "in.npz", "out.npz")]
    about = run_afresh(LOADED, *paths, without=("seqjax", "flax"))
    return about, dict(np.load(tmp_path / "out.npz"))


def test_a_program_runs_without_seqjax(tmp_path):
    params, state = draw_params(DEEP), draw_state(DEEP, (2,))
    xs, lengths = draw_inputs((2, 5)), np.array([5, 0], np.int32)
    inputs = {"xs": xs, "lengths": lengths}
    inputs |= {f"state_{index}": leaf for index, leaf in enumerate(leaves(state))}
    (platforms, _), found = loaded((DEEP, params), tmp_path, inputs)
    assert platforms == ["cpu", "cuda", "tpu"]
    after, ys = seqjax.unroll(DEEP, params, xs, state, lengths=lengths, backend="scan")
    np.testing.assert_allclose(found["ys"], ys, rtol=1e-5, atol=1e-5)
    for index, leaf in enumerate(leaves(after)):
        np.testing.assert_allclose(found[f"next_{index}"], leaf, rtol=1e-5, atol=1e-5)


def classifier():
    return with_params(models.SequenceClassifier(2, BOTH, 5, 3, "attention"), TOKENS)


def translator():
    encoder = models.Encoder(5, 3, BOTH)
    model = models.Seq2Seq(encoder, models.Decoder(5, 3, seqjax.LSTM(6), "location", copying=2))
    return with_params(model, TOKENS, np.array([6, 1]), TOKENS)


def acoustic():
    layers = (seqjax.LSTM(3), seqjax.LRU(4))
    model = models.AcousticModel(5, layers, stride=2, convolution=6)
    return with_params(model, np.ones((2, 6, 4), np.float32))


def language_model():
    return with_params(models.LanguageModel(5, 4, DEEP), TOKENS)


@pytest.mark.parametrize(
    ("make", "step"),
    [
        (classifier, False),
        (translator, False),
        (translator, True),
        (acoustic, False),
        (acoustic, True),
        (language_model, True),
    ],
)
def test_models_say_what_they_say_here(make, step, tmp_path):
    from jax import export

    given = make()
    interop.stablehlo.save(given, tmp_path / "model.jax", step=step, platforms=("cpu",))
    program = export.deserialize(bytearray((tmp_path / "model.jax").read_bytes()))
    model, params = subject(given)
    face = signature(model, params, step)
    for batch, time in ((3, 6), (1, 1)):
        inputs = draw(face.inputs, dict.fromkeys(SIZES, time) | {"batch": batch}, 0)
        found, wanted = program.call(**inputs), face.run(params, inputs, "scan")
        assert set(found) == set(wanted)
        for name, leaf in wanted.items():
            np.testing.assert_allclose(found[name], leaf, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_cell_of_ones_own_leaves_too(tmp_path):
    class Mine(seqjax.GRU):
        def step(self, params, state, x, *, rng=None):
            return super().step(params, -state, x)

    net = Mine(4)
    params, xs = draw_params(net), draw_inputs((1, 4))
    inputs = {"xs": xs, "lengths": np.array([4], np.int32), "state_0": np.zeros((1, 4), np.float32)}
    _, found = loaded((net, params), tmp_path, inputs)
    _, ys = seqjax.unroll(net, params, xs, backend="scan")
    np.testing.assert_allclose(found["ys"], ys, rtol=1e-5, atol=1e-5)
