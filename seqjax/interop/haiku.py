"""Weights of Haiku's `LSTM`, `GRU` and `VanillaRNN`.

    net, params = interop.haiku.load(params, layers=["lstm", "lstm_1"])
    params = interop.haiku.save(net, params)

Haiku's LSTM has one matrix for inputs and state, gates i, g, f, o, and adds 1 to the forget gate's
bias at run time. Its GRU has gates z, r, a, resets before the product, and its z is 1 minus
seqjax's. Its simple RNN is one of relu.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import seqjax
from seqjax.interop.arrays import Arrays, as_level, choose_layers, from_tree, reorder
from seqjax.interop.layers import Level, assemble
from seqjax.interop.targets import Target
from seqjax.typing import Params

TARGET = Target("Haiku", resets=("before",), activations=("relu",), merges=())

LSTM_GATES = (0, 2, 1, 3)
"""i, g, f, o for i, f, g, o, and back."""

NAME = re.compile(r"(?:^|.*/)(?:lstm|vanilla_rnn)(?:_\d+)?$")
"""Modules known by their name, for an LSTM has the arrays of any linear layer."""


def load(
    params: Mapping[str, Any], layers: Sequence[str | Sequence[str]] | None = None
) -> tuple[seqjax.Recurrence, Params]:
    """Reads cells of Haiku; kind and sizes follow from names and shapes.

    Args:
      params: as `hk.transform(...).init` gives them, of any module with cells in it.
      layers: names of the cells in order, `"lstm"` or `"encoder/~/lstm_1"`, with a pair
        `(forward, backward)` for two directions; None where there is one cell.

    Returns:
      `(net, params)`.

    Raises:
      ValueError: there is no cell, the order is not said, or an array is missing or of a wrong
        shape.

    Example:
      >>> import jax
      >>> from seqjax import GRU, interop
      >>> gru = GRU(4, reset="before")
      >>> saved = interop.haiku.save(gru, gru.init(jax.random.key(0), 3))
      >>> sorted(saved["gru"]), interop.haiku.load(saved)[0]
      (['b', 'w_h', 'w_i'], GRU(4, reset='before'))
    """
    arrays = from_tree(params, "params")
    cells = _cells(arrays, _named(layers or ()))
    levels = []
    for index, names in enumerate(choose_layers(cells, layers, "params")):
        levels.append(as_level(index, [_cell(arrays.below(name)) for name in names]))
    return assemble(levels, "params")


def save(net: seqjax.Recurrence, params: Params) -> dict[str, dict[str, np.ndarray]]:
    """Returns the parameters as Haiku has them.

    Args:
      net: LSTM, `GRU(reset="before")` or `Elman(activation="relu")`, also stacked.
      params: of `net`.

    Returns:
      arrays by module, `{"lstm/linear": {"w", "b"}, "lstm_1/linear": ...}`; a module in another one
      wants its path in front.

    Raises:
      ValueError: Haiku has no such cell (which layer, and what to do).
    """
    saved = {}
    counts: dict[str, int] = {}
    for level in TARGET.levels(net, params):
        base, modules = _save_cell(level)
        number = counts.get(base, 0)
        counts[base] = number + 1
        name = f"{base}_{number}" if number else base
        saved |= {f"{name}{below}": arrays for below, arrays in modules.items()}
    return saved


def _named(layers: Sequence[str | Sequence[str]]) -> set[str]:
    """Returns the names of all cells asked for."""
    names = set()
    for layer in layers:
        names |= {layer} if isinstance(layer, str) else set(layer)
    return names


def _cells(arrays: Arrays, named: set[str]) -> list[str]:
    """Returns the paths of the cells: those of telling names or arrays, and those asked for."""
    found = set()
    for name in arrays.entries:
        if name.endswith("/w_i"):
            found.add(name.removesuffix("/w_i"))
        elif name.endswith("/linear/w"):
            path = name.removesuffix("/linear/w")
            if NAME.match(path) or path in named:
                found.add(path)
    return sorted(found)


def _cell(arrays: Arrays) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    """Reads one cell."""
    if "w_i" in arrays.entries:
        return _gru(arrays)
    if "linear_1/w" in arrays.entries:
        hidden = arrays.take("linear_1/w", None, None).shape[0]
        w_h = arrays.take("linear_1/w", hidden, hidden)
        b = arrays.take("linear/b", hidden)
        b = b + arrays.take_if("linear_1/b" in arrays.entries, "linear_1/b", hidden)
        params = {"w_x": arrays.take("linear/w", None, hidden), "w_h": w_h, "b": b}
        return seqjax.Elman(hidden, activation="relu"), params
    both, sums = arrays.take("linear/w", None, None).shape
    hidden, rest = divmod(sums, 4)
    if rest or both <= hidden:
        raise ValueError(
            f"{arrays.source}/linear/w is [{both}, {sums}]; wanted [inputs + H, 4 H] for an LSTM"
        )
    w = reorder(arrays.take("linear/w", None, sums), LSTM_GATES)
    b = reorder(arrays.take("linear/b", sums), LSTM_GATES)
    # Haiku adds 1 to f at run time.
    b[hidden : 2 * hidden] += 1
    return seqjax.LSTM(hidden), {"w_x": w[:-hidden], "w_h": w[-hidden:], "b": b}


def _gru(arrays: Arrays) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    hidden = arrays.take("w_h", None, None).shape[0]
    w_x = arrays.take("w_i", None, 3 * hidden)
    w_h, b = arrays.take("w_h", hidden, 3 * hidden), arrays.take("b", 3 * hidden)
    params = {name: _turned(a, hidden) for name, a in {"w_x": w_x, "w_h": w_h, "b": b}.items()}
    return seqjax.GRU(hidden, reset="before"), params | {"b_n": np.zeros(hidden, b.dtype)}


def _turned(array: np.ndarray, hidden: int) -> np.ndarray:
    """Puts r, z, n where z, r, a stand: sigmoid(-s) is 1 - sigmoid(s), so z's sums change sign."""
    array = reorder(array, (1, 0, 2))
    array[..., hidden : 2 * hidden] *= -1
    return array


def _save_cell(level: Level) -> tuple[str, dict[str, dict[str, np.ndarray]]]:
    """Returns the name of Haiku's module, and the arrays of what is below it."""
    cell, params = level.cells[0], level.params[0]
    w_x, w_h, b = params["w_x"], params["w_h"], params["b"]
    hidden = len(w_h)
    if isinstance(cell, seqjax.LSTM):
        b = b.copy()
        b[hidden : 2 * hidden] -= 1
        w = reorder(np.concatenate([w_x, w_h]), LSTM_GATES)
        return "lstm", {"/linear": {"w": w, "b": reorder(b, LSTM_GATES)}}
    if isinstance(cell, seqjax.GRU):
        b = np.concatenate([b[: 2 * hidden], b[2 * hidden :] + params["b_n"]])
        arrays = {"w_i": w_x, "w_h": w_h, "b": b}
        return "gru", {"": {name: _turned_back(a, hidden) for name, a in arrays.items()}}
    second = {"w": w_h, "b": np.zeros_like(b)}
    return "vanilla_rnn", {"/linear": {"w": w_x, "b": b}, "/linear_1": second}


def _turned_back(array: np.ndarray, hidden: int) -> np.ndarray:
    """Puts z, r, a where r, z, n stand, with the sign of z's sums changed."""
    array = reorder(array, (1, 0, 2))
    array[..., :hidden] *= -1
    return array
