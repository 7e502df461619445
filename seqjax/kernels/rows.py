"""The batch axes of a pass as one axis of rows, and back: what kernels that know rows alone share."""

import math
from typing import Any

from jaxtyping import Array

from seqjax.recurrence import Pass
from seqjax.typing import Outputs, Sequence


def as_rows(xs: Sequence, state: tuple[Array, ...], how: Pass) -> tuple[Any, ...]:
    """Makes the batch axes of what a loop over time reads one axis of rows.

    Args:
      xs: `[time, *batch, features]`.
      state: arrays `[*batch, hidden]`.
      how: the pass.

    Returns:
      `(xs, state, lengths, starts)`: `[time, rows, features]`, arrays `[rows, hidden]`, `[rows]` or
      None, and where the state is thrown away before a step, `[time, rows]` or None.
    """
    time, *batch, _ = xs.shape
    rows = math.prod(batch)

    def flat(array: Array | None, lead: int) -> Any:
        """Joins the batch axes, which stand after `lead` others."""
        if array is None:
            return None
        return array.reshape(*array.shape[:lead], rows, *array.shape[lead + len(batch) :])

    before = tuple(flat(s, 0) for s in state)
    return flat(xs, 1), before, flat(how.lengths, 0), flat(how.starts(time), 1)


def as_batch(
    after: tuple[Array, ...], ys: Outputs, batch: tuple[int, ...]
) -> tuple[tuple[Array, ...], Outputs]:
    """Brings arrays `[rows, hidden]` and outputs `[time, rows, hidden]` back to the batch axes."""
    after = tuple(s.reshape(*batch, s.shape[-1]) for s in after)
    return after, ys.reshape(ys.shape[0], *batch, ys.shape[-1])
