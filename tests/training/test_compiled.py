"""The compiled step: a state is looked over once, and what may not be donated is still told."""

import jax
import numpy as np
import optax
import pytest

from seqjax import training
from seqjax.training import compiled
from tests.training.regression import assert_same_bits, fresh_params, make_batch, weighted_loss

OPTIMISER = optax.adam(1e-2)


@pytest.fixture
def train_step():
    return training.make_train_step(weighted_loss, OPTIMISER, clip=training.clip_by_norm(1.0))


def fresh_state(seed=3):
    state = training.create_state(fresh_params(), OPTIMISER, seed, extra=jax.numpy.zeros(()))
    return state


def test_a_state_that_goes_round_is_looked_over_once(train_step, monkeypatch):
    looked, unaliased = [], compiled.unaliased
    monkeypatch.setattr(compiled, "unaliased", lambda s: looked.append(s) or unaliased(s))
    state = fresh_state()
    for number in range(5):
        state, _ = train_step(state, make_batch(number))
    assert len(looked) == 1
    train_step(fresh_state(), make_batch(0))
    assert len(looked) == 2


def test_two_runs_that_take_turns_do_not_meet(train_step):
    alone = fresh_state(1)
    for number in range(3):
        alone, _ = train_step(alone, make_batch(number))
    one, other = fresh_state(1), fresh_state(2)
    for number in range(3):
        one, _ = train_step(one, make_batch(number))
        other, _ = train_step(other, make_batch(number + 5))
    assert_same_bits(one, alone)


def test_a_state_that_another_program_took_over_is_told_in_words(train_step):
    state, _ = train_step(fresh_state(), make_batch(0))
    train_step.packed(state, make_batch(1))
    with pytest.raises(ValueError, match="was given to a training step before"):
        train_step(state, make_batch(1))


def test_an_array_held_twice_is_not_donated_twice():
    """Some optimisers remember the parameters."""
    remembering = optax.GradientTransformation(
        lambda params: params, lambda updates, state, params: (updates, params)
    )
    step = training.make_train_step(weighted_loss, optax.chain(remembering, optax.sgd(0.1)))
    params = fresh_params()
    state = training.create_state(params, optax.chain(remembering, optax.sgd(0.1)), 0, extra=0.0)
    state = state.replace(opt_state=(state.params, *state.opt_state[1:]))
    for number in range(3):
        before = jax.tree.map(np.array, state.params)
        state, _ = step(state, make_batch(number))
        assert_same_bits(state.opt_state[0], before)


def test_packed_metrics_are_those_by_name(train_step):
    _, named = train_step(fresh_state(), make_batch(0))
    state, packed = train_step.packed(fresh_state(), make_batch(0))
    assert packed.values.shape == (len(named),) and packed.values.dtype == np.float32
    assert compiled.fetched(packed) == {name: float(value) for name, value in named.items()}
    assert int(state.step) == 1


def test_wide_metrics_keep_their_digits():
    def loss(params, batch, rng, extra):
        return (params["w"] ** 2).sum(), training.Aux()

    with jax.enable_x64(True):
        state = training.create_state({"w": jax.numpy.full(3, 1 / 3)}, optax.sgd(0.1), 0)
        step = training.make_train_step(loss, optax.sgd(0.1))
        _, packed = step.packed(state, make_batch(0))
        assert compiled.fetched(packed)["loss"] == pytest.approx(1 / 3, rel=1e-15)
