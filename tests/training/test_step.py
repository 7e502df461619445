"""The training step: held to a loop written out with optax, and to what it promises about bad gradients."""

from collections import OrderedDict
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from seqjax import training
from tests.training.regression import (
    assert_same_bits,
    fresh_params,
    leaves_of,
    make_batch,
    weighted_loss,
)

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
    return params["w"] * batch.mean(), training.Aux(
        extra=jnp.roll(extra, -1, 1).at[:, -1].set(draw)
    )


@pytest.mark.parametrize("parts", [1, 2])
def test_each_step_and_each_part_of_it_draws_from_its_own_key(getkey, parts):
    key = getkey()
    state = training.create_state({"w": jnp.ones(())}, optax.sgd(0.1), key, extra=jnp.zeros((2, 3)))
    train_step = training.make_train_step(draws_loss, optax.sgd(0.1), accumulate=parts)
    for _ in range(3):
        state, _ = train_step(state, jnp.ones(2))
    keys = [jax.random.fold_in(key, n) for n in range(3)]
    of_rows = (
        [keys] * 2
        if parts == 1
        else [[jax.random.fold_in(k, part) for k in keys] for part in range(parts)]
    )
    np.testing.assert_array_equal(
        state.extra, [[jax.random.uniform(k) for k in row] for row in of_rows]
    )
    assert len(np.unique(state.extra)) == 3 * parts


def carried_loss(params, batch, rng, extra):
    """Carries a memory of each row, `[rows, 2]`, and counts the batches; one row's loss is none of another's."""
    memory = jnp.tanh(batch["x"] @ params["w"] + extra["memory"])
    return jnp.square(memory).mean(), training.Aux(
        extra={"memory": memory, "batches": extra["batches"] + 1}
    )


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_carry_their_own_rows_and_count_one_batch(getkey, parts):
    key, params = (
        getkey(),
        {"w": jnp.asarray(np.random.default_rng(7).normal(size=(3, 2)).astype(np.float32))},
    )
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
    steps = [
        training.make_train_step(noiseless_loss, optimiser, accumulate=accumulate)
        for accumulate in (1, parts)
    ]
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
    halves = [
        gradient(fresh_params(), {k: a[part] for k, a in batch.items()})
        for part in (np.s_[:4], np.s_[4:])
    ]
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
    state = training.create_state(
        {"w": jnp.arange(3.0)}, optimiser, getkey(), extra=jnp.array(5.0), ema=True
    )

    def batch(seed, where):
        return {
            "x": jnp.asarray(np.random.default_rng(seed).normal(size=3), jnp.float32),
            "where": where,
        }

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
    return sum(
        (params[name][None] * jax.lax.stop_gradient(batch[name])).sum() for name in params
    ), training.Aux()


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
    state = training.create_state(
        fresh_params(), optimiser, getkey(), extra=jnp.zeros(()), ema=True
    )
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
    assert all(
        leaf.is_deleted() for leaf in jax.tree.leaves((state.params, state.opt_state, state.ema))
    )
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
        training.make_train_step(weighted_loss, optax.sgd(0.1), **step_options)(
            state, make_batch(0)
        )


def test_a_loss_that_forgets_what_is_carried(getkey):
    state = training.create_state(fresh_params(), optax.sgd(0.1), getkey(), extra=jnp.zeros(()))
    forgetful = lambda *arguments: (weighted_loss(*arguments)[0], training.Aux())  # noqa: E731
    with pytest.raises(ValueError, match=r"Aux\.extra"):
        training.make_train_step(forgetful, optax.sgd(0.1))(state, make_batch(0))


def huge_loss(scale):
    return lambda params, batch, rng, extra: (scale * params["w"].astype(jnp.float32)).sum()


