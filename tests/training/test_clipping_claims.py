"""Clipping does what it claims, on recurrences whose gradients are known in closed form.

The explosive recurrence is h_t = w h_{t-1} without inputs, h_0 = 1, and its loss h_T = w^T. So
dL/dw = T w^{T-1} and dL/dh_t = w^{T-t}.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax
from seqjax import diagnostics, training

W, T, THRESHOLD = 1.5, 30, 1.0
CELL = seqjax.Elman(1, activation="relu")  # linear, for h stays positive
XS = jnp.zeros((T, 1))


def explosive(w=W):
    return {"w_x": jnp.zeros((1, 1)), "w_h": jnp.full((1, 1), w), "b": jnp.zeros(1)}


def last(params):
    """h_T = w^T."""
    return seqjax.unroll(CELL, params, XS, jnp.ones(1))[0][0]


def by_hand(w):
    """The gradient of w^T: T w^(T-1) by the weight, the sum of w^(T-t) by the bias."""
    return T * w ** (T - 1), sum(w ** (T - t) for t in range(1, T + 1))


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(np.float64)


def clip(transformation, grads, params):
    return training.clip_with_health(transformation, grads, params)


def test_the_unclipped_norm_is_the_predicted_growth():
    grads = jax.grad(last)(explosive())
    by_weight, by_bias = by_hand(W)
    np.testing.assert_allclose(grads["w_h"][0, 0], by_weight, rtol=1e-4)
    _, health = clip(None, grads, explosive())
    np.testing.assert_allclose(health["gradient_norm"], np.hypot(by_weight, by_bias), rtol=1e-4)
    np.testing.assert_allclose(health["clipped_norm"], health["gradient_norm"])
    assert health["gradient_norm"] > 1e6


def test_the_gradient_grows_by_w_at_each_step_back():
    flow = diagnostics.gradient_flow(
        CELL, explosive() | {"b": jnp.full(1, 1e-6)}, XS, lambda ys: ys[-1, 0]
    )["h"]
    np.testing.assert_allclose(flow, W ** np.arange(T - 1, -1, -1.0), rtol=1e-4)


def test_the_clipped_norm_is_the_threshold_and_the_direction_is_kept():
    grads = jax.grad(last)(explosive())
    clipped, health = clip(training.clip_by_norm(THRESHOLD), grads, explosive())
    chex.assert_trees_all_equal_shapes_and_dtypes(clipped, grads)
    np.testing.assert_allclose(np.linalg.norm(flat(clipped)), THRESHOLD, rtol=1e-5)
    np.testing.assert_allclose(health["clipped_norm"], THRESHOLD, rtol=1e-5)
    assert health["clipped"] == 1
    cosine = (
        flat(grads) @ flat(clipped) / np.linalg.norm(flat(grads)) / np.linalg.norm(flat(clipped))
    )
    np.testing.assert_allclose(cosine, 1, rtol=1e-6)


def test_below_the_threshold_nothing_is_touched():
    params = explosive(0.5)
    grads = jax.grad(last)(params)
    norm = np.hypot(*by_hand(0.5))  # 2, nearly all by the bias
    clipped, health = clip(training.clip_by_norm(1.01 * norm), grads, params)
    chex.assert_trees_all_equal(clipped, grads)
    assert health["clipped"] == 0
    _, health = clip(
        training.clip_by_norm(norm / 2), grads, params
    )  # and a lower threshold does touch it
    assert health["clipped"] == 1


def test_value_clipping_turns_the_direction_by_the_computed_amount():
    """By weight 3,834,751.2 and by bias 383,499.4, both are cut to the limit: (a, b) becomes (1, 1), 45 degrees."""
    grads = jax.grad(last)(explosive())
    clipped, _ = clip(training.clip_by_value(1.0), grads, explosive())
    by_weight, by_bias = by_hand(W)
    wanted = (by_weight + by_bias) / (np.sqrt(2) * np.hypot(by_weight, by_bias))
    assert wanted < 0.9
    cosine = (
        flat(grads) @ flat(clipped) / np.linalg.norm(flat(grads)) / np.linalg.norm(flat(clipped))
    )
    np.testing.assert_allclose(cosine, wanted, rtol=1e-4)
    np.testing.assert_allclose(sorted(flat(clipped)), [0, 1, 1], atol=1e-6)


def test_a_divergent_run_converges_by_clipping_alone():
    """The same seed, data, learning rate and steps: only the clipping differs.

    1.2^30 = 237 should be 300. The first step without clipping makes the weight 1,500, and 1,500^30
    is no float32.
    """
    target = 300.0

    def loss(params, batch, rng, extra):
        noise = 1e-3 * jax.random.normal(rng)
        return jnp.square(last(params) - target + noise), training.Aux()

    def run(clip):
        optimiser = optax.sgd(2e-3)
        state = training.create_state(explosive(1.2), optimiser, jax.random.key(0))
        step = training.make_train_step(loss, optimiser, clip=clip)
        losses = []
        for _ in range(200):
            state, metrics = step(state, None)
            losses.append(float(metrics["loss"]))
        return np.array(losses), int(state.skipped)

    losses, skipped = run(training.clip_by_norm(0.05))
    assert np.isfinite(losses).all() and skipped == 0
    assert losses[0] > 3000 and losses[-20:].max() < 3
    losses, skipped = run(None)
    assert not np.isfinite(losses[1:]).any() and skipped == 199


def share_left(norms):
    """|dL/dh_1| / |dL/dh_51|."""
    return float(norms[0] / norms[-1])


def test_an_elman_network_forgets_fifty_steps_at_radius_below_one():
    """|dL/dh_1| / |dL/dh_51| <= 0.7^50 = 1.8e-8 for an orthogonal matrix, and tanh only shrinks it further."""
    cell = seqjax.Elman(32)
    params = dict(cell.init(jax.random.key(0), 4))
    params["w_h"] = diagnostics.with_spectral_radius(params["w_h"], 0.7)
    xs = jax.random.normal(jax.random.key(1), (51, 4))
    share = share_left(diagnostics.gradient_flow(cell, params, xs, lambda ys: ys[-1].sum())["h"])
    assert 0 < share < 1e-6


@pytest.mark.parametrize("forget_bias, kept", [(3.0, True), (0.0, False)])
def test_an_lstm_keeps_its_gradient_by_its_forget_gate(forget_bias, kept):
    """Fifty steps through gates of sigmoid(3) = 0.953 leave 0.953^50 = 0.09; through sigmoid(0) nothing is left."""
    cell = seqjax.LSTM(32, forget_bias=forget_bias)
    params = cell.init(jax.random.key(0), 4)
    xs = jax.random.normal(jax.random.key(1), (51, 4))
    flow = diagnostics.gradient_flow(cell, params, xs, lambda ys: ys[-1].sum())
    share = share_left(jnp.hypot(flow["h"], flow["c"]))
    assert (share > 1e-2) if kept else (share < 1e-6)
