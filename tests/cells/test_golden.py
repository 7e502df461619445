"""The cells against the numbers of PyTorch and of ONNX Runtime, see tests/golden/README.md."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests.golden_weights import onnx_network, torch_gradients, torch_network, torch_state

pytestmark = pytest.mark.usefixtures("quick_compile")

FOLDER = Path(__file__).parent.parent / "golden"
TORCH = sorted(FOLDER.glob("torch_*.npz"))
ONNX = sorted(FOLDER.glob("onnx_*.npz"))


def read(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def close(given, wanted, tolerance):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), given, wanted
    )


def test_the_files_are_there():
    assert len(TORCH) == 16 and len(ONNX) == 18


@pytest.mark.parametrize("path", TORCH, ids=lambda path: path.stem)
@pytest.mark.parametrize("backend", ["scan", "auto"])
def test_torch_values_and_gradients(x64, path, backend):
    golden = read(path)
    recurrence, params = torch_network(golden, path.name)
    zeros = lambda name: np.zeros_like(golden[name.replace("0", "n")])  # noqa: E731
    given = {
        name: golden.get(name, zeros(name))
        for name in ("h0", "c0")
        if name.replace("0", "n") in golden
    }
    state = torch_state(golden, given["h0"], given.get("c0"))

    @jax.jit
    def results(params, xs, state):
        return seqjax.unroll(
            recurrence, params, xs, state, lengths=golden.get("lengths"), backend=backend
        )

    (after, ys), pull = jax.vjp(results, *jax.tree.map(jnp.asarray, (params, golden["x"], state)))
    wanted = torch_state(golden, golden["hn"], golden.get("cn"))
    close((after, ys), (wanted, golden["y"]), 1e-12)
    cotangents = torch_state(golden, golden["cot_hn"], golden.get("cot_cn"))
    d_params, d_xs, d_state = pull(jax.tree.map(jnp.asarray, (cotangents, golden["cot_y"])))
    close(d_params, torch_gradients(golden), 1e-10)
    close(d_xs, golden["grad_x"], 1e-10)
    if "grad_h0" in golden:
        close(d_state, torch_state(golden, golden["grad_h0"], golden.get("grad_c0")), 1e-10)


@pytest.mark.parametrize("path", ONNX, ids=lambda path: path.stem)
def test_onnx_values(path):
    golden = read(path)
    for index, (cell, params) in enumerate(onnx_network(golden)):
        lstm = isinstance(cell, seqjax.LSTM)
        shape = golden["Y_h"][index].shape
        h = golden["initial_h"][index] if "initial_h" in golden else np.zeros(shape, np.float32)
        c = golden["initial_c"][index] if "initial_c" in golden else np.zeros(shape, np.float32)
        after, ys = seqjax.unroll(
            cell,
            params,
            golden["X"],
            seqjax.LSTMState(h, c) if lstm else h,
            lengths=golden.get("sequence_lens"),
            reverse=str(golden["direction"]) == "reverse" or index == 1,
            time_major=True,
        )
        close(ys, golden["Y"][:, index], 2e-6)
        close(after.h if lstm else after, golden["Y_h"][index], 2e-6)
        if lstm:
            close(after.c, golden["Y_c"][index], 2e-6)
