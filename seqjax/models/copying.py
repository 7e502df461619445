"""The pointer-generator: a decoder that may also copy what it looks at."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Copying(nn.Module):
    """Mixes writing from the vocabulary with copying from the memory (See et al., 2017).

        p(token) = g softmax(logits)[token] + (1 - g) weight(token)

    where `weight(token)` is the sum of the weights of the positions that hold the token, and
    `g = sigmoid(features . w + b)`.

    Attributes:
      extra: ids beyond the vocabulary that positions may hold.
    """

    extra: int = 0

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "*batch steps features"],
        logits: Float[Array, "*batch steps vocab"],
        weights: Float[Array, "*batch steps positions"],
        held: Int[Array, "*batch positions"],
    ) -> Float[Array, "*batch steps extended"]:
        """Returns log-probabilities of the vocabulary and the extra ids.

        Args:
          features: what the gate sees.
          logits: of the vocabulary.
          weights: of the attention.
          held: the id that each position holds.
        """
        # g, [*batch, steps, 1]
        write = nn.sigmoid(nn.Dense(1, name="gate")(features))
        written = write * jax.nn.softmax(logits)
        # Room for the extra ids: [*batch, steps, vocab + extra].
        widened = jnp.pad(written, [(0, 0)] * (written.ndim - 1) + [(0, self.extra)])
        # The id that each weight belongs to, [*batch, steps, positions].
        positions = jnp.broadcast_to(held[..., None, :], weights.shape)

        def share_out(total: Array, where: Array, shares: Array) -> Array:
            """Adds the shares of one step's positions to the ids that they hold."""
            return total.at[where].add(shares)

        add = jnp.vectorize(share_out, signature="(v),(p),(p)->(v)")
        chance = add(widened, positions, (1 - write) * weights)
        # The logarithm of what is impossible stays finite.
        return jnp.log(jnp.maximum(chance, jnp.finfo(chance.dtype).tiny))
