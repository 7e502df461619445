"""What a format cannot hold is refused in one line, which names the layer and the way out."""

import pytest

import seqjax
from seqjax import interop
from tests.interop.golden import drawn

pytestmark = pytest.mark.usefixtures("quick_compile")

stack, gru, lstm = seqjax.stack, seqjax.GRU(4), seqjax.LSTM(4)

SAVERS = {
    "torch": interop.torch.state_dict,
    "keras": lambda net, params: interop.keras.save(net, params, "x.weights.h5"),
    "linen": interop.flax.save,
    "nnx": lambda net, params: interop.flax.save(net, params, like="nnx"),
    "haiku": interop.haiku.save,
    "equinox": interop.equinox.save,
}

REFUSED = [
    (
        "torch",
        stack(lstm, seqjax.LSTM(4, peephole=True)),
        "layer_1: torch.nn has no peephole; ONNX",
    ),
    ("torch", seqjax.LSTM(4, coupled=True), "has no coupled; ONNX can"),
    ("torch", seqjax.LSTM(4, layer_norm=True), "has no layer_norm; keep"),
    ("torch", seqjax.GRU(4, layer_norm=True), "has no layer_norm; keep"),
    ("torch", seqjax.GRU(4, reset="before"), "has no GRU(reset='before'); it holds reset='after'"),
    ("torch", seqjax.bidirectional(gru, merge="sum"), "has no merge='sum'; save each"),
    ("torch", stack(gru, seqjax.residual(gru)), "layer_1: torch.nn has no residual; save"),
    ("torch", stack(seqjax.gated(gru), gru), "layer_0/inner: torch.nn has no gate; save"),
    ("torch", seqjax.zoneout(gru, 0.1), "has no zoneout; export"),
    ("torch", seqjax.MinGRU(4), "has no MinGRU; it holds Elman, LSTM, GRU"),
    ("torch", stack(lstm, seqjax.LSTM(5)), "layer_1: torch.nn has no layer that differs (LSTM(5)"),
    ("torch", stack(gru, lstm), "layer_1: torch.nn has no layer that differs (LSTM(4)"),
    ("torch", stack(gru, seqjax.bidirectional(gru)), "layer_1: torch.nn has no layer that differs"),
    ("keras", seqjax.LSTM(4, projection_size=2), "Keras has no projection_size; torch can"),
    ("keras", seqjax.bidirectional(gru, merge="max"), "Keras has no merge='max'"),
    ("keras", seqjax.LRU(4), "Keras has no LRU"),
    ("linen", seqjax.LSTM(4, peephole=True), "flax.linen has no peephole"),
    ("linen", seqjax.GRU(4, reset="before"), "flax.linen has no GRU(reset='before')"),
    ("linen", seqjax.bidirectional(gru, merge="mean"), "flax.linen has no merge='mean'"),
    ("nnx", stack(lstm, gru), 'layer_1: flax.nnx has no b_n in its GRU; save like="linen"'),
    ("haiku", gru, "Haiku has no GRU(reset='after'); it holds reset='before'"),
    ("haiku", seqjax.Elman(4), "Haiku has no Elman of tanh; it holds activation='relu'"),
    ("haiku", seqjax.bidirectional(lstm), "Haiku has no second direction; save each"),
    ("equinox", seqjax.Elman(4), "Equinox has no Elman; it holds LSTM, GRU"),
    ("equinox", seqjax.GRU(4, reset="before"), "Equinox has no GRU(reset='before')"),
]


@pytest.mark.parametrize(("format", "net", "said"), REFUSED, ids=lambda value: str(value)[:40])
def test_refusals(format, net, said):
    with pytest.raises(ValueError) as error:
        SAVERS[format](net, drawn(net, 4))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_subclass_may_compute_anything_so_it_is_refused():
    class Other(seqjax.LSTM):
        pass

    with pytest.raises(ValueError, match="torch.nn has no Other"):
        interop.torch.state_dict(Other(4), drawn(lstm))


@pytest.mark.parametrize("format", SAVERS)
def test_parameters_of_another_network_are_refused(format):
    net = seqjax.stack(lstm, lstm)
    params = {"layer_0": drawn(lstm), "layer_1": drawn(lstm, 4) | {"b": drawn(gru)["b"]}}
    with pytest.raises(ValueError, match=r"layer_1: .* b is \(12,\); wanted \(16,\)"):
        SAVERS[format](net, params)
    with pytest.raises(ValueError, match="layer_1: .* have no w_x"):
        SAVERS[format](net, params | {"layer_1": {}})
