"""Panels from tables: what is read, and where a complaint points."""

import numpy as np
import pytest

from seqjax.data import parse_time, read_panel

HOURLY = """time,shop,sold,price,warm
2024-01-01T00:00:00Z,a,1,5,20
2024-01-01T01:00:00Z,a,,5,21
2024-01-01T02:00:00Z,a,3,6,22
2024-01-01T03:00:00Z,a,,7,
2024-01-01 00:30,b,2.5,1,-1
2024-01-01 01:30,b,-4,1,-2
"""


def read(tmp_path, text, **options):
    path = tmp_path / "a.csv"
    path.write_text(text)
    return read_panel(path, **{"target": "sold", "time": "time", **options})


def test_series_with_gaps_covariates_and_a_future(tmp_path):
    panel = read(tmp_path, HOURLY, series="shop", known=["price"], past=["warm"])
    assert panel.names == ("a", "b") and panel.step == np.timedelta64(1, "h")
    np.testing.assert_array_equal(panel.values[0], [1, np.nan, 3])
    np.testing.assert_array_equal(panel.values[1], [2.5, -4])
    np.testing.assert_array_equal(panel.known[0], [[5], [5], [6], [7]])
    np.testing.assert_array_equal(panel.past[0], [[20], [21], [22]])
    assert [str(panel.times(s, 2)[1]) for s in (0, 1)] == ["2024-01-01T01:00:00", "2024-01-01T01:30:00"]


def test_what_a_series_is_is_numbered_as_it_comes_or_as_another_panel_has_it(tmp_path):
    text = HOURLY.replace("warm\n", "warm,region\n").replace("0\n2", "0,hills\n2").replace("1\n2", "1,hills\n2")
    text = text.replace("2\n2", "2,hills\n2").replace(",\n", ",,hills\n").replace("-1,hills", "-1,coast")
    text = text.replace("-2\n", "-2,coast\n")
    panel = read(tmp_path, text, series="shop", static=["region", "shop"])
    np.testing.assert_array_equal(panel.categories, [[0, 0], [1, 1]])
    assert panel.kinds == {"region": ("hills", "coast"), "shop": ("a", "b")}
    other = panel.numbered({"region": ("plain", "coast", "hills"), "shop": ("b", "a")})
    np.testing.assert_array_equal(other.categories, [[2, 1], [1, 0]])
    assert other.kinds["region"] == ("plain", "coast", "hills")
    with pytest.raises(ValueError, match="the series 'b' is of region 'coast', which was not learnt; known are hills"):
        panel.numbered({"region": ("hills",), "shop": ("a", "b")})
    with pytest.raises(ValueError, match="a.csv, line 3: 'sea' in 'region', 'hills' above; a series has one of them"):
        read(tmp_path, text.replace("21,hills", "21,sea"), series="shop", static=["region"])


@pytest.mark.parametrize(
    ("times", "step", "last"),
    [
        (["2023-11-30", "2023-12-01", "2023-12-02"], (86400, "s"), "2023-12-02T00:00:00"),
        (["2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01"], (1, "M"), "2024-02"),
        (["2023-01", "2023-04", "2023-07"], (3, "M"), "2023-07"),
        (["1700", "1701", "1702"], (12, "M"), "1702-01"),
        (["20240101", "20240108"], (604800, "s"), "2024-01-08T00:00:00"),
        (["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"], (3600, "s"), "2024-03-31T01:00:00"),
    ],
)
def test_steps(tmp_path, times, step, last):
    panel = read(tmp_path, "time,sold\n" + "".join(f"{t},{n}\n" for n, t in enumerate(times)))
    assert panel.step == np.timedelta64(*step) and panel.names == ("sold",)
    assert str(panel.times(0, len(times))[-1]) == last


def test_times():
    assert parse_time("2024-01-01T10:00+02:00") == parse_time("2024-01-01 08:00") == np.datetime64("2024-01-01T08")
    with pytest.raises(ValueError):
        parse_time("1/2/2024")


DAYS = "time,sold,x\n2024-01-01,1,1\n2024-01-02,2,1\n2024-01-03,3,1\n2024-01-04,4,1\n2024-01-05,,1\n2024-01-06,6,1\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("3,1\n2024", "3,1\n2024-01-03,9,1\n2024"), "line 5: '2024-01-03' in 'time' comes a second time"),
        (("2024-01-03,3,1\n", ""), "line 4: '2024-01-04' in 'time': a row is missing after '2024-01-02'"),
        (("2024-01-06", "2024-01-08"), "line 7: '2024-01-08' in 'time': 2 rows are missing after '2024-01-05'"),
        (("2024-01-03", "2024-01-02T20"), "line 4: '2024-01-02T20' in 'time' is 72000 seconds after the row above"),
        (("2024-01-03", "2023-01-03"), "line 4: '2023-01-03' in 'time' is before '2024-01-02'"),
        (("2024-01-03", "Jan 3"), "line 4: 'Jan 3' in 'time' is no time; write it as 2024-01-31"),
        (("3,1", "three,1"), "line 4: 'three' in 'sold' is no finite number"),
        (("3,1", "inf,1"), "line 4: 'inf' in 'sold' is no finite number"),
        (("3,1", "3,"), "line 4: '' in 'x' is no finite number"),
        (("sold", "bought"), "line 1: no column 'sold'; the columns are time, bought, x"),
        (("sold,x", "sold,sold"), "line 1: two columns are named 'sold'"),
        ((DAYS[12:], ""), "a.csv: no row below the header"),
        ((DAYS[12:], "2024-01-01,,1\n"), "line 2: nothing but empty cells in 'sold'"),
    ],
)
def test_mistakes_say_where(tmp_path, change, message):
    text = DAYS.replace(*change)
    assert text != DAYS
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text, known=["x"])
