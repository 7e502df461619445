"""Connectionist temporal classification: how likely frames spell a label, however aligned."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.nn import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from seqjax.checks import broadcasts, checked_lengths
from seqjax.losses.ctc_arrays import checked, checked_logits
from seqjax.losses.masked import at_least_float32, length_mask, nan_unless
from seqjax.recurrence import select


def ctc(
    logits: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike | None = None,
    label_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
) -> Float[Array, " batch"]:
    """Returns the negative log-likelihood of labels under unaligned frames (Graves et al., 2006).

        loss = -log sum over alignments a of prod_t softmax(logits_t)[a_t]

    An alignment writes each label one or more times in a row, blanks anywhere between, and at least
    one blank between two equal labels. The sum runs in log space, float32 or wider, forwards for
    the value and backwards for the derivative, which is softmax less occupancy: the share of all
    alignments that are at a symbol in a frame. Work and memory grow with the label's length, not
    with the alphabet.

    Args:
      logits: `[batch, time, alphabet]` scores; the softmax is taken inside.
      labels: `[batch, positions]` integers other than `blank`; past a row's end any. Under jit,
        where they cannot be looked at, a row with the blank or with a symbol that is not in the
        alphabet is NaN, as is its derivative.
      lengths: valid frames of each row, `[batch]`; None when all are. Padding is ignored, NaN
        included.
      label_lengths: valid labels of each row, `[batch]`; None when all are. 0 asks for blanks
        alone. Under jit both kinds of lengths are clamped to their array, as `seqjax.unroll` does.
      blank: the symbol that writes nothing.
      zero_infinity: a label that has no alignment costs 0 in place of infinity. Its gradient is 0
        either way.

    Returns:
      Nats of each row, `[batch]`, never negative; for a mean see `masked_mean`.

    Raises:
      TypeError: the labels are no integers, or the logits no floating-point numbers.
      ValueError: a shape does not fit, a length is beyond its array, or a symbol is not in the
        alphabet.

    Example:
      >>> import jax, seqjax
      >>> logits = jax.numpy.zeros((2, 3, 4))
      >>> labels = jax.numpy.array([[1, 2], [3, 3]])
      >>> losses = seqjax.losses.ctc(logits, labels, label_lengths=jax.numpy.array([2, 1]))
      >>> # Alignments of "1 2" and of "3" in three frames.
      >>> jax.numpy.round(jax.numpy.exp(-losses) * 4**3).tolist()
      [5.0, 6.0]
    """
    *arrays, known = checked(logits, labels, lengths, label_lengths, blank)
    losses: Any = _ctc(blank, *arrays)
    if zero_infinity:
        losses = jnp.where(jnp.isinf(losses), 0, losses)
    return nan_unless(known, losses)


def ctc_frames(labels: ArrayLike, label_lengths: ArrayLike | None = None) -> Int[Array, " batch"]:
    """Returns the fewest frames for each label: its length, and a blank for each repetition.

    Args:
      labels: `[batch, positions]` integers.
      label_lengths: valid labels of each row, `[batch]`; None when all are. Under jit clamped to
        the array.

    Returns:
      Frames, `[batch]`.
    """
    labels = jnp.asarray(labels)
    positions = labels.shape[1]
    label_lengths = checked_lengths(label_lengths, (len(labels),), positions, "label_lengths")
    # Pairs of neighbours, [batch, positions - 1]: those that are valid, and those that are equal.
    valid = length_mask(label_lengths - 1, max(positions - 1, 0))
    repeated = valid & (labels[:, 1:] == labels[:, :-1])
    return label_lengths + repeated.sum(-1, dtype=label_lengths.dtype)


def focal(losses: ArrayLike, gamma: Any) -> Float[Array, "..."]:
    """Weighs negative log-likelihoods by `(1 - p)^gamma` (Lin et al., 2017).

    Rows that are already learnt count less.

    Args:
      losses: nats, `-log p`, of any shape; NaN stays NaN.
      gamma: a number, at least 0, which changes nothing.

    Raises:
      ValueError: gamma is below 0.
    """
    if not isinstance(gamma, Tracer) and gamma < 0:
        raise ValueError(f"gamma is {gamma}; give at least 0, the power of the weights")
    losses = at_least_float32(losses)
    # 1 - exp(-0) is 0, where a power below 1 has no derivative.
    missing = -jnp.expm1(-jnp.maximum(losses, jnp.finfo(losses.dtype).tiny))
    return missing**gamma * losses


def uniform_cross_entropy(
    logits: ArrayLike, lengths: ArrayLike | None = None
) -> Float[Array, " batch"]:
    """Returns the mean over a row's frames of the cross-entropy of softmax against uniform.

    The part that label smoothing adds to CTC:
    `(1 - s) * ctc(...) + s * uniform_cross_entropy(logits, lengths)`.

    Args:
      logits: `[batch, time, alphabet]`.
      lengths: valid frames of each row, `[batch]`; None when all are. Under jit clamped to the
        frames.

    Returns:
      Nats, `[batch]`.

    Raises:
      TypeError: the logits are no floating-point numbers.
      ValueError: a shape does not fit, or a length is beyond its array.
    """
    logits = checked_logits(logits, blank=0)
    lengths = checked_lengths(lengths, logits.shape[:1], logits.shape[1])
    mask = length_mask(lengths, logits.shape[1])
    logits = jnp.where(mask[..., None], logits, 0)
    # Of each frame, [batch, time]: -mean over the symbols of log softmax.
    nats = jnp.where(mask, logsumexp(logits, axis=-1) - logits.mean(-1), 0)
    return nats.sum(-1) / jnp.maximum(lengths, 1).astype(nats.dtype)


class Lattice(NamedTuple):
    """Log-weights of being between labels and of being at them: the states of an alignment.

    Attributes:
      between: `[..., positions + 1]`, at a blank after so many labels.
      at: `[..., positions]`, at each label.
    """

    between: Array
    at: Array


class _Kept(NamedTuple):
    """What the derivative is computed from."""

    log_probs: Array  # [batch, time, alphabet]
    labels: Array  # [batch, positions]
    valid: Array  # [time, batch]
    occupied: Lattice  # log-weight of all alignments through each state, [time, batch, ...]
    total: Array  # of all alignments, [batch]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _ctc(blank: int, logits: Array, labels: Array, lengths: Array, label_lengths: Array) -> Array:
    return _value(blank, logits, labels, lengths, label_lengths)


@broadcasts
def _value(blank: int, logits: Array, labels: Array, lengths: Array, label_lengths: Array) -> Array:
    _, emitted, valid = _seen(blank, logits, labels, lengths)
    # Alignments begin in the first blank; a value alone needs no way back.
    start, skips = _start(labels, 0, logits.dtype), _skips(labels, blank)
    end, _, taken = _run(start, emitted, valid, skips)
    return jnp.maximum(-_total(end, taken, label_lengths), 0)


@broadcasts
def _forward(
    blank: int, logits: Array, labels: Array, lengths: Array, label_lengths: Array
) -> tuple[Array, _Kept]:
    """Runs both ways in one loop: read from its end, a row is one more row of the recursion."""
    log_probs, emitted, valid = _seen(blank, logits, labels, lengths)
    batch, positions = labels.shape
    # All rows, and after them the same rows reversed: [time, 2 * batch, ...].
    both = _twice(emitted)
    both_valid = jnp.concatenate([valid, valid[::-1]], axis=1)
    skips = _twice_skips(_skips(labels, blank))
    # A reversed row has its padding first: the positions of the padding are behind it at once.
    ahead = _start(labels, 0, logits.dtype)
    back = _start(labels, positions - label_lengths, logits.dtype)
    start = jax.tree.map(lambda *rows: jnp.concatenate(rows), ahead, back)
    end, came, taken = _run(start, both, both_valid, skips)
    # The sum over all alignments, from the rows as they are.
    total = _total(jax.tree.map(lambda a: a[:batch], end), taken[:, :batch], label_lengths)
    # alpha * beta of each state but for a factor of the frame: `came` is before the frame's
    # emission, which counts once.
    occupied = jax.tree.map(lambda a, e: a[:, :batch] + e + a[::-1, batch:, ::-1], came, emitted)
    return jnp.maximum(-total, 0), _Kept(log_probs, labels, valid, occupied, total)


@broadcasts
def _backward(blank: int, kept: _Kept, d_losses: Array) -> tuple[Array, None, None, None]:
    # [time, batch, 1 + positions]: the share of the blank, in all its states, and of each label.
    between, at = _shares(kept.occupied)
    shares = jnp.concatenate([between.sum(-1, keepdims=True), at], axis=-1)
    symbols = _behind_blank(kept.labels, blank)
    # [batch, time, 1]: nothing in the padding, nor where a label has no alignment.
    scale = jnp.where(jnp.isfinite(kept.total), d_losses, 0)[:, None, None]
    scale = scale * kept.valid.T[..., None].astype(kept.total.dtype)
    # The derivative of the normaliser, [batch, time, alphabet].
    softmax = scale * jnp.exp(kept.log_probs)

    def spread(gradient: Array, share: Array, symbols: Array) -> Array:
        """Takes off the occupancy `[time, 1 + positions]`; a symbol may stand at many positions."""
        return gradient.at[:, symbols].add(-share)

    gradient = jax.vmap(spread)(softmax, scale * jnp.moveaxis(shares, 0, 1), symbols)
    return gradient, None, None, None


_ctc.defvjp(_forward, _backward)


def emissions(
    log_probs: Float[Array, "batch time alphabet"],
    labels: Int[Array, "batch positions"],
    blank: int,
) -> Lattice:
    """Returns log-probabilities: of the blank `[time, batch, 1]`, of labels `[..., positions]`."""
    # [batch, time, positions], then time first.
    at = jnp.take_along_axis(log_probs, labels[:, None], axis=-1)
    return jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), Lattice(log_probs[..., blank, None], at))


def _behind_blank(labels: Array, blank: int) -> Array:
    return jnp.pad(labels, ((0, 0), (1, 0)), constant_values=blank)


def _skips(labels: Array, blank: int) -> Array:
    """Tells where a label may follow the one before without a blank, `[batch, positions]`."""
    return labels != _behind_blank(labels, blank)[:, :-1]


def _seen(
    blank: int, logits: Array, labels: Array, lengths: Array
) -> tuple[Array, Lattice, Bool[Array, "time batch"]]:
    """Returns the log-probabilities, the emissions of a row's states, and the valid frames."""
    log_probs = jax.nn.log_softmax(logits)
    return log_probs, emissions(log_probs, labels, blank), length_mask(lengths, logits.shape[1]).T


