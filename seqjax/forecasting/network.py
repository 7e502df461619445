"""What the forecasters that are networks share: their settings, their training, their parameters."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from seqjax import data, training
from seqjax.cells import LSTM
from seqjax.combinators import stack
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.interface import Fitted, Forecaster, Recipe
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.windows import PanelWindows, Scaling
from seqjax.losses import masked_mean
from seqjax.losses.likelihoods import Likelihood, NegativeBinomial, Poisson, StudentT
from seqjax.recurrence import Recurrence
from seqjax.typing import Backend, KeyArray, Params


class Form(NamedTuple):
    """What the panels that a network forecasts have in common.

    Attributes:
      features: columns known beforehand, the calendar's among them.
      past: columns known only afterwards.
      kinds: how many categories each kind has.
    """

    features: int
    past: int
    kinds: tuple[int, ...]

    @classmethod
    def of(cls, panel: Panel) -> "Form":
        """That of a panel."""
        past = panel.past[0].shape[1] if panel.past else 0
        return cls(
            panel.features(0)[0].shape[1], past, tuple(int(n) + 1 for n in panel.categories.max(0))
        )

    def check(self, panel: Panel) -> None:
        """Refuses a panel of another form.

        Raises:
          ValueError: says what differs.
        """
        other = Form.of(panel)
        if (self.features, self.past, len(self.kinds)) != (
            other.features,
            other.past,
            len(other.kinds),
        ):
            raise ValueError(
                f"the forecaster learnt {self.features} known features, {self.past} past covariates and "
                f"{len(self.kinds)} kinds of categories; the panel has {other.features}, {other.past} and "
                f"{len(other.kinds)}: give panels of one form"
            )
        for kind, (here, known) in enumerate(zip(other.kinds, self.kinds, strict=True)):
            if here > known:
                row = int((panel.categories[:, kind] >= known).argmax())
                raise ValueError(
                    f"the series {panel.names[row]!r} is of category {panel.categories[row, kind]} (kind {kind}); "
                    f"the forecaster learnt 0 to {known - 1}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkForecaster(Forecaster):
    """A network that forecasts. A subclass defines `network`, `costs` and `forecast`.

    Attributes:
      context: steps that the network reads.
      recurrence: what reads them; any causal one.
      likelihood: what is said of each value to come.
      lags: which earlier values each step sees; None for `panel.lags()`.
      scaling: how each window is centred and scaled, see `seqjax.forecasting.scales`.
      power: of a series' size, by which its windows are learnt the more often, see
        `seqjax.forecasting.PanelWindows`.
      embedding_size: features of a category.
      form: of the panels; None for that of the one that is learnt.
      backend: which implementation of the recurrence runs, see `seqjax.unroll`.
    """

    context: int
    recurrence: Recurrence = stack(LSTM(40), LSTM(40))
    likelihood: Likelihood = StudentT()
    lags: tuple[int, ...] | None = None
    scaling: Scaling = "mean"
    power: float = 0.0
    embedding_size: int = 8
    form: Form | None = None
    backend: Backend = "auto"

    def fit(self, panel: Panel, recipe: Recipe = Recipe()) -> "Trained":  # noqa: B008
        """Trains on every window of a panel, see `Forecaster.fit`."""
        settled = self.settled(panel)
        source = data.batches(settled.lessons(panel), recipe.batch_size, seed=recipe.seed)
        state, step = settled.begin(recipe), settled.train_step(recipe)
        outcome = training.fit_batches(state, step, source, steps=recipe.steps)
        return Trained(settled, outcome.state.ema)

    def settled(self, panel: Panel) -> "NetworkForecaster":
        """The same forecaster with what it takes from the panel filled in.

        Raises:
          ValueError: the settings do not go together.
        """
        self.check()
        lags = self.lags
        if lags is None:
            lags = panel.lags()
        return dataclasses.replace(self, lags=lags, form=self.form or Form.of(panel))

    def check(self) -> None:
        """Refuses settings that do not go together.

        Raises:
          ValueError: says which.
        """
        if not self.recurrence.causal:
            raise ValueError(
                f"{self.recurrence} reads the future; a forecaster wants a causal recurrence"
            )
        if self.lags is not None and (not self.lags or min(self.lags) < 1):
            raise ValueError(f"lags are {self.lags}; give at least one, of at least 1 step")
        if isinstance(self.likelihood, Poisson | NegativeBinomial) and self.scaling not in (
            "none",
            "mean",
        ):
            raise ValueError(
                f"scaling={self.scaling!r} moves the values, and {self.likelihood} is of counts; take 'mean' or 'none'"
            )

    def windows(self, panel: Panel) -> PanelWindows:
        """What the network sees of a panel: `settled` comes first."""
        lags, form = self._known()
        form.check(panel)
        return PanelWindows(panel, self.context, self.horizon, max(lags), self.scaling)

    def lessons(self, panel: Panel) -> PanelWindows:
        """The windows that it learns from, the larger series more often.

        Raises:
          ValueError: no series is long enough.
        """
        seen = self.windows(panel)
        return PanelWindows(
            panel, seen.context, seen.horizon, seen.history, seen.scaling, power=self.power
        ).check()

    def begin(self, recipe: Recipe) -> training.TrainState:
        """The state before the first step of training."""
        init_key, run_key = jax.random.split(jax.random.key(recipe.seed))
        step = jnp.zeros((), jnp.int32)
        return training.create_state(
            self.init(init_key), recipe.optimiser(), run_key, extra=step, ema=True
        )

    def train_step(self, recipe: Recipe) -> Callable:
        """One step of training, see `seqjax.training.make_train_step`."""
        clip = training.clip_by_norm(recipe.clip)
        return training.make_train_step(
            self.loss, recipe.optimiser(), clip=clip, ema_decay=recipe.average
        )

    def init(self, key: KeyArray) -> Params:
        """Fresh parameters."""
        lags, form = self._known()
        steps = self.context + self.horizon
        fake = {
            "values": jnp.zeros((1, max(lags) + steps)),
            "seen": jnp.zeros((1, max(lags) + steps), bool),
            "features": jnp.zeros((1, steps, form.features)),
            "past": jnp.zeros((1, steps, form.past)),
            "category": jnp.zeros((1, len(form.kinds)), jnp.int32),
            "scale": jnp.ones(1),
        }
        return jax.jit(self.network().init)(key, fake)["params"]

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, extra: Any
    ) -> tuple[jax.Array, training.Aux]:
        """What `seqjax.training` minimises: the mean cost of the values seen; `extra` counts the steps."""
        costs, seen = self.costs(params, batch, rng, extra)
        seen = seen & (batch.get("weight", jnp.ones(len(seen)))[:, None] > 0)
        return masked_mean(costs, seen), training.Aux(weight=seen.sum(), extra=extra + 1)

    def network(self) -> nn.Module:
        """The Flax module."""
        raise NotImplementedError

    def costs(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, jax.Array]:
        """What each value costs that the network learns to say, and which of them were seen, both `[rows, steps]`."""
        raise NotImplementedError

    def forecast(self, params: Params, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """What comes after the cuts of some windows, minus their `loc`."""
        raise NotImplementedError

    def _known(self) -> tuple[tuple[int, ...], Form]:
        if self.lags is None or self.form is None:
            raise ValueError(
                "the forecaster does not know its lags and its panel's form; call settled(panel) first"
            )
        return self.lags, self.form


@dataclasses.dataclass(frozen=True, kw_only=True)
class HorizonForecaster(NetworkForecaster):
    """A network whose call gives the numbers of the whole horizon. A subclass defines `network` and `numbers`."""

    def numbers(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> Array:
        """What the network says in training of every step of the horizon, `[rows, horizon, size]`."""
        raise NotImplementedError

    def costs(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, jax.Array]:
        """What each value of the horizon costs."""
        raw = self.numbers(params, batch, rng, step)
        costs = self.likelihood.loss(
            raw, batch["values"][:, -self.horizon :], batch["scale"][:, None]
        )
        return costs, batch["seen"][:, -self.horizon :]

    def forecast(self, params: Params, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """What comes after the cuts of some windows, minus their `loc`."""
        raw = _said(self, params, dict(batch))
        return Forecast.of_numbers(self.likelihood, raw, jnp.asarray(batch["scale"]), key)


@functools.partial(jax.jit, static_argnums=0)
def _said(forecaster: HorizonForecaster, params: Params, batch: Any) -> Array:
    return forecaster.network().apply({"params": params}, batch)  # pyright: ignore[reportReturnType]


@dataclasses.dataclass(frozen=True, eq=False)
class Trained(Fitted):
    """A network with its parameters.

    Attributes:
      forecaster: what it is, settled.
      params: what it learnt.
    """

    forecaster: NetworkForecaster
    params: Params

    @property
    def horizon(self) -> int:
        """Steps that it forecasts."""
        return self.forecaster.horizon

    def windows(self, panel: Panel) -> PanelWindows:
        """What it looks at of a panel."""
        return self.forecaster.windows(panel)

    def forecast(self, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """What comes after the cuts of some windows, minus their `loc`."""
        return self.forecaster.forecast(self.params, batch, key)
