"""Direct multi-horizon forecasts: all steps at once, none read back (Wen et al., 2017, "MQ-RNN")."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.forecasting.forecast import LEVELS
from seqjax.forecasting.inputs import Batch, Static, WindowNetwork, located, scaled, split_inputs
from seqjax.forecasting.network import HorizonForecaster
from seqjax.losses.likelihoods import Likelihood, Quantile
from seqjax.models.recurrent import Recurrent
from seqjax.typing import KeyArray, Params


class DirectNetwork(WindowNetwork):
    """A recurrence reads the context; a global and a local layer say the horizon.

        h = recurrence(context);  c_1 .. c_horizon = relu(h W + b);
        raw_k = relu([c_k; x_k] V + d) U + x_k's lags R + (context's values A)_k

    with `x_k` what is known of the k-th step: features, static, and those lagged values that lie
    before the cut. The last two terms are linear, and with the first one silent it is a linear
    model.

    Attributes: see `Direct`.
    """

    units: int
    dropout: float

    @nn.compact
    def __call__(self, batch: Batch) -> Float[Array, "rows horizon size"]:
        """Computes the numbers of every step of the horizon."""
        static = Static(self.kinds, self.embedding_size)(batch["category"], batch["scale"])
        xs, ahead = split_inputs(batch, self.lags, self.horizon, static)
        _, outputs = Recurrent(self.recurrence, backend=self.backend)(xs)
        drop = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))
        # Of the whole horizon from the last output, [rows, horizon * units].
        contexts = nn.relu(nn.Dense(self.horizon * self.units)(drop(outputs[:, -1])))
        # [rows, horizon, units + features]
        beside = jnp.concatenate([contexts.reshape(-1, self.horizon, self.units), ahead], axis=-1)
        local = drop(nn.relu(nn.Dense(2 * self.units)(beside)))
        # [rows, horizon, size]
        raw = nn.Dense(self.likelihood.size)(
            jnp.concatenate([local, ahead[..., : len(self.lags)]], axis=-1)
        )
        # The context's values, [rows, context], and from them one number a step, [rows, horizon].
        steps = xs.shape[1] + self.horizon
        context = scaled(batch)[:, -steps : -self.horizon]
        straight = nn.Dense(self.horizon, use_bias=False, kernel_init=nn.initializers.zeros)(
            context
        )
        return raw.at[..., located(self.likelihood)].add(straight[..., None])


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Direct(HorizonForecaster):
    """A direct multi-horizon forecaster: quantiles, a distribution or, by `SquaredError()`, a point for each step.

    Attributes:
      units: features that the network hands each step of the horizon.
      dropout: rate on them and on what the recurrence says.
    """

    likelihood: Likelihood = Quantile(LEVELS)
    units: int = 32
    dropout: float = 0.0

    name: ClassVar[str] = "direct"

    def network(self) -> DirectNetwork:
        """Makes the Flax module."""
        return DirectNetwork(**self._shared(), units=self.units, dropout=self.dropout)

    def numbers(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> Array:
        """Computes the likelihood's numbers in training, with dropout."""
        return self._apply(params, batch, rngs={"dropout": rng})
