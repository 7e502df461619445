"""A recurrent layer forwards and in training, beside PyTorch's: `python benchmarks/recurrent_layers.py` (wants torch).

Shapes are batch, steps, features and units; training is the forward pass and the gradients of weights and inputs. The
peers run in processes of their own, for two thread pools in one process spoil each other, and alternate; a ratio is
that of two neighbours. The peak is that of a product of two square matrices in the same round. On a machine that does
other work the figures mean little. `--python` names the interpreter that has torch where this one has not.
"""

import argparse
import json
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
SECONDS = 0.6
"""For which a call is repeated."""


def operations(shape: str, cell: str) -> int:
    """Multiplications and additions of a forward pass; training has three times as many."""
    batch, steps, features, units = SHAPES[shape]
    return 2 * batch * steps * (features + units) * GATES[cell] * units


def seqjax_calls(shape: str, cell: str, backend: str):
    """The two passes, each as a function that waits for its result."""
    import jax

    import seqjax

    batch, steps, features, units = SHAPES[shape]
    layer = {"lstm": seqjax.LSTM, "gru": seqjax.GRU, "elman": seqjax.Elman}[cell](units)
    params = layer.init(jax.random.key(0), features)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, features))
    run = lambda params, xs: seqjax.unroll(layer, params, xs, backend=backend, time_major=True)  # noqa: E731
    forward, train = jax.jit(run), jax.jit(jax.grad(lambda *args: run(*args)[1].sum(), (0, 1)))
    return {
        "forward": lambda: jax.block_until_ready(forward(params, xs)),
        "training": lambda: jax.block_until_ready(train(params, xs)),
    }


def torch_calls(shape: str, cell: str, threads: int):
    """The same in PyTorch."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    batch, steps, features, units = SHAPES[shape]
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}[cell](features, units)
    xs = torch.randn(steps, batch, features, requires_grad=True)
    square = torch.randn(2048, 2048)

    def forward():
        with torch.inference_mode():
            layer(xs)

    def train():
        layer.zero_grad()
        xs.grad = None
        layer(xs)[0].sum().backward()

    return {"forward": forward, "training": train, "peak": lambda: square @ square}


def median_seconds(call) -> float:
    """Of one call, after warming up."""
    for _ in range(3):
        call()
    times = []
    while len(times) < 5 or sum(times) < SECONDS:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", nargs=3, metavar=("PEER", "SHAPE", "CELL"), help=argparse.SUPPRESS)
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=tuple(SHAPES))
    parser.add_argument("--cells", nargs="+", choices=tuple(GATES), default=("lstm", "gru"))
    parser.add_argument("--backends", nargs="+", default=("scan", "fused", "native"), help="of seqjax")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch; XLA takes all cores")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.measure:
        peer, shape, cell = args.measure
        calls = torch_calls(shape, cell, args.threads) if peer == "torch" else seqjax_calls(shape, cell, peer)
        print(json.dumps({name: median_seconds(call) for name, call in calls.items()}))
        return

    def measured(peer: str, shape: str, cell: str) -> dict[str, float]:
        python = args.python if peer == "torch" else sys.executable
        words = [python, __file__, "--measure", peer, shape, cell, "--threads", str(args.threads)]
        return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)

    print("| cell | shape | peer | pass | ms | share of peak | times PyTorch (least, most) |")
    print("|---|---|---|---|---|---|---|")
    for cell in args.cells:
        for shape in args.shapes:
            rounds = [{p: measured(p, shape, cell) for p in ("torch", *args.backends)} for _ in range(args.rounds)]
            for kind, work in (("forward", 1), ("training", 3)):
                for peer in rounds[0]:
                    ratios = sorted(r["torch"][kind] / r[peer][kind] for r in rounds)
                    shares = [
                        work * operations(shape, cell) / r[peer][kind] / (2 * 2048**3 / r["torch"]["peak"])
                        for r in rounds
                    ]
                    milliseconds = 1000 * statistics.median(r[peer][kind] for r in rounds)
                    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}, {ratios[-1]:.2f})"
                    row = (cell, shape, peer, kind, f"{milliseconds:.2f}", f"{statistics.median(shares):.2f}", ratio)
                    print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
