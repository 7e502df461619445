"""What the combinators share."""

from typing import Any

import jax
from jaxtyping import Array

from seqjax.checks import checked_key
from seqjax.recurrence import Recurrence
from seqjax.typing import KeyArray, Output, Params, State


class Wrapper(Recurrence):
    """A recurrence around another, with the same params and state.

    A subclass changes the outputs or the step.
    """

    inner: Recurrence

    @property
    def causal(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Tells whether the inner recurrence is causal."""
        return self.inner.causal

    def output_size(self, input_size: int) -> int:
        """Returns the features of the inner recurrence's outputs."""
        return self.inner.output_size(input_size)

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the inner recurrence's parameters."""
        return self.inner.init(key, input_size)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...], dtype: Any) -> State:
        """Returns the inner recurrence's initial state."""
        return self.inner.initial_state(params, batch_shape, dtype)

    def shown(self, state: State) -> Output | None:
        """Returns what the inner recurrence shows, before its outputs are changed."""
        return self.inner.shown(state)

    def ends(self, first: Output, last: Output) -> Array:
        """Returns the ends of the inner recurrence's directions."""
        return self.inner.ends(first, last)


def branch(rng: KeyArray | None, index: int) -> KeyArray | None:
    """Derives the key of a part; None stays None."""
    return None if rng is None else jax.random.fold_in(checked_key(rng), index)


def check_causal(recurrence: Recurrence) -> Any:
    """Refuses a single step where an output depends on later inputs."""
    if not recurrence.causal:
        raise ValueError(
            f"{recurrence} reads the future, so it has no step; "
            "give the whole sequence to seqjax.unroll"
        )


def check_recurrences(name: str, *recurrences: Recurrence) -> None:
    """Refuses what is no recurrence."""
    for r in recurrences:
        if not isinstance(r, Recurrence):
            raise TypeError(
                f"{name}() was given a {type(r).__name__}; give recurrences, for example LSTM(256)"
            )
