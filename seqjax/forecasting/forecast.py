"""`Forecast`: what a forecaster says of the values to come, whatever made it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from seqjax.losses.likelihoods import (
    Laplace,
    Likelihood,
    NegativeBinomial,
    Normal,
    Poisson,
    Quantile,
    SquaredError,
    StudentT,
)
from seqjax.typing import KeyArray

LEVELS = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)
"""The levels that forecasters give quantiles of: the deciles, and the ends of the 50 and 90 % intervals."""

SHARES = (0.2, 0.4, 0.5, 0.6, 0.8, 0.9)
"""The shares of the intervals between two of them."""

LIKELIHOODS: dict[str, Likelihood] = {
    "student_t": StudentT(),
    "normal": Normal(),
    "laplace": Laplace(),
    "negative_binomial": NegativeBinomial(),
    "poisson": Poisson(),
    "quantile": Quantile(LEVELS),
    "point": SquaredError(),
    "median": Quantile((0.5,)),
}
"""What may be said of a value, by name."""

DRAWS = 400
"""Draws that the quantiles of a distribution are taken of."""


@dataclasses.dataclass(frozen=True, eq=False)
class Forecast:
    """Forecasts of some windows, each of a series as it stood at a cut.

    Attributes:
      mean: the expected values, `[rows, horizon]`.
      quantiles: `[rows, horizon, levels]`, ascending; of a point forecast the point.
      levels: of the quantiles, ascending; `(0.5,)` for a point forecast.
      samples: whole paths, `[rows, paths, horizon]`, for what depends on several steps together;
        None where there are only steps one by one.
      series: which series of the panel each row is of, int `[rows]`.
      cuts: how many of its values came before, int `[rows]`.
      panel: the series that were forecast, for `plot`, `to_frame` and `to_columns`; None where it
        is not known.
    """

    mean: np.ndarray
    quantiles: np.ndarray
    levels: tuple[float, ...] = (0.5,)
    samples: np.ndarray | None = None
    series: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    cuts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))
    panel: Any = None

    @classmethod
    def of_points(cls, points: np.ndarray) -> "Forecast":
        """Makes a forecast without any spread of `points` `[rows, horizon]`."""
        return cls(points, points[..., None])

    @classmethod
    def of_samples(cls, samples: np.ndarray, levels: Sequence[float] = LEVELS) -> "Forecast":
        """Summarises paths `[rows, paths, horizon]`."""
        quantiles = np.moveaxis(np.quantile(samples, levels, axis=1), 0, -1)
        return cls(samples.mean(1), quantiles, tuple(levels), samples)

    @classmethod
    def of_numbers(
        cls, likelihood: Likelihood, raw: jax.Array, scale: jax.Array, key: KeyArray
    ) -> "Forecast":
        """Makes the forecast that a network's numbers `[rows, horizon, size]` stand for, step by step."""
        parameters = likelihood.parameters(raw, scale[:, None])
        mean = np.asarray(likelihood.mean(parameters), np.float64)
        match likelihood:
            case SquaredError():
                return cls.of_points(mean)
            case Quantile():
                return cls(mean, np.asarray(parameters[0], np.float64), likelihood.levels)
        draws = jax.vmap(lambda key: likelihood.sample(key, parameters))(
            jax.random.split(key, DRAWS)
        )
        quantiles = np.quantile(np.asarray(draws, np.float64), LEVELS, axis=0)
        return cls(mean, np.moveaxis(quantiles, 0, -1), LEVELS)

    @classmethod
    def join(cls, parts: Sequence["Forecast"]) -> "Forecast":
        """Joins forecasts of one kind, row after row."""
        names = ("mean", "quantiles", "samples", "series", "cuts")
        columns = {name: [getattr(part, name) for part in parts] for name in names}
        joined = {
            name: None if column[0] is None else np.concatenate(column)
            for name, column in columns.items()
        }
        return cls(levels=parts[0].levels, panel=parts[0].panel, **joined)  # pyright: ignore[reportArgumentType]

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def median(self) -> np.ndarray:
        """The forecast that the absolute error asks for, `[rows, horizon]`."""
        return self.quantile(0.5)

    def quantile(self, level: float) -> np.ndarray:
        """Returns the quantile at `level`, `[rows, horizon]`, interpolated linearly between stored levels.

        Raises:
          ValueError: the level lies beyond those that are known.
        """
        level = round(level, 9)  # (1 - 0.9) / 2 is not quite 0.05
        if self.samples is not None and level not in self.levels:
            return np.quantile(self.samples, level, axis=1)
        if not self.levels[0] <= level <= self.levels[-1]:
            known = (
                f"{self.levels[0]:g} to {self.levels[-1]:g}"
                if len(self.levels) > 1
                else "a point, no spread"
            )
            raise ValueError(
                f"quantile {level:g}: the forecast gives {known}; `conformal` puts intervals around it"
            )
        above = int(np.searchsorted(self.levels, level))
        if self.levels[above] == level:
            return self.quantiles[..., above]
        low, high = self.levels[above - 1 : above + 1]
        share = (level - low) / (high - low)
        return (1 - share) * self.quantiles[..., above - 1] + share * self.quantiles[..., above]

    def interval(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns the central interval that holds this share of the values: `(low, high)`, each `[rows, horizon]`.

        Raises:
          ValueError: its ends lie beyond the levels that are known.
        """
        return self.quantile((1 - share) / 2), self.quantile((1 + share) / 2)

    @property
    def spread(self) -> bool:
        """Whether there are quantiles beside the median."""
        return len(self.levels) > 1

    def plot(self, rows: Sequence[int] | None = None, *, history: int | None = None) -> Any:
        """Draws forecasts with their 50 and 90 % intervals, over the history before them and beside what came.

        Args:
          rows: which ones; None for the last six.
          history: steps to show before the cut; None for three horizons.

        Returns:
          A matplotlib figure.

        Raises:
          ValueError: the panel is not known.
        """
        from seqjax.forecasting.plots import plot_forecasts

        if rows is None:
            rows = range(max(0, len(self) - 6), len(self))
        return plot_forecasts(self._known_panel(), self, rows, history or 3 * self.mean.shape[1])

    def to_columns(self) -> dict[str, np.ndarray]:
        """Lays out all values as columns of equal length, see `seqjax.forecasting.lines.columns_of`.

        A frame of any library takes them: `polars.DataFrame(forecast.to_columns())`.

        Raises:
          ValueError: the panel is not known.
        """
        from seqjax.forecasting.lines import columns_of

        return columns_of(self._known_panel(), self)

    def to_frame(self) -> Any:
        """Makes a frame of pandas of `to_columns`.

        Raises:
          ImportError: there is no pandas.
          ValueError: the panel is not known.
        """
        try:
            import pandas
        except ImportError as error:
            wanted = "to_frame wants pandas: pip install pandas; to_columns wants nothing"
            raise ImportError(wanted) from error
        return pandas.DataFrame(self.to_columns())

    def _known_panel(self) -> Any:
        if self.panel is None:
            raise ValueError(
                "the forecast does not know its panel; dataclasses.replace(forecast, panel=panel)"
            )
        return self.panel

    def row(self, index: int) -> "Forecast":
        """Selects one row, still with its first axis."""
        return self.rows(slice(index, index + 1))

    def rows(self, chosen: slice | np.ndarray) -> "Forecast":
        """Selects some rows."""
        names = ("mean", "quantiles", "samples", "series", "cuts")
        arrays = {name: getattr(self, name) for name in names}
        return dataclasses.replace(
            self, **{name: None if a is None else a[chosen] for name, a in arrays.items()}
        )

    def moved(self, loc: np.ndarray | float, scale: np.ndarray | float = 1.0) -> "Forecast":
        """Gives the forecast times `scale`, then `loc` higher, each a number or one for each row."""
        return self._with(lambda values, loc, scale: scale * values + loc, loc, scale)

    def standardised(self, loc: np.ndarray | float, scale: np.ndarray | float) -> "Forecast":
        """Gives the forecast minus `loc`, over `scale`, each a number or one for each row."""
        return self._with(lambda values, loc, scale: (values - loc) / scale, loc, scale)

    def _with(
        self,
        change: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
        loc: np.ndarray | float,
        scale: np.ndarray | float,
    ) -> "Forecast":
        """Changes all values by what each row has of `loc` and `scale`."""
        # Both [rows, 1], and for quantiles and samples [rows, 1, 1].
        loc, scale = (np.broadcast_to(part, len(self))[:, None] for part in (loc, scale))
        samples = self.samples
        if samples is not None:
            samples = change(samples, loc[..., None], scale[..., None])
        return dataclasses.replace(
            self,
            mean=change(self.mean, loc, scale),
            quantiles=change(self.quantiles, loc[..., None], scale[..., None]),
            samples=samples,
        )
