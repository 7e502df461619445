"""A recurrent classifier of whole sequences."""

from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.attention import masked_softmax
from seqjax.checks import checked_lengths
from seqjax.losses import length_mask
from seqjax.models.embedding import TokenEmbedding
from seqjax.models.pooling import ends, highest
from seqjax.models.recurrent import Recurrent
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, Lengths, Remat, State

Pooling = Literal["last", "mean", "max", "attention"]


class Attended(NamedTuple):
    """Holds scores, and where the model looked.

    Attributes:
      logits: `[*batch, classes]`.
      weights: of each step, `[*batch, time]`; they sum to 1 over a row's valid steps and are 0 past
        its end.
    """

    logits: Float[Array, "*batch classes"]
    weights: Float[Array, "*batch time"]


class SequenceClassifier(nn.Module):
    """Reads a sequence and names its class: any recurrence, pooling over time, projection.

    Inputs are tokens where `vocab_size` is given, else features. With `lengths` shorter than the
    inputs the classes are those of prefixes: what the model knows after so many steps. Dropout is
    on while `apply` is given a `"dropout"` key.

    Attributes:
      num_classes: how many classes.
      recurrence: any recurrence; `seqjax.bidirectional` reads both ways.
      vocab_size: tokens of the vocabulary; None for inputs of features.
      embedding_size: features of a token's embedding; given with `vocab_size`.
      pooling: how the outputs become one vector: `"last"`, the outputs at each row's two ends (a
        forward recurrence at its last step, a backward one at the first); `"mean"`; `"max"`;
        `"attention"`, a mean weighted by `softmax(v . tanh(W y + b))` (Yang et al., 2016).
      dropout: rate on the embeddings and on the pooled vector.
      word_dropout: rate at which tokens are read as `unknown`.
      unknown: the token of unknown words, that of `seqjax.data.Vocabulary.words`.
      noise: standard deviation of what is added to features at random, while there is a key.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.

    Example:
      >>> import jax, seqjax
      >>> model = seqjax.models.SequenceClassifier(
      ...     num_classes=2, recurrence=seqjax.bidirectional(seqjax.LSTM(16)), vocab_size=100, embedding_size=8,
      ...     pooling="attention")
      >>> tokens, lengths = jax.numpy.ones((4, 10), int), jax.numpy.array([10, 3, 1, 0])
      >>> variables = model.init(jax.random.key(0), tokens)
      >>> model.apply(variables, tokens, lengths=lengths).shape
      (4, 2)
      >>> logits, weights = model.apply(variables, tokens, lengths=lengths, method="attend")
      >>> weights.shape
      (4, 10)
    """

    num_classes: int
    recurrence: Recurrence
    vocab_size: int | None = None
    embedding_size: int | None = None
    pooling: Pooling = "last"
    dropout: float = 0.0
    word_dropout: float = 0.0
    unknown: int = 1
    noise: float = 0.0
    remat: Remat = "none"
    backend: Backend = "auto"

    def setup(self) -> None:
        """Builds the layers.

        Raises:
          ValueError: the pooling is unknown, or one of `vocab_size` and `embedding_size` is given
            alone.
        """
        if self.pooling not in get_args(Pooling):
            known = ", ".join(map(repr, get_args(Pooling)))
            raise ValueError(f"pooling={self.pooling!r} is unknown; choose one of {known}")
        if (self.vocab_size is None) != (self.embedding_size is None):
            given = f"vocab_size={self.vocab_size} and embedding_size={self.embedding_size}"
            raise ValueError(f"{given}; give both for tokens, none for features")
        if self.vocab_size is not None and self.embedding_size is not None:
            self.embed = TokenEmbedding(
                self.vocab_size, self.embedding_size, self.dropout, self.word_dropout, self.unknown
            )
        self.recurrent = Recurrent(self.recurrence, self.remat, self.backend)
        self.drop = nn.Dropout(self.dropout)
        if self.pooling == "attention":
            self.key = nn.Dense(self.recurrence.output_size(self.embedding_size or 1))
            self.query = nn.Dense(1, use_bias=False)
        self.head = nn.Dense(self.num_classes)

    def __call__(
        self, inputs: ArrayLike, *, lengths: ArrayLike | None = None
    ) -> Float[Array, "*batch classes"]:
        """Scores every class.

        Args:
          inputs: integer tokens `[*batch, time]`, or features `[*batch, time, features]`.
          lengths: valid steps of each row, `[*batch]`; None when all are. Under `jax.jit` clamped
            to `[0, time]`.

        Returns:
          Logits `[*batch, classes]`.

        Raises:
          ValueError: the inputs have no step.
        """
        return self._classify(inputs, lengths)[0]

    def attend(self, inputs: ArrayLike, *, lengths: ArrayLike | None = None) -> Attended:
        """Scores every class, and tells how much each step weighed in it.

        Args:
          inputs: as for a call.
          lengths: as for a call.

        Returns:
          `Attended(logits, weights)`.

        Raises:
          ValueError: `pooling` is not `"attention"`.
        """
        if self.pooling != "attention":
            raise ValueError(
                f"pooling={self.pooling!r} has no weights; build the model with pooling='attention'"
            )
        logits, weights = self._classify(inputs, lengths)
        return Attended(logits, jnp.asarray(weights))

    def encode(
        self, inputs: ArrayLike, *, lengths: ArrayLike | None = None
    ) -> Float[Array, "*batch time features"]:
        """Returns the recurrence's outputs at every step; the arguments are those of a call."""
        return self.recurrent(self._features(jnp.asarray(inputs)), lengths=lengths)[1]

    def step(self, state: State, inputs: jax.Array) -> tuple[State, Float[Array, "*batch classes"]]:
        """Reads one step of each row, tokens `[*batch]` or features `[*batch, features]`.

        Args:
          state: from `initial_state` or the step before.
          inputs: of this step.

        Returns:
          The next state, and the logits `[*batch, classes]` of all that was read so far.

        Raises:
          ValueError: the recurrence is not causal, or `pooling` is not `"last"`.
        """
        if self.pooling != "last":
            raise ValueError(
                f"pooling={self.pooling!r} wants the whole sequence; stream with pooling='last'"
            )
        state, y = self.recurrent.step(state, self._features(inputs))
        return state, self._scores(y)

    def initial_state(self, batch_shape: tuple[int, ...], input_size: int | None = None) -> State:
        """Makes the state before the first step; `input_size` is None for tokens."""
        return self.recurrent.initial_state(batch_shape, input_size or self.embedding_size or 1)

    def _features(self, inputs: Array) -> Array:
        """Embeds tokens; features are taken as they are, or with noise."""
        if self.vocab_size is not None:
            return self.embed(inputs)
        if self.noise and self.has_rng("dropout"):
            drawn = jax.random.normal(self.make_rng("dropout"), inputs.shape, inputs.dtype)
            return inputs + self.noise * drawn
        return inputs

    def _classify(self, inputs: ArrayLike, lengths: ArrayLike | None) -> tuple[Array, Array | None]:
        """Returns logits, and the weights of the steps where there are any."""
        inputs = jnp.asarray(inputs)
        ys = self.encode(inputs, lengths=lengths)
        if ys.shape[-2] == 0:
            raise ValueError(f"the inputs have shape {inputs.shape}; give at least one step")
        lengths = checked_lengths(lengths, ys.shape[:-2], ys.shape[-2])
        pooled, weights = self._pool(ys, lengths)
        return self._scores(pooled), weights

    def _scores(self, pooled: Float[Array, "*batch features"]) -> Float[Array, "*batch classes"]:
        return self.head(self.drop(pooled, deterministic=not self.has_rng("dropout")))

    def _pool(
        self, ys: Float[Array, "*batch time features"], lengths: Lengths
    ) -> tuple[Array, Array | None]:
        """Makes one vector of each row, `[*batch, features]`, and weights where there are any."""
        if self.pooling == "last":
            return ends(self.recurrence, ys, lengths), None
        if self.pooling == "mean":
            # The outputs past a row's end are 0.
            return ys.sum(-2) / jnp.maximum(lengths, 1)[..., None].astype(ys.dtype), None
        if self.pooling == "max":
            return highest(ys, lengths), None
        # v . tanh(W y + b), [*batch, time]
        scores = self.query(jnp.tanh(self.key(ys)))[..., 0]
        weights = masked_softmax(scores, length_mask(lengths, ys.shape[-2]))
        return jnp.einsum("...t,...tf->...f", weights, ys), weights
