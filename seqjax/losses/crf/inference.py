"""Sums over all tag sequences of a chain."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.checks import broadcasts
from seqjax.losses.crf.chain import FORBIDDEN, at_least_float32, checked


@broadcasts
def log_partition(
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    associative: bool = False,
) -> Float[Array, "*batch"]:
    """`log Z`, the log of the sum of `exp(s(y))` over all tag sequences y: the forward algorithm.

    Args:
      emissions: `[*batch, time, tags]`; past a row's end ignored, NaN included.
      transitions: `[tags, tags]`.
      start: `[tags]`.
      end: `[tags]`.
      lengths: valid steps of each row, `[*batch]`; None when all are.
      associative: multiply the steps' matrices pairwise in a tree: log(time) rounds that run in parallel, for long
        sequences of few tags (`tags` times the work and memory of the step-by-step form).

    Returns:
      One number a row, `[*batch]`.

    Raises:
      ValueError: a shape does not fit.
    """
    chain, valid = checked(emissions, transitions, start, end, lengths)
    if not len(valid):
        return jnp.zeros(valid.shape[1:], chain.emissions.dtype)
    run = _reduce_tree if associative else _reduce_steps
    alpha = run(chain.start + chain.emissions[0], chain.emissions[1:], chain.transitions, valid[1:])
    return jnp.where(valid[0], logsumexp(alpha + chain.end, axis=-1), 0)


def _reduce_steps(alpha, emissions, transitions, valid):
    """Sums over the tags of each step in turn: `alpha [*batch, tags]` after the last one."""

    def step(alpha, inputs):
        scores, valid = inputs
        after = logsumexp(alpha[..., :, None] + transitions, axis=-2) + scores
        return jnp.where(valid[..., None], after, alpha), None

    return lax.scan(step, alpha, (emissions, valid))[0]


def _reduce_tree(alpha, emissions, transitions, valid):
    """The same by a tree of matrix products in the log semiring; padding is the identity."""
    identity = jnp.where(jnp.eye(transitions.shape[0], dtype=bool), 0.0, FORBIDDEN).astype(alpha.dtype)
    steps = jnp.where(valid[..., None, None], transitions + emissions[..., None, :], identity)
    while len(steps) > 1:
        if len(steps) % 2:
            steps = jnp.concatenate([steps, jnp.broadcast_to(identity, steps[:1].shape)])
        steps = logsumexp(steps[0::2, ..., :, :, None] + steps[1::2, ..., None, :, :], axis=-2)
    return logsumexp(alpha[..., :, None] + steps[0], axis=-2) if len(steps) else alpha


def log_likelihood(
    tags: ArrayLike,
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    associative: bool = False,
) -> Float[Array, "*batch"]:
    """`s(y) - log Z`, the log-probability of given tags, in nats.

    Args:
      tags: `[*batch, time]` integers; past a row's end any.
      emissions: `[*batch, time, tags]`.
      transitions: `[tags, tags]`.
      start: `[tags]`.
      end: `[tags]`.
      lengths: valid steps of each row, `[*batch]`; None when all are.
      associative: as in `log_partition`.

    Returns:
      One number a row, `[*batch]`; 0 for a row of length 0.

    Raises:
      ValueError: a shape does not fit.
    """
    partition = log_partition(emissions, transitions, start, end, lengths, associative=associative)
    return path_score(tags, emissions, transitions, start, end, lengths) - partition


@broadcasts
def path_score(
    tags: ArrayLike,
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
) -> Float[Array, "*batch"]:
    """`s(y)` of given tags, `[*batch]`; the arguments are those of `log_likelihood`."""
    chain, valid = checked(emissions, transitions, start, end, lengths)
    tags = jnp.asarray(tags)
    if tags.shape != jnp.shape(emissions)[:-1]:
        raise ValueError(f"tags have shape {tags.shape}; these emissions want {jnp.shape(emissions)[:-1]}")
    if not len(valid):
        return jnp.zeros(valid.shape[1:], chain.emissions.dtype)
    tags = jnp.where(valid, jnp.moveaxis(tags, -1, 0), 0)
    emitted = jnp.take_along_axis(chain.emissions, tags[..., None], axis=-1)[..., 0]
    moved = jnp.where(valid[1:], chain.transitions[tags[:-1], tags[1:]], 0)
    last = jnp.take_along_axis(tags, jnp.maximum(valid.sum(0) - 1, 0)[None], axis=0)[0]
    inner = jnp.where(valid, emitted, 0).sum(0) + moved.sum(0)
    return jnp.where(valid[0], chain.start[tags[0]] + inner + chain.end[last], 0)


def marginals(
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    associative: bool = False,
) -> Float[Array, "*batch time tags"]:
    """The probability of each tag at each step: the derivative of `log Z` by the emissions.

    Args:
      emissions: `[*batch, time, tags]`.
      transitions: `[tags, tags]`.
      start: `[tags]`.
      end: `[tags]`.
      lengths: valid steps of each row, `[*batch]`; None when all are.
      associative: as in `log_partition`.

    Returns:
      Probabilities `[*batch, time, tags]`; they sum to 1 at valid steps and are 0 elsewhere.

    Raises:
      ValueError: a shape does not fit.
    """
    emissions = at_least_float32(emissions)
    total = lambda e: log_partition(e, transitions, start, end, lengths, associative=associative).sum()  # noqa: E731
    return jax.grad(total)(emissions)
