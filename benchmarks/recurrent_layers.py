"""A recurrent layer forwards and in training, beside its peers: `python benchmarks/recurrent_layers.py`.

    python benchmarks/recurrent_layers.py --python torch=~/torch/bin/python keras=~/keras/bin/python onnxruntime=...

Shapes are batch, steps, features and units; training is the forward pass and the gradients of weights and inputs. Each
peer is a process of its own, for two thread pools in one process spoil each other; they stay alive, take turns, and a
ratio is that of two neighbours in one round. The peak is that of a product of two square matrices in the same round,
`first` the seconds of a first call, which for JAX compiles. On a machine that does other work the figures mean
little. `--python` names interpreters for the peers that this one lacks (torch, keras, onnx and onnxruntime).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

SHAPES = {
    "a": (64, 100, 128, 256),
    "b": (128, 28, 28, 128),
    "c": (32, 100, 512, 512),
    "d": (64, 50, 1024, 1024),
    "e": (1, 100, 128, 256),
}
GATES = {"lstm": 4, "gru": 3, "elman": 1}
PEERS = (
    "torch",
    "torch-bfloat16",
    "scan",
    "fused",
    "native",
    "native-bfloat16",
    "native-int8",
    "flax",
    "keras",
    "onnxruntime",
)
"""Those between PyTorch and Flax are backends of seqjax. Rounded, PyTorch's layer has weights and inputs in
bfloat16, ours multiplies numbers in bfloat16. `native-int8` has weights in int8, and forward passes alone."""

SECONDS = 0.12
"""For which a call is repeated each time that it is a peer's turn."""


def operations(shape: str, cell: str) -> int:
    """Multiplications and additions of a forward pass; training has three times as many."""
    batch, steps, features, units = SHAPES[shape]
    return 2 * batch * steps * (features + units) * GATES[cell] * units


def jax_calls(run, params, xs):
    """The two passes of `run(params, xs) -> outputs`."""
    import jax

    forward, train = jax.jit(run), jax.jit(jax.grad(lambda *args: run(*args).sum(), (0, 1)))
    return {
        "forward": lambda: jax.block_until_ready(forward(params, xs)),
        "training": lambda: jax.block_until_ready(train(params, xs)),
    }


def seqjax_calls(backend: str, shape: str, cell: str):
    import jax

    import seqjax
    from seqjax import interop

    batch, steps, features, units = SHAPES[shape]
    layer = {"lstm": seqjax.LSTM, "gru": seqjax.GRU, "elman": seqjax.Elman}[cell](units)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, features))
    params = layer.init(jax.random.key(0), features)
    if backend == "native-int8":
        run = lambda params, xs: seqjax.unroll(seqjax.int8(layer), params, xs, time_major=True)[1]  # noqa: E731
        return {"forward": jax_calls(run, interop.quantise(params), xs)["forward"]}
    backend, _, precision = backend.partition("-")

    def run(params, xs):
        with jax.default_matmul_precision(precision or None):
            return seqjax.unroll(layer, params, xs, backend=backend, time_major=True)[1]

    return jax_calls(run, params, xs)


def flax_calls(shape: str, cell: str):
    cells = {"lstm": "OptimizedLSTMCell", "gru": "GRUCell", "elman": "SimpleCell"}
    return flax_calls_of(cells[cell], SHAPES[shape])


def flax_calls_of(cell: str, shape: tuple[int, int, int, int]):
    """The two passes of one of Flax's cells, by its name."""
    import jax
    from flax import linen as nn

    batch, steps, features, units = shape
    layer = nn.RNN(getattr(nn, cell)(units), time_major=True)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, features))
    return jax_calls(layer.apply, layer.init(jax.random.key(0), xs), xs)


def keras_calls(shape: str, cell: str):
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras  # pyright: ignore[reportMissingImports]

    batch, steps, features, units = SHAPES[shape]
    layers = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "elman": keras.layers.SimpleRNN}
    layer = layers[cell](units, return_sequences=True)
    layer.build((batch, steps, features))
    rest = [v.value for v in layer.non_trainable_variables]
    run = lambda params, xs: layer.stateless_call(params, rest, xs)[0]  # noqa: E731
    xs = jax.random.normal(jax.random.key(1), (batch, steps, features))
    return jax_calls(run, [v.value for v in layer.trainable_variables], xs)


def torch_calls(dtype: str, shape: str, cell: str, threads: int):
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    batch, steps, features, units = SHAPES[shape]
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}[cell](
        features, units, dtype=getattr(torch, dtype)
    )
    xs = torch.randn(steps, batch, features, dtype=getattr(torch, dtype), requires_grad=True)
    square = torch.randn(2048, 2048)

    def forward():
        with torch.inference_mode():
            layer(xs)

    def train():
        layer.zero_grad()
        xs.grad = None
        layer(xs)[0].sum().backward()

    return {"forward": forward, "training": train, "peak": lambda: square @ square}


