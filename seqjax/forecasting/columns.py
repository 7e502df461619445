"""`Columns`: the names of a table's columns, kept with what was learnt of it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names the columns of a table, see `seqjax.forecasting.read_panel`.

    Attributes:
      target: the column to forecast; several are a series each; None for all that are left.
      time: the column of times.
      series: the column that names the series; None where all rows are one.
      known: columns known beforehand.
      past: columns known only afterwards.
      static: columns that say what a series is.
      time_format: how times are written; None for ISO 8601.
    """

    target: str | tuple[str, ...] | None
    time: str
    series: str | None = None
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    time_format: str | None = None
