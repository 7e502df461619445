"""Weights of Flax's cells: Linen's and NNX's `LSTMCell`, `OptimizedLSTMCell`, `GRUCell`, `SimpleCell`.

    net, params = interop.flax.load(variables)
    net, params = interop.flax.load(variables, layers=["GRUCell_0", "GRUCell_1"])
    params = interop.flax.save(net, params, like="nnx")

Linen keeps one matrix for each gate, and the biases of an LSTM beside the recurrent matrices; NNX
keeps all gates of its `OptimizedLSTMCell` and `GRUCell` in one matrix, and its GRU has no `b_n`.
A Flax LSTM's carry is `(c, h)`, seqjax's state `LSTMState(h, c)`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

import seqjax
from seqjax.interop.arrays import Arrays, as_level, as_tree, choose_layers, from_tree
from seqjax.interop.layers import Level, assemble
from seqjax.interop.targets import Target
from seqjax.typing import Params

TARGETS = {
    "linen": Target("flax.linen", resets=("after",)),
    "nnx": Target("flax.nnx", resets=("after",)),
    "nnx.LSTMCell": Target("flax.nnx", resets=("after",)),
}
"""What `save` can write."""

MARKS = ("hg/kernel", "hn/kernel", "dense_h/kernel", "h/kernel")
"""One array of each form; where it stands there is a cell."""


def load(
    variables: Any,
    layers: Sequence[str | Sequence[str]] | None = None,
    *,
    activation: Literal["tanh", "relu"] = "tanh",
) -> tuple[seqjax.Recurrence, Params]:
    """Reads cells of Linen or NNX; kind and sizes follow from names and shapes.

    Args:
      variables: a cell's, or those of any module with cells in it: nested dicts, `nnx.state(...)`
        or an NNX module.
      layers: paths of the cells in order, `"RNN_0/cell"`, with a pair `(forward, backward)` for two
        directions. None where there is one cell, or an `nn.Bidirectional` of two named ones, or
        what `save` gave: a path such as `GRUCell_1` does not say whether it is the second layer or
        the second direction.
      activation: of a `SimpleCell`, which its variables do not say; other kinds ignore it.

    Returns:
      `(net, params)`.

    Raises:
      ValueError: there is no cell, the order is not said, or an array is missing or of a wrong
        shape.

    Example:
      >>> import flax.linen as nn, jax
      >>> from seqjax import interop
      >>> xs = jax.numpy.ones((2, 5, 3))
      >>> variables = nn.RNN(nn.OptimizedLSTMCell(4)).init(jax.random.key(0), xs)
      >>> net, params = interop.flax.load(variables)
      >>> net
      LSTM(4)
    """
    arrays = from_tree(variables, "variables")
    paths = set()
    for name in arrays.entries:
        paths |= {_parent(name, mark) for mark in MARKS if f"/{name}".endswith(f"/{mark}")}
    # Collections of Linen's: `{"params": ...}` stands before every path.
    root = "params" if paths and all(f"{path}/".startswith("params/") for path in paths) else ""
    arrays = arrays.below(root)
    cells = [path.removeprefix(root).removeprefix("/") for path in paths]
    levels = []
    for index, names in enumerate(choose_layers(cells, layers, arrays.source)):
        read = [_cell(arrays.below(name), activation) for name in names]
        levels.append(as_level(index, read))
    return assemble(levels, arrays.source)


def save(
    net: seqjax.Recurrence,
    params: Params,
    like: Literal["linen", "nnx", "nnx.LSTMCell"] = "linen",
) -> dict[str, Any]:
    """Returns the parameters as Flax's cells have them, nested dicts of arrays.

    Args:
      net: Elman, LSTM or GRU, stacked, in both directions.
      params: of `net`.
      like: `"linen"`: `LSTMCell` or `OptimizedLSTMCell`, whose names are the same, `GRUCell`,
        `SimpleCell`. `"nnx"`: `OptimizedLSTMCell`, `GRUCell`, `SimpleCell`; `"nnx.LSTMCell"` has
        an LSTM's gates apart. A `SimpleCell` is given the activation in code.

    Returns:
      the dict of one cell; of several `{"layer_0": ..., "layer_1": ...}`; of two directions
      `{"forward": ..., "backward": ...}`.

    Raises:
      ValueError: Flax has no such cell (which layer, and what to do).
    """
    if like not in TARGETS:
        raise ValueError(f"like={like!r} is unknown; choose one of {', '.join(TARGETS)}")
    saved = []
    for level in TARGETS[like].levels(net, params):
        saved.append([_save_cell(level, index, like) for index in range(len(level.cells))])
    return as_tree(saved)


def _parent(name: str, mark: str) -> str:
    return name.removesuffix(mark).removesuffix("/")


def _cell(
    arrays: Arrays, activation: Literal["tanh", "relu"]
) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    """Reads one cell."""
    if "hg/kernel" in arrays.entries:
        hidden = arrays.take("hg/kernel", None, None).shape[-1]
        # NNX writes `if_`, Linen `if`.
        forget = "if_" if "if_/kernel" in arrays.entries else "if"
        w_x = _side_by_side(arrays, ("ii", forget, "ig", "io"), None, hidden)
        w_h = _side_by_side(arrays, ("hi", "hf", "hg", "ho"), hidden, hidden)
        b = _biases(arrays, ("hi", "hf", "hg", "ho"), hidden)
        return seqjax.LSTM(hidden), {"w_x": w_x, "w_h": w_h, "b": b}
    if "hn/kernel" in arrays.entries:
        hidden = arrays.take("hn/kernel", None, None).shape[-1]
        w_x = _side_by_side(arrays, ("ir", "iz", "in"), None, hidden)
        w_h = _side_by_side(arrays, ("hr", "hz", "hn"), hidden, hidden)
        b = _biases(arrays, ("ir", "iz", "in"), hidden)
        b_n = _biases(arrays, ("hn",), hidden)
        return seqjax.GRU(hidden), {"w_x": w_x, "w_h": w_h, "b": b, "b_n": b_n}
    if "dense_h/kernel" in arrays.entries:
        return _fused(arrays, "dense_i", "dense_h", activation)
    return _fused(arrays, "i", "h", activation)


def _fused(
    arrays: Arrays, of_x: str, of_h: str, activation: Literal["tanh", "relu"]
) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    """Reads a cell with one matrix for all gates."""
    w_h = arrays.take(f"{of_h}/kernel", None, None)
    hidden, sums = w_h.shape
    gates = arrays.count_gates(f"{of_h}/kernel", sums, hidden)
    w_x = arrays.take(f"{of_x}/kernel", None, sums)
    # The bias stands with h in an LSTM, with x elsewhere.
    place = f"{of_h if gates == 4 else of_x}/bias"
    b = arrays.take_if(place in arrays.entries, place, sums)
    params = {"w_x": w_x, "w_h": w_h, "b": b}
    if gates == 4:
        return seqjax.LSTM(hidden), params
    if gates == 3:
        # NNX's GRU has no bias inside the reset product.
        return seqjax.GRU(hidden), params | {"b_n": np.zeros(hidden, b.dtype)}
    return seqjax.Elman(hidden, activation=activation), params


def _side_by_side(
    arrays: Arrays, gates: Sequence[str], inputs: int | None, hidden: int
) -> np.ndarray:
    """Reads the matrices of the gates, `[inputs, gates H]`."""
    kernels = []
    for gate in gates:
        kernels.append(arrays.take(f"{gate}/kernel", inputs, hidden))
        inputs = len(kernels[0])
    return np.concatenate(kernels, -1)


def _biases(arrays: Arrays, gates: Sequence[str], hidden: int) -> np.ndarray:
    """Reads the biases of the gates; zeros where no gate has one."""
    biased = any(f"{gate}/bias" in arrays.entries for gate in gates)
    return np.concatenate([arrays.take_if(biased, f"{gate}/bias", hidden) for gate in gates])


def _save_cell(level: Level, index: int, like: str) -> dict[str, Any]:
    """Returns the parameters of one cell."""
    cell, params = level.cells[index], level.params[index]
    if isinstance(cell, seqjax.Elman):
        of_x, of_h = ("i", "h") if like == "linen" else ("dense_i", "dense_h")
        return {of_x: _dense(params["w_x"], params["b"]), of_h: _dense(params["w_h"])}
    if isinstance(cell, seqjax.LSTM):
        if like == "nnx":
            return {"dense_i": _dense(params["w_x"]), "dense_h": _dense(params["w_h"], params["b"])}
        forget = "if" if like == "linen" else "if_"
        names = ("ii", forget, "ig", "io"), ("hi", "hf", "hg", "ho")
        return _apart(names[0], params["w_x"]) | _apart(names[1], params["w_h"], params["b"])
    if like == "linen":
        saved = _apart(("ir", "iz", "in"), params["w_x"], params["b"])
        saved |= _apart(("hr", "hz", "hn"), params["w_h"])
        saved["hn"]["bias"] = params["b_n"]
        return saved
    if np.any(params["b_n"]):
        TARGETS[like].refuse(level, "b_n in its GRU", 'save like="linen", whose GRU has one')
    return {"dense_i": _dense(params["w_x"], params["b"]), "dense_h": _dense(params["w_h"])}


def _dense(kernel: np.ndarray, bias: np.ndarray | None = None) -> dict[str, np.ndarray]:
    return {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}


def _apart(
    names: Sequence[str], w: np.ndarray, b: np.ndarray | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Returns a matrix for each gate, and a bias where there are any."""
    kernels = np.split(w, len(names), -1)
    biases = [None] * len(names) if b is None else np.split(b, len(names))
    triples = zip(names, kernels, biases, strict=True)
    return {name: _dense(kernel, bias) for name, kernel, bias in triples}