@pytest.mark.parametrize(
    ("scale", "dtype", "clip", "moved"),
    [
        (1e19, jnp.float32, training.clip_by_value(1.0), 0.5),
        (5e37, jnp.float32, training.clip_by_norm(1.0), 0.25),
        (6e4, jnp.float16, training.clip_by_norm(1.0), 0.25),
        (6e4, jnp.float16, training.clip_by_value(1.0), 0.5),
        (5e37, jnp.float32, training.clip_adaptively(0.125), 0.125),
    ],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_clipping_saves_a_step_whose_gradient_is_huge_but_finite(scale, dtype, clip, moved, parts):
    # of 4 elements: clipped to 1 in norm each is 0.5; params of norm 2, of which an eighth is 0.125
    # each, are exact
    state = training.create_state({"w": jnp.ones(4, dtype)}, optax.sgd(0.5), 0)
    weighed = lambda *given: (huge_loss(scale)(*given), training.Aux(weight=given[1].sum()))  # noqa: E731
    train_step = training.make_train_step(weighed, optax.sgd(0.5), clip=clip, accumulate=parts)
    state, metrics = train_step(state, jnp.full(4, 100.0))
    assert (
        metrics["finite"] == 1 and int(state.skipped) == 0 and np.isfinite(metrics["gradient_norm"])
    )
    wanted = 1 - (0.0625 if moved == 0.125 else moved)
    np.testing.assert_allclose(np.asarray(state.params["w"], np.float32), wanted, rtol=1e-3)
    assert state.params["w"].dtype == dtype


def zero_then_one(params, batch, rng, extra):
    """A loss whose gradient is the batch."""
    return (params["w"] * batch).sum()


@pytest.mark.parametrize(
    ("optimiser", "batch"),
    [
        (optax.adam(0.1, eps=0.0), 0.0),  # 0 / 0
        (optax.sgd(lambda step: jnp.where(step == 0, 0.1, jnp.nan)), 1.0),
        (optax.inject_hyperparams(optax.sgd)(lambda step: jnp.where(step == 0, 0.1, jnp.nan)), 1.0),
        (optax.sgd(3e38), 2.0),
        (
            optax.adam(0.1),
            1e25,
        ),  # its second moment would be infinite, and the weight never learn again
    ],
)
def test_an_update_that_is_not_finite_changes_nothing_and_is_counted(optimiser, batch):
    state = training.create_state({"w": jnp.zeros(3)}, optimiser, 0, ema=True)
    train_step = jax.jit(
        training.make_train_step(zero_then_one, optimiser, ema_decay=0.5, jit=False)
    )
    state, metrics = train_step(state, jnp.full(3, 1e-3))
    assert metrics["finite"] == 1
    held, metrics = train_step(state, jnp.full(3, batch))
    if batch == 0:  # the moments of the first step are no zeros yet
        state = training.create_state({"w": jnp.zeros(3)}, optimiser, 0, ema=True)
        held, metrics = train_step(state, jnp.zeros(3))
    assert (
        metrics["finite"] == 0
        and np.isfinite(metrics["loss"])
        and np.isfinite(metrics["gradient_norm"])
    )
    assert (int(held.skipped), int(held.skipped_in_a_row)) == (1, 1)
    assert_same_bits(
        (held.params, held.opt_state, held.ema), (state.params, state.opt_state, state.ema)
    )


def test_a_state_carried_on_that_is_nan_is_dropped_and_infinity_is_not():
    def loss(params, batch, rng, extra):
        return (params["w"] * batch).sum(), training.Aux(
            extra=jnp.where(batch > 1, jnp.nan, extra - jnp.inf)
        )

    state = training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), 0, extra=jnp.zeros(2))
    train_step = training.make_train_step(loss, optax.sgd(0.1))
    state, metrics = train_step(state, jnp.ones(2))
    assert metrics["finite"] == 1 and np.isneginf(state.extra).all()
    state, metrics = train_step(state, jnp.full(2, 2.0))
    assert metrics["finite"] == 0 and np.isneginf(state.extra).all()


