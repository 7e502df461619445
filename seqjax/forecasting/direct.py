"""Direct multi-horizon forecasts: all steps at once, none read back (Wen et al., 2017, "MQ-RNN")."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.forecasting.forecast import LEVELS
from seqjax.forecasting.inputs import Batch, Static, inputs, scaled, without_horizon
from seqjax.forecasting.network import HorizonForecaster
from seqjax.losses.likelihoods import Likelihood, Mixture, Quantile
from seqjax.models.recurrent import Recurrent
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, KeyArray, Params


class DirectNetwork(nn.Module):
    """A recurrence reads the context; a global and a local layer say the horizon.

        h = recurrence(context);  c_1 .. c_horizon = relu(h W + b);
        raw_k = relu([c_k; x_k] V + d) U + x_k's lags R + (context's values A)_k

    with `x_k` what is known of the k-th step: features, static, and those lagged values that lie
    before the cut. The last two terms are linear, and with the first one silent it is a linear
    model.

    Attributes: see `Direct`.
    """

    recurrence: Recurrence
    likelihood: Likelihood
    lags: tuple[int, ...]
    horizon: int
    kinds: tuple[int, ...]
    embedding_size: int
    units: int
    dropout: float
    backend: Backend

    @nn.compact
    def __call__(self, batch: Batch) -> Float[Array, "rows horizon size"]:
        """Computes the numbers of every step of the horizon."""
        static = Static(self.kinds, self.embedding_size)(batch["category"], batch["scale"])
        xs = inputs(without_horizon(batch, self.horizon), self.lags, static)
        # The step after the context still reads what lies before the cut alone.
        _, outputs = Recurrent(self.recurrence, backend=self.backend)(
            xs[:, 1 : -self.horizon + 1 or None]
        )
        drop = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))
        contexts = nn.relu(nn.Dense(self.horizon * self.units)(drop(outputs[:, -1])))
        ahead = xs[:, -self.horizon :]
        beside = jnp.concatenate([contexts.reshape(-1, self.horizon, self.units), ahead], axis=-1)
        local = drop(nn.relu(nn.Dense(2 * self.units)(beside)))
        raw = nn.Dense(self.likelihood.size)(
            jnp.concatenate([local, ahead[..., : len(self.lags)]], axis=-1)
        )
        steps = xs.shape[1]
        context = scaled(batch)[:, -steps : -self.horizon]
        straight = nn.Dense(self.horizon, use_bias=False, kernel_init=nn.initializers.zeros)(
            context
        )
        return raw.at[..., self._located].add(straight[..., None])

    @property
    def _located(self) -> slice:
        """The numbers that say where a value lies: all quantiles, of a mixture none by itself, else the first."""
        match self.likelihood:
            case Quantile():
                return slice(None)
            case Mixture():
                return slice(0, 0)
        return slice(0, 1)


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
        lags, form = self._known()
        return DirectNetwork(
            self.recurrence,
            self.likelihood,
            lags,
            self.horizon,
            form.kinds,
            self.embedding_size,
            self.units,
            self.dropout,
            self.backend,
        )

    def numbers(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> Array:
        """Computes the likelihood's numbers in training, with dropout."""
        raw: Any = self.network().apply({"params": params}, batch, rngs={"dropout": rng})
        return raw
