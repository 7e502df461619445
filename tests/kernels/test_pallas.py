"""The kernels for TPUs, on machines without one: interpreted beside the scan, and the programs for TPUs."""

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.pallas import tpu as pltpu

import seqjax
from seqjax import kernels
from seqjax.kernels import pallas
from seqjax.recurrence import Pass
from tests.kernels.test_bfloat16 import problem
from tests.kernels.test_fused import EVERYTHING, OPTIONS, assert_same, outcome
from tests.kernels.test_native import assert_near, each_cell, in_float64

UNITS = 128


@pytest.fixture
def interpreted(monkeypatch, capfd):
    """Has `backend="pallas"` run its kernels as on a TPU, and tells of reads and writes that race."""
    monkeypatch.setattr(pallas, "INTERPRETED", pltpu.InterpretParams(detect_races=True))
    for name in ("_advance", "_retreat"):
        monkeypatch.setattr(pallas, name, getattr(pallas, name).compiled)
    monkeypatch.setattr(kernels, "_not_pallas", lambda cell, dtype: None)
    jax.clear_caches()
    yield
    jax.clear_caches()  # what was traced as interpreted
    assert "RACE" not in "".join(capfd.readouterr())


@each_cell
@pytest.mark.parametrize("name", ["plain", "lengths, reverse", "lengths and reset"])
def test_it_equals_the_scan_in_values_and_gradients(x64, interpreted, cell, name):
    given, pulled = problem(cell(UNITS))
    got = outcome(cell(UNITS), given, pulled, "pallas", **OPTIONS[name])
    wanted = outcome(cell(UNITS), in_float64(given), in_float64(pulled), "scan", **OPTIONS[name])
    assert_near(got, wanted)


def test_the_kernel_is_what_runs(interpreted, monkeypatch):
    """Without this the test above could compare the scan with XLA's loop."""
    cell, steps = seqjax.GRU(UNITS), []
    (params, xs, state), _ = problem(cell)
    body = pallas._body
    monkeypatch.setattr(pallas, "_body", lambda *given: steps.append(1) or body(*given))
    seqjax.unroll(cell, params, xs, state, backend="pallas")
    assert steps


def training(cell):
    """A gradient through a sequence with all that a pass may ask for."""
    how = Pass(lengths=jnp.array([4, 2, 0]), reset=jnp.asarray(EVERYTHING["reset"]).T, reverse=True)

    def loss(params, xs, state):
        found = pallas.scan(cell.formula(), params, xs, state, how)
        return sum(jnp.sin(leaf).sum() for leaf in jax.tree.leaves(found))

    return loss


def arguments(cell):
    (params, xs, state), _ = problem(cell)
    state = tuple(state) if isinstance(state, tuple) else (state,)
    return params, jnp.moveaxis(xs, 1, 0), state


@each_cell
@pytest.mark.parametrize(("platform", "calls"), [("tpu", 2), ("cpu", 0), ("cuda", 0)])
def test_it_is_lowered_for_tpus_alone(cell, platform, calls):
    cell = cell(UNITS)
    run = jax.jit(jax.grad(training(cell), (0, 1, 2)))
    text = jax.export.export(run, platforms=[platform])(*arguments(cell)).mlir_module()
    assert text.count("@tpu_custom_call") == calls


@each_cell
def test_it_is_differentiated_twice_and_mapped(x64, monkeypatch, cell):
    monkeypatch.setattr(kernels, "_not_pallas", lambda cell, dtype: None)
    cell = cell(UNITS)
    given, pulled = problem(cell)

    def penalty(given, pulled, backend):
        found = outcome(cell, given, pulled, backend, **EVERYTHING)
        return sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(found))

    got = jax.grad(penalty)(given, pulled, "pallas")
    wanted = jax.grad(penalty)(in_float64(given), in_float64(pulled), "scan")
    assert_near(got, wanted)
    params, *rest = given
    run = lambda xs, state: seqjax.unroll(cell, params, xs, state, backend="pallas")  # noqa: E731
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, -leaf]), rest)
    together = jax.tree.map(lambda leaf: leaf[0], jax.vmap(run)(*twice))
    assert_same(together, run(*rest), 1e-5)


def test_it_is_the_loop_of_xla_where_it_does_not_fit():
    assert pallas.fits(8, 128, 512) and not pallas.fits(8, 100, 400)
    assert not pallas.fits(8, 1024, 4096) and not pallas.fits(4096, 128, 512)
    cell = seqjax.LSTM(12)
    params, xs, state = arguments(cell)
    run = lambda xs: pallas.scan("lstm", params, xs, state, Pass())[1]  # noqa: E731
    assert "seqjax_advance" not in str(jax.make_jaxpr(run)(xs))
    assert "seqjax_advance" not in str(jax.make_jaxpr(run)(xs[:0]))


def test_elsewhere_it_gives_way_and_says_why(monkeypatch):
    cell = seqjax.LSTM(UNITS)
    say = lambda cell=cell, *given: kernels.explain(cell, *given, backend="pallas")  # noqa: E731
    assert say() == "LSTM(128): fused, Pallas' kernels run on TPUs, not on cpu"
    given, pulled = problem(cell)
    assert_same(outcome(cell, given, pulled, "pallas"), outcome(cell, given, pulled, "fused"), 0)
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert say() == "LSTM(128): pallas, as asked for"
    assert say(seqjax.GRU(100)).endswith("fused, Pallas' kernels want units by 128, not 100")
    assert say(cell, jnp.float64).endswith("Pallas' kernels compute in float32, not in float64")
