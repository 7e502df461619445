"""Weights of PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`, of several layers and both directions.

    net, params = interop.torch.load("model.safetensors", prefix="encoder.")
    interop.torch.save(net, params, "encoder.safetensors")

PyTorch keeps matrices as `[gates H, inputs]`, gates in seqjax's order, and two biases for each
layer. In seqjax there is one, their sum (but for the GRU's candidate, whose second bias is `b_n`);
on the way back the sum is the first bias, and the second is 0: the same outputs, another split.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

import seqjax
from seqjax.files.weights import read_weights, write_weights
from seqjax.interop.arrays import KINDS, Arrays, as_level
from seqjax.interop.layers import Level, assemble
from seqjax.interop.targets import Target
from seqjax.typing import Params

NAME = re.compile(r"^(.*?)(?:weight|bias)_(?:ih|hh|hr)(?:_l(\d+)(_reverse)?)?$")
"""A module's prefix, the layer (none for `nn.LSTMCell` and its kin), the direction."""

TARGET = Target("torch.nn", variants=("projection_size",), resets=("after",))

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")


def load(
    source: str | os.PathLike | Mapping[str, Any],
    prefix: str | None = None,
    *,
    activation: Literal["tanh", "relu"] = "tanh",
) -> tuple[seqjax.Recurrence, Params]:
    """Reads a recurrent module; kind, sizes, layers and directions follow from names and shapes.

    Args:
      source: a file of `safetensors`, or arrays by name, for example `module.state_dict()`.
      prefix: where the module stands, `"encoder."`; `""` for a module of its own, None for the only
        one there is.
      activation: of an `nn.RNN`, which PyTorch's files do not say; other kinds ignore it.

    Returns:
      `(net, params)`: a cell, or a `seqjax.bidirectional`, or a `seqjax.stack` of them.

    Raises:
      ValueError: the file is not what it should be, no module stands under `prefix` (which do), or
        a tensor is missing or of a wrong shape.

    Example:
      >>> import jax
      >>> from seqjax import GRU, interop
      >>> gru = GRU(4)
      >>> params = gru.init(jax.random.key(0), 3)
      >>> net, params = interop.torch.load(interop.torch.state_dict(gru, params))
      >>> net
      GRU(4)
    """
    arrays = _read(source)
    found = _modules(arrays)
    prefix = _choose(found, prefix, arrays.source)
    layers = _layers(found[prefix], f"{arrays.source}: {prefix or 'the module'}")
    levels = []
    first: tuple[int, int] | None = None
    for index, (name, ways) in enumerate(layers):
        read = []
        for way in ways:
            cell, params, gates = _cell(arrays, prefix, f"{name}{way}", activation)
            traits = gates, cell.hidden_size
            first = first or traits
            if traits != first:
                raise ValueError(
                    f"{arrays.source}: {prefix}weight_hh{name}{way} is {_describe(*traits)}, the "
                    f"first layer {_describe(*first)}; a module has one kind and one size"
                )
            read.append((cell, params))
        levels.append(as_level(index, read))
    return assemble(levels, arrays.source)


def save(net: seqjax.Recurrence, params: Params, path: str | os.PathLike, prefix: str = "") -> None:
    """Writes a file of `safetensors` that the module of the same sizes reads.

    In PyTorch: `module.load_state_dict(safetensors.torch.load_file(path))`. An `nn.RNN`'s activation
    is not in the file but given in code.

    Args:
      net: Elman, LSTM (also projected) or GRU, stacked, in both directions.
      params: of `net`.
      path: the file to write.
      prefix: set before every name, for example `"encoder."`.

    Raises:
      ValueError: PyTorch has no such module (which layer, and what to do).
    """
    write_weights(path, state_dict(net, params, prefix))


def state_dict(net: seqjax.Recurrence, params: Params, prefix: str = "") -> dict[str, np.ndarray]:
    """Returns what `save` writes, arrays by PyTorch's names.

    Raises:
      ValueError: PyTorch has no such module (which layer, and what to do).
    """
    levels = TARGET.levels(net, params)
    prefix = _with_dot(prefix)
    arrays = {}
    for index, level in enumerate(levels):
        _check_uniform(levels[0], level)
        for way, cell, weights in zip(("", "_reverse"), level.cells, level.params, strict=False):
            entries = _entries(cell, weights)
            arrays |= {f"{prefix}{name}_l{index}{way}": a for name, a in entries.items()}
    return arrays


def _read(source: str | os.PathLike | Mapping[str, Any]) -> Arrays:
    if isinstance(source, Mapping):
        return Arrays("state_dict", source)
    if Path(source).suffix in PICKLES:
        raise ValueError(
            f"{source}: a pickle may run code and is not read; in PyTorch write "
            "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
        )
    return Arrays(str(source), read_weights(source))


