"""A cache and dynamic evaluation, beside loops over single tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax
from seqjax import text
from seqjax.tasks import Trained
from seqjax.text import adaptation, cached_nats, dynamic_nats

TEXT = "abcab cabba cab abcab cabba cab "

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def trained():
    task = text.LanguageModel.of(TEXT, seqjax.GRU(5), embedding_size=3)
    return Trained(task, task.init(jax.random.key(0)))


def read_by_step(trained, params, ids):
    """Outputs and log-probabilities, one token after another, float64."""
    model = trained.task.model
    state, ys, likely = model.start(params, (1,)), [], []
    for token in ids:
        state, _, logits = model.apply(
            {"params": params}, jnp.array([[token]]), state, method="read"
        )
        ys.append(np.asarray(state[0], np.float64))
        likely.append(np.asarray(jax.nn.log_softmax(logits[0, 0]), np.float64))
    return np.array(ys), np.array(likely)


@pytest.mark.parametrize("size", [3, 100])
def test_the_cache_gives_again_what_came_after_like_outputs(trained, monkeypatch, size):
    # Chunks that do not divide the text.
    monkeypatch.setattr(adaptation, "CHUNK", 7)
    ids = trained.task.codec.encode(TEXT)
    ys, likely = read_by_step(trained, trained.params, ids[:-1])
    wanted = []
    for time, target in enumerate(ids[1:]):
        chance = np.exp(likely[time, target])
        past = range(max(0, time - size), time)
        if past:
            weights = np.exp([2.0 * ys[time] @ ys[before] for before in past])
            same = np.array([ids[before + 1] == target for before in past])
            chance = 0.7 * chance + 0.3 * (weights * same).sum() / weights.sum()
        wanted.append(-np.log(chance))
    found = cached_nats(trained, TEXT, size=size, sharpness=2.0, share=0.3)
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


def test_a_cache_without_a_share_changes_nothing(trained):
    ids = trained.task.codec.encode(TEXT)
    _, likely = read_by_step(trained, trained.params, ids[:-1])
    plain = -likely[np.arange(len(ids) - 1), ids[1:]]
    np.testing.assert_allclose(cached_nats(trained, TEXT, share=0.0), plain, rtol=1e-5)
    frozen = dynamic_nats(trained, TEXT, optax.sgd(0.0), window=4)
    np.testing.assert_allclose(frozen, plain, rtol=1e-5)


def test_dynamic_evaluation_learns_a_window_after_it_was_paid_for(trained):
    ids = trained.task.codec.encode(TEXT[:13])
    model, params = trained.task.model, trained.params
    rate, decay, window = 0.5, 0.1, 5
    state, wanted = model.start(params, (1,)), []

    def nats(params, state, start):
        part = ids[start : start + window + 1]
        after, total = state, []
        for token, target in zip(part[:-1], part[1:], strict=True):
            after, logits = model.apply(
                {"params": params}, after, jnp.array([token]), method="step"
            )
            total.append(-jax.nn.log_softmax(logits[0])[target])
        return jnp.array(total).mean(), (jnp.array(total), after)

    for start in range(0, len(ids) - 1, window):
        gradient, (paid, state) = jax.grad(nats, has_aux=True)(params, state, start)
        wanted.extend(np.asarray(paid))
        params = jax.tree.map(
            lambda now, first, slope: now + decay * (first - now) - rate * slope,
            params,
            trained.params,
            gradient,
        )
    found = dynamic_nats(trained, TEXT[:13], optax.sgd(rate), window=window, decay=decay)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_a_text_that_repeats_itself_becomes_cheaper(trained):
    plain = trained.evaluate(TEXT * 8)["nats"]
    assert dynamic_nats(trained, TEXT * 8, optax.sgd(0.5)).mean() < plain - 0.15


def test_settings_are_checked(trained):
    with pytest.raises(ValueError, match=r"share=1; give a size of at least 1"):
        cached_nats(trained, TEXT, share=1)
    with pytest.raises(ValueError, match="window=0, decay=0.0; give a window of at least 1"):
        dynamic_nats(trained, TEXT, optax.sgd(0.1), window=0)
    with pytest.raises(ValueError, match="the text has 1 tokens; give at least 2"):
        cached_nats(trained, "a")
