"""Attention: scores become weights and a context, as pure functions.

A query asks, keys answer with scores, the scores become weights, and the context is the mean of the
values under them:

    scores  = score(query, keys)
    weights = softmax(scores, where the mask is True)
    context = weights @ values

Every function here takes `query [*batch, steps, ...]`, `keys` and `values [*batch, positions, ...]`
and a `mask [*batch, positions]`, and gives `Attended(context, weights)`. The keys hold what depends
on the memory alone, such as its product with a weight, and so are computed once for all steps:
`additive` wants `keys = memory @ w_key + b`, and `dot` with `keys = memory @ w` is Luong's
"general".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

Query = Float[Array, "*batch steps query"]
Keys = Float[Array, "*batch positions features"]
Values = Float[Array, "*batch positions values"]
PositionMask = Bool[Array, "*batch positions"]


class Attended(NamedTuple):
    """What was seen, and where it was looked for.

    Attributes:
      context: the mean of the values under the weights, `[*batch, steps, values]`.
      weights: `[*batch, steps, positions]`, for several heads `[*batch, heads, steps, positions]`;
        they sum to 1 over the valid positions, and are 0 elsewhere and where none is valid.
    """

    context: Float[Array, "*batch steps values"]
    weights: Float[Array, "..."]


def masked_softmax(scores: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, "..."]:
    """Softmax over the last axis, among the valid scores alone.

    Args:
      scores: `[..., positions]`; what stands where the mask is False is ignored, NaN included, also
        by the gradient.
      mask: `[..., positions]` or a shape that broadcasts to it, True where a score is valid; None
        when all are.

    Returns:
      Weights of the same shape: 0 where invalid, else positive with sum 1. Where nothing is valid
      all are 0, and so is the gradient.
    """
    scores = jnp.asarray(scores)
    mask = jnp.broadcast_to(True if mask is None else jnp.asarray(mask, bool), scores.shape)
    lowest = jnp.finfo(scores.dtype).min
    valid = jnp.where(mask, scores, lowest)
    raised = jnp.where(mask, jnp.exp(valid - valid.max(-1, keepdims=True, initial=lowest)), 0)
    total = raised.sum(-1, keepdims=True)
    return raised / jnp.where(total == 0, 1, total)


def attend(
    scores: Float[Array, "*batch steps positions"],
    values: Values,
    mask: PositionMask | None = None,
) -> Attended:
    """The context under given scores.

    Args:
      scores: `[*batch, steps, positions]`.
      values: `[*batch, positions, values]`; what stands at invalid positions is ignored.
      mask: True at valid positions; None when all are.

    Returns:
      `Attended(context, weights)`.
    """
    weights = masked_softmax(scores, None if mask is None else mask[..., None, :])
    return Attended(weights @ _valid(values, mask), weights)


def dot(query: Query, keys: Keys, values: Values, mask: PositionMask | None = None) -> Attended:
    """`score = query . key` (Luong et al., 2015); query and keys have equally many features.

    Raises:
      ValueError: they have not.
    """
    if query.shape[-1] != keys.shape[-1]:
        raise ValueError(
            f"dot: the query has {query.shape[-1]} features, the keys {keys.shape[-1]}; make them equal, or use general"
        )
    return attend(query @ jnp.swapaxes(_valid(keys, mask), -1, -2), values, mask)


def scaled_dot(
    query: Query, keys: Keys, values: Values, mask: PositionMask | None = None
) -> Attended:
    """`score = query . key / sqrt(features)` (Vaswani et al., 2017)."""
    return dot(query * query.shape[-1] ** -0.5, keys, values, mask)


def general(
    query: Query,
    keys: Keys,
    values: Values,
    mask: PositionMask | None = None,
    *,
    w: Float[Array, "features query"],
) -> Attended:
    """`score = query . (key w)` (Luong et al., 2015).

    The keys are the memory itself; to multiply it once for many calls, give `keys @ w` to `dot`.
    """
    return dot(query, _valid(keys, mask) @ w, values, mask)


def additive(
    query: Query,
    keys: Float[Array, "*batch positions units"],
    values: Values,
    mask: PositionMask | None = None,
    *,
    w_query: Float[Array, "query units"],
    v: Float[Array, " units"],
    beside: Float[Array, "*batch steps positions units"] | None = None,
) -> Attended:
    """`score = v . tanh(query w_query + key)` (Bahdanau et al., 2015).

    Args:
      query: `[*batch, steps, query]`.
      keys: `memory @ w_key + b`, computed once, `[*batch, positions, units]`.
      values: `[*batch, positions, values]`.
      mask: `[*batch, positions]`.
      w_query: `[query, units]`.
      v: `[units]`.
      beside: what else goes into the tanh, for example a coverage times a vector (See et al.,
        2017).

    Returns:
      `Attended(context, weights)`.
    """
    inner = (query @ w_query)[..., :, None, :] + _valid(keys, mask)[..., None, :, :]
    return attend(jnp.tanh(inner if beside is None else inner + beside) @ v, values, mask)


def concat(
    query: Query,
    keys: Keys,
    values: Values,
    mask: PositionMask | None = None,
    *,
    w: Float[Array, "both units"],
    v: Float[Array, " units"],
) -> Attended:
    """`score = v . tanh([query; key] w)` (Luong et al., 2015): `additive` with w cut in two and no bias.

    Raises:
      ValueError: w has not as many rows as query and key have features.
    """
    size = query.shape[-1]
    if w.shape[0] != size + keys.shape[-1]:
        raise ValueError(
            f"concat: w has {w.shape[0]} rows; query and key have {size} + {keys.shape[-1]} features"
        )
    return additive(query, _valid(keys, mask) @ w[size:], values, mask, w_query=w[:size], v=v)


def location_sensitive(
    query: Query,
    keys: Float[Array, "*batch positions units"],
    values: Values,
    mask: PositionMask | None = None,
    *,
    before: Float[Array, "*batch steps positions"],
    w_query: Float[Array, "query units"],
    v: Float[Array, " units"],
    filters: Float[Array, "width channels"],
    w_location: Float[Array, "channels units"],
) -> Attended:
    """`score = v . tanh(query w_query + key + (filters * before) w_location)` (Chorowski et al., 2015).

    Args:
      query: `[*batch, steps, query]`.
      keys: `memory @ w_key + b`, computed once, `[*batch, positions, units]`.
      values: `[*batch, positions, values]`.
      mask: `[*batch, positions]`.
      before: the weights of the step before each, `[*batch, steps, positions]`.
      w_query: `[query, units]`.
      v: `[units]`.
      filters: run over the positions of `before`, zeros at its edges; of odd width, position p sees
        as far either side.
      w_location: `[channels, units]`.

    Returns:
      `Attended(context, weights)`.
    """
    rows = before.reshape(-1, 1, before.shape[-1])
    found = jax.lax.conv_general_dilated(
        rows, filters.T[:, None, :].astype(rows.dtype), (1,), "SAME"
    )
    features = jnp.swapaxes(found, -1, -2).reshape(*before.shape, filters.shape[1])
    return additive(query, keys, values, mask, w_query=w_query, v=v, beside=features @ w_location)


def multi_head(
    query: Query, keys: Keys, values: Values, mask: PositionMask | None = None, *, heads: int
) -> Attended:
    """`scaled_dot` in each of several slices of the features (Vaswani et al., 2017).

    Args:
      query: `[*batch, steps, features]`, projected already, as are keys and values.
      keys: `[*batch, positions, features]`.
      values: `[*batch, positions, values]`.
      mask: `[*batch, positions]`.
      heads: slices; they divide the features and the values.

    Returns:
      The heads' contexts side by side, `[*batch, steps, values]`, and weights
      `[*batch, heads, steps, positions]`.

    Raises:
      ValueError: the heads do not divide the features.
    """
    if keys.shape[-1] % heads or values.shape[-1] % heads:
        raise ValueError(
            f"{heads} heads do not divide keys of {keys.shape[-1]} and values of {values.shape[-1]}"
        )
    split = lambda a: jnp.moveaxis(a.reshape(*a.shape[:-1], heads, -1), -2, -3)  # noqa: E731
    each = (
        None
        if mask is None
        else jnp.broadcast_to(mask[..., None, :], (*mask.shape[:-1], heads, mask.shape[-1]))
    )
    context, weights = scaled_dot(split(query), split(keys), split(values), each)
    context = jnp.moveaxis(context, -3, -2)
    return Attended(context.reshape(*context.shape[:-2], -1), weights)


def _valid(memory: Keys, mask: PositionMask | None) -> Keys:
    """Zeros in place of what stands at invalid positions: a weight of 0 does not silence NaN."""
    return memory if mask is None else jnp.where(mask[..., None], memory, 0)
