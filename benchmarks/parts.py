"""Where the time of training a recurrent layer goes: `python benchmarks/parts.py --cell lstm --shape c`.

Gradients of less and less are left out, so that XLA drops what computes them; differences of
medians are the parts. The product of two square matrices in the same rounds says what the machine
can do.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
from recurrent_layers import SHAPES, operations

import seqjax

ROUNDS, SQUARE = 15, 2048


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", default="lstm", choices=("elman", "lstm", "gru"))
    parser.add_argument("--shape", default="c", choices=tuple(SHAPES))
    parser.add_argument("--backend", default="native", choices=("native", "fused", "scan"))
    args = parser.parse_args()
    batch, steps, features, units = SHAPES[args.shape]
    layer = {"elman": seqjax.Elman, "lstm": seqjax.LSTM, "gru": seqjax.GRU}[args.cell](units)
    params = layer.init(jax.random.key(0), features)
    xs = jax.random.normal(jax.random.key(1), (steps, batch, features))
    square = jax.random.normal(jax.random.key(2), (SQUARE, SQUARE))
    state = layer.initial_state(params, (batch,), jnp.float32)

    def loss(state, xs, params):
        return seqjax.unroll(layer, params, xs, state, backend=args.backend, time_major=True)[
            1
        ].sum()

    product = jax.jit(jnp.matmul)
    passes = {
        "peak": lambda *_: product(square, square),
        "forward": jax.jit(loss),
        "state": jax.jit(jax.grad(loss)),
        "inputs": jax.jit(jax.grad(loss, (0, 1))),
        "all": jax.jit(jax.grad(loss, (0, 1, 2))),
    }
    times = {name: [] for name in passes}
    for lap in range(ROUNDS + 2):
        for name, run in passes.items():
            began = time.perf_counter()
            jax.block_until_ready(run(state, xs, params))
            times[name] += [time.perf_counter() - began] * (lap >= 2)
    took = {name: statistics.median(seconds) for name, seconds in times.items()}
    forward = operations(args.shape, args.cell)
    into = forward * features / (features + units)
    parts = {
        "forwards": (took["forward"], forward),
        "recurrences backwards, and what they need kept": (
            took["state"] - took["forward"],
            forward - into,
        ),
        "gradient of the inputs": (took["inputs"] - took["state"], into),
        "gradient of the weights": (took["all"] - took["inputs"], forward),
    }
    print("| part | ms | share of peak |\n|---|---|---|")
    for name, (seconds, work) in parts.items():
        print(
            f"| {name} | {1e3 * seconds:.1f} | {work / seconds * took['peak'] / (2 * SQUARE**3):.2f} |"
        )


if __name__ == "__main__":
    main()
