"""Weights of ONNX's operators; `tests/cells/test_golden.py` compares outputs of every kind of node."""

import onnx
import pytest

import seqjax
from seqjax import interop
from tests.interop.golden import gives, read, same
from tests.interop.onnx_models import model, model_of, node_of, weights

pytestmark = pytest.mark.usefixtures("quick_compile")

LSTM, GRU = read("onnx_lstm_forward_bare.npz"), read("onnx_gru_forward_after_bare.npz")


def test_a_file(tmp_path):
    onnx.save(model_of(LSTM), tmp_path / "x.onnx")
    net, params = interop.onnx.load(tmp_path / "x.onnx")
    assert net == seqjax.LSTM(4)
    gives(net, params, LSTM["X"], LSTM["Y"][:, 0], time_major=True)


def test_both_directions():
    golden = read("onnx_lstm_bidirectional_peephole_lens.npz")
    net, params = interop.onnx.load(model_of(golden))
    assert net == seqjax.bidirectional(seqjax.LSTM(4, peephole=True))
    assert params["backward"]["w_p"].shape == (12,)


def pile(between):
    """An LSTM of 3 inputs under a GRU of 3, with nodes in between."""
    nodes = [node_of(LSTM, "low", "_0"), *between, node_of(GRU, "high", "_1", x="between")]
    return model(nodes, weights(LSTM, "_0") + weights(GRU, "_1"))


def test_several_nodes():
    squeeze = [onnx.helper.make_node("Squeeze", ["Y_0"], ["between"])]
    with pytest.raises(ValueError, match="layer_1 reads 3 features, and the layer before it gives"):
        interop.onnx.load(pile(squeeze))
    product = [onnx.helper.make_node("MatMul", ["Y_0", "W_0"], ["between"])]
    with pytest.raises(
        ValueError, match="node= is wanted, in order where several; found low, high"
    ):
        interop.onnx.load(pile(product))
    net, params = interop.onnx.load(pile(product), "high")
    assert net == seqjax.GRU(4)
    same(params, interop.onnx.load(pile(product), ["Y_1"])[1])
    with pytest.raises(ValueError, match="0 recurrent nodes 'middle'; found low, high"):
        interop.onnx.load(pile(product), "middle")


def test_a_node_that_reads_backwards():
    found = model_of(read("onnx_gru_reverse_after_lens.npz"))
    with pytest.raises(ValueError, match="GRU Y reads backwards; load and unroll it with reverse"):
        interop.onnx.load(found)
    assert interop.onnx.load(found, reverse=True)[0] == seqjax.GRU(4)


def changed(**attributes):
    found = model_of(LSTM)
    for name, value in attributes.items():
        found.graph.node[0].attribute.append(onnx.helper.make_attribute(name, value))
    return found


def test_what_seqjax_does_not_compute():
    with pytest.raises(ValueError, match="LSTM Y clips its sums"):
        interop.onnx.load(changed(clip=3.0))
    with pytest.raises(ValueError, match=r"has activations \('sigmoid', 'relu', 'tanh'\); seqjax"):
        interop.onnx.load(changed(activations=["Sigmoid", "Relu", "Tanh"]))
    assert interop.onnx.load(changed(activations=["Sigmoid", "Tanh", "Tanh"]))[0] == seqjax.LSTM(4)


def test_damaged_models(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        interop.onnx.load(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no ONNX file, or a damaged one"):
        interop.onnx.load(tmp_path / "x.onnx")
    with pytest.raises(ValueError, match="found no recurrent node at all"):
        interop.onnx.load(model([], []))
    with pytest.raises(ValueError, match=r"LSTM Y: W \(W\) is no array of the file but an input"):
        interop.onnx.load(model([node_of(LSTM)], weights(LSTM)[1:]))
    short = {**LSTM, "W": LSTM["W"][:, :12]}
    with pytest.raises(ValueError, match=r"W is \[1, 12, 3\]; wanted \[1, 16, any\] for LSTM of 4"):
        interop.onnx.load(model_of(short))
