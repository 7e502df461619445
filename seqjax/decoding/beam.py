"""Beam search: the best sequences of a model that predicts the next token, with what it saw while it wrote them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.decoding.penalties import bound, penalise
from seqjax.decoding.rules import as_arguments
from seqjax.losses.masked import length_mask
from seqjax.recurrence import select
from seqjax.typing import KeyArray, State

Step = Callable[[Any, State, Array], tuple[State, Array]]


class Beams(NamedTuple):
    """The best hypotheses of each row, best first.

    Attributes:
      tokens: `[batch, n, length]`; the stop token again after a hypothesis's end.
      lengths: tokens of each, the stop token counted, `[batch, n]`.
      scores: log-probabilities after the penalties, `[batch, n]`.
      log_probs: log-probabilities, in nats, `[batch, n]`; minus infinity where the constraints left
        nothing to write.
      ended: whether a hypothesis has its stop token; those without, cut off at `length`, come last,
        `[batch, n]`.
      observed: what `observe` gave at each token, leaves `[batch, n, length, ...]`, 0 after the
        end; or None.
    """

    tokens: Int[Array, "batch n length"]
    lengths: Int[Array, "batch n"]
    scores: Float[Array, "batch n"]
    log_probs: Float[Array, "batch n"]
    ended: Array
    observed: Any


class _Beam(NamedTuple):
    """The search at one moment: leaves `[batch, beam, ...]`. A hypothesis that has ended keeps its place."""

    tokens: Array
    log_probs: Array
    ranks: Array  # what the choice goes by: log-probabilities, or perturbed ones
    lengths: Array
    ended: Array
    observed: Any  # the sum over the steps


def beam_search(
    step: Step,
    params: Any,
    state: State,
    first: ArrayLike,
    *,
    beam: int,
    length: int,
    stop_token: ArrayLike,
    n_best: int = 1,
    penalties: Sequence[Callable] = (),
    constraints: Sequence[Callable] = (),
    observe: Callable[[State], Any] | None = None,
    groups: int = 1,
    diversity: ArrayLike = 0.5,
    key: KeyArray | None = None,
) -> Beams:
    """Searches for the most probable sequences, in one compiled program.

    At each step the best continuations of the hypotheses at hand are kept, `beam` in all; one that
    has ended keeps its place. A beam of 1 is greedy; one with a place for every sequence is exact.
    A row is done when no growing hypothesis can, by the penalties' bounds, beat its `n_best` ended
    ones; the search ends when all rows are done.

    Args:
      step: `step(params, state, tokens [batch]) -> (state, logits [batch, vocab])`, as in `sample`.
        It runs under `vmap` over the beam, so `params`, and an encoder's memory in it, are not
        copied. The program is compiled once for each step function and shape.
      params: what `step` takes first and all hypotheses of a row share, any pytree.
      state: the state before the first token, any pytree whose leaves begin with the batch axis.
      first: `[batch]`, the token that is read first, such as the beginning of a sentence.
      beam: hypotheses kept.
      length: tokens to write at most.
      stop_token: ends a hypothesis.
      n_best: hypotheses to return, at most `beam`.
      penalties: turn log-probabilities into scores, in order; see `LengthPenalty`,
        `CoveragePenalty`, and `Penalty` for those of one's own.
      constraints: forbid continuations, see `seqjax.decoding.constraints`: `MinLength`,
        `MaxLength`, `BanTokens`, `ForcePrefix`, `BlockNgrams`, or functions and objects like them.
      observe: a function of the state after a step, for example its attention. It is compiled in:
        name one function rather than write a new lambda for each call.
      groups: diverse beam search (Vijayakumar et al., 2018): so many groups share the beam, and
        each finds a token less attractive the more often the groups before it have taken it at this
        step. Two groups may still end with the same hypothesis.
      diversity: how much less, in nats for each time.
      key: stochastic beam search (Kool et al., 2019): the beam is a draw of sequences without
        replacement from the model instead of the best, and the hypotheses come in the order drawn.
        A row's draws do not depend on the rest of its batch.

    Returns:
      `Beams`.

    Raises:
      TypeError: a penalty or a constraint cannot be called, or holds what cannot be compiled in.
      ValueError: a size is out of its range, or `first` or `state` does not fit.

    Example, of a model that mostly counts up:
      >>> import jax, seqjax
      >>> step = lambda params, state, tokens: (state, params * jax.nn.one_hot(tokens + 1, 5))
      >>> found = seqjax.decoding.beam_search(
      ...     step, 3.0, jax.numpy.zeros(1), jax.numpy.zeros(1, int), beam=4, length=6, stop_token=4,
      ...     penalties=[seqjax.decoding.LengthPenalty(0.6)], constraints=[seqjax.decoding.BanTokens([1])])
      >>> found.tokens.tolist(), found.lengths.tolist()
      ([[[2, 3, 4, 4, 4, 4]]], [[3]])

    References:
      Graves, 2012; Sutskever et al., 2014.
    """
    first = jnp.asarray(first, jnp.int32)
    _check(first, state, beam, length, n_best, groups, key)
    penalties, constraints = (
        as_arguments("penalties", penalties),
        as_arguments("constraints", constraints),
    )
    return _search(
        step,
        params,
        state,
        first,
        beam,
        length,
        stop_token,
        n_best,
        penalties,
        constraints,
        observe,
        groups,
        diversity,
        key,
    )


@functools.partial(
    jax.jit, static_argnames=("step", "beam", "length", "n_best", "observe", "groups")
)
def _search(
    step,
    params,
    state,
    first,
    beam,
    length,
    stop_token,
    n_best,
    penalties,
    constraints,
    observe,
    groups,
    diversity,
    key,
):
    batch = first.shape[0]
    spread = lambda leaf: jnp.broadcast_to(leaf[:, None], (batch, beam, *leaf.shape[1:]))  # noqa: E731
    step = jax.vmap(step, in_axes=(None, 1, 1), out_axes=1)
    observe = jax.vmap(observe or (lambda state: None), in_axes=1, out_axes=1)
    keys = (
        None
        if key is None
        else jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(batch))
    )
    state, last = jax.tree.map(spread, state), spread(first)
    seen = jax.tree.map(
        jnp.zeros_like, jax.eval_shape(lambda: observe(step(params, state, last)[0]))
    )
    history = jax.tree.map(lambda leaf: jnp.zeros((length, *leaf.shape), leaf.dtype), seen)
    parents = jnp.broadcast_to(jnp.arange(beam), (length, batch, beam))
    # Each group begins with one hypothesis.
    alone = jnp.broadcast_to(
        jnp.where(jnp.arange(beam) % (beam // groups) == 0, 0.0, -jnp.inf), (batch, beam)
    )
    begin = _Beam(
        tokens=jnp.broadcast_to(jnp.asarray(stop_token, jnp.int32), (batch, beam, length)),
        log_probs=alone,
        ranks=alone,
        lengths=jnp.zeros((batch, beam), jnp.int32),
        ended=jnp.zeros((batch, beam), bool),
        observed=seen,
    )

    def advance(carry):
        t, state, last, found, done, parents, history = carry
        state, logits = step(params, state, last)
        scores = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
        scores = functools.reduce(
            lambda scores, rule: rule(scores, found.tokens, t), constraints, scores
        )
        totals = found.log_probs[..., None] + scores
        ranks = totals if keys is None else _perturb(keys, t, found.ranks, totals)
        kept = jnp.where(found.ended, jnp.inf if keys is None else found.ranks, -jnp.inf)[..., None]
        stops = jnp.arange(ranks.shape[-1]) == stop_token
        ranks = jnp.where(found.ended[..., None], jnp.where(stops, kept, -jnp.inf), ranks)
        parent, token, possible = _choose(ranks, found.ended, groups, diversity)
        pick = lambda scores: jnp.where(possible, _pick(scores, parent, token), -jnp.inf)  # noqa: E731

        seen = observe(state)
        old, news = _take((found, seen), parent)
        grown = _Beam(
            tokens=old.tokens.at[..., t].set(token),
            log_probs=pick(totals),
            ranks=pick(ranks),
            lengths=old.lengths + 1,
            ended=(token == stop_token) & possible,
            observed=jax.tree.map(jnp.add, old.observed, news),
        )
        found = select(done, found, select(old.ended & possible, old, grown))
        parent = jnp.where(done[:, None], jnp.arange(beam), parent)
        parents = lax.dynamic_update_index_in_dim(parents, parent, t, 0)
        history = jax.tree.map(
            lambda all, one: lax.dynamic_update_index_in_dim(all, one, t, 0), history, seen
        )
        done = _is_done(found, penalties, n_best, t + 1, length, keys is not None)
        return t + 1, _take(state, parent), token, found, done, parents, history

    carry = (jnp.int32(0), state, last, begin, jnp.zeros(batch, bool), parents, history)
    carry = lax.while_loop(lambda carry: (carry[0] < length) & ~carry[4].all(), advance, carry)
    return _best(carry[3], carry[5], carry[6], penalties, n_best, keys is not None)


def _choose(ranks, ended, groups, diversity):
    """The best continuations group by group, `[batch, beam]` each: places, tokens, and whether they are possible."""
    batch, beam, vocab = ranks.shape
    width = beam // groups
    ended = jnp.moveaxis(ended.reshape(batch, groups, width), 1, 0)
    ranks = jnp.moveaxis(ranks.reshape(batch, groups, width, vocab), 1, 0)

    def choose(taken, group):
        ranks, ended = group
        value, index = lax.top_k((ranks - diversity * taken[:, None]).reshape(batch, -1), width)
        place, token = index // vocab, index % vocab
        new = ~jnp.take_along_axis(ended, place, axis=1)
        taken = taken.at[jnp.arange(batch)[:, None], token].add(new.astype(taken.dtype))
        return taken, (place, token, value > -jnp.inf)

    if groups == 1:
        return choose(jnp.zeros((batch, 1)), (ranks[0], ended[0]))[1]
    _, (place, *rest) = lax.scan(choose, jnp.zeros((batch, vocab)), (ranks, ended))
    place = place + width * jnp.arange(groups)[:, None, None]
    return tuple(jnp.moveaxis(found, 0, 1).reshape(batch, beam) for found in (place, *rest))


def _perturb(keys, t, ranks, totals):
    """Gumbel variables around `totals [batch, beam, vocab]`, given that the greatest of each beam is `ranks`."""
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, t)
    drawn = totals + jax.vmap(lambda key: jax.random.gumbel(key, totals.shape[1:], totals.dtype))(
        keys
    )
    possible, ranks = totals > -jnp.inf, ranks[..., None]
    drawn = jnp.where(possible, drawn, -jnp.inf)
    greatest = drawn.max(-1, keepdims=True)
    safe = lambda values: jnp.where(possible, values, 0.0)  # noqa: E731
    below = safe(ranks) - safe(drawn) + jnp.log(-jnp.expm1(safe(drawn) - safe(greatest)))
    # Kool et al., 2019, appendix B.3: stable where the greatest is far away.
    shifted = safe(ranks) - jnp.maximum(below, 0) - jnp.log1p(jnp.exp(-jnp.abs(below)))
    return jnp.where(possible, shifted, -jnp.inf)


def _is_done(found, penalties, n_best, t, length, drawn):
    """Whether nothing that still grows can come among a row's n best, `[batch]`."""
    growing = ~found.ended & (found.log_probs > -jnp.inf)
    if drawn:
        return ~growing.any(-1)
    scores = penalise(penalties, found.log_probs, found.lengths, found.observed)
    worst = lax.top_k(jnp.where(found.ended, scores, -jnp.inf), n_best)[0][:, -1:]
    hopes = bound(penalties, found.log_probs, t + 1, length)
    return ~(growing & (hopes > worst)).any(-1)


