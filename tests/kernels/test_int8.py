"""Cells by weights in int8 against the scan by the same weights as floats, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import interop, kernels
from seqjax.cells import MinGRU
from tests.kernels.sets import using
from tests.kernels.test_fused import OPTIONS, problem

pytestmark = [
    pytest.mark.usefixtures("quick_compile"),
    pytest.mark.skipif(kernels.native.missing() is not None, reason=str(kernels.native.missing())),
]

CELLS = {"elman": seqjax.Elman, "lstm": seqjax.LSTM, "gru": seqjax.GRU}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


@pytest.fixture(params=["baseline", "avx2", "avx-512", "avx512-bf16", "amx", "neon"])
def instructions(request):
    """An instruction set of this CPU."""
    with using(request.param):
        yield request.param


def both(cell, given, **options):
    """The outcome by int8, and by the scan in float64 of the same weights."""
    params, xs, state = given
    small = interop.quantise(params)
    found = seqjax.unroll(seqjax.int8(cell), small, xs, state, **options)
    wide = jax.tree.map(lambda a: a.astype(jnp.float64), (interop.dequantise(small), xs, state))
    return found, seqjax.unroll(cell, *wide, backend="scan", **options)


def assert_near(found, wanted, tolerance=2e-4):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == jnp.float32 and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@each_cell
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_it_equals_the_scan_by_the_same_weights(x64, cell, options):
    given, _ = problem(cell(5), dtype=np.float32)
    assert_near(*both(cell(5), given, **options))


@each_cell
def test_every_instruction_set_that_this_cpu_has(x64, cell, instructions):
    for inputs, hidden in ((1, 1), (3, 16), (20, 37), (130, 65), (4, 200)):
        (params, *given), _ = problem(cell(hidden), (3,), 2, inputs, np.float32)
        # As large as those of a trained cell.
        scale = 1 / np.sqrt(hidden)
        params = {name: scale * w for name, w in params.items()}
        assert_near(*both(cell(hidden), (params, *given)))


@each_cell
def test_the_compiled_code_reads_few_steps_and_no_more(cell):
    net = seqjax.int8(cell(4))
    run = jax.jit(functools.partial(seqjax.unroll, net))
    params = net.init(jax.random.key(0), 3)
    few, many = (run.lower(params, jnp.ones((2, time, 3))).as_text() for time in (8, 9))
    assert "seqjax_forward_int8" in few and "seqjax_forward_int8" not in many
    scanned = jax.jit(functools.partial(seqjax.unroll, net, backend="scan"))
    assert "seqjax_forward" not in scanned.lower(params, jnp.ones((2, 1, 3))).as_text()


@each_cell
def test_a_step_is_that_of_the_sequence_and_a_long_one_is_near(cell):
    net, xs = seqjax.int8(cell(20)), jax.random.normal(jax.random.key(1), (3, 40, 6))
    params = net.init(jax.random.key(0), 6)
    state = net.initial_state(params, (3,), xs.dtype)
    step, ys = jax.jit(net.step), []
    for t in range(40):
        state, y = step(params, state, xs[:, t])
        ys.append(y)
    end, whole = seqjax.unroll(net, params, xs)
    # A long sequence may be rounded to bfloat16.
    np.testing.assert_allclose(jnp.stack(ys, 1), whole, atol=0.02)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=0.02), state, end)
    mapped = jax.vmap(net.step, (None, 0, 0))(params, state, xs[:, 0])
    np.testing.assert_allclose(mapped[1], step(params, state, xs[:, 0])[1], atol=1e-6)


def test_an_input_that_is_huge_zero_or_not_finite():
    net = seqjax.int8(seqjax.LSTM(20))
    params = net.init(jax.random.key(0), 4)
    read = lambda *row: seqjax.unroll(net, params, jnp.array([[row]], jnp.float32))[1]  # noqa: E731
    wanted = seqjax.unroll(
        seqjax.LSTM(20), interop.dequantise(params), jnp.array([[[1e30, 1.0, 0.0, 2.0]]])
    )[1]
    np.testing.assert_allclose(read(1e30, 1.0, 0.0, 2.0), wanted, atol=1e-3)
    assert not np.asarray(read(0.0, 0.0, 0.0, 0.0)).any()
    np.testing.assert_allclose(read(1e-38, 0.0, 0.0, 0.0), 0, atol=1e-30)
    for wrong in (np.nan, np.inf, -np.inf):
        assert np.isnan(read(1.0, wrong, 0.0, 0.0)).all()


def test_transformations(getkey):
    cell = seqjax.LSTM(6)
    net, params = seqjax.int8(cell), interop.quantise(cell.init(getkey(), 3))
    xs = jax.random.normal(getkey(), (5, 2, 4, 3))
    wanted = jnp.stack([seqjax.unroll(net, params, x)[1] for x in xs])
    mapped = jax.jit(jax.vmap(lambda x: seqjax.unroll(net, params, x)[1]))(xs)
    np.testing.assert_allclose(mapped, wanted, atol=1e-3)
    of_floats = interop.dequantise(params)
    loss = lambda net, params, x: jnp.sin(seqjax.unroll(net, params, x)[1]).sum()  # noqa: E731
    found = jax.grad(functools.partial(loss, net, params))(xs[0])
    np.testing.assert_allclose(
        found, jax.grad(functools.partial(loss, cell, of_floats))(xs[0]), atol=1e-3
    )
    twice = jax.jvp(jax.grad(functools.partial(loss, net, params)), (xs[0],), (xs[1],))[1]
    assert np.isfinite(twice).all() and twice.any()
    for remat in ("step", "sqrt"):
        ys = seqjax.unroll(net, params, xs[0], remat=remat)[1]
        np.testing.assert_allclose(ys, wanted[0], atol=1e-3)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_other_dtypes_compute_the_weights(x64, dtype):
    cell = seqjax.GRU(6)
    params = jax.tree.map(lambda w: w.astype(dtype), cell.init(jax.random.key(0), 3))
    xs = jax.random.normal(jax.random.key(1), (2, 4, 3), dtype)
    found = seqjax.unroll(seqjax.int8(cell), interop.quantise(params), xs)[1]
    wanted = seqjax.unroll(cell, interop.dequantise(interop.quantise(params)), xs)[1]
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), atol=0.02)


def test_combinators_read_whatever_quantise_makes():
    net = seqjax.stack(
        seqjax.bidirectional(seqjax.LSTM(4)), seqjax.gated(seqjax.LRU(4)), seqjax.GRU(4)
    )
    small = seqjax.int8(net)
    assert repr(small) == (
        "Int8(Stack((Bidirectional(Int8(LSTM(4)), Int8(LSTM(4))), Gated(Int8(LRU(4))), "
        "Int8(GRU(4)))))"
    )
    assert seqjax.int8(small) == small
    params, xs = interop.quantise(net.init(jax.random.key(0), 3)), jnp.ones((2, 5, 3))
    same = jax.tree.structure(small.init(jax.random.key(0), 3)) == jax.tree.structure(params)
    assert same and params["layer_1"]["w"]["int8"].dtype == jnp.int8
    wanted = seqjax.unroll(net, interop.dequantise(params), xs)[1]
    np.testing.assert_allclose(seqjax.unroll(small, params, xs)[1], wanted, atol=1e-3)
    with pytest.raises(TypeError, match=r"int8\(\) was given a dict; give recurrences"):
        seqjax.int8({})


@pytest.mark.parametrize(
    "net",
    [
        MinGRU(4),
        seqjax.LSTM(4, peephole=True),
        seqjax.SLSTM(4, heads=2),
        seqjax.zoneout(seqjax.GRU(4)),
        seqjax.learn_initial_state(seqjax.LSTM(4)),
        seqjax.weight_drop(seqjax.stack(seqjax.LSTM(4), seqjax.MGU(3)), 0.5),
    ],
    ids=repr,
)
def test_variants_by_int8(net):
    params = net.init(jax.random.key(0), 3)
    xs = jax.random.normal(jax.random.key(1), (2, 5, 3))
    small = seqjax.int8(net)
    found = small.init(jax.random.key(0), 3)
    state, ys = seqjax.unroll(small, found, xs)
    wanted = seqjax.unroll(net, interop.dequantise(found), xs)
    assert jax.tree.structure(interop.dequantise(found)) == jax.tree.structure(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=0.02), (state, ys), wanted)


def test_a_step_refuses_what_unroll_refuses():
    net = seqjax.int8(seqjax.LSTM(4))
    params = net.init(jax.random.key(0), 3)
    state = net.initial_state(params, (2,), jnp.float32)
    with pytest.raises(ValueError, match=r"state.h has shape \(2, 4\); .* wants \(3, 4\)"):
        net.step(params, state, jnp.ones((3, 3)))
    with pytest.raises(ValueError, match=r"'w_x'.*shape \(3, 16\).*5 features wants \(5, 16\)"):
        net.step(params, state, jnp.ones((2, 5)))
    with pytest.raises(TypeError, match="x is int32"):
        net.step(params, state, jnp.ones((2, 3), jnp.int32))
    wanted = net.step(params, state, jnp.ones((2, 3)))[1]
    np.testing.assert_array_equal(net.step(params, state, [[1.0] * 3] * 2)[1], wanted)


def test_a_step_of_an_open_batch_is_exported():
    net = seqjax.int8(seqjax.LSTM(4))
    params = net.init(jax.random.key(0), 3)
    (batch,) = jax.export.symbolic_shape("batch")
    of = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)  # noqa: E731
    like = jax.tree.map(lambda leaf: of(batch, 4), net.initial_state(params, (1,), jnp.float32))
    step = jax.jit(lambda state, x: net.step(params, state, x))
    exported = jax.export.export(step)(like, of(batch, 3))
    state = net.initial_state(params, (2,), jnp.float32)
    found = exported.call(state, jnp.ones((2, 3)))[1]
    np.testing.assert_allclose(found, step(state, jnp.ones((2, 3)))[1], atol=1e-4)