def _twice(emitted: Lattice) -> Lattice:
    """Appends the rows, read from the last frame and position on: `[time, 2 * batch, ...]`."""
    return jax.tree.map(lambda a: jnp.concatenate([a, a[::-1, :, ::-1]], axis=1), emitted)


def _twice_skips(skips: Array) -> Array:
    """Appends the reversed skips: they lead to the label before; into the first one none does."""
    # A skip between two labels is the same both ways; of no labels there is none to pad.
    none = min(1, skips.shape[1])
    return jnp.concatenate([skips, jnp.pad(skips[:, :0:-1], ((0, 0), (none, 0)))])


def _start(labels: Array, written: ArrayLike, dtype: np.dtype) -> Lattice:
    """Returns the states before the first frame: `written` positions behind, no label at hand."""
    here = jnp.arange(labels.shape[1] + 1) == jnp.reshape(written, (-1, 1))
    between = jnp.where(here, 0, -jnp.inf).astype(dtype)
    between = jnp.broadcast_to(between, (len(labels), labels.shape[1] + 1))
    return Lattice(between, jnp.full(labels.shape, -jnp.inf, dtype))


def _run(
    start: Lattice, emitted: Lattice, valid: Array, skips: Array
) -> tuple[Lattice, Lattice, Array]:
    """Returns the states after the last frame, those of each frame before its emissions, and what was taken off.

    After each frame the greatest log-weight of a row, `[time, batch]`, is taken off all of them:
    what adds up over time is rounded once, and the states are as exact in the last frame as in the
    first.
    """

    def advance(before: Lattice, inputs: tuple[Lattice, Array]) -> tuple[Lattice, Any]:
        emitted, valid = inputs
        came = _arrive(before, skips)
        after = jax.tree.map(jnp.add, emitted, came)
        taken = jnp.where(valid, _finite(_highest(after)), 0)
        after = jax.tree.map(lambda leaf: leaf - taken[:, None], after)
        # A frame of padding changes nothing.
        return select(valid, after, before), (came, taken)

    end, (came, taken) = lax.scan(advance, start, (emitted, valid))
    return end, came, taken


