"""The compiled kernels against the plain scan in float64: cells, options, odd sizes, instruction sets."""

import concurrent.futures
import functools
import platform

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import kernels
from tests.kernels.sets import using
from tests.kernels.test_fused import EVERYTHING, OPTIONS, assert_same, outcome, problem

pytestmark = [
    pytest.mark.usefixtures("quick_compile"),
    pytest.mark.skipif(kernels.native.missing() is not None, reason=str(kernels.native.missing())),
]

CELLS = {
    "elman": lambda hidden: seqjax.Elman(hidden),
    "lstm": lambda hidden: seqjax.LSTM(hidden),
    "gru": lambda hidden: seqjax.GRU(hidden),
}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())


def in_float64(tree):
    return jax.tree.map(lambda a: a.astype(jnp.float64), tree)


def assert_near(got, wanted):
    """Within float32's rounding of the largest element."""
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == jnp.float32 and a.shape == b.shape
        if b.size:
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * (1 + np.abs(b).max()))


@each_cell
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_it_equals_the_scan_in_values_and_gradients(x64, cell, options):
    given, pulled = problem(cell(5), dtype=np.float32)
    got = jax.jit(functools.partial(outcome, cell(5), backend="native", **options))(given, pulled)
    assert_near(got, outcome(cell(5), in_float64(given), in_float64(pulled), "scan", **options))


@each_cell
@pytest.mark.parametrize(
    ("batch", "time", "inputs", "hidden"),
    [
        ((1,), 3, 1, 1),
        ((7,), 1, 3, 16),
        ((), 0, 1, 4),
        ((0,), 3, 2, 4),
        ((2, 9), 3, 20, 37),
        ((33,), 2, 130, 70),
    ],
    ids=str,
)
def test_odd_shapes(x64, cell, batch, time, inputs, hidden):
    given, pulled = problem(cell(hidden), batch, time, inputs, np.float32)
    got = outcome(cell(hidden), given, pulled, "native")
    assert_near(got, outcome(cell(hidden), in_float64(given), in_float64(pulled), "scan"))


@each_cell
@pytest.mark.parametrize(("batch", "time"), [((3,), 4), ((2, 3), 7), ((), 1), ((2,), 0)], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_chunks_are_read_as_the_whole_is(x64, cell, batch, time, reverse):
    given, pulled = problem(cell(5), batch, time, 3, np.float32)
    options = {"remat": "sqrt", "reverse": reverse}
    if time == 4:
        options |= {name: EVERYTHING[name] for name in ("lengths", "reset")}
    got = jax.jit(functools.partial(outcome, cell(5), backend="native", **options))(given, pulled)
    assert_near(got, outcome(cell(5), in_float64(given), in_float64(pulled), "scan", **options))


def test_chunks_keep_little():
    cell = seqjax.LSTM(64)
    params = cell.init(jax.random.key(0), 8)

    def memory(remat):
        def loss(params, xs):
            return seqjax.unroll(cell, params, xs, remat=remat, backend="native")[1].sum()  # noqa: E731

        compiled = jax.jit(jax.grad(loss)).lower(params, jnp.ones((4, 400, 8))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory("sqrt") < 0.5 * memory("none")
    assert "between chunks" in kernels.explain(cell, remat="sqrt")


@each_cell
@pytest.mark.parametrize(
    "instructions", ["baseline", "avx2", "avx-512"] if platform.machine() == "x86_64" else ["neon"]
)
def test_every_instruction_set_that_this_cpu_has(x64, cell, instructions):
    with using(instructions):
        given, pulled = problem(cell(19), (5,), 4, 6, np.float32)
        got = jax.device_get(outcome(cell(19), given, pulled, "native"))
    assert_near(got, outcome(cell(19), in_float64(given), in_float64(pulled), "scan"))


@each_cell
def test_it_is_what_runs(cell):
    given, pulled = problem(cell(4), dtype=np.float32)
    text = (
        jax.jit(functools.partial(outcome, cell(4), backend="native"))
        .lower(given, pulled)
        .as_text()
    )
    for target in ("forward", "backward", "weight_gradient", "input_gradient"):
        assert f"seqjax_{target}" in text
    assert (
        jax.jit(functools.partial(outcome, cell(4), backend="auto")).lower(given, pulled).as_text()
        == text
    )


@each_cell
def test_it_equals_the_scan_under_vmap_over_params_and_over_rows(x64, cell):
    (params, xs, state), pulled = problem(cell(4), dtype=np.float32)
    two = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), (params, pulled))

    def over_params(backend, wide):
        one = lambda params, pulled: outcome(  # noqa: E731
            cell(4), (params, wide(xs), wide(state)), pulled, backend, **EVERYTHING
        )
        return jax.vmap(one)(*jax.tree.map(wide, two))

    def over_rows(backend, wide):
        one = lambda xs, state, pulled: outcome(cell(4), (wide(params), xs, state), pulled, backend)  # noqa: E731
        return jax.vmap(one)(wide(xs), wide(state), jax.tree.map(wide, pulled))

    wide = lambda tree: in_float64(tree)  # noqa: E731
    for run in (over_params, over_rows):
        assert_near(run("native", lambda tree: tree), run("scan", wide))


def test_garbage_in_the_padding_changes_no_gradient():
    (params, xs, state), pulled = problem(seqjax.LSTM(4), dtype=np.float32)
    padding = (np.arange(4) >= EVERYTHING["lengths"][:, None])[..., None]
    run = lambda xs: outcome(seqjax.LSTM(4), (params, xs, state), pulled, "native", **EVERYTHING)  # noqa: E731
    assert_same(run(jnp.where(padding, jnp.nan, xs)), run(xs), 0)


def test_many_threads_at_once_give_one_result():
    given, pulled = problem(seqjax.GRU(24), (9,), 6, 7, np.float32)
    run = jax.jit(functools.partial(outcome, seqjax.GRU(24), backend="native"))
    wanted = run(given, pulled)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: run(given, pulled), range(100)):
            assert_same(found, wanted, 0)


def test_explain_says_why_it_gives_way(monkeypatch):
    say = functools.partial(kernels.explain, seqjax.LSTM(8), backend="native")
    assert say() == "LSTM(8): native, as asked for"
    assert (
        say(jnp.float64)
        == "LSTM(8): fused, the compiled kernels compute in float32, not in float64"
    )
    monkeypatch.setattr(kernels.native, "missing", lambda: "no compiler was there")
    assert say() == "LSTM(8): fused, no compiler was there"


def test_kernels_built_for_other_calls_are_not_used(monkeypatch):
    native = kernels.native
    monkeypatch.setattr(native, "CALLS", native.CALLS + 1)
    assert "another version of seqjax" in native.missing.__wrapped__()
    monkeypatch.undo()
    assert native.missing.__wrapped__() is None
