"""Layers one upon another."""

import dataclasses
from typing import Any, Literal

import jax
from jaxtyping import Array

from seqjax.cells.options import flag, rate
from seqjax.checks import checked_key
from seqjax.combinators.base import branch, check_causal, check_recurrences
from seqjax.combinators.wrappers import Dropout, Residual, Skip
from seqjax.recurrence import Pass, Recurrence
from seqjax.typing import Frame, KeyArray, Output, Outputs, Params, Sequence, State


def stack(
    *layers: Recurrence,
    dropout: float = 0.0,
    residual: bool = False,
    skip: Literal["concat"] | None = None,
) -> "Stack":
    """Lays recurrences one upon another: the outputs of each are the inputs of the next.

    Params are `{layer_0, layer_1, ...}`, the state a tuple.

    Args:
      *layers: recurrences, the one that reads the input first.
      dropout: rate of dropout on the outputs of every layer but the last.
      residual: add to each layer's output, the first excepted, its input.
      skip: `"concat"` lays each layer's input beside its output, the last excepted, so that a layer
        reads the outputs of all layers below it and the network's input (Huang et al., 2017; of two
        layers, Graves, 2013). See `seqjax.skip`.

    Returns:
      One recurrence.

    Raises:
      TypeError: a layer is not a recurrence.
      ValueError: there is no layer, the rate is outside [0, 1), `skip` is unknown, or both
        `residual` and `skip` are given.

    Example:
      >>> import seqjax
      >>> seqjax.stack(seqjax.GRU(32), seqjax.GRU(32)).layers
      (GRU(32), GRU(32))
    """
    if not layers:
        raise ValueError("stack() has no layer; give at least one recurrence")
    check_recurrences("stack", *layers)
    dropout, residual = rate("stack: dropout", dropout), flag("stack: residual", residual)
    if skip not in (None, "concat"):
        raise ValueError(f"stack: skip={skip!r} is unknown; give None or 'concat'")
    if residual and skip:
        raise ValueError("stack: residual adds what skip lays side by side; give one of them")
    built = []
    for index, layer in enumerate(layers):
        if dropout and index < len(layers) - 1:
            layer = Dropout(layer, dropout)
        if residual and index > 0:
            layer = Residual(layer)
        if skip and index < len(layers) - 1:
            layer = Skip(layer)
        built.append(layer)
    return Stack(tuple(built))


@dataclasses.dataclass(frozen=True, repr=False)
class Stack(Recurrence):
    """Layers one upon another; see `stack`."""

    layers: tuple[Recurrence, ...]

    @property
    def causal(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Tells whether every layer is causal."""
        return all(layer.causal for layer in self.layers)

    def output_size(self, input_size: int) -> int:
        """Returns the features of the last layer's outputs."""
        for layer in self.layers:
            input_size = layer.output_size(input_size)
        return input_size

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters `{layer_0, layer_1, ...}`."""
        params, key = {}, checked_key(key, "key")
        for index, layer in enumerate(self.layers):
            params[f"layer_{index}"] = layer.init(jax.random.fold_in(key, index), input_size)
            input_size = layer.output_size(input_size)
        return params

    def initial_state(
        self, params: Params, batch_shape: tuple[int, ...], dtype: Any
    ) -> tuple[State, ...]:
        """Returns the initial states of the layers."""
        return tuple(layer.initial_state(p, batch_shape, dtype) for layer, p in self._with(params))

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Reads one step through every layer."""
        check_causal(self)
        if not isinstance(state, tuple | list) or len(state) != len(self.layers):
            raise ValueError(
                f"state is {_in_short(state)}; {self} wants a tuple of {len(self.layers)} states"
            )
        states = []
        for index, (layer, p) in enumerate(self._with(params)):
            layer_state, x = layer.step(p, state[index], x, rng=branch(rng, index))
            states.append(layer_state)
        return tuple(states), x

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence layer after layer, each with its own fastest implementation."""
        states = []
        for index, (layer, p) in enumerate(self._with(params)):
            layer_state, xs = layer.scan(p, xs, state[index], how.branch(index))
            states.append(layer_state)
        return tuple(states), xs

    def shown(self, state: State) -> Output | None:
        """Returns what the last layer shows of its state."""
        return self.layers[-1].shown(state[-1])

    def ends(self, first: Output, last: Output) -> Array:
        """Returns the ends of the last layer's directions."""
        return self.layers[-1].ends(first, last)

    def _with(self, params: Params) -> list[tuple[Recurrence, Params]]:
        """Returns each layer with its parameters."""
        return [(layer, params[f"layer_{index}"]) for index, layer in enumerate(self.layers)]


def _in_short(state: Any) -> str:
    """Describes a pytree in a few words."""
    count = f" of {len(state)}" if isinstance(state, tuple | list) else ""
    return f"a {type(state).__name__}{count}"