def _best(found, parents, history, penalties, n_best, drawn):
    """The n best hypotheses in order, and what was observed along each."""
    scores = penalise(penalties, found.log_probs, found.lengths, found.observed)
    order = (-found.ranks,) if drawn else (-scores, ~found.ended)
    place = jnp.lexsort(order, axis=-1)[:, :n_best]

    def back(place, inputs):
        parent, seen = inputs
        place = _take(parent, place)
        return place, _take(seen, place)

    _, observed = lax.scan(back, place, (parents, history), reverse=True)
    found, scores = _take((found, scores), place)
    written = length_mask(found.lengths, found.tokens.shape[-1])
    observed = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 2), observed)
    observed = select(written, observed, jax.tree.map(jnp.zeros_like, observed))
    return Beams(found.tokens, found.lengths, scores, found.log_probs, found.ended, observed)


def _pick(scores, place, token):
    """The entries of `scores [batch, beam, vocab]` at places and tokens `[batch, beam]`."""
    index = place * scores.shape[-1] + token
    return jnp.take_along_axis(scores.reshape(len(scores), -1), index, axis=1)


def _take(tree, place):
    """The leaves `[batch, beam, ...]` at `place [batch, n]` of their beam."""
    return jax.tree.map(lambda leaf: jax.vmap(lambda row, index: row[index])(leaf, place), tree)


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """A step that several models of one kind take together: the mean of their probabilities.

    Its params are the members' stacked on a first axis, `[members, ...]`, and its state theirs
    stacked behind the batch, `[batch, members, ...]`. It is a step for `beam_search` and `sample`
    like any other.

    Attributes:
      step: of one member.

    Example, of three language models:
      >>> import jax, seqjax
      >>> from jax import numpy as jnp
      >>> model = seqjax.models.LanguageModel(5, 4, seqjax.GRU(8))
      >>> members = [model.init(jax.random.key(i), jnp.zeros((1, 1), int))["params"] for i in range(3)]
      >>> params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
      >>> states = [model.start(member, (2,)) for member in members]
      >>> state = jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *states)
      >>> found = seqjax.decoding.beam_search(
      ...     seqjax.decoding.Ensemble(model.advance), params, state, jnp.zeros(2, int), beam=4, length=6, stop_token=1)
      >>> found.tokens.shape
      (2, 1, 6)
    """

    step: Step

    def __call__(self, params: Any, state: State, tokens: Array) -> tuple[State, Array]:
        """One token of each row: the members' states, and the logarithm of their mean probabilities."""
        state, logits = jax.vmap(self.step, in_axes=(0, 1, None), out_axes=(1, 0))(
            params, state, tokens
        )
        log_probs = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
        return state, jax.nn.logsumexp(log_probs, axis=0) - jnp.log(logits.shape[0])


def _check(first, state, beam, length, n_best, groups, key):
    if first.ndim != 1:
        raise ValueError(f"first has shape {first.shape}; give one token for each row, [batch]")
    for leaf in jax.tree.leaves(state):
        if jnp.shape(leaf)[:1] != first.shape:
            raise ValueError(
                f"a leaf of the state has shape {jnp.shape(leaf)}; it must begin with the batch, {first.shape[0]}"
            )
    for name, value in (("beam", beam), ("length", length), ("n_best", n_best), ("groups", groups)):
        if value < 1:
            raise ValueError(f"{name} is {value}; give at least 1")
    if n_best > beam:
        raise ValueError(f"n_best is {n_best}; a beam of {beam} has no more than {beam} hypotheses")
    if beam % groups:
        raise ValueError(f"a beam of {beam} does not divide into {groups} groups; give a multiple")
    if key is not None and groups > 1:
        raise ValueError("a drawn beam has no groups; give key= or groups=, not both")
