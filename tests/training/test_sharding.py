"""Many devices and many processes compute what one device computes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import seqjax
from seqjax import training
from tests.training import sharding_script

pytestmark = pytest.mark.usefixtures("quick_compile")

STEPS = sharding_script.STEPS


def start(*words):
    environment = os.environ | {"PYTHONPATH": str(Path(seqjax.__file__).parents[1])}
    words = [sys.executable, sharding_script.__file__, *map(str, words)]
    return subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def facts_of(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: tmp_path_factory.mktemp(name) for name in ("devices", "processes")}


@pytest.fixture(scope="module")
def devices(folders):
    """What one process with 4 devices found."""
    return facts_of(start("devices", folders["devices"]))


@pytest.fixture(scope="module")
def processes(folders):
    """What each of two processes with 2 devices found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [start("process", folders["processes"], index, port) for index in range(2)]
    return [facts_of(process) for process in both]


def assert_same_curve(run, reference, begin=0):
    assert len(run["losses"]) == STEPS - begin
    np.testing.assert_allclose(run["losses"], reference["losses"][begin:], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(run["absolute"], reference["absolute"][begin:], rtol=1e-5, atol=1e-5)


def test_the_curve_of_one_device_falls(devices):
    assert devices["1"]["losses"][-1] < devices["1"]["losses"][0] and devices["1"]["devices"] == [0]


@pytest.mark.parametrize("mesh", ["4", "2x2"])
def test_four_devices_give_the_curve_of_one(devices, mesh):
    assert_same_curve(devices[mesh], devices["1"])
    assert devices[mesh]["devices"] == [0, 1, 2, 3]


@pytest.mark.parametrize("mesh", ["1", "4", "2x2"])
def test_one_compilation_serves_all_steps_on_a_mesh(devices, mesh):
    assert devices[mesh]["compiled"][0] > 0 and len(set(devices[mesh]["compiled"])) == 1


def test_a_rule_cuts_a_parameter_and_its_moments_and_its_average(devices):
    for mesh, part in (("4", 8), ("2x2", 4)):
        shards = devices[mesh]["shards"]
        for tree in ("params", "opt_state/0/mu", "opt_state/0/nu", "ema"):
            assert shards[f"{tree}/hidden/w"] == [6, part], (mesh, tree)
            assert shards[f"{tree}/hidden/b"] == [part], (mesh, tree)
            assert shards[f"{tree}/out/w"] == [8, 1], (mesh, tree)


@pytest.mark.parametrize("count", [4, 2, 1])
def test_a_checkpoint_of_four_devices_goes_on_with_another_number(devices, count):
    run = devices[f"restored on {count}"]
    assert run["from"] == 3 and run["devices"] == list(range(count))
    assert_same_curve(run, devices["1"], begin=3)
    assert run["shards"]["params/hidden/w"] == [6, 4 if count == 2 else 8]


def resumed_here(folder):
    """Goes on in this process, on its one device, from the checkpoint of step 3."""
    checkpoints = training.Checkpoints(folder)
    step, state, progress = checkpoints.restore(sharding_script.fresh_state(), 3)
    assert (step, progress["data"]) == (3, 3)
    return state


def test_a_checkpoint_of_four_devices_is_read_by_a_process_with_one(devices, folders):
    assert int(resumed_here(folders["devices"]).step) == 3


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("uneven", "a batch of 6 rows cannot be cut evenly over 4 devices"),
        ("too many", "devices is 5; this run sees 4"),
        ("none", "devices is 0"),
        ("model", "a model axis of 3 does not divide 4 devices"),
        ("rank", "more axes than b"),
        ("size", "6"),
    ],
)
def test_mistakes(devices, mistake, words):
    assert words in devices[mistake]


def test_a_mesh_takes_all_devices_unless_told(devices):
    assert devices["all"] == {"data": 4, "model": 1}


def test_two_processes_give_the_curve_of_one_over_a_stop(processes, devices):
    for facts in processes:
        losses = facts["first"]["losses"] + facts["second"]["losses"]
        np.testing.assert_allclose(losses, devices["1"]["losses"], rtol=1e-5, atol=1e-5)
        assert (facts["first"]["from"], facts["second"]["from"]) == (0, 3)
        assert (
            facts["first"]["shards"]["params/hidden/w"]
            == facts["second"]["shards"]["params/hidden/w"]
            == [6, 4]
        )
        assert len(set(facts["first"]["compiled"])) == 1


def test_each_process_reads_its_own_half(processes):
    for index, facts in enumerate(processes):
        assert facts["first"]["read"] == [[4 * index, 4 * index + 4, 4]] * 3


def test_a_process_has_its_own_rows_back(processes):
    assert all(facts["own rows"] == [True, True] for facts in processes)
    assert (
        training.own_rows(np.arange(3)).tolist()
        == training.own_rows(jax.numpy.arange(3)).tolist()
        == [0, 1, 2]
    )


def test_processes_agree_and_tell_their_differences(processes):
    for facts in processes:
        assert facts["agreed"] == {
            "largest": [15, 15, 0],
            "first": {"nats": 0.1, "error": 0.0},
            "texts": ["ä", "ää"],
            "differences": ["--seed is 1 in process 1, 0 in process 0"],
            "alone": True,
        }


def test_uneven_rows_of_one_process(processes):
    assert all(
        "3 rows cannot be cut evenly over 2 devices" in facts["uneven"] for facts in processes
    )


def test_the_checkpoint_of_two_processes_is_read_by_one(processes, devices, folders):
    from_processes, from_devices = (
        resumed_here(folders["processes"]),
        resumed_here(folders["devices"]),
    )
    for a, b in zip(
        (*np_leaves(from_processes.params), *np_leaves(from_processes.opt_state)),
        (*np_leaves(from_devices.params), *np_leaves(from_devices.opt_state)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert training.Checkpoints(folders["processes"]).steps() == [3, 5]


def np_leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize(
    "put",
    [
        lambda array: training.shard_batch(training.make_mesh(1), {"x": array}),
        lambda array: training.shard_params(training.make_mesh(1), {"x": array}),
        lambda array: training.gather({"x": array}),
    ],
)
def test_an_array_that_is_filled_again_does_not_reach_the_device(put):
    raw = np.zeros(4096 + 64, np.uint8)
    start = -raw.ctypes.data % 64  # aligned, so that the CPU would take it over as it is
    array = raw[start : start + 4096].view(np.float32).reshape(4, 256)
    array[:] = 1
    placed = put(array)
    array[:] = 2
    np.testing.assert_array_equal(placed["x"], np.ones((4, 256)))
