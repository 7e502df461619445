"""The eight laws, for every cell and every combinator: see `tests/recurrences.py` for the list.

Batches have two axes, so that each law also says that two do. A single row, which has none, is the
other side of most comparisons. `TIME` and `SHORT` are the only lengths that anything is compiled
for; a row of any length is made of parts of 1 and `SHORT` steps.
"""

import dataclasses
import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests.recurrences import (
    CAUSAL,
    RECURRENCES,
    STOCHASTIC,
    assert_close,
    assert_identical,
    draw_inputs,
    draw_params,
    draw_state,
    each,
)

pytestmark = pytest.mark.usefixtures("quick_compile")

BATCH, ROWS, TIME, SHORT = (2, 2), 4, 6, 3

seeds = st.integers(0, 2**16)
any_lengths = st.lists(st.integers(0, TIME), min_size=ROWS, max_size=ROWS)
compiled_lengths = st.lists(st.sampled_from([0, 1, SHORT, TIME]), min_size=ROWS, max_size=ROWS)
any_marks = st.lists(st.integers(0, 2**TIME - 1), min_size=ROWS, max_size=ROWS)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Arguments of `unroll`: xs `[*BATCH, TIME, features]`, a state in mid-sequence, lengths and resets."""

    params: dict
    xs: np.ndarray
    state: object
    lengths: np.ndarray
    reset: np.ndarray

    @property
    def valid(self):
        return np.arange(TIME) < self.lengths[..., None]

    def with_padding(self, value):
        return dataclasses.replace(
            self, xs=np.where(self.valid[..., None], self.xs, np.float32(value))
        )


def make_batch(recurrence, seed, lengths=(TIME,) * ROWS, marks=(0,) * ROWS):
    """A batch with the given lengths, and resets at the bits of `marks`; the padding is not zero."""
    params = draw_params(recurrence)
    reset = np.array([[mark >> t & 1 for t in range(TIME)] for mark in marks], bool)
    return Batch(
        params,
        draw_inputs((*BATCH, TIME), seed),
        draw_state(recurrence, BATCH, seed + 1),
        np.array(lengths, np.int32).reshape(BATCH),
        reset.reshape(*BATCH, TIME),
    )


def run(recurrence, batch, **options):
    """The one compiled form of a whole batch (two with `reverse`)."""
    return seqjax.unroll(
        recurrence,
        batch.params,
        batch.xs,
        batch.state,
        lengths=batch.lengths,
        reset=batch.reset,
        **options,
    )


def rows(tree):
    """The rows of a pytree whose leaves begin with `BATCH`."""
    flat = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(ROWS, *np.shape(leaf)[2:]), tree)
    return [jax.tree.map(lambda leaf, row=row: leaf[row], flat) for row in range(ROWS)]


step = jax.jit(
    lambda recurrence, params, state, x, rng: recurrence.step(params, state, x, rng=rng),
    static_argnums=0,
)


def fold(recurrence, params, xs, state, rng=None):
    """What `unroll` means."""
    ys = []
    for t, x in enumerate(xs):
        state, y = step(
            recurrence, params, state, x, None if rng is None else jax.random.fold_in(rng, t)
        )
        ys.append(y)
    return state, np.stack(ys)


def run_parts(recurrence, params, xs, state, parts):
    """Each part of a row by itself, from the initial state; only the first begins in `state`."""
    ys, stop = [np.zeros((0, recurrence.output_size(xs.shape[-1])), xs.dtype)], 0
    for index, part in enumerate(parts):
        start, stop = stop, stop + part
        before = recurrence.initial_state(params, (), xs.dtype) if index else state
        state, y = seqjax.unroll(recurrence, params, xs[start:stop], before)
        ys.append(y)
    return state, np.concatenate(ys)


@each(CAUSAL)
@hypothesis.given(seed=seeds)
def test_law_1_unroll_is_the_fold_of_step(recurrence, seed):
    params, xs = draw_params(recurrence), draw_inputs((TIME,), seed)
    state = draw_state(recurrence, (), seed)
    assert_close(seqjax.unroll(recurrence, params, xs, state), fold(recurrence, params, xs, state))


@each(STOCHASTIC)
@hypothesis.given(seed=seeds)
def test_law_1_with_a_key_folds_in_the_step(recurrence, seed):
    params, xs, rng = draw_params(recurrence), draw_inputs((TIME,), seed), jax.random.key(seed)
    state = draw_state(recurrence, (), seed)
    given = seqjax.unroll(recurrence, params, xs, state, rng=rng)
    assert_close(given, fold(recurrence, params, xs, state, rng))
    without = seqjax.unroll(recurrence, params, xs, state)
    assert not np.allclose(given[1], without[1]), "the key changed nothing"


@each(CAUSAL)
@hypothesis.given(seed=seeds, lengths=any_lengths, marks=any_marks)
def test_law_2_splitting_time_changes_nothing(recurrence, seed, lengths, marks):
    whole = make_batch(recurrence, seed, lengths, marks)
    wanted_state, wanted_ys = run(recurrence, whole)
    state, parts = whole.state, []
    for start in (0, SHORT):
        time = slice(start, start + SHORT)
        state, ys = run(
            recurrence,
            dataclasses.replace(
                whole,
                xs=whole.xs[..., time, :],
                reset=whole.reset[..., time],
                lengths=np.clip(whole.lengths - start, 0, SHORT),
                state=state,
            ),
        )
        parts.append(ys)
    assert_close((state, np.concatenate(parts, axis=-2)), (wanted_state, np.asarray(wanted_ys)))


@each(RECURRENCES)
@hypothesis.given(seed=seeds, lengths=compiled_lengths)
def test_law_3_a_row_alone_gives_the_same(recurrence, seed, lengths):
    batch = make_batch(recurrence, seed, lengths)
    state, ys = run(recurrence, batch)
    for row in range(ROWS):
        length = lengths[row]
        alone = seqjax.unroll(
            recurrence, batch.params, rows(batch.xs)[row][:length], rows(batch.state)[row]
        )
        assert_close((rows(state)[row], rows(ys)[row][:length]), alone)


@each(RECURRENCES)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@hypothesis.given(
    seed=seeds,
    lengths=any_lengths,
    marks=any_marks,
    garbage=st.sampled_from([np.nan, np.inf, -1e30]),
)
def test_law_4_padding_is_ignored(recurrence, reverse, seed, lengths, marks, garbage):
    batch = make_batch(recurrence, seed, lengths, marks)
    state, ys = run(recurrence, batch.with_padding(garbage), reverse=reverse)
    assert_identical((state, ys), run(recurrence, batch.with_padding(0), reverse=reverse))
    assert not np.asarray(ys)[~batch.valid].any()
    assert np.isfinite(np.asarray(ys)).all()


@each(RECURRENCES)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@hypothesis.given(seed=seeds)
def test_law_4_length_0_returns_the_given_state(recurrence, reverse, seed):
    batch = make_batch(recurrence, seed, (0,) * ROWS)
    state, ys = run(recurrence, batch.with_padding(np.nan), reverse=reverse)
    assert_identical(state, batch.state)
    assert not np.asarray(ys).any()


@functools.partial(jax.jit, static_argnums=0)
def batch_gradients(recurrence, params, xs, state, lengths, weights_y, weights_state):
    """Gradients of a weighted sum of outputs and states with respect to params, inputs and state."""

    def loss(params, xs, state):
        state, ys = seqjax.unroll(recurrence, params, xs, state, lengths=lengths)
        return jnp.sum(ys * weights_y) + dot(state, weights_state)

    return jax.grad(loss, argnums=(0, 1, 2))(params, xs, state)


@functools.partial(jax.jit, static_argnums=0)
def row_gradients(recurrence, params, xs, state, weights_y, weights_state):
    """The same of one row without padding."""

    def loss(params, xs, state):
        state, ys = seqjax.unroll(recurrence, params, xs, state)
        return jnp.sum(ys * weights_y) + dot(state, weights_state)

    return jax.grad(loss, argnums=(0, 1, 2))(params, xs, state)


def dot(tree, weights):
    """The real part of the inner product of two pytrees."""
    return sum(
        jnp.sum(jnp.real(a * b))
        for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(weights), strict=True)
    )


def make_weights(recurrence, batch, seed):
    """Weights of the outputs and of the final state."""
    size = recurrence.output_size(batch.xs.shape[-1])
    weights_y = np.random.default_rng(seed).normal(size=(*BATCH, TIME, size)).astype(np.float32)
    return weights_y, draw_state(recurrence, BATCH, seed + 2)


@each(RECURRENCES)
@hypothesis.settings(max_examples=2)
@hypothesis.given(seed=seeds, lengths=st.permutations([SHORT, 0, SHORT, SHORT]))
def test_law_4_gradients_are_those_of_trimmed_rows(recurrence, seed, lengths):
    batch = make_batch(recurrence, seed, lengths).with_padding(np.nan)
    weights = make_weights(recurrence, batch, seed)
    params, xs, state = batch_gradients(
        recurrence, batch.params, batch.xs, batch.state, batch.lengths, *weights
    )
    assert not np.asarray(xs)[~batch.valid].any()

    wanted = jax.tree.map(np.zeros_like, batch.params)
    for row in range(ROWS):
        row_weights, state_weights = rows(weights[0])[row], rows(weights[1])[row]
        if lengths[row] == 0:
            assert_close(rows(state)[row], state_weights)
            continue
        row_xs, row_state = rows(batch.xs)[row][:SHORT], rows(batch.state)[row]
        alone = row_gradients(
            recurrence, batch.params, row_xs, row_state, row_weights[:SHORT], state_weights
        )
        assert_close((rows(xs)[row][:SHORT], rows(state)[row]), alone[1:], 1e-4)
        wanted = jax.tree.map(np.add, wanted, alone[0])
    assert_close(params, wanted, 1e-4)


@each(RECURRENCES)
@hypothesis.given(seed=seeds, lengths=any_lengths, garbage=st.sampled_from([np.nan, np.inf, -1e30]))
def test_law_4_garbage_in_the_padding_does_not_reach_gradients(recurrence, seed, lengths, garbage):
    batch = make_batch(recurrence, seed, lengths)
    weights = make_weights(recurrence, batch, seed)
    gradients, clean = (
        batch_gradients(recurrence, b.params, b.xs, b.state, b.lengths, *weights)
        for b in (batch.with_padding(garbage), batch.with_padding(0))
    )
    assert_identical(gradients, clean)
    assert not np.asarray(gradients[1])[~batch.valid].any()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


row_parts = st.lists(st.sampled_from([1, SHORT]), max_size=TIME).filter(
    lambda parts: sum(parts) <= TIME
)
batch_parts = st.lists(row_parts, min_size=ROWS, max_size=ROWS)


def make_packed(recurrence, seed, parts):
    """A batch whose rows are packed with sequences of the given lengths, from the initial state."""
    starts = [np.cumsum(row)[:-1] for row in parts]
    marks = [sum(1 << int(start) for start in row) for row in starts]
    batch = make_batch(recurrence, seed, [sum(row) for row in parts], marks)
    return dataclasses.replace(
        batch, state=recurrence.initial_state(batch.params, BATCH, batch.xs.dtype)
    )


@each(RECURRENCES)
@hypothesis.given(seed=seeds, parts=batch_parts)
def test_law_5_a_reset_is_a_fresh_start(recurrence, seed, parts):
    batch = make_packed(recurrence, seed, parts)
    state, ys = run(recurrence, batch)
    for row in range(ROWS):
        alone = run_parts(
            recurrence, batch.params, rows(batch.xs)[row], rows(batch.state)[row], parts[row]
        )
        assert_close(rows(ys)[row][: sum(parts[row])], alone[1])
        if recurrence.causal:
            assert_close(rows(state)[row], alone[0])


@each(CAUSAL)
@hypothesis.given(seed=seeds)
def test_law_5_a_reset_at_the_first_step_forgets_the_given_state(recurrence, seed):
    batch = make_batch(recurrence, seed, marks=(1,) * ROWS)
    fresh = dataclasses.replace(
        batch, state=recurrence.initial_state(batch.params, BATCH, batch.xs.dtype)
    )
    assert_close(run(recurrence, batch), run(recurrence, fresh))


@each(RECURRENCES)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@hypothesis.given(seed=seeds, lengths=any_lengths, marks=any_marks)
def test_law_5_a_reset_in_the_padding_does_nothing(recurrence, reverse, seed, lengths, marks):
    batch = make_batch(recurrence, seed, lengths, marks)
    cleared, filled = (
        dataclasses.replace(batch, reset=r)
        for r in (batch.reset & batch.valid, batch.reset | ~batch.valid)
    )
    assert_close(
        run(recurrence, filled, reverse=reverse), run(recurrence, cleared, reverse=reverse)
    )


@each(RECURRENCES)
@hypothesis.given(seed=seeds, lengths=compiled_lengths)
def test_law_6_reverse_reads_each_row_from_its_own_end(recurrence, seed, lengths):
    batch = make_batch(recurrence, seed, lengths)
    state, ys = run(recurrence, batch, reverse=True)
    for row in range(ROWS):
        backwards = rows(batch.xs)[row][: lengths[row]][::-1]
        alone = seqjax.unroll(recurrence, batch.params, backwards, rows(batch.state)[row])
        assert_close((rows(state)[row], rows(ys)[row][: lengths[row]][::-1]), alone)


@each(RECURRENCES)
@hypothesis.given(seed=seeds, parts=batch_parts)
def test_law_6_reverse_with_resets_reads_each_packed_sequence_from_its_end(recurrence, seed, parts):
    batch = make_packed(recurrence, seed, parts)
    state, ys = run(recurrence, batch, reverse=True)
    for row in range(ROWS):
        backwards = rows(batch.xs)[row][: sum(parts[row])][::-1]
        alone = run_parts(
            recurrence, batch.params, backwards, rows(batch.state)[row], parts[row][::-1]
        )
        assert_close(rows(ys)[row][: sum(parts[row])][::-1], alone[1])
        if recurrence.causal:
            assert_close(rows(state)[row], alone[0])


@each(RECURRENCES)
@hypothesis.given(
    seed=seeds, lengths=any_lengths, marks=any_marks, order=st.permutations(range(ROWS))
)
def test_law_7_permuting_the_batch_permutes_the_result(recurrence, seed, lengths, marks, order):
    batch = make_batch(recurrence, seed, lengths, marks)

    def permute(tree):
        return jax.tree.map(
            lambda a: np.asarray(a).reshape(ROWS, *a.shape[2:])[list(order)].reshape(a.shape), tree
        )

    fields = {name: permute(getattr(batch, name)) for name in ("xs", "state", "lengths", "reset")}
    assert_close(
        run(recurrence, dataclasses.replace(batch, **fields)), permute(run(recurrence, batch))
    )


@functools.partial(jax.jit, static_argnums=0)
def unroll_each_row(recurrence, params, xs, state, lengths, reset):
    """`unroll` of single rows under vmap under jit."""

    def one(xs, state, lengths, reset):
        return seqjax.unroll(recurrence, params, xs, state, lengths=lengths, reset=reset)

    return jax.vmap(jax.vmap(one))(xs, state, lengths, reset)


@each(RECURRENCES)
@hypothesis.given(seed=seeds, lengths=any_lengths, marks=any_marks)
def test_law_8_jit_and_vmap_agree(recurrence, seed, lengths, marks):
    b = make_batch(recurrence, seed, lengths, marks)
    assert_close(
        unroll_each_row(recurrence, b.params, b.xs, b.state, b.lengths, b.reset), run(recurrence, b)
    )


@each(RECURRENCES)
def test_law_8_eager_agrees(recurrence):
    params, xs = draw_params(recurrence), draw_inputs((SHORT,))
    state = draw_state(recurrence, ())
    wanted = seqjax.unroll(recurrence, params, xs, state)
    with jax.disable_jit():
        given = seqjax.unroll(recurrence, params, xs, state)
    assert_close(given, wanted)


@pytest.mark.parametrize("backend", ["scan", "auto"])
@each(RECURRENCES)
def test_a_batch_of_no_rows_is_read(recurrence, backend):
    params, xs = draw_params(recurrence), draw_inputs((1, 5))
    _, ys = seqjax.unroll(recurrence, params, xs[:0], backend=backend)
    _, whole = seqjax.unroll(recurrence, params, xs, backend=backend)
    assert ys.shape == (0, *whole.shape[1:])