def _highest(weights: Lattice) -> Array:
    """Returns the greatest log-weight over both kinds of states, `[...]`."""
    return jnp.maximum(weights.between.max(-1), weights.at.max(-1, initial=-jnp.inf))


def _total(end: Lattice, taken: Array, label_lengths: Array) -> Array:
    """Returns the log-weight of all alignments, `[batch]`."""
    return logsumexp(_ends(end, label_lengths), axis=0) + taken.sum(0)


def _arrive(before: Lattice, skips: Array) -> Lattice:
    """Returns the states of a frame from those before: stay, move on by one, or skip a blank."""
    # At the label before each place, [batch, positions + 1].
    came = jnp.pad(before.at, ((0, 0), (1, 0)), constant_values=-jnp.inf)
    # [batch, positions]: over the blank between two different labels.
    jumped = jnp.where(skips, came[:, :-1], -jnp.inf)
    between = _logsum(before.between, came)
    return Lattice(between, _logsum3(before.at, before.between[:, :-1], jumped))


def _ends(state: Lattice, label_lengths: Array) -> Array:
    """Returns the weights of the two states that an alignment may end in, `[2, batch]`."""

    def pick(weights: Array) -> Array:
        # Behind all labels of the row, [batch].
        return jnp.take_along_axis(weights, label_lengths[:, None], axis=1)[:, 0]

    # At the last label; without labels there is no such state.
    last = jnp.pad(state.at, ((0, 0), (1, 0)), constant_values=-jnp.inf)
    return jnp.stack([pick(state.between), pick(last)])


