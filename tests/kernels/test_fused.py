"""The fused kernels against the plain scan: every option, every gradient, in float64."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import seqjax
from seqjax import kernels
from seqjax.recurrence import state_dtype

pytestmark = pytest.mark.usefixtures("quick_compile")

CELLS = {
    "elman_tanh": seqjax.Elman(4),
    "elman_relu": seqjax.Elman(4, activation="relu"),
    "lstm": seqjax.LSTM(4),
    "gru": seqjax.GRU(4),
}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())

OPTIONS = {
    "plain": {},
    "lengths": {"lengths": np.array([4, 2, 0])},
    "reset": {"reset": np.array([[0, 0, 1, 0], [1, 1, 0, 1], [0, 1, 0, 0]], bool)},
}
OPTIONS["lengths and reset"] = OPTIONS["lengths"] | OPTIONS["reset"]
OPTIONS |= {f"{name}, reverse": options | {"reverse": True} for name, options in OPTIONS.items()}
EVERYTHING = OPTIONS["lengths and reset, reverse"]


def draw(seed, like, dtype=np.float64):
    """A pytree of normal numbers in the shapes of `like`."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(0.7 * rng.normal(size=leaf.shape), dtype), like)


def problem(cell, batch=(3,), time=4, inputs=3, dtype=np.float64):
    """Random params (biases too), inputs and a state; and what the gradients of the last state and outputs shall be."""
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), inputs))
    state = jax.eval_shape(lambda p: cell.initial_state(p, batch, dtype), params)
    xs, ys = (
        jax.ShapeDtypeStruct((*batch, time, size), dtype)
        for size in (inputs, cell.output_size(inputs))
    )
    return (draw(0, params, dtype), draw(1, xs, dtype), draw(2, state, state_dtype(dtype))), (
        draw(3, state, state_dtype(dtype)),
        draw(4, ys, dtype),
    )


def outcome(cell, given, pulled, backend, **options):
    """Last state and outputs, and the gradients of params, inputs and state."""
    after, pull = jax.vjp(
        lambda *args: seqjax.unroll(cell, *args, backend=backend, **options), *given
    )
    return after, pull(pulled)


def both(cell, given, pulled, **options):
    """The same by the plain scan and by the kernel, compiled."""
    run = jax.jit(
        lambda *args: [outcome(cell, *args, backend, **options) for backend in ("scan", "fused")]
    )
    return run(given, pulled)


def assert_same(a, b, tolerance=1e-11):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_the_kernel_is_what_runs(monkeypatch):
    """Without this the tests below could compare the scan with itself."""
    calls = []
    monkeypatch.setattr(kernels.fused, "scan", lambda *_: calls.append(1) or ((), None))
    for cell, backend in itertools.product(CELLS.values(), ("fused", "scan")):
        params = cell.init(jax.random.key(0), 3)
        xs, state = jnp.zeros((2, 3)), cell.initial_state(params, (), jnp.float32)
        before = len(calls)
        try:
            cell.scan(params, xs, state, seqjax.Pass(backend=backend))
        except (TypeError, IndexError):  # the stand-in returns no state
            pass
        assert (len(calls) > before) == (backend != "scan"), (cell, backend)


def at(index, tree):
    return jax.tree.map(lambda a: a[index], tree)


def over_rows(tree):
    return jax.tree.map(lambda a: a.sum(0), tree)


@functools.cache
def compiled_scan(cell, reverse):
    """The oracle, compiled once for all options: no reset and full lengths are the plain case."""
    return jax.jit(
        lambda given, pulled, lengths, reset: outcome(
            cell, given, pulled, "scan", lengths=lengths, reset=reset, reverse=reverse
        )
    )


