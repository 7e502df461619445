"""From tokens to other tokens without a decoder: each is read several times, and CTC aligns."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax import losses
from seqjax.checks import checked_lengths
from seqjax.decoding import ctc, mean_log_probs
from seqjax.decoding.writing import Written, in_order
from seqjax.models.acoustic import AcousticModel, Emissions
from seqjax.models.embedding import TokenEmbedding
from seqjax.training import Aux, Mean
from seqjax.typing import KeyArray, Params


class Framewise(nn.Module):
    """Embeds tokens, reads each `repeats` times in a row, and scores symbols at each frame.

    So a target can have up to `repeats` symbols for each token, in the same order, as sounds have
    for letters (Rao et al., 2015). The blank is the symbol 0. Dropout is on while `apply` is given
    a `"dropout"` key.

    Attributes:
      vocab_size: tokens of the sources.
      embedding_size: features of a token's embedding.
      reader: what reads the frames.
      repeats: frames of a token.
      dropout: rate on embeddings.

    Example:
      >>> import jax, seqjax
      >>> from seqjax.models import AcousticModel, Framewise
      >>> model = Framewise(30, 16, AcousticModel(40, (seqjax.bidirectional(seqjax.LSTM(32)),)))
      >>> source, lengths = jax.numpy.ones((2, 5), int), jax.numpy.array([5, 3])
      >>> params = model.init(jax.random.key(0), source, lengths)["params"]
      >>> logits, frames = model.apply({"params": params}, source, lengths)
      >>> logits.shape, frames.tolist()
      ((2, 15, 40), [15, 9])
    """

    vocab_size: int
    embedding_size: int
    reader: AcousticModel
    repeats: int = 3
    dropout: float = 0.0

    @nn.compact
    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None) -> Emissions:
        """Reads tokens `[batch, positions]`, of which `lengths [batch]` are valid."""
        source = jnp.asarray(source)
        frames = self.repeats * checked_lengths(lengths, source.shape[:1], source.shape[1])
        embedded = TokenEmbedding(self.vocab_size, self.embedding_size, self.dropout)(source)
        return self.reader(jnp.repeat(embedded, self.repeats, axis=1), lengths=frames)


def framewise_loss(
    model: Framewise,
    params: Params,
    batch: Mapping[str, Any],
    rng: KeyArray,
    step: jax.Array,
    *,
    label_smoothing: float = 0.0,
) -> tuple[jax.Array, Aux]:
    """Computes CTC in nats for each target symbol, as a loss for `training.make_train_step`.

    Args:
      model: the model.
      params: its parameters.
      batch: from `data.pair_batches`, with targets.
      rng: of dropout.
      step: the number of the step, the state's `extra`; the next one is handed on.
      label_smoothing: the share that `losses.uniform_cross_entropy` takes of the loss.

    Returns:
      The loss, and an `Aux` weighed by the targets' symbols that reports `nats`, CTC alone.
    """
    emitted: Any = model.apply(
        {"params": params}, batch["source"], batch["source_lengths"], rngs={"dropout": rng}
    )
    logits, frames = emitted
    nats = smooth = losses.ctc(logits, batch["targets"], frames, batch["target_lengths"])
    if label_smoothing:
        uniform = losses.uniform_cross_entropy(logits, frames)
        smooth = (1 - label_smoothing) * nats + label_smoothing * uniform
    rows, positions = batch["targets"].shape
    count = checked_lengths(batch["target_lengths"], (rows,), positions).sum()
    aux = Aux(count, {"nats": Mean(nats.sum(), count)}, step + 1)
    return smooth.sum() / jnp.maximum(count, 1), aux


def framewise_nats(
    model: Framewise, params: Params, batch: Mapping[str, Any], *, ensemble: bool = False
) -> dict[str, Mean]:
    """Computes CTC without dropout, for `training.evaluate`: `{"nats": Mean}`.

    Args:
      model: the model.
      params: its parameters.
      batch: from `data.pair_batches`, with targets.
      ensemble: `params` are those of several models, stacked on a first axis; their probabilities
        of a target are averaged.
    """

    def of_rows(params: Params) -> Float[Array, " batch"]:
        logits, frames = _emit(model, params, batch)
        return losses.ctc(logits, batch["targets"], frames, batch["target_lengths"])

    if ensemble:
        # [members, batch]
        apart = jax.vmap(of_rows)(params)
        nats = jnp.log(len(apart)) - jax.nn.logsumexp(-apart, axis=0)
    else:
        nats = of_rows(params)
    return {"nats": Mean(nats.sum(), jnp.asarray(batch["target_lengths"].sum(), float))}


def _emit(model: Framewise, params: Params, batch: Mapping[str, Any]) -> Emissions:
    """Reads a batch's sources without dropout."""
    return model.apply({"params": params}, batch["source"], batch["source_lengths"])  # pyright: ignore[reportReturnType]