def _modules(arrays: Arrays) -> dict[str, set[tuple[str, str]]]:
    """Returns the layers and directions that stand under each prefix."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name in arrays.entries:
        match = NAME.match(name)
        if match:
            prefix, number, way = match.groups()
            layer = "" if number is None else f"_l{number}"
            found.setdefault(prefix, set()).add((layer, way or ""))
    return found


def _choose(found: Mapping[str, Any], prefix: str | None, source: str) -> str:
    there = ", ".join(map(repr, sorted(found))) or "no recurrent module at all"
    if prefix is None:
        if len(found) != 1:
            raise ValueError(f"{source}: prefix= is wanted; found {there}")
        return next(iter(found))
    prefix = _with_dot(prefix)
    if prefix not in found:
        raise ValueError(f"{source}: no recurrent module under {prefix!r}; found {there}")
    return prefix


def _with_dot(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith(".") else f"{prefix}."


def _layers(found: set[tuple[str, str]], source: str) -> list[tuple[str, tuple[str, ...]]]:
    """Returns the suffix of each layer and of its directions, `("_l0", ("", "_reverse"))`."""
    ways = ("", "_reverse") if any(way for _, way in found) else ("",)
    names = {layer for layer, _ in found}
    if "" in names:
        if len(names) > 1:
            raise ValueError(f"{source}: a cell and numbered layers under one prefix")
        return [("", ways)]
    numbers = sorted(int(name.removeprefix("_l")) for name in names)
    for number in range(numbers[-1]):
        if number not in numbers:
            there = ", ".join(map(str, numbers))
            raise ValueError(f"{source}: layer {number} is missing; there are {there}")
    return [(f"_l{number}", ways) for number in numbers]


def _cell(
    arrays: Arrays, prefix: str, suffix: str, activation: Literal["tanh", "relu"]
) -> tuple[Any, Params, int]:
    """Reads one cell; returns it, its parameters and the number of gates."""
    name = lambda part: f"{prefix}{part}{suffix}"  # noqa: E731
    projected = name("weight_hr") in arrays.entries
    w_h = arrays.take(name("weight_hh"), None, None)
    rows, outputs = w_h.shape
    # Of a projected layer h has fewer features than units.
    hidden = arrays.take(name("weight_hr"), outputs, None).shape[1] if projected else outputs
    gates = arrays.count_gates(name("weight_hh"), rows, hidden)
    owner = _describe(gates, hidden)
    w_x = arrays.take(name("weight_ih"), rows, None, owner=owner)
    biased = any(name(part) in arrays.entries for part in ("bias_ih", "bias_hh"))
    b_x = arrays.take_if(biased, name("bias_ih"), rows, owner=owner)
    b_h = arrays.take_if(biased, name("bias_hh"), rows, owner=owner)
    params = {"w_x": w_x.T, "w_h": w_h.T, "b": b_x + b_h}
    match gates:
        case 4:
            cell = seqjax.LSTM(hidden, projection_size=outputs if projected else None)
            if projected:
                params["w_r"] = arrays.take(name("weight_hr"), outputs, hidden).T
        case 3:
            cell, both = seqjax.GRU(hidden), 2 * hidden
            # The candidate's second bias stands inside the reset product.
            params["b"] = np.concatenate([params["b"][:both], b_x[both:]])
            params["b_n"] = b_h[both:]
        case _:
            cell = seqjax.Elman(hidden, activation=activation)
    return cell, params, gates


def _describe(gates: int, hidden: int) -> str:
    return f"{KINDS[gates]} of {hidden} units"


def _entries(cell: seqjax.Recurrence, params: Params) -> dict[str, np.ndarray]:
    """Returns the tensors of one cell by PyTorch's names, without the number of the layer."""
    entries = {"weight_ih": params["w_x"].T, "weight_hh": params["w_h"].T}
    second = np.zeros_like(params["b"])
    if isinstance(cell, seqjax.GRU):
        second[2 * cell.hidden_size :] = params["b_n"]
    entries |= {"bias_ih": params["b"], "bias_hh": second}
    if "w_r" in params:
        entries["weight_hr"] = params["w_r"].T
    return entries


def _check_uniform(first: Level, level: Level) -> None:
    """Refuses layers that differ: a module of PyTorch has one kind and one size."""
    one = _traits(first, 0)
    for index in range(len(level.cells)):
        if _traits(level, index) != one or len(level.cells) != len(first.cells):
            TARGET.refuse(
                level,
                f"layer that differs ({level.cells[index]} after {first.cells[0]})",
                "save each layer with a prefix of its own",
            )


def _traits(level: Level, index: int) -> tuple[Any, ...]:
    """Returns what must be equal in all cells of a module."""
    cell: Any = level.cells[index]
    options = [getattr(cell, name, None) for name in ("projection_size", "activation")]
    return type(cell), cell.hidden_size, *options
