"""Makes `equinox_*.npz`: what Equinox's recurrent cells give, in float32.

Run it from anywhere, in an environment that has equinox, jax and numpy:

    python tests/golden/make_equinox.py [--out FOLDER]

The files beside this script were made by equinox 0.13.8 on jax 0.10.2 (CPU). Every number drawn
comes from a NumPy generator seeded by the case's place in `CASES`. `README.md` lists the keys.
"""

import argparse
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

STEPS, BATCH, INPUT_SIZE, UNITS = 6, 3, 3, 4

CELLS = {"lstm": eqx.nn.LSTMCell, "gru": eqx.nn.GRUCell}
CASES = [(name, bias) for name in CELLS for bias in (True, False)]


def unroll(cell, x, backwards=False):
    """Outputs `[T, units]` of a cell over `x [T, I]`."""

    def step(state, frame):
        state = cell(frame, state)
        return state, state[0] if isinstance(state, tuple) else state

    zeros = jnp.zeros(cell.hidden_size)
    state = (zeros, zeros) if isinstance(cell, eqx.nn.LSTMCell) else zeros
    return jax.lax.scan(step, state, x, reverse=backwards)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the golden files of Equinox's cells.")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent, help="folder to write to"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    for seed, (name, bias) in enumerate(CASES):
        rng = np.random.default_rng(seed)
        # The first layer reads both ways, the second one forwards.
        sizes = {
            "forward": (INPUT_SIZE, UNITS),
            "backward": (INPUT_SIZE, UNITS),
            "second": (2 * UNITS, UNITS + 1),
        }
        cells = {
            place: CELLS[name](*size, use_bias=bias, key=jax.random.key(0))
            for place, size in sizes.items()
        }
        draw = lambda a, rng=rng: jnp.asarray(rng.normal(scale=0.6, size=a.shape), jnp.float32)  # noqa: E731
        cells = jax.tree.map(draw, cells)
        x = rng.normal(size=(BATCH, STEPS, INPUT_SIZE)).astype(np.float32)
        one = jax.vmap(lambda row, c=cells: unroll(c["forward"], row))(x)
        back = jax.vmap(lambda row, c=cells: unroll(c["backward"], row, backwards=True))(x)
        both = jnp.concatenate([one, back], -1)
        two = jax.vmap(lambda row, c=cells: unroll(c["second"], row))(both)
        arrays = {"x": x, "y_one": one, "y_both": both, "y_two": two}
        for path, leaf in jax.tree_util.tree_flatten_with_path(cells)[0]:
            arrays[f"param/{path[0].key}/{path[1].name}"] = leaf
        suffix = "" if bias else "_bare"
        np.savez(out / f"equinox_{name}{suffix}.npz", **jax.tree.map(np.asarray, arrays))


if __name__ == "__main__":
    main()
