import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax
from seqjax import text, training
from seqjax.models import AcousticModel, Framewise, FramewiseWriter, framewise_loss

pytestmark = pytest.mark.usefixtures("quick_compile")
VOCAB = 4


@pytest.fixture
def model():
    return Framewise(
        6, 8, AcousticModel(VOCAB, (seqjax.bidirectional(seqjax.GRU(8)),)), repeats=2, dropout=0.5
    )


@pytest.fixture
def batch():
    sources, targets = (
        [np.array([2, 3, 5]), np.array([4])],
        [np.array([1, 2, 2, 3]), np.array([3, 1])],
    )
    return next(text.pair_batches(sources, targets, tokens=12, buckets=1, once=True))


def parameters(model):
    return model.init(jax.random.key(0), jnp.ones((1, 1), int))["params"]


def test_every_token_is_read_so_many_times(model, batch):
    params = parameters(model)
    logits, frames = model.apply({"params": params}, batch["source"], batch["source_lengths"])
    assert (
        logits.shape[1] == 2 * batch["source"].shape[1]
        and frames.tolist() == (2 * batch["source_lengths"]).tolist()
    )
    table = params["TokenEmbedding_0"]["table"]["embedding"]
    by_hand = table[batch["source"].repeat(2, axis=1)]
    expected, _ = model.reader.apply({"params": params["reader"]}, by_hand, lengths=frames)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_the_loss_is_ctc_and_smoothing_mixes_in_the_uniform_part(model, batch):
    params, key = parameters(model), jax.random.key(1)
    emitted = model.apply(
        {"params": params}, batch["source"], batch["source_lengths"], rngs={"dropout": key}
    )
    nats = seqjax.losses.ctc(
        emitted.logits, batch["targets"], emitted.lengths, batch["target_lengths"]
    )
    uniform = seqjax.losses.uniform_cross_entropy(emitted.logits, emitted.lengths)
    count = batch["target_lengths"].sum()
    for share in (0.0, 0.25):
        loss, aux = framewise_loss(
            model, params, batch, key, jnp.zeros((), int), label_smoothing=share
        )
        assert loss == pytest.approx(
            float(((1 - share) * nats + share * uniform).sum() / count), rel=1e-5
        )
        assert aux.weight == count and aux.extra == 1
        assert aux.metrics["nats"].value() == pytest.approx(float(nats.sum() / count), rel=1e-5)


def test_a_tiny_task_is_learnt_and_each_symbol_has_its_frames():
    """Token n says symbol n, and the last one of the alphabet says two."""
    said = {2: [1], 3: [2], 4: [3], 5: [1, 2]}
    generator = np.random.default_rng(0)
    sources = [generator.integers(2, 6, generator.integers(1, 5)) for _ in range(40)]
    targets = [
        np.array([symbol for token in source for symbol in said[token]]) for source in sources
    ]
    model = Framewise(6, 8, AcousticModel(VOCAB, (seqjax.bidirectional(seqjax.GRU(8)),)), repeats=3)
    batches = text.pair_batches(sources, targets, tokens=400, buckets=1)
    optimiser = optax.adam(0.03)
    state = training.create_state(
        parameters(model), optimiser, jax.random.key(0), extra=jnp.zeros((), int)
    )
    step = training.make_train_step(lambda *given: framewise_loss(model, *given), optimiser)
    for _ in range(120):
        state, _ = step(state, next(batches))
    once = text.pair_batches(sources, tokens=400, buckets=1, once=True)
    best = FramewiseWriter(model, beam=4, n_best=2)(state.params, once, len(sources))
    once = text.pair_batches(sources, tokens=400, buckets=1, once=True)
    greedy = FramewiseWriter(model, beam=1)(state.params, once, len(sources))
    assert [found[0].tokens.tolist() for found in best] == [target.tolist() for target in targets]
    assert [found[0].tokens.tolist() for found in greedy] == [target.tolist() for target in targets]
    for source, hypotheses in zip(sources, best, strict=True):
        first, second = hypotheses
        assert second.score <= first.score <= 0 and first.attention.shape[0] == len(first.tokens)
        places = first.attention.argmax(1)
        assert (np.diff(places) > 0).all() and places[-1] < 3 * len(source)
        assert (first.attention.max(1) > 0.2).all()
