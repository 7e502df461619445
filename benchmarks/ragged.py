"""Rows of different lengths beside whole ones: `python benchmarks/ragged.py`, milliseconds of the compiled kernels.

64 rows of 128 features, 200 steps at most and 104 on average, 256 units: the outputs alone, and with
the gradients of parameters and inputs. The quickest of some rounds counts; the two take turns.
"""

import argparse
import time

import jax
import numpy as np

import seqjax

ROWS, STEPS, FEATURES, HIDDEN, SHARE = 64, 200, 128, 256, 0.52


def ragged_lengths() -> np.ndarray:
    """Draws lengths of the wanted mean, `[ROWS]`."""
    drawn = np.random.default_rng(0).integers(1, STEPS + 1, ROWS)
    return np.clip(drawn * SHARE * STEPS / drawn.mean(), 1, STEPS).astype(np.int32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--backend", default="native")
    args = parser.parse_args()
    xs = jax.random.normal(jax.random.key(1), (ROWS, STEPS, FEATURES))
    lengths = {"ragged": ragged_lengths(), "whole": np.full(ROWS, STEPS, np.int32)}
    print("| cell | pass | ragged | whole | times as fast |\n|---|---|---|---|---|")
    for kind in (seqjax.LSTM, seqjax.GRU, seqjax.Elman):
        cell = kind(HIDDEN)
        params = cell.init(jax.random.key(0), FEATURES)

        def loss(params, xs, lengths, cell=cell):
            _, ys = seqjax.unroll(cell, params, xs, lengths=lengths, backend=args.backend)
            return (ys**2).sum()

        for name, run in (
            ("outputs", jax.jit(loss)),
            ("gradients", jax.jit(jax.grad(loss, argnums=(0, 1)))),
        ):
            least = dict.fromkeys(lengths, float("inf"))
            for _ in range(args.rounds + 1):
                for which, given in lengths.items():
                    began = time.perf_counter()
                    jax.block_until_ready(run(params, xs, given))
                    least[which] = min(least[which], 1e3 * (time.perf_counter() - began))
            ragged, whole = least["ragged"], least["whole"]
            cells = f"{ragged:.0f} | {whole:.0f} | {whole / ragged:.2f}"
            print(f"| {kind.__name__} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