def every_optimiser():
    """Optimisers that remember the parameters themselves, and those that ask for more than the gradient."""
    contrib, adversary = optax.contrib, optax.chain(optax.contrib.normalize(), optax.sgd(0.01))
    return {
        "prodigy": contrib.prodigy(),
        "cocob": contrib.cocob(),
        "mechanize": contrib.mechanize(optax.sgd(0.1)),
        "dog": contrib.dog(1.0),
        "dowg": contrib.dowg(1.0),
        "sam": contrib.sam(optax.sgd(0.1), adversary),
        "sam, opaque": contrib.sam(optax.sgd(0.1), adversary, opaque_mode=True),
        "schedule free": contrib.schedule_free_sgd(0.1),
        "reduce on plateau": optax.chain(optax.sgd(0.1), contrib.reduce_on_plateau(patience=1)),
        "polyak": optax.polyak_sgd(),
        "momo": contrib.momo(),
        "momo adam": contrib.momo_adam(),
        "line search": optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(10)),
        "lbfgs": optax.lbfgs(),
        "sophia": contrib.sophia(0.01),
    }


@pytest.mark.parametrize("name", every_optimiser())
def test_optimisers_that_keep_the_parameters_or_ask_for_the_loss(name):
    optimiser = every_optimiser()[name]
    loss = lambda params, batch, rng, extra: jnp.square(params["w"] - batch).sum()  # noqa: E731
    state = training.create_state({"w": jnp.zeros(2)}, optimiser, 0, ema=True)
    train_step = training.make_train_step(loss, optimiser, ema_decay=0.9)
    for _ in range(6):
        state, metrics = train_step(state, jnp.array([1.0, -1.0]))
    assert int(state.skipped) == 0 and metrics["finite"] == 1
    assert metrics["loss"] < 2, "the loss at the beginning"


def test_the_loss_given_to_an_optimiser_is_that_of_the_whole_batch():
    # Polyak's step is loss / |gradient|^2 times the gradient: of (w - x)^2 it halves the distance
    optimiser = optax.polyak_sgd(max_learning_rate=10.0)
    loss = lambda params, batch, rng, extra: (  # noqa: E731
        jnp.square(params["w"] - batch).mean(),
        training.Aux(len(batch)),
    )
    for parts in (1, 2):
        state = training.create_state({"w": jnp.zeros(())}, optimiser, 0)
        state, _ = training.make_train_step(loss, optimiser, accumulate=parts)(
            state, jnp.full(4, 8.0)
        )
        np.testing.assert_allclose(state.params["w"], 4.0, rtol=1e-5)


def test_reduce_on_plateau_lowers_the_rate_as_the_loss_stands_still():
    optimiser = optax.chain(optax.sgd(0.0), optax.contrib.reduce_on_plateau(factor=0.5, patience=1))
    state = training.create_state({"w": jnp.ones(2)}, optimiser, 0)
    train_step = training.make_train_step(lambda params, *_: params["w"].sum(), optimiser)
    scales = []
    for _ in range(5):
        state, metrics = train_step(state, 0.0)
        scales.append(float(state.opt_state[-1].scale))
    assert metrics["finite"] == 1 and scales[0] == 1 and scales[-1] <= 0.25


def test_seeds_side_by_side_with_an_optimiser_that_keeps_the_parameters(getkey):
    optimiser = optax.contrib.prodigy()
    create = lambda key: training.create_state(  # noqa: E731
        {"w": jax.random.normal(key, (2,))}, optimiser, key, ema=True
    )
    states = training.create_states(create, getkey(), 3)
    step = training.over_seeds(
        training.make_train_step(zero_then_one, optimiser, ema_decay=0.9, jit=False)
    )
    states, metrics = step(states, jnp.ones(2))
    states, metrics = step(states, jnp.ones(2))
    np.testing.assert_array_equal(metrics["finite"], np.ones(3))


def test_a_new_optimiser_s_state_made_of_the_parameters_held_is_taken():
    state = training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), 0)
    optimiser = optax.contrib.prodigy()
    state = state.replace(opt_state=optimiser.init(state.params))
    state, metrics = training.make_train_step(zero_then_one, optimiser)(state, jnp.ones(2))
    assert metrics["finite"] == 1


