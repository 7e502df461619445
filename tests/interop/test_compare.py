"""`compare` sees a difference, and tells what does not belong together."""

import sys

import jax
import pytest

import seqjax
from seqjax import interop
from tests.recurrences import draw_params

NET = seqjax.bidirectional(seqjax.GRU(4))


@pytest.fixture
def path(tmp_path):
    interop.onnx.save((NET, draw_params(NET)), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_other_weights_differ(path):
    assert interop.compare(path, (NET, draw_params(NET))) < 1e-5
    assert interop.compare(path, (NET, draw_params(NET, seed=1))) > 0.01
    spoilt = jax.tree.map(lambda leaf: leaf * float("nan"), draw_params(NET))
    assert interop.compare(path, (NET, spoilt)) == float("inf")


def test_another_model_is_refused(path):
    one = seqjax.GRU(4)
    with pytest.raises(ValueError, match="has inputs .* the model"):
        interop.compare(path, (one, draw_params(one)))
    model = seqjax.models.SequenceClassifier(2, one)
    with pytest.raises(ValueError, match="holds Recurrent, not a SequenceClassifier"):
        interop.compare(path, (model, {}))
    with pytest.raises(ValueError, match="does not exist; write it"):
        interop.compare(path.with_name("none.onnx"), (one, draw_params(one)))


def test_a_missing_run_time_is_told_in_one_line(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="pip install onnxruntime"):
        interop.compare(path, (NET, draw_params(NET)))


def test_names_are_found_and_others_are_not():
    assert {"onnx", "stablehlo", "compare"} <= set(dir(interop))
    assert callable(interop.compare) and callable(interop.compare)
    with pytest.raises(AttributeError, match="no attribute 'onnxx'"):
        interop.onnxx  # noqa: B018
