"""Decoding of connectionist temporal classification: against enumeration of all alignments."""

import collections
import importlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from seqjax.decoding import ctc

pytestmark = pytest.mark.usefixtures("quick_compile")

beam = importlib.import_module(
    "seqjax.decoding.ctc.beam"
)  # of that name the package has a function


def spelt(path, blank=0):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def texts_of(log_probs):
    """Log-probability of every text and its best alignment, by enumeration of alignments of `[time, alphabet]`."""
    totals, best = collections.defaultdict(lambda: -np.inf), {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        score, text = sum(log_probs[t, k] for t, k in enumerate(path)), spelt(path)
        totals[text] = np.logaddexp(totals[text], score)
        best[text] = max(best.get(text, (-np.inf, ())), (score, path))
    return dict(totals), best


@pytest.fixture
def frames():
    logits = np.random.default_rng(3).normal(size=(3, 5, 3)).astype(np.float32) * 1.5
    return logits, np.array([5, 4, 0]), np.asarray(jax.nn.log_softmax(logits))


def test_greedy_spells_the_best_symbol_of_every_frame(frames):
    logits, lengths, log_probs = frames
    found = ctc.greedy(
        np.where(np.arange(5)[:, None] < lengths[:, None, None], logits, np.nan), lengths
    )
    for row, length in enumerate(lengths):
        assert tuple(found.tokens[row, : found.lengths[row]].tolist()) == spelt(
            log_probs[row, :length].argmax(-1)
        )
        np.testing.assert_allclose(
            found.log_probs[row], log_probs[row, :length].max(-1).sum(), rtol=1e-5
        )


def test_a_beam_with_room_for_all_is_exact(frames):
    logits, lengths, log_probs = frames
    found = ctc.beam(logits, lengths, beam=64, n_best=6)
    for row, length in enumerate(lengths):
        totals, _ = texts_of(log_probs[row, :length])
        ranked = sorted(totals.items(), key=lambda item: -item[1])[:6]
        for n, (text, total) in enumerate(ranked):
            assert tuple(found.tokens[row, n, : found.lengths[row, n]].tolist()) == text
            np.testing.assert_allclose(found.log_probs[row, n], total, rtol=1e-4, atol=1e-5)
        assert (np.asarray(found.scores[row, len(ranked) :]) == -np.inf).all()


def test_an_automaton_adds_and_forbids(frames):
    logits, _, log_probs = frames
    # State 1 stands behind a 1: another one is forbidden there, and a text must not end in it.
    moves, scores = (
        jnp.array([[0, 1, 0], [0, 1, 0]]),
        jnp.array([[0, -0.5, 0.3], [0, -jnp.inf, 0.2]]),
    )
    found = ctc.beam(
        logits[:1],
        beam=64,
        language_model=ctc.Automaton(moves, scores, jnp.array([0, -jnp.inf])),
        weight=0.7,
        bonus=0.1,
    )

    def judged(text):
        state, added = 0, 0.1 * len(text)
        for symbol in text:
            added, state = added + 0.7 * float(scores[state, symbol]), int(moves[state, symbol])
        return added if state == 0 else -np.inf

    ranked = {text: total + judged(text) for text, total in texts_of(log_probs[0])[0].items()}
    best = max(ranked, key=ranked.__getitem__)
    assert tuple(found.tokens[0, 0, : found.lengths[0, 0]].tolist()) == best
    np.testing.assert_allclose(found.scores[0, 0], ranked[best], rtol=1e-4)


def test_an_alignment_is_the_best_of_all(frames):
    logits, lengths, log_probs = frames
    labels, counts = np.array([[1, 1], [2, 0], [0, 0]]), np.array([2, 1, 0])
    found = ctc.align(logits, labels, lengths, counts)
    for row in range(3):
        score, path = texts_of(log_probs[row, : lengths[row]])[1][
            tuple(labels[row, : counts[row]].tolist())
        ]
        np.testing.assert_allclose(found.log_probs[row], score, rtol=1e-5, atol=1e-6)
        spans, at = [], 0
        for symbol, group in itertools.groupby(path):
            end = at + len(list(group))
            spans, at = spans + ([(at, end)] if symbol else []), end
        starts, ends = (
            found.starts[row, : counts[row]].tolist(),
            found.ends[row, : counts[row]].tolist(),
        )
        assert list(zip(starts, ends, strict=True)) == spans


def test_a_label_without_an_alignment_has_no_frames():
    found = ctc.align(np.zeros((1, 2, 3), np.float32), np.array([[1, 1]]))
    assert found.log_probs[0] == -np.inf and not found.ends.any()


def test_mistakes_are_named(unchecked):
    logits = np.zeros((1, 2, 3), np.float32)
    with pytest.raises(ValueError, match="beam is 2 and n_best 3"):
        ctc.beam(logits, beam=2, n_best=3)
    with pytest.raises(ValueError, match="blank is 3; give a symbol of the alphabet"):
        ctc.greedy(logits, blank=3)
    with pytest.raises(ValueError, match="reads 2 symbols and the logits have 3"):
        ctc.beam(
            logits,
            language_model=ctc.Automaton(jnp.zeros((1, 2), int), jnp.zeros((1, 2)), jnp.zeros(1)),
        )


def plain_beam(log_probs, width, blank=0):
    """Prefix beam search with a dict of tuples: the prefixes themselves are compared."""
    beams = {(): (0.0, -np.inf)}
    for frame in log_probs.astype(np.float64):
        grown = collections.defaultdict(lambda: (-np.inf, -np.inf))
        for prefix, (in_blank, in_last) in beams.items():
            total = np.logaddexp(in_blank, in_last)
            blank_after, last_after = grown[prefix]
            if prefix:
                last_after = np.logaddexp(last_after, in_last + frame[prefix[-1]])
            grown[prefix] = np.logaddexp(blank_after, total + frame[blank]), last_after
            for token in set(range(len(frame))) - {blank}:
                after = (*prefix, token)
                weight = (in_blank if prefix[-1:] == (token,) else total) + frame[token]
                grown[after] = grown[after][0], np.logaddexp(grown[after][1], weight)
        ranked = sorted(grown.items(), key=lambda item: -np.logaddexp(*item[1]))
        beams = dict(ranked[:width])
    return [(prefix, np.logaddexp(*weights)) for prefix, weights in beams.items()]


@pytest.mark.parametrize(("blank", "scale"), [(0, 0.3), (2, 1.0), (0, 3.0)])
def test_a_narrow_beam_is_that_of_prefixes_compared_token_by_token(blank, scale):
    # Prefixes fall out of the beam and come back while longer ones that grew from them are still
    # there.
    logits = scale * np.random.default_rng(5).normal(size=(2, 30, 4)).astype(np.float32)
    found = ctc.beam(logits, blank=blank, beam=8, n_best=8)
    for row in range(2):
        wanted = plain_beam(np.asarray(jax.nn.log_softmax(logits[row])), 8, blank)
        np.testing.assert_allclose(found.scores[row], [total for _, total in wanted], rtol=1e-4)
        for n, (prefix, _) in enumerate(wanted):
            tokens = found.tokens[row, n].tolist()
            assert tokens == [*prefix, *[blank] * (30 - len(prefix))] and found.lengths[
                row, n
            ] == len(prefix)


def test_a_frame_costs_the_same_however_many_there_are():
    def shapes(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scan":
                body = equation.params["jaxpr"].jaxpr
                yield from (
                    variable.aval.shape for inner in body.eqns for variable in inner.outvars
                )
            for inner in core.jaxprs_in_params(equation.params):
                yield from shapes(inner)

    found = list(shapes(jax.make_jaxpr(lambda x: ctc.beam(x, beam=4))(jnp.zeros((2, 97, 5))).jaxpr))
    assert found and not [shape for shape in found if 97 in shape]


def test_names_of_prefixes_that_differ_in_one_token_differ():
    # prefixes [5, 4]: ones, and at one place each another token.
    prefixes = 1 + np.concatenate([np.zeros((1, 4), int), np.eye(4, dtype=int)])
    names = jnp.zeros((5, 2), jnp.uint32)
    for tokens in prefixes.T:
        names = beam._named(names, jnp.asarray(tokens))
    assert [len(np.unique(half)) for half in np.asarray(names).T] == [5, 5]
    # Each half of a name is one to one: of 2^16 tokens no two share one.
    many = np.asarray(beam._named(jnp.zeros((1 << 16, 2), jnp.uint32), jnp.arange(1 << 16)))
    assert [len(np.unique(half)) for half in many.T] == [1 << 16] * 2


def test_lengths_out_of_range_under_jit_are_clamped(frames):
    logits, labels = frames[0], np.array([[1, 1], [2, 0], [2, 1]])

    @jax.jit
    def decoded(lengths, counts):
        aligned = ctc.align(logits, labels, lengths, counts)
        return ctc.greedy(logits, lengths), ctc.beam(logits, lengths, beam=4, n_best=2), aligned

    wrong = decoded(jnp.array([99, -3, 4]), jnp.array([7, -2, 1]))
    jax.tree.map(
        np.testing.assert_array_equal, wrong, decoded(jnp.array([5, 0, 4]), jnp.array([2, 0, 1]))
    )
    with pytest.raises(ValueError, match="lengths reach from -3 to 99"):
        ctc.beam(logits, np.array([99, -3, 4]))


def test_a_symbol_that_is_not_in_the_alphabet_has_no_alignment_under_jit(frames):
    logits, _, _ = frames
    labels = np.array([[1, 2], [1, 99], [0, 1]])
    found = jax.jit(ctc.align)(logits, labels)
    assert np.isneginf(found.log_probs).tolist() == [False, True, True] and not found.ends[1:].any()
