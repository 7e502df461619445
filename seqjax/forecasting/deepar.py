"""DeepAR: an autoregressive network that says a distribution of each next value (Salinas et al., 2017)."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.inputs import Batch, Static, WindowNetwork, inputs, scaled
from seqjax.forecasting.network import NetworkForecaster
from seqjax.losses.likelihoods import SquaredError
from seqjax.models.recurrent import Recurrent
from seqjax.typing import KeyArray, Params, State


class DeepARNetwork(WindowNetwork):
    """`h_t = recurrence([y_{t - lags}; known of t; static])`, and of each `h_t` the likelihood's numbers.

    Attributes: see `DeepAR`.
    """

    def setup(self) -> None:
        """Builds the layers."""
        self.static = Static(self.kinds, self.embedding_size)
        self.recurrent = Recurrent(self.recurrence, backend=self.backend)
        self.head = nn.Dense(self.likelihood.size)

    def __call__(self, batch: Batch) -> Float[Array, "rows steps size"]:
        """Computes the numbers of every step of context and horizon, each given the true values before it."""
        xs = self.inputs(batch)
        return self.say(self.recurrent(xs)[1], xs)

    def inputs(self, batch: Batch) -> Float[Array, "rows steps features"]:
        """Builds what each step reads."""
        return inputs(batch, self.lags, self.static(batch["category"], batch["scale"]))

    def read(self, batch: Batch) -> tuple[State, Float[Array, "rows horizon features"]]:
        """Returns the state after the context, and what each step of the horizon reads beside the lagged values."""
        time = batch["seen"].shape[1]
        drawn = jnp.arange(time)[None, :] >= time - self.horizon
        xs = self.inputs({**batch, "seen": batch["seen"] | drawn})
        state, _ = self.recurrent(xs[:, : -self.horizon])
        return state, xs[:, -self.horizon :, len(self.lags) :]

    def step(
        self, state: State, x: Float[Array, "*batch features"]
    ) -> tuple[State, Float[Array, "*batch size"]]:
        """Reads one step: gives the state, and the numbers of the value at it."""
        # A sequence of one, so that the backend runs that was asked for.
        state, ys = self.recurrent(x[..., None, :], state)
        return state, self.say(ys[..., 0, :], x)

    def say(
        self, outputs: Float[Array, "*batch features"], inputs: Float[Array, "*batch inputs"]
    ) -> Array:
        """Computes the likelihood's numbers: of the recurrence's outputs, and directly of the lagged values."""
        return self.head(jnp.concatenate([outputs, inputs[..., : len(self.lags)]], axis=-1))


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class DeepAR(NetworkForecaster):
    """An autoregressive probabilistic forecaster (Salinas et al., 2017).

    It learns the likelihood of every value of context and horizon given those before it. It
    forecasts by ancestral sampling: each value drawn is read in place of the one that is not known
    yet. All paths of all series are drawn at once, in one compiled loop over the horizon.

    Attributes:
      paths: how many to draw of each series.
    """

    paths: int = 100

    name: ClassVar[str] = "deepar"

    def network(self) -> DeepARNetwork:
        """Makes the Flax module."""
        return DeepARNetwork(**self._shared())

    def check(self) -> None:
        """Refuses settings that do not go together."""
        super().check()
        if type(self.likelihood) is SquaredError:
            raise ValueError("a point draws no paths; give DeepAR a likelihood, or take Direct")

    def costs(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Computes minus the log density of each value."""
        raw = self._apply(params, batch, rngs={"dropout": rng})
        steps = raw.shape[1]
        costs = self.likelihood.loss(raw, batch["values"][:, -steps:], batch["scale"][:, None])
        return costs, batch["seen"][:, -steps:]

    def forecast(self, params: Params, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """Draws paths after the cuts of some windows, minus their `loc`."""
        paths = sample_paths(self, params, dict(batch), key)
        return Forecast.of_samples(np.asarray(paths, np.float64))

    def point(self, params: Params, batch: Mapping[str, Any]) -> jax.Array:
        """Follows the one path on which every value is the mean of what was said of it."""
        one = dataclasses.replace(self, paths=1)
        return sample_paths(one, params, dict(batch), None)[:, 0]


@functools.partial(jax.jit, static_argnums=0)
def sample_paths(
    forecaster: DeepAR, params: Params, batch: Any, key: KeyArray | None
) -> Float[Array, "rows paths horizon"]:
    """Ancestral sampling: `y_t` is drawn, then read at `t + lag` for every lag.

    Args:
      forecaster: settled.
      params: its parameters.
      batch: windows; of the horizon nothing is looked at but what is known beforehand.
      key: of the draws; None takes the mean in place of each.

    Returns:
      Values minus the windows' `loc`.
    """
    network, horizon, lags = forecaster.network(), forecaster.horizon, forecaster.network().lags
    apply: Any = functools.partial(network.apply, {"params": params})
    state, known = apply(batch, method="read")
    rows, paths = len(known), forecaster.paths
    widen = lambda a: jnp.broadcast_to(a, (paths, *a.shape))  # noqa: E731
    past, scale = scaled(batch)[:, :-horizon].T, batch["scale"][None, :]
    # Lags within the horizon reach drawn values, each path its own; the others are the same for all
    # paths.
    near = max((lag for lag in lags if lag < horizon), default=1)
    drawn = jnp.concatenate(
        [
            jnp.broadcast_to(past[-near:, None], (near, paths, rows)),
            jnp.zeros((horizon, paths, rows)),
        ]
    )

    def advance(carry: Any, inputs: Any) -> tuple[Any, Array]:
        state, drawn = carry
        t, known, key = inputs
        reach = lambda lag: (  # noqa: E731
            drawn[near + t - lag] if lag < horizon else widen(past[len(past) + t - lag])
        )
        x = jnp.concatenate(
            [jnp.stack([reach(lag) for lag in lags], axis=-1), widen(known)], axis=-1
        )
        state, raw = apply(state, x, method="step")
        # Of all paths, [paths, rows].
        parameters = forecaster.likelihood.parameters(raw, scale)
        if key is None:
            value = forecaster.likelihood.mean(parameters)
        else:
            value = forecaster.likelihood.sample(key, parameters)
        return (state, drawn.at[near + t].set(value / scale)), value

    keys = None if key is None else jax.random.split(key, horizon)
    steps = (jnp.arange(horizon), jnp.moveaxis(known, 1, 0), keys)
    _, values = jax.lax.scan(advance, (jax.tree.map(widen, state), drawn), steps)
    return jnp.moveaxis(values, (0, 1, 2), (2, 1, 0))
