import functools
import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from seqjax import losses

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"

pytestmark = pytest.mark.usefixtures("quick_compile")


def written(alignment, blank):
    """What an alignment writes: runs once, blanks not at all."""
    return tuple(symbol for symbol, _ in itertools.groupby(alignment) if symbol != blank)


def enumerated(logits, label, blank=0):
    """The loss of one row `[time, alphabet]`, by going through every alignment."""
    logits = np.asarray(logits, np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = sum(
        np.prod([shares[t, symbol] for t, symbol in enumerate(alignment)])
        for alignment in itertools.product(range(logits.shape[1]), repeat=len(logits))
        if written(alignment, blank) == tuple(label)
    )
    return -np.log(total) if total else np.inf


@functools.partial(jax.jit, static_argnames=("blank", "zero_infinity"))
def value_and_gradient(logits, labels, lengths, label_lengths, weights, **options):
    """Losses, and the gradient of their weighted sum."""

    def total(logits):
        found = losses.ctc(logits, labels, lengths, label_lengths, **options)
        return (weights * found).sum(), found

    (_, found), gradient = jax.value_and_grad(total, has_aux=True)(logits)
    return found, gradient


@pytest.mark.parametrize("name", ["usual", "confident", "last_blank"])
def test_values_and_gradients_are_those_of_torch(x64, name):
    golden = np.load(GOLDEN / f"ctc_{name}.npz")
    arrays = [golden[key] for key in ("logits", "labels", "lengths", "label_lengths", "weights")]
    found, gradient = value_and_gradient(*arrays, blank=int(golden["blank"]))
    np.testing.assert_allclose(found, golden["losses"], rtol=1e-10)
    np.testing.assert_allclose(gradient, golden["grad"], atol=1e-10)
    zeroed, same = value_and_gradient(*arrays, blank=int(golden["blank"]), zero_infinity=True)
    np.testing.assert_allclose(zeroed, golden["zeroed"], rtol=1e-10)
    np.testing.assert_array_equal(same, gradient)
    narrow, gradient = value_and_gradient(
        arrays[0].astype(np.float32), *arrays[1:], blank=int(golden["blank"])
    )
    assert narrow.dtype == gradient.dtype == jnp.float32
    np.testing.assert_allclose(narrow, golden["losses"], rtol=1e-5)
    np.testing.assert_allclose(gradient, golden["grad"], atol=2e-5)


@pytest.mark.parametrize("blank", [0, 1])
def test_values_are_those_of_enumeration(getkey, blank):
    logits = 2 * jax.random.normal(getkey(), (9, 5, 3))
    words = [
        (),
        (2,),
        (2, 2),
        (2, 2, 2),
        (2, 2, 2, 2),
        (2, 0) if blank else (2, 1),
        (2,),
        (),
        (2, 2),
    ]
    lengths = np.array([5, 5, 5, 5, 5, 5, 1, 0, 2])
    labels = np.full((9, 4), 77)
    for row, word in zip(labels, words, strict=True):
        row[: len(word)] = word
    found = losses.ctc(
        logits, labels, lengths, np.array([len(word) for word in words]), blank=blank
    )
    for row, word in enumerate(words):
        np.testing.assert_allclose(
            found[row], enumerated(logits[row, : lengths[row]], word, blank), atol=1e-5
        )


def test_gradients_match_finite_differences(x64, getkey):
    logits = jax.random.normal(getkey(), (4, 5, 3), jnp.float64)
    labels, lengths, label_lengths = (
        np.array([[1, 2, 1], [1, 1, 0], [0, 0, 0], [2, 0, 0]]),
        (5, 3, 4, 1),
        (3, 2, 0, 1),
    )
    loss = lambda logits: losses.ctc(logits, labels, np.array(lengths), np.array(label_lengths))  # noqa: E731
    check_grads(jax.jit(loss), (logits,), order=1, modes=["rev"])


def test_labels_that_do_not_fit_are_infinite_or_zero_and_leave_no_gradient(getkey):
    labels = np.array([[1, 1, 0], [1, 2, 1], [1, 2, 1], [1, 0, 0]])
    lengths, label_lengths = np.array([2, 2, 3, 0]), np.array([2, 3, 3, 1])
    logits = jax.random.normal(getkey(), (4, 3, 4))
    assert losses.ctc_frames(labels, label_lengths).tolist() == [3, 3, 3, 1]
    fits = np.asarray(losses.ctc_frames(labels, label_lengths) <= lengths)
    for zero_infinity in (False, True):
        found, gradient = value_and_gradient(
            logits, labels, lengths, label_lengths, np.ones(4), zero_infinity=zero_infinity
        )
        assert (found[~fits] == (0 if zero_infinity else jnp.inf)).all() and 0 < found[2] < jnp.inf
        assert (gradient[~fits] == 0).all() and (gradient[2] != 0).all()


def test_without_frames_or_without_labels():
    none = losses.ctc(
        np.zeros((2, 0, 3), np.float32), np.ones((2, 1), int), label_lengths=np.array([0, 1])
    )
    assert none.tolist() == [0, np.inf]
    logits = jnp.log(jnp.array([[[0.5, 0.5], [0.25, 0.75]]]))
    blanks, gradient = value_and_gradient(logits, np.zeros((1, 0), int), None, None, 1.0)
    np.testing.assert_allclose(blanks, [np.log(8)], rtol=1e-6)
    np.testing.assert_allclose(gradient, [[[-0.5, 0.5], [-0.75, 0.75]]], rtol=1e-6)


def test_confident_frames_cost_nothing_or_all_and_never_less_than_nothing():
    path = np.array([1, 1, 0, 1, 2, 2])
    right = np.full((6, 3), -1e4, np.float32)
    right[np.arange(6), path] = 1e4
    labels = np.array([[1, 1, 2], [1, 1, 2]])
    found, gradient = value_and_gradient(np.stack([right, -right]), labels, None, None, 1.0)
    assert found[0] == 0 and np.isfinite(found).all() and (gradient[0] == 0).all()
    # The wrong way about: each frame shuns the symbol of the path, so the best alignment has to
    # take some of them.
    assert (
        found[1] > 1e4 and np.isfinite(gradient).all() and np.abs(gradient[1].sum(-1)).max() < 1e-6
    )
    likely = losses.ctc(
        np.tile(np.array([30.0, 0.0], np.float32), (1, 50, 1)), np.zeros((1, 0), int)
    )
    assert likely >= 0


@given(seed=st.integers(0, 99), scale=st.sampled_from([0.1, 3.0, 300.0]))
def test_the_gradient_sums_to_nothing_and_a_row_stands_alone(seed, scale):
    keys = jax.random.split(jax.random.key(seed), 3)
    logits = scale * jax.random.normal(keys[0], (4, 7, 5))
    labels = jax.random.randint(keys[1], (4, 3), 1, 5)
    lengths, label_lengths = np.array([7, 5, 6, 3]), np.array([3, 2, 0, 1])
    found, gradient = value_and_gradient(logits, labels, lengths, label_lengths, 1.0)
    np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-5)
    dirty = np.where(np.arange(7)[:, None] < lengths[:, None, None], logits, np.nan)
    labels = np.where(np.arange(3) < label_lengths[:, None], labels, -1)
    for clean, other in zip(
        (found, gradient),
        value_and_gradient(dirty, labels, lengths, label_lengths, 1.0),
        strict=True,
    ):
        np.testing.assert_array_equal(clean, other)
    alone = losses.ctc(logits[1:2, :5], labels[1:2, :2])
    np.testing.assert_allclose(alone[0], found[1], rtol=1e-5)


