"""Recurrent taggers with characters and a linear-chain CRF; one names the intent of a request as well."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.checks import checked_lengths
from seqjax.losses import length_mask
from seqjax.losses.crf import Scores
from seqjax.models.embedding import TokenEmbedding
from seqjax.models.pooling import ends, highest
from seqjax.models.recurrent import Recurrent
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, Remat


class Spelling(nn.Module):
    """Computes a word's features from its characters: a convolution's maximum, or a recurrence.

    Attributes:
      vocab_size: characters of their vocabulary.
      embedding_size: features of a character's embedding.
      features: of a word, by the convolution.
      recurrence: reads the characters in place of the convolution.
      dropout: rate on the convolution's inputs, on while `apply` is given a `"dropout"` key.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.
    """

    vocab_size: int
    embedding_size: int
    features: int
    recurrence: Recurrence | None = None
    dropout: float = 0.0
    remat: Remat = "none"
    backend: Backend = "auto"

    @nn.compact
    def __call__(
        self, characters: Int[Array, "*batch characters"], lengths: ArrayLike | None = None
    ) -> Float[Array, "*batch features"]:
        """Returns the features of words of so many characters; by convolution 0 for none."""
        lengths = checked_lengths(
            lengths, characters.shape[:-1], characters.shape[-1], "char_lengths", " of words"
        )
        xs = TokenEmbedding(self.vocab_size, self.embedding_size, name="characters")(characters)
        if self.recurrence is not None:
            _, ys = Recurrent(self.recurrence, self.remat, self.backend, name="recurrent")(
                xs, lengths=lengths
            )
            return ends(self.recurrence, ys, lengths)
        mask = length_mask(lengths, characters.shape[-1])[..., None]
        xs = nn.Dropout(self.dropout)(
            jnp.where(mask, xs, 0), deterministic=not self.has_rng("dropout")
        )
        # A convolution of width 3 as one product: each character beside its neighbours, zeros at
        # the edges.
        edges = jnp.pad(xs, [(0, 0)] * (xs.ndim - 2) + [(1, 1), (0, 0)])
        triples = jnp.concatenate([edges[..., :-2, :], xs, edges[..., 2:, :]], axis=-1)
        ys = nn.Dense(self.features, name="convolution")(triples)
        return highest(ys, lengths)


class Tagger(nn.Module):
    """Scores a tag for every word: words and spelling, a recurrence, a linear chain of tags.

    A call gives the chain's `Scores`, and `seqjax.losses.crf` does the rest:

        scores = tagger.apply(variables, words, characters, lengths=lengths, char_lengths=...)
        loss = -crf.log_likelihood(tags, *scores, lengths=lengths)
        best = crf.viterbi(*scores, lengths=lengths).tags

    The spelling of a word is a convolution over its characters with the maximum taken (Ma and Hovy,
    2016), or a recurrence of its own, read to its ends (Lample et al., 2016). Dropout is on while
    `apply` is given a `"dropout"` key.

    Attributes:
      vocab_size: words of the vocabulary.
      num_tags: how many tags.
      recurrence: any recurrence over the words; `seqjax.bidirectional` reads both ways.
      embedding_size: features of a word's embedding.
      char_vocab_size: characters of their vocabulary; None for words alone.
      char_embedding_size: features of a character's embedding.
      char_features: features of a word's spelling by the convolution.
      char_recurrence: reads the characters in place of the convolution.
      crf: learn how tags follow each other; False leaves these scores at 0: a softmax for every
        word.
      dropout: rate on what goes into the recurrence and on what comes out.
      word_dropout: rate at which words, not their characters, are read as `unknown`.
      unknown: the number of unknown words, that of `seqjax.data.Vocabulary.words`.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.

    Example:
      >>> import jax, seqjax
      >>> tagger = seqjax.models.Tagger(vocab_size=100, num_tags=5, recurrence=seqjax.bidirectional(seqjax.LSTM(16)),
      ...                               embedding_size=8, char_vocab_size=30)
      >>> words, characters = jax.numpy.ones((2, 6), int), jax.numpy.ones((2, 6, 10), int)
      >>> variables = tagger.init(jax.random.key(0), words, characters)
      >>> scores = tagger.apply(variables, words, characters, lengths=jax.numpy.array([6, 2]))
      >>> seqjax.losses.crf.viterbi(*scores, lengths=jax.numpy.array([6, 2])).tags.shape
      (2, 6)
    """

    vocab_size: int
    num_tags: int
    recurrence: Recurrence
    embedding_size: int
    char_vocab_size: int | None = None
    char_embedding_size: int = 30
    char_features: int = 50
    char_recurrence: Recurrence | None = None
    crf: bool = True
    dropout: float = 0.0
    word_dropout: float = 0.0
    unknown: int = 1
    remat: Remat = "none"
    backend: Backend = "auto"

    @nn.compact
    def __call__(
        self,
        words: ArrayLike,
        characters: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        char_lengths: ArrayLike | None = None,
    ) -> Scores:
        """Computes the scores of a linear chain over the tags of each row.

        Args:
          words: integers `[*batch, time]`.
          characters: of each word, integers `[*batch, time, characters]`; given where
            `char_vocab_size` is.
          lengths: words of each row, `[*batch]`; None when all are valid.
          char_lengths: characters of each word, `[*batch, time]`; None when all are valid. Under
            `jax.jit` both are clamped to what the arrays hold.

        Returns:
          `Scores(emissions [*batch, time, tags], transitions [tags, tags], start [tags], end [tags])`.

        Raises:
          ValueError: characters are given to a model without them, are missing, or are not those of
            the words.
        """
        return self._score(self._read(words, characters, lengths, char_lengths))

    def _read(
        self,
        words: ArrayLike,
        characters: ArrayLike | None,
        lengths: ArrayLike | None,
        char_lengths: ArrayLike | None,
    ) -> Float[Array, "*batch time features"]:
        """Returns the recurrence's outputs at each word; the arguments are those of a call."""
        words = jnp.asarray(words)
        table = TokenEmbedding(
            self.vocab_size,
            self.embedding_size,
            word_dropout=self.word_dropout,
            unknown=self.unknown,
            name="words",
        )
        features = table(words)
        if spelling := self._spelling(words.shape, characters, char_lengths):
            features = jnp.concatenate([features, *spelling], axis=-1)
        recurrent = Recurrent(self.recurrence, self.remat, self.backend, name="recurrent")
        return self._drop(recurrent(self._drop(features), lengths=lengths)[1])

    def _score(self, ys: Float[Array, "*batch time features"]) -> Scores:
        """Scores the tags of each word from what `_read` returned."""
        emissions = nn.Dense(self.num_tags, name="emissions")(ys)
        return Scores(emissions, *map(self._chain, ("transitions", "start", "end")))

    def _drop(self, x: Array) -> Array:
        return nn.Dropout(self.dropout)(x, deterministic=not self.has_rng("dropout"))

    def _chain(self, name: str) -> Array:
        axes = 2 if name == "transitions" else 1
        shape = (self.num_tags,) * axes
        return self.param(name, nn.initializers.zeros, shape) if self.crf else jnp.zeros(shape)

    def _spelling(
        self,
        words_shape: tuple[int, ...],
        characters: ArrayLike | None,
        char_lengths: ArrayLike | None,
    ) -> list[Array]:
        """Returns the features of the words' characters, in a list; empty for a model without."""
        if self.char_vocab_size is None:
            if characters is not None:
                raise ValueError(
                    "this model reads words alone; "
                    "build it with char_vocab_size, or give no characters"
                )
            return []
        wanted = f"words of shape {words_shape} want {(*words_shape, 'characters')}"
        if characters is None:
            raise ValueError(f"characters: none; {wanted}")
        characters = jnp.asarray(characters)
        if characters.shape[:-1] != words_shape:
            raise ValueError(f"characters: shape {characters.shape}; {wanted}")
        reader = Spelling(
            self.char_vocab_size,
            self.char_embedding_size,
            self.char_features,
            self.char_recurrence,
            self.dropout,
            self.remat,
            self.backend,
            name="spelling",
        )
        return [reader(characters, char_lengths)]