def test_a_loss_without_aux_trains_as_one_with_it(getkey):
    key, batch = getkey(), jnp.arange(4.0)
    bare = lambda params, batch, rng, extra: jnp.square(params["w"] - batch).mean()  # noqa: E731
    full = lambda *given: (bare(*given), training.Aux(extra=given[3]))  # noqa: E731
    for parts in (1, 2):
        ends = []
        for loss in (bare, full):
            state = training.create_state(
                {"w": jnp.zeros(())}, optax.sgd(0.1), key, extra={"count": jnp.array(7)}
            )
            ends.append(
                training.make_train_step(loss, optax.sgd(0.1), accumulate=parts)(state, batch)
            )
        assert_same_bits(ends[0], ends[1])
        assert ends[0][0].extra["count"] == 7 and ends[0][0].params["w"] > 0


@pytest.mark.parametrize("found", [({"accuracy": 1.0},), (None,), (1, 2)])
def test_a_loss_that_returns_something_else_beside_the_loss(getkey, found):
    state = training.create_state({"w": jnp.zeros(())}, optax.sgd(0.1), getkey())
    with pytest.raises(
        TypeError, match=r"return the loss alone, or \(loss, training\.Aux\(\.\.\.\)\)"
    ):
        training.make_train_step(lambda params, *_: (params["w"], *found), optax.sgd(0.1))(
            state, 0.0
        )


def test_a_seed_or_an_older_key_does_for_a_key():
    made = [
        training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), rng).rng
        for rng in (7, np.int64(7), jnp.array(7), jax.random.key(7), jax.random.PRNGKey(7))
    ]
    for key in made:
        assert_same_bits(key, jax.random.key(7))
    assert_same_bits(training.create_state({}, optax.sgd(0.1), 2**40).rng, jax.random.key(2**40))


@pytest.mark.parametrize("rng", [0.5, True, None, np.zeros(2), np.zeros((3,), np.int32)])
def test_what_is_no_key(unchecked, rng):
    with pytest.raises(TypeError, match=r"give one key from jax\.random\.key\(seed\), or a seed"):
        training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), rng)


def test_several_keys_for_one(unchecked):
    with pytest.raises(TypeError, match="rng is an array key"):
        training.create_state(
            {"w": jnp.zeros(2)}, optax.sgd(0.1), jax.random.split(jax.random.key(0))
        )


@pytest.mark.parametrize("parts", [1, 2])
def test_a_state_that_was_donated_is_told_in_one_line(getkey, parts):
    state = training.create_state(fresh_params(), optax.sgd(0.1), getkey(), extra=jnp.zeros(()))
    train_step = training.make_train_step(weighted_loss, optax.sgd(0.1), accumulate=parts)
    train_step(state, make_batch(0))
    with pytest.raises(
        ValueError, match="given to a training step before, which took it over; go on with the one"
    ):
        train_step(state, make_batch(0))


class Memory(NamedTuple):
    h: jax.Array
    c: jax.Array


def remembering(returned):
    def loss(params, batch, rng, extra):
        memory = extra["memory"]
        h, c = memory if isinstance(memory, tuple | list) else (memory["h"], memory["c"])
        return (params["w"] * batch).sum(), training.Aux(extra={"memory": returned(h + 1, c + 2)})

    return loss


@pytest.mark.parametrize("returned", [Memory, lambda h, c: (h, c), lambda h, c: [h, c]])
@pytest.mark.parametrize("kept", [Memory(jnp.zeros(2), jnp.zeros(2)), [jnp.zeros(2), jnp.zeros(2)]])
def test_what_is_carried_may_come_in_another_container_and_keeps_its_own(returned, kept):
    state = training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), 0, extra={"memory": kept})
    train_step = training.make_train_step(remembering(returned), optax.sgd(0.1))
    for _ in range(2):
        state, _ = train_step(state, jnp.ones(2))
    assert jax.tree.structure(state.extra["memory"]) == jax.tree.structure(kept)
    np.testing.assert_array_equal(jax.tree.leaves(state.extra), [[2, 2], [4, 4]])


