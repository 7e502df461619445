"""`levels` and `assemble`: the one walk over a recurrence and its parameters that every format goes by."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

import seqjax
from seqjax.combinators.directions import Bidirectional, Merge
from seqjax.combinators.stacks import Stack
from seqjax.combinators.wrappers import Dropout, Gated, Residual, Zoneout
from seqjax.typing import Params

AS_IT_IS = "seqjax.interop.stablehlo.save writes it as it is"

SPLITS = {
    Bidirectional: f"{AS_IT_IS}; stack(bidirectional(a), bidirectional(b)) is another network, to "
    "be trained anew",
    Residual: f"{AS_IT_IS}; stack(residual(a), residual(b)) is another network, to be trained anew",
    Gated: "stack(a, gated(b)) computes the same, with w and b beside the params of b",
}
"""What to do with a combinator around several layers."""


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
    merge: Merge | None = None
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


def assemble(found: Sequence[Level], source: str = "layers") -> tuple[seqjax.Recurrence, Params]:
    """Builds a recurrence and its parameters from layers, as `levels` lists them.

    Args:
      found: the layers, the one that reads the input first.
      source: where they were read, for messages.

    Returns:
      `(net, params)`: a single layer as it is, several as a `seqjax.stack`; arrays of JAX.

    Raises:
      ValueError: a layer wants another number of features than the one before it gives.
    """
    _check_chain(found, source)
    built = [_build(level) for level in found]
    nets = [net for net, _ in built]
    arrays = [jax.tree.map(jnp.asarray, params) for _, params in built]
    if len(built) == 1:
        return nets[0], arrays[0]
    return seqjax.stack(*nets), {f"layer_{index}": params for index, params in enumerate(arrays)}


def _build(level: Level) -> tuple[seqjax.Recurrence, Params]:
    net: seqjax.Recurrence = level.cells[0]
    params: Params = level.params[0]
    if level.zoneout:
        net = seqjax.zoneout(net, *level.zoneout)  # pyright: ignore[reportArgumentType]
    if len(level.cells) > 1:
        net = seqjax.bidirectional(*level.cells, merge=level.merge or "concat")
        params = {"forward": level.params[0], "backward": level.params[1]}
    if level.gate:
        net, params = seqjax.gated(net), {"inner": params, **level.gate}
    if level.residual:
        net = seqjax.residual(net)
    return net, params


def _check_chain(found: Sequence[Level], source: str) -> None:
    """Checks that each layer reads what the one before it gives."""
    given = None
    for level in found:
        for params in level.params:
            wanted = _input_size(params)
            if given is not None and wanted != given:
                raise ValueError(
                    f"{source}: {level.path} reads {wanted} features, "
                    f"and the layer before it gives {given}"
                )
        sizes = [cell.output_size(_input_size(level.params[0])) for cell in level.cells]
        given = sum(sizes) if level.merge in (None, "concat") else sizes[0]


def _input_size(params: Params) -> int:
    """Returns the features that a cell, or the first of a stack, reads."""
    return len(params["w_x"] if "w_x" in params else params["layer_0"]["w_x"])


def _levels(net: seqjax.Recurrence, params: Params, path: str) -> list[Level]:
    if isinstance(net, Stack):
        found = []
        for index, layer in enumerate(net.layers):
            name = f"layer_{index}"
            found += _levels(layer, _part(net, params, name, path), _below(path, name))
        return found
    if isinstance(net, Dropout):
        return _levels(net.inner, params, path)
    if isinstance(net, Residual):
        _check_once(net, params, path)
        return [dataclasses.replace(_only(net, params, path), residual=True)]
    if isinstance(net, Gated):
        inner = _only(net, _part(net, params, "inner", path), _below(path, "inner"))
        _check_plain(net, inner)
        return [dataclasses.replace(inner, gate={"w": params["w"], "b": params["b"]})]
    if isinstance(net, Zoneout):
        rates = (net.rate, net.cell_rate)
        return [Level(path, (net.inner,), (params,), zoneout=rates)]
    if isinstance(net, Bidirectional):
        ways = {"forward": net.forward, "backward": net.backward}
        parts = []
        for name, way in ways.items():
            below = _part(net, params, name, path)
            parts.append(_only(net, below, _below(path, name), way))
            _check_plain(net, parts[-1])
        cells = tuple(part.cells[0] for part in parts)
        both = tuple(part.params[0] for part in parts)
        return [Level(path, cells, both, merge=net.merge)]
    return [Level(path, (net,), (params,))]


def _only(net: Any, params: Params, path: str, inner: seqjax.Recurrence | None = None) -> Level:
    """The single layer inside a combinator."""
    found = _levels(inner or net.inner, params, path)
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"{path or net}: {type(net).__name__} stands around {len(found)} layers; other formats "
        f"know it around one: {SPLITS[type(net)]}"
    )


def _check_plain(net: seqjax.Recurrence, level: Level) -> None:
    """Refuses a combinator inside another one where other formats know a plain cell."""
    inside = [name for name in ("residual", "gate", "zoneout") if getattr(level, name)]
    if len(level.cells) > 1:
        inside.append("second direction")
    if inside:
        raise ValueError(
            f"{level.path}: {type(net).__name__} stands around a {inside[0]}; other formats know "
            f"it around a plain cell: {AS_IT_IS}"
        )


def _part(net: seqjax.Recurrence, params: Params, name: str, path: str) -> Params:
    """Returns the parameters of a part."""
    if not isinstance(params, Mapping) or name not in params:
        place = _below(path, name)
        raise ValueError(f"params have no {place!r}; give the parameters of {net}")
    return params[name]


def _check_once(net: Residual, params: Params, path: str) -> None:
    """Refuses an input that is added twice, which `Level` cannot say."""
    if _only(net, params, path).residual:
        raise ValueError(f"{path or net}: one residual stands around another; write it once")


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
