"""Batches of many lengths compile one step for each bucket and no more."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from seqjax import data, training

CELL = seqjax.GRU(3)


def test_one_compile_for_each_bucket(getkey):
    rng = np.random.default_rng(0)
    sequences = [
        rng.normal(size=(length, 2)).astype(np.float32) for length in rng.integers(1, 40, 61)
    ]
    buckets = data.BucketBatches([len(s) for s in sequences], batch_size=8, buckets=3, seed=0)
    batches = data.mapped(
        lambda b: data.pad_batch([sequences[i] for i in b.indices], b.time, b.rows), buckets
    )
    shapes = len(buckets.shapes)

    @chex.assert_max_traces(n=shapes)
    def loss(params, batch, rng, extra):
        xs, lengths, weight = batch
        state, _ = seqjax.unroll(CELL, params, xs, lengths=lengths)
        return jnp.sum(weight * jnp.square(state).sum(-1)) / weight.sum(), training.Aux(
            weight=weight.sum()
        )

    optimiser = optax.sgd(0.1)
    state = training.create_state(CELL.init(getkey(), 2), optimiser, getkey())
    step = training.make_train_step(loss, optimiser)
    seen = set()
    for _ in range(2 * buckets.batches_per_epoch):
        batch = next(batches)
        seen.add(batch[0].shape)
        state, _ = step(state, jax.tree.map(jnp.asarray, batch))
    assert len(seen) == shapes == 3
