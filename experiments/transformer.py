"""The Transformer that `experiments.recurrent_vs_transformer` compares with: small, causal, with a key/value cache.

Paper: Vaswani et al., "Attention Is All You Need", 2017.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp


class Block(nn.Module):
    """A layer of a Transformer with the norms in front."""

    heads: int
    decode: bool

    @nn.compact
    def __call__(self, x, mask):
        """`x [batch, time, features]`, with a mask `[batch, 1, time, time]` unless it decodes."""
        attention = nn.MultiHeadDotProductAttention(num_heads=self.heads, decode=self.decode)
        x = x + attention(nn.LayerNorm()(x), mask=mask)
        y = nn.Dense(4 * x.shape[-1])(nn.LayerNorm()(x))
        return x + nn.Dense(x.shape[-1])(nn.gelu(y))


class Transformer(nn.Module):
    """A causal Transformer with sinusoidal positions; `decode` reads one token at a time and keeps keys and values."""

    vocab_size: int
    features: int
    layers: int
    heads: int
    decode: bool = False

    @nn.compact
    def __call__(self, tokens, position=0):
        """Logits `[batch, time, vocab]` of tokens `[batch, time]`, the first of which stands at `position`."""
        x = (
            nn.Embed(self.vocab_size, self.features)(tokens) * self.features**0.5
        )  # as large as the positions
        x = x + sinusoids(position + jnp.arange(tokens.shape[1]), self.features)[None]
        mask = None if self.decode else nn.make_causal_mask(tokens)
        for _ in range(self.layers):
            x = Block(self.heads, self.decode)(x, mask)
        return nn.Dense(self.vocab_size)(nn.LayerNorm()(x))


def sinusoids(positions, size):
    """Positions as sines and cosines of wavelengths from 2 pi to 10,000 * 2 pi, `[time, size]`."""
    rates = jnp.exp(jnp.arange(0, size, 2) * -(jnp.log(1e4) / size))
    angles = positions[:, None] * rates[None, :]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


@dataclasses.dataclass(frozen=True)
class Attentive:
    """A Transformer as pure functions of its params: whole sequences, or a step and what it remembers."""

    vocab_size: int
    features: int = 128
    layers: int = 2
    heads: int = 4

    def model(self, decode=False):
        """The Flax model."""
        return Transformer(**dataclasses.asdict(self), decode=decode)

    def init(self, key):
        """Fresh params."""
        return self.model().init(key, jnp.zeros((1, 2), int))["params"]

    def logits(self, params, tokens):
        """Scores of every next token, `[batch, time, vocab]`."""
        return self.model().apply({"params": params}, tokens)

    def memory(self, params, context, coming):
        """An empty cache for `context` tokens, standing where the last `coming` of them are still to come."""
        model = self.model(decode=True)
        shapes = jax.eval_shape(
            lambda: model.init(jax.random.key(0), jnp.zeros((1, context), int))
        )["cache"]
        filled = context - coming
        cache = jax.tree.map(
            lambda a: jnp.zeros(a.shape, a.dtype) if a.ndim else jnp.array(filled, a.dtype), shapes
        )
        return {"cache": cache, "position": jnp.array(filled)}

    def step(self, params, memory, token):
        """One token `[1]`: the memory after it, and logits."""
        variables = {"params": params, "cache": memory["cache"]}
        logits, changed = self.model(decode=True).apply(
            variables, token[:, None], memory["position"], mutable=["cache"]
        )
        return {"cache": changed["cache"], "position": memory["position"] + 1}, logits[:, 0]
