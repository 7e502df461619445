"""Weights of Keras 3's `LSTM`, `GRU`, `SimpleRNN`, `RNN` of cells, and `Bidirectional` of them.

    net, params = interop.keras.load("model.keras", layer="bidirectional")
    interop.keras.save(net, params, "encoder.weights.h5")

Keras keeps matrices as seqjax does, `[inputs, gates H]`; the LSTM's gates are in the same order,
the GRU's are z, r, h. `reset_after=True` is seqjax's `reset="after"` and has two biases;
`reset_after=False` is `reset="before"` and has one. A `.keras` file holds the settings; a file
`.weights.h5` holds arrays alone. Past a row's end Keras repeats the last output unless
`zero_output_for_mask` is set; seqjax gives 0.
"""

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

import seqjax
from seqjax.combinators.directions import Merge
from seqjax.files.disk import write_atomically
from seqjax.interop.arrays import KINDS, Arrays, reorder
from seqjax.interop.keras_files import (
    KerasLayer,
    cell_configs,
    import_h5py,
    numbered,
    one_way,
    read_keras,
)
from seqjax.interop.layers import Level, assemble
from seqjax.interop.targets import Target
from seqjax.typing import Params

TARGET = Target("Keras", merges=("concat", "sum", "mean"))

MERGES: dict[str, Merge] = {"concat": "concat", "sum": "sum", "ave": "mean"}

CLASSES = {seqjax.LSTM: "LSTM", seqjax.GRU: "GRU", seqjax.Elman: "SimpleRNN"}

SWAPPED = (1, 0, 2)
"""z, r, h for r, z, n, and back."""


def load(
    path: str | os.PathLike,
    layer: str | Sequence[str] | None = None,
    *,
    activation: Literal["tanh", "relu"] = "tanh",
    reset: Literal["after", "before"] | None = None,
    merge: Merge = "concat",
    reverse: bool = False,
) -> tuple[seqjax.Recurrence, Params]:
    """Reads recurrent layers of a model.

    Args:
      path: a `.keras` or a `.weights.h5` file.
      layer: its name, or several names for a stack; None where the file has one recurrent layer, or
        is a Sequential whose recurrent layers follow each other.
      activation: of a `SimpleRNN` in a file without settings.
      reset: of a GRU without biases in a file without settings; elsewhere the file says it.
      merge: of a `Bidirectional` in a file without settings.
      reverse: take a layer of `go_backwards=True` too; unroll it with `reverse=True`, which leaves
        the outputs in input order, as Keras does not.

    Returns:
      `(net, params)`.

    Raises:
      ImportError: h5py is not installed.
      ValueError: the file is not what it should be, the layer is not there (which are), or it
        computes what seqjax does not.
    """
    file = read_keras(path)
    chosen = _choose(file.layers, layer, file.is_pile, str(path))
    options = {"activation": activation, "reset": reset, "merge": merge}
    levels = []
    for index, one in enumerate(chosen):
        levels.append(_level(index, one, file.arrays, options, reverse))
    return assemble(levels, str(path))


def save(net: seqjax.Recurrence, params: Params, path: str | os.PathLike) -> None:
    """Writes a file that `model.load_weights` reads, for a Sequential of the same layers.

    The settings are not in it: a `SimpleRNN`'s activation, a GRU's `reset_after` and a
    `Bidirectional`'s `merge_mode` are those of the model that reads it.

    Args:
      net: Elman, LSTM or GRU, stacked, in both directions.
      params: of `net`.
      path: the file to write, `NAME.weights.h5`.

    Raises:
      ImportError: h5py is not installed.
      ValueError: the file has another name, or Keras has no such layer (which, and what to do).
    """
    if not str(path).endswith(".weights.h5"):
        raise ValueError(f"{path}: Keras wants a name that ends in .weights.h5")
    h5py = import_h5py()
    levels = TARGET.levels(net, params)
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        for name, level in zip(numbered(map(_class_name, levels)), levels, strict=True):
            for group, cell, weights in _groups(level):
                for number, array in enumerate(_arrays(cell, weights)):
                    file[f"layers/{name}/{group}cell/vars/{number}"] = _plain(array)
    write_atomically(path, data.getvalue())


