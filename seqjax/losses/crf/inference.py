"""Sums over all tag sequences of a chain: partition, likelihood and marginals."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.nn import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from seqjax.checks import broadcasts
from seqjax.losses.crf.chain import FORBIDDEN, Scores, checked, is_forbidden
from seqjax.losses.masked import at_least_float32, nan_unless


def log_partition(
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    associative: bool = False,
) -> Float[Array, "*batch"]:
    """Computes `log Z`, the log of the sum of `exp(s(y))` over all y, by the forward algorithm.

    Args:
      emissions: `[*batch, time, tags]`; past a row's end ignored, NaN included.
      transitions: `[tags, tags]`.
      start: `[tags]`.
      end: `[tags]`.
      lengths: valid steps of each row, `[*batch]`; None when all are. Under jit clamped to the
        steps.
      associative: multiply the steps' matrices pairwise in a tree: log(time) rounds that run in
        parallel, for long sequences of few tags (`tags` times the work and memory of the
        step-by-step form).

    Returns:
      One number a row, `[*batch]`.

    Raises:
      ValueError: a shape does not fit.
    """
    chain, valid = checked(emissions, transitions, start, end, lengths)
    return _partition(chain, valid, associative)


@broadcasts
def _partition(
    chain: Scores, valid: Bool[Array, "time *batch"], associative: bool
) -> Float[Array, "*batch"]:
    """Computes `log Z` of a checked chain, time-major."""
    if not len(valid):
        return jnp.zeros(valid.shape[1:], chain.emissions.dtype)
    reduce = _reduce_tree if associative else _reduce_steps
    # The log-weight of all beginnings that end in each tag: after the first step, then the last.
    first = chain.start + chain.emissions[0]  # [*batch, tags]
    alpha, taken = reduce(first, chain.emissions[1:], chain.transitions, valid[1:])
    # A row of length 0 has the empty sequence alone, of score 0.
    return jnp.where(valid[0], logsumexp(alpha + chain.end, axis=-1) + taken, 0)


def _reduce_steps(
    alpha: Float[Array, "*batch tags"],
    emissions: Float[Array, "time *batch tags"],
    transitions: Float[Array, "tags tags"],
    valid: Bool[Array, "time *batch"],
) -> tuple[Float[Array, "*batch tags"], Float[Array, "*batch"]]:
    """Sums over the tags of each step in turn: alpha after the last one, and what was taken off it.

    The greatest of alpha is taken off after each step, so that what is rounded does not grow with
    the steps.
    """

    def step(alpha: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        scores, valid = inputs
        # From each tag to each next one, [*batch, tags, tags], summed over the tags before.
        after = logsumexp(alpha[..., :, None] + transitions, axis=-2) + scores
        # Past a row's end alpha is held.
        return _lowered(jnp.where(valid[..., None], after, alpha), 1)

    alpha, taken = lax.scan(step, alpha, (emissions, valid))
    return alpha, taken.sum(0)


def _reduce_tree(
    alpha: Float[Array, "*batch tags"],
    emissions: Float[Array, "time *batch tags"],
    transitions: Float[Array, "tags tags"],
    valid: Bool[Array, "time *batch"],
) -> tuple[Float[Array, "*batch tags"], Float[Array, "*batch"]]:
    """Does the same by a tree of matrix products in the log semiring; padding is the identity."""
    diagonal = jnp.eye(transitions.shape[0], dtype=bool)
    identity = jnp.where(diagonal, 0.0, FORBIDDEN).astype(alpha.dtype)
    # The matrix of each step, [time, *batch, tags, tags]; each round leaves half as many.
    steps = jnp.where(valid[..., None, None], transitions + emissions[..., None, :], identity)
    taken = jnp.zeros(alpha.shape[:-1], alpha.dtype)
    while len(steps) > 1:
        if len(steps) % 2:
            # An odd one is paired with the identity.
            steps = jnp.concatenate([steps, jnp.broadcast_to(identity, steps[:1].shape)])
        # Each product sums over the tag between the two: [time / 2, *batch, tags, tags].
        steps = logsumexp(steps[0::2, ..., :, :, None] + steps[1::2, ..., None, :, :], axis=-2)
        steps, lowered = _lowered(steps, 2)
        taken = taken + lowered.sum(0)
    if not len(steps):
        return alpha, taken
    return logsumexp(alpha[..., :, None] + steps[0], axis=-2), taken


def _lowered(weights: Float[Array, "..."], axes: int) -> tuple[Array, Array]:
    """Takes the greatest over so many last axes off log-weights, and returns it, a constant."""
    highest = lax.stop_gradient(weights.max(tuple(range(-axes, 0))))
    return weights - highest.reshape(highest.shape + (1,) * axes), highest


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
    """Computes `s(y) - log Z`, the log-probability of given tags, in nats.

    Tags that the chain forbids have the probability 0, and one such row would make every mean
    infinite. So a row's own tags are always allowed: what forbids them counts as 0 in `s(y)`, and
    `exp(s(y))` is added to Z. The result is finite and at most 0; `forbidden` tells and counts
    these rows.

    Args:
      tags: `[*batch, time]` integers from 0 to tags - 1; past a row's end any. Under jit, where
        they cannot be looked at, a row with another one is NaN, as is its derivative.
      emissions: `[*batch, time, tags]`.
      transitions: `[tags, tags]`.
      start: `[tags]`.
      end: `[tags]`.
      lengths: as in `log_partition`.
      associative: as in `log_partition`.

    Returns:
      One number a row, `[*batch]`; 0 for a row of length 0.

    Raises:
      TypeError: the tags are no integers.
      ValueError: a shape does not fit, or there is no such tag.
    """
    chain, valid = checked(emissions, transitions, start, end, lengths)
    path = _along(tags, chain, valid)
    partition = _partition(chain, valid, associative)
    # Z does not hold a forbidden path: its own weight is added.
    partition = jnp.where(path.is_forbidden, jnp.logaddexp(partition, path.score), partition)
    return nan_unless(path.is_known, path.score - partition)


@broadcasts
def path_score(
    tags: ArrayLike,
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
) -> Float[Array, "*batch"]:
    """Computes `s(y)` of given tags, `[*batch]`: minus infinity where the chain forbids them.

    The arguments are those of `log_likelihood`.
    """
    chain, valid = checked(emissions, transitions, start, end, lengths)
    path = _along(tags, chain, valid)
    return nan_unless(path.is_known, jnp.where(path.is_forbidden, -jnp.inf, path.score))


def forbidden(
    tags: ArrayLike,
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
) -> Bool[Array, "*batch"]:
    """Returns True where the chain forbids given tags, `[*batch]`.

    The arguments are those of `log_likelihood`.

    Example:
      >>> import jax, seqjax
      >>> from seqjax.losses import crf
      >>> zeros = jax.numpy.zeros
      >>> chain = crf.Scores(jax.numpy.ones((2, 3, 3)), zeros((3, 3)), zeros(3), zeros(3))
      >>> chain = crf.constrain(chain, crf.bio_constraints(["O", "B-x", "I-x"]))
      >>> crf.forbidden(jax.numpy.array([[1, 2, 0], [0, 2, 0]]), *chain).tolist()
      [False, True]
    """
    chain, valid = checked(emissions, transitions, start, end, lengths)
    return _along(tags, chain, valid).is_forbidden


class _Path(NamedTuple):
    """Given tags in a chain, each `[*batch]`.

    Attributes:
      score: the sum of the entries that are not forbidden.
      is_forbidden: whether an entry is.
      is_known: whether there are such tags.
    """

    score: Array
    is_forbidden: Array
    is_known: Array


def _along(tags: ArrayLike, chain: Scores, valid: Bool[Array, "time *batch"]) -> _Path:
    """Collects the entries of a checked chain, time-major, along `tags [*batch, time]`."""
    tags = tags if isinstance(tags, Tracer) else np.asarray(tags)
    wanted = (*valid.shape[1:], len(valid))
    if not jnp.issubdtype(tags.dtype, jnp.integer):
        raise TypeError(f"tags are {tags.dtype}; give integers, the tag of each step")
    if tags.shape != wanted:
        raise ValueError(f"tags have shape {tags.shape}; these emissions want {wanted}")
    if not len(valid):
        nothing = jnp.zeros(wanted[:-1], chain.emissions.dtype)
        return _Path(nothing, nothing > 0, nothing == 0)
    _check_tags(tags, valid, len(chain.start))
    # tags [time, *batch], 0 where they do not count.
    tags = jnp.moveaxis(jnp.asarray(tags), -1, 0)
    is_tag = (tags >= 0) & (tags < len(chain.start))
    tags = jnp.where(valid & is_tag, tags, 0)
    # The emission of each tag, [time, *batch], and the last valid tag, [1, *batch].
    emitted = jnp.take_along_axis(chain.emissions, tags[..., None], axis=-1)[..., 0]
    last = jnp.take_along_axis(tags, jnp.maximum(valid.sum(0) - 1, 0)[None], axis=0)
    # Emissions, transitions, start and end, [2 time + 1, *batch]; 0 past a row's end.
    moved = jnp.where(valid[1:], chain.transitions[tags[:-1], tags[1:]], 0)
    edges = jnp.where(valid[:1], jnp.concatenate([chain.start[tags[:1]], chain.end[last]]), 0)
    entries = jnp.concatenate([jnp.where(valid, emitted, 0), moved, edges])
    score = jnp.where(is_forbidden(entries), 0, entries).sum(0)
    return _Path(score, is_forbidden(entries).any(0), (is_tag | ~valid).all(0))


def _check_tags(
    tags: Int[Array, "*batch time"] | np.ndarray, valid: Bool[Array, "time *batch"], count: int
) -> None:
    """Refuses a number that is no tag, where the values are known."""
    if isinstance(tags, Tracer) or isinstance(valid, Tracer):
        return
    given = tags[np.moveaxis(np.asarray(valid), 0, -1)]
    wrong = given[(given < 0) | (given >= count)]
    if wrong.size:
        raise ValueError(
            f"a tag is {wrong[0]}; give tags from 0 to {count - 1}, any past the end of a row"
        )


def marginals(
    emissions: ArrayLike,
    transitions: ArrayLike,
    start: ArrayLike,
    end: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    associative: bool = False,
) -> Float[Array, "*batch time tags"]:
    """Computes the probability of each tag at each step: `log Z` derived by the emissions.

    The arguments are those of `log_partition`.

    Returns:
      Probabilities `[*batch, time, tags]`; they sum to 1 at valid steps and are 0 elsewhere.
    """
    emissions = at_least_float32(emissions)

    def total(emissions: Array) -> Array:
        scores = emissions, transitions, start, end
        # No row's log Z depends on another row: their sum derives each by its own emissions.
        return log_partition(*scores, lengths, associative=associative).sum()

    return jax.grad(total)(emissions)
