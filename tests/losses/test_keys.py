"""Sets of keys: held to a loop over every key, and to probabilities that sum to 1."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.losses import keys_log_prob, nade_logits

KEYS, HIDDEN, MOST = 5, 3, 5

pytestmark = pytest.mark.usefixtures("quick_compile")

SETS = [keys for count in range(KEYS + 1) for keys in itertools.combinations(range(KEYS), count)]


def written(sets, most=MOST):
    """Sets as rows of ascending keys, the number of keys in each place left over."""
    return jnp.array([[*keys, *[KEYS] * (most - len(keys))] for keys in sets])


def parameters(getkey, rows):
    shapes = ((rows, HIDDEN), (KEYS, HIDDEN), (HIDDEN, KEYS), (rows, KEYS))
    return [jax.random.normal(getkey(), shape) for shape in shapes]


def key_by_key(keys, hidden, w, v, bias):
    """The log probability of one set, a key at a time."""
    total, units = 0.0, np.array(hidden, np.float64)
    for key in range(KEYS):
        chance = 1 / (1 + np.exp(-(np.tanh(units) @ v[:, key] + bias[key])))
        total += np.log(chance if key in keys else 1 - chance)
        if key in keys:
            units = units + w[key]
    return total


def nade(notes, hidden, w, v, bias):
    return keys_log_prob(notes, nade_logits(notes, hidden, w, v, bias))


def test_a_nade_reads_key_after_key(getkey):
    hidden, w, v, bias = parameters(getkey, len(SETS))
    found = nade(written(SETS), hidden, w, v, bias)
    each = [np.asarray(part, np.float64) for part in (hidden, w, v, bias)]
    wanted = [
        key_by_key(keys, each[0][row], each[1], each[2], each[3][row])
        for row, keys in enumerate(SETS)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_the_probabilities_of_all_sets_sum_to_1(getkey):
    hidden, w, v, bias = parameters(getkey, 1)
    every = [jnp.broadcast_to(part, (len(SETS), part.shape[1])) for part in (hidden, bias)]
    total = jnp.exp(nade(written(SETS), every[0], w, v, every[1])).sum()
    assert total == pytest.approx(1, abs=1e-5)
    alone = jnp.exp(keys_log_prob(written(SETS), every[1][:, None])).sum()
    assert alone == pytest.approx(1, abs=1e-5)


def test_gradients_are_those_of_finite_differences(getkey, x64):
    sets = [(), (0, 2), (1, 2, 4)]
    given = [part.astype("float64") for part in parameters(getkey, len(sets))]
    notes = written(sets, most=4)
    loss = lambda parts: nade(notes, *parts).sum()  # noqa: E731
    gradient = jax.grad(loss)(given)
    for place, part in enumerate(given):
        direction = jax.random.normal(getkey(), part.shape, "float64")
        moved = [
            [
                other + sign * 1e-6 * direction if place == at else other
                for at, other in enumerate(given)
            ]
            for sign in (1, -1)
        ]
        slope = (loss(moved[0]) - loss(moved[1])) / 2e-6
        assert (gradient[place] * direction).sum() == pytest.approx(float(slope), rel=1e-5)


def test_places_left_over_change_nothing(getkey):
    sets = [(), (3,), (0, 4)]
    parts = parameters(getkey, len(sets))
    few, many = (nade(written(sets, most), *parts) for most in (2, 7))
    np.testing.assert_allclose(few, many, rtol=1e-6)


def test_keys_alone_have_their_own_chances():
    logits = jnp.log(jnp.array([[[1.0, 3.0, 1.0, 1.0, 1.0]]]))
    assert jnp.exp(keys_log_prob(jnp.array([[1, 4]]), logits))[0] == pytest.approx(0.75 / 16)
