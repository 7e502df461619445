"""Arrays by name, as other frameworks keep them: found, checked, put in another order of gates."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax
from seqjax.interop.layers import Level

KINDS = {4: "an LSTM", 3: "a GRU", 1: "a simple RNN"}
"""The cells by the number of matrices side by side."""


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Arrays by name, and where they come from.

    Attributes:
      source: the file or the object, for messages.
      entries: arrays by name.
    """

    source: str
    entries: Mapping[str, Any]

    def take(self, name: str, *shape: int | None, owner: str = "") -> np.ndarray:
        """Returns an array, once it is there and of the shape that it should have.

        Args:
          name: which.
          *shape: the shape wanted, with None for an axis of any size.
          owner: what wants it, for messages: "an LSTM of 4 units".

        Raises:
          ValueError: it is missing, of another shape, or not floating point.
        """
        asked = f"{self.source}: {name}"
        wanted = f"wanted {_shape(shape)}" + (f" for {owner}" if owner else "")
        if name not in self.entries:
            raise ValueError(f"{asked} is missing; {wanted}")
        array = np.asarray(self.entries[name])
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{asked} is {array.dtype}; give it as floating point")
        if not _fits(array.shape, shape):
            raise ValueError(f"{asked} is {_shape(array.shape)}; {wanted}")
        return array

    def take_if(self, present: bool, name: str, *shape: int, owner: str = "") -> np.ndarray:
        """Returns an array, or zeros where it is not `present`, as without biases."""
        if present:
            return self.take(name, *shape, owner=owner)
        return np.zeros(shape, np.float32)

    def below(self, path: str) -> "Arrays":
        """Returns the arrays whose names begin with `path/`, without it."""
        if not path:
            return self
        start = f"{path}/"
        found = {k.removeprefix(start): v for k, v in self.entries.items() if k.startswith(start)}
        return Arrays(f"{self.source}: {path}", found)

    def count_gates(self, name: str, rows: int, hidden: int) -> int:
        """Returns how many gates stand side by side: 4, 3 or 1.

        Args:
          name: the array, for messages.
          rows: features of all gates together.
          hidden: units of the layer.

        Raises:
          ValueError: no such cell is known.
        """
        for gates in KINDS:
            if rows == gates * hidden:
                return gates
        raise ValueError(
            f"{self.source}: {name} has {rows} sums for {hidden} units; wanted {hidden} (a simple "
            f"RNN), {3 * hidden} (a GRU) or {4 * hidden} (an LSTM)"
        )