@dataclasses.dataclass(frozen=True)
class FramewiseWriter:
    """Writes the best targets of sources, as `Writer` does for a `Seq2Seq`.

    The `attention [length, frames]` of each is the probability of its tokens in the frames that
    they are aligned with.

    Attributes:
      model: the model.
      beam: prefixes of the search, see `decoding.ctc.beam`; 1 takes the best symbol of every frame.
      n_best: targets of each source, at most `beam`.
      ensemble: `params` are those of several models, stacked on a first axis; each searches, and
        their probabilities of what is found are averaged, see `decoding.ctc.ensemble`.
    """

    model: Framewise
    beam: int = 16
    n_best: int = 1
    ensemble: bool = False

    def __call__(
        self, params: Params, batches: Iterable[Mapping[str, Any]], count: int
    ) -> list[list[Written]]:
        """Writes the `n_best` targets of each of `count` sources, best first.

        Args:
          params: the model's.
          batches: from `data.pair_batches` with `once=True`.
          count: sources in all of them.
        """
        search = functools.partial(self.search, params)
        return in_order(search, batches, count, _written, self.n_best)

    @functools.partial(jax.jit, static_argnums=0)
    def search(
        self, params: Params, batch: Mapping[str, Any]
    ) -> tuple[ctc.Prefixes, ctc.Alignment, jax.Array]:
        """Finds a batch's prefixes, their places, and probabilities `[batch, frames, vocab]`."""
        emit = functools.partial(_emit, self.model, batch=batch)
        if self.ensemble:
            # [members, batch, frames, vocab] and [members, batch]; all have the same frames.
            apart, lengths = jax.vmap(emit)(params)
            frames = lengths[0]
            proposed = jax.vmap(lambda own: self._decode(own, frames, self.beam))(apart)
            found = ctc.ensemble(apart, proposed, frames, n_best=self.n_best)
            logits = mean_log_probs(apart)
        else:
            logits, frames = emit(params)
            found = self._decode(logits, frames, self.n_best)
        # Over the prefixes of each row.
        align = jax.vmap(lambda tokens, lengths: ctc.align(logits, tokens, frames, lengths), 1, 1)
        return found, align(found.tokens, found.lengths), jax.nn.softmax(logits)

    def _decode(
        self, logits: Float[Array, "batch frames vocab"], frames: Int[Array, " batch"], n_best: int
    ) -> ctc.Prefixes:
        if self.beam > 1:
            return ctc.beam(logits, frames, beam=self.beam, n_best=n_best)
        # One prefix of each row: [batch, 1, ...].
        greedy = ctc.greedy(logits, frames)
        tokens, lengths, log_probs = jax.tree.map(lambda leaf: leaf[:, None], greedy)
        return ctc.Prefixes(tokens, lengths, log_probs, log_probs)


def _written(searched: tuple[Any, Any, Any], row: int, place: int) -> Written:
    """Takes one target out of a searched batch."""
    found, places, shares = searched
    length, frames = found.lengths[row, place], np.arange(shares.shape[1])
    tokens = found.tokens[row, place, :length]
    # [length, 1] against [frames].
    begins, ends = (frame[row, place, :length, None] for frame in (places.starts, places.ends))
    here = (frames >= begins) & (frames < ends)
    attention = here * shares[row, :, tokens]
    return Written(tokens, float(found.scores[row, place]), True, attention)
