"""The compiled kernels on a batch that is spread over four devices of a process of its own."""

import json
import subprocess
import sys

import pytest

from seqjax import kernels

pytestmark = pytest.mark.skipif(
    kernels.native.missing() is not None, reason=str(kernels.native.missing())
)

PROGRAM = """
import json, re, sys
import jax
jax.config.update("jax_num_cpu_devices", 4)
import numpy as np
import seqjax
from jax.sharding import NamedSharding, PartitionSpec
from seqjax import kernels, training

def outcome(params, xs, lengths, state, backend):
    def loss(params, xs, state):
        after, ys = seqjax.unroll(cell, params, xs, state, lengths=lengths, backend=backend)
        return (ys**2).sum() + sum(leaf.sum() for leaf in jax.tree.leaves(after)), ys
    return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, xs, state)

mesh = training.make_mesh(4)
over, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (["data"], []))
run, rng, report = jax.jit(outcome, static_argnums=4), np.random.default_rng(0), {}
for cell in (seqjax.LSTM(8), seqjax.GRU(8), seqjax.Elman(8)):
    params = cell.init(jax.random.key(0), 3)
    xs, lengths = rng.normal(size=(8, 5, 3)).astype(np.float32), np.array([5, 4, 3, 2, 1, 0, 5, 5])
    zeros = cell.initial_state(params, (8,), "float32")
    state = jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), zeros)
    spread = jax.device_put((params, xs, lengths, state), (everywhere, over, over, over))
    text = run.lower(*spread, "native").compile().as_text()
    got, wanted = run(*spread, "native"), run(params, xs, lengths, state, "scan")
    for place in (got[0][1], *jax.tree.leaves(got[1][1:])):
        assert place.sharding.is_equivalent_to(over, place.ndim), place.sharding
    six = (params, xs[:6], lengths[:6], jax.tree.map(lambda a: a[:6], state))  # which four devices cannot share
    uneven = zip(*map(jax.tree.leaves, (run(*jax.device_put(six, everywhere), "native"), run(*six, "scan"))))
    report[str(cell)] = {
        "kernels": sorted(set(re.findall(r"seqjax_\\w+", text))),
        "collectives": sorted(set(re.findall(r"all-[a-z-]+|collective-[a-z]+|reduce-scatter", text))),
        "widest": max(int(rows) for rows in re.findall(r"f32\\[5,(\\d+),", text)),
        "error": max(float(abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (got, wanted)))),
        "uneven": max(float(abs(a - b).max()) for a, b in uneven),
        "says": kernels.explain(cell, backend="native"),
    }
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("cell", ["LSTM(8)", "GRU(8)", "Elman(8)"])
def test_each_device_runs_its_own_rows(report, cell):
    found = report[cell]
    assert found["kernels"] == [
        f"seqjax_{name}" for name in ("backward", "forward", "input_gradient", "weight_gradient")
    ]
    assert found["collectives"] == ["all-reduce"], "of the weights' gradients alone"
    assert found["widest"] == 2, "no sequence of more rows than a device holds"
    assert found["says"] == f"{cell}: native, as asked for"


@pytest.mark.parametrize("cell", ["LSTM(8)", "GRU(8)", "Elman(8)"])
def test_values_and_gradients_are_those_of_one_device(report, cell):
    assert report[cell]["error"] < 1e-4 and report[cell]["uneven"] < 1e-4
