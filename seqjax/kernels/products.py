"""The products of a step with its weights, and who may stand in for them."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

Meeting: TypeAlias = Callable[[Array, Array, Any, slice], Array | None]
"""Answers a product in place of the arithmetic; None where it does not."""

ALL = slice(None)
"""All columns of a weight."""

_MEETING: ContextVar[Meeting | None] = ContextVar("meeting", default=None)


def product(
    x: Float[Array, "*batch features"],
    w: Float[Array, "*heads features gates"],
    dtype: Any,
    columns: slice = ALL,
) -> Float[Array, "*batch gates"]:
    """Computes `x @ w[..., columns]` in the weights' dtype, summed in `dtype`.

    A step says its products by this function and with the weights as it was given them: then a
    loop over time can take them out, see `seqjax.kernels.deferred`.

    Args:
      x: what is multiplied; where w has heads, its last axis but one runs over them.
      w: the weights.
      dtype: of the sums.
      columns: the part of the weights that counts.
    """
    meeting = _MEETING.get()
    met = None if meeting is None else meeting(x, w, dtype, columns)
    return multiply(x, cut(w, columns), dtype) if met is None else met


def multiply(x: Array, w: Array, dtype: Any) -> Array:
    """Computes a `product` with all columns, whoever stands in for it."""
    if w.ndim == 2:
        return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=dtype)
    # The heads in front: CPUs multiply several times as fast so.
    by_head = jnp.moveaxis(x.astype(w.dtype), -2, 0)
    found = jnp.einsum("n...d,nde->n...e", by_head, w, preferred_element_type=dtype)
    return jnp.moveaxis(found, 0, -2)


def cut(w: Array, columns: slice) -> Array:
    """Returns the part of a weight that counts."""
    return w if columns == ALL else w[..., columns]


@contextlib.contextmanager
def met_by(meeting: Meeting) -> Iterator[None]:
    """Lets `meeting` answer the products of what is traced within."""
    token = _MEETING.set(meeting)
    try:
        yield
    finally:
        _MEETING.reset(token)