def _choose(
    layers: Sequence[KerasLayer],
    wanted: str | Sequence[str] | None,
    is_pile: bool,
    source: str,
) -> list[KerasLayer]:
    there = ", ".join(layer.name for layer in layers) or "no recurrent layer at all"
    if wanted is None:
        if not is_pile:
            raise ValueError(f"{source}: layer= is wanted, in order where several; found {there}")
        return list(layers)
    chosen = []
    for name in [wanted] if isinstance(wanted, str) else wanted:
        found = [layer for layer in layers if name in (layer.name, layer.path)]
        # The name of a file's group, where no layer is called so.
        found = found or [layer for layer in layers if layer.path.endswith(f"/{name}")]
        if len(found) != 1:
            raise ValueError(f"{source}: {len(found)} recurrent layers {name!r}; found {there}")
        chosen += found
    return chosen


def _level(
    index: int, layer: KerasLayer, arrays: Arrays, options: Mapping[str, Any], reverse: bool
) -> Level:
    """Reads one layer."""
    source = f"{arrays.source}: {layer.name}"
    nets, weights = [], []
    for way in sorted(layer.cells, key=("forward", "backward").index):
        _check_way(layer, way, source, reverse)
        net, params = _one_way(layer, way, arrays, options)
        nets.append(net)
        weights.append(params)
    merge = _merge(layer, options["merge"], source) if len(nets) > 1 else None
    return Level(f"layer {layer.name}", tuple(nets), tuple(weights), merge=merge)


def _one_way(
    layer: KerasLayer, way: str, arrays: Arrays, options: Mapping[str, Any]
) -> tuple[seqjax.Recurrence, Params]:
    """Reads one direction: a cell, or a stack of them."""
    paths = layer.cells[way]
    configs: list[Any] = [None] * len(paths)
    if layer.config:
        configs = cell_configs(one_way(layer.config, way))
    elif len({path.rstrip("_0123456789") for path in paths}) > 1:
        names = ", ".join(path.rpartition("/")[2] for path in paths)
        raise ValueError(
            f"{arrays.source}: {layer.name} has cells {names} in an order that a .weights.h5 file "
            "does not say; give the .keras file"
        )
    levels = []
    for place, path, config in zip(range(len(paths)), paths, configs, strict=True):
        below = Arrays(f"{arrays.source}: {path}/vars", arrays.below(f"{path}/vars").entries)
        cell, params = _cell(below, options if config is None else _settings(config, below.source))
        levels.append(Level(f"cell {place}", (cell,), (params,)))
    return assemble(levels, f"{arrays.source}: {layer.name}")


def _cell(
    arrays: Arrays, options: Mapping[str, Any]
) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    """Reads one cell: "0" is its kernel, "1" the recurrent one, "2" the bias."""
    hidden, sums = arrays.take("1", None, None).shape
    gates = arrays.count_gates("1", sums, hidden)
    owner = f"{KINDS[gates]} of {hidden} units"
    w_x, w_h = arrays.take("0", None, sums, owner=owner), arrays.take("1", hidden, sums)
    biased = "2" in arrays.entries
    if gates == 3:
        return _gru(arrays, w_x, w_h, options["reset"])
    params = {"w_x": w_x, "w_h": w_h, "b": arrays.take_if(biased, "2", sums, owner=owner)}
    if gates == 4:
        return seqjax.LSTM(hidden), params
    return seqjax.Elman(hidden, activation=options["activation"]), params