@pytest.mark.parametrize("cell", [CELLS[name] for name in ("elman_tanh", "lstm", "gru")], ids=str)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_it_equals_the_scan_with_no_batch_axis_one_or_two(x64, cell, options):
    given, pulled = problem(cell)
    by_row = {name: jnp.asarray(value) for name, value in options.items() if name != "reverse"}
    reverse = "reverse" in options

    @jax.jit
    def run(given, pulled, by_row):
        params, xs, state = given

        def cut(row):
            xs, state, pulled, by_row = row
            return outcome(cell, (params, xs, state), pulled, "fused", **by_row, reverse=reverse)

        rows = (xs, state, pulled, by_row)
        one, two, (after, grads) = cut(rows), cut(at(np.s_[:, None], rows)), jax.lax.map(cut, rows)
        two = at(np.s_[:, 0], two[0]), (two[1][0], *at(np.s_[:, 0], two[1][1:]))
        return one, two, (after, (over_rows(grads[0]), *grads[1:]))

    everything = {"lengths": np.full(3, 4), "reset": np.zeros((3, 4), bool)} | by_row
    by_scan = compiled_scan(cell, reverse)(given, pulled, **everything)
    for by_kernel in run(given, pulled, by_row):
        assert_same(by_kernel, by_scan)


@each_cell
def test_it_begins_at_zero_where_no_state_is_given(x64, cell):
    (params, xs, _), _ = problem(cell)
    given = [
        seqjax.unroll(cell, params, xs, backend=backend, **EVERYTHING)
        for backend in ("scan", "fused")
    ]
    assert_same(*given)


@each_cell
@pytest.mark.parametrize(
    ("batch", "time", "inputs"),
    [((1,), 4, 1), ((2,), 1, 3), ((), 0, 1), ((0,), 3, 2), ((2, 1), 0, 2)],
    ids=str,
)
def test_the_smallest_shapes(x64, cell, batch, time, inputs):
    given, pulled = problem(cell, batch, time, inputs)
    options = {
        "lengths": np.full(batch, time // 2),
        "reset": np.ones((*batch, time), bool),
        "reverse": True,
    }
    assert_same(*both(cell, given, pulled, **options))


@each_cell
@pytest.mark.parametrize("over", ["params", "batch"])
def test_it_equals_the_scan_under_vmap(x64, cell, over):
    (params, xs, state), pulled = problem(cell)
    axes = (0, None, None) if over == "params" else (None, 0, 0)
    if over == "params":
        params, pulled = (
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), tree) for tree in (params, pulled)
        )
    options = {} if over == "batch" else EVERYTHING

    def run(backend):
        def one(params, xs, state, pulled):
            return outcome(cell, (params, xs, state), pulled, backend, **options)

        return jax.jit(jax.vmap(one, in_axes=(*axes, 0)))(params, xs, state, pulled)

    assert_same(run("fused"), run("scan"))


@each_cell
def test_its_second_derivatives_are_those_of_the_scan(x64, cell):
    cell = type(cell)(
        1, **({"activation": cell.activation} if isinstance(cell, seqjax.Elman) else {})
    )
    (params, xs, state), pulled = problem(cell, (2,), 2, 1)
    flat, unflatten = ravel_pytree((params, xs, state))

    def run(backend):
        def score(flat):
            out = seqjax.unroll(
                cell,
                *unflatten(flat),
                backend=backend,
                lengths=np.array([2, 1]),
                reset=np.array([[0, 0], [0, 1]], bool),
            )
            return sum(
                (a * b).sum()
                for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(pulled), strict=True)
            )

        return jax.jit(jax.jacfwd(jax.jacrev(score)))(flat)

    hessian = run("fused")
    assert_same(hessian, run("scan"))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    assert isinstance(cell, seqjax.Elman) or np.abs(hessian).max() > 1e-3


@each_cell
@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_what_stands_in_the_padding_changes_no_gradient(x64, cell, garbage):
    given, pulled = problem(cell)
    padding = (np.arange(4) >= EVERYTHING["lengths"][:, None])[..., None]
    params, xs, state = given
    run = jax.jit(lambda *given: outcome(cell, given, pulled, "fused", **EVERYTHING))
    clean = run(params, xs, state)
    assert_same(run(params, jnp.where(padding, garbage, xs), state), clean, 0)
    np.testing.assert_array_equal(jnp.where(padding, clean[1][1], 0), 0)


