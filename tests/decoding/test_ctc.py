"""Decoding of connectionist temporal classification: against enumeration of all alignments."""

import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.decoding import ctc


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
    found = ctc.greedy(np.where(np.arange(5)[:, None] < lengths[:, None, None], logits, np.nan), lengths)
    for row, length in enumerate(lengths):
        assert tuple(found.tokens[row, : found.lengths[row]].tolist()) == spelt(log_probs[row, :length].argmax(-1))
        np.testing.assert_allclose(found.log_probs[row], log_probs[row, :length].max(-1).sum(), rtol=1e-5)


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
    moves, scores = jnp.array([[0, 1, 0], [0, 1, 0]]), jnp.array([[0, -0.5, 0.3], [0, -jnp.inf, 0.2]])
    found = ctc.beam(logits[:1], beam=64, language_model=ctc.Automaton(moves, scores, jnp.array([0, -jnp.inf])),
                     weight=0.7, bonus=0.1)  # fmt: skip

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
        score, path = texts_of(log_probs[row, : lengths[row]])[1][tuple(labels[row, : counts[row]].tolist())]
        np.testing.assert_allclose(found.log_probs[row], score, rtol=1e-5, atol=1e-6)
        spans, at = [], 0
        for symbol, group in itertools.groupby(path):
            end = at + len(list(group))
            spans, at = spans + ([(at, end)] if symbol else []), end
        starts, ends = found.starts[row, : counts[row]].tolist(), found.ends[row, : counts[row]].tolist()
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
        ctc.beam(logits, language_model=ctc.Automaton(jnp.zeros((1, 2), int), jnp.zeros((1, 2)), jnp.zeros(1)))
