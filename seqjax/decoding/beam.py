"""Beam search: the best sequences of a model that predicts the next token, and what it saw."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.decoding.choice import choose, keep_ended, perturb
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
    """Holds the search at one moment, leaves `[batch, beam, ...]`; what has ended keeps its place."""

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
      ...     step, 3.0, jax.numpy.zeros(1), jax.numpy.zeros(1, int), beam=4, length=6,
      ...     stop_token=4, penalties=[seqjax.decoding.LengthPenalty(0.6)],
      ...     constraints=[seqjax.decoding.BanTokens([1])])
      >>> found.tokens.tolist(), found.lengths.tolist()
      ([[[2, 3, 4, 4, 4, 4]]], [[3]])

    References:
      Graves, 2012; Sutskever et al., 2014.
    """
    first = jnp.asarray(first, jnp.int32)
    _check(first, state, beam, length, n_best, groups, key)
    penalties = as_arguments("penalties", penalties)
    constraints = as_arguments("constraints", constraints)
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


class _Carry(NamedTuple):
    """What the loop over tokens hands on; all but `t` begin with the batch or with time."""

    t: Array  # tokens written so far, []
    state: Any  # of the model, leaves [batch, beam, ...]
    last: Array  # the token written last, [batch, beam]
    found: _Beam
    done: Array  # rows whose best hypotheses are settled, [batch]
    parents: Array  # the place in the beam that each hypothesis came from, [length, batch, beam]
    history: Any  # what was observed at each step, leaves [length, batch, beam, ...]


@functools.partial(
    jax.jit, static_argnames=("step", "beam", "length", "n_best", "observe", "groups")
)
def _search(
    step: Step,
    params: Any,
    state: Any,
    first: Array,
    beam: int,
    length: int,
    stop_token: Any,
    n_best: int,
    penalties: Sequence[Callable],
    constraints: Sequence[Callable],
    observe: Callable | None,
    groups: int,
    diversity: Any,
    key: Any,
) -> Beams:
    batch = first.shape[0]
    drawn = key is not None
    keys = None
    if drawn:
        # A row's draws do not depend on the other rows.
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(batch))
    # The model reads [batch] tokens; over the beam it is mapped, and params are not copied.
    step = jax.vmap(step, in_axes=(None, 1, 1), out_axes=1)
    observe = jax.vmap(observe or (lambda state: None), in_axes=1, out_axes=1)

    def spread(leaf: Array) -> Array:
        return jnp.broadcast_to(leaf[:, None], (batch, beam, *leaf.shape[1:]))

    # Every hypothesis begins where its row does: leaves [batch, beam, ...].
    state, last = jax.tree.map(spread, (state, first))
    shapes = jax.eval_shape(lambda: observe(step(params, state, last)[0]))
    nothing_seen = jax.tree.map(jnp.zeros_like, shapes)

    def write(carry: _Carry) -> _Carry:
        """Writes one token of every hypothesis."""
        t, found = carry.t, carry.found
        state, logits = step(params, carry.state, carry.last)
        # [batch, beam, vocab]: the log-probability of each token, under the constraints.
        wide = jnp.promote_types(logits.dtype, jnp.float32)
        scores = jax.nn.log_softmax(logits.astype(wide))
        for constraint in constraints:
            scores = constraint(scores, found.tokens, t)
        # That of the hypothesis with each token; drawn beams perturb what the choice goes by.
        totals = found.log_probs[..., None] + scores
        ranks = totals if keys is None else perturb(keys, t, found.ranks, totals)
        # What has ended comes before all that grow, but keeps its rank in a drawn beam.
        kept = found.ranks if drawn else jnp.full_like(found.ranks, jnp.inf)
        ranks = keep_ended(ranks, found.ended, kept, stop_token)
        parent, token, possible = choose(ranks, found.ended, groups, diversity)

        # The hypotheses that were chosen, at their new places, and what each of them saw.
        seen = observe(state)
        old, news = _take((found, seen), parent)
        grown = _Beam(
            tokens=old.tokens.at[..., t].set(token),
            log_probs=jnp.where(possible, _pick(totals, parent, token), -jnp.inf),
            ranks=jnp.where(possible, _pick(ranks, parent, token), -jnp.inf),
            lengths=old.lengths + 1,
            ended=(token == stop_token) & possible,
            observed=jax.tree.map(jnp.add, old.observed, news),
        )
        # What had ended stays as it was, and so does a row that is settled.
        chosen = select(old.ended & possible, old, grown)
        found = select(carry.done, found, chosen)
        # In a settled row each hypothesis comes from its own place.
        parent = jnp.where(carry.done[:, None], jnp.arange(beam)[None, :], parent)
        put = functools.partial(lax.dynamic_update_index_in_dim, index=t, axis=0)
        return _Carry(
            t=t + 1,
            state=_take(state, parent),
            last=token,
            found=found,
            done=_is_done(found, penalties, n_best, t + 1, length, drawn),
            parents=put(carry.parents, parent),
            history=jax.tree.map(put, carry.history, seen),
        )

    def goes_on(carry: _Carry) -> Array:
        return (carry.t < length) & ~carry.done.all()

    begin = _Carry(
        t=jnp.int32(0),
        state=state,
        last=last,
        found=_first_beam(batch, beam, length, groups, stop_token, nothing_seen),
        done=jnp.zeros(batch, bool),
        parents=jnp.broadcast_to(jnp.arange(beam), (length, batch, beam)),
        history=jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (length, *leaf.shape)), nothing_seen
        ),
    )
    end = lax.while_loop(goes_on, write, begin)
    return _best(end, penalties, n_best, drawn)


