"""What these tests share: golden files, outputs compared, networks with random biases."""

from pathlib import Path

import jax
import numpy as np

import seqjax

FOLDER = Path(__file__).parent.parent / "golden"
TOLERANCE = 2e-6


def read(name):
    """Arrays of a golden file."""
    with np.load(FOLDER / name) as file:
        return {key: file[key] for key in file.files}


def entries(golden, start="param/"):
    """Arrays whose names begin so, without it."""
    return {k.removeprefix(start): v for k, v in golden.items() if k.startswith(start)}


def nested(flat, separator="/"):
    """Nested dicts of arrays by path."""
    tree = {}
    for path, array in flat.items():
        *parents, last = path.split(separator)
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = array
    return tree


def gives(net, params, x, y, **options):
    """Asserts that a network's outputs are those recorded."""
    _, ys = seqjax.unroll(net, params, x, **options)
    np.testing.assert_allclose(ys, y, rtol=TOLERANCE, atol=TOLERANCE)


def same(given, wanted, tolerance=0.0):
    """Asserts that two trees of arrays are equal."""
    assert jax.tree.structure(given) == jax.tree.structure(wanted)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), given, wanted
    )


def drawn(net, input_size=3, seed=0):
    """Parameters of a network, every one of them random, biases too."""
    rng = np.random.default_rng(seed)
    params = net.init(jax.random.key(0), input_size)
    return jax.tree.map(lambda a: rng.normal(scale=0.6, size=a.shape).astype(np.float32), params)