def test_jit_vmap_and_narrow_inputs(getkey):
    logits, labels = (
        jax.random.normal(getkey(), (4, 6, 5)),
        np.array([[1, 2], [3, 3], [4, 1], [2, 1]]),
    )
    lengths, ones = np.array([6, 5, 4, 3]), np.array([2, 2, 1, 2])
    plain = losses.ctc(logits, labels, lengths, ones)
    np.testing.assert_allclose(jax.jit(losses.ctc)(logits, labels, lengths, ones), plain, rtol=1e-6)
    np.testing.assert_allclose(
        jax.jit(lambda x: losses.ctc(x, labels, lengths, ones))(logits), plain, rtol=1e-6
    )
    mapped = jax.vmap(lambda *row: losses.ctc(*(x[None] for x in row))[0])(
        logits, labels, lengths, ones
    )
    np.testing.assert_allclose(mapped, plain, rtol=1e-6)
    narrow = logits.astype(jnp.bfloat16)
    found, gradient = value_and_gradient(narrow, labels, lengths, ones, 1.0)
    assert found.dtype == jnp.float32 and gradient.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        found, losses.ctc(narrow.astype(jnp.float32), labels, lengths, ones)
    )


def test_focal_weighs_by_what_is_missing_to_certainty():
    nats = np.array([0.0, 0.1, 2.0, 50.0])
    np.testing.assert_allclose(losses.focal(nats, 2.0), (1 - np.exp(-nats)) ** 2 * nats, rtol=1e-5)
    np.testing.assert_allclose(losses.focal(nats, 0.0), nats, rtol=1e-6)
    assert np.isfinite(jax.vmap(jax.grad(lambda x: losses.focal(x, 0.5)))(jnp.asarray(nats))).all()


def test_focal_leaves_no_gradient_where_a_label_does_not_fit(getkey):
    logits = jax.random.normal(getkey(), (2, 2, 3))
    loss = lambda logits: losses.focal(losses.ctc(logits, np.array([[1, 1], [1, 2]])), 2.0).sum()  # noqa: E731
    gradient = jax.grad(loss)(logits)
    assert (gradient[0] == 0).all() and np.isfinite(gradient).all() and (gradient[1] != 0).any()