def _first_beam(
    batch: int, beam: int, length: int, groups: int, stop_token: Any, nothing_seen: Any
) -> _Beam:
    """The beam before the first token: each group begins with one hypothesis, of no tokens."""
    width = beam // groups
    # The first place of each group, [beam]; the others are not there yet.
    opens = jnp.arange(beam) % width == 0
    alone = jnp.broadcast_to(jnp.where(opens, 0.0, -jnp.inf), (batch, beam))
    stop = jnp.asarray(stop_token, jnp.int32)
    return _Beam(
        tokens=jnp.broadcast_to(stop, (batch, beam, length)),
        log_probs=alone,
        ranks=alone,
        lengths=jnp.zeros((batch, beam), jnp.int32),
        ended=jnp.zeros((batch, beam), bool),
        observed=nothing_seen,
    )


def _is_done(
    found: _Beam, penalties: Sequence[Callable], n_best: int, t: Any, length: int, drawn: bool
) -> Array:
    """Tells of each row whether nothing that still grows can come among its n best, `[batch]`."""
    # [batch, beam]; a place of minus infinity holds no hypothesis.
    growing = ~found.ended & (found.log_probs > -jnp.inf)
    if drawn:
        return ~growing.any(-1)
    scores = penalise(penalties, found.log_probs, found.lengths, found.observed)
    # The n-th best of those that have ended, [batch, 1], against the best that others may reach.
    finished = jnp.where(found.ended, scores, -jnp.inf)
    worst = lax.top_k(finished, n_best)[0][:, -1:]
    # What still grows has at least one token more.
    hopes = bound(penalties, found.log_probs, t + 1, length)
    return ~(growing & (hopes > worst)).any(-1)


def _best(end: _Carry, penalties: Sequence[Callable], n_best: int, drawn: bool) -> Beams:
    """Takes the n best hypotheses in order, and what was observed along each."""
    found = end.found
    scores = penalise(penalties, found.log_probs, found.lengths, found.observed)
    # Drawn ones in the order of the draw; else those that have ended first, each kind by score.
    order = (-found.ranks,) if drawn else (-scores, ~found.ended)
    place = jnp.lexsort(order, axis=-1)[:, :n_best]

    def back(place: Array, inputs: tuple[Array, Any]) -> tuple[Array, Any]:
        """Goes one step back along each hypothesis."""
        parent, seen = inputs
        place = _take(parent, place)
        return place, _take(seen, place)

    # From the last step to the first, leaves [length, batch, n, ...].
    _, observed = lax.scan(back, place, (end.parents, end.history), reverse=True)
    found, scores = _take((found, scores), place)
    written = length_mask(found.lengths, found.tokens.shape[-1])
    # [length, batch, n, ...] to [batch, n, length, ...], 0 after the end.
    observed = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 2), observed)
    observed = select(written, observed, jax.tree.map(jnp.zeros_like, observed))
    return Beams(found.tokens, found.lengths, scores, found.log_probs, found.ended, observed)


def _pick(scores: Array, place: Array, token: Array) -> Array:
    """Takes the entries of `scores [batch, beam, vocab]` at places and tokens `[batch, beam]`."""
    index = place * scores.shape[-1] + token
    return jnp.take_along_axis(scores.reshape(len(scores), -1), index, axis=1)


def _take(tree: Any, place: Array) -> Any:
    """Takes the leaves `[batch, beam, ...]` at `place [batch, n]` of their beam."""
    return jax.tree.map(lambda leaf: jax.vmap(lambda row, index: row[index])(leaf, place), tree)


def _check(
    first: Array, state: Any, beam: int, length: int, n_best: int, groups: int, key: Any
) -> None:
    if first.ndim != 1:
        raise ValueError(f"first has shape {first.shape}; give one token for each row, [batch]")
    for leaf in jax.tree.leaves(state):
        if jnp.shape(leaf)[:1] != first.shape:
            raise ValueError(
                f"a leaf of the state has shape {jnp.shape(leaf)}; "
                f"it must begin with the batch, {first.shape[0]}"
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
