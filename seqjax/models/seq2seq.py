"""Sequence to sequence: an encoder, a bridge, a decoder."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from seqjax.checks import checked_lengths
from seqjax.losses import length_mask
from seqjax.models.bridge import ProjectedState, features, last_state
from seqjax.models.decoder import Decoded, Decoder, DecoderState, Memory, token_table
from seqjax.models.recurrent import Recurrent
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, Params, Remat, State

Bridge = Literal["zero", "last", "projected", "read"]


class Encoded(NamedTuple):
    """Holds what an encoder hands over.

    Attributes:
      values: `[batch, positions, features]`.
      mask: `[batch, positions]`, True at valid positions.
      final: what it remembers at the end: arrays that begin with the batch.
    """

    values: Float[Array, "batch positions features"]
    mask: Bool[Array, "batch positions"]
    final: Any


Context: TypeAlias = Mapping[str, Any]
"""What does not change while decoding, `{"params": ..., "memory": Memory}`."""


class Encoder(nn.Module):
    """Embeds tokens and reads them with any recurrence, with dropout given a `"dropout"` key.

    Attributes:
      vocab_size: tokens of the vocabulary.
      embedding_size: features of a token's embedding.
      recurrence: any recurrence, for example a stack of bidirectional ones.
      dropout: rate on embeddings and outputs.
      reverse: read each row from its last token back (Sutskever et al., 2014).
      unknown: what an id beyond the vocabulary is read as, which a source to copy from may have.
      embed: an embedding to share; None makes one.
      remat: what the backward pass recomputes, see `seqjax.unroll`.
      backend: which implementation runs, see `seqjax.unroll`.
    """

    vocab_size: int
    embedding_size: int
    recurrence: Recurrence
    dropout: float = 0.0
    reverse: bool = False
    unknown: int = 1
    embed: nn.Embed | None = None
    remat: Remat = "none"
    backend: Backend = "auto"

    def setup(self) -> None:
        """Builds the layers."""
        self.table = self.embed or token_table(self.vocab_size, self.embedding_size)
        self.recurrent = Recurrent(self.recurrence, self.remat, self.backend)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None) -> Encoded:
        """Reads tokens `[batch, positions]`, of which `lengths [batch]` are valid."""
        source, off = jnp.asarray(source), not self.has_rng("dropout")
        lengths = checked_lengths(lengths, source.shape[:1], source.shape[1])
        source = jnp.where(source < self.vocab_size, source, self.unknown)
        embedded = self.drop(self.table(source), deterministic=off)
        final, values = self.recurrent(embedded, lengths=lengths, reverse=self.reverse)
        return Encoded(
            self.drop(values, deterministic=off), length_mask(lengths, source.shape[1]), final
        )


class Seq2Seq(nn.Module):
    """Reads one sequence and writes another (Sutskever et al., 2014; Bahdanau et al., 2015).

    Training runs under teacher forcing; decoding goes by `start` and `advance`, which are what
    `seqjax.decoding` wants.

    Attributes:
      encoder: an `Encoder`, or any module whose call gives `Encoded`.
      decoder: a `Decoder`.
      bridge: where the decoder begins: `"zero"`, its own initial state; `"last"`, the encoder's
        final state, both directions side by side; `"projected"`, a layer on that state; `"read"`,
        its own initial state after it has read a layer on the encoder's as if it were a token
        (Vinyals et al., 2015).
      shared: one embedding for source and target.

    Example:
      >>> import jax, seqjax
      >>> from seqjax.models import Decoder, Encoder, Seq2Seq
      >>> model = Seq2Seq(Encoder(30, 16, seqjax.bidirectional(seqjax.LSTM(32))), Decoder(40, 16, seqjax.LSTM(64)))
      >>> source, targets = jax.numpy.ones((2, 5), int), jax.numpy.ones((2, 7), int)
      >>> lengths = jax.numpy.array([5, 3])
      >>> params = model.init(jax.random.key(0), source, lengths, targets)["params"]
      >>> logits, weights = model.apply({"params": params}, source, lengths, targets)
      >>> logits.shape, weights.shape
      ((2, 7, 40), (2, 7, 5))
      >>> context, state = model.start(params, source, lengths)
      >>> state, logits = model.advance(context, state, targets[:, 0])
      >>> logits.shape, state.attention.shape
      ((2, 40), (2, 5))
    """

    encoder: nn.Module
    decoder: Decoder
    bridge: Bridge = "projected"
    shared: bool = False

    def setup(self) -> None:
        """Builds the layers.

        Raises:
          ValueError: the bridge is unknown, or shared embeddings differ in size.
        """
        if self.bridge not in get_args(Bridge):
            known = ", ".join(map(repr, get_args(Bridge)))
            raise ValueError(f"bridge={self.bridge!r} is unknown; choose one of {known}")
        self.reader, self.writer = self.encoder, self.decoder
        if self.shared:
            self.table = self._shared_table()
            self.reader, self.writer = (
                part.clone(embed=self.table) for part in (self.encoder, self.decoder)
            )
        if self.bridge == "projected":
            self.projected = ProjectedState(self.decoder.recurrence, self.decoder.embedding_size)
        if self.bridge == "read":
            self.token = nn.Dense(self.decoder.embedding_size)

    def __call__(
        self,
        source: ArrayLike,
        lengths: ArrayLike | None,
        tokens: ArrayLike,
        *,
        held: ArrayLike | None = None,
        sampling: ArrayLike | None = None,
    ) -> Decoded:
        """Scores every next token under teacher forcing.

        Args:
          source: what the encoder reads, tokens `[batch, positions]`.
          lengths: valid tokens of each row, `[batch]`; None when all are.
          tokens: what the decoder reads, `[batch, time]`, see `training.shift_right`.
          held: the target id that each position holds, for a decoder that copies; None when source
            and target share their ids.
          sampling: see `Decoder`.

        Returns:
          `Decoded(logits, attention)`.
        """
        memory, state = self.begin(source, lengths, held=held)
        return self.writer(memory, state, tokens, sampling=sampling)  # pyright: ignore[reportCallIssue]

    def begin(
        self, source: ArrayLike, lengths: ArrayLike | None = None, *, held: ArrayLike | None = None
    ) -> tuple[Memory, DecoderState]:
        """Reads the source; returns what the decoder looks at, and where it begins."""
        encoded = self.reader(source, lengths)  # pyright: ignore[reportCallIssue]
        copied = None
        if self.decoder.copying is not None:
            copied = jnp.asarray(source if held is None else held)
        memory = self.writer.prepare(encoded.values, encoded.mask, copied)
        return memory, self.writer.initial_state(memory, self._bridged(memory, encoded.final))

    def step(
        self, memory: Memory, state: DecoderState, tokens: ArrayLike
    ) -> tuple[DecoderState, jax.Array]:
        """Reads one token of each row, `[batch]`; returns the state and logits `[batch, vocab]`."""
        return self.writer.step(memory, state, tokens)

    @nn.nowrap
    def start(
        self, params: Params, source: ArrayLike, lengths: ArrayLike | None = None, **options: Any
    ) -> tuple[Context, DecoderState]:
        """Does as `begin`, as a pure function of the params: what never changes, and the state."""
        memory, state = self.apply({"params": params}, source, lengths, method="begin", **options)
        return {"params": params, "memory": memory}, state  # pyright: ignore[reportReturnType]

    @nn.nowrap
    def advance(
        self, context: Context, state: DecoderState, tokens: ArrayLike
    ) -> tuple[DecoderState, jax.Array]:
        """Does as `step`, as a pure function, for `seqjax.decoding`."""
        return self.apply(
            {"params": context["params"]}, context["memory"], state, tokens, method="step"
        )  # pyright: ignore[reportReturnType]

    def _bridged(self, memory: Memory, final: Any) -> State | None:
        match self.bridge:
            case "last":
                return last_state(self.decoder.recurrence, self.decoder.embedding_size, final)
            case "projected":
                return self.projected(final)
            case "read":
                return self.writer.read(memory, self.token(features(final))).recurrent

    def _shared_table(self) -> nn.Embed:
        sizes = {(part.vocab_size, part.embedding_size) for part in (self.encoder, self.decoder)}  # pyright: ignore[reportAttributeAccessIssue]
        if len(sizes) > 1:
            raise ValueError(
                "shared=True wants encoder and decoder to embed alike; "
                f"their sizes are {sorted(sizes)}"
            )
        return token_table(*sizes.pop(), self.decoder.tied)
