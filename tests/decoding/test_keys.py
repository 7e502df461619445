"""Drawn sets of keys: held to the chances that a loop over the keys gives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.decoding import draw_keys
from seqjax.decoding.keys import next_key
from seqjax.losses import keys_log_prob, nade_logits

KEYS, DRAWS = 3, 20_000
SETS = [keys for count in range(KEYS + 1) for keys in itertools.combinations(range(KEYS), count)]
NOTES = jnp.array([[*keys, *[KEYS] * (KEYS - len(keys))] for keys in SETS])

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture
def parts(getkey):
    """A NADE whose keys depend much on each other: c, w, v, b."""
    shapes = ((2,), (KEYS, 2), (2, KEYS), (KEYS,))
    return [2 * jax.random.normal(getkey(), shape) for shape in shapes]


def draw(parts, rows, key, most=KEYS, temperature=1.0):
    hidden, w, v, bias = parts
    return draw_keys(
        key,
        jnp.broadcast_to(hidden, (rows, 2)),
        lambda units: jnp.tanh(units) @ v + bias[None],
        lambda units, chosen: units + w.at[chosen].get(mode="fill", fill_value=0),
        most,
        temperature,
    )


def chances(parts):
    hidden, w, v, bias = parts
    rows = [jnp.broadcast_to(part, (len(SETS), len(part))) for part in (hidden, bias)]
    return np.exp(keys_log_prob(NOTES, nade_logits(NOTES, rows[0], w, v, rows[1])))


def shares(notes):
    """How often each set was drawn."""
    same = (notes[:, None] == NOTES[None, :, : notes.shape[1]]).all(-1)
    return np.asarray(same.mean(0))


def test_sets_come_as_often_as_they_are_likely(parts, getkey):
    notes = draw(parts, DRAWS, getkey())
    assert notes.shape == (DRAWS, KEYS)
    np.testing.assert_allclose(shares(notes), chances(parts), atol=4 * 0.5 / DRAWS**0.5)


def test_the_next_key_is_the_first_that_sounds():
    logits = jnp.log(jnp.array([1.0, 3.0, 1.0]))
    np.testing.assert_allclose(
        jnp.exp(next_key(logits, jnp.array(-1))), [1 / 2, 3 / 8, 1 / 16, 1 / 16], rtol=1e-6
    )
    np.testing.assert_allclose(jnp.exp(next_key(logits, jnp.array(1))), [0, 0, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(jnp.exp(next_key(logits, jnp.array(3))), [0, 0, 0, 1])


def test_temperature(parts, getkey):
    greedy = draw(parts, 4, getkey(), temperature=0.0)
    assert (greedy == greedy[:1]).all()
    near = draw(parts, 500, getkey(), temperature=0.02)
    assert (near == greedy[:1]).mean() > 0.95
    # Of the first key alone the chances are those to the power 1 / temperature.
    first = draw(parts, DRAWS, getkey(), temperature=2.0)[:, 0]
    hidden, _, v, bias = parts
    warm = jax.nn.softmax(next_key(jnp.tanh(hidden) @ v + bias, jnp.array(-1)) / 2)
    share = np.bincount(np.asarray(first), minlength=KEYS + 1) / DRAWS
    np.testing.assert_allclose(share, warm, atol=4 * 0.5 / DRAWS**0.5)


def test_at_most_so_many_keys(getkey):
    surely = [jnp.zeros(2), jnp.zeros((KEYS, 2)), jnp.zeros((2, KEYS)), jnp.full(KEYS, 30.0)]
    assert draw(surely, 2, getkey(), most=2).tolist() == [[0, 1]] * 2
    assert draw(surely, 1, getkey(), most=5).tolist() == [[0, 1, 2, KEYS, KEYS]]
