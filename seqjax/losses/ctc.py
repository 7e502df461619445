"""Connectionist temporal classification: how likely frames spell a label, whatever the alignment."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.nn import logsumexp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.checks import broadcasts, checked_lengths
from seqjax.losses.masked import at_least_float32, length_mask, nan_unless


def ctc(
    logits: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike | None = None,
    label_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
) -> Float[Array, " batch"]:
    """Negative log-likelihood of labels under frames that are not aligned with them (Graves et al., 2006).

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
      >>> losses = seqjax.losses.ctc(logits, jax.numpy.array([[1, 2], [3, 3]]), label_lengths=jax.numpy.array([2, 1]))
      >>> jax.numpy.round(jax.numpy.exp(-losses) * 4**3).tolist()  # alignments of "1 2" and of "3" in three frames
      [5.0, 6.0]
    """
    *arrays, known = checked(logits, labels, lengths, label_lengths, blank)
    losses: Any = _ctc(blank, *arrays)
    losses = jnp.where(jnp.isinf(losses), 0, losses) if zero_infinity else losses
    return nan_unless(known, losses)


def ctc_frames(labels: ArrayLike, label_lengths: ArrayLike | None = None) -> Int[Array, " batch"]:
    """The fewest frames that each label can be written in, `[batch]`: its length and one blank for each repetition.

    Args:
      labels: `[batch, positions]` integers.
      label_lengths: valid labels of each row, `[batch]`; None when all are. Under jit clamped to
        the array.
    """
    labels = jnp.asarray(labels)
    positions = labels.shape[1]
    label_lengths = checked_lengths(label_lengths, (len(labels),), positions, "label_lengths")
    repeated = (labels[:, 1:] == labels[:, :-1]) & length_mask(
        label_lengths - 1, max(positions - 1, 0)
    )
    return label_lengths + repeated.sum(-1, dtype=label_lengths.dtype)


def focal(losses: ArrayLike, gamma: float) -> Float[Array, "..."]:
    """Weighs negative log-likelihoods by `(1 - p)^gamma`, so that rows already learnt count less (Lin et al., 2017).

    Args:
      losses: nats, `-log p`, of any shape; NaN stays NaN.
      gamma: at least 0, which changes nothing.

    Raises:
      ValueError: gamma is below 0.
    """
    if not isinstance(gamma, Tracer) and gamma < 0:
        raise ValueError(
            f"gamma is {gamma}; give at least 0, the power that rows already learnt are weighed down by"
        )
    losses = at_least_float32(losses)
    # 1 - exp(-0) is 0, where a power below 1 has no derivative.
    missing = -jnp.expm1(-jnp.maximum(losses, jnp.finfo(losses.dtype).tiny))
    return missing**gamma * losses


def uniform_cross_entropy(
    logits: ArrayLike, lengths: ArrayLike | None = None
) -> Float[Array, " batch"]:
    """Mean over a row's frames of the cross-entropy between the uniform distribution and the softmax, `[batch]` nats.

    The part that label smoothing adds to CTC:
    `(1 - s) * ctc(...) + s * uniform_cross_entropy(logits, lengths)`.

    Args:
      logits: `[batch, time, alphabet]`.
      lengths: valid frames of each row, `[batch]`; None when all are. Under jit clamped to the
        frames.

    Raises:
      TypeError: the logits are no floating-point numbers.
      ValueError: a shape does not fit, or a length is beyond its array.
    """
    logits = checked_logits(logits, blank=0)
    lengths = checked_lengths(lengths, logits.shape[:1], logits.shape[1])
    mask = length_mask(lengths, logits.shape[1])
    logits = jnp.where(mask[..., None], logits, 0)
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _ctc(blank, logits, labels, lengths, label_lengths):
    return _value(blank, logits, labels, lengths, label_lengths)


@broadcasts
def _value(blank, logits, labels, lengths, label_lengths):
    log_probs, emitted, valid = _seen(blank, logits, labels, lengths)
    end, _ = _run(_start(labels, 0, logits.dtype), emitted, valid, _skips(labels, blank))
    return jnp.maximum(-logsumexp(_ends(end, label_lengths), axis=0), 0)


@broadcasts
def _forward(blank, logits, labels, lengths, label_lengths):
    """Forwards and backwards in one loop: read from its end, a row is one more row of the same recursion."""
    log_probs, emitted, valid = _seen(blank, logits, labels, lengths)
    batch, positions = labels.shape
    twice = (
        _twice(emitted),
        jnp.concatenate([valid, valid[::-1]], 1),
        _twice_skips(_skips(labels, blank)),
    )
    ahead, back = (_start(labels, place, logits.dtype) for place in (0, positions - label_lengths))
    end, came = _run(jax.tree.map(lambda *both: jnp.concatenate(both), ahead, back), *twice)
    total = logsumexp(_ends(jax.tree.map(lambda a: a[:batch], end), label_lengths), axis=0)
    occupied = jax.tree.map(lambda a, e: a[:, :batch] + e + a[::-1, batch:, ::-1], came, emitted)
    return jnp.maximum(-total, 0), (log_probs, labels, valid, occupied, total)


@broadcasts
def _backward(blank, kept, d_losses):
    log_probs, labels, valid, occupied, total = kept
    between, at = _shares(occupied)
    shares = jnp.concatenate([between.sum(-1, keepdims=True), at], axis=-1)
    symbols = _behind_blank(labels, blank)
    scale = jnp.where(jnp.isfinite(total), d_losses, 0)[:, None, None] * valid.T[..., None].astype(
        total.dtype
    )
    softmax = scale * jnp.exp(log_probs)
    spread = jax.vmap(lambda gradient, share, symbols: gradient.at[:, symbols].add(-share))
    return spread(softmax, scale * jnp.moveaxis(shares, 0, 1), symbols), None, None, None


_ctc.defvjp(_forward, _backward)


def emissions(
    log_probs: Float[Array, "batch time alphabet"],
    labels: Int[Array, "batch positions"],
    blank: int,
) -> Lattice:
    """Log-probabilities of the blank, `[time, batch, 1]`, and of each label, `[time, batch, positions]`."""
    at = jnp.take_along_axis(log_probs, labels[:, None], axis=-1)
    return jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), Lattice(log_probs[..., blank, None], at))


def _behind_blank(labels, blank):
    return jnp.pad(labels, ((0, 0), (1, 0)), constant_values=blank)


def _skips(labels, blank):
    """Where a label may follow the one before without a blank."""
    return labels != _behind_blank(labels, blank)[:, :-1]


def _seen(blank, logits, labels, lengths):
    log_probs = jax.nn.log_softmax(logits)
    return log_probs, emissions(log_probs, labels, blank), length_mask(lengths, logits.shape[1]).T


def _twice(emitted):
    """The rows, and after them the same ones read from the last frame and the last position on."""
    return jax.tree.map(lambda a: jnp.concatenate([a, a[::-1, :, ::-1]], axis=1), emitted)


def _twice_skips(skips):
    """Read backwards, a skip leads to the label before; into the first one none does."""
    return jnp.concatenate([skips, jnp.pad(skips[:, :0:-1], ((0, 0), (min(1, skips.shape[1]), 0)))])


def _start(labels, written, dtype):
    """Before the first frame: `written` positions are behind, and no label is at hand."""
    here = jnp.arange(labels.shape[1] + 1) == jnp.reshape(written, (-1, 1))
    between = jnp.broadcast_to(
        jnp.where(here, 0, -jnp.inf).astype(dtype), (len(labels), labels.shape[1] + 1)
    )
    return Lattice(between, jnp.full(labels.shape, -jnp.inf, dtype))


def _run(start, emitted, valid, skips):
    """The states after the last frame, and those of each frame before what it says is added."""

    def advance(before, inputs):
        emitted, valid = inputs
        came = _arrive(before, skips)
        return _keep(valid, _add(emitted, came), before), came

    return lax.scan(advance, start, (emitted, valid))


def _arrive(before, skips):
    """The states of a frame from those of the frame before: stay, move on by one, or from label to another label."""
    came = jnp.pad(before.at, ((0, 0), (1, 0)), constant_values=-jnp.inf)
    jumped = jnp.where(skips, came[:, :-1], -jnp.inf)
    return Lattice(
        _logsum(before.between, came), _logsum3(before.at, before.between[:, :-1], jumped)
    )


def _ends(state, label_lengths):
    """The weights of the two states that an alignment may end in, `[2, batch]`."""
    last = jnp.pad(state.at, ((0, 0), (1, 0)), constant_values=-jnp.inf)
    pick = lambda a: jnp.take_along_axis(a, label_lengths[:, None], axis=1)[:, 0]  # noqa: E731
    return jnp.stack([pick(state.between), pick(last)])


def _shares(occupied):
    """Log-weights as shares of each frame's sum, taken frame by frame so that no rounding adds up over time."""
    highest = jnp.maximum(occupied.between.max(-1), occupied.at.max(-1, initial=-jnp.inf))[
        ..., None
    ]
    weights = jax.tree.map(
        lambda a: jnp.exp(a - jnp.where(jnp.isfinite(highest), highest, 0)), occupied
    )
    total = weights.between.sum(-1, keepdims=True) + weights.at.sum(-1, keepdims=True)
    return jax.tree.map(lambda a: a / jnp.where(total == 0, 1, total), weights)


