"""A recurrent language model."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.models.recurrent import Recurrent
from seqjax.models.rows import by_rows, score, scorer
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, Params, Remat, State


class LanguageModel(nn.Module):
    """Predicts each next token: embedding, recurrence, projection (Mikolov et al., 2010).

    Dropout is on while `apply` is given a `"dropout"` key.

    Attributes:
      vocab_size: tokens of the vocabulary.
      embedding_size: features of a token's embedding.
      recurrence: any causal recurrence.
      dropout: rate on the embeddings and on the recurrence's outputs.
      variational: each row has one mask of features for all steps (Gal and Ghahramani, 2016), which
        Merity et al. (2018) call locked dropout.
      embedding_dropout: rate at which a word is dropped, wherever it stands in the batch.
      tied: project with the transposed embedding (Press and Wolf, 2017); the sizes must be equal.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.

    Example:
      >>> import jax, seqjax
      >>> model = seqjax.models.LanguageModel(65, 16, seqjax.stack(seqjax.LSTM(32), seqjax.LSTM(32)))
      >>> tokens = jax.numpy.zeros((4, 10), int)
      >>> variables = model.init(jax.random.key(0), tokens)
      >>> state, logits = model.apply(variables, tokens)
      >>> logits.shape
      (4, 10, 65)
    """

    vocab_size: int
    embedding_size: int
    recurrence: Recurrence
    dropout: float = 0.0
    variational: bool = False
    embedding_dropout: float = 0.0
    tied: bool = False
    remat: Remat = "none"
    backend: Backend = "auto"

    def setup(self) -> None:
        """Builds the layers.

        Raises:
          ValueError: the recurrence is not causal, or tied sizes differ.
        """
        if not self.recurrence.causal:
            raise ValueError(
                f"{self.recurrence} reads the future; a language model wants a causal recurrence"
            )
        output_size = self.recurrence.output_size(self.embedding_size)
        if self.tied and output_size != self.embedding_size:
            raise ValueError(
                f"tied=True wants embedding_size={self.embedding_size} to equal the recurrence's "
                f"{output_size} features"
            )
        # Unit-variance inputs to the first layer; the transposed embedding wants unit-variance
        # outputs instead.
        spread = self.embedding_size**-0.5 if self.tied else 1.0
        self.embed = nn.Embed(
            self.vocab_size, self.embedding_size, embedding_init=nn.initializers.normal(spread)
        )
        self.recurrent = Recurrent(self.recurrence, self.remat, self.backend)
        self.drop = nn.Dropout(self.dropout, broadcast_dims=(-2,) if self.variational else ())
        if self.tied:
            self.bias = self.param("bias", nn.initializers.zeros, (self.vocab_size,))
        else:
            self.head = scorer(self.vocab_size, self.backend)

    def __call__(
        self,
        tokens: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | list | tuple | None = None,
        reset: ArrayLike | list | tuple | None = None,
    ) -> tuple[State, jax.Array]:
        """Scores every next token.

        Args:
          tokens: `[*batch, time]` integers.
          state: what the recurrence remembers; None for nothing.
          lengths: valid tokens of each row, `[*batch]`.
          reset: `[*batch, time]`, True where a new text starts.

        Returns:
          `(state, logits [*batch, time, vocab])`.
        """
        state, _, logits = self.read(tokens, state, lengths=lengths, reset=reset)
        return state, logits

    def read(
        self,
        tokens: ArrayLike,
        state: State | None = None,
        *,
        lengths: ArrayLike | list | tuple | None = None,
        reset: ArrayLike | list | tuple | None = None,
    ) -> tuple[State, Float[Array, "*batch time outputs"], Float[Array, "*batch time vocab"]]:
        """Does as a call, and returns the recurrence's outputs, too: `(state, outputs, logits)`."""
        xs = self._embed(jnp.asarray(tokens))
        state, ys = self.recurrent(xs, state, lengths=lengths, reset=reset)
        return state, ys, self._scores(ys)

    def step(self, state: State, tokens: jax.Array) -> tuple[State, jax.Array]:
        """Reads one token of each row, `[*batch]`; returns the state and logits `[*batch, vocab]`."""
        # One step of time, [*batch, 1, features], which is where masks are shared.
        x = self._embed(tokens[..., None])[..., 0, :]
        state, y = self.recurrent.step(state, x)
        return state, self._scores(y[..., None, :])[..., 0, :]

    def initial_state(self, batch_shape: tuple[int, ...]) -> State:
        """Makes the state before the first token."""
        return self.recurrent.initial_state(
            batch_shape, self.embedding_size, self.embed.embedding.dtype
        )

    @nn.nowrap
    def advance(self, params: Params, state: State, tokens: jax.Array) -> tuple[State, jax.Array]:
        """Does as `step`, as a pure function of the params, for `seqjax.decoding`."""
        return self.apply({"params": params}, state, tokens, method="step")  # pyright: ignore[reportReturnType]

    @nn.nowrap
    def start(self, params: Params, batch_shape: tuple[int, ...]) -> Any:
        """Does as `initial_state`, as a pure function of the params, for `seqjax.decoding`."""
        return self.apply({"params": params}, batch_shape, method="initial_state")

    def _embed(self, tokens: Int[Array, "*batch time"]) -> Float[Array, "*batch time embedding"]:
        """Looks up the tokens, and drops words and features."""
        off = not self.has_rng("dropout")
        vectors = self.embed(tokens)
        if self.embedding_dropout and not off:
            rate = self.embedding_dropout
            # One draw for each word of the vocabulary.
            kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - rate, (self.vocab_size,))
            vectors = jnp.where(kept[tokens][..., None], vectors / (1 - rate), 0)
        return self.drop(vectors, deterministic=off)

    def _scores(self, ys: Float[Array, "*batch time outputs"]) -> Float[Array, "*batch time vocab"]:
        ys = self.drop(ys, deterministic=not self.has_rng("dropout"))
        if not self.tied:
            return by_rows(self.head, ys)
        logits = score(self.embed, ys, self.backend)
        return logits + jnp.broadcast_to(self.bias, logits.shape)
