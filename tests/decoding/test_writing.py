"""The best targets of a data set, against every sequence there is."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import text
from seqjax.decoding import Writer
from seqjax.models import Decoder, Encoder, Seq2Seq

FIRST, STOP = 0, 1
SOURCES = [np.array([2, 3]), np.array([4]), np.array([3, 3, 2])]


pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def model():
    return Seq2Seq(Encoder(5, 4, seqjax.GRU(6)), Decoder(4, 4, seqjax.GRU(6)))


@pytest.fixture(scope="module")
def members(model):
    one = jnp.ones((1, 1), int)
    init = jax.jit(model.init)
    drawn = [init(jax.random.key(seed), one, None, one)["params"] for seed in range(2)]
    return [jax.tree.map(lambda leaf: 3 * leaf, params) for params in drawn]


def batches(sources=SOURCES):
    return text.pair_batches(sources, tokens=6, buckets=1, once=True)


TARGETS = [
    (*tokens, STOP) for length in range(4) for tokens in itertools.product((2, 3), repeat=length)
]


def log_probs(model, members, source):
    """Of each of `TARGETS` under the mean of the members, step by step."""
    padded = np.array([[*tokens, *[STOP] * (4 - len(tokens))] for tokens in TARGETS])
    rows = len(padded)
    states = [model.start(params, np.tile(source, (rows, 1))) for params in members]
    read, total, alive = jnp.full(rows, FIRST), np.zeros(rows), np.ones(rows, bool)
    for t in range(4):
        stepped = [model.advance(context, state, read) for context, state in states]
        chances = np.mean([np.asarray(jax.nn.softmax(logits)) for _, logits in stepped], axis=0)
        states = [
            (context, state) for (context, _), (state, _) in zip(states, stepped, strict=True)
        ]
        read = padded[:, t]
        total += np.where(alive, np.log(chances[np.arange(rows), read]), 0)
        alive &= read != STOP
    return dict(zip(TARGETS, total, strict=True))


@pytest.mark.parametrize("count", [1, 2])
def test_the_best_are_found_among_all_targets(model, members, count):
    # A beam of 16 holds every target of up to 3 tokens and more.
    writer = Writer(
        model, FIRST, STOP, beam=16, n_best=3, growth=1 / 3, banned=(FIRST,), ensemble=count > 1
    )
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members) if count > 1 else members[0]
    found = writer(params, batches(), len(SOURCES))
    compared = 0
    for source, hypotheses in zip(SOURCES, found, strict=True):
        scores = log_probs(model, members[:count], source)
        for written in hypotheses:
            tokens = (*written.tokens.tolist(), STOP)
            if tokens in scores:
                compared += 1
                np.testing.assert_allclose(written.score, scores[tokens], rtol=1e-4)
        written = [hypothesis.score for hypothesis in hypotheses]
        assert written == sorted(written, reverse=True)
        assert written[2] >= sorted(scores.values())[-3] - 1e-4
    assert compared >= 3


def test_attention_covers_the_source_alone_and_each_token(model, members):
    writer = Writer(model, FIRST, STOP, beam=2, shortest=3)
    for source, (written,) in zip(SOURCES, writer(members[0], batches(), 3), strict=True):
        assert len(written.tokens) >= 2 and STOP not in written.tokens
        assert written.attention.shape == (len(written.tokens), 3)
        np.testing.assert_allclose(written.attention[:, : len(source)].sum(1), 1, rtol=1e-5)
        assert not written.attention[:, len(source) :].any()


def test_penalties_and_blocked_runs_reach_the_search(model, members):
    def best(**options):
        return Writer(model, FIRST, STOP, beam=4, banned=(FIRST,), **options)(
            members[0], batches(), 3
        )

    for (plain,), (scaled,), (covered,), (blocked,) in zip(
        best(shortest=6),
        best(shortest=6, length_penalty=1.0),
        best(shortest=6, coverage_penalty=5.0),
        best(shortest=4, block_ngrams=2),
        strict=True,
    ):
        length = len(plain.tokens) + plain.ended
        if scaled.tokens.tolist() == plain.tokens.tolist():
            np.testing.assert_allclose(scaled.score, plain.score / ((5 + length) / 6), rtol=1e-5)
        assert covered.score <= plain.score + 1e-6
        pairs = list(itertools.pairwise(blocked.tokens.tolist()))
        assert len(pairs) == len(set(pairs)) and len(pairs) >= 2


def test_no_more_is_written_than_asked_for(model, members):
    writer = Writer(model, FIRST, STOP, beam=2, shortest=9, longest=4)
    plain = [
        {name: batch[name] for name in ("source", "indices")}
        for batch in batches([np.array([2, 3])] * 3)
    ]
    for (written,) in writer(members[0], plain, 3):
        assert len(written.tokens) == 4 and not written.ended


def test_one_compilation_for_each_shape(model, members):
    writer = Writer(model, FIRST, STOP, beam=3)
    search = jax.jit(
        chex.assert_max_traces(
            lambda params, batch: Writer.search.__wrapped__(writer, params, batch), 2
        )
    )
    seen = set()
    for batch in text.pair_batches(SOURCES * 5, tokens=6, buckets=2, once=True):
        seen.add(batch["source"].shape)
        search(members[0], {name: batch[name] for name in ("source", "source_lengths")})
    assert len(seen) == 2