def from_tree(tree: Any, source: str) -> Arrays:
    """Lists the arrays of a pytree by their path, `"encoder/cell/kernel"`.

    Args:
      tree: nested dicts, lists, states of NNX, or modules that are pytrees.
      source: what to call it in messages.
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return Arrays(source, {tree_name(path): leaf for path, leaf in flat if hasattr(leaf, "shape")})


def tree_name(path: Sequence[Any]) -> str:
    """Returns the path of a leaf as one name; the box that NNX puts around an array is left out."""
    parts = [part for part in map(_key, path) if part != ""]
    if parts and parts[-1] in ("value", "raw_value"):
        parts = parts[:-1]
    return "/".join(parts)


def choose_layers(
    cells: Iterable[str], layers: Sequence[str | Sequence[str]] | None, source: str
) -> list[tuple[str, ...]]:
    """Returns the paths of each layer's cells, the backward one second.

    Args:
      cells: paths of all cells found.
      layers: those that the caller names; None where the paths speak for themselves: one cell, a
        forward and a backward one, or `layer_0`, `layer_1`, ...
      source: where they were found, for messages.

    Raises:
      ValueError: there is no cell, a name is unknown, or the order is not said (which cells there
        are).
    """
    found = sorted(cells, key=natural_order)
    if not found:
        raise ValueError(
            f"{source}: no recurrent cell; give the variables of one, or of its parent"
        )
    if layers is None:
        return _evident_layers(found, source)
    chosen = []
    for layer in layers:
        names = (layer,) if isinstance(layer, str) else tuple(layer)
        for name in names:
            if name not in found:
                raise ValueError(f"{source}: no cell {name!r}; there are {', '.join(found)}")
        if len(names) not in (1, 2):
            raise ValueError(f"{source}: {names} are no layer; give a cell, or (forward, backward)")
        chosen.append(names)
    return chosen


def as_level(index: int, read: Sequence[tuple[seqjax.Recurrence, Mapping[str, Any]]]) -> Level:
    """Returns a layer of one cell, or of a forward and a backward one."""
    cells = tuple(cell for cell, _ in read)
    merge = "concat" if len(cells) > 1 else None
    return Level(f"layer_{index}", cells, tuple(params for _, params in read), merge=merge)


def as_tree(layers: Sequence[Sequence[Any]]) -> Any:
    """Nests the arrays of each layer's cells, as `choose_layers` knows them without being told.

    Args:
      layers: for each layer what its cells hold, the backward one second.

    Returns:
      a single cell's arrays as they are; else dicts `{"layer_0": ..., "layer_1": ...}`, and of two
      directions `{"forward": ..., "backward": ...}`.
    """
    nested = []
    for cells in layers:
        if len(cells) == 1:
            nested.append(cells[0])
        else:
            nested.append({"forward": cells[0], "backward": cells[1]})
    if len(nested) == 1:
        return nested[0]
    return {f"layer_{index}": layer for index, layer in enumerate(nested)}


def reorder(array: np.ndarray, order: Sequence[int], axis: int = -1) -> np.ndarray:
    """Puts gates that stand side by side in another order.

    Args:
      array: `[..., gates H]`, or with the gates on `axis`.
      order: for each new place the old one.
      axis: where the gates are.
    """
    gates = np.split(array, len(order), axis)
    return np.concatenate([gates[place] for place in order], axis)


def natural_order(name: str) -> list[tuple[int, str]]:
    """Returns what to sort names by, so that "cell_10" comes after "cell_9"."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _evident_layers(found: list[str], source: str) -> list[tuple[str, ...]]:
    """Groups cells by directions and by the numbers of `layer_0`, `layer_1`, ..."""
    if len(found) == 1:
        return [(found[0],)]
    numbers = [re.search(r"(?:^|/)layer_(\d+)(?:/|$)", name) for name in found]
    groups: dict[int, list[str]] = {}
    for name, number in zip(found, numbers, strict=True):
        groups.setdefault(int(number[1]) if number else -1, []).append(name)
    layers = [_directions(groups[number]) for number in sorted(groups)]
    # Cells without a number are a layer only where there are no others.
    mixed = -1 in groups and len(groups) > 1
    if mixed or None in layers:
        raise ValueError(
            f"{source}: several cells, {', '.join(found)}; name them in order, "
            f'layers=["{found[0]}", ...], with a pair (forward, backward) for two directions'
        )
    return [layer for layer in layers if layer is not None]


def _directions(names: list[str]) -> tuple[str, ...] | None:
    """Returns the cells of a layer, the forward one first; None where that is not said."""
    if len(names) == 1:
        return (names[0],)
    ways = [[name for name in names if way in name] for way in ("forward", "backward")]
    forward, backward = ways
    if len(names) == 2 and len(forward) == 1 and len(backward) == 1:
        return forward[0], backward[0]
    return None


def _key(entry: Any) -> str:
    """Returns one step of a path: a key, an index or an attribute."""
    for name in ("key", "idx", "name"):
        if hasattr(entry, name):
            return str(getattr(entry, name))
    return str(entry)


def _fits(given: Sequence[int], wanted: Sequence[int | None]) -> bool:
    if len(given) != len(wanted):
        return False
    pairs = zip(given, wanted, strict=True)
    return all(want is None or have == want for have, want in pairs)


def _shape(sizes: Sequence[int | None]) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in sizes)}]"