def _logsum(a, b):
    """`log(exp(a) + exp(b))`, also where both are minus infinity."""
    highest, least = jnp.maximum(a, b), jnp.minimum(a, b)
    return highest + jnp.log1p(jnp.exp(least - _finite(highest)))


def _logsum3(a, b, c):
    """The same of three: two exponentials, for the greatest has the weight 1."""
    highest, least = jnp.maximum(jnp.maximum(a, b), c), jnp.minimum(jnp.minimum(a, b), c)
    middle = jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))
    offset = _finite(highest)
    return highest + jnp.log1p(jnp.exp(middle - offset) + jnp.exp(least - offset))


def _finite(values):
    """0 for minus infinity, which may not be subtracted from itself."""
    return jnp.where(jnp.isneginf(values), 0, values)


def _add(a, b):
    return jax.tree.map(jnp.add, a, b)


def _keep(valid, after, before):
    return jax.tree.map(lambda a, b: jnp.where(valid[:, None], a, b), after, before)


class Checked(NamedTuple):
    """What `ctc` and `align` compute with.

    Attributes:
      logits: float32 or wider, 0 in the padding, `[batch, time, alphabet]`.
      labels: int32, `blank` in the padding and where a symbol is not in the alphabet,
        `[batch, positions]`.
      lengths: int32 within the frames, `[batch]`.
      label_lengths: int32 within the positions, `[batch]`.
      known: False for rows with a label that is not in the alphabet or is the blank, `[batch]`.
    """

    logits: Array
    labels: Array
    lengths: Array
    label_lengths: Array
    known: Array


