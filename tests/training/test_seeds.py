"""Seeds side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import training
from seqjax.training.seeds import all_at_once
from tests.training.regression import FEATURES, make_batch, weighted_loss

pytestmark = pytest.mark.usefixtures("quick_compile")

COUNT, STEPS = 3, 4
OPTIMISER = optax.adam(1e-2)


def create(key):
    init_key, run_key = jax.random.split(key)
    params = {
        "layer": {"w": jax.random.normal(init_key, (FEATURES, 2)), "b": jnp.zeros(2)},
        "scale": jnp.ones(2),
    }
    return training.create_state(params, OPTIMISER, run_key, extra=jnp.zeros(()), ema=True)


def make_step(jit):
    clip = training.clip_by_norm(0.5)
    return training.make_train_step(weighted_loss, OPTIMISER, clip=clip, ema_decay=0.9, jit=jit)


@pytest.mark.parametrize("same_batch", [True, False])
def test_k_seeds_at_once_are_k_runs(getkey, same_batch):
    key = getkey()
    states = training.create_states(create, key, COUNT)
    assert all(leaf.shape[0] == COUNT for leaf in jax.tree.leaves(states))
    step_all, step_one = (
        training.over_seeds(make_step(jit=False), same_batch=same_batch),
        make_step(jit=True),
    )
    runs = [create(k) for k in jax.random.split(key, COUNT)]
    assert np.abs(runs[0].params["layer"]["w"] - runs[1].params["layer"]["w"]).max() > 0.1
    for n in range(STEPS):
        batches = [make_batch(n if same_batch else 10 * n + seed) for seed in range(COUNT)]
        together = (
            batches[0] if same_batch else jax.tree.map(lambda *rows: np.stack(rows), *batches)
        )
        states, metrics = step_all(states, together)
        runs, apart = zip(
            *(step_one(run, batch) for run, batch in zip(runs, batches, strict=True)), strict=True
        )
        for name, values in metrics.items():
            np.testing.assert_allclose(
                values, [m[name] for m in apart], rtol=1e-5, atol=1e-6, err_msg=name
            )
    for seed, run in enumerate(runs):
        of_seed = jax.tree.map(
            lambda leaf: leaf[seed],  # noqa: B023
            (states.params, states.opt_state, states.ema, states.extra),
        )
        for a, b in zip(
            jax.tree.leaves(of_seed),
            jax.tree.leaves((run.params, run.opt_state, run.ema, run.extra)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(
            jax.random.key_data(states.rng[seed]), jax.random.key_data(run.rng)
        )
    np.testing.assert_array_equal(states.step, STEPS)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_all_at_once_is_the_same_whether_mapped_or_one_by_one(getkey, monkeypatch, platform):
    key, batch = getkey(), make_batch(0)
    step_all = training.over_seeds(make_step(jit=False))
    expected, apart = step_all(training.create_states(create, key, COUNT), batch)
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    step = all_at_once(make_step(jit=False))
    states, metrics = step(training.create_states(create, key, COUNT), batch)
    for a, b in zip(jax.tree.leaves(states.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert metrics["loss"] == pytest.approx(float(apart["loss"].mean()), rel=1e-5)
    assert metrics["finite"] == apart["finite"].min()


def test_one_run_that_meets_infinity_does_not_stop_the_others(getkey):
    states = training.create_states(create, getkey(), COUNT)
    before = np.asarray(states.params["layer"]["w"])
    batches = [make_batch(seed) for seed in range(COUNT)]
    batches[1]["y"][:] = np.inf
    together = jax.tree.map(lambda *rows: np.stack(rows), *batches)
    states, _ = training.over_seeds(make_step(jit=False), same_batch=False)(states, together)
    moved = np.abs(np.asarray(states.params["layer"]["w"]) - before).max(axis=(1, 2))
    assert moved[1] == 0 and moved[0] > 0 and moved[2] > 0
    np.testing.assert_array_equal(states.skipped, [0, 1, 0])
