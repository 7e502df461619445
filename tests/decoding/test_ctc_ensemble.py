"""Texts that several models find together, against every alignment there is."""

import itertools

import jax
import numpy as np

from seqjax.decoding import ctc

ALPHABET, FRAMES = 3, 4


def text_of(alignment):
    """Drops repetitions, then blanks."""
    kept = [symbol for symbol, _ in itertools.groupby(alignment)]
    return tuple(symbol for symbol in kept if symbol)


def chances(logits, frames):
    """Of each text of one row of one member, the sum over its alignments."""
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = {}
    for alignment in itertools.product(range(ALPHABET), repeat=frames):
        chance = np.prod([shares[frame, symbol] for frame, symbol in enumerate(alignment)])
        text = text_of(alignment)
        found[text] = found.get(text, 0) + chance
    return found


def propose(logits, frames, beam):
    return jax.vmap(lambda own: ctc.beam(own, frames, beam=beam, n_best=beam))(logits)


def test_texts_are_ranked_by_the_mean_of_the_members_probabilities():
    logits = 3 * np.random.default_rng(0).normal(size=(3, 2, FRAMES, ALPHABET)).astype(np.float32)
    frames = np.array([FRAMES, 2])
    together = ctc.ensemble(logits, propose(logits, frames, 40), frames, n_best=5)
    for row, valid in enumerate(frames):
        members = [chances(own[row], valid) for own in logits]
        mean = {text: np.mean([member[text] for member in members]) for text in members[0]}
        best = sorted(mean, key=mean.__getitem__, reverse=True)[:5]
        pairs = zip(together.tokens[row].tolist(), together.lengths[row].tolist(), strict=True)
        assert [tuple(tokens[:count]) for tokens, count in pairs] == best
        expected = np.log([mean[text] for text in best])
        np.testing.assert_allclose(together.scores[row], expected, rtol=1e-4)


def test_a_place_without_a_text_is_never_the_answer():
    logits = np.array([[[[0.0, 5.0]]], [[[0.0, 4.0]]]], np.float32)
    frames = np.array([1])
    # One frame has two texts, though there are six places for them.
    together = ctc.ensemble(logits, propose(logits, frames, 3), frames, n_best=3)
    assert np.isfinite(together.scores[0]).tolist() == [True, True, False]
    assert together.lengths[0, :2].tolist() == [1, 0]
