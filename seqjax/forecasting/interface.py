"""The interface of every forecaster.

A forecaster is a frozen dataclass of settings, and a task like every other one of seqjax. `fit`
gives a `seqjax.Trained`, which forecasts any panel of the same form:

    trained = DeepAR(context=168, horizon=48).fit(panel)
    forecast = trained.predict(panel)
    low, high = forecast.interval(0.9)
    trained.save("demand")
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

from seqjax.forecasting.columns import Columns
from seqjax.forecasting.forecast import Forecast
from seqjax.forecasting.held_out import HeldOut
from seqjax.forecasting.panel import Panel
from seqjax.forecasting.report import write_report
from seqjax.forecasting.tables import read_panel
from seqjax.forecasting.windows import PanelWindows
from seqjax.tasks import Report, Trained
from seqjax.training import Recipe
from seqjax.typing import KeyArray, Params

ROWS = 512
"""Windows forecast at once."""

RECIPE = Recipe(steps=2000, batch_size=64, learning_rate=1e-3, clip=10.0, average=0.99)
"""How a network is trained where nothing else is said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecaster:
    """Forecasts the series of a panel. A subclass defines `fit`, `init`, `windows` and `forecast`.

    Attributes:
      horizon: steps to forecast.
    """

    horizon: int

    monitor: ClassVar[tuple[str, ...]] = ("error",)
    unit: ClassVar[str] = "windows"
    batch_size: ClassVar[int] = 64
    name: ClassVar[str] = "forecaster"
    """In tables of scores."""

    def fit(self, panel: Panel, recipe: Recipe = RECIPE) -> Trained:
        """Learns from a panel.

        Args:
          panel: all of it is learnt from: keep back what is to judge the forecasts, for example by
            `Panel.until`.
          recipe: how a network is trained; ignored by forecasters that are not networks.

        Raises:
          ValueError: no series is long enough, or settings do not go together.
        """
        raise NotImplementedError

    def init(self, key: KeyArray) -> Params:
        """Makes fresh parameters."""
        raise NotImplementedError

    def windows(self, panel: Panel) -> PanelWindows:
        """Makes the windows that the forecaster looks at.

        Raises:
          ValueError: the panel is not of the form that was learnt (what differs).
        """
        raise NotImplementedError

    def forecast(self, params: Params, batch: Mapping[str, np.ndarray], key: KeyArray) -> Forecast:
        """Forecasts what comes after the cuts of some windows, minus their `loc`."""
        raise NotImplementedError

    def point(self, params: Params, batch: Mapping[str, Any]) -> jax.Array:
        """Computes the middle of the forecasts of some windows, minus their `loc`, `[rows, horizon]`.

        It draws nothing and can be differentiated: what `seqjax.forecasting.explain` follows.
        """
        raise NotImplementedError

    def batches(self, examples: Any, **options: Any) -> Any:
        """Refuses: only a network learns from batches.

        Raises:
          TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} learns at once; call its fit(panel)")

    def loss(self, params: Params, batch: Any, rng: KeyArray, step: Any) -> tuple[jax.Array, Any]:
        """Refuses: only a network learns from batches.

        Raises:
          TypeError: always.
        """
        raise TypeError(f"{type(self).__name__} learns at once; call its fit(panel)")

    @property
    def columns(self) -> Columns | None:
        """The columns of the table that was learnt; None where there was none."""
        return None

    def read(self, table: str | os.PathLike, **columns: Any) -> Panel:
        """Reads a table to forecast, by the columns that were learnt.

        Args:
          table: the file, see `seqjax.forecasting.read_panel`.
          **columns: names that differ from those learnt, such as `target` and `time`.

        Raises:
          ValueError: a column is not known, or the table cannot be read.
        """
        names: dict[str, Any] = {}
        if self.columns is not None:
            names = dataclasses.asdict(self.columns)
        names |= columns
        for column in ("target", "time"):
            if names.get(column) is None:
                raise ValueError(
                    f"{table}: no table was learnt, so say which column is the {column}: "
                    f"{column}= or --{column} COLUMN"
                )
        return read_panel(table, **names)

    def predict(
        self,
        params: Params,
        inputs: Panel | str | os.PathLike,
        *,
        ago: int | Iterable[int] = 0,
        seed: int = 0,
    ) -> Forecast:
        """Forecasts every series from its end, or from where it stood some steps ago.

        Args:
          params: what was learnt.
          inputs: a panel, or a table for `read`; nothing after a cut is looked at but what is known
            beforehand.
          ago: steps before the end of the series at which to cut them, one number or several.
          seed: of what is drawn.

        Returns:
          A `Forecast` with a row for each series, cut after cut.

        Raises:
          ValueError: a series has not begun so many steps ago, or the panel is not of the form that
            was learnt.
        """
        panel = inputs
        if not isinstance(panel, Panel):
            panel = self.read(panel)
        back = np.atleast_1d(np.asarray(ago if isinstance(ago, int) else list(ago)))
        series = np.tile(np.arange(len(panel)), len(back))
        cuts = panel.lengths[series] - np.repeat(back, len(panel))
        forecast = self.predict_at(params, panel, series, cuts, seed=seed)
        return dataclasses.replace(forecast, panel=panel)

    def predict_at(
        self, params: Params, panel: Panel, series: np.ndarray, cuts: np.ndarray, *, seed: int = 0
    ) -> Forecast:
        """Forecasts these series at these cuts, each `[rows]`: a cut is the number of values before it."""
        if cuts.min() < 1:
            name = panel.names[int(series[cuts.argmin()])]
            raise ValueError(
                f"the series {name!r} has no value before step {cuts.min()}; forecast from a later one"
            )
        windows, key, parts = self.windows(panel), jax.random.key(seed), []
        for start in range(0, len(cuts), ROWS):
            rows = np.arange(start, min(start + ROWS, len(cuts)))
            # The last row again and again, so that few shapes are compiled.
            filled = np.pad(rows, (0, _rounded(len(rows)) - len(rows)), mode="edge")
            batch = windows.at(series[filled], cuts[filled])
            found = self.forecast(params, batch, jax.random.fold_in(key, start))
            found = found.moved(batch["loc"].astype(np.float64)).rows(slice(len(rows)))
            parts.append(dataclasses.replace(found, series=series[rows], cuts=cuts[rows]))
        forecast = Forecast.join(parts)
        return forecast.moved(*windows.units_of(forecast.series))

    def sizes(self, panel: Panel, series: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        """Measures the values before these cuts, `[rows]`: what intervals are counted in.

        Fewer values than are forecast say little of how far the next ones may go.
        """
        windows, parts = self.windows(panel), []
        if windows.context < self.horizon:
            windows = PanelWindows(panel.bare(), self.horizon, self.horizon, scaling="standard")
        for start in range(0, len(cuts), ROWS):
            rows = slice(start, start + ROWS)
            parts.append(windows.at(series[rows], cuts[rows])["scale"].astype(np.float64))
        return np.concatenate(parts) * windows.units_of(series)[1]

    def evaluate(self, params: Params, examples: Panel | HeldOut) -> dict[str, float]:
        """Scores parameters.

        Args:
          params: what was learnt.
          examples: what is held out; the last horizon of a panel.

        Returns:
          `error`, and `nd`, `mase` and `rmse` where they are defined. The error is the score that
          `HeldOut.monitor` names. Else it is MASE of many
          series; of one it is its quantile loss, or the root of the mean squared error of a
          forecast without spread. The quantile loss of many series would hear the largest alone.
        """
        held_out = HeldOut.of(examples, self.horizon)
        scores = held_out.scores(Trained(self, params))
        error = scores.get("wql", scores.get("rmse", float("inf")))
        if len(held_out.panel) > 1:
            error = scores.get("mase", error)
        if held_out.monitor is not None:
            error = scores[held_out.monitor]
        shown = {name: scores[name] for name in ("nd", "mase", "rmse") if name in scores}
        return {"error": error, **shown}

    def report(
        self, params: Params, examples: Panel | HeldOut, folder: str | os.PathLike
    ) -> Report:
        """Scores on what is held out, and writes scores, predictions and pictures.

        Args:
          params: what was learnt.
          examples: what is held out; the last horizon of a panel.
          folder: where to write.
        """
        held_out = HeldOut.of(examples, self.horizon)
        return write_report(Path(folder), held_out, {self.name: Trained(self, params)})


def _rounded(rows: int) -> int:
    """Rounds up to a power of two, and from 64 on to a multiple of 64."""
    if rows > 64:
        return -(-rows // 64) * 64
    return max(8, 1 << (rows - 1).bit_length())
