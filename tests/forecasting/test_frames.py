"""Panels from frames, gaps that are filled, and forecasts as frames."""

import datetime
import sys

import numpy as np
import pandas
import pytest

from seqjax import forecasting
from seqjax.forecasting import Forecast, SeasonalNaive
from tests.forecasting.panels import waves

DAYS = [datetime.date(2024, 1, day) for day in (1, 2, 3, 6, 7, 8)]
SOLD = [4.0, 5.0, float("nan"), 7.0, 8.0, 9.0]


def table(tmp_path):
    path = tmp_path / "sold.csv"
    cells = ["" if value != value else f"{value}" for value in SOLD]
    rows = [f"{day},{cell},{day.day % 2}" for day, cell in zip(DAYS, cells, strict=True)]
    path.write_text("\n".join(["day,sold,odd", *rows]) + "\n")
    return path


def frame():
    return pandas.DataFrame(
        {"day": pandas.to_datetime(DAYS), "sold": SOLD, "odd": [day.day % 2 for day in DAYS]}
    )


def same(one, other):
    assert one.fingerprint() == other.fingerprint()


def test_frames_are_read_as_files_are(tmp_path):
    columns = {"target": "sold", "time": "day", "known": ["odd"], "fill_gaps": True}
    panel = forecasting.read_panel(table(tmp_path), **columns)
    same(forecasting.read_frame(frame(), **columns), panel)
    same(forecasting.read_frame(frame().set_index("day"), **columns), panel)
    same(forecasting.read_frame(frame().to_dict("list"), **columns), panel)
    dates = {"day": DAYS, "sold": SOLD, "odd": [day.day % 2 == 1 for day in DAYS]}
    same(forecasting.read_frame(dates, **columns), panel)


def test_gaps_are_filled_on_demand(tmp_path):
    path = table(tmp_path)
    with pytest.raises(ValueError, match="line 5: .* 2 rows are missing .*fill_gaps=True"):
        forecasting.read_panel(path, "sold", "day")
    panel = forecasting.read_panel(path, "sold", "day", known=["odd"], fill_gaps=True)
    np.testing.assert_array_equal(panel.values[0], [4, 5, np.nan, np.nan, np.nan, 7, 8, 9])
    # What is known of a row put in is that of the row before.
    np.testing.assert_array_equal(panel.known[0][:, 0], [1, 0, 1, 1, 1, 0, 1, 0])
    assert str(panel.times(0, 8)[-1])[:10] == "2024-01-08"


@pytest.mark.parametrize("twice", ["2024-01-02", "2024-01-01T07"])
def test_what_is_no_gap_is_still_refused(twice):
    days = {"day": ["2024-01-01", "2024-01-02", twice, "2024-01-04"], "sold": [1, 2, 3, 4]}
    with pytest.raises(ValueError, match="the frame, line 3: .*(second time|is before|after the)"):
        forecasting.read_frame(days, "sold", "day", fill_gaps=True)


def test_a_frame_is_fitted_and_forecast(capsys):
    hours = pandas.date_range("2024-01-01", periods=240, freq="h")
    load = 10 + np.sin(np.arange(240) * np.pi / 12)
    trained = forecasting.fit(
        pandas.DataFrame({"hour": hours, "load": load}), target="load", time="hour", minutes=0
    )
    assert "chosen: Blend" in capsys.readouterr().err
    panel = forecasting.read_frame({"hour": hours, "load": load}, "load", "hour")
    found = trained.predict(panel).to_frame()
    assert list(found.columns[:5]) == ["series", "time", "steps_ahead", "value", "mean"]
    assert len(found) == 24 and found["time"].iloc[0] == pandas.Timestamp("2024-01-11")
    np.testing.assert_allclose(found["q0.5"], load[:24], atol=0.2)
    same_again = forecasting.fit(panel, horizon=24, minutes=0, quiet=True)
    assert same_again.task == trained.task
    assert capsys.readouterr().err == ""


def test_a_forecast_draws_itself():
    panel = waves(series=2, steps=40)
    found = SeasonalNaive(horizon=3, season=6).fit(panel).predict(panel, ago=[3])
    figure = found.plot()
    assert [axis.get_title()[:2] for axis in figure.axes] == ["a,", "b,"]
    columns = found.to_columns()
    np.testing.assert_array_equal(columns["value"], np.concatenate([v[-3:] for v in panel.values]))
    assert columns["series"].tolist() == ["a"] * 3 + ["b"] * 3


def test_mistakes(monkeypatch):
    with pytest.raises(TypeError, match="a list is no frame; give a file, a frame of pandas"):
        forecasting.fit([1, 2], target="a", time="b")
    with pytest.raises(ValueError, match="which column is the time"):
        forecasting.fit({"a": [1]}, target="a")
    with pytest.raises(ValueError, match="the frame, line 1: no column 'c'; the columns are a, b"):
        forecasting.fit({"a": [1], "b": [2]}, target="c", time="a")
    with pytest.raises(ValueError, match="the frame: 'b' has 1 rows, others 2"):
        forecasting.read_frame({"a": [1, 2], "b": [2]}, "a", "b")
    with pytest.raises(ValueError, match="a panel has its columns already"):
        forecasting.fit(waves(), target="a")
    with pytest.raises(ValueError, match="does not know its panel"):
        Forecast.of_points(np.zeros((1, 2))).to_columns()
    monkeypatch.setitem(sys.modules, "pandas", None)
    found = SeasonalNaive(horizon=3, season=6).fit(waves()).predict(waves())
    with pytest.raises(ImportError, match="to_frame wants pandas"):
        found.to_frame()
