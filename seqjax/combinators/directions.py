"""Two directions over the same inputs."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array

from seqjax.checks import checked_key
from seqjax.combinators.base import check_causal, check_recurrences
from seqjax.recurrence import Pass, Recurrence
from seqjax.typing import Frame, KeyArray, Output, Outputs, Params, Sequence, State

Merge = Literal["concat", "sum", "mean", "max"]

_MERGES: dict[str, Callable] = {
    "concat": lambda a, b: jnp.concatenate([a, b], axis=-1),
    "sum": jnp.add,
    "mean": lambda a, b: (a + b) / 2,
    "max": jnp.maximum,
}


def bidirectional(
    forward: Recurrence, backward: Recurrence | None = None, merge: Merge = "concat"
) -> "Bidirectional":
    """Reads the same inputs by two recurrences, one of them from each row's end.

    Bidirectional recurrent networks (Schuster and Paliwal, 1997). Params are `{forward, backward}`,
    the state is `BidirectionalState(forward, backward)`. The whole is not causal.

    Args:
      forward: reads from the first step on.
      backward: reads from the last valid step back; None takes the same kind as `forward`, with
        parameters of its own.
      merge: how two outputs become one: `"concat"`, `"sum"`, `"mean"` or `"max"`.

    Returns:
      One recurrence.

    Raises:
      TypeError: an argument is not a recurrence.
      ValueError: `merge` is unknown.
    """
    backward = forward if backward is None else backward
    check_recurrences("bidirectional", forward, backward)
    return Bidirectional(forward, backward, merge)


class BidirectionalState(NamedTuple):
    """What both directions remember after their last step."""

    forward: State
    backward: State


@dataclasses.dataclass(frozen=True, repr=False)
class Bidirectional(Recurrence):
    """Two directions over the same inputs; see `bidirectional`."""

    forward: Recurrence
    backward: Recurrence
    merge: Merge = "concat"

    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.merge not in get_args(Merge):
            known = ", ".join(map(repr, get_args(Merge)))
            raise ValueError(
                f"bidirectional: merge={self.merge!r} is unknown; choose one of {known}"
            )

    def output_size(self, input_size: int) -> int:
        """Returns the features of the merged outputs."""
        sizes = self.forward.output_size(input_size), self.backward.output_size(input_size)
        if self.merge == "concat":
            return sum(sizes)
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"bidirectional: merge={self.merge!r} wants equal output sizes; they are {sizes}"
            )
        return sizes[0]

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Draws the parameters `{forward, backward}`."""
        self.output_size(input_size)
        keys = jax.random.split(checked_key(key, "key"))
        return {
            "forward": self.forward.init(keys[0], input_size),
            "backward": self.backward.init(keys[1], input_size),
        }

    def initial_state(
        self, params: Params, batch_shape: tuple[int, ...], dtype: Any
    ) -> BidirectionalState:
        """Returns the initial states of both directions."""
        return BidirectionalState(
            self.forward.initial_state(params["forward"], batch_shape, dtype),
            self.backward.initial_state(params["backward"], batch_shape, dtype),
        )

    def step(
        self, params: Params, state: State, x: Frame, *, rng: KeyArray | None = None
    ) -> tuple[State, Output]:
        """Refuses: an output depends on later inputs.

        Raises:
          ValueError: always.
        """
        return check_causal(self)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Reads a whole sequence, both ways."""
        back = dataclasses.replace(how.branch(1), reverse=not how.reverse)
        forward, ys = self.forward.scan(params["forward"], xs, state.forward, how.branch(0))
        backward, zs = self.backward.scan(params["backward"], xs, state.backward, back)
        # Both outputs stand in input order already, [time, *batch, outputs].
        return BidirectionalState(forward, backward), _MERGES[self.merge](ys, zs)

    def ends(self, first: Output, last: Output) -> Array:
        """Returns the forward half of the last output and the backward half of the first.

        Merged otherwise than by `"concat"` the halves cannot be told apart, and both stand whole; so
        they do where the inputs are among the outputs.
        """
        if self.forward.output_size(0) != self.forward.output_size(1):
            return super().ends(first, last)
        if self.merge != "concat" or not (self.forward.causal and self.backward.causal):
            return super().ends(first, last)
        size = self.forward.output_size(0)
        return jnp.concatenate([last[..., :size], first[..., size:]], axis=-1)