def onnxruntime_calls(shape: str, cell: str, threads: int):
    import numpy as np
    import onnx  # pyright: ignore[reportMissingImports]
    import onnxruntime  # pyright: ignore[reportMissingImports]
    from onnx import helper, numpy_helper  # pyright: ignore[reportMissingImports]

    batch, steps, features, units = SHAPES[shape]
    wide, rng = GATES[cell] * units, np.random.default_rng(0)
    sizes = {"w": (1, wide, features), "r": (1, wide, units), "b": (1, 2 * wide)}
    weights = [
        numpy_helper.from_array(0.1 * rng.normal(size=s).astype("f4"), name)
        for name, s in sizes.items()
    ]
    more = {"linear_before_reset": 1} if cell == "gru" else {}
    kind = {"lstm": "LSTM", "gru": "GRU", "elman": "RNN"}[cell]
    node = helper.make_node(kind, ["x", "w", "r", "b"], ["y"], hidden_size=units, **more)
    inputs, outputs = (
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)]
        for name, dims in (("x", [steps, batch, features]), ("y", [steps, 1, batch, units]))
    )
    graph = helper.make_graph([node], "layer", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    xs = rng.normal(size=(steps, batch, features)).astype("f4")
    return {"forward": lambda: session.run(None, {"x": xs})}


def calls_of(peer: str, shape: str, cell: str, threads: int):
    """What a peer can do, each as a function that waits for its result."""
    if peer == "onnxruntime":
        return onnxruntime_calls(shape, cell, threads)
    if peer.startswith("torch"):
        dtype = peer.partition("-")[2] or "float32"
        return torch_calls(dtype, shape, cell, threads)
    if peer in ("flax", "keras"):
        return {"flax": flax_calls, "keras": keras_calls}[peer](shape, cell)
    return seqjax_calls(peer, shape, cell)


def serve_calls(peer: str, threads: int, calls_of, least: float = SECONDS) -> None:
    """A peer's process: answers each request `[shape, cell]` with seconds of one call, the first time of the first."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    known, calls = None, {}
    for line in sys.stdin:
        shape, cell = json.loads(line)
        new = (shape, cell) != known
        if new:
            known, calls = (shape, cell), calls_of(peer, shape, cell, threads)
        answer = {name: seconds_of(call, 1 if new else 1000, least) for name, call in calls.items()}
        print(json.dumps(answer), flush=True)


def seconds_of(call, most: int, least: float = SECONDS) -> float:
    """The median of the calls that fit into `least` seconds, at least one."""
    times = []
    while not times or (sum(times) < least and len(times) < most):
        times.append(seconds(call))
    return statistics.median(times)


def seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


class Peer:
    """The other end of `serve_calls`, in the script that is named."""

    def __init__(self, name: str, python: str, threads: int, script: str = __file__):
        words = [os.path.expanduser(python), script, "--serve", name, "--threads", str(threads)]
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")
        }
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(words, text=True, env=environment, **pipes)
        self.name = name

    def measure(self, shape: str, cell: str) -> dict[str, float]:
        """Seconds of a call of each pass; the first time, of the first call."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps([shape, cell]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(
                f"{self.name} gave up; name an interpreter that has it: --python {self.name}=PATH"
            )
        time.sleep(0.02)  # its threads go to sleep
        return json.loads(answer)


def rows_of(
    shape: str,
    cell: str,
    rounds: list[dict[str, dict[str, float]]],
    first: dict[str, dict[str, float]],
):
    """The lines of the table, from what each peer said in each round."""
    peak = lambda r: 2 * 2048**3 / r["torch"]["peak"]  # noqa: E731
    for kind, work in (("forward", 1), ("training", 3)):
        for peer in (p for p in rounds[0] if kind in rounds[0][p]):
            ratios = sorted(r["torch"][kind] / r[peer][kind] for r in rounds)
            share = statistics.median(
                work * operations(shape, cell) / r[peer][kind] / peak(r) for r in rounds
            )
            milliseconds = 1000 * statistics.median(r[peer][kind] for r in rounds)
            ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}, {ratios[-1]:.2f})"
            yield (
                cell,
                shape,
                kind,
                peer,
                f"{milliseconds:.2f}",
                f"{share:.2f}",
                ratio,
                f"{first[peer][kind]:.1f}",
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", metavar="PEER", help=argparse.SUPPRESS)
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=tuple(SHAPES))
    parser.add_argument("--cells", nargs="+", choices=tuple(GATES), default=("lstm", "gru"))
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=PEERS, help="torch is the measure of all"
    )
    parser.add_argument(
        "--python", nargs="+", default=(), metavar="PEER=PATH", help="interpreters of peers"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.serve:
        serve_calls(args.serve, args.threads, calls_of)
        return
    pythons = dict(word.split("=", 1) for word in args.python)
    names = dict.fromkeys(("torch", *args.peers))
    python_of = lambda name: pythons.get(name.partition("-")[0], sys.executable)  # noqa: E731
    peers = {name: Peer(name, python_of(name), args.threads) for name in names}
    print(
        "| cell | shape | pass | peer | ms | share of peak | times PyTorch (least, most) | first, s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for cell in args.cells:
        for shape in args.shapes:
            first = {name: peer.measure(shape, cell) for name, peer in peers.items()}
            rounds = [
                {name: peer.measure(shape, cell) for name, peer in peers.items()}
                for _ in range(args.rounds)
            ]
            for row in rows_of(shape, cell, rounds, first):
                print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
