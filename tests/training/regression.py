"""A tiny regression problem and an endless, resumable source of its batches, for the tests of the engine."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import training

FEATURES = 3


def fresh_params():
    """The same parameters at every call: `{layer: {w [3, 2], b [2]}, scale [2]}`."""
    w = np.random.default_rng(7).normal(size=(FEATURES, 2)).astype(np.float32)
    return {"layer": {"w": jnp.asarray(w), "b": jnp.zeros(2)}, "scale": jnp.ones(2)}


def predict(params, x):
    """`tanh(x w + b) * scale`."""
    hidden = jnp.tanh(x @ params["layer"]["w"] + params["layer"]["b"][None])
    return hidden * params["scale"][None]


def weighted_loss(params, batch, rng, extra):
    """Mean squared error over the weights of the rows; `extra` counts the calls; the rng adds noise to the targets."""
    noise = 0.1 * jax.random.normal(rng, (2,))[None]
    errors = jnp.square(predict(params, batch["x"]) - batch["y"] - noise).mean(-1)
    weight = batch["weight"].sum()
    loss = (batch["weight"] * errors).sum() / jnp.where(weight == 0, 1, weight)
    absolute = training.Mean.of(jnp.sqrt(errors), batch["weight"])
    return loss, training.Aux(weight, {"absolute": absolute}, None if extra is None else extra + 1)


def make_batch(seed, rows=8):
    """A batch that depends on its seed alone."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    return {"x": x, "y": np.sin(x[:, :2]), "weight": np.ones(rows, np.float32)}


class Source:
    """Batch after batch, each from its own seed; those named in `poisoned` have targets of infinity."""

    def __init__(self, poisoned=()):
        self.position = 0
        self.poisoned = frozenset(poisoned)

    def __iter__(self):
        return self

    def __next__(self):
        batch = make_batch(self.position)
        if self.position in self.poisoned:
            batch["y"] = np.full_like(batch["y"], np.inf)
        self.position += 1
        return batch

    def state(self):
        """The position after the last batch handed out."""
        return {"position": self.position}

    def restore(self, state):
        """Goes on from a position."""
        self.position = state["position"]


def leaves_of(tree):
    """The leaves as NumPy arrays, keys as their data."""
    return [
        np.asarray(
            jax.random.key_data(leaf)
            if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            else leaf
        )
        for leaf in jax.tree.leaves(tree)
    ]


def assert_same_bits(a, b):
    """Two pytrees hold the same bytes."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(leaves_of(a), leaves_of(b), strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
        assert x.tobytes() == y.tobytes()
