"""Networks that a `Translator` trains: an encoder and a decoder, or one that speaks frame by frame."""

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import models, training
from seqjax.decoding import Writer
from seqjax.recurrence import Recurrence
from seqjax.text.codecs import Codec, Words
from seqjax.typing import Backend, KeyArray, Params


@runtime_checkable
class Network(Protocol):
    """What learns targets and searches for them; a frozen dataclass of settings."""

    too_long: ClassVar[str]
    """Why a pair cannot be learnt."""

    @property
    def frames(self) -> int:
        """Positions of the attention for each token of a source."""
        ...

    @property
    def attends(self) -> bool:
        """Whether it tells where in the source each token of a target comes from."""
        ...

    @property
    def reader(self) -> Any:
        """What reads the sources, for a person to see."""
        ...

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        ...

    def target(self, source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """Returns what is learnt to write for a source; None where it cannot be written."""
        ...

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes what training minimises, of a batch of `pair_batches`."""
        ...

    def nats(self, params: Params, batch: Any, ensemble: bool = False) -> dict[str, training.Mean]:
        """Computes the cross-entropy of the targets, compiled once for each shape.

        Of an `ensemble` the parameters are stacked on a first axis, and probabilities averaged.
        """
        ...

    def writer(self, beam: int, n_best: int) -> Any:
        """Makes what writes the best targets of batches of sources."""
        ...


@dataclasses.dataclass(frozen=True)
class LinearSampling:
    """Scheduled sampling: the decoder reads the true token ever less often, else its own (Bengio et al., 2015).

    Attributes:
      steps: over which the probability of the true token falls from 1 to `end`.
      end: that probability afterwards.

    Raises:
      ValueError: a setting is out of its range.
    """

    steps: int
    end: float

    def __post_init__(self):
        training.linear_sampling(self.steps, end=self.end)

    def __call__(self, step: Any) -> Any:
        """Returns the probability at a step."""
        return training.linear_sampling(self.steps, end=self.end)(step)


@dataclasses.dataclass(frozen=True)
class EncoderDecoder:
    """An encoder, and a decoder that writes one token after another until its stop token.

    Attributes:
      model: the network.
      first: the token that the decoder reads first.
      stop_token: ends a target.
      banned: tokens that are never written, such as padding.
      label_smoothing: see `losses.cross_entropy`.
      sampling: what the decoder reads in training; None for the true tokens (teacher forcing).
      coverage: weight of `losses.coverage_loss`.
      length_penalty: alpha of `decoding.LengthPenalty`, in the search.
      coverage_penalty: beta of `decoding.CoveragePenalty`, in the search.
      block_ngrams: see `decoding.BlockNgrams`; 0 blocks nothing.
      max_length: tokens to write at most, the stop token counted; None goes by the source's length.

    Raises:
      ValueError: settings that do not go together.
    """

    model: models.Seq2Seq
    first: int
    stop_token: int
    banned: tuple[int, ...] = ()
    label_smoothing: int | float = 0.0
    sampling: LinearSampling | None = None
    coverage: int | float = 0.0
    length_penalty: int | float = 0.0
    coverage_penalty: int | float = 0.0
    block_ngrams: int = 0
    max_length: int | None = None

    too_long: ClassVar[str] = "one has too many tokens"

    def __post_init__(self):
        if self.model.decoder.copying is not None and self.label_smoothing:
            raise ValueError("copying wants label_smoothing=0: a word to copy has no smooth share")

    @classmethod
    def of(
        cls,
        source: Codec,
        target: Codec,
        recurrence: Recurrence,
        decoder: Recurrence,
        *,
        shared: bool = False,
        embedding_size: int = 256,
        dropout: float = 0.0,
        bridge: str = "projected",
        backend: Backend = "auto",
        label_smoothing: int | float = 0.0,
        sampling: LinearSampling | None = None,
        coverage: int | float = 0.0,
        length_penalty: int | float = 0.0,
        coverage_penalty: int | float = 0.0,
        block_ngrams: int = 0,
        max_length: int | None = None,
        **settings: Any,
    ) -> "EncoderDecoder":
        """Makes a network for two codecs.

        Args:
          source: of the sources. One of words that copies makes a decoder that copies.
          target: of the targets.
          recurrence: reads the sources.
          decoder: writes the targets, see `seqjax.models.Decoder`.
          shared: one embedding for both sides, which also scores the tokens; both have one codec.
          embedding_size: features of a token.
          dropout: rate on embeddings, outputs and readouts.
          bridge: see `seqjax.models.Seq2Seq`.
          backend: of the recurrences.
          label_smoothing: as the attribute has it, like those that follow.
          sampling: as the attribute has it.
          coverage: as the attribute has it; above 0 attention also sees where it looked.
          length_penalty: as the attribute has it.
          coverage_penalty: as the attribute has it.
          block_ngrams: as the attribute has it.
          max_length: as the attribute has it.
          **settings: further ones of `seqjax.models.Decoder`, such as `attention` and `form`.

        Raises:
          ValueError: settings that do not go together.
        """
        encoder = models.Encoder(
            len(source.tokens), embedding_size, recurrence, dropout=dropout, backend=backend
        )
        copied = source.copied if isinstance(source, Words) else 0
        if copied and not (shared and settings.get("attention", "general")):
            raise ValueError("copying wants attention, and one codec for both sides")
        defaults: dict[str, Any] = {
            "tied": shared,
            "coverage": coverage > 0,
            "copying": copied or None,
        }
        writer = models.Decoder(
            len(target.tokens),
            embedding_size,
            decoder,
            dropout=dropout,
            backend=backend,
            **defaults | settings,
        )
        tokens = target.tokens
        return cls(
            models.Seq2Seq(encoder, writer, bridge, shared),  # pyright: ignore[reportArgumentType]
            tokens.bos,
            tokens.eos,
            (tokens.pad, tokens.unk, tokens.bos),
            label_smoothing,
            sampling,
            coverage,
            length_penalty,
            coverage_penalty,
            block_ngrams,
            max_length,
        )

    @property
    def frames(self) -> int:
        """One: each token of a source is a position of the attention."""
        return 1

    @property
    def attends(self) -> bool:
        """Whether the decoder looks at the source."""
        return self.model.decoder.attention is not None

    @property
    def reader(self) -> Any:
        """The recurrence of the encoder."""
        return self.model.encoder.recurrence  # pyright: ignore[reportAttributeAccessIssue]

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        one = jnp.ones((1, 1), int)
        return self.model.init(key, one, None, one)["params"]

    def target(self, source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """Returns the target with its stop token."""
        return np.append(target, self.stop_token)

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean cross-entropy of the targets' tokens, see `training.teacher_forced_loss`."""
        return training.teacher_forced_loss(
            self.model,
            params,
            batch,
            rng,
            step,
            first=self.first,
            label_smoothing=float(self.label_smoothing),
            sampling=self.sampling,
            coverage=float(self.coverage),
        )

    @functools.partial(jax.jit, static_argnums=(0, 3))
    def nats(self, params: Params, batch: Any, ensemble: bool = False) -> dict[str, training.Mean]:
        """Computes the cross-entropy of each token after the true ones before it."""
        return training.judge(self.model, params, batch, first=self.first, ensemble=ensemble)

    def writer(self, beam: int, n_best: int) -> Writer:
        """Makes the beam search."""
        return Writer(
            self.model,
            self.first,
            self.stop_token,
            beam=beam,
            n_best=n_best,
            length_penalty=float(self.length_penalty),
            coverage_penalty=float(self.coverage_penalty),
            banned=self.banned,
            block_ngrams=self.block_ngrams,
            shortest=2,  # a token at least, and the stop token
            longest=self.max_length,
        )


@dataclasses.dataclass(frozen=True)
class CTC:
    """Reads each token of a source several times, and writes a token or none each time (Rao et al., 2015).

    There is no decoder: the targets have the order of their sources and are not much longer, as
    sounds are to letters.

    Attributes:
      model: the network.
      label_smoothing: see `models.framewise_loss`.
    """

    model: models.Framewise
    label_smoothing: int | float = 0.0

    too_long: ClassVar[str] = (
        "a target has more symbols than frames; give a decoder, or more frames"
    )

    @classmethod
    def of(
        cls,
        source: Codec,
        target: Codec,
        layers: Sequence[Recurrence],
        *,
        frames: int = 3,
        embedding_size: int = 64,
        dropout: float = 0.0,
        backend: Backend = "auto",
        label_smoothing: int | float = 0.0,
    ) -> "CTC":
        """Makes a network for two codecs.

        Args:
          source: of the sources.
          target: of the targets; its padding is the blank.
          layers: recurrences, the one that reads the sources first.
          frames: times that each token is read.
          embedding_size: features of a token.
          dropout: rate on embeddings and between layers.
          backend: of the recurrences.
          label_smoothing: as the attribute has it.
        """
        reader = models.AcousticModel(
            len(target.tokens), tuple(layers), dropout=dropout, backend=backend
        )
        model = models.Framewise(len(source.tokens), embedding_size, reader, frames, dropout)
        return cls(model, label_smoothing)

    @property
    def frames(self) -> int:
        """Times that each token is read."""
        return self.model.repeats

    @property
    def attends(self) -> bool:
        """True: each symbol is written in frames of a token."""
        return True

    @property
    def reader(self) -> Any:
        """The layers."""
        return self.model.reader.layers

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        return self.model.init(key, jnp.ones((1, 1), int))["params"]

    def target(self, source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
        """Returns the target; None where the source has too few frames for it."""
        # Between two equal symbols there must be a blank.
        blanks = sum(map(operator.eq, target[:-1].tolist(), target[1:].tolist()))
        return target if len(target) + blanks <= self.frames * len(source) else None

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the negative log-likelihood of each symbol of the targets, see `models.framewise_loss`."""
        return models.framewise_loss(
            self.model, params, batch, rng, step, label_smoothing=float(self.label_smoothing)
        )

    @functools.partial(jax.jit, static_argnums=(0, 3))
    def nats(
        self, params: Params, batch: Mapping[str, Any], ensemble: bool = False
    ) -> dict[str, training.Mean]:
        """Computes the negative log-likelihood of each symbol."""
        return models.framewise_nats(self.model, params, batch, ensemble=ensemble)

    def writer(self, beam: int, n_best: int) -> models.FramewiseWriter:
        """Makes the prefix beam search."""
        return models.FramewiseWriter(self.model, beam, n_best)


def network_of(
    source: Codec,
    target: Codec,
    recurrence: Recurrence | Sequence[Recurrence],
    decoder: Recurrence | None,
    shared: bool,
    settings: dict[str, Any],
) -> Network:
    """Makes an `EncoderDecoder`, or without a decoder a `CTC`.

    Args:
      source: codec of the sources.
      target: codec of the targets.
      recurrence: reads the sources; without a decoder it may be several layers.
      decoder: writes the targets, or None.
      shared: whether both sides have one codec and one embedding.
      settings: further ones of `EncoderDecoder.of` or `CTC.of`.

    Raises:
      ValueError: settings that do not go together.
    """
    several = not isinstance(recurrence, Recurrence)
    if decoder is None:
        return CTC.of(source, target, recurrence if several else (recurrence,), **settings)
    if several:
        raise ValueError("the encoder is one recurrence; put layers together by seqjax.stack")
    return EncoderDecoder.of(source, target, recurrence, decoder, shared=shared, **settings)
