"""Prefix beam search: the most probable texts, each the sum of its alignments."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, UInt32

from seqjax.checks import broadcasts, checked_lengths
from seqjax.decoding.ctc.automata import Automaton
from seqjax.losses.ctc_arrays import checked_logits
from seqjax.losses.masked import length_mask
from seqjax.recurrence import select


class Prefixes(NamedTuple):
    """Best texts of each row, the best first.

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
    """Prefixes of one row: leaves `[beam, ...]`; a place not taken weighs minus infinity.

    A prefix is known by its length and its name, 64 bits that `_named` makes token by token, so
    that a frame costs the same however long the prefixes are. Prefixes that differ in one token
    never share a name; others of one length share it once in 2^64 pairs, which are 10^12 rows of
    2,000 frames and a beam of 64.
    """

    name: Array  # uint32 [beam, 2]
    before: Array  # the name of the prefix without its last token, uint32 [beam, 2]
    lengths: Array  # its tokens
    last: Array  # its last token, `blank` of the empty prefix
    in_blank: Array  # log-weight of its alignments that end in a blank
    in_last: Array  # of those that end in its last token
    state: Array  # of the language model
    extra: Array  # what the language model and the bonus add

    def total(self) -> Float[Array, " beam"]:
        """Returns the log-weight of all alignments."""
        return jnp.logaddexp(self.in_blank, self.in_last)


class _Move(NamedTuple):
    """How the prefixes of a frame came about, `[beam]` each: texts are read from it in the end."""

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
    """Searches for the most probable texts, in one compiled program.

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
      >>> logits = jax.numpy.log(jax.numpy.array([[[0.6, 0.4], [0.6, 0.4]]]))
      >>> found = seqjax.decoding.ctc.beam(logits, n_best=2)
      >>> found.lengths.tolist(), [round(float(p), 2) for p in jax.numpy.exp(found.log_probs[0])]
      ([[1, 0]], [0.64, 0.36])

    References:
      Graves and Jaitly, 2014; Hannun et al., 2014.
    """
    logits = checked_logits(logits, blank)
    batch, time, alphabet = logits.shape
    if beam < 1 or not 1 <= n_best <= beam:
        raise ValueError(
            f"beam is {beam} and n_best {n_best}; "
            "give a beam of at least 1 and n_best from 1 to beam"
        )
    if language_model is not None and language_model.moves.shape[1] != alphabet:
        raise ValueError(
            f"the language model reads {language_model.moves.shape[1]} symbols "
            f"and the logits have {alphabet}; make it from the model's alphabet, blank included"
        )
    lengths = checked_lengths(lengths, (batch,), time)
    return _search(logits, lengths, language_model, weight, bonus, blank, beam, n_best)


@functools.partial(jax.jit, static_argnames=("blank", "beam", "n_best"))
@broadcasts
def _search(
    logits: Float[Array, "batch time alphabet"],
    lengths: Int[Array, " batch"],
    language_model: Automaton | None,
    weight: ArrayLike,
    bonus: ArrayLike,
    blank: int,
    beam: int,
    n_best: int,
) -> Prefixes:
    valid = length_mask(lengths, logits.shape[1])
    # [batch, time, alphabet]; the padding may hold anything.
    log_probs = jax.nn.log_softmax(jnp.where(valid[..., None], logits, 0))

    def row(log_probs: Float[Array, "time alphabet"], valid: Bool[Array, " time"]) -> Prefixes:
        # In a frame of padding each prefix keeps its place and its text.
        stay = _Move(jnp.arange(beam, dtype=jnp.int32), jnp.full(beam, blank, jnp.int32))

        def advance(found: _Beam, inputs: tuple[Array, Array]) -> tuple[_Beam, _Move]:
            log_probs, valid = inputs  # [alphabet], []
            after = _advance(found, log_probs, language_model, weight, bonus, blank)
            return select(valid, after, (found, stay))

        # moves [time, beam]
        found, moves = lax.scan(advance, _begin(beam, blank, log_probs.dtype), (log_probs, valid))
        # [beam]: alignments, and what language model and bonus have added on the way.
        ranks = found.total() + found.extra
        if language_model is not None:
            # The text ends here.
            ranks = ranks + _weigh(weight, language_model.ends[found.state])
        scores, place = lax.top_k(ranks, n_best)
        texts = _read(moves, place, blank)
        return Prefixes(texts, found.lengths[place], scores, found.total()[place])

    return jax.vmap(row)(log_probs, valid)


def _begin(beam: int, blank: int, dtype: np.dtype) -> _Beam:
    """Returns the beam before the first frame: the empty prefix alone, which is in a blank."""
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