class Intended(NamedTuple):
    """Holds the scores of a request.

    Attributes:
      scores: of the tags of its words, see `Tagger`.
      intents: logits of what it wants, `[*batch, intents]`.
    """

    scores: Scores
    intents: Float[Array, "*batch intents"]


class IntentTagger(Tagger, kw_only=True):
    """Scores a tag for every word of a request, and what the request wants (Liu and Lane, 2016).

    One recurrence serves both: the tags are those of a `Tagger`, the intent is read off the greatest
    output of each feature over all words. A request without a word has the intent's bias alone.

    Attributes:
      num_intents: how many intents.

    Example:
      >>> import jax, seqjax
      >>> tagger = seqjax.models.IntentTagger(vocab_size=100, num_tags=5, num_intents=3, embedding_size=8,
      ...                                     recurrence=seqjax.bidirectional(seqjax.LSTM(16)))
      >>> words, lengths = jax.numpy.ones((2, 6), int), jax.numpy.array([6, 2])
      >>> variables = tagger.init(jax.random.key(0), words)
      >>> tagger.apply(variables, words, lengths=lengths).intents.shape
      (2, 3)
    """

    num_intents: int

    @nn.compact
    def __call__(
        self,
        words: ArrayLike,
        characters: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        char_lengths: ArrayLike | None = None,
    ) -> Intended:
        """Computes the scores of the tags, and those of the intents; see `Tagger`."""
        ys = self._read(words, characters, lengths, char_lengths)
        lengths = checked_lengths(lengths, ys.shape[:-2], ys.shape[-2])
        intents = nn.Dense(self.num_intents, name="intents")(highest(ys, lengths))
        return Intended(self._score(ys), intents)
