"""The training step: held to a loop written out with optax, and to what it promises about bad gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import training
from tests.training.regression import assert_same_bits, fresh_params, leaves_of, make_batch, weighted_loss

pytestmark = pytest.mark.usefixtures("quick_compile")


def assert_close(a, b, tolerance=1e-6):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_steps_equal_a_loop_written_out(getkey):
    key, threshold, decay = getkey(), 1.0, 0.9
    optimiser = optax.adam(1e-2)
    state = training.create_state(fresh_params(), optimiser, key, extra=jnp.zeros(()), ema=True)
    train_step = training.make_train_step(
        weighted_loss, optimiser, clip=training.clip_by_norm(threshold), ema_decay=decay
    )
    params = fresh_params()
    moments, average = optimiser.init(params), params
    gradient = jax.jit(jax.value_and_grad(weighted_loss, has_aux=True))
    clipped_steps = 0
    for n in range(8):
        batch = make_batch(n)
        (loss, aux), grads = gradient(params, batch, jax.random.fold_in(key, n), jnp.zeros(()))
        norm = np.sqrt(sum(np.square(g).sum() for g in leaves_of(grads)))
        grads = jax.tree.map(lambda g: g * min(1.0, threshold / norm), grads)  # noqa: B023
        updates, moments = optimiser.update(grads, moments, params)
        params = jax.tree.map(jnp.add, params, updates)
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)

        state, metrics = train_step(state, batch)
        clipped_steps += norm > threshold
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
        np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-5)
        np.testing.assert_allclose(metrics["clipped_norm"], min(norm, threshold), rtol=1e-5)
        np.testing.assert_allclose(metrics["absolute"], aux.metrics["absolute"].value(), rtol=1e-5)
        assert metrics["clipped"] == (norm > threshold) and metrics["finite"] == 1
    assert 0 < clipped_steps < 8, "the threshold must matter at some steps and not at others"
    assert_close((state.params, state.opt_state, state.ema), (params, moments, average))
    assert int(state.step) == 8 and float(state.extra) == 8 and int(state.skipped) == 0
    assert_same_bits(state.rng, key)


def draws_loss(params, batch, rng, extra):
    draw = jax.random.uniform(rng)
    return params["w"] * batch.mean(), training.Aux(extra=jnp.roll(extra, -1, 1).at[:, -1].set(draw))


@pytest.mark.parametrize("parts", [1, 2])
def test_each_step_and_each_part_of_it_draws_from_its_own_key(getkey, parts):
    key = getkey()
    state = training.create_state({"w": jnp.ones(())}, optax.sgd(0.1), key, extra=jnp.zeros((2, 3)))
    train_step = training.make_train_step(draws_loss, optax.sgd(0.1), accumulate=parts)
    for _ in range(3):
        state, _ = train_step(state, jnp.ones(2))
    keys = [jax.random.fold_in(key, n) for n in range(3)]
    of_rows = [keys] * 2 if parts == 1 else [[jax.random.fold_in(k, part) for k in keys] for part in range(parts)]
    np.testing.assert_array_equal(state.extra, [[jax.random.uniform(k) for k in row] for row in of_rows])
    assert len(np.unique(state.extra)) == 3 * parts


def carried_loss(params, batch, rng, extra):
    """Carries a memory of each row, `[rows, 2]`, and counts the batches; one row's loss is none of another's."""
    memory = jnp.tanh(batch["x"] @ params["w"] + extra["memory"])
    return jnp.square(memory).mean(), training.Aux(extra={"memory": memory, "batches": extra["batches"] + 1})


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_carry_their_own_rows_and_count_one_batch(getkey, parts):
    key, params = getkey(), {"w": jnp.asarray(np.random.default_rng(7).normal(size=(3, 2)).astype(np.float32))}
    extra = {"memory": jnp.zeros((8, 2)), "batches": jnp.zeros((), jnp.int32)}
    ends = []
    for accumulate in (1, parts):
        state = training.create_state(params, optax.sgd(0.1), key, extra=extra)
        train_step = training.make_train_step(carried_loss, optax.sgd(0.1), accumulate=accumulate)
        for n in range(3):
            state, _ = train_step(state, make_batch(n))
        ends.append((state.params, state.extra))
    assert ends[1][1]["batches"] == 3 and np.abs(ends[0][1]["memory"]).min() > 0
    assert_close(ends[1], ends[0])


def noiseless_loss(params, batch, rng, extra):
    return weighted_loss(params, batch, jax.random.key(0), extra)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_give_the_gradient_of_the_whole_batch(getkey, parts):
    key, optimiser = getkey(), optax.sgd(1.0)
    steps = [training.make_train_step(noiseless_loss, optimiser, accumulate=accumulate) for accumulate in (1, parts)]
    for weight in ([1] * 8, [1, 1, 1, 1, 1, 0, 0, 0], [0.5, 3, 0, 1, 0, 0, 7, 2], [0] * 8):
        batch = make_batch(0) | {"weight": np.array(weight, np.float32)}
        (whole, whole_metrics), (cut, cut_metrics) = (
            step(training.create_state(fresh_params(), optimiser, key), batch) for step in steps
        )
        assert_close(cut.params, whole.params)
        assert_close(cut_metrics, whole_metrics, 1e-5)
        assert (float(cut_metrics["gradient_norm"]) > 0) == any(weight)


def test_the_mean_of_parts_of_unequal_weight_would_be_another_gradient():
    batch = make_batch(0) | {"weight": np.array([1, 1, 1, 1, 1, 0, 0, 0], np.float32)}
    gradient = jax.jit(jax.grad(lambda p, b: noiseless_loss(p, b, None, None)[0]))
    halves = [gradient(fresh_params(), {k: a[part] for k, a in batch.items()}) for part in (np.s_[:4], np.s_[4:])]
    naive = (halves[0]["layer"]["w"] + halves[1]["layer"]["w"]) / 2
    assert np.abs(naive - gradient(fresh_params(), batch)["layer"]["w"]).max() > 1e-2


def poisonable_loss(params, batch, rng, extra):
    """A loss of the params; `where` 1 makes it infinite, `where` 2 its gradient alone."""
    w = params["w"]
    loss = jnp.square(w - batch["x"]).mean() + jnp.where(batch["where"] == 1, jnp.inf, 0.0)
    root = jnp.sqrt(jnp.where(batch["where"] == 2, w - jax.lax.stop_gradient(w), 1.0))
    return loss + 1e-3 * root[0], training.Aux(extra=extra + 1)


GOOD, BAD_LOSS, BAD_GRADIENT = 0, 1, 2


@pytest.mark.parametrize("bad", [BAD_LOSS, BAD_GRADIENT])
def test_what_is_not_finite_changes_nothing_is_counted_and_is_left_behind(getkey, bad):
    optimiser = optax.adam(1e-2)
    train_step = training.make_train_step(
        poisonable_loss, optimiser, clip=training.clip_by_norm(1.0), ema_decay=0.5, jit=False
    )
    train_step = jax.jit(train_step)  # keeps the state given, to compare with
    state = training.create_state({"w": jnp.arange(3.0)}, optimiser, getkey(), extra=jnp.array(5.0), ema=True)

    def batch(seed, where):
        return {"x": jnp.asarray(np.random.default_rng(seed).normal(size=3), jnp.float32), "where": where}

    state, _ = train_step(state, batch(0, GOOD))
    held, metrics = train_step(state, batch(1, bad))
    assert_same_bits(
        (held.params, held.opt_state, held.extra, held.ema, held.rng),
        (state.params, state.opt_state, state.extra, state.ema, state.rng),
    )
    assert np.isfinite(metrics["loss"]) == (bad == BAD_GRADIENT)
    assert np.isfinite(metrics["gradient_norm"]) == (bad == BAD_LOSS)
    assert (int(held.step), int(held.skipped), int(held.skipped_in_a_row)) == (2, 1, 1)
    assert metrics["finite"] == 0 and metrics["skipped_in_a_row"] == 1
    held, metrics = train_step(held, batch(2, bad))
    assert (int(held.skipped), int(metrics["skipped_in_a_row"])) == (2, 2)

    recovered, metrics = train_step(held, batch(3, GOOD))
    unharmed, _ = train_step(state, batch(3, GOOD))
    assert (int(recovered.skipped), int(recovered.skipped_in_a_row)) == (2, 0)
    assert metrics["finite"] == 1 and metrics["skipped_in_a_row"] == 0
    assert_same_bits(
        (recovered.params, recovered.opt_state, recovered.extra, recovered.ema),
        (unharmed.params, unharmed.opt_state, unharmed.extra, unharmed.ema),
    )
    assert np.abs(recovered.params["w"] - state.params["w"]).min() > 0


def linear_loss(params, batch, rng, extra):
    """Its gradient is the batch."""
    return sum((params[name] * jax.lax.stop_gradient(batch[name])).sum() for name in params), training.Aux()


INF_IN_ONE_LEAF = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([1.0, jnp.inf, 1.0])}


def test_clipping_by_optax_alone_turns_one_infinity_into_nan_parameters():
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    updates, _ = optimiser.update(INF_IN_ONE_LEAF, optimiser.init(params), params)
    assert np.isnan(optax.apply_updates(params, updates)["b"]).any()


@pytest.mark.parametrize(
    "clip",
    [None, training.clip_by_norm(1.0), training.clip_by_value(1.0), training.clip_adaptively(0.1)],
    ids=["none", "norm", "value", "adaptive"],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_one_infinity_in_one_leaf_never_reaches_the_parameters(getkey, clip, parts):
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    state = training.create_state(params, optax.sgd(0.1), getkey())
    train_step = training.make_train_step(linear_loss, optax.sgd(0.1), clip=clip, accumulate=parts)
    rows = jax.tree.map(lambda g: jnp.stack([g] * parts), INF_IN_ONE_LEAF)
    state, metrics = train_step(state, rows)
    assert_same_bits(state.params, params)
    assert metrics["finite"] == 0 and int(state.skipped) == 1


@pytest.mark.parametrize("parts", [1, 2])
def test_one_compilation_serves_many_steps(getkey, parts):
    traces = []

    def counted(*arguments):
        traces.append(1)
        return weighted_loss(*arguments)

    optimiser = optax.adam(optax.linear_schedule(1e-2, 0.0, 10))
    state = training.create_state(fresh_params(), optimiser, getkey(), extra=jnp.zeros(()), ema=True)
    train_step = training.make_train_step(
        counted, optimiser, clip=training.clip_by_norm(1.0), accumulate=parts, ema_decay=0.9
    )
    state, _ = train_step(state, make_batch(0))
    first = len(traces)
    for n in range(1, 6):
        state, _ = train_step(state, make_batch(n))
    assert len(traces) == first > 0


def test_the_state_given_is_donated_but_not_the_parameters_it_was_made_of(getkey):
    params, extra, key = fresh_params(), jnp.zeros(()), getkey()
    state = training.create_state(params, optax.adam(1e-2), key, extra=extra, ema=True)
    train_step = training.make_train_step(weighted_loss, optax.adam(1e-2), ema_decay=0.9)
    new, _ = train_step(state, make_batch(0))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.params, state.opt_state, state.ema)))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((params, extra, key, new)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accumulate": 0}, "accumulate is 0"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"ema_decay": -0.1}, "ema_decay is -0.1"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        training.make_train_step(weighted_loss, optax.sgd(0.1), **options)


@pytest.mark.parametrize(
    ("state_options", "step_options", "words"),
    [
        ({}, {"accumulate": 3}, "accumulate=3 does not divide a batch of 8 rows"),
        ({}, {"ema_decay": 0.9}, r"create_state\(\.\.\., ema=True\)"),
        ({"ema": True}, {}, "ema_decay"),
    ],
)
def test_a_step_that_does_not_fit_its_state_or_batch(getkey, state_options, step_options, words):
    state = training.create_state(fresh_params(), optax.sgd(0.1), getkey(), **state_options)
    with pytest.raises(ValueError, match=words):
        training.make_train_step(weighted_loss, optax.sgd(0.1), **step_options)(state, make_batch(0))


def test_a_loss_that_forgets_what_is_carried(getkey):
    state = training.create_state(fresh_params(), optax.sgd(0.1), getkey(), extra=jnp.zeros(()))
    forgetful = lambda *arguments: (weighted_loss(*arguments)[0], training.Aux())  # noqa: E731
    with pytest.raises(ValueError, match=r"Aux\.extra"):
        training.make_train_step(forgetful, optax.sgd(0.1))(state, make_batch(0))