def _advance(
    found: _Beam,
    log_probs: Float[Array, " alphabet"],
    language_model: Automaton | None,
    weight: ArrayLike,
    bonus: ArrayLike,
    blank: int,
) -> tuple[_Beam, _Move]:
    """Returns the best prefixes after one more frame, and how they came about."""
    beam, alphabet = len(found.last), len(log_probs)
    total, symbols = found.total(), jnp.arange(alphabet)

    # [beam, alphabet]: the log-weight of each prefix with each token behind it. A token that
    # repeats the last one is a new one only behind a blank.
    repeats = symbols == found.last[:, None]
    before = jnp.where(repeats, found.in_blank[:, None], total[:, None])
    grown = jnp.where(symbols == blank, -jnp.inf, before + log_probs)

    # [beam, alphabet]: what that adds to the score besides.
    added = jnp.full((beam, alphabet), bonus, grown.dtype)
    if language_model is not None:
        added = added + _weigh(weight, language_model.scores[found.state])

    # A prefix that grows into one at hand joins its alignments, [beam], and is none of its own.
    parents = _parents(found, total)
    joins = jnp.where(parents, grown[:, found.last], -jnp.inf).max(0)
    joined = jnp.where(parents, -jnp.inf, jnp.inf)
    grown = grown.at[jnp.arange(beam)[:, None], found.last].min(joined)

    # A prefix stays by a blank, or by its last token once more.
    stayed = found._replace(
        in_blank=total + log_probs[blank],
        in_last=jnp.logaddexp(found.in_last + log_probs[found.last], joins),
    )

    # The best of [beam + beam * alphabet]: those that stay, and behind them those that grow.
    stays = stayed.total() + found.extra
    grows = grown + added + found.extra[:, None]
    _, chosen = lax.top_k(jnp.concatenate([stays, grows.ravel()]), beam)
    # Each [beam]: whether it grew, from which place, and by which token.
    is_grown = chosen >= beam
    parent = jnp.where(is_grown, (chosen - beam) // alphabet, chosen)
    token = (chosen - beam) % alphabet

    # What stayed, at its new place, and what grew out of it: leaves [beam, ...].
    old = jax.tree.map(lambda leaf: leaf[parent], stayed)
    state = old.state
    if language_model is not None:
        state = language_model.moves[old.state, token]
    new = _Beam(
        name=_named(old.name, token),
        before=old.name,
        lengths=old.lengths + 1,
        last=token,
        # It ends in the token that it grew by.
        in_blank=jnp.full_like(total, -jnp.inf),
        in_last=grown[parent, token],
        state=state,
        extra=old.extra + added[parent, token],
    )
    return select(is_grown, new, old), _Move(parent, jnp.where(is_grown, token, blank))


def _named(name: UInt32[Array, "beam 2"], token: Int[Array, " beam"]) -> UInt32[Array, "beam 2"]:
    """Returns the names of prefixes with one more token.

    Each half is a one-to-one function of the half before for a given token, and of the token for a
    given half: what differs keeps differing under the same tokens. Multiplications by odd numbers
    and shifts mix it (Appleby, 2008, the finaliser of MurmurHash3).
    """
    # One odd number for each half, [1, 2].
    spread = jnp.array([[0x9E3779B1, 0x85EBCA77]], jnp.uint32)
    first = jnp.array([[0x85EBCA6B, 0x7FEB352D]], jnp.uint32)
    second = jnp.array([[0xC2B2AE35, 0x846CA68B]], jnp.uint32)
    # [beam, 2]; a token of 0 must change the name too.
    mixed = name ^ ((token[:, None].astype(jnp.uint32) + 1) * spread)
    mixed = (mixed ^ (mixed >> 16)) * first
    mixed = (mixed ^ (mixed >> 13)) * second
    return mixed ^ (mixed >> 16)


def _parents(found: _Beam, total: Float[Array, " beam"]) -> Bool[Array, "beam beam"]:
    """Tells where the prefix of the row is that of the column without its last token."""
    shorter = found.lengths[:, None] + 1 == found.lengths
    # [beam, beam]: both halves of the names agree.
    same = (found.name[:, None] == found.before).all(-1)
    # A place that is not taken may have the name of one that is.
    return shorter & same & (total > -jnp.inf)


def _read(moves: _Move, place: Int[Array, " n"], blank: int) -> Int[Array, "n time"]:
    """Reads the tokens of the prefixes at `place`: their moves, back from the last frame."""
    time, count = len(moves.token), len(place)

    def back(place: Array, move: _Move) -> tuple[Array, Array]:
        return move.parent[place], move.token[place]

    # tokens [time, n], each in the frame in which its prefix grew by it.
    _, tokens = lax.scan(back, place, moves, reverse=True)
    grew = tokens != blank
    # Where each goes in its text; beyond the end, so nowhere, where the prefix stayed.
    places = jnp.where(grew, grew.cumsum(0) - 1, time)
    texts = jnp.full((time, count), blank, jnp.int32)
    return texts.at[places, jnp.arange(count)].set(tokens, mode="drop").T


def _weigh(weight: ArrayLike, scores: Array) -> Array:
    """Multiplies the scores; what they forbid stays forbidden, also by a weight of 0."""
    forbidden = jnp.isneginf(scores)
    return jnp.where(forbidden, -jnp.inf, weight * jnp.where(forbidden, 0, scores))
