"""`SeriesOptions`: which series are learnt or forecast, as options of a command line."""

import dataclasses
import os
from typing import Any

from seqjax.forecasting.public import DATA_SETS, LoadedPanel, load_panel
from seqjax.forecasting.tables import read_panel
from seqjax.training import Options, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableOptions(Options):
    """Names the columns of a table, see `seqjax.forecasting.read_panel`.

    Attributes:
      target: the column to forecast.
      time: the column of times.
      time_format: how they are written.
      series: the column that names the series.
      known: columns known beforehand, with commas between.
      past: columns known only afterwards, with commas between.
      static: columns that say what a series is, with commas between.
    """

    target: str | None = option(None, "column of the table to forecast")
    time: str | None = option(None, "its column of times")
    time_format: str | None = option(None, "how they are written, as %m/%d/%Y; else ISO 8601")
    series: str | None = option(None, "its column that names the series; else it is one")
    known: str | None = option(None, "its columns known beforehand, with commas between")
    past: str | None = option(None, "its columns known only afterwards, with commas between")
    static: str | None = option(None, "its columns that say what a series is, with commas between")

    def columns(self) -> dict[str, Any]:
        """Lists the columns that are named, as `read_panel` takes them."""
        found: dict[str, Any] = {}
        for field in dataclasses.fields(TableOptions):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name in ("known", "past", "static"):
                value = _names(value)
            found[field.name] = value
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesOptions(TableOptions):
    """Says which series are learnt: those of a data set, or of a user's table.

    Attributes:
      dataset: a name of `seqjax.forecasting.load_panel`.
      csv: a table in place of it.
      fill_gaps: put in the rows of the table that are missing between two others.
      multivariate: each column is a series.
    """

    dataset: str = option("vic_elec", "data set, with defaults of its own", choices=DATA_SETS)
    csv: str | None = option(None, "table to learn in place of the data set", metavar="FILE")
    fill_gaps: bool = option(False, "put in rows that are missing between two others")
    multivariate: bool = option(False, "each column (or those of --target a,b) is a series")

    def load(self, data_dir: str | os.PathLike | None) -> LoadedPanel:
        """Reads the series.

        Args:
          data_dir: the local folder of data sets.

        Raises:
          ValueError: options want another one, or the table cannot be read.
        """
        columns = self.columns()
        if self.csv is None:
            if columns:
                words = "--target, --time, --time-format, --series, --known, --past and --static"
                raise ValueError(f"{words} go with --csv FILE")
            return load_panel(self.dataset, data_dir, self.multivariate)
        if self.multivariate:
            columns["target"] = _names(self.target)
            if "time" not in columns:
                raise ValueError("--csv wants --time COLUMN")
        if not columns.keys() >= {"target", "time"}:
            raise ValueError("--csv wants --target COLUMN and --time COLUMN")
        panel = read_panel(self.csv, **columns, fill_gaps=self.fill_gaps)
        return LoadedPanel(panel, self.csv)


def _names(text: str | None) -> tuple[str, ...] | None:
    """Splits names with commas between; None where none are given."""
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())
