"""Embedded tokens, with the two dropouts of text."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class TokenEmbedding(nn.Module):
    """Looks up a vector for each token. Both dropouts are on while `apply` has a `"dropout"` key.

    Attributes:
      vocab_size: tokens of the vocabulary.
      size: features of an embedding.
      dropout: rate on the features.
      word_dropout: rate at which a token is read as `unknown`: the model meets what it does not
        know, and learns the vector for it (Iyyer et al., 2015).
      unknown: that token.
    """

    vocab_size: int
    size: int
    dropout: float = 0.0
    word_dropout: float = 0.0
    unknown: int = 1

    @nn.compact
    def __call__(self, tokens: Int[Array, "*batch"]) -> Float[Array, "*batch features"]:
        """Returns the vectors of tokens of any shape."""
        off = not self.has_rng("dropout")
        if self.word_dropout and not off:
            gone = jax.random.bernoulli(self.make_rng("dropout"), self.word_dropout, tokens.shape)
            tokens = jnp.where(gone, self.unknown, tokens)
        vectors = nn.Embed(self.vocab_size, self.size, name="table")(tokens)
        return nn.Dropout(self.dropout)(vectors, deterministic=off)


def token_table(vocab_size: int, size: int, tied: bool = False) -> nn.Embed:
    """Makes embeddings of unit variance; tied ones give unit variance when projected with."""
    spread = size**-0.5 if tied else 1.0
    return nn.Embed(vocab_size, size, embedding_init=nn.initializers.normal(spread))
