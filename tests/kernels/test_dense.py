"""Rounded products with one matrix: against rounding by hand, on every instruction set."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import seqjax
from seqjax import kernels
from seqjax.kernels import dense
from tests.kernels.test_bfloat16 import ROUNDS, near, rounded

pytestmark = pytest.mark.skipif(
    kernels.native.missing() is not None, reason=str(kernels.native.missing())
)

# Both ways to hold a matrix: [features, columns], and that of embeddings.
WAYS = {"columns last": (((1,), (0,)), ((), ())), "columns first": (((1,), (1,)), ((), ()))}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def draw(way, rows=600, features=37, columns=270):
    """A matrix, rows, and the gradient of their product."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(features, columns)) / 6
    given = rng.normal(size=(rows, features)), w.T if way[0][1] == (1,) else w
    return [jnp.asarray(a, jnp.float32) for a in (*given, rng.normal(size=(rows, columns)))]


def outcome(multiply, x, w, pulled):
    """The product, and the gradients of both sides."""
    y, pull = jax.vjp(multiply, x, w)
    return y, *pull(pulled)


def ours(way, backend="auto"):
    return lambda x, w: dense.dot_general(backend)(x, w, way)


@each_way
@pytest.mark.parametrize("sizes", [(512, 1, 256), (600, 37, 270), (1100, 300, 257)], ids=str)
def test_what_is_multiplied_is_rounded_and_nothing_else(instructions, way, sizes):
    x, w, d_y = draw(way, *sizes)
    got = outcome(jax.jit(ours(way)), x, w, d_y)
    x, w, d_y = map(rounded, (x, w, d_y))
    turned = way[0][1] == (1,)
    wide = w.T if turned else w
    wanted = x @ wide, d_y @ wide.T, d_y.T @ x if turned else x.T @ d_y
    for a, b in zip(got, wanted, strict=True):
        assert np.abs(a - b).max() < 2e-6 * max(1, np.abs(b).max()) * sizes[0] ** 0.5


@pytest.mark.parametrize("asked", [None, "float32", "bfloat16"])
def test_products_that_are_not_ours_are_exact(asked):
    way = WAYS["columns last"]
    x, w, _ = draw(way)
    rounds = asked == "bfloat16" and ROUNDS
    with jax.default_matmul_precision(asked):
        assert bool((ours(way)(x, w) != lax.dot_general(x, w, way)).any()) is rounds
        for backend in ("scan", "fused"):
            np.testing.assert_array_equal(ours(way, backend)(x, w), lax.dot_general(x, w, way))
        few = ours(way)(x[:511], w), ours(way)(x, w[:, :255])
        np.testing.assert_array_equal(few[0], lax.dot_general(x[:511], w, way))
        np.testing.assert_array_equal(few[1], lax.dot_general(x, w[:, :255], way))
        told = dense.dot_general()(x, w, way, lax.Precision.HIGHEST)
        np.testing.assert_array_equal(told, lax.dot_general(x, w, way))
        halves = jnp.asarray(x, jnp.bfloat16), jnp.asarray(w, jnp.bfloat16)
        assert ours(way)(*halves).dtype == jnp.bfloat16


def test_several_axes_of_rows(instructions):
    way = WAYS["columns last"]
    x, w, _ = draw(way)
    cube = dense.dot_general()(x.reshape(3, 200, -1), w, (((2,), (0,)), ((), ())))
    np.testing.assert_array_equal(cube.reshape(600, -1), ours(way)(x, w))


@each_way
def test_vmap_over_rows_and_over_the_matrix(instructions, way):
    x, w, d_y = draw(way)
    one = lambda x, w, d_y: outcome(ours(way), x, w, d_y)  # noqa: E731
    for axes in ((0, None, 0), (None, 0, 0), (0, 0, 0)):
        given = [
            a if axis is None else jnp.stack([a, -a])
            for a, axis in zip((x, w, d_y), axes, strict=True)
        ]
        together = jax.vmap(one, axes)(*given)
        apart = one(*(a if axis is None else a[1] for a, axis in zip(given, axes, strict=True)))
        near(jax.tree.map(lambda a: a[1], together), apart)


@each_way
def test_second_derivatives_are_those_of_exact_products(instructions, way):
    x, w, d_y = draw(way)

    def penalty(multiply, x, w):
        return sum(jnp.square(a).mean() for a in outcome(multiply, x, w, d_y)[1:])

    got = jax.grad(lambda x, w: penalty(ours(way), x, w), (0, 1))(x, w)
    wanted = jax.grad(lambda x, w: penalty(ours(way, "scan"), x, w), (0, 1))(x, w)
    near(got, wanted)


@pytest.mark.parametrize("tied", [True, False])
def test_language_models_score_by_it(instructions, tied):
    """Of a vocabulary of 300 words, 512 tokens at a time."""
    tokens = np.random.default_rng(0).integers(0, 300, (16, 32))

    def run(backend):
        model = seqjax.models.LanguageModel(300, 24, seqjax.LSTM(24), tied=tied, backend=backend)
        variables = model.init(jax.random.key(0), tokens)
        loss = lambda variables: jnp.square(model.apply(variables, tokens)[1]).mean()  # noqa: E731
        return str(jax.make_jaxpr(loss)(variables)), jax.grad(loss)(variables)

    (text, got), (plain, wanted) = run("auto"), run("scan")
    assert "seqjax_across" in text and "seqjax_across" not in plain
    near(got, wanted)


def test_flax_layers_take_it(instructions):
    x, _, _ = draw(WAYS["columns last"])
    layer, exact = nn.Dense(300, dot_general=dense.dot_general()), nn.Dense(300)
    variables = layer.init(jax.random.key(0), x)
    got, wanted = layer.apply(variables, x), exact.apply(variables, x)
    near(got, wanted)
    assert bool((got != wanted).any())


@each_way
def test_under_remat_and_in_float64(instructions, way, x64):
    x, w, d_y = draw(way)
    wanted = outcome(ours(way), x, w, d_y)
    assert all(leaf.dtype == jnp.float32 for leaf in wanted)
    near(outcome(jax.checkpoint(ours(way)), x, w, d_y), wanted)
    wide = x.astype(jnp.float64), w.astype(jnp.float64)
    np.testing.assert_array_equal(ours(way)(*wide), lax.dot_general(*wide, way))


def test_an_open_number_of_rows_is_exported(instructions):
    way = WAYS["columns last"]
    x, w, _ = draw(way)
    (rows,) = jax.export.symbolic_shape("rows")
    like = jax.ShapeDtypeStruct((rows, x.shape[1]), x.dtype)
    exported = jax.export.export(jax.jit(lambda x: ours(way)(x, w)))(like)
    np.testing.assert_allclose(exported.call(x), lax.dot_general(x, w, way), atol=1e-5)
