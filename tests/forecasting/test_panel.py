"""Panels and their windows against loops; nothing of the future leaks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.forecasting import Panel, PanelWindows, calendar_features, lags, scales, seasons

RNG = np.random.default_rng(0)
HOUR = np.timedelta64(1, "h")
LENGTHS = (30, 41, 9)
SERIES = tuple(RNG.normal(5, 2, size=n) for n in LENGTHS)
SERIES[0][[3, 17, 18]] = np.nan


def make_panel(**changes):
    return dataclasses.replace(
        Panel(
            SERIES,
            names=("a", "b", "c"),
            step=HOUR,
            starts=np.array(["2024-02-28T05", "2023-12-31T23", "2024-01-01T00"], "datetime64[h]"),
            known=[RNG.normal(size=(n + 6, 2)) for n in LENGTHS],
            past=[RNG.normal(size=(n, 1)) for n in LENGTHS],
            categories=np.array([[0], [1], [0]]),
        ),
        **changes,
    )


PANEL = make_panel()


def by_loop(panel, series, cut, context, horizon, history):
    """One window, value by value: the series' own numbers, and which of them there are."""
    values = panel.values[series]
    window = np.full(history + context + horizon, np.nan)
    for place, t in enumerate(range(cut - history - context, cut + horizon)):
        if 0 <= t < len(values):
            window[place] = values[t]
    return window


@pytest.mark.parametrize("scaling", ["none", "mean", "standard", "robust", "last"])
def test_windows_are_the_series_minus_loc(scaling):
    windows = PanelWindows(PANEL, context=7, horizon=4, history=5, scaling=scaling, stride=2)
    expected = [(s, cut) for s, n in enumerate(LENGTHS) for cut in range(min(7, n - 4), n - 3, 2)]
    assert len(windows) == len(expected)
    got = windows.gather(np.arange(len(windows)))
    features = PANEL.features(4)
    for row, (s, cut) in enumerate(expected):
        wanted = by_loop(PANEL, s, cut, 7, 4, 5)
        seen = np.isfinite(wanted)
        np.testing.assert_array_equal(got["seen"][row], seen)
        np.testing.assert_allclose(
            got["values"][row][seen] + got["loc"][row], wanted[seen], rtol=1e-5
        )
        assert (got["values"][row][~seen] == 0).all()
        for place, t in enumerate(range(cut - 7, cut + 4)):
            there = features[s][t] if t >= 0 else np.zeros(8)
            np.testing.assert_allclose(got["features"][row, place], there, rtol=1e-6)
            past = PANEL.past[s][t] if 0 <= t < cut else np.zeros(1)
            np.testing.assert_allclose(got["past"][row, place], past, rtol=1e-6)
        assert got["category"][row] == PANEL.categories[s]
        loc, scale = scales(wanted[None, 5:12], scaling)
        np.testing.assert_allclose(
            (got["loc"][row], got["scale"][row]), (loc[0], scale[0]), rtol=1e-6
        )


def test_windows_of_larger_series_come_more_often():
    panel = Panel([np.full(12, 1.0), np.full(11, 100.0), np.full(12, -10.0)])
    plain, often = (PanelWindows(panel, context=4, horizon=3, power=power) for power in (0.0, 0.5))
    assert len(plain) == 6 + 5 + 6
    # Four times for the median size 10, times the root of the ratio to it: 1.26, 12.6, 4.
    sizes = np.abs(often.gather(np.arange(len(often)))["scale"])
    assert [int((sizes == size).sum()) for size in (1, 100, 10)] == [6 * 1, 5 * 13, 6 * 4]


def test_scales_are_their_definitions():
    row = np.array([4.0, np.nan, -1.0, 3.0, 8.0, np.nan])
    seen = row[np.isfinite(row)]
    quartiles = np.percentile(seen, [25, 50, 75])
    wanted = {
        "none": (0, 1),
        "mean": (0, np.abs(seen).mean()),
        "standard": (seen.mean(), seen.std()),
        "robust": (quartiles[1], (quartiles[2] - quartiles[0]) / 1.349),
        "last": (8.0, seen.std()),
    }
    for scaling, pair in wanted.items():
        found = scales(np.stack([row, np.full(6, 3.0), np.zeros(6), np.full(6, np.nan)]), scaling)
        np.testing.assert_allclose((found[0][0], found[1][0]), pair)
        # A constant, nothing but zeros, nothing at all: the scale is never 0.
        np.testing.assert_allclose(found[1][1:], [1 if scaling == "none" else 3, 1, 1])
        assert np.isfinite(found).all()


@given(cut=st.integers(8, 36), seed=st.integers(0, 99))
def test_nothing_after_the_cut_changes_what_is_before_it(cut, seed):
    """Altered values, and past covariates, after step `cut` of one series."""
    rng = np.random.default_rng(seed)
    values, past = [v.copy() for v in PANEL.values], [p.copy() for p in PANEL.past]
    values[1][cut:] = rng.normal(size=41 - cut) * 1e3
    values[1][rng.integers(cut, 41)] = np.nan
    past[1][cut:] = rng.normal(size=(41 - cut, 1))
    altered = dataclasses.replace(PANEL, values=values, past=past)
    for scaling in ("mean", "standard", "robust", "last"):
        before, after = (
            PanelWindows(panel, context=6, horizon=3, history=4, scaling=scaling).at(
                np.array([1, 1, 0]), np.array([cut, 8, 12])
            )
            for panel in (PANEL, altered)
        )
        for name, array in before.items():
            if name == "values" or name == "seen":
                np.testing.assert_array_equal(array[:, :10], after[name][:, :10])
            else:
                np.testing.assert_array_equal(array, after[name])
    back = altered.until(41 - cut) if cut > 32 else None
    if back is not None:
        np.testing.assert_array_equal(back.values[1], PANEL.values[1][:cut])
        assert len(back.past[1]) == cut and len(back.known[1]) == 47


