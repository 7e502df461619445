"""Say what a format can hold, and refuse the rest with the way out."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np

import seqjax
from seqjax.interop.layers import Level, levels
from seqjax.typing import Params

WAYS_OUT = {
    "peephole": "ONNX can hold it",
    "coupled": "ONNX can hold it",
    "projection_size": "torch can hold it",
    "layer_norm": "keep it as seqjax's own file, or export the running model",
    "residual": "save the layers one by one and add the inputs there",
    "gate": "save the layer inside and compute the gate there",
    "zoneout": "export the running model",
}
"""What to do instead, for each thing that a format may lack."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What a format can hold: plain Elman, LSTM and GRU, and what is named here.

    Attributes:
      name: of the format, for messages.
      kinds: names of the cells.
      variants: options of the LSTM and of the GRU.
      resets: forms of the GRU.
      activations: those of the simple RNN.
      merges: of two directions; none where there is one direction only.
    """

    name: str
    kinds: Collection[str] = ("Elman", "LSTM", "GRU")
    variants: Collection[str] = ()
    resets: Collection[str] = ("after", "before")
    activations: Collection[str] = ("tanh", "relu")
    merges: Collection[str] = ("concat",)

    def levels(self, net: seqjax.Recurrence, params: Params) -> list[Level]:
        """Lists the layers of a network, each of which the format can hold, with NumPy's arrays.

        Raises:
          ValueError: it cannot, or the parameters are not those of the network (which layer).
        """
        checked = []
        for level in levels(net, params):
            self._check(level)
            pairs = zip(level.cells, level.params, strict=True)
            arrays = tuple(_arrays(cell, p, level.path) for cell, p in pairs)
            checked.append(dataclasses.replace(level, params=arrays))
        return checked

    def refuse(self, level: Level, what: str, way_out: str) -> Any:
        """Raises the error for a layer that the format cannot hold."""
        where = level.path or str(level.cells[0])
        raise ValueError(f"{where}: {self.name} has no {what}; {way_out}")

    def _check(self, level: Level) -> None:
        for name in ("residual", "gate", "zoneout"):
            if getattr(level, name):
                self.refuse(level, name, WAYS_OUT[name])
        if len(level.cells) > 1 and not self.merges:
            self.refuse(level, "second direction", "save each direction on its own")
        if level.merge and level.merge not in self.merges:
            self.refuse(level, f"merge={level.merge!r}", "save each direction and merge there")
        for cell in level.cells:
            self._check_cell(level, cell)

    def _check_cell(self, level: Level, cell: Any) -> None:
        kinds = (seqjax.Elman, seqjax.LSTM, seqjax.GRU)
        # A subclass may step in a way of its own.
        if type(cell) not in kinds or type(cell).__name__ not in self.kinds:
            self.refuse(level, type(cell).__name__, f"it holds {', '.join(self.kinds)}")
        for name in ("peephole", "coupled", "projection_size", "layer_norm"):
            if getattr(cell, name, None) and name not in self.variants:
                self.refuse(level, name, WAYS_OUT[name])
        if isinstance(cell, seqjax.GRU) and cell.reset not in self.resets:
            wanted = " or ".join(map(repr, self.resets))
            self.refuse(level, f"GRU(reset={cell.reset!r})", f"it holds reset={wanted}")
        if isinstance(cell, seqjax.Elman) and cell.activation not in self.activations:
            wanted = " or ".join(map(repr, self.activations))
            self.refuse(level, f"Elman of {cell.activation}", f"it holds activation={wanted}")


def _arrays(cell: seqjax.Recurrence, params: Params, path: str) -> dict[str, np.ndarray]:
    """Returns the parameters of a cell as NumPy's, once they are its own."""
    place = f"{path}: params of {cell}" if path else f"params of {cell}"
    if not isinstance(params, Mapping) or "w_x" not in params:
        raise ValueError(f"{place} have no w_x; give those that belong to this network")
    arrays = {name: np.asarray(array) for name, array in params.items()}
    features = arrays["w_x"].shape[0]
    wanted = jax.eval_shape(lambda: cell.init(jax.random.key(0), features))
    for name, like in wanted.items():
        given = arrays[name].shape if name in arrays else None
        if given != like.shape:
            raise ValueError(f"{place}: {name} is {given}; wanted {like.shape}")
    return {name: arrays[name] for name in wanted}
