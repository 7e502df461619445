"""Series of data sets and of tables, and how they are cut."""

import numpy as np
import pytest

from seqjax import forecasting
from seqjax.forecasting import Columns, LoadedPanel, SeriesOptions, TableOptions
from tests.forecasting.panels import waves


@pytest.fixture
def years(tmp_path):
    """A table of sixty years."""
    rows = [f"{1700 + n},{n % 11}.5" for n in range(60)]
    path = tmp_path / "years.csv"
    path.write_text("\n".join(["year,sunspots", *rows]) + "\n")
    return path


def test_columns_are_kept_with_what_was_read(years):
    panel = forecasting.read_panel(years, "sunspots", "year")
    assert panel.columns == Columns("sunspots", "year")
    options = SeriesOptions(csv=str(years), target="sunspots", time="year")
    loaded = options.load(None)
    assert loaded.panel.fingerprint() == panel.fingerprint() and loaded.origin == str(years)


def test_names_stand_with_commas_between():
    options = TableOptions(target="a", known="b, c ,", time_format="%d")
    assert options.columns() == {"target": "a", "known": ("b", "c"), "time_format": "%d"}


def test_options_that_want_each_other(years):
    with pytest.raises(ValueError, match="--time, .* and --static go with --csv FILE"):
        SeriesOptions(known="a").load(None)
    with pytest.raises(ValueError, match="--csv wants --target COLUMN and --time COLUMN"):
        SeriesOptions(csv=str(years), target="sunspots").load(None)
    with pytest.raises(ValueError, match="the target 'year' is among the columns known"):
        forecasting.read_panel(years, "year", "year", past=["year"])
    with pytest.raises(ValueError, match="'nile' is unknown; choose one of vic_elec, etth1,"):
        forecasting.load_panel("nile")


def test_a_data_set_may_have_a_season_and_cuts_of_its_own():
    panel = waves(step=np.timedelta64(4, "h"))
    assert LoadedPanel(panel, "made up").season == 6
    assert LoadedPanel(panel, "made up", "sunspots").season == 11
    split = LoadedPanel(panel, "made up", "sunspots").split(horizon=4, folds=2)
    assert (split.test, split.season) == ((8, 4), 11)
    hours = LoadedPanel(waves(series=1, steps=14_405, step=np.timedelta64(1, "h")), "", "etth1")
    assert len(hours.split(24, None).test) == 2880 - 24 + 1
    with pytest.raises(ValueError, match="the cuts of etth1 are published, one an hour"):
        hours.split(24, 4)
