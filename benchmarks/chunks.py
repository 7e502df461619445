"""Short chunks, as streams read them: `python benchmarks/chunks.py`, microseconds a call of each backend.

A compiled `unroll` from a state, for a few rows and steps; the backends take turns, and the quickest
call of many rounds counts, for on a busy machine only that is the machine's own. `int8` is "auto" by
weights in int8.
"""

import argparse
import functools
import time

import jax

import seqjax
from seqjax import interop

CELLS = {"lstm": seqjax.LSTM, "gru": seqjax.GRU, "elman": seqjax.Elman}


def calls(cell: seqjax.Recurrence, features: int, rows: int, steps: int, backends: list) -> dict:
    """Returns a function for each backend that reads a chunk and waits for it."""
    params = cell.init(jax.random.key(0), features)
    xs = jax.random.normal(jax.random.key(1), (rows, steps, features))
    state = cell.initial_state(params, (rows,), xs.dtype)

    def read(run, params) -> None:
        jax.block_until_ready(run(params, xs, state))

    found = {}
    for backend in backends:
        if backend == "int8":
            run = jax.jit(functools.partial(seqjax.unroll, seqjax.int8(cell)))
            found[backend] = functools.partial(read, run, interop.quantise(params))
            continue
        run = jax.jit(functools.partial(seqjax.unroll, cell, backend=backend))
        found[backend] = functools.partial(read, run, params)
    return found


def quickest(reads: dict, rounds: int, repeats: int = 10) -> dict:
    """Returns the least microseconds of a call, by backend."""
    least = dict.fromkeys(reads, float("inf"))
    for read in reads.values():
        read()
    for _ in range(rounds):
        for backend, read in reads.items():
            for _ in range(repeats):
                began = time.perf_counter()
                read()
                least[backend] = min(least[backend], 1e6 * (time.perf_counter() - began))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", choices=tuple(CELLS), default=["lstm", "gru"])
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--backends", nargs="+", default=["native", "fused", "auto"])
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    print(f"| cell | rows | steps | {' | '.join(args.backends)} |")
    print("|---" * (3 + len(args.backends)) + "|")
    for name in args.cells:
        for rows in args.rows:
            for steps in args.steps:
                cell = CELLS[name](args.hidden)
                reads = calls(cell, args.features, rows, steps, args.backends)
                least = quickest(reads, args.rounds)
                figures = " | ".join(f"{least[backend]:.0f}" for backend in args.backends)
                print(f"| {name} | {rows} | {steps} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
