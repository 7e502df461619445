"""Panels from tables: what is read, and where a complaint points."""

import dataclasses

import numpy as np
import pytest

from seqjax.forecasting import parse_time, read_panel

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
    assert [str(panel.times(s, 2)[1]) for s in (0, 1)] == [
        "2024-01-01T01:00:00",
        "2024-01-01T01:30:00",
    ]


def test_what_a_series_is_is_numbered_as_it_comes_or_as_another_panel_has_it(tmp_path):
    text = (
        HOURLY.replace("warm\n", "warm,region\n")
        .replace("0\n2", "0,hills\n2")
        .replace("1\n2", "1,hills\n2")
    )
    text = (
        text.replace("2\n2", "2,hills\n2")
        .replace(",\n", ",,hills\n")
        .replace("-1,hills", "-1,coast")
    )
    text = text.replace("-2\n", "-2,coast\n")
    panel = read(tmp_path, text, series="shop", static=["region", "shop"])
    np.testing.assert_array_equal(panel.categories, [[0, 0], [1, 1]])
    assert panel.kinds == {"region": ("hills", "coast"), "shop": ("a", "b")}
    other = panel.numbered({"region": ("plain", "coast", "hills"), "shop": ("b", "a")})
    np.testing.assert_array_equal(other.categories, [[2, 1], [1, 0]])
    assert other.kinds["region"] == ("plain", "coast", "hills")
    with pytest.raises(
        ValueError,
        match="the series 'b' is of region 'coast', which was not learnt; known are hills",
    ):
        panel.numbered({"region": ("hills",), "shop": ("a", "b")})
    with pytest.raises(
        ValueError,
        match="a.csv, line 3: 'sea' in 'region', 'hills' above; a series has one of them",
    ):
        read(tmp_path, text.replace("21,hills", "21,sea"), series="shop", static=["region"])


