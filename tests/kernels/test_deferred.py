"""A cell's own step with its weights' gradients after the loop, against the plain scan in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import seqjax
from seqjax import kernels
from seqjax.kernels import deferred
from seqjax.kernels.products import product
from tests.kernels.test_fused import EVERYTHING, OPTIONS, assert_same, both, outcome, problem

pytestmark = pytest.mark.usefixtures("quick_compile")


class Heads(seqjax.SLSTM):
    """Its weights have heads; as it comes it is left to the scan, which is faster there."""

    scan = seqjax.Cell.scan


CELLS = [
    seqjax.LSTM(4, peephole=True, projection_size=2, layer_norm=True, coupled=True),
    seqjax.LSTM(4, peephole=True),
    seqjax.GRU(4, reset="before"),
    seqjax.GRU(4, layer_norm=True),
    Heads(4, heads=2),
    seqjax.MGU(4),
    seqjax.IndRNN(4),
]
each_cell = pytest.mark.parametrize("cell", CELLS, ids=str)


@dataclasses.dataclass(frozen=True, repr=False)
class Tied(seqjax.Cell):
    """A user's own cell, whose step says how it multiplies."""

    hidden_size: int
    _: dataclasses.KW_ONLY
    tied: bool = False
    said: bool = True

    def init(self, key, input_size):
        """A matrix for inputs and state, and a bias."""
        return {
            "w": jax.random.normal(key, (self.hidden_size, self.hidden_size)),
            "b": jnp.ones(()),
        }

    def step(self, params, state, x, *, rng=None):
        """Reads the matrix again where it is tied, and the input beside its product."""
        w = params["w"]
        times = (lambda a: product(a, w, a.dtype)) if self.said else (lambda a: a @ w)
        own = w.sum() if self.tied else 1.0
        h = jnp.tanh(times(x) + times(state) + params["b"] * own) + x
        return h, h


def test_it_is_what_runs(monkeypatch):
    """Without this the tests below could compare the scan with itself."""
    calls = []
    monkeypatch.setattr(deferred, "scan", lambda *given: calls.append(given[0]) or given[3:1:-1])
    for cell in CELLS:
        (params, xs, state), _ = problem(cell, dtype=np.float32)
        for backend in ("auto", "fused", "native", "scan"):
            cell.scan(params, jnp.swapaxes(xs, 0, 1), state, seqjax.Pass(backend=backend))
        cell.scan(params, jnp.swapaxes(xs, 0, 1), state, seqjax.Pass(remat="step"))
    assert calls == [cell for cell in CELLS for _ in range(3)]


@each_cell
@pytest.mark.parametrize("options", [OPTIONS["plain"], OPTIONS["reset"], EVERYTHING], ids=str)
def test_it_equals_the_scan_in_values_and_gradients(x64, cell, options):
    assert_same(*both(cell, *problem(cell), **options))


def test_without_a_batch_axis_and_with_two(x64):
    cell = Heads(4, heads=2)
    for batch in ((), (2, 3)):
        assert_same(*both(cell, *problem(cell, batch)))


def test_no_steps(x64):
    """The state is handed on, and its gradient back."""
    cell = seqjax.GRU(4, layer_norm=True)
    given, pulled = problem(cell, time=0)
    (after, _), grads = outcome(cell, given, pulled, "fused")
    assert_same((after, grads[2]), (given[2], pulled[0]), 0)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads[0]))


def test_it_equals_the_scan_under_vmap_over_params(x64):
    cell = seqjax.GRU(4, reset="before")
    (params, xs, state), pulled = problem(cell)
    params = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), params)

    def run(backend):
        def of(params):
            return outcome(cell, (params, xs, state), pulled, backend)

        return jax.jit(jax.vmap(of))(params)

    assert_same(run("fused"), run("scan"))


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_what_stands_in_the_padding_changes_no_gradient(x64, garbage):
    cell = seqjax.LSTM(4, layer_norm=True)
    (params, xs, state), pulled = problem(cell)
    padding = (np.arange(4) >= EVERYTHING["lengths"][:, None])[..., None]
    run = jax.jit(lambda xs: outcome(cell, (params, xs, state), pulled, "fused", **EVERYTHING))
    assert_same(run(jnp.where(padding, garbage, xs)), run(xs), 0)


def test_a_cell_of_ones_own_that_says_its_products(x64):
    cell = Tied(3)
    assert "fused, its own step" in kernels.explain(Tied(1))
    assert_same(*both(cell, *problem(cell, inputs=3), **EVERYTHING))


@pytest.mark.parametrize("cell", [Tied(3, tied=True), Tied(3, said=False)], ids=str)
def test_a_matrix_that_is_also_read_otherwise_is_left_to_the_scan(x64, cell):
    (params, xs, state), pulled = problem(cell, inputs=3)
    assert not deferred.serves(cell, params, jnp.swapaxes(xs, 0, 1), state)
    assert_same(*both(cell, (params, xs, state), pulled), 0)


class Learned(seqjax.GRU):
    """Begins at learned numbers, also after a reset; no step reads them."""

    def init(self, key, input_size):
        """With the numbers."""
        return {**super().init(key, input_size), "h_0": jnp.ones(self.hidden_size)}

    def initial_state(self, params, batch_shape, dtype):
        """The numbers, for all rows."""
        return jnp.broadcast_to(params["h_0"], (*batch_shape, self.hidden_size))


def test_a_reset_to_a_learned_state_has_its_gradient(x64):
    cell = Learned(4)
    (params, xs, state), pulled = problem(cell)
    assert deferred.serves(cell, params, jnp.swapaxes(xs, 0, 1), state)
    fused, scan = both(cell, (params, xs, state), pulled, **EVERYTHING)
    assert_same(fused, scan)
    assert np.any(fused[1][0]["h_0"])


class Within(Tied):
    """Multiplies inside another transformation, whose tracers must not leave it."""

    within = staticmethod(jax.checkpoint)

    def step(self, params, state, x, *, rng=None):
        """The step of the others."""
        return self.within(functools.partial(super().step, params))(state, x)


class Looped(Within):
    """Multiplies in a loop inside the step."""

    @staticmethod
    def within(step):
        """Takes the step twice."""
        return lambda state, x: lax.fori_loop(0, 2, lambda _, carry: step(carry[0], x), (x, x))


class Mapped(Within):
    """Multiplies row by row."""

    within = staticmethod(jax.vmap)


@pytest.mark.parametrize("kind", [Within, Looped, Mapped])
def test_products_inside_another_transformation_are_left_to_the_scan(x64, kind):
    cell = kind(3)
    (params, xs, state), pulled = problem(cell, inputs=3)
    assert not deferred.serves(cell, params, jnp.swapaxes(xs, 0, 1), state)
    assert_same(*both(cell, (params, xs, state), pulled), 0)


def loops(jaxpr):
    """Equations of all loops in a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from loops(value.jaxpr)


def test_the_loop_back_carries_no_matrix():
    """Its derivative adds up nothing of the size of the weights, step by step."""
    cell = seqjax.LSTM(64, layer_norm=True)
    params, xs = cell.init(jax.random.key(0), 32), jnp.ones((1, 5, 32))

    def carried(backend):
        def loss(params):
            return seqjax.unroll(cell, params, xs, backend=backend)[1].sum()

        sizes = []
        for loop in loops(jax.make_jaxpr(jax.grad(loss))(params).jaxpr):
            first, last = loop.params["num_consts"], loop.params["num_carry"]
            sizes += [value.aval.size for value in loop.invars[first : first + last]]
        return max(sizes)

    assert carried("scan") == 64 * 256
    assert carried("fused") == 64
