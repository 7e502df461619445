"""The model of music: its parts, that it never sees what it predicts, and that it learns."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, strategies

import seqjax
from seqjax.models import NoteModel

KEYS = 4
SETS = [keys for count in range(KEYS + 1) for keys in itertools.combinations(range(KEYS), count)]
NOTES = np.array([[*keys, *[KEYS] * (KEYS - len(keys))] for keys in SETS])
ALONE = NoteModel(seqjax.LSTM(5), keys=KEYS)
NADE = NoteModel(seqjax.LSTM(5), keys=KEYS, nade_size=6)
TIME = 4

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def params():
    """Of both models, large enough that everything depends on everything."""
    silence = jnp.full((1, 1, KEYS), KEYS)
    made = {}
    for model in (ALONE, NADE):
        fresh = model.init(jax.random.key(3), silence, silence)["params"]
        made[model] = jax.tree.map(lambda leaf: 3 * leaf, fresh)
    return made


def frames(places):
    """Pieces of sets, `[rows, time, most]`, and the frame before each."""
    notes = NOTES[np.asarray(places)]
    before = np.concatenate([np.full_like(notes[:, :1], KEYS), notes[:, :-1]], 1)
    return jnp.array(before), jnp.array(notes)


def log_probs(model, params, places):
    return np.asarray(model.apply({"params": params[model]}, *frames(places))[1])


@pytest.mark.parametrize("model", [ALONE, NADE], ids=["alone", "nade"])
@given(
    places=strategies.lists(strategies.integers(0, len(SETS) - 1), min_size=TIME, max_size=TIME),
    at=strategies.integers(0, TIME - 1),
)
def test_no_frame_is_seen_before_it_has_come(params, model, places, at):
    # One row for each set that might come at this place; before and after it all rows are the same.
    rows = np.repeat([places], len(SETS), 0)
    rows[:, at] = np.arange(len(SETS))
    found = log_probs(model, params, rows)
    # What is said before does not depend on it, and of it all sets together are certain.
    np.testing.assert_allclose(found[:, :at], np.repeat(found[:1, :at], len(SETS), 0), atol=1e-6)
    assert np.exp(found[:, at].astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
    if at + 1 < TIME:
        assert np.ptp(found[:, at + 1]) > 1e-4  # What comes after it does depend on it.


def test_keys_of_a_frame_depend_on_each_other_by_a_nade_alone(params):
    def ratio(model):
        """How much likelier two keys are together than they would be if each were alone."""
        found = np.exp(log_probs(model, params, np.arange(len(SETS))[:, None]))
        chances = dict(zip(SETS, found[:, 0], strict=True))
        both = sum(p for keys, p in chances.items() if {0, 1} <= set(keys))
        first = sum(p for keys, p in chances.items() if 0 in keys)
        second = sum(p for keys, p in chances.items() if 1 in keys)
        return both / (first * second)

    assert ratio(ALONE) == pytest.approx(1, abs=1e-4) and abs(ratio(NADE) - 1) > 1e-2


def test_steps_are_the_sequence(params):
    before, _ = frames([[3, 7, 0, 15], [1, 2, 3, 4]])
    variables = {"params": params[NADE]}
    state, ys = NADE.apply(variables, before, method="read")
    stepped = NADE.apply(variables, (2,), method="initial_state")
    for time in range(TIME):
        stepped, y = NADE.apply(variables, stepped, before[:, time], method="step")
        np.testing.assert_allclose(y, ys[:, time], atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), stepped, state)


def test_a_row_does_not_depend_on_its_padding(params):
    before, notes = frames([[3, 7, 9, 15]])
    variables = {"params": params[NADE]}
    state, found = NADE.apply(variables, before, notes, lengths=jnp.array([2]))
    short, wanted = NADE.apply(variables, before[:, :2], notes[:, :2])
    np.testing.assert_allclose(found[:, :2], wanted, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state, short)


def test_dropout_wants_a_key(params):
    model = NADE.clone(dropout=0.5, input_dropout=0.5)
    before, notes = frames([[3, 7, 9, 15]])
    variables = {"params": params[NADE]}
    still, plain = (m.apply(variables, before, notes)[1] for m in (model, NADE))
    np.testing.assert_array_equal(still, plain)
    rngs = [{"dropout": jax.random.key(seed)} for seed in (0, 1)]
    one, two = (model.apply(variables, before, notes, rngs=rng)[1] for rng in rngs)
    assert not np.allclose(one, two)


def test_it_learns_what_comes_next():
    """Chords that alternate: the next one is certain in the end, from 16 equally likely ones."""
    before, notes = frames(np.array([[5, 15] * 5, [15, 5] * 5]))
    params = NADE.init(jax.random.key(0), before, notes)["params"]
    optimiser = optax.adam(0.05)

    def loss(params):
        return -NADE.apply({"params": params}, before, notes)[1][:, 1:].mean()

    @jax.jit
    def step(carry, _):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), value

    _, values = jax.lax.scan(step, (params, optimiser.init(params)), None, 100)
    assert values[0] > 1 and values[-1] < 0.1


def test_a_recurrence_that_reads_the_future_is_refused():
    model = NoteModel(seqjax.bidirectional(seqjax.LSTM(2)), keys=KEYS)
    with pytest.raises(ValueError, match="reads the future"):
        model.init(jax.random.key(0), jnp.zeros((1, 1, 1), int), jnp.zeros((1, 1, 1), int))
