"""The loss under teacher forcing, against a loop that reads one token at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import text, training
from seqjax.losses import coverage_loss
from seqjax.models import Decoder, Encoder, Seq2Seq
from seqjax.training import judge, teacher_forced_loss

FIRST = 2

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def model():
    return Seq2Seq(
        Encoder(9, 4, seqjax.GRU(6)),
        Decoder(9, 4, seqjax.GRU(6), attention="additive", coverage=True),
    )


@pytest.fixture(scope="module")
def batch():
    sources, targets = (
        [np.array([5, 6, 7]), np.array([8])],
        [np.array([4, 3]), np.array([5, 6, 6, 3])],
    )
    return next(text.pair_batches(sources, targets, tokens=12, buckets=1, once=True))


@pytest.fixture(scope="module")
def params(model, batch):
    params = jax.jit(model.init)(jax.random.key(0), batch["source"], None, batch["targets"])[
        "params"
    ]
    return jax.tree.map(lambda leaf: 2 * leaf, params)


@functools.cache
def stepping(model):
    return jax.jit(model.start), jax.jit(model.advance)


def nats_and_looks(model, params, batch):
    """Log-probabilities `[vocab]` of each valid token in turn with the token, and all attention, by single steps."""
    start, advance = stepping(model)
    context, state = start(params, batch["source"], batch["source_lengths"])
    read, tokens, looks = jnp.full(len(batch["source"]), FIRST), [], []
    for t in range(batch["targets"].shape[1]):
        state, logits = advance(context, state, read)
        read = batch["targets"][:, t]
        scores = np.asarray(logits, np.float64)
        scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
        valid = t < batch["target_lengths"]
        tokens += [(scores[row], read[row]) for row in np.flatnonzero(valid)]
        looks.append(np.where(valid[:, None], state.attention, np.nan))
    return tokens, np.stack(looks, 1)


def test_loss_equals_a_loop_over_single_steps(model, params, batch):
    tokens, looks = nats_and_looks(model, params, batch)
    nats = -np.mean([scores[token] for scores, token in tokens])
    smooth = -np.mean([0.8 * scores[token] + 0.2 * scores.mean() for scores, token in tokens])
    before = np.cumsum(looks, 1) - looks
    twice = np.nanmean(np.where(np.isnan(looks[..., 0]), np.nan, np.minimum(looks, before).sum(-1)))

    step = jnp.int32(7)
    loss, aux = teacher_forced_loss(model, params, batch, jax.random.key(0), step, first=FIRST)
    np.testing.assert_allclose(loss, nats, rtol=1e-5)
    assert aux.weight == 6 and aux.extra == 8
    np.testing.assert_allclose(aux.metrics["nats"].value(), nats, rtol=1e-5)
    np.testing.assert_allclose(
        judge(model, params, batch, first=FIRST)["nats"].value(), nats, rtol=1e-5
    )
    options = {"label_smoothing": 0.2, "coverage": 3.0}
    loss, aux = teacher_forced_loss(
        model, params, batch, jax.random.key(0), step, first=FIRST, **options
    )
    np.testing.assert_allclose(loss, smooth + 3 * twice, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["nats"].value(), nats, rtol=1e-5)
    valid = np.arange(looks.shape[-1]) < np.asarray(batch["source_lengths"])[:, None]
    passed = np.square(1 - np.nansum(looks, 1))[valid].mean()
    loss, _ = teacher_forced_loss(
        model, params, batch, jax.random.key(0), step, first=FIRST, spread=2.0
    )
    np.testing.assert_allclose(loss, nats + 2 * passed, rtol=1e-5)


def test_a_source_without_lengths_counts_as_a_whole(model, params, batch):
    whole = batch | {"source_lengths": np.full(len(batch["source"]), batch["source"].shape[1])}
    bare = {name: value for name, value in batch.items() if name != "source_lengths"}
    options = {"first": FIRST, "spread": 1.0}
    losses = [
        teacher_forced_loss(model, params, b, jax.random.key(0), jnp.int32(0), **options)[0]
        for b in (whole, bare)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    np.testing.assert_allclose(
        *[judge(model, params, b, first=FIRST)["nats"].value() for b in (whole, bare)], rtol=1e-6
    )


def test_scheduled_sampling_goes_by_the_step(model, params, batch):
    def loss(step, **options):
        return float(
            teacher_forced_loss(
                model, params, batch, jax.random.key(0), step, first=FIRST, **options
            )[0]
        )

    schedule = training.linear_sampling(steps=10)
    forced = loss(jnp.int32(0))
    np.testing.assert_allclose(loss(jnp.int32(0), sampling=schedule), forced, rtol=1e-5)

    # At the end the model reads what it finds best itself.
    start, advance = stepping(model)
    context, state = start(params, batch["source"], batch["source_lengths"])
    rows = len(batch["source"])
    read, total = jnp.full(rows, FIRST), 0.0
    for t in range(4):
        state, logits = advance(context, state, read)
        read, picked = (
            logits.argmax(-1),
            jax.nn.log_softmax(logits)[jnp.arange(rows), batch["targets"][:, t]],
        )
        total -= float(picked @ (t < batch["target_lengths"]))
    np.testing.assert_allclose(loss(jnp.int32(10), sampling=schedule), total / 6, rtol=1e-5)
    assert abs(total / 6 - forced) > 1e-3


def test_coverage_loss_is_the_share_seen_before():
    weights = jnp.array([[[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]]])
    np.testing.assert_allclose(coverage_loss(weights), (0 + 1 + 0.5) / 3)
    np.testing.assert_allclose(coverage_loss(weights, jnp.array([[True, True, False]])), 1 / 2)
