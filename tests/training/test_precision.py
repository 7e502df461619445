"""Mixed precision: bfloat16 inside, float32 outside."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax
from seqjax import training

pytestmark = pytest.mark.usefixtures("quick_compile")

LSTM = seqjax.LSTM(8)


def regression_loss(params, batch, rng, extra):
    """Predicts the mean of a sequence from the last output."""
    _, ys = seqjax.unroll(LSTM, params["lstm"], batch["xs"])
    predictions = ys[:, -1] @ params["out"]
    return jnp.square(predictions - batch["targets"]).mean(), training.Aux(extra=extra)


def make_batch(seed, rows=16):
    xs = np.random.default_rng(seed).normal(size=(rows, 6, 1)).astype(np.float32)
    return {
        "xs": xs,
        "targets": xs.mean((1, 2)),
        "ids": np.arange(rows),
        "valid": np.ones(rows, bool),
    }


def test_cast_floating_leaves_all_else_alone():
    tree = {
        "w": jnp.ones(2),
        "wide": np.ones(2),
        "ids": jnp.arange(2),
        "valid": jnp.ones(2, bool),
        "x": 1.5,
        "none": None,
    }
    cast = training.cast_floating(tree, jnp.bfloat16)
    assert {name: jnp.result_type(value) for name, value in cast.items() if value is not None} == {
        "w": jnp.bfloat16,
        "wide": jnp.bfloat16,
        "x": jnp.bfloat16,
        "ids": jnp.int32,
        "valid": jnp.bool_,
    }
    assert cast["ids"] is tree["ids"] and cast["none"] is None


def test_the_loss_sees_bfloat16_and_the_optimiser_float32(getkey):
    seen = {}

    def spy(params, batch, rng, extra):
        seen.update(
            w=params["w"].dtype, x=batch["x"].dtype, ids=batch["ids"].dtype, extra=extra.dtype
        )
        return jnp.square(params["w"] * batch["x"]).sum(), training.Aux(extra=extra)

    mixed = training.mixed_precision(spy)
    batch = {"x": jnp.ones(3), "ids": jnp.arange(3)}
    (loss, _), grads = jax.value_and_grad(mixed, has_aux=True)(
        {"w": jnp.ones(3)}, batch, getkey(), jnp.ones(())
    )
    assert seen == {"w": jnp.bfloat16, "x": jnp.bfloat16, "ids": jnp.int32, "extra": jnp.float32}
    assert loss.dtype == grads["w"].dtype == jnp.float32


@pytest.mark.parametrize("parts", [1, 2])
def test_a_model_learns_in_bfloat16_with_float32_parameters(getkey, parts):
    params = {"lstm": LSTM.init(getkey(), 1), "out": jnp.zeros(8)}
    optimiser = optax.adam(1e-2)
    state = training.create_state(params, optimiser, getkey(), ema=True)
    clip = training.clip_by_norm(1.0)
    train_step = training.make_train_step(
        training.mixed_precision(regression_loss),
        optimiser,
        clip=clip,
        ema_decay=0.9,
        accumulate=parts,
    )
    losses = []
    for n in range(80):
        state, metrics = train_step(state, make_batch(n))
        losses.append(float(metrics["loss"]))
    floating = (state.params, state.opt_state[0].mu, state.opt_state[0].nu, state.ema)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(floating)} == {"float32"}
    assert metrics["loss"].dtype == metrics["gradient_norm"].dtype == jnp.float32
    assert np.mean(losses[-10:]) < 0.3 * np.mean(losses[:5])
    assert int(state.skipped) == 0


def test_bfloat16_rounds_and_float32_does_not(getkey):
    params = {"lstm": LSTM.init(getkey(), 1), "out": jax.random.normal(getkey(), (8,))}
    batch = make_batch(0)
    exact, _ = regression_loss(params, batch, None, None)
    rounded, _ = training.mixed_precision(regression_loss)(params, batch, None, None)
    same, _ = training.mixed_precision(regression_loss, jnp.float32)(params, batch, None, None)
    np.testing.assert_allclose(same, exact, rtol=1e-6)
    np.testing.assert_allclose(rounded, exact, rtol=0.05)
    assert float(rounded) != float(exact)
