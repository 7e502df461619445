"""Clipping worked out by hand, and the summary of an epoch's gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from seqjax import training
from tests.training.regression import assert_same_bits

GRADS = {"a": {"w": jnp.array([[3.0, 0.0], [0.0, -4.0]])}, "b": jnp.array([12.0])}  # of norm 13


def apply(clip, grads, params=None):
    return jax.jit(clip.update)(grads, clip.init(params if params is not None else grads), params)[
        0
    ]


def flat(tree):
    return np.concatenate([np.ravel(tree["a"]["w"]), np.ravel(tree["b"])])


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("threshold", [0.5, 1.0, 12.9])
def test_clip_by_norm_brings_the_norm_to_the_threshold_and_keeps_the_direction(threshold):
    clipped = flat(apply(training.clip_by_norm(threshold), GRADS))
    np.testing.assert_allclose(np.linalg.norm(clipped), threshold, rtol=1e-6)
    np.testing.assert_allclose(cosine(clipped, flat(GRADS)), 1, rtol=1e-6)


@pytest.mark.parametrize("threshold", [13.001, 100.0])
def test_clip_by_norm_leaves_a_shorter_gradient_alone_bit_for_bit(threshold):
    assert_same_bits(apply(training.clip_by_norm(threshold), GRADS), GRADS)


def test_clip_by_norm_of_a_zero_gradient_is_zero():
    zero = {"a": {"w": jnp.zeros((2, 2))}, "b": jnp.zeros(1)}
    assert_same_bits(apply(training.clip_by_norm(1.0), zero), zero)


def test_clip_by_value_cuts_each_element_and_turns_the_direction():
    clipped = flat(apply(training.clip_by_value(3.5), GRADS))
    np.testing.assert_array_equal(clipped, [3.0, 0.0, 0.0, -3.5, 3.5])
    assert cosine(clipped, flat(GRADS)) < 0.95


def test_clip_adaptively_by_hand():
    # columns of w are units: their norms 5 and 0.1, their gradients' 10 and 0.0005; a bias is one
    # unit, of norm 2
    params = {
        "w": jnp.array([[3.0, 0.0], [4.0, 0.1]]),
        "b": jnp.array([2.0, 0.0]),
        "new": jnp.zeros((2, 1)),
    }
    grads = {
        "w": jnp.array([[6.0, 3e-4], [8.0, 4e-4]]),
        "b": jnp.array([0.0, 1.0]),
        "new": jnp.ones((2, 1)),
    }
    clipped = apply(training.clip_adaptively(0.01), grads, params)
    np.testing.assert_allclose(clipped["w"][:, 0], np.array([6.0, 8.0]) * 0.05 / 10, rtol=1e-6)
    np.testing.assert_array_equal(clipped["w"][:, 1], grads["w"][:, 1])
    np.testing.assert_allclose(clipped["b"], [0.0, 0.02], rtol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(clipped["new"]), 0.01 * 1e-3, rtol=1e-5
    )  # a zero weight counts as 1e-3


@pytest.mark.parametrize(
    "make", [training.clip_by_norm, training.clip_by_value, training.clip_adaptively]
)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_threshold_that_is_not_above_zero(make, value):
    with pytest.raises(ValueError, match="give a number above 0"):
        make(value)


def test_clip_with_health_says_what_was_there_and_what_is_left():
    clipped, health = training.clip_with_health(training.clip_by_norm(6.5), GRADS, GRADS)
    np.testing.assert_allclose(flat(clipped), flat(GRADS) / 2, rtol=1e-6)
    wanted = {"gradient_norm": 13.0, "clipped_norm": 6.5, "clipped": 1.0, "finite": 1.0}
    wanted |= {"gradient_norm/a": 5.0, "gradient_norm/params": 12.0}
    assert health.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(health[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("clip", [None, training.clip_by_norm(14.0), training.clip_by_value(12.5)])
def test_clip_with_health_of_a_gradient_that_is_not_clipped(clip):
    clipped, health = training.clip_with_health(clip, GRADS, GRADS)
    assert_same_bits(clipped, GRADS)
    assert health["clipped"] == 0 and health["clipped_norm"] == health["gradient_norm"] == 13


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("clip", [None, training.clip_by_norm(1.0), training.clip_by_value(1.0)])
def test_clip_with_health_sees_one_bad_element(bad, clip):
    grads = {"a": {"w": GRADS["a"]["w"].at[1, 0].set(bad)}, "b": GRADS["b"]}
    _, health = training.clip_with_health(clip, grads, grads)
    assert health["finite"] == 0
    assert not np.isfinite(health["gradient_norm/a"]) and health["gradient_norm/params"] == 12


def test_layer_norms_are_named_by_the_path_of_their_dict():
    tree = {
        "embed": {"embedding": jnp.array([[3.0, 4.0]])},
        "recurrent": {
            "layer_0": {"w_x": jnp.array([1.0, 2.0]), "b": jnp.array([2.0])},
            "layer_1": {"w": jnp.ones(4)},
        },
    }
    norms = training.layer_norms(tree)
    assert {name: float(norm) for name, norm in norms.items()} == {
        "embed": 5.0,
        "recurrent/layer_0": 3.0,
        "recurrent/layer_1": 2.0,
    }


def steps(*rows):
    return [
        {"gradient_norm": norm, "clipped": clipped, "finite": finite}
        for norm, clipped, finite in rows
    ]


def test_summarise_by_hand():
    # the finite norms are 1, 2, 3, 4, 5: the q-quantile is 1 + 4 q; two of five were clipped
    given = steps(
        (5, 1, 1), (np.nan, 0, 0), (1, 0, 1), (4, 1, 1), (np.inf, 1, 0), (2, 0, 1), (3, 0, 1)
    )
    wanted = {
        "gradient_norm_p50": 3.0,
        "gradient_norm_p90": 4.6,
        "gradient_norm_p99": 4.96,
        "gradient_norm_max": 5.0,
        "clipped_share": 0.4,
        "nonfinite_steps": 2,
    }
    assert training.summarise(given) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("given", "nonfinite"), [([], 0), (steps((np.nan, 0, 0), (np.inf, 0, 0)), 2)]
)
def test_summarise_where_no_step_was_finite(given, nonfinite):
    summary = training.summarise(given)
    assert summary.pop("nonfinite_steps") == nonfinite
    assert len(summary) == 5 and all(np.isnan(value) for value in summary.values())


HUGE = [
    ({"w": jnp.full(4, 1e25)}, 2e25),  # its squares overflow
    ({"w": jnp.full(4, 1e-30)}, 2e-30),  # its squares vanish
    ({"w": jnp.full(4, 3e4, jnp.float16), "b": jnp.zeros(2, jnp.float16)}, 6e4),
    (
        {"w": jnp.full(16, 1e38), "b": jnp.ones(3)},
        float(np.finfo(np.float32).max),
    ),  # no float32 holds the norm, 4e38
    ({"w": jnp.array([1e30]), "b": jnp.array([1e-30])}, 1e30),
    ({"w": jnp.array([3e20]), "b": jnp.array([-4e20])}, 5e20),
]


@pytest.mark.parametrize(("grads", "norm"), HUGE)
def test_norms_neither_overflow_nor_vanish(grads, norm):
    clipped, health = training.clip_with_health(None, grads, grads)
    assert_same_bits(clipped, grads)
    for found in (health["gradient_norm"], health["clipped_norm"], health["gradient_norm/params"]):
        np.testing.assert_allclose(found, norm, rtol=1e-3 if norm == 6e4 else 1e-6)
    assert health["finite"] == 1
    np.testing.assert_allclose(
        training.layer_norms(grads)["params"], norm, rtol=1e-3 if norm == 6e4 else 1e-6
    )


@pytest.mark.parametrize(("grads", "norm"), HUGE)
def test_clip_by_norm_saves_any_gradient_of_finite_elements(grads, norm):
    clipped, health = training.clip_with_health(training.clip_by_norm(1.0), grads, grads)
    # the direction in float64, of which the clipped gradient is the unit vector, unless it was
    # shorter
    exact = np.concatenate([np.asarray(grads[name], np.float64) for name in sorted(grads)])
    wanted = exact / max(1.0, np.linalg.norm(exact))
    found = np.concatenate([np.asarray(clipped[name], np.float64) for name in sorted(clipped)])
    assert {name: leaf.dtype for name, leaf in clipped.items()} == {
        name: leaf.dtype for name, leaf in grads.items()
    }
    np.testing.assert_allclose(
        found, wanted, rtol=1e-3 if grads["w"].dtype == np.float16 else 1e-6, atol=1e-38
    )
    np.testing.assert_allclose(health["clipped_norm"], min(1.0, norm), rtol=1e-3)
    assert health["clipped"] == (norm > 1)


def test_clip_adaptively_saves_huge_gradients_unit_by_unit():
    params = {
        "w": jnp.array([[3.0, 1e-2], [4.0, 0.0]]),
        "k": jnp.ones((1, 1, 2, 2)),
        "half": jnp.ones(4, jnp.float16),
    }
    grads = {
        "w": jnp.array([[6e30, 3e-5], [8e30, 4e-5]]),
        "k": jnp.full((1, 1, 2, 2), 1e38),
        "half": jnp.full(4, 6e4, jnp.float16),
    }
    clipped = apply(training.clip_adaptively(0.01), grads, params)
    np.testing.assert_allclose(clipped["w"][:, 0], [0.03, 0.04], rtol=1e-6)
    np.testing.assert_array_equal(clipped["w"][:, 1], grads["w"][:, 1])  # 5e-5, below 0.01 of 1e-2
    np.testing.assert_allclose(
        clipped["k"], 0.01, rtol=1e-6
    )  # of norm sqrt(2) each, along all axes but the last
    np.testing.assert_allclose(clipped["half"], 0.01, rtol=1e-3)
    assert clipped["half"].dtype == jnp.float16


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        (training.clip_by_norm(2.0), optax.clip_by_global_norm(2.0)),
        (training.clip_adaptively(0.01), optax.adaptive_grad_clip(0.01)),
    ],
)
def test_clipping_of_ordinary_gradients_is_that_of_optax_bit_for_bit(own, theirs):
    rng = np.random.default_rng(0)
    draw = lambda scale: {  # noqa: E731
        "a": jnp.asarray(scale * rng.normal(size=(5, 3)), jnp.float32),
        "b": jnp.ones(3),
    }
    grads, params = draw(2.0), draw(1.0)
    assert_same_bits(apply(own, grads, params), apply(theirs, grads, params))
    assert training.clip_with_health(None, grads, params)[1]["gradient_norm"] == optax.tree.norm(
        grads
    )


def test_layers_of_flax_nnx_are_named_as_those_of_dicts():
    layer = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    assert training.layer_norms({"cell": nnx.state(layer, nnx.Param)}).keys() == {"cell"}


@pytest.mark.parametrize("tree", [{}, {"w": jnp.zeros((0, 3))}, {"w": jnp.zeros(3)}])
def test_the_norm_of_nothing_is_zero(tree):
    health = training.clip_with_health(training.clip_by_norm(1.0), tree, tree)[1]
    assert health["gradient_norm"] == health["clipped_norm"] == 0 and health["finite"] == 1
