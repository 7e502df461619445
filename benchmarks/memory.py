"""Memory and time of the gradient through long sequences: `python benchmarks/memory.py`.

One sequence at a time, of 64 features for 64 units, and a loss on the last state; each figure comes
from its own process. Memory is what XLA plans beside arguments and results, and by how much the
process grows at its largest; time a step should not grow with the length. `remat="sqrt"` keeps one
state for each of about sqrt(time) chunks.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

UNITS = 64


def measure(cell: str, steps: int, remat: str) -> dict[str, float]:
    """Megabytes, and microseconds a step."""
    import jax
    import jax.numpy as jnp

    import seqjax

    layer = {"lstm": seqjax.LSTM, "gru": seqjax.GRU, "elman": seqjax.Elman, "lru": seqjax.LRU}[
        cell
    ](UNITS)
    params = layer.init(jax.random.key(0), UNITS)

    def loss(params, xs):
        state, _ = seqjax.unroll(layer, params, xs, remat=remat)
        return sum(jnp.square(jnp.abs(leaf)).mean() for leaf in jax.tree.leaves(state))

    xs = jnp.ones((1, steps, UNITS))
    gradient = jax.jit(jax.grad(loss)).lower(params, xs).compile()
    before = resident()
    jax.block_until_ready(gradient(params, xs))
    grown = resident() - before
    began = time.perf_counter()
    jax.block_until_ready(gradient(params, xs))
    seconds = time.perf_counter() - began
    planned = gradient.memory_analysis().temp_size_in_bytes / 1e6
    return {"planned": planned, "resident": grown, "step": 1e6 * seconds / steps}


def resident() -> float:
    """The largest size so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--measure", nargs=3, metavar=("CELL", "STEPS", "REMAT"), help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--cells", nargs="+", choices=("lstm", "gru", "elman", "lru"), default=("lstm", "lru")
    )
    parser.add_argument("--steps", nargs="+", type=int, default=(1_000, 10_000, 100_000))
    args = parser.parse_args()
    if args.measure:
        cell, steps, remat = args.measure
        print(json.dumps(measure(cell, int(steps), remat)))
        return
    print("| cell | steps | remat | planned MB | resident MB | us a step |")
    print("|---|---|---|---|---|---|")
    for cell in args.cells:
        for steps in args.steps:
            for remat in ("none", "sqrt"):
                words = [sys.executable, __file__, "--measure", cell, str(steps), remat]
                found = json.loads(
                    subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
                )
                figures = (
                    f"{found['planned']:.1f}",
                    f"{found['resident']:.1f}",
                    f"{found['step']:.2f}",
                )
                print("|", " | ".join((cell, f"{steps:,}", remat, *figures)), "|", flush=True)


if __name__ == "__main__":
    main()