def test_the_last_windows_show_no_horizon():
    ends = PanelWindows(PANEL, context=7, horizon=4, history=5).ends()
    assert not ends["seen"][:, -4:].any() and (ends["values"][:, -4:] == 0).all()
    for s, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(
            ends["seen"][s, :12], np.isfinite(by_loop(PANEL, s, n, 7, 0, 5))
        )
        np.testing.assert_allclose(
            ends["features"][s], PANEL.features(4)[s][n - 7 :] if n >= 7 else None, rtol=1e-6
        )


def test_the_units_of_a_constant_are_one():
    """Also where its mean is rounded, so that its deviation is not 0."""
    panel = Panel([np.full(1000, 0.1), np.array([1.0, np.nan, 3.0])])
    assert panel.own_units()[1] == (1.0, 1.0)


def test_known_covariates_that_end_within_the_horizon_are_never_made_up():
    known = list(PANEL.known)
    known[0] = known[0][:32]
    windows = PanelWindows(make_panel(known=known), context=7, horizon=4, history=5)
    wanted = r"of the series 'a' end after 32 steps; a horizon of 4 from step 30 on wants 34: give them for all of it"
    with pytest.raises(ValueError, match=wanted):
        windows.ends()
    # Two steps earlier they reach, and the other series are not touched by it.
    found = windows.at(np.array([0, 1]), np.array([28, 41]))
    for row, (s, cut) in enumerate(((0, 28), (1, 41))):
        np.testing.assert_allclose(
            found["features"][row], PANEL.features(6)[s][cut - 7 : cut + 4], rtol=1e-6
        )


def test_the_past_of_a_panel():
    earlier = PANEL.until(4)
    np.testing.assert_array_equal(earlier.lengths, np.array(LENGTHS) - 4)
    np.testing.assert_array_equal(np.concatenate([earlier.values[1], PANEL.last(4)[1]]), SERIES[1])
    assert earlier.until(0) is earlier and earlier.times(0, 2)[1] == np.datetime64("2024-02-28T06")
    with pytest.raises(ValueError, match="the series 'c' has 9 values; there is nothing 9 before"):
        PANEL.until(9)


def test_calendar_features_are_places_on_circles():
    # 2024 is a leap year; 2024-01-01 was a Monday.
    times = np.array(
        ["2024-01-01T00:00", "2024-01-03T18:00", "2024-07-01T12:00", "2023-07-02T12:00"],
        "datetime64[m]",
    )
    days = np.array([0, 2.75, 182.5, 182.5])
    weeks = np.array([0, 2.75, 0.5, 6.5]) / 7
    shares = np.stack([days % 1, weeks, days / [366, 366, 366, 365]], -1)
    wanted = np.concatenate([np.sin(2 * np.pi * shares), np.cos(2 * np.pi * shares)], -1)
    np.testing.assert_allclose(calendar_features(times), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ((1, "h"), (24, 168)),
        ((30, "m"), (48, 336)),
        ((1800, "s"), (48, 336)),
        ((1, "m"), (60, 1440)),
        ((1, "D"), (7, 365)),
        ((7, "D"), (52,)),
        ((1, "M"), (12,)),
        ((3, "M"), (4,)),
        ((1, "Y"), (1,)),
        ((7, "h"), (24,)),
    ],
)
def test_seasons(step, wanted):
    assert seasons(np.timedelta64(*step)) == wanted


def test_lags():
    assert lags(HOUR) == (1, 2, 3, 23, 24, 25, 48, 167, 168, 169, 336)
    assert lags(HOUR, most=30) == (1, 2, 3, 23, 24, 25)
    assert lags(np.timedelta64(1, "Y")) == (1, 2, 3)


def test_mistakes(unchecked):
    for make, message in (
        (lambda: Panel([]), "no series"),
        (lambda: make_panel(names=("a", "b")), "3 series but 2 names"),
        (
            lambda: make_panel(known=[np.zeros((5, 1))] * 3),
            r"known covariates of the series 'a' have shape \(5, 1\)",
        ),
        (
            lambda: make_panel(past=[np.full((50, 1), np.nan)] * 3),
            "past covariate 0 of the series 'a' is missing at step 0",
        ),
        (lambda: Panel([np.full(3, np.nan)]), "the series '0' has no value"),
        (lambda: Panel([np.zeros((3, 2))]), r"the series '0' has shape \(3, 2\)"),
        (lambda: Panel([np.array([1, np.inf])]), "infinite at step 1"),
        (lambda: PANEL.features(7), "'a' have 36 steps; its 30 values and 7 to forecast want 37"),
        (lambda: PanelWindows(PANEL, 0, 3), "context=0"),
        (lambda: PanelWindows(PANEL, 3, 3, scaling="max"), "scaling='max' is unknown"),
        (
            lambda: PanelWindows(PANEL, 3, 41).check(),
            "the longest series, 'b', has 41 values; .* want 42",
        ),
        (lambda: seasons(np.timedelta64(0, "h")), "the step is 0 hours"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_the_fingerprint_tells_panels_apart():
    two = Panel((np.array([1.0, 2.0]), np.array([3.0])), names=("a", "b"))
    assert two.fingerprint() == dataclasses.replace(two, names=("a", "b")).fingerprint()
    moved = dataclasses.replace(two, values=(np.array([1.0]), np.array([2.0, 3.0])))
    first = two.labelled("shop", ["x", "x"])
    others = [
        moved,
        make_panel(),
        first,
        two.labelled("shop", ["y", "y"]),
        two.labelled("town", ["x", "x"]),
    ]
    assert len({panel.fingerprint() for panel in (two, *others)}) == 6