@each_cell
def test_its_gradients_are_finite_differences(x64, cell):
    given, pulled = problem(cell)

    def score(*given):
        out = seqjax.unroll(cell, *given, backend="fused", **EVERYTHING)
        return sum(
            (a * b).sum()
            for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(pulled), strict=True)
        )

    score, direction = jax.jit(score), draw(9, given)
    slope = sum(
        (g * d).sum()
        for g, d in zip(*map(jax.tree.leaves, (jax.grad(score, (0, 1, 2))(*given), direction)))  # noqa: B905
    )
    ahead, behind = (
        score(*jax.tree.map(lambda a, d: a + e * d, given, direction))  # noqa: B023
        for e in (1e-6, -1e-6)
    )
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-6)


@each_cell
def test_float32_agrees_to_float32(cell):
    assert_same(*both(cell, *problem(cell, dtype=np.float32), **EVERYTHING), tolerance=2e-5)


@each_cell
@pytest.mark.parametrize("what", ["bfloat16", "remat step", "remat sqrt"])
def test_where_it_cannot_run_the_scan_does_and_explain_says_why(cell, what, monkeypatch):
    def refuse(*_):
        raise AssertionError("the kernel ran")

    monkeypatch.setattr(kernels.fused, "scan", refuse)
    dtype = jnp.bfloat16 if what == "bfloat16" else jnp.float32
    remat = what.split()[1] if "remat" in what else "none"
    given, _ = problem(cell, dtype=dtype)
    by_default, by_scan = (
        seqjax.unroll(cell, *given, backend=b, remat=remat) for b in ("fused", "scan")
    )
    assert_same(by_default, by_scan, 0)
    words = "not of one dtype" if what == "bfloat16" else f"remat='{remat}' rebuilds activations"
    text = kernels.explain(cell, dtype, remat=remat, backend="fused")
    assert text.startswith(f"{cell}: scan, ") and words in text


MISSING = kernels.native.missing()
AUTO = f"fused, {MISSING}" if MISSING else "native, the fastest that computes all that is asked for"


@pytest.mark.parametrize(
    ("recurrence", "options", "text"),
    [
        (seqjax.LSTM(8), {}, f"LSTM(8): {AUTO}"),
        (seqjax.GRU(8), {"backend": "fused"}, "GRU(8): fused, as asked for"),
        (seqjax.Elman(8), {"backend": "scan"}, "Elman(8): scan, as asked for"),
        (
            seqjax.LSTM(8),
            {"dtype": jnp.float64},
            "LSTM(8): fused, the compiled kernels compute in float32, not in float64",
        ),
        (seqjax.LRU(8), {}, "LRU(8): linear scan, for it is linear in its state"),
        (seqjax.MinGRU(8), {"backend": "scan"}, "MinGRU(8): scan, as asked for"),
        (
            seqjax.RGLRU(8),
            {"backend": "native"},
            "RGLRU(8): linear scan, for it is linear in its state",
        ),
        (
            seqjax.MGU(8),
            {"backend": "fused"},
            "MGU(8): fused, its own step, with the gradients of weights computed after the loop",
        ),
        (
            seqjax.stack(seqjax.LSTM(8), seqjax.zoneout(seqjax.GRU(4)), dropout=0.5),
            {},
            f"LSTM(8): {AUTO}; {seqjax.zoneout(seqjax.GRU(4))}: scan, "
            "no other implementation knows this recurrence",
        ),
        (
            seqjax.bidirectional(seqjax.GRU(4)),
            {"remat": "step", "backend": "fused"},
            "; ".join(
                ["GRU(4): scan, remat='step' rebuilds activations, which the others keep"] * 2
            ),
        ),
    ],
    ids=str,
)
def test_explain_says_what_runs_and_why(recurrence, options, text):
    assert kernels.explain(recurrence, **options) == text


def test_forward_mode_wants_the_scan():
    (params, xs, state), _ = problem(seqjax.GRU(4), dtype=np.float32)
    push = lambda backend: jax.jvp(  # noqa: E731
        lambda xs: seqjax.unroll(seqjax.GRU(4), params, xs, state, backend=backend)[1], (xs,), (xs,)
    )
    assert push("scan")[1].shape == (3, 4, 4)
    with pytest.raises(TypeError, match="custom_vjp"):
        push("fused")