def _shares(occupied: Lattice) -> Lattice:
    """Returns log-weights as shares of each frame's sum, so that no rounding adds up over time."""
    # The greatest of each frame, [time, batch]: a frame without an alignment has none.
    offset = _finite(_highest(occupied))[..., None]
    # Between 0 and 1, and over both kinds of states their sum, [time, batch, 1].
    weights = jax.tree.map(lambda leaf: jnp.exp(leaf - offset), occupied)
    total = weights.between.sum(-1, keepdims=True) + weights.at.sum(-1, keepdims=True)
    total = jnp.where(total == 0, 1, total)
    return jax.tree.map(lambda leaf: leaf / total, weights)


def _logsum(a: Array, b: Array) -> Array:
    """Returns `log(exp(a) + exp(b))`, also where both are minus infinity."""
    # Only the smaller one is raised to a power: it cannot overflow.
    highest, least = jnp.maximum(a, b), jnp.minimum(a, b)
    return highest + jnp.log1p(jnp.exp(least - _finite(highest)))


def _logsum3(a: Array, b: Array, c: Array) -> Array:
    """Does the same of three, with two exponentials: the greatest has the weight 1."""
    highest, least = jnp.maximum(jnp.maximum(a, b), c), jnp.minimum(jnp.minimum(a, b), c)
    middle = jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))
    offset = _finite(highest)
    return highest + jnp.log1p(jnp.exp(middle - offset) + jnp.exp(least - offset))


def _finite(values: Array) -> Array:
    """Returns 0 for minus infinity, which may not be subtracted from itself."""
    return jnp.where(jnp.isneginf(values), 0, values)
