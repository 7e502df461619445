"""Weights of Equinox's `LSTMCell` and `GRUCell`.

    net, params = interop.equinox.load(cell)
    net, params = interop.equinox.load(model, layers=["encoder/cells/0", "encoder/cells/1"])
    cell = interop.equinox.save(net, params, into=cell)

Equinox keeps PyTorch's layout, `[gates H, inputs]` with gates i, f, g, o and r, z, n, with one
bias for each cell and the GRU's `bias_n` inside the reset product. An LSTM's state is `(h, c)`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax
from seqjax.interop.arrays import (
    KINDS,
    Arrays,
    as_level,
    as_tree,
    choose_layers,
    from_tree,
    tree_name,
)
from seqjax.interop.layers import assemble
from seqjax.interop.targets import Target
from seqjax.typing import Params

TARGET = Target("Equinox", kinds=("LSTM", "GRU"), resets=("after",))

MARK = "weight_hh"


def load(
    model: Any, layers: Sequence[str | Sequence[str]] | None = None
) -> tuple[seqjax.Recurrence, Params]:
    """Reads cells of Equinox; kind and sizes follow from names and shapes.

    Args:
      model: a cell, a module or list with cells in it, or nested dicts of arrays by attribute.
      layers: paths of the cells in order, `"encoder/cells/0"`, with a pair `(forward, backward)`
        for two directions; None where there is one cell, or what `save` gave.

    Returns:
      `(net, params)`.

    Raises:
      ValueError: there is no cell, the order is not said, or an array is missing or of a wrong
        shape.

    Example:
      >>> import jax
      >>> from seqjax import LSTM, interop
      >>> lstm = LSTM(4)
      >>> saved = interop.equinox.save(lstm, lstm.init(jax.random.key(0), 3))
      >>> interop.equinox.load(saved)[0]
      LSTM(4)
    """
    arrays = from_tree(model, "model")
    levels = []
    for index, names in enumerate(choose_layers(_cells(arrays), layers, "model")):
        levels.append(as_level(index, [_cell(arrays.below(name)) for name in names]))
    return assemble(levels, "model")


def save(
    net: seqjax.Recurrence,
    params: Params,
    into: Any = None,
    layers: Sequence[str | Sequence[str]] | None = None,
) -> Any:
    """Returns the parameters as Equinox's cells have them.

    Args:
      net: LSTM or `GRU(reset="after")`, stacked, in both directions.
      params: of `net`.
      into: a cell, or a module with cells in it, of the same sizes; None for dicts.
      layers: paths of the cells in `into`, as in `load`.

    Returns:
      `into` with its arrays replaced; without it, arrays by attribute, of several layers
      `{"layer_0": ...}`, of two directions `{"forward": ..., "backward": ...}`.

    Raises:
      ValueError: Equinox has no such cell (which layer, and what to do), or `into` has other sizes.
    """
    saved = []
    for level in TARGET.levels(net, params):
        pairs = zip(level.cells, level.params, strict=True)
        saved.append([_save_cell(cell, weights) for cell, weights in pairs])
    if into is not None:
        return _put(saved, into, layers)
    return as_tree(saved)


def _cells(arrays: Arrays) -> list[str]:
    """Returns the paths of the cells."""
    names = [name for name in arrays.entries if f"/{name}".endswith(f"/{MARK}")]
    return [name.removesuffix(MARK).removesuffix("/") for name in names]


def _cell(arrays: Arrays) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    """Reads one cell."""
    rows, hidden = arrays.take(MARK, None, None).shape
    gates = arrays.count_gates(MARK, rows, hidden)
    if gates == 1:
        raise ValueError(f"{arrays.source}: Equinox has no simple RNN cell, which {MARK} is of")
    owner = f"{KINDS[gates]} of {hidden} units"
    w_x, w_h = arrays.take("weight_ih", rows, None, owner=owner), arrays.take(MARK, rows, hidden)
    biased = "bias" in arrays.entries
    b = arrays.take_if(biased, "bias", rows, owner=owner)
    params = {"w_x": w_x.T, "w_h": w_h.T, "b": b}
    if gates == 4:
        return seqjax.LSTM(hidden), params
    b_n = arrays.take_if(biased, "bias_n", hidden, owner=owner)
    return seqjax.GRU(hidden), params | {"b_n": b_n}


def _save_cell(cell: seqjax.Recurrence, params: Params) -> dict[str, np.ndarray]:
    """Returns the arrays of one cell by attribute."""
    saved = {"weight_ih": params["w_x"].T, "weight_hh": params["w_h"].T, "bias": params["b"]}
    if isinstance(cell, seqjax.GRU):
        saved["bias_n"] = params["b_n"]
    return saved


def _put(
    saved: Sequence[Sequence[dict[str, np.ndarray]]],
    into: Any,
    layers: Sequence[str | Sequence[str]] | None,
) -> Any:
    """Returns a module with arrays of its cells replaced."""
    arrays = from_tree(into, "into")
    paths = choose_layers(_cells(arrays), layers, "into")
    if [len(names) for names in paths] != [len(cells) for cells in saved]:
        raise ValueError(f"into has {len(paths)} layers {paths}; the network has {len(saved)}")
    replaced: dict[str, np.ndarray] = {}
    for names, cells in zip(paths, saved, strict=True):
        for name, cell in zip(names, cells, strict=True):
            _check_same(arrays.below(name), cell)
            place = f"{name}/" if name else ""
            replaced |= {f"{place}{attribute}": array for attribute, array in cell.items()}
    flat, structure = jax.tree_util.tree_flatten_with_path(into)
    leaves = []
    for path, leaf in flat:
        array = replaced.get(tree_name(path))
        leaves.append(leaf if array is None else jnp.asarray(array))
    return jax.tree.unflatten(structure, leaves)


def _check_same(arrays: Arrays, cell: dict[str, np.ndarray]) -> None:
    """Checks that a cell has the arrays to be replaced, of the same shapes."""
    for attribute, array in cell.items():
        # A cell without biases can hold biases of 0.
        if attribute in arrays.entries or np.any(array):
            arrays.take(attribute, *array.shape)
