"""Recurrences inside `jax.shard_map` and on a mesh of explicit axes: values and gradients are those of one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqjax import kernels

pytestmark = pytest.mark.usefixtures("quick_compile")

PREAMBLE = """
import functools, json, sys
import jax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)
import jax.numpy as jnp
import numpy as np
import seqjax
from jax.sharding import NamedSharding, PartitionSpec as P

mesh = jax.make_mesh((4,), ("data",))
put = lambda a, *axes: jax.device_put(a, NamedSharding(mesh, P(*axes)))

def error(found, wanted):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    return max(float(abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)
"""

PROGRAM = """
from tests.recurrences import RECURRENCES, draw_inputs, draw_params

LENGTHS, RESET = np.array([5, 4, 3, 2, 1, 0, 5, 5]), np.zeros((8, 5), bool)
RESET[:, 2] = True

def loss(recurrence, backend, params, xs, lengths, reset):
    state, ys = seqjax.unroll(recurrence, params, xs, lengths=lengths, reset=reset, backend=backend)
    return (jnp.sin(ys) ** 2).sum() + sum((jnp.abs(leaf) ** 2).sum() for leaf in jax.tree.leaves(state))

report = {}
for name in sys.argv[1].split(","):
    params, xs = draw_params(RECURRENCES[name]), draw_inputs((8, 5))
    spread = put(params), put(xs, "data"), put(LENGTHS, "data"), put(RESET, "data")
    alone = jax.jit(jax.value_and_grad(functools.partial(loss, RECURRENCES[name], "scan"), (0, 1)))
    wanted = alone(params, xs, LENGTHS, RESET)
    for backend in sys.argv[2].split(","):
        both = jax.value_and_grad(functools.partial(loss, RECURRENCES[name], backend), (0, 1))

        @jax.jit
        @functools.partial(
            jax.shard_map, mesh=mesh, in_specs=(P(), P("data"), P("data"), P("data")), out_specs=(P(), (P(), P("data")))
        )
        def mapped(*arguments):
            value, gradient = both(*arguments)
            return jax.lax.psum(value, "data"), gradient

        report[f"{name} {backend}"] = {
            "shard_map": error(mapped(*spread), wanted),
            "explicit": error(jax.jit(both)(*spread), wanted),
        }
print(json.dumps(report))
"""

ROOT = Path(__file__).parents[2]
QUICK = (
    "elman_tanh",
    "lstm",
    "gru_after",
    "lstm_all",
    "lru",
    "min_gru",
    "mlstm",
    "bidirectional_max",
    "stack",
    "zoneout_gru",
)


def told(program, *words):
    """What a program on four devices prints last, as JSON."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + program, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def report():
    return told(PROGRAM, ",".join(QUICK), "scan,auto")


@pytest.mark.parametrize("backend", ["scan", "auto"])
@pytest.mark.parametrize("name", QUICK)
def test_values_and_gradients_are_those_of_one_device(report, name, backend):
    found = report[f"{name} {backend}"]
    assert found["shard_map"] < 1e-4 and found["explicit"] < 1e-4, found


PRODUCTS = """
from seqjax import interop, kernels
from seqjax.kernels import dense

kernels.native.rounds = lambda dtype: True

def compare(run, weights, rows, sums):
    loss = lambda weights, rows: jnp.sin(run(weights, rows)).sum()
    both = lambda weights, rows: (run(weights, rows), jax.grad(loss, 1)(weights, rows))
    mapped = jax.shard_map(both, mesh=mesh, in_specs=(P(), P("data")), out_specs=P("data"))
    wanted, spread = jax.jit(both)(weights, rows), (put(weights), put(rows, "data"))
    text = str(jax.make_jaxpr(run)(weights, rows))
    found = {"shard_map": error(jax.jit(mapped)(*spread), wanted), "explicit": error(jax.jit(both)(*spread), wanted)}
    return found | {"ours": sums in text}

cell, rng = seqjax.LSTM(8), np.random.default_rng(0)
draw = lambda *shape: rng.normal(size=shape).astype("f4")
small = interop.quantise(cell.init(jax.random.key(0), 3))
by_int8 = lambda params, xs: seqjax.unroll(seqjax.int8(cell), params, xs)[1]
by_dense = lambda w, x: dense.dot_general()(x, w, (((1,), (0,)), ((), ())))
print(json.dumps({
    "int8": compare(by_int8, small, draw(8, 2, 3), "seqjax_forward"),
    "dense": compare(by_dense, draw(20, 300), draw(2048, 20), "seqjax_across"),
}))
"""


@pytest.mark.skipif(kernels.native.missing() is not None, reason=str(kernels.native.missing()))
def test_int8_and_rounded_products_on_a_mesh():
    for name, found in told(PRODUCTS).items():
        assert found["ours"] and found["shard_map"] < 1e-4 and found["explicit"] < 1e-4, (
            name,
            found,
        )
