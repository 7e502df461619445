"""Golden files of PyTorch and ONNX as networks of seqjax: read by `seqjax.interop`, which their outputs check."""

import re

import numpy as np

import seqjax
from seqjax import interop
from tests.interop.onnx_models import model_of


def torch_network(golden, name):
    """The network and the parameters that a file of PyTorch holds."""
    activation = "relu" if name.startswith("torch_rnn_relu") else "tanh"
    return interop.torch.load(_entries(golden, "param"), activation=activation)


def torch_gradients(golden):
    """The gradients of that file as seqjax has them.

    Both biases of PyTorch have the same gradient, that of their sum; the GRU's candidate alone has
    two that differ.
    """
    arrays = _entries(golden, "grad")
    for name in [name for name in arrays if name.startswith("bias_hh")]:
        rows = len(arrays[name])
        units = arrays[name.replace("bias_hh", "weight_hh")].shape[1]
        summed = 2 * units if rows == 3 * units else rows
        arrays[name] = np.concatenate([np.zeros(summed), arrays[name][summed:]])
    return interop.torch.load(arrays)[1]


def onnx_network(golden):
    """The cells and the parameters of an ONNX node, one for each direction."""
    net, params = interop.onnx.load(model_of(golden), reverse=True)
    if golden["W"].shape[0] == 1:
        return [(net, params)]
    return [(net.forward, params["forward"]), (net.backward, params["backward"])]


def torch_state(golden, h, c):
    """PyTorch's states `[layers * directions, batch, H]` as the network has them."""
    parts = list(h)
    if c is not None:
        parts = [seqjax.LSTMState(a, b) for a, b in zip(h, c, strict=True)]
    if golden["bidirectional"]:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [seqjax.BidirectionalState(*pair) for pair in pairs]
    return tuple(parts) if len(parts) > 1 else parts[0]


def _entries(golden, start):
    return {re.sub("^[^/]*/", "", k): v for k, v in golden.items() if k.startswith(f"{start}/")}
