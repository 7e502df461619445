"""Series of data sets and of tables, and how they are cut."""

import dataclasses

import numpy as np
import pytest

from seqjax import forecasting
from seqjax.forecasting import Columns, LoadedPanel, Panel, SeriesOptions, TableOptions
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


@pytest.fixture
def wide(tmp_path):
    """A table of two columns of numbers, whose first ends earlier, and a row that is still to come."""
    rows = [f"2024-01-{n + 1:02},{n if n < 18 else ''},{2 * n + 1},{n % 2}" for n in range(20)]
    path = tmp_path / "wide.csv"
    path.write_text("\n".join(["day,low,high,open", *rows, "2024-01-21,,,1"]) + "\n")
    return path


def test_columns_are_series(wide):
    options = SeriesOptions(csv=str(wide), time="day", known="open", multivariate=True)
    loaded = options.load(None)
    panel = loaded.panel
    assert panel.names == ("low", "high") and panel.lengths.tolist() == [20, 20]
    np.testing.assert_array_equal(panel.values[1], 2 * np.arange(20) + 1)
    np.testing.assert_array_equal(panel.values[0], [*range(18), np.nan, np.nan])
    assert [known.shape for known in panel.known] == [(21, 1), (21, 1)]
    assert panel.columns == Columns(("low", "high"), "day", known=("open",))
    assert loaded.is_multivariate and len(loaded.split(2, None).test) == 4 - 2 + 1
    by_folds = loaded.split(2, 2)
    assert by_folds.test == (4, 2) and len(by_folds.units[0]) == 2
    every = SeriesOptions(csv=str(wide), time="day", multivariate=True).load(None).panel
    assert every.names == ("low", "high", "open")
    some = SeriesOptions(csv=str(wide), time="day", multivariate=True, target="high, low")
    assert some.load(None).panel.names == ("high", "low")


def test_columns_that_are_no_series(wide):
    with pytest.raises(ValueError, match="series and static go with one target"):
        SeriesOptions(csv=str(wide), time="day", multivariate=True, static="open").load(None)
    with pytest.raises(ValueError, match="the target 'open' is among the columns known"):
        forecasting.read_panel(wide, ("low", "open"), "day", known=["open"])
    with pytest.raises(
        ValueError, match="no column is left to forecast beside day, low, high, open"
    ):
        forecasting.read_panel(wide, None, "day", known=["low", "high", "open"])
    with pytest.raises(ValueError, match="no column 'mid'; the columns are day, low, high, open"):
        forecasting.read_panel(wide, ("low", "mid"), "day")
    with pytest.raises(ValueError, match="m4_hourly has many series as it is"):
        forecasting.load_panel("m4_hourly", None, True)
    with pytest.raises(ValueError, match="--csv wants --time COLUMN"):
        SeriesOptions(csv=str(wide), multivariate=True).load(None)


def test_a_table_of_ett_is_told_by_its_columns():
    names = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    values = [np.arange(14_500.0)] * 7
    starts = np.array(["2016-07-01"] * 7, "datetime64[s]")
    panel = Panel(values, names, np.timedelta64(3600, "s"), starts, columns=Columns(names, "date"))
    split = LoadedPanel(panel, "a.csv").split(96, None)
    assert split.panel.lengths[0] == 14_400 and len(split.test) == 2880 - 96 + 1
    days = dataclasses.replace(panel, step=np.timedelta64(86_400, "s"))
    short = dataclasses.replace(panel, values=[values[0][:9000]] * 7)
    for other in (days, short):
        length = other.lengths[0]
        split = LoadedPanel(other, "a.csv").split(96, None)
        assert split.panel.lengths[0] == length and max(split.test) == length // 5
