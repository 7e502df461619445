"""Makes `haiku_*.npz`: what Haiku's recurrent cells give, in float32.

Run it from anywhere, in an environment that has dm-haiku, jax and numpy:

    python tests/golden/make_haiku.py [--out FOLDER]

The files beside this script were made by dm-haiku 0.0.17 on jax 0.10.2 (CPU). Every number drawn
comes from a NumPy generator seeded by the case's place in `CASES`; biases are random, because a
wrong order of gates does not show with the zeros that Haiku begins with. `README.md` lists the keys.
"""

import argparse
import pathlib

import haiku as hk
import jax
import numpy as np

STEPS, BATCH, INPUT_SIZE, UNITS = 6, 3, 3, 4

CELLS = {
    "lstm": hk.LSTM,
    "gru": hk.GRU,
    "vanilla": hk.VanillaRNN,
    "vanilla_one_bias": lambda units: hk.VanillaRNN(units, double_bias=False),
}
CASES = [(name, layers) for name in CELLS for layers in (1, 2)]


def network(make, layers):
    """A function that unrolls the cells over `x [T, B, I]`."""

    def call(x):
        core = hk.DeepRNN([make(UNITS + index) for index in range(layers)])
        return hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))[0]

    return hk.without_apply_rng(hk.transform(call))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the golden files of Haiku's cells.")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    for seed, (name, layers) in enumerate(CASES):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(STEPS, BATCH, INPUT_SIZE)).astype(np.float32)
        net = network(CELLS[name], layers)
        params = net.init(jax.random.key(0), x)
        params = jax.tree.map(
            lambda a, rng=rng: rng.normal(scale=0.6, size=a.shape).astype(np.float32), params
        )
        arrays = {"x": x, "y": np.asarray(net.apply(params, x))}
        for module, entries in params.items():
            arrays |= {f"param/{module}/{entry}": array for entry, array in entries.items()}
        np.savez(out / f"haiku_{name}_{layers}layer.npz", **arrays)


if __name__ == "__main__":
    main()
