"""`Split`: which part of a panel is learnt, which chooses among what was learnt, and which judges."""

import dataclasses

from seqjax.forecasting.panel import Panel


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A panel and the times at which it is cut, each time in steps before the end of every series.

    Attributes:
      panel: the series with all that came.
      season: of the naive forecast and of MASE.
      validation: cuts to choose by and to calibrate on; the earliest one ends what is learnt.
      test: cuts to judge by.
      units: `(loc, scale)` that the values were standardised by.
    """

    panel: Panel
    season: int
    validation: tuple[int, ...]
    test: tuple[int, ...]
    units: tuple[float, float] = (0.0, 1.0)

    @property
    def train(self) -> Panel:
        """What is learnt from."""
        return self.panel.until(max(self.validation))

    @classmethod
    def by_folds(cls, panel: Panel, season: int, horizon: int, folds: int) -> "Split":
        """The last `folds` horizons judge, as many before them choose, and no value is forecast twice.

        Raises:
          ValueError: a series is too short (which, its length, and what it takes).
        """
        wanted = 2 * folds * horizon + 1
        for name, length in zip(panel.names, panel.lengths, strict=True):
            if length < wanted or panel.lengths.max() < wanted + horizon:
                whole = wanted + (horizon if length >= wanted else 0)
                raise ValueError(
                    f"the series {name!r} has {length} values; {folds} folds of {horizon} to judge by, as many to "
                    f"choose by and some to learn want {whole}: give longer series, fewer folds or a shorter horizon"
                )
        cuts = tuple(horizon * fold for fold in range(2 * folds, 0, -1))
        return cls(panel, season, cuts[:folds], cuts[folds:])