def test_uniform_cross_entropy_is_a_mean_over_frames_and_symbols(getkey):
    logits = jax.random.normal(getkey(), (3, 4, 5))
    found = losses.uniform_cross_entropy(logits.at[1, 2:].set(jnp.nan), np.array([4, 2, 0]))
    logs = np.asarray(jax.nn.log_softmax(logits))
    np.testing.assert_allclose(found, [-logs[0].mean(), -logs[1, :2].mean(), 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"logits": np.zeros((2, 3, 4), int)}, TypeError, "floating-point"),
        ({"logits": np.zeros((3, 4))}, ValueError, "logits have shape"),
        ({"labels": np.zeros((2, 2))}, TypeError, "integers"),
        ({"labels": np.ones((3, 2), int)}, ValueError, r"want \[2, positions\]"),
        (
            {"labels": np.array([[1, 4], [1, 1]])},
            ValueError,
            "a label is 4; give symbols from 0 to 3",
        ),
        ({"labels": np.array([[1, 2], [1, 0]])}, ValueError, "other than blank=0"),
        ({"lengths": np.array([3, 4])}, ValueError, "from 0 to 3"),
        ({"label_lengths": np.array([3, -1])}, ValueError, "label_lengths reach from -1 to 3"),
        ({"lengths": np.array([3])}, ValueError, r"the batch is \(2,\)"),
        ({"blank": 4}, ValueError, "blank is 4"),
    ],
)
def test_mistakes_are_named(unchecked, change, error, words):
    arguments = {"logits": np.zeros((2, 3, 4), np.float32), "labels": np.ones((2, 2), int)} | change
    with pytest.raises(error, match=words):
        losses.ctc(**arguments)


OUT_OF_RANGE, CLAMPED = np.array([99, -3, 4, 5]), np.array([5, 0, 4, 5])


def test_lengths_out_of_range_under_jit_are_clamped(getkey):
    logits, labels = (
        jax.random.normal(getkey(), (4, 5, 4)),
        np.array([[1, 2], [1, 1], [3, 3], [2, 1]]),
    )
    counts = np.array([9, -1, 1, 2]), np.array([2, 0, 1, 2])

    @jax.jit
    def everything(lengths, counts):
        nats = (
            losses.ctc(logits, labels, lengths, counts),
            losses.uniform_cross_entropy(logits, lengths),
        )
        return nats, losses.ctc_frames(labels, counts), losses.length_mask(lengths, 5)

    wrong, right = everything(OUT_OF_RANGE, counts[0]), everything(CLAMPED, counts[1])
    jax.tree.map(np.testing.assert_array_equal, wrong, right)
    with pytest.raises(
        ValueError,
        match="lengths reach from -3 to 99: a length is 99; the sequence has 5 steps, give lengths from 0 to 5",
    ):
        losses.uniform_cross_entropy(logits, OUT_OF_RANGE)
    with pytest.raises(ValueError, match="label_lengths reach from -1 to 9"):
        losses.ctc_frames(labels, counts[0])


@pytest.mark.parametrize("wrong", [-1, -100, 4, 99, 0])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_under_jit_a_label_that_is_no_symbol_is_nan_in_value_and_gradient(
    getkey, wrong, zero_infinity
):
    logits = jax.random.normal(getkey(), (3, 5, 4))
    labels = np.array([[1, 2], [1, wrong], [3, wrong]])
    arguments = logits, labels, np.array([5, 5, 5]), np.array([2, 2, 1]), np.ones(3, np.float32)
    found, gradient = value_and_gradient(*arguments, zero_infinity=zero_infinity)
    assert np.isnan(found).tolist() == [False, True, False]
    assert (
        np.isnan(gradient[1]).any()
        and np.isfinite(gradient[0]).all()
        and np.isfinite(gradient[2]).all()
    )
    with pytest.raises(
        ValueError, match=f"a label is {wrong}; give symbols from 0 to 3 other than blank=0"
    ):
        losses.ctc(logits, labels)


def test_focal_keeps_nan_and_refuses_a_negative_power():
    assert np.isnan(losses.focal(jnp.array([1.0, jnp.nan]), 2.0)).tolist() == [False, True]
    np.testing.assert_allclose(
        losses.focal(np.array([1, 2]), 2.0), losses.focal(np.array([1.0, 2.0]), 2.0)
    )
    with pytest.raises(ValueError, match="gamma is -1.0; give at least 0"):
        losses.focal(jnp.ones(2), -1.0)


def test_long_rows_are_as_exact_as_short_ones():
    rng = np.random.default_rng(0)
    logits, labels = 2 * rng.normal(size=(1, 3000, 6)), rng.integers(1, 6, (1, 150))
    arguments = labels, None, None, np.ones(1)
    narrow, gradient = value_and_gradient(logits.astype(np.float32), *arguments)
    with jax.enable_x64(True):
        wide, wanted = value_and_gradient(logits, *arguments)
    np.testing.assert_allclose(narrow, wide, rtol=1e-6)
    np.testing.assert_allclose(gradient, wanted, atol=3e-4)
