"""What is written as C: an embedding, layers, a projection, each with plain arrays."""

import dataclasses
from typing import Any

import numpy as np

from seqjax import GRU, LSTM, Elman, Recurrence
from seqjax.interop.int8 import dequantise, quantise
from seqjax.interop.layers import Level, levels
from seqjax.interop.pairs import as_pair
from seqjax.kernels.int8 import is_int8
from seqjax.models import LanguageModel
from seqjax.typing import Params

WAY_OUT = "stream it in Python with interop.Stream"


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A matrix `[inputs, outputs]`, in float32 or int8.

    Attributes:
      values: float32 or int8 `[inputs, outputs]`.
      scale: float32 `[outputs]`, by which int8 columns are multiplied; None in float32.
    """

    values: np.ndarray
    scale: np.ndarray | None = None

    @classmethod
    def of(cls, weights: Any) -> "Matrix":
        """Takes an array, or what `interop.quantise` made of one."""
        if is_int8(weights):
            return cls(np.asarray(weights["int8"]), np.asarray(weights["scale"], np.float32))
        return cls(np.asarray(weights, np.float32))

    def columns(self, first: int, end: int | None = None) -> "Matrix":
        """Takes some columns."""
        scale = None if self.scale is None else self.scale[first:end]
        return Matrix(self.values[:, first:end], scale)

    def with_complement(self, size: int) -> "Matrix":
        """Puts the first `size` columns, negated, before all: i = 1 - f is a gate of -f's sums."""
        values = np.concatenate([-self.values[:, :size], self.values], 1)
        if self.scale is None:
            return Matrix(values)
        return Matrix(values, np.concatenate([self.scale[:size], self.scale]))


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer, as the C function that computes it takes it.

    Attributes:
      part: name of the function among `parts.h`.
      input_size: features that it reads.
      matrices: by name, in the order of the function's arguments.
      vectors: float32, by name, in the same order.
      states: sizes of what it remembers, by name; h is its output.
      sums: numbers that it computes on the way.
      residual: whether its input is added to its output.
      zoneout: the shares of the states that keep their old value; None for none.
    """

    part: str
    input_size: int
    matrices: dict[str, Matrix]
    vectors: dict[str, np.ndarray]
    states: dict[str, int]
    sums: int
    residual: bool = False
    zoneout: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Network:
    """All that one C file computes.

    Attributes:
      title: what it is, for the comment at its head.
      layers: the one that reads the input first.
      embedding: transposed, `[features, tokens]`, int8 with a scale of each feature; None where
        features are read.
      head: `[features, outputs]`; None where the last layer's output is the network's, or where
        `tied` holds.
      bias: of the head, `[outputs]`.
      tied: the head is the embedding.
      output_size: numbers that a step gives.
    """

    title: str
    layers: tuple[Layer, ...]
    embedding: Matrix | None = None
    head: Matrix | None = None
    bias: np.ndarray | None = None
    tied: bool = False
    output_size: int = 0

    @property
    def input_size(self) -> int:
        """Returns the features that the first layer reads."""
        return self.layers[0].input_size


def network_of(model: Any, weights: str) -> Network:
    """Describes a model.

    Args:
      model: see `interop.c.save`.
      weights: `"float32"` or `"int8"`.

    Raises:
      TypeError: it is no language model and no recurrence.
      ValueError: C lacks a layer of it (which, and what to do).
    """
    network, params = as_pair(model)
    params = quantise(params) if weights == "int8" else dequantise(params)
    if isinstance(network, LanguageModel):
        return _language_model(network, params)
    if not isinstance(network, Recurrence):
        raise TypeError(
            f"{type(network).__name__} is not written as C, language models and recurrences are: "
            'give its recurrence alone, (model.recurrence, params["recurrent"])'
        )
    layers = _layers(network, params)
    return Network(repr(network), layers, output_size=layers[-1].states["h"])


def _language_model(model: LanguageModel, params: Params) -> Network:
    embedding = Matrix.of(params["embed"]["embedding"])
    head = None if model.tied else Matrix.of(params["head"]["kernel"])
    bias = params["bias"] if model.tied else params["head"]["bias"]
    return Network(
        f"a language model of {model.vocab_size} tokens by {model.recurrence!r}",
        _layers(model.recurrence, params["recurrent"]),
        # The scale of int8 stays one of each feature.
        dataclasses.replace(embedding, values=embedding.values.T),
        head,
        np.asarray(bias, np.float32),
        model.tied,
        model.vocab_size,
    )


def _layers(net: Recurrence, params: Params) -> tuple[Layer, ...]:
    return tuple(_layer(level) for level in levels(net, params))


def _layer(level: Level) -> Layer:
    """Describes one layer.

    Raises:
      ValueError: C lacks it.
    """
    where = f"{level.path}: " if level.path else ""
    cell = level.cells[0]
    if len(level.cells) > 1:
        raise ValueError(
            f"{where}bidirectional reads the future, and C makes single steps; "
            "train with causal layers, or predict in Python"
        )
    if level.gate is not None:
        raise ValueError(f"{where}C has no gated(...); {WAY_OUT}")
    built = _cell(cell, level.params[0], where)
    zoneout = None if level.zoneout is None else level.zoneout[: len(built.states)]
    return dataclasses.replace(built, residual=level.residual, zoneout=zoneout)


def _cell(cell: Recurrence, params: Params, where: str) -> Layer:
    # A subclass may step in a way of its own.
    if type(cell) is LSTM:
        return _lstm(cell, params, where)
    if type(cell) is GRU:
        return _gru(cell, params, where)
    if type(cell) is Elman:
        w_x, w_h, b = Matrix.of(params["w_x"]), Matrix.of(params["w_h"]), _vector(params["b"])
        size = cell.hidden_size
        matrices = {"w_x": w_x, "w_h": w_h}
        part = f"elman_{cell.activation}"
        return Layer(part, len(w_x.values), matrices, {"b": b}, {"h": size}, size)
    raise ValueError(f"{where}C has LSTM, GRU and Elman, not {cell!r}; {WAY_OUT}")


def _lstm(cell: LSTM, params: Params, where: str) -> Layer:
    for option in ("peephole", "projection_size", "layer_norm"):
        if getattr(cell, option):
            raise ValueError(f"{where}C has no {option} of {cell!r}; {WAY_OUT}, or train without")
    size = cell.hidden_size
    w_x, w_h, b = Matrix.of(params["w_x"]), Matrix.of(params["w_h"]), _vector(params["b"])
    if cell.coupled:
        w_x, w_h = w_x.with_complement(size), w_h.with_complement(size)
        b = np.concatenate([-b[:size], b])
    matrices, states = {"w_x": w_x, "w_h": w_h}, {"h": size, "c": size}
    return Layer("lstm", len(w_x.values), matrices, {"b": b}, states, 4 * size)


def _gru(cell: GRU, params: Params, where: str) -> Layer:
    if cell.layer_norm:
        raise ValueError(f"{where}C has no layer_norm of {cell!r}; {WAY_OUT}, or train without")
    size = cell.hidden_size
    w_x, w_h = Matrix.of(params["w_x"]), Matrix.of(params["w_h"])
    b, b_n = _vector(params["b"]), _vector(params["b_n"])
    if cell.reset == "after":
        matrices, vectors = {"w_x": w_x, "w_h": w_h}, {"b": b, "b_n": b_n}
        return Layer("gru_after", len(w_x.values), matrices, vectors, {"h": size}, 6 * size)
    # The candidate's product waits for r, so its columns are a matrix of their own.
    matrices = {"w_x": w_x, "w_h": w_h.columns(0, 2 * size), "w_n": w_h.columns(2 * size)}
    b = np.concatenate([b[: 2 * size], b[2 * size :] + b_n])
    return Layer("gru_before", len(w_x.values), matrices, {"b": b}, {"h": size}, 4 * size)


def _vector(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)
