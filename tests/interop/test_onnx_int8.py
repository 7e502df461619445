"""Weights as whole numbers of 8 bits."""

import numpy as np
import pytest

import seqjax
from seqjax import interop, models
from tests.interop.running import named, run, with_params
from tests.recurrences import draw_inputs, draw_params, draw_state


def sizes(given, tmp_path, **options):
    """The size of the file of 8 bits over that of floats."""
    paths = [tmp_path / f"{weights}.onnx" for weights in ("float32", "int8")]
    for path in paths:
        interop.onnx.save(given, path, weights=path.stem, **options)
    return paths[1].stat().st_size / paths[0].stat().st_size


def rounded(array):
    """A matrix `[in, out]` with each column in 255 levels."""
    scales = np.abs(array).max(0) / 127
    return np.rint(array / scales) * scales


@pytest.mark.parametrize("step", [False, True])
def test_a_model_shrinks_to_about_a_quarter(step, tmp_path):
    net = seqjax.stack(seqjax.GRU(192), seqjax.LSTM(192))
    given = with_params(models.LanguageModel(65, 192, net), np.ones((1, 2), np.int32))
    assert sizes(given, tmp_path, step=step) < 0.27


@pytest.mark.parametrize(
    "net",
    [seqjax.LSTM(24), seqjax.GRU(24), seqjax.Elman(24), seqjax.LSTM(24, projection_size=20)],
    ids=repr,
)
def test_each_column_has_a_scale_of_its_own(net, tmp_path):
    """The file says what the net says whose matrices are rounded column by column."""
    params = {name: np.asarray(leaf) for name, leaf in draw_params(net, input_size=24).items()}
    interop.onnx.save((net, params), tmp_path / "net.onnx", weights="int8")
    near = {name: rounded(leaf) if leaf.ndim == 2 else leaf for name, leaf in params.items()}
    xs = np.tile(draw_inputs((2, 5)), 8)
    lengths, state = np.array([5, 2], np.int32), draw_state(net, (2,))
    found = run(tmp_path / "net.onnx", {"xs": xs, "lengths": lengths, **named(state)})
    _, wanted = seqjax.unroll(net, near, xs, state, lengths=lengths, backend="scan")
    np.testing.assert_allclose(found["ys"], wanted, rtol=1e-4, atol=1e-5)


def test_embeddings_are_rounded_too(tmp_path):
    model, params = with_params(
        models.LanguageModel(40, 16, seqjax.GRU(16), tied=True), np.ones((1, 2), np.int32)
    )
    assert sizes((model, params), tmp_path) < 0.6
    assert 0 < interop.compare(tmp_path / "int8.onnx", (model, params)) < 0.1
