"""`Ensemble`: several models of one kind as one step; the mean of their probabilities."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.typing import State


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """A step that several models of one kind take together: the mean of their probabilities.

    Its params are the members' stacked on a first axis, `[members, ...]`, and its state theirs
    stacked behind the batch, `[batch, members, ...]`. It is a step for `beam_search` and `sample`
    like any other.

    Attributes:
      step: of one member.

    Example, of three language models:
      >>> import jax, seqjax
      >>> from jax import numpy as jnp
      >>> model = seqjax.models.LanguageModel(5, 4, seqjax.GRU(8))
      >>> tokens = jnp.zeros((1, 1), int)
      >>> members = [model.init(jax.random.key(i), tokens)["params"] for i in range(3)]
      >>> params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
      >>> states = [model.start(member, (2,)) for member in members]
      >>> state = jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *states)
      >>> found = seqjax.decoding.beam_search(
      ...     seqjax.decoding.Ensemble(model.advance), params, state, jnp.zeros(2, int),
      ...     beam=4, length=6, stop_token=1)
      >>> found.tokens.shape
      (2, 1, 6)
    """

    step: Callable[[Any, State, Array], tuple[State, Array]]

    def __call__(self, params: Any, state: State, tokens: Array) -> tuple[State, Array]:
        """Reads one token of each row.

        Returns:
          The members' states, and the logarithm of their mean probabilities, `[batch, vocab]`.
        """
        # States [batch, members, ...], logits [members, batch, vocab]; all read the same tokens.
        state, logits = jax.vmap(self.step, in_axes=(0, 1, None), out_axes=(1, 0))(
            params, state, tokens
        )
        return state, mean_log_probs(logits)


def mean_log_probs(logits: Float[Array, "members *batch vocab"]) -> Float[Array, "*batch vocab"]:
    """Returns the logarithm of the members' mean probabilities, given their scores."""
    log_probs = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
    # The mean of the probabilities, not of their logarithms.
    return jax.nn.logsumexp(log_probs, axis=0) - jnp.log(logits.shape[0])
