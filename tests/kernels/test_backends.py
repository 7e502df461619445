"""The laws of the core over the backends that have code of their own for a whole sequence."""

import concurrent.futures
import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import kernels
from tests.kernels.test_fused import outcome, problem
from tests.kernels.test_native import assert_near
from tests.recurrences import assert_close, draw_inputs, draw_params, draw_state

pytestmark = pytest.mark.usefixtures("quick_compile")

CELLS = {"elman": seqjax.Elman(4), "lstm": seqjax.LSTM(4), "gru": seqjax.GRU(4)}
ROWS, TIME = 3, 5
LENGTHS = np.array([5, 3, 0])
EVERY_BACKEND = [
    "fused",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(kernels.native.missing() is not None, reason="not compiled"),
    ),
]


@pytest.fixture(params=EVERY_BACKEND)
def backend(request):
    return request.param


@pytest.fixture(params=CELLS.values(), ids=CELLS.keys())
def given(request):
    """A cell, its params, inputs and a state."""
    cell = request.param
    return cell, draw_params(cell), draw_inputs((ROWS, TIME)), draw_state(cell, (ROWS,))


def take(tree, rows):
    return jax.tree.map(lambda a: a[rows], tree)


def test_unroll_is_the_fold_of_step(given, backend):
    cell, params, xs, state = given
    got = seqjax.unroll(cell, params, xs, state, backend=backend)
    ys = []
    for t in range(TIME):
        state, y = cell.step(params, state, jnp.asarray(xs[:, t]))
        ys.append(y)
    assert_close(got, (state, jnp.stack(ys, 1)))


def test_cutting_time_changes_nothing(given, backend):
    cell, params, xs, state = given
    run = functools.partial(seqjax.unroll, cell, params, backend=backend)
    middle, head = run(xs[:, :2], state)
    last, tail = run(xs[:, 2:], middle)
    assert_close((last, jnp.concatenate([head, tail], 1)), run(xs, state))


def test_a_row_knows_neither_its_batch_nor_its_padding(given, backend):
    cell, params, xs, state = given
    spoilt = np.where((np.arange(TIME) < LENGTHS[:, None])[..., None], xs, np.nan)
    after, ys = seqjax.unroll(cell, params, spoilt, state, lengths=LENGTHS, backend=backend)
    for row, length in enumerate(LENGTHS):
        alone = seqjax.unroll(
            cell,
            params,
            xs[row : row + 1, :length],
            take(state, slice(row, row + 1)),
            backend=backend,
        )
        assert_close((take(after, slice(row, row + 1)), ys[row : row + 1, :length]), alone)
        assert not ys[row, length:].any()


def test_a_reset_is_a_fresh_start(given, backend):
    cell, params, xs, state = given
    reset = np.zeros((ROWS, TIME), bool)
    reset[:, 2] = True
    run = functools.partial(seqjax.unroll, cell, params, backend=backend)
    after, ys = run(xs, state, reset=reset)
    assert_close((after, ys[:, 2:]), run(xs[:, 2:]))
    assert_close(ys[:, :2], run(xs[:, :2], state)[1])


def test_reverse_reads_each_row_from_its_own_end(given, backend):
    cell, params, xs, state = given
    run = functools.partial(seqjax.unroll, cell, params, backend=backend, lengths=LENGTHS)
    times = np.arange(TIME)
    order = np.where(times < LENGTHS[:, None], LENGTHS[:, None] - 1 - times, times)[..., None]
    turned = functools.partial(np.take_along_axis, indices=order, axis=1)
    after, ys = run(turned(xs), state)
    assert_close(run(xs, state, reverse=True), (after, turned(ys)))


def test_permuted_rows_give_permuted_results(given, backend):
    cell, params, xs, state = given
    run = functools.partial(seqjax.unroll, cell, params, backend=backend)
    order = np.array([2, 0, 1])
    got = run(xs[order], take(state, order), lengths=LENGTHS[order])
    assert_close(got, take(run(xs, state, lengths=LENGTHS), order))


def test_vmap_over_rows_is_the_batch(given, backend):
    """Weights that are not mapped: the rows are folded into one call."""
    cell, params, xs, state = given
    run = functools.partial(seqjax.unroll, cell, params, backend=backend)
    assert_close(jax.vmap(run)(xs, state), run(xs, state))
    if backend == "native":
        text = jax.jit(jax.vmap(run)).lower(xs, state).as_text()
        assert text.count("custom_call @seqjax_forward") == 1 and "stablehlo.while" not in text


@hypothesis.given(
    rows=st.sampled_from([1, 2, 7]),
    time=st.integers(0, 3),
    inputs=st.sampled_from([1, 5, 17]),
    hidden=st.sampled_from([1, 3, 16, 33]),
    name=st.sampled_from(sorted(CELLS)),
    reverse=st.booleans(),
)
@hypothesis.example(rows=1, time=1, inputs=1, hidden=1, name="gru", reverse=False)
def test_any_shape(rows, time, inputs, hidden, name, reverse):
    """Values and gradients, with lengths from 0 to the end."""
    cell, lengths = type(CELLS[name])(hidden), np.arange(rows) % (time + 1)
    given, pulled = problem(cell, (rows,), time, inputs, np.float32)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jnp.float64), (given, pulled))
        wanted = outcome(cell, *wide, "scan", lengths=lengths, reverse=reverse)
        for backend in ("fused", "native"):
            assert_near(
                outcome(cell, given, pulled, backend, lengths=lengths, reverse=reverse), wanted
            )


def test_eight_threads_at_once_give_one_result(backend):
    """Each of them takes 300 gradients."""
    given, pulled = problem(seqjax.LSTM(24), (9,), 6, 7, np.float32)
    run = jax.jit(functools.partial(outcome, seqjax.LSTM(24), backend=backend))
    wanted = jax.device_get(run(given, pulled))

    def many(_):
        for _ in range(300):
            jax.tree.map(np.testing.assert_array_equal, jax.device_get(run(given, pulled)), wanted)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(many, range(8)))