def test_named_parts_are_not_taken_for_ordered_ones():
    kept = {"memory": {"h": jnp.zeros(2), "c": jnp.zeros(2)}}
    state = training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), 0, extra=kept)
    with pytest.raises(ValueError, match=r"another Aux\.extra"):
        training.make_train_step(remembering(lambda h, c: (h, c)), optax.sgd(0.1))(
            state, jnp.ones(2)
        )
    train_step = training.make_train_step(
        remembering(lambda h, c: OrderedDict(h=h, c=c)), optax.sgd(0.1)
    )
    state, _ = train_step(state, jnp.ones(2))
    np.testing.assert_array_equal(state.extra["memory"]["c"], [2, 2])


@pytest.mark.parametrize(
    ("given", "change", "words"),
    [
        (
            jnp.zeros((4, 2)),
            lambda extra: extra[:3],
            r"Aux\.extra\['m'\] is float32\[3,2\], and was float32\[4,2\]",
        ),
        (
            jnp.zeros(2, jnp.int32),
            lambda extra: extra + 0.5,
            r"is float32\[2\], and was int32\[2\]",
        ),
    ],
)
def test_what_is_carried_keeps_its_shape_and_kind(given, change, words):
    state = training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), 0, extra={"m": given})
    loss = lambda params, batch, rng, extra: (  # noqa: E731
        params["w"].sum(),
        training.Aux(extra={"m": change(extra["m"])}),
    )
    with pytest.raises(ValueError, match=words):
        training.make_train_step(loss, optax.sgd(0.1))(state, jnp.ones(2))


def test_what_is_carried_keeps_its_dtype_where_that_holds_what_came():
    state = training.create_state({"w": jnp.zeros(2)}, optax.sgd(0.1), 0, extra=jnp.zeros(2))
    loss = lambda params, batch, rng, extra: (  # noqa: E731
        params["w"].sum(),
        training.Aux(extra=extra.astype(jnp.bfloat16) + 1),
    )
    state, _ = training.make_train_step(loss, optax.sgd(0.1))(state, jnp.ones(2))
    assert state.extra.dtype == jnp.float32


def test_a_state_in_other_containers_is_taken(getkey):
    optimiser = optax.adam(0.1)
    whole = training.create_state(fresh_params(), optimiser, getkey(), extra=jnp.zeros(()))
    plain = {
        name: jax.tree.map(jnp.array, getattr(whole, name)) for name in whole.__dataclass_fields__
    }
    # Adam's state as a program that knows no named tuples reads it
    plain["opt_state"] = [list(part) for part in plain["opt_state"]]
    train_step = training.make_train_step(weighted_loss, optimiser)
    assert_same_bits(train_step(plain, make_batch(0))[0], train_step(whole, make_batch(0))[0])


def test_a_state_of_something_else(getkey, unchecked):
    state = training.create_state(fresh_params(), optax.sgd(0.1), getkey(), extra=jnp.zeros(()))
    with pytest.raises(ValueError, match="opt_state is of another optimiser"):
        training.make_train_step(weighted_loss, optax.adam(0.1))(state, make_batch(0))
    with pytest.raises(TypeError, match="the state is dict; give a TrainState"):
        training.make_train_step(weighted_loss, optax.sgd(0.1))(fresh_params(), make_batch(0))


@pytest.mark.parametrize("form", ["state", "variable"])
def test_parameters_of_flax_nnx(form, tmp_path):
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    graph, params = nnx.split(layer)
    params = params if form == "state" else {"w": nnx.Param(jnp.ones((2, 3)))}

    def loss(params, batch, rng, extra):
        outputs = nnx.merge(graph, params)(batch) if form == "state" else batch @ params["w"][...]
        return jnp.square(outputs).mean()

    make = lambda: training.create_state(params, optax.adam(0.1), 0, ema=True)  # noqa: E731
    state = make()
    train_step = training.make_train_step(
        loss, optax.adam(0.1), clip=training.clip_by_norm(1.0), ema_decay=0.9
    )
    losses = []
    for _ in range(5):
        state, metrics = train_step(state, jnp.ones((4, 2)))
        losses.append(metrics["loss"])
    assert losses[-1] < losses[0] and "gradient_norm/params" in metrics
    checkpoints = training.Checkpoints(tmp_path)
    checkpoints.save(5, state, {})
    assert_same_bits(jax.tree.leaves(checkpoints.restore(make())[1]), jax.tree.leaves(state))