def checked(
    logits: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike | None,
    label_lengths: ArrayLike | None,
    blank: int,
) -> Checked:
    """The arrays of a loss or an alignment, refused where they do not fit; values under jit cannot be refused."""
    logits = checked_logits(logits, blank)
    labels = labels if isinstance(labels, Tracer) else np.asarray(labels)
    batch, time, alphabet = logits.shape
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels are {labels.dtype}; give integers [batch, positions]")
    if labels.ndim != 2 or len(labels) != batch:
        raise ValueError(
            f"labels have shape {labels.shape}; logits {logits.shape} want [{batch}, positions]"
        )
    positions = labels.shape[1]
    lengths = checked_lengths(lengths, (batch,), time)
    label_lengths = checked_lengths(label_lengths, (batch,), positions, "label_lengths")
    wrong = (labels < 0) | (labels >= alphabet) | (labels == blank)
    if not isinstance(labels, Tracer) and not isinstance(label_lengths, Tracer):
        given = labels[wrong & (np.arange(positions) < np.asarray(label_lengths)[:, None])]
        if given.size:
            raise ValueError(
                f"a label is {given[0]}; give symbols from 0 to {alphabet - 1} other than blank={blank}"
            )
    valid = length_mask(label_lengths, positions)
    labels = jnp.where(valid & ~wrong, jnp.asarray(labels, jnp.int32), blank)
    logits = jnp.where(length_mask(lengths, time)[..., None], logits, 0)
    return Checked(logits, labels, lengths, label_lengths, ~(valid & wrong).any(-1))


def checked_logits(logits: ArrayLike, blank: int) -> Float[Array, "batch time alphabet"]:
    """Logits, float32 or wider."""
    logits = jnp.asarray(logits)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"logits are {logits.dtype}; give floating-point scores [batch, time, alphabet]"
        )
    if logits.ndim != 3:
        raise ValueError(f"logits have shape {logits.shape}; give [batch, time, alphabet]")
    if not 0 <= blank < logits.shape[-1]:
        raise ValueError(
            f"blank is {blank}; give a symbol of the alphabet, from 0 to {logits.shape[-1] - 1}"
        )
    return at_least_float32(logits)
