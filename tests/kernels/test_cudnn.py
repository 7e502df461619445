"""The LSTM by cuDNN, on machines without it: JAX's account of what cuDNN computes, and the program for CUDA."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

import seqjax
from seqjax import kernels
from seqjax.kernels import cudnn
from seqjax.recurrence import Pass
from tests.kernels.test_fused import OPTIONS, assert_same, outcome, problem
from tests.kernels.test_native import assert_near, in_float64

pytestmark = pytest.mark.usefixtures("quick_compile")

LSTM = seqjax.LSTM(4)


def account(
    xs,
    h,
    c,
    weights,
    lengths,
    *,
    input_size,
    hidden_size,
    num_layers,
    dropout,
    bidirectional,
    precision,
):
    """What `rnn.lstm_fwd` returns, from JAX's reference for it."""
    sizes = input_size, hidden_size, num_layers
    unpacked = rnn.unpack_lstm_weights(weights, *sizes, bidirectional)
    results = rnn.lstm_ref(xs, h, c, *unpacked, lengths, *sizes, dropout, bidirectional)
    return results, (xs, h, c, weights, lengths)


def pulled_back(*args):
    *_, precision, kept, gradients = args
    xs, h = kept[:2]
    forward = lambda *given: account(*given, kept[4], **cudnn._sizes(xs, h), precision=precision)[0]  # noqa: E731
    return *jax.vjp(forward, *kept[:4])[1](gradients), None


@pytest.mark.parametrize("name", ["plain", "lengths", "lengths, reverse", "plain, reverse"])
def test_it_equals_the_scan_in_values_and_gradients(x64, monkeypatch, name):
    monkeypatch.setattr(rnn, "lstm_fwd", account)
    monkeypatch.setattr(rnn, "lstm_bwd", pulled_back)
    (params, xs, state), pulled = problem(LSTM, dtype=np.float32)
    lengths, reverse = (
        OPTIONS[name].get("lengths", np.full(3, 4)),
        OPTIONS[name].get("reverse", False),
    )

    def run(params, xs, state):
        return cudnn._by_cudnn(
            reverse, params, jnp.moveaxis(xs, 1, 0), tuple(state), jnp.asarray(lengths, jnp.int32)
        )

    ((h, c), ys), pull = jax.vjp(run, params, xs, state)
    gradients = pull((tuple(pulled[0]), jnp.moveaxis(pulled[1], 1, 0)))
    got = (seqjax.LSTMState(h, c), jnp.moveaxis(ys, 0, 1)), gradients
    assert_near(
        got,
        outcome(LSTM, in_float64((params, xs, state)), in_float64(pulled), "scan", **OPTIONS[name]),
    )


@pytest.fixture
def there(monkeypatch):
    """JAX as where cuDNN is installed, as far as lowering goes: what it asks cuDNN then is answered here."""
    library = types.SimpleNamespace(build_rnn_descriptor=lambda *_: b"descriptor")
    sizes = lambda *_: (1, 1000)  # noqa: E731
    monkeypatch.setattr(
        rnn.gpu_rnn, "compute_rnn_workspace_reserve_space_sizes", sizes, raising=False
    )
    rules = {
        rnn.rnn_fwd_p: rnn.gpu_rnn.cudnn_rnn_lowering,
        rnn.rnn_bwd_p: rnn.gpu_rnn.cudnn_rnn_bwd_lowering,
    }
    for primitive, rule in rules.items():
        linked = functools.partial(rule.func, library, *rule.args[1:])
        rnn.mlir.register_lowering(primitive, linked, platform="cuda")
    yield
    for primitive, rule in rules.items():
        rnn.mlir.register_lowering(primitive, rule, platform="cuda")


def training(params, xs, state):
    how = Pass(backend="cudnn", lengths=jnp.array([4, 2, 0]))
    loss = lambda *args: sum(leaf.sum() for leaf in jax.tree.leaves(cudnn.scan("lstm", *args, how)))  # noqa: E731
    return jax.grad(loss, (0, 1, 2))(params, jnp.moveaxis(xs, 1, 0), tuple(state))


@pytest.mark.parametrize(
    ("platform", "calls"),
    [("cuda", {"cudnn_rnn_ffi", "cudnn_rnn_bwd_ffi"}), ("cpu", set()), ("tpu", set())],
)
def test_it_is_lowered_for_cuda_alone(there, platform, calls):
    given, _ = problem(LSTM, dtype=np.float32)
    text = jax.export.export(jax.jit(training), platforms=[platform], disabled_checks=EVERY_CALL)(
        *given
    ).mlir_module()
    assert {name for name in ("cudnn_rnn_ffi", "cudnn_rnn_bwd_ffi") if f"@{name}(" in text} == calls


EVERY_CALL = [
    jax.export.DisabledSafetyCheck.custom_call(name)
    for name in ("cudnn_rnn_ffi", "cudnn_rnn_bwd_ffi")
]


@pytest.mark.parametrize(
    ("asked", "rounded"), [(None, False), ("highest", False), ("tensorfloat32", True)]
)
def test_products_are_rounded_only_where_asked(asked, rounded):
    with jax.default_matmul_precision(asked):
        assert rnn._lstm_cudnn_allow_tf32(cudnn._precision()) == rounded


def test_elsewhere_it_gives_way_and_says_why(monkeypatch):
    say = functools.partial(kernels.explain, LSTM, backend="cudnn")
    assert say() == "LSTM(4): fused, cuDNN runs on NVIDIA's GPUs, not on cpu"
    given, pulled = problem(LSTM, dtype=np.float32)
    assert_same(outcome(LSTM, given, pulled, "cudnn"), outcome(LSTM, given, pulled, "fused"), 0)

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert say() == "LSTM(4): fused, this jaxlib comes without cuDNN; install jax[cuda13]"
    assert say(jnp.float64) == "LSTM(4): fused, cuDNN's LSTM is used in float32, not in float64"
    assert (
        kernels.explain(seqjax.GRU(4), backend="cudnn")
        == "GRU(4): fused, cuDNN is bound for the LSTM alone"
    )


def test_where_it_is_there_it_runs_but_for_resets(there, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert kernels.explain(LSTM, backend="cudnn") == "LSTM(4): cudnn, as asked for"
    how = Pass(backend="cudnn", reset=jnp.zeros((4, 3), bool))
    dtype = jnp.dtype("float32")
    chosen = kernels._choose(LSTM, "lstm", lambda: True, dtype, {dtype}, how)
    assert chosen == ("fused", "cuDNN knows no resets")
