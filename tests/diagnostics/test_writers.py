"""What a token of a language model costs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax.diagnostics import cost, writers

pytestmark = pytest.mark.usefixtures("quick_compile")

WRITER = writers.RecurrentWriter(7, 4, seqjax.stack(seqjax.LSTM(5), seqjax.LSTM(6)))


@pytest.fixture(scope="module")
def params():
    return writers.fresh_params(WRITER, jax.random.key(0))


def test_steps_give_the_logits_of_the_whole_sequence(params):
    tokens = jax.random.randint(jax.random.key(1), (1, 5), 0, 7)
    memory, stepped = WRITER.memory(params, 5, 5), []
    for t in range(5):
        memory, logits = WRITER.step(params, memory, tokens[:, t])
        stepped.append(logits)
    whole = WRITER.logits(params, tokens)
    np.testing.assert_allclose(jnp.stack(stepped, 1), whole, rtol=1e-4, atol=1e-5)
    batch = {"inputs": tokens, "targets": tokens}
    wanted = -jax.nn.log_softmax(whole)[0, jnp.arange(5), tokens[0]]
    np.testing.assert_allclose(writers.nats(WRITER, params, batch)[0], wanted, rtol=1e-4)


def test_parameters_are_counted_without_making_them(params):
    lstm = lambda inputs, units: 4 * units * (inputs + units + 1)  # noqa: E731
    wanted = 7 * 4 + lstm(4, 5) + lstm(5, 6) + 7 * (6 + 1)
    assert writers.count_params(WRITER) == wanted == cost.count(params)


def test_a_token_costs_time_and_the_bytes_of_the_state_whatever_the_context():
    for context in (8, 64):
        token = writers.cost_of_token(WRITER, context, tokens=3)
        assert token.milliseconds > 0
        # h and c of both layers, in float32.
        assert token.remembered == 4 * 2 * (5 + 6)


def test_each_token_is_timed(params):
    seconds = writers.time_tokens(WRITER, params, 16, 4)
    assert seconds.shape == (4,) and (seconds > 0).all()


def test_a_recurrence_needs_linear_memory_to_train_and_less_with_remat():
    long = dataclasses.replace(WRITER, recurrence=seqjax.LSTM(32))
    sparing = dataclasses.replace(long, remat="sqrt")
    short, whole = (writers.training_bytes(long, 4, length) for length in (256, 1024))
    assert 2 < whole / short < 5
    assert writers.training_bytes(sparing, 4, 1024) < whole
