"""Variants of the classic cells in training, beside the plain LSTM: `python benchmarks/variants.py`.

Of each cell the gradients of parameters and inputs, by `seqjax.unroll` as it comes and by
`backend="scan"`, the loop of steps under plain autodiff. All take turns, round after round; a ratio
is that of one round, its median over all is told. Shapes are batch, steps, features and units.
"""

import argparse
import statistics
from collections.abc import Callable

import jax
from recurrent_layers import jax_calls, seconds

import seqjax

SHAPES = {"a": (64, 100, 128, 256), "e": (1, 100, 128, 256), "h": (16, 50, 256, 512)}


def cells(units: int) -> dict[str, seqjax.Recurrence]:
    return {
        "LSTM": seqjax.LSTM(units),
        "LSTM, peephole": seqjax.LSTM(units, peephole=True),
        "LSTM, projection to half": seqjax.LSTM(units, projection_size=units // 2),
        "LSTM, layer norm": seqjax.LSTM(units, layer_norm=True),
        "LSTM, coupled": seqjax.LSTM(units, coupled=True),
        "GRU": seqjax.GRU(units),
        "GRU, reset before": seqjax.GRU(units, reset="before"),
        "GRU, layer norm": seqjax.GRU(units, layer_norm=True),
        "sLSTM, 4 heads": seqjax.SLSTM(units, heads=4),
        "MGU": seqjax.MGU(units),
        "IndRNN": seqjax.IndRNN(units),
    }


def training_call(cell: seqjax.Recurrence, backend: str, shape: str) -> Callable:
    """A function that takes all gradients and waits for them; compiled already."""
    batch, steps, features, _ = SHAPES[shape]
    params = cell.init(jax.random.key(0), features)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, features))

    def run(params, xs):
        return seqjax.unroll(cell, params, xs, backend=backend, time_major=True)[1]

    train = jax_calls(run, params, xs)["training"]
    train()
    return train


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=tuple(SHAPES))
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    print("| cell | shape | ms | times the plain LSTM's time | faster than the scan |")
    print("|---|---|---|---|---|")
    for shape in args.shapes:
        calls = {}
        for name, cell in cells(SHAPES[shape][-1]).items():
            for backend in ("auto", "scan"):
                calls[name, backend] = training_call(cell, backend, shape)
        rounds = [
            {which: seconds(call) for which, call in calls.items()} for _ in range(args.rounds)
        ]
        for name in dict.fromkeys(name for name, _ in calls):
            taken = statistics.median(r[name, "auto"] for r in rounds)
            plain = statistics.median(r[name, "auto"] / r["LSTM", "auto"] for r in rounds)
            scan = statistics.median(r[name, "scan"] / r[name, "auto"] for r in rounds)
            print(
                f"| {name} | {shape} | {1e3 * taken:.1f} | {plain:.2f} | {scan:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