def _gru(
    arrays: Arrays, w_x: np.ndarray, w_h: np.ndarray, reset: Literal["after", "before"] | None
) -> tuple[seqjax.Recurrence, dict[str, np.ndarray]]:
    hidden, sums = w_h.shape
    b_x = b_h = np.zeros(sums, np.float32)
    if "2" in arrays.entries:
        # [2, 3H] with reset_after, [3H] without.
        twofold = np.ndim(arrays.entries["2"]) == 2
        told, reset = reset, "after" if twofold else "before"
        if told not in (None, reset):
            raise ValueError(f"{arrays.source}: the bias is one of reset={reset!r}, not {told!r}")
        if twofold:
            b_x, b_h = arrays.take("2", 2, sums)
        else:
            b_x = arrays.take("2", sums)
    if reset is None:
        raise ValueError(f"{arrays.source}: a GRU without biases; say reset='after' or 'before'")
    w_x, w_h, b_x, b_h = (reorder(array, SWAPPED) for array in (w_x, w_h, b_x, b_h))
    both = 2 * hidden
    b = np.concatenate([b_x[:both] + b_h[:both], b_x[both:]])
    params = {"w_x": w_x, "w_h": w_h, "b": b, "b_n": b_h[both:]}
    return seqjax.GRU(hidden, reset=reset), params


def _settings(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Returns the options of a cell, once seqjax has them.

    Raises:
      ValueError: it computes what seqjax does not.
    """
    inside = config["config"]
    simple = config["class_name"].startswith("SimpleRNN")
    allowed = {"activation": ("tanh", "relu") if simple else ("tanh",)}
    if not simple:
        allowed["recurrent_activation"] = ("sigmoid",)
    for name, values in allowed.items():
        if inside.get(name) not in values:
            raise ValueError(
                f"{source}: {config['class_name']} of {name}={inside.get(name)!r}; seqjax has "
                f"{' and '.join(values)}"
            )
    reset = "after" if inside.get("reset_after", True) else "before"
    return {"activation": inside["activation"], "reset": reset}


def _merge(layer: KerasLayer, otherwise: Merge, source: str) -> Merge:
    if layer.config is None:
        return otherwise
    mode = layer.config["config"]["merge_mode"]
    if mode not in MERGES:
        raise ValueError(
            f"{source}: merge_mode={mode!r}; seqjax has {', '.join(MERGES)}: save the model with "
            "one of them, and merge yourself"
        )
    return MERGES[mode]


def _check_way(layer: KerasLayer, way: str, source: str, reverse: bool) -> None:
    """Checks that a direction reads as its place says."""
    if layer.config is None:
        return
    backwards = bool(one_way(layer.config, way)["config"].get("go_backwards"))
    if len(layer.cells) > 1:
        if backwards != (way == "backward"):
            raise ValueError(f"{source}: its {way} layer has go_backwards={backwards}")
    elif backwards and not reverse:
        raise ValueError(
            f"{source}: go_backwards=True; load it with reverse=True and unroll it with "
            "reverse=True, which leaves outputs in input order"
        )


def _class_name(level: Level) -> str:
    return "Bidirectional" if level.merge else CLASSES[type(level.cells[0])]


def _groups(level: Level) -> list[tuple[str, seqjax.Recurrence, Params]]:
    """Returns the group, the cell and the parameters of each direction."""
    names = ["forward_layer/", "backward_layer/"] if len(level.cells) > 1 else [""]
    return list(zip(names, level.cells, level.params, strict=True))


def _arrays(cell: seqjax.Recurrence, params: Params) -> list[np.ndarray]:
    """Returns a cell's kernel, recurrent kernel and bias."""
    w_x, w_h, b = params["w_x"], params["w_h"], params["b"]
    if not isinstance(cell, seqjax.GRU):
        return [w_x, w_h, b]
    b_n, both = params["b_n"], 2 * cell.hidden_size
    if cell.reset == "before":
        bias = np.concatenate([b[:both], b[both:] + b_n])
    else:
        bias = np.stack([b, np.concatenate([np.zeros_like(b[:both]), b_n])])
    return [reorder(array, SWAPPED) for array in (w_x, w_h, bias)]


def _plain(array: np.ndarray) -> np.ndarray:
    """Returns an array in a dtype of NumPy's own, the only ones that HDF5 keeps."""
    return array if array.dtype.kind == "f" else array.astype(np.float32)