@pytest.mark.parametrize(
    ("times", "step", "last"),
    [
        (["2023-11-30", "2023-12-01", "2023-12-02"], (86400, "s"), "2023-12-02T00:00:00"),
        (["2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01"], (1, "M"), "2024-02"),
        (["2023-01", "2023-04", "2023-07"], (3, "M"), "2023-07"),
        (["1700", "1701", "1702"], (12, "M"), "1702-01"),
        (["20240101", "20240108"], (604800, "s"), "2024-01-08T00:00:00"),
        (
            ["2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"],
            (3600, "s"),
            "2024-03-31T01:00:00",
        ),
        # Ends of months, of quarters and of years; the 29th and the 30th in a short February; noon
        # on the first.
        (["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"], (1, "M"), "2024-04"),
        (["2023-12-31", "2024-03-31", "2024-06-30", "2024-09-30"], (3, "M"), "2024-09"),
        (["2021-12-31", "2022-12-31", "2023-12-31"], (12, "M"), "2023-12"),
        (["2023-01-29", "2023-02-28", "2023-03-29"], (1, "M"), "2023-03"),
        (["2024-01-30", "2024-02-29", "2024-03-30"], (1, "M"), "2024-03"),
        (["2024-01-01T12:00", "2024-02-01T12:00", "2024-03-01T12:00"], (1, "M"), "2024-03"),
        # The first Monday of each month.
        (["2024-01-01", "2024-02-05", "2024-03-04", "2024-04-01"], (1, "M"), "2024-04"),
        # Midnights and months of a place whose clocks change, and hours that do not.
        (
            ["2024-03-30T00:00+01:00", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"],
            (86400, "s"),
            "2024-04-01T00",
        ),
        (
            ["2024-03-01T00:00+01:00", "2024-04-01T00:00+02:00", "2024-05-01T00:00+02:00"],
            (1, "M"),
            "2024-05",
        ),
        (
            ["2024-10-27T02:00+02:00", "2024-10-27T02:00+01:00", "2024-10-27T03:00+01:00"],
            (3600, "s"),
            "2024-10-27T02",
        ),
        (
            ["2024-03-30T18:00+01:00", "2024-03-31T00:00+01:00", "2024-03-31T06:00+02:00"],
            (21600, "s"),
            "2024-03-31T06",
        ),
        # Fractions of a second.
        (
            ["2024-01-01T00:00:00", "2024-01-01T00:00:00.5", "2024-01-01T00:00:01"],
            (500, "ms"),
            "2024-01-01T00:00:01.000",
        ),
        (
            ["2024-01-01T00:00:00.000000", "2024-01-01T00:00:00.000250"],
            (250, "us"),
            "2024-01-01T00:00:00.000250",
        ),
        # Whole numbers: counts, years, years and months, days, seconds and milliseconds since 1970.
        (["1000", "1001", "1002"], (1,), "1002"),
        (["0", "5", "10"], (5,), "10"),
        (["998", "999", "1000"], (1,), "1000"),
        (["202311", "202312", "202401"], (1, "M"), "2024-01"),
        (["1704067200", "1704070800"], (3600, "s"), "2024-01-01T01:00:00"),
        (["1704067200000", "1704067200100"], (100, "ms"), "2024-01-01T00:00:00.100"),
    ],
)
def test_steps(tmp_path, times, step, last):
    panel = read(tmp_path, "time,sold\n" + "".join(f"{t},{n}\n" for n, t in enumerate(times)))
    assert panel.step == np.timedelta64(*step) and panel.names == ("sold",)
    assert str(panel.times(0, len(times))[-1]).startswith(last)
    assert len({*panel.times(0, 9).tolist()}) == 9


def test_weekdays_are_steps_and_go_on_after_the_weekend(tmp_path):
    days = [f"2024-01-{day:02}" for day in (1, 2, 3, 4, 5, 8, 9)]
    panel = read(
        tmp_path, "time,sold\n" + "".join(f"{day}T16:00,{n}\n" for n, day in enumerate(days))
    )
    assert (
        panel.weekdays == "1111100" and panel.season == 5 and set(panel.lags()) >= {1, 5, 10, 261}
    )
    assert panel.times(0, 11)[6:].astype(str).tolist() == [
        f"2024-01-{day}" for day in ("09", "10", "11", "12", "15")
    ]
    assert panel.fingerprint() != dataclasses.replace(panel, weekdays=None).fingerprint()
    working = [day for day in range(2, 27) if day % 7 not in (6, 0) and day != 15]
    with pytest.raises(
        ValueError, match="line 11: '2024-01-16' in 'time': a row is missing after '2024-01-12'"
    ):
        read(tmp_path, "time,sold\n" + "".join(f"2024-01-{d:02},1\n" for d in working))
    # A shop that is shut on Sundays and Mondays; days of one week alone are days.
    shop = [day for day in range(2, 28) if day % 7 not in (0, 1)]
    assert (
        read(tmp_path, "time,sold\n" + "".join(f"2024-01-{d:02},1\n" for d in shop)).weekdays
        == "0111110"
    )
    week = read(tmp_path, "time,sold\n" + "".join(f"2024-01-{d:02},1\n" for d in range(1, 6)))
    assert week.weekdays is None and week.on_weekdays("1111100").weekdays == "1111100"
    assert week.on_weekdays("1111000").weekdays is None


def test_a_step_without_a_unit_has_no_calendar(tmp_path):
    panel = read(tmp_path, "time,sold\n1000,1\n1001,2\n1002,3\n")
    assert not panel.has_calendar and panel.season == 1 and panel.features(2)[0].shape == (5, 0)


def test_other_ways_to_write_a_table(tmp_path):
    plain = read(tmp_path, "time,sold\n2023-01-31,1.5\n2023-02-28,\n2023-03-31,1234\n")
    written = {
        "%m/%d/%Y": "time,sold\n01/31/2023,1.5\n02/28/2023,NA\n03/31/2023,1234\n\n",
        "%d.%m.%Y": "time;sold\n31.01.2023;1,5\n28.02.2023;NaN\n31.03.2023;1.234,0\n;\n",
        "%b %Y": "time\tsold\rJan 2023\t1.5\rFeb 2023\tnull\rMar 2023\t1234\r \r",
        "%d/%m/%Y %H:%M": "time|sold\r\n31/01/2023 12:00|1.5\r\n28/02/2023 12:00|-\r\n31/03/2023 12:00|1234\r\n",
    }
    for time_format, text in written.items():
        path = tmp_path / "b.csv"
        path.write_bytes(text.encode())
        panel = read_panel(path, "sold", "time", time_format=time_format)
        assert panel.fingerprint() == plain.fingerprint()


def test_times():
    assert (
        parse_time("2024-01-01T10:00+02:00")
        == parse_time("2024-01-01 08:00")
        == np.datetime64("2024-01-01T08")
    )
    assert str(parse_time("2024-01-01T10:00:00.25")) == "2024-01-01T10:00:00.250000"
    for text in ("1/2/2024", "2024-01-01T00:00:00.0000001"):
        with pytest.raises(ValueError):
            parse_time(text)


@pytest.mark.parametrize(
    ("rows", "time_format", "message"),
    [
        (
            "31/01/2023,1\n28/02/2023,2\n",
            None,
            "line 2: '31/01/2023' in 'time' is no time; .*'%d/%m/%Y' fits all rows",
        ),
        ("01/02/2023,1\n03/02/2023,2\n", None, "'%m/%d/%Y' or '%d/%m/%Y' fits"),
        (
            "1/31/2023 1:30 PM,1\n",
            None,
            "give time_format= or --time-format: '%m/%d/%Y %I:%M %p' fits all rows",
        ),
        ("January,1\n", None, "or give time_format= or --time-format, such as '%m/%d/%Y'"),
        (
            "01/31/2023,1\n31/01/2023,2\n",
            "%m/%d/%Y",
            "line 3: '31/01/2023' in 'time' is not of the form '%m/%d/%Y'",
        ),
        (
            "2024-10-27T02:00,1\n2024-10-27T02:00,1\n",
            None,
            r"take one of .*\(series= or --series\); write .* offset",
        ),
        (
            "2024-01-01,1\n2024-01-02,1\n2024-01-02,1\n",
            None,
            r"take one of the rows out; .*--series\)$",
        ),
        (
            "1000,1\n1001,1\n1003,1\n",
            None,
            "line 4: '1003' in 'time': a row is missing after '1001'; put it in",
        ),
        (
            "2024-01-31T00,1\n2024-01-31T01,1\n2024-01-31T02,1\n2024-01-31T02:30,1\n",
            None,
            "make the steps equal",
        ),
    ],
)
def test_a_complaint_about_times_says_what_to_do(tmp_path, rows, time_format, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, "time,sold\n" + rows, time_format=time_format)
    assert "\n" not in str(caught.value)


DAYS = "time,sold,x\n2024-01-01,1,1\n2024-01-02,2,1\n2024-01-03,3,1\n2024-01-04,4,1\n2024-01-05,,1\n2024-01-06,6,1\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("3,1\n2024", "3,1\n2024-01-03,9,1\n2024"),
            "line 5: '2024-01-03' in 'time' comes a second time",
        ),
        (
            ("2024-01-03,3,1\n", ""),
            "line 4: '2024-01-04' in 'time': a row is missing after '2024-01-02'",
        ),
        (
            ("2024-01-06", "2024-01-09"),
            "line 7: '2024-01-09' in 'time': 3 rows are missing after '2024-01-05'",
        ),
        (
            ("2024-01-03", "2024-01-02T20"),
            "line 4: '2024-01-02T20' in 'time' is 72000 seconds after the row above",
        ),
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
