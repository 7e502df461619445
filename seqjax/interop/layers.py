"""`levels` and `assemble`: the one walk over a recurrence and its parameters that every format goes by."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import seqjax
from seqjax.combinators.directions import Bidirectional
from seqjax.combinators.stacks import Stack
from seqjax.combinators.wrappers import Dropout, Gated, Residual, Zoneout
from seqjax.typing import Params


@dataclasses.dataclass(frozen=True)
class Level:
    """One layer of a network, as other frameworks know layers: one cell, or one for each direction.

    Attributes:
      path: where it stands in the parameters, for messages: "layer_0".
      cells: the cell that reads forwards, and perhaps the one that reads backwards.
      params: of each of them.
      merge: how the two directions' outputs become one; None with one direction.
      residual: whether the inputs are added to the outputs.
      gate: `{w, b}` of a gate on the outputs, see `seqjax.gated`.
      zoneout: the shares of h and of c that keep their old value, see `seqjax.zoneout`.
    """

    path: str
    cells: tuple[seqjax.Recurrence, ...]
    params: tuple[Params, ...]
    merge: str | None = None
    residual: bool = False
    gate: Params | None = None
    zoneout: tuple[float, float] | None = None


def levels(net: seqjax.Recurrence, params: Params) -> list[Level]:
    """Lists the layers of a network, the one that reads the input first.

    Dropout, which does nothing where nothing is trained, is left out.

    Args:
      net: cells, stacked, in both directions, with residuals, gates, dropout and zoneout.
      params: of `net`.

    Raises:
      ValueError: the network is no pile of cells, for example two stacks in two directions (which
        part, and how to build it otherwise).
    """
    return _levels(net, params, "")


def assemble(layers: Sequence[tuple[Sequence[seqjax.Recurrence], Sequence[Params]]]) -> Any:
    """Builds a recurrence and its parameters from layers that were read.

    Args:
      layers: cells and their parameters of each layer, the backward ones second.

    Returns:
      `(net, params)`: a single layer as it is, several as a `seqjax.stack`.
    """
    built = [_layer(cells, params) for cells, params in layers]
    if len(built) == 1:
        return built[0]
    nets = [net for net, _ in built]
    return seqjax.stack(*nets), {f"layer_{index}": p for index, (_, p) in enumerate(built)}


def _layer(cells: Sequence[seqjax.Recurrence], params: Sequence[Params]) -> Any:
    if len(cells) == 1:
        return cells[0], params[0]
    forward, backward = cells
    return seqjax.bidirectional(forward, backward), {"forward": params[0], "backward": params[1]}


def _levels(net: seqjax.Recurrence, params: Params, path: str) -> list[Level]:
    if isinstance(net, Stack):
        found = []
        for index, layer in enumerate(net.layers):
            name = f"layer_{index}"
            found += _levels(layer, params[name], _below(path, name))
        return found
    if isinstance(net, Dropout):
        return _levels(net.inner, params, path)
    if isinstance(net, Residual):
        _check_once(net, params, path)
        return [dataclasses.replace(_only(net, params, path), residual=True)]
    if isinstance(net, Gated):
        inner = _only(net, params["inner"], _below(path, "inner"))
        _check_plain(net, inner)
        return [dataclasses.replace(inner, gate={"w": params["w"], "b": params["b"]})]
    if isinstance(net, Zoneout):
        rates = (net.rate, net.cell_rate)
        return [Level(path, (net.inner,), (params,), zoneout=rates)]
    if isinstance(net, Bidirectional):
        ways = {"forward": net.forward, "backward": net.backward}
        parts = [_only(net, params[name], _below(path, name), way) for name, way in ways.items()]
        for part in parts:
            _check_plain(net, part)
        cells = tuple(part.cells[0] for part in parts)
        return [Level(path, cells, tuple(part.params[0] for part in parts), merge=net.merge)]
    return [Level(path, (net,), (params,))]


def _only(net: Any, params: Params, path: str, inner: seqjax.Recurrence | None = None) -> Level:
    """The single layer inside a combinator."""
    found = _levels(inner or net.inner, params, path)
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"{path or net}: {type(net).__name__} stands around {len(found)} layers; other formats "
        "know it around one: write stack(bidirectional(a), bidirectional(b)), not the reverse"
    )


def _check_plain(net: seqjax.Recurrence, level: Level) -> None:
    """Refuses what stands in an order that other formats do not know."""
    if level.residual or level.gate or level.zoneout or len(level.cells) > 1:
        raise ValueError(
            f"{level.path}: {type(net).__name__} stands around another combinator; "
            "put it around the cell itself"
        )


def _check_once(net: Residual, params: Params, path: str) -> None:
    """Refuses an input that is added twice, which `Level` cannot say."""
    if _only(net, params, path).residual:
        raise ValueError(f"{path or net}: one residual stands around another; write it once")


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
