"""A subclass that steps or starts in a way of its own is run as it says, by every backend."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import kernels
from seqjax.combinators import Stack
from seqjax.diagnostics.observe import observe
from tests.recurrences import assert_close

pytestmark = pytest.mark.usefixtures("quick_compile")


def doubled(base):
    """A subclass whose outputs are twice those of `base`."""

    class Twice(base):
        def step(self, params, state, x, *, rng=None):
            state, y = super().step(params, state, x, rng=rng)
            return state, 2 * y

    return Twice


CELLS = [seqjax.Elman, seqjax.LSTM, seqjax.GRU, seqjax.LRU, seqjax.MinGRU, seqjax.MinLSTM]
CELLS += [seqjax.MLSTM]


@pytest.mark.parametrize("base", CELLS)
@pytest.mark.parametrize("backend", ["scan", "fused", "native", "auto"])
def test_the_step_of_a_subclass_is_what_runs(getkey, base, backend):
    plain, twice = base(3), doubled(base)(3)
    params, xs = plain.init(getkey(), 2), jax.random.normal(getkey(), (2, 5, 2))
    _, ys = seqjax.unroll(plain, params, xs, backend="scan")
    state, found = seqjax.unroll(twice, params, xs, lengths=[5, 3], backend=backend)
    assert_close(found[0], 2 * ys[0])
    assert_close(found[1, :3], 2 * ys[1, :3])
    _, inside = seqjax.unroll(seqjax.stack(twice), {"layer_0": params}, xs, backend=backend)
    assert_close(inside, 2 * ys)
    gradient = jax.grad(lambda p: seqjax.unroll(twice, p, xs, backend=backend)[1].sum())(params)
    wanted = jax.grad(lambda p: 2 * seqjax.unroll(plain, p, xs, backend="scan")[1].sum())(params)
    jax.tree.map(assert_close, gradient, wanted)


@pytest.mark.parametrize("base", CELLS)
def test_what_is_observed_of_a_subclass_are_its_own_outputs(getkey, base):
    twice = doubled(base)(3)
    params, xs = twice.init(getkey(), 2), jax.random.normal(getkey(), (2, 5, 2))
    _, wanted = seqjax.unroll(twice, params, xs, backend="scan")
    _, ys = observe(twice, params, xs)
    assert_close(ys, wanted)


def test_explain_tells_that_no_kernel_knows_a_subclass():
    assert "fused, its own step" in kernels.explain(doubled(seqjax.LSTM)(3))
    assert "scan" in kernels.explain(doubled(seqjax.LRU)(3)).split(": ")[1].split(",")[0]
    assert "scan, no other" in kernels.explain(doubled(seqjax.MLSTM)(3))
    assert "linear scan" in kernels.explain(seqjax.LRU(3))
    assert kernels.explain(seqjax.LSTM(3)).split(": ")[1].startswith(("native", "fused"))


def test_explain_tells_that_a_combinator_of_ones_own_runs_its_step():
    plain = seqjax.stack(seqjax.GRU(3), seqjax.LSTM(3))
    assert len(kernels.explain(plain).split("; ")) == 2
    assert "scan, no other implementation knows" in kernels.explain(doubled(Stack)(plain.layers))


@dataclasses.dataclass(frozen=True, repr=False)
class Sum(seqjax.Recurrence):
    """Adds up what it reads: a recurrence that says no more of itself than it must."""

    causal: bool = True

    def init(self, key, input_size):
        return {}

    def output_size(self, input_size):
        return input_size

    def initial_state(self, params, batch_shape, dtype):
        return jnp.zeros((*batch_shape, 2), dtype)

    def step(self, params, state, x, *, rng=None):
        return state + x, state + x


def test_what_a_recurrence_leaves_out_is_answered_on_the_safe_side(getkey):
    xs = jax.random.normal(getkey(), (2, 5, 2))
    state, ys = seqjax.unroll(Sum(), {}, xs)
    for recurrence in (Sum(), seqjax.dropout(Sum(), 0.5), seqjax.stack(seqjax.GRU(2), Sum())):
        assert recurrence.shown((state, state)) is None
        assert_close(recurrence.ends(ys[:, 0], ys[:, -1]), ys[:, -1])
        assert "scan, no other implementation knows" in kernels.explain(recurrence)
    assert_close(Sum(causal=False).ends(ys[:, 0], ys[:, -1]), jnp.hstack([ys[:, -1], ys[:, 0]]))
    assert_close(observe(Sum(), {}, xs)[1], ys)


def test_a_recurrence_of_ones_own_may_show_its_state():
    class Shown(Sum):
        def shown(self, state):
            return state

    state = jnp.ones((2, 2))
    assert seqjax.residual(Shown()).shown(state) is state


@pytest.mark.parametrize("base", [seqjax.Elman, seqjax.GRU])
@pytest.mark.parametrize("backend", ["scan", "fused", "native", "auto"])
def test_a_reset_returns_to_the_initial_state_of_a_subclass(getkey, base, backend):
    class Ready(base):
        def initial_state(self, params, batch_shape, dtype):
            return jnp.ones((*batch_shape, self.hidden_size), dtype)

    cell = Ready(3)
    params, xs = cell.init(getkey(), 2), jax.random.normal(getkey(), (2, 6, 2))
    reset = np.zeros((2, 6), bool)
    reset[:, 4] = True
    _, ys = seqjax.unroll(cell, params, xs, reset=reset, backend=backend)
    _, fresh = seqjax.unroll(cell, params, xs[:, 4:], backend="scan")
    assert_close(ys[:, 4:], fresh)


@pytest.mark.parametrize("backend", ["scan", "auto"])
def test_the_step_of_a_combinator_of_ones_own_is_what_runs(getkey, backend):
    plain = seqjax.stack(seqjax.GRU(3), seqjax.GRU(3))
    twice = doubled(Stack)(plain.layers)
    params, xs = plain.init(getkey(), 2), jax.random.normal(getkey(), (2, 5, 2))
    wanted, found = (seqjax.unroll(each, params, xs, backend=backend)[1] for each in (plain, twice))
    assert_close(found, 2 * wanted)


def test_a_scan_of_ones_own_is_kept(getkey):
    class Silent(seqjax.GRU):
        def step(self, params, state, x, *, rng=None):
            raise AssertionError("the scan is what runs")

        def scan(self, params, xs, state, how=None):
            return state, jnp.zeros((*xs.shape[:-1], self.hidden_size))

    cell = Silent(3)
    _, ys = seqjax.unroll(cell, cell.init(getkey(), 2), jnp.ones((2, 5, 2)))
    assert not ys.any()
