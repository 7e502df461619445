"""The Transformer that recurrent networks are compared with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.transformer import Attentive

pytestmark = pytest.mark.usefixtures("quick_compile")

MODEL = Attentive(7, features=16)


def test_the_cache_gives_the_same_logits_as_the_whole_sequence():
    params = MODEL.init(jax.random.key(0))
    tokens = jax.random.randint(jax.random.key(1), (1, 6), 0, 7)
    memory = MODEL.memory(params, 6, 6)
    stepped = []
    for t in range(6):
        memory, logits = MODEL.step(params, memory, tokens[:, t])
        stepped.append(logits)
    np.testing.assert_allclose(
        jnp.stack(stepped, 1), MODEL.logits(params, tokens), rtol=1e-3, atol=1e-4
    )


def test_the_transformer_reads_no_future():
    params = MODEL.init(jax.random.key(0))
    tokens = jnp.array([[1, 2, 3, 4, 5]])
    other = tokens.at[0, 3].set(6)
    np.testing.assert_allclose(
        MODEL.logits(params, tokens)[:, :3], MODEL.logits(params, other)[:, :3], atol=1e-6
    )
