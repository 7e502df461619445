"""`Writer`: the best targets of a whole data set, by beam search in few compiled shapes."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from seqjax import decoding
from seqjax.typing import Params


class Written(NamedTuple):
    """One target that was written.

    Attributes:
      tokens: its ids, without the stop token, `[length]`.
      score: its log-probability after the penalties.
      ended: whether it came to its end; False where it was cut off.
      attention: the weights at each token, `[length, positions]`.
    """

    tokens: np.ndarray
    score: float
    ended: bool
    attention: np.ndarray


def in_order(
    search: Callable,
    batches: Iterable[Mapping[str, Any]],
    count: int,
    written: Callable,
    n_best: int,
) -> list[list[Written]]:
    """Collects what a search finds for each of `count` sources, whatever batches they come in.

    Args:
      search: `search(sides)` of a batch's `source` and `source_lengths`.
      batches: see `Writer`.
      count: sources in all of them.
      written: `written(found, row, place)`, one target of a row.
      n_best: targets of each source.

    Returns:
      The targets of each source, in the order of the sources.
    """
    targets: list[list[Written]] = [[] for _ in range(count)]
    for batch in batches:
        sides = {name: batch.get(name) for name in ("source", "source_lengths")}
        # One copy to the host for the whole batch, not one for each target.
        found = jax.device_get(search(sides))
        for row, index in enumerate(batch["indices"]):
            # Rows that fill up a batch are nobody's.
            if index >= 0:
                targets[index] = [written(found, row, place) for place in range(n_best)]
    return targets


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes the best targets of sources.

    It is compiled once for each shape of a batch and each `Writer` that differs.

    Attributes:
      model: has `start(params, source=..., lengths=...)` and `advance`, as `seqjax.models.Seq2Seq`
        has.
      first: the token that the decoder reads first.
      stop_token: ends a target.
      beam: hypotheses kept; 1 is greedy.
      n_best: targets of each source, at most `beam`.
      length_penalty: alpha of `decoding.LengthPenalty`.
      coverage_penalty: beta of `decoding.CoveragePenalty`.
      banned: tokens never written, such as padding.
      block_ngrams: see `decoding.BlockNgrams`; 0 blocks nothing.
      shortest: tokens to write at least, the stop token counted.
      growth: tokens to write at most for each position of a batch's sources, besides 8.
      longest: tokens to write at most, the stop token counted, whatever the source; None goes by
        `growth`.
      ensemble: `params` are those of several models, stacked on a first axis; their probabilities
        are averaged.

    Example:
      >>> import jax, numpy as np, seqjax
      >>> from seqjax.decoding import Writer
      >>> from seqjax.models import Decoder, Encoder, Seq2Seq
      >>> model = Seq2Seq(Encoder(9, 4, seqjax.GRU(8)), Decoder(9, 4, seqjax.GRU(8)))
      >>> sources = [np.array([5, 6, 7]), np.array([8])]
      >>> params = model.init(jax.random.key(0), sources[0][None], None, sources[0][None])["params"]
      >>> write = Writer(model, first=2, stop_token=3, beam=4, n_best=2)
      >>> batches = seqjax.text.pair_batches(sources, tokens=8, once=True)
      >>> found = write(params, batches, len(sources))
      >>> [len(hypotheses) for hypotheses in found]
      [2, 2]
    """

    model: Any
    first: int
    stop_token: int
    beam: int = 5
    n_best: int = 1
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    banned: tuple[int, ...] = ()
    block_ngrams: int = 0
    shortest: int = 1
    growth: float = 1.5
    longest: int | None = None
    ensemble: bool = False

    def __call__(
        self, params: Params, batches: Iterable[Mapping[str, Any]], count: int
    ) -> list[list[Written]]:
        """Writes the `n_best` targets of each of `count` sources, best first.

        Args:
          params: the model's.
          batches: from `data.pair_batches` with `once=True`, or any mappings with `source` and
            `indices`, the place of each row among the sources or -1; without a coverage penalty
            `source_lengths` may be left out where all of a source counts.
          count: sources in all of them.
        """
        search = functools.partial(self.search, params)
        return in_order(search, batches, count, self._written, self.n_best)

    @functools.partial(jax.jit, static_argnums=0)
    def search(self, params: Params, batch: Mapping[str, Any]) -> decoding.Beams:
        """Searches for the targets of one batch, `source [batch, time]`."""
        source, lengths = batch["source"], batch["source_lengths"]
        start = functools.partial(self.model.start, source=source, lengths=lengths)
        step, observe = self.model.advance, _looks
        if self.ensemble:
            # Contexts [members, ...] and states [batch, members, ...].
            start = jax.vmap(start, out_axes=(0, 1))
            step, observe = decoding.Ensemble(step), _looks_of_all
        context, state = start(params)
        # A static size: it goes by the batch's shape alone.
        by_growth = math.ceil(self.growth * source.shape[1]) + 8
        return decoding.beam_search(
            step,
            context,
            state,
            jnp.full(len(source), self.first),
            beam=self.beam,
            n_best=self.n_best,
            length=self.longest or by_growth,
            stop_token=self.stop_token,
            penalties=self._penalties(lengths),
            constraints=self._constraints(),
            observe=observe,
        )

    def _penalties(self, lengths: Any) -> list[Callable]:
        chosen: list[Callable] = []
        if self.length_penalty:
            chosen.append(decoding.LengthPenalty(self.length_penalty))
        if self.coverage_penalty:
            chosen.append(decoding.CoveragePenalty(lengths, self.coverage_penalty))
        return chosen

    def _constraints(self) -> list[Callable]:
        chosen: list[Callable] = [decoding.MinLength(self.shortest, self.stop_token)]
        if self.banned:
            chosen.append(decoding.BanTokens(jnp.asarray(self.banned)))
        if self.block_ngrams:
            chosen.append(decoding.BlockNgrams(self.block_ngrams))
        return chosen

    def _written(self, beams: decoding.Beams, row: int, place: int) -> Written:
        """Takes one target of a row, without its stop token."""
        ended = bool(beams.ended[row, place])
        length = int(beams.lengths[row, place]) - ended
        # [length], and the weights at each token, [length, positions].
        tokens: Any = beams.tokens[row, place, :length]
        attention = beams.observed[row, place, :length]
        return Written(tokens, float(beams.scores[row, place]), ended, attention)


def _looks(state: Any) -> Float[Array, "batch positions"]:
    return state.attention


def _looks_of_all(state: Any) -> Float[Array, "batch positions"]:
    """Returns the mean of the members' attention; their axis is behind the batch."""
    return state.attention.mean(1)
