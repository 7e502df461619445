"""Makes `flax_*.npz`: what Flax's recurrent cells give, of Linen and of NNX, in float32.

Run it from anywhere, in an environment that has flax, jax and numpy:

    python tests/golden/make_flax.py [--out FOLDER]

The files beside this script were made by flax 0.12.8 on jax 0.10.2 (CPU). Every number drawn comes
from a NumPy generator seeded by the case's place in `CASES`; biases are random, because a wrong
order of gates does not show with the zeros that Flax begins with. `README.md` lists the keys.
"""

import argparse
import pathlib

import flax.linen as nn
import jax
import numpy as np
from flax import nnx

BATCH, STEPS, INPUT_SIZE, UNITS = 3, 6, 3, 4


class Stack(nn.Module):
    """Two layers of a cell, the first perhaps in both directions."""

    cell: type
    both: bool = False

    def setup(self):
        if self.both:
            self.first = nn.Bidirectional(nn.RNN(self.cell(UNITS)), nn.RNN(self.cell(UNITS)))
        else:
            self.first = nn.RNN(self.cell(UNITS))
        self.second = nn.RNN(self.cell(UNITS + 1))

    def __call__(self, x):
        return self.second(self.first(x))


class NnxStack(nnx.Module):
    """The same in NNX."""

    def __init__(self, cell, both):
        make = lambda i, h: nnx.RNN(cell(i, h, rngs=nnx.Rngs(0)))  # noqa: E731
        self.first = make(INPUT_SIZE, UNITS)
        if both:
            self.first = nnx.Bidirectional(self.first, make(INPUT_SIZE, UNITS))
        self.second = make(2 * UNITS if both else UNITS, UNITS + 1)

    def __call__(self, x):
        return self.second(self.first(x))


LINEN = {
    "linen_lstm": nn.LSTMCell,
    "linen_optimized": nn.OptimizedLSTMCell,
    "linen_gru": nn.GRUCell,
    "linen_simple": nn.SimpleCell,
}
NNX = {
    "nnx_lstm": nnx.LSTMCell,
    "nnx_optimized": nnx.OptimizedLSTMCell,
    "nnx_gru": nnx.GRUCell,
    "nnx_simple": nnx.SimpleCell,
}
CASES = [(name, shape) for name in LINEN | NNX for shape in ("one", "both", "two")]


def redraw(tree, rng):
    """Arrays of the same shapes, drawn anew."""
    draw = lambda a: rng.normal(scale=0.6, size=a.shape).astype(np.float32)  # noqa: E731
    return jax.tree.map(draw, tree)


def run_linen(cell, shape, x, rng):
    """Parameters and outputs of a module of Linen."""
    module = {
        "one": lambda: nn.RNN(cell(UNITS)),
        "both": lambda: nn.Bidirectional(nn.RNN(cell(UNITS)), nn.RNN(cell(UNITS))),
        "two": lambda: Stack(cell, both=True),
    }[shape]()
    variables = redraw(module.init(jax.random.key(0), x), rng)
    return variables["params"], module.apply(variables, x)


def run_nnx(cell, shape, x, rng):
    """Parameters and outputs of a module of NNX."""
    make = lambda: nnx.RNN(cell(INPUT_SIZE, UNITS, rngs=nnx.Rngs(0)))  # noqa: E731
    module = {
        "one": make,
        "both": lambda: nnx.Bidirectional(make(), make()),
        "two": lambda: NnxStack(cell, both=True),
    }[shape]()
    state = nnx.state(module, nnx.Param)
    nnx.update(module, redraw(state, rng))
    return nnx.to_pure_dict(nnx.state(module, nnx.Param)), module(x)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the golden files of Flax's cells.")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    for seed, (name, shape) in enumerate(CASES):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(BATCH, STEPS, INPUT_SIZE)).astype(np.float32)
        run, cell = (run_linen, LINEN[name]) if name in LINEN else (run_nnx, NNX[name])
        params, y = run(cell, shape, x, rng)
        arrays = {"x": x, "y": np.asarray(y)}
        for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
            arrays["param/" + "/".join(key.key for key in path)] = np.asarray(leaf)
        np.savez(out / f"flax_{name}_{shape}.npz", **arrays)


if __name__ == "__main__":
    main()
