"""Prefix beam search: the most probable texts, each the sum of its alignments."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.checks import broadcasts, checked_lengths
from seqjax.decoding.ctc.automata import Automaton
from seqjax.losses.ctc import checked_logits
from seqjax.losses.masked import length_mask
from seqjax.recurrence import select


class Prefixes(NamedTuple):
    """The best texts of each row, best first.

    Attributes:
      tokens: int32 `[batch, n, time]`; `blank` behind the end.
      lengths: tokens of each, `[batch, n]`.
      scores: what the search ranked by, `[batch, n]`; minus infinity where fewer texts were found.
      log_probs: of the alignments that the search kept, summed, in nats, `[batch, n]`.
    """

    tokens: Int[Array, "batch n time"]
    lengths: Int[Array, "batch n"]
    scores: Float[Array, "batch n"]
    log_probs: Float[Array, "batch n"]


class _Beam(NamedTuple):
    """The prefixes of one row: leaves `[beam, ...]`. A place that is not taken has weights of minus infinity.

    A prefix is known by its length and its name, 64 bits that `_named` makes token by token, so
    that a frame costs the same however long the prefixes are. Prefixes that differ in one token
    never share a name; others of one length share it once in 2^64 pairs, which are 10^12 rows of
    2,000 frames and a beam of 64.
    """

    name: Array  # uint32 [beam, 2]
    before: Array  # the name of the prefix without its last token, uint32 [beam, 2]
    lengths: Array
    last: Array  # its last token, `blank` of the empty prefix
    in_blank: Array  # log-weight of its alignments that end in a blank
    in_last: Array  # of those that end in its last token
    state: Array  # of the language model
    extra: Array  # what the language model and the bonus add

    def total(self):
        """Log-weight of all alignments."""
        return jnp.logaddexp(self.in_blank, self.in_last)


class _Move(NamedTuple):
    """How the prefixes of a frame came about, `[beam]` each: what a text is read from in the end."""

    parent: Array  # the place of the prefix at the frame before
    token: Array  # what it grew by, `blank` where it stayed


def beam(
    logits: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    beam: int = 16,
    n_best: int = 1,
    language_model: Automaton | None = None,
    weight: ArrayLike = 0.5,
    bonus: ArrayLike = 0.0,
) -> Prefixes:
    """Searches for the most probable texts, in one compiled program (Graves and Jaitly, 2014; Hannun et al., 2014).

        score(text) = log p(text | frames) + weight * language_model(text) + bonus * length(text)

    At each frame every prefix stays (a blank, or its last token once more) or grows by a token;
    where one prefix grows into another one that is at hand, their alignments are summed; the best
    are kept, `beam` in all. A beam with a place for every text is exact.

    Args:
      logits: `[batch, time, alphabet]` scores, or log-probabilities.
      lengths: valid frames of each row, `[batch]`; None when all are. Under jit clamped to the
        frames.
      blank: the symbol that writes nothing.
      beam: prefixes kept.
      n_best: texts to return, at most `beam`.
      language_model: an `Automaton` over the same alphabet: a language model, a lexicon, hot words,
        or several joined. It reads the text token by token and counts at its end too.
      weight: of the language model. What it forbids stays forbidden whatever the weight.
      bonus: nats for each token; makes up for a language model that likes short texts.

    Returns:
      `Prefixes`.

    Raises:
      TypeError: the logits are no floating-point numbers.
      ValueError: a size is out of its range, a shape does not fit, or the language model has
        another alphabet.

    Example, where the best text is not that of the best alignment (two blanks, with 0.36):
      >>> import jax, seqjax
      >>> found = seqjax.decoding.ctc.beam(jax.numpy.log(jax.numpy.array([[[0.6, 0.4], [0.6, 0.4]]])), n_best=2)
      >>> found.lengths.tolist(), [round(float(p), 2) for p in jax.numpy.exp(found.log_probs[0])]
      ([[1, 0]], [0.64, 0.36])
    """
    logits = checked_logits(logits, blank)
    batch, time, alphabet = logits.shape
    if beam < 1 or not 1 <= n_best <= beam:
        raise ValueError(
            f"beam is {beam} and n_best {n_best}; give a beam of at least 1 and n_best from 1 to beam"
        )
    if language_model is not None and language_model.moves.shape[1] != alphabet:
        raise ValueError(
            f"the language model reads {language_model.moves.shape[1]} symbols and the logits have {alphabet}; "
            "make it from the model's alphabet, blank included"
        )
    lengths = checked_lengths(lengths, (batch,), time)
    return _search(logits, lengths, language_model, weight, bonus, blank, beam, n_best)


@functools.partial(jax.jit, static_argnames=("blank", "beam", "n_best"))
@broadcasts
def _search(logits, lengths, language_model, weight, bonus, blank, beam, n_best):
    valid = length_mask(lengths, logits.shape[1])
    log_probs = jax.nn.log_softmax(jnp.where(valid[..., None], logits, 0))

    def row(log_probs, valid):
        stay = _Move(jnp.arange(beam, dtype=jnp.int32), jnp.full(beam, blank, jnp.int32))

        def advance(found, inputs):
            log_probs, valid = inputs
            return select(
                valid,
                _advance(found, log_probs, language_model, weight, bonus, blank),
                (found, stay),
            )

        found, moves = lax.scan(advance, _begin(beam, blank, log_probs.dtype), (log_probs, valid))
        ends = 0 if language_model is None else _weigh(weight, language_model.ends[found.state])
        scores, place = lax.top_k(found.total() + found.extra + ends, n_best)
        return Prefixes(
            _read(moves, place, blank), found.lengths[place], scores, found.total()[place]
        )

    return jax.vmap(row)(log_probs, valid)


def _begin(beam, blank, dtype):
    """The empty prefix alone."""
    nothing, zeros = jnp.full(beam, -jnp.inf, dtype), jnp.zeros(beam, jnp.int32)
    no_name = jnp.zeros((beam, 2), jnp.uint32)
    return _Beam(
        name=no_name,
        before=no_name,
        lengths=zeros,
        last=zeros + blank,
        in_blank=nothing.at[0].set(0),
        in_last=nothing,
        state=zeros,
        extra=jnp.zeros(beam, dtype),
    )


def _advance(found, log_probs, language_model, weight, bonus, blank):
    """The best prefixes after one more frame, `log_probs [alphabet]`, and how they came about."""
    beam, alphabet = len(found.last), len(log_probs)
    total, symbols = found.total(), jnp.arange(alphabet)
    # A token that repeats the last one is a new one only behind a blank.
    grown = (
        jnp.where(symbols == found.last[:, None], found.in_blank[:, None], total[:, None])
        + log_probs
    )
    grown = jnp.where(symbols == blank, -jnp.inf, grown)
    added = jnp.full((beam, alphabet), bonus, grown.dtype)
    if language_model is not None:
        added = added + _weigh(weight, language_model.scores[found.state])
    parents = _parents(found, total)
    joins = jnp.where(parents, grown[:, found.last], -jnp.inf).max(0)
    grown = grown.at[jnp.arange(beam)[:, None], found.last].min(
        jnp.where(parents, -jnp.inf, jnp.inf)
    )
    stayed = found._replace(
        in_blank=total + log_probs[blank],
        in_last=jnp.logaddexp(found.in_last + log_probs[found.last], joins),
    )
    ranks = jnp.concatenate(
        [stayed.total() + found.extra, (grown + added + found.extra[:, None]).ravel()]
    )
    _, chosen = lax.top_k(ranks, beam)
    grows = chosen >= beam
    parent, token = (
        jnp.where(grows, (chosen - beam) // alphabet, chosen),
        (chosen - beam) % alphabet,
    )
    stayed = jax.tree.map(lambda leaf: leaf[parent], stayed)
    kept = select(
        grows,
        _Beam(
            name=_named(stayed.name, token),
            before=stayed.name,
            lengths=stayed.lengths + 1,
            last=token,
            in_blank=jnp.full_like(total, -jnp.inf),
            in_last=grown[parent, token],
            state=stayed.state
            if language_model is None
            else language_model.moves[stayed.state, token],
            extra=stayed.extra + added[parent, token],
        ),
        stayed,
    )
    return kept, _Move(parent, jnp.where(grows, token, blank))


def _named(name, token):
    """The names `[beam, 2]` of prefixes with one more token, `[beam]`.

    Each half is a one-to-one function of the half before for a given token, and of the token for a
    given half: what differs keeps differing under the same tokens. Multiplications by odd numbers
    and shifts mix it (Appleby, 2008, the finaliser of MurmurHash3).
    """
    spread = jnp.array([0x9E3779B1, 0x85EBCA77], jnp.uint32)
    first, second = (
        jnp.array([0x85EBCA6B, 0x7FEB352D], jnp.uint32),
        jnp.array([0xC2B2AE35, 0x846CA68B], jnp.uint32),
    )
    mixed = name ^ ((token[:, None].astype(jnp.uint32) + 1) * spread)
    mixed = (mixed ^ (mixed >> 16)) * first
    mixed = (mixed ^ (mixed >> 13)) * second
    return mixed ^ (mixed >> 16)


def _parents(found, total):
    """`[beam, beam]`, True where the prefix of the row is that of the column without its last token."""
    shorter = found.lengths[:, None] + 1 == found.lengths
    same = (found.name[:, None] == found.before).all(-1)
    # A place that is not taken may have the name of one that is.
    return shorter & same & (total > -jnp.inf)


def _read(moves, place, blank):
    """The tokens `[n, time]` of the prefixes at `place [n]`: their moves, followed back from the last frame."""
    time, count = len(moves.token), len(place)

    def back(place, move):
        return move.parent[place], move.token[place]

    # tokens [time, n], each in the frame in which its prefix grew by it.
    _, tokens = lax.scan(back, place, moves, reverse=True)
    grew = tokens != blank
    places = jnp.where(grew, grew.cumsum(0) - 1, time)
    texts = jnp.full((time, count), blank, jnp.int32)
    return texts.at[places, jnp.arange(count)].set(tokens, mode="drop").T


def _weigh(weight, scores):
    return jnp.where(
        jnp.isneginf(scores), -jnp.inf, weight * jnp.where(jnp.isneginf(scores), 0, scores)
    )
