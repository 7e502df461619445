"""What the forecasters that are networks share: their settings, their windows, their training."""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from seqjax import data, training
from seqjax.cells import LSTM
from seqjax.combinators import stack
from seqjax.forecasting.blend import Blend, slots
from seqjax.forecasting.columns import Columns
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.form import Form
from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.interface import RECIPE, Forecaster
from seqjax.forecasting.panel import PLAIN, Panel, Units
from seqjax.forecasting.windows import PanelWindows, Scaling
from seqjax.losses import masked_mean
from seqjax.losses.likelihoods import Likelihood, NegativeBinomial, Poisson, StudentT
from seqjax.recurrence import Recurrence
from seqjax.tasks import Trained
from seqjax.training import Recipe
from seqjax.typing import Backend, KeyArray, Params

NAME = "name"
"""The kind of category that tells every series from the others."""


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class NetworkForecaster(Forecaster):
    """A network that forecasts. A subclass defines `network`, `costs` and `forecast`.

    Attributes:
      context: steps that the network reads.
      recurrence: what reads them; any causal one.
      likelihood: what is said of each value to come.
      lags: which earlier values each step sees; None for `panel.lags()`.
      scaling: how each window is centred and scaled, see `seqjax.forecasting.scales`.
      power: oversampling exponent: larger series are drawn more often, see
        `seqjax.forecasting.PanelWindows`.
      value_units: `(loc, scale)`: values are learnt minus loc, over scale; forecasts are in the
        panel's own unit all the same. With `identity` there may be one of each for every series
        that is learnt, see `Panel.own_units`.
      identity: learn a vector for each series; then no other series can be forecast.
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
    value_units: Units = PLAIN
    identity: bool = False
    embedding_size: int = 8
    form: Form | None = None
    backend: Backend = "auto"

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.recurrence!r}, {self.likelihood!r}, "
            f"context {self.context}, horizon {self.horizon})"
        )

    @classmethod
    def of(cls, panel: Panel, **settings: Any) -> "NetworkForecaster":
        """Makes a forecaster that knows what it takes from a panel, see `settled`.

        Raises:
          ValueError: the panel cannot be learnt, or the settings do not go together.
        """
        made = cls(**settings).settled(panel)
        made.training_windows(panel)
        return made

    def fit(
        self,
        panel: Panel,
        recipe: Recipe = RECIPE,
        *,
        validation: Panel | HeldOut | None = None,
        quiet: bool = True,
        **options: Any,
    ) -> Trained:
        """Trains on every window of a panel, see `Forecaster.fit`.

        Args:
          panel: what to learn from.
          recipe: how to train.
          validation: what chooses the best parameters; None keeps the last ones.
          quiet: show no progress bar.
          **options: further ones of `seqjax.training.fit`, such as `folder`.
        """
        task = self.settled(panel)
        return training.fit(
            task, panel, validation=validation, recipe=recipe, quiet=quiet, **options
        )

    def fit_seeds(
        self, panel: Panel, seeds: Sequence[int], recipe: Recipe = RECIPE, **options: Any
    ) -> Trained:
        """Trains from several seeds side by side; returns a `Blend` of what they say.

        Args:
          panel: what to learn from.
          seeds: one for each network.
          recipe: how to train.
          **options: further ones of `seqjax.training.fit_seeds`, such as `validation`.
        """
        options = {"quiet": True} | options
        task = self.settled(panel)
        found = training.fit_seeds(task, panel, seeds, recipe=recipe, **options)
        share = 1 / len(found)
        blend = Blend(
            horizon=self.horizon,
            members=tuple(trained.task for trained in found),
            weights=(share,) * len(found),
            context=self.context,
            # That of a table as it is read: each member itself tells its series apart.
            form=Form.of(panel),
        )
        return Trained(blend, slots([trained.params for trained in found]))

    def settled(self, panel: Panel) -> "NetworkForecaster":
        """Fills in what the forecaster takes from a panel.

        Raises:
          ValueError: the settings do not go together.
        """
        self.check()
        lags = self.lags
        if lags is None:
            lags = panel.lags()
        form = self.form
        if form is None:
            form = Form.of(self._told_apart(panel))
            self._check_units(panel)
        return dataclasses.replace(self, lags=lags, form=form)

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
        if not isinstance(self.likelihood, Poisson | NegativeBinomial):
            return
        if self.scaling not in ("none", "mean"):
            raise ValueError(
                f"scaling={self.scaling!r} moves the values, and {self.likelihood} is of counts; "
                "take 'mean' or 'none'"
            )
        if self.value_units != PLAIN:
            raise ValueError(
                f"value_units={self.value_units} move the values, and {self.likelihood} is of counts"
            )

    @property
    def columns(self) -> Columns | None:
        """The columns of the table that was learnt; None where there was none."""
        return self._known()[1].columns

    def read(self, table: str | os.PathLike, **columns: Any) -> Panel:
        """Reads a table to forecast, see `Forecaster.read`; it is of the step that was learnt."""
        panel = super().read(table, **columns)
        try:
            return self._known()[1].aligned(self._told_apart(panel))
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None

    def windows(self, panel: Panel) -> PanelWindows:
        """Makes the windows that the network sees of a panel: `settled` comes first."""
        return self._windows(panel, power=0.0)

    def training_windows(self, panel: Panel) -> PanelWindows:
        """Makes the windows that it learns from.

        Raises:
          ValueError: no series is long enough, or a value is no count and the likelihood wants one.
        """
        _check_counts(panel, self.likelihood)
        return self._windows(panel, self.power).check()

    def batches(
        self,
        examples: Panel,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        once: bool = False,
        multiple_of: int = 1,
    ) -> data.BatchIterator:
        """Makes batches of windows, see `seqjax.forecasting.PanelWindows`.

        Args:
          examples: the panel to learn from.
          batch_size: windows of a batch.
          seed: of the order.
          once: go through the windows a single time, in order.
          multiple_of: rows are a multiple of this.

        Raises:
          ValueError: the panel cannot be learnt, or the rows do not come out even.
        """
        rows = data.rows_of_batch(batch_size or self.batch_size, multiple_of)
        windows = self.training_windows(examples)
        if once:
            return data.batches(windows, rows, shuffle=False, epochs=1)
        return data.batches(windows, rows, seed=seed)

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters: `settled` comes first."""
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
        return _initial(self.network(), key, fake)["params"]

    def loss(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, training.Aux]:
        """Computes the mean loss of the values seen."""
        costs, seen = self.costs(params, batch, rng, step)
        seen = seen & (batch.get("weight", jnp.ones(len(seen)))[:, None] > 0)
        return masked_mean(costs, seen), training.Aux(weight=seen.sum())

    def network(self) -> nn.Module:
        """Makes the Flax module."""
        raise NotImplementedError

    def costs(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Computes the loss of each step and a mask of the observed ones, both `[rows, steps]`."""
        raise NotImplementedError

    def _shared(self) -> dict[str, Any]:
        """Returns what every `WindowNetwork` is told, by the names of its attributes."""
        lags, form = self._known()
        return {
            "recurrence": self.recurrence,
            "likelihood": self.likelihood,
            "lags": lags,
            "horizon": self.horizon,
            "kinds": form.kinds,
            "embedding_size": self.embedding_size,
            "backend": self.backend,
        }

    def _apply(self, params: Params, *args: Any, **options: Any) -> Any:
        """Calls the network with its parameters."""
        return self.network().apply({"params": params}, *args, **options)

    def _told_apart(self, panel: Panel) -> Panel:
        """Adds the series' names as a kind of category, where each has a vector."""
        if self.identity and NAME not in panel.kinds:
            return panel.labelled(NAME, panel.names)
        return panel

    def _windows(self, panel: Panel, power: float) -> PanelWindows:
        lags, form = self._known()
        panel = form.seen(self._told_apart(panel))
        return PanelWindows(
            panel,
            self.context,
            self.horizon,
            max(lags),
            self.scaling,
            power=power,
            units=self._units(panel),
        )

    def _units(self, panel: Panel) -> Units:
        """Looks up the units of a panel's series."""
        loc, scale = self.value_units
        return self._of_series(loc, panel), self._of_series(scale, panel)

    def _check_units(self, panel: Panel) -> None:
        """Refuses units of each series where they cannot be told apart, or are of other ones."""
        each = [part for part in self.value_units if isinstance(part, tuple)]
        if each and not self.identity:
            raise ValueError("value_units are of each series; tell them apart by identity=True")
        for part in each:
            if len(part) != len(panel):
                raise ValueError(
                    f"value_units are of {len(part)} series; the panel has {len(panel)}"
                )

    def _of_series(self, part: float | tuple[float, ...], panel: Panel) -> Any:
        """Looks up what each series of a panel has, by its name among those that were learnt."""
        if not isinstance(part, tuple):
            return part
        place = list(panel.kinds).index(NAME) - len(panel.kinds)
        return tuple(part[number] for number in panel.categories[:, place])

    def _known(self) -> tuple[tuple[int, ...], Form]:
        if self.lags is None or self.form is None:
            raise ValueError(
                "the forecaster does not know its lags and its panel's form; call settled(panel) first"
            )
        return self.lags, self.form


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class HorizonForecaster(NetworkForecaster):
    """Says the whole horizon in one call of its network. A subclass defines `network` and `numbers`."""

    def numbers(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> Array:
        """Computes the likelihood's numbers of the horizon in training, `[rows, horizon, size]`."""
        raise NotImplementedError

    def costs(
        self, params: Params, batch: Any, rng: KeyArray, step: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Computes the loss of each value of the horizon."""
        raw = self.numbers(params, batch, rng, step)
        costs = self.likelihood.loss(
            raw, batch["values"][:, -self.horizon :], batch["scale"][:, None]
        )
        return costs, batch["seen"][:, -self.horizon :]

    def forecast(self, params: Params, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """Forecasts what comes after the cuts of some windows, minus their `loc`."""
        raw = _said(self, params, dict(batch))
        return Forecast.of_numbers(self.likelihood, raw, jnp.asarray(batch["scale"]), key)

    def point(self, params: Params, batch: Mapping[str, Any]) -> jax.Array:
        """Computes the likelihood's mean of each step of the horizon."""
        raw = self._apply(params, batch)
        return self.likelihood.mean(self.likelihood.parameters(raw, batch["scale"][:, None]))


@functools.partial(jax.jit, static_argnums=0)
def _initial(network: nn.Module, key: KeyArray, fake: Mapping[str, Array]) -> Any:
    """Draws the variables of a network; one that was drawn before is not compiled again."""
    return network.init(key, fake)


@functools.partial(jax.jit, static_argnums=0)
def _said(forecaster: HorizonForecaster, params: Params, batch: Any) -> Array:
    return forecaster._apply(params, batch)


def _check_counts(panel: Panel, likelihood: Likelihood) -> None:
    """Refuses values that are no counts, where the likelihood is of counts."""
    if not isinstance(likelihood, Poisson | NegativeBinomial):
        return
    for place, values in enumerate(panel.values):
        wrong = np.flatnonzero((values < 0) | (values % 1 > 0))
        if len(wrong):
            at = panel.times(place, len(values))[wrong[0]]
            raise ValueError(
                f"{values[wrong[0]]:g} of the series {panel.names[place]!r} at {at} is no count; "
                f"{likelihood} wants whole numbers from 0, take another likelihood"
            )
