"""Attention over a memory, as a Flax layer."""

from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from seqjax import attention

Score = Literal["dot", "scaled_dot", "general", "concat", "additive", "location", "multi_head"]


class Memory(NamedTuple):
    """Holds what a decoder looks at: the same at every step.

    Attributes:
      keys: `[batch, positions, keys]`, computed once.
      values: `[batch, positions, values]`.
      mask: `[batch, positions]`, True at valid positions.
      held: the token id that each position holds, `[batch, positions]`, for a decoder that copies;
        else None.
    """

    keys: Float[Array, "batch positions keys"]
    values: Float[Array, "batch positions values"]
    mask: Bool[Array, "batch positions"]
    held: Int[Array, "batch positions"] | None = None


class Attention(nn.Module):
    """A query looks over a memory; the mathematics is `seqjax.attention`'s.

    Attributes:
      query_size: features of a query.
      score: `"dot"`, `"scaled_dot"`, `"general"`, `"concat"` (Luong et al., 2015), `"additive"`
        (Bahdanau et al., 2015), `"location"` (Chorowski et al., 2015) or `"multi_head"`.
      units: of the hidden layer of concat, additive and location, and features of all heads; None
        for the query's.
      coverage: let additive scores see how much each position was looked at so far (See et al.,
        2017).
      heads: of multi_head.
      width: positions that a filter of location sees.
      channels: filters of location.
    """

    query_size: int
    score: Score = "general"
    units: int | None = None
    coverage: bool = False
    heads: int = 4
    width: int = 31
    channels: int = 10

    def setup(self) -> None:
        """Builds the weights.

        Raises:
          ValueError: the score is unknown, or does not take a coverage.
        """
        if self.score not in get_args(Score):
            known = ", ".join(map(repr, get_args(Score)))
            raise ValueError(
                f"attention: the score {self.score!r} is unknown; choose one of {known}"
            )
        if self.coverage and self.score not in ("concat", "additive"):
            raise ValueError(
                f"attention: the score {self.score!r} takes no coverage; 'additive' and 'concat' do"
            )
        units, glorot = self.units or self.query_size, nn.initializers.glorot_uniform()
        if self.score == "general":
            self.key = nn.Dense(self.query_size, use_bias=False)
        if self.score == "multi_head":
            self.key, self.value, self.ask = (nn.Dense(units) for _ in range(3))
        if self.score in ("concat", "additive", "location"):
            self.key = nn.Dense(units, use_bias=self.score != "concat")
            self.w_query = self.param("w_query", glorot, (self.query_size, units))
            self.v = self.param("v", nn.initializers.normal(units**-0.5), (units,))
        if self.coverage:
            self.w_coverage = self.param("w_coverage", nn.initializers.normal(0.1), (units,))
        if self.score == "location":
            self.filters = self.param("filters", glorot, (self.width, self.channels))
            self.w_location = self.param("w_location", glorot, (self.channels, units))

    def prepare(
        self, memory: Float[Array, "*batch positions features"]
    ) -> tuple[Float[Array, "*batch positions keys"], Float[Array, "*batch positions values"]]:
        """Computes what depends on the memory alone: its keys and its values."""
        keys = memory if self.score in ("dot", "scaled_dot") else self.key(memory)
        values = self.value(memory) if self.score == "multi_head" else memory
        return keys, values

    def __call__(
        self,
        query: Float[Array, "*batch steps query"],
        keys: Float[Array, "*batch positions keys"],
        values: Float[Array, "*batch positions values"],
        mask: Bool[Array, "*batch positions"] | None = None,
        *,
        before: Float[Array, "*batch steps positions"] | None = None,
        coverage: Float[Array, "*batch steps positions"] | None = None,
    ) -> attention.Attended:
        """Computes context and weights, those of several heads averaged.

        Args:
          query: `[*batch, steps, query]`.
          keys: from `prepare`.
          values: from `prepare`.
          mask: True at valid positions; None when all are.
          before: the weights of the step before, for the score `"location"`; at the first step
            zeros.
          coverage: the sum of the weights of all steps before, for a model with coverage.

        Raises:
          ValueError: the score wants `before`, or the model `coverage`, and has none.
        """
        match self.score:
            case "multi_head":
                context, weights = attention.multi_head(
                    self.ask(query), keys, values, mask, heads=self.heads
                )
                # Over the heads: [*batch, steps, positions].
                return attention.Attended(context, weights.mean(-3))
            case "general" | "dot":
                return attention.dot(query, keys, values, mask)
            case "scaled_dot":
                return attention.scaled_dot(query, keys, values, mask)
            case "location":
                if before is None:
                    raise ValueError(
                        "the score 'location' looks at the weights of the step before; give before"
                    )
                return attention.location_sensitive(
                    query,
                    keys,
                    values,
                    mask,
                    before=before,
                    w_query=self.w_query,
                    v=self.v,
                    filters=self.filters,
                    w_location=self.w_location,
                )
        if self.coverage and coverage is None:
            raise ValueError(
                "a model with coverage looks at the sum of the weights so far; give coverage"
            )
        beside = None
        if self.coverage and coverage is not None:
            # [*batch, steps, positions, units]
            shape = (*coverage.shape, *self.w_coverage.shape)
            beside = coverage[..., None] * jnp.broadcast_to(self.w_coverage, shape)
        return attention.additive(
            query, keys, values, mask, w_query=self.w_query, v=self.v, beside=beside
        )


def nothing_seen(query: Float[Array, "*batch steps query"], positions: int) -> attention.Attended:
    """Returns what a model without attention sees: a context of no features, weights of 0."""
    nothing = jnp.zeros((*query.shape[:-1], 0), query.dtype)
    return attention.Attended(nothing, jnp.zeros((*query.shape[:-1], positions), query.dtype))
