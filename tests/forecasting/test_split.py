"""The parts of a panel: nothing that judges is learnt, nothing is forecast twice."""

import numpy as np
import pytest

from seqjax.forecasting import Panel, Split
from tests.forecasting.panels import waves


def test_folds_lie_side_by_side_at_the_end():
    split = Split.by_folds(waves(steps=80), season=6, horizon=4, folds=3)
    assert (split.validation, split.test) == ((24, 20, 16), (12, 8, 4))
    assert split.train.lengths.tolist() == [56, 56, 56]
    np.testing.assert_array_equal(split.train.values[0], split.panel.values[0][:56])


@pytest.mark.parametrize(("lengths", "short", "wanted"), [((60, 24), "b", 25), ((28, 27), "a", 29)])
def test_series_too_short_to_cut(lengths, short, wanted):
    panel = Panel([np.arange(n) for n in lengths], names=("a", "b"))
    with pytest.raises(
        ValueError, match=f"the series '{short}' has .* some to learn want {wanted}: give longer"
    ):
        Split.by_folds(panel, season=1, horizon=4, folds=3)
    Split.by_folds(Panel([np.arange(29), np.arange(25)]), season=1, horizon=4, folds=3)


def test_a_part_without_values_is_refused():
    gaps = np.where((np.arange(80) >= 56) & (np.arange(80) < 68), np.nan, 1.0)
    split = Split.by_folds(Panel([gaps]), season=6, horizon=4, folds=3)
    with pytest.raises(ValueError, match="every value to choose by is missing; fill the gaps"):
        split.check(4)
    assert Split.by_folds(Panel([gaps]), 6, horizon=4, folds=2).check(4).test == (8, 4)


def test_what_is_held_out():
    split = Split.by_folds(waves(steps=80), season=6, horizon=4, folds=3)
    assert split.held_out("validation").ago == (24, 20, 16)
    assert split.held_out("test").ago == (12, 8, 4) and split.held_out("test").season == 6


def test_the_published_cuts_of_ett():
    values = np.arange(14_405) % 24 + 100.0 * (np.arange(14_405) >= 8640)
    split = Split.of_ett(Panel([values], step=np.timedelta64(1, "h")), horizon=24)
    validation, test = (14_400 - np.array(ago) for ago in (split.validation, split.test))
    assert split.panel.lengths[0] == 14_400 and split.season == 24
    assert (validation[0], validation[-1] <= 11_520 - 24) == (8640, True)
    assert (test[0], test[-1], len(test)) == (11_520, 14_400 - 24, 2880 - 24 + 1)
    assert split.train.lengths[0] == 8640
    np.testing.assert_allclose(split.units, (values[:8640].mean(), values[:8640].std()))
    with pytest.raises(ValueError, match="has 99 values; 20 months are 14400"):
        Split.of_ett(Panel([values[:99]]), horizon=24)


def test_series_of_one_table_of_ett_have_units_each():
    hours = np.arange(14_405) * 1.0
    panel = Panel([hours, 3 * hours + 1], step=np.timedelta64(1, "h"))
    split = Split.of_ett(panel, horizon=96)
    assert (split.monitor, len(split.test)) == ("mse", 2880 - 96 + 1)
    assert split.held_out("validation").monitor == "mse"
    standard = split.panel.standardised(split.units)
    for values in standard.values:
        np.testing.assert_allclose([values[:8640].mean(), values[:8640].std()], [0, 1], atol=1e-9)
    quarters = Panel([np.arange(57_600.0)] * 2, step=np.timedelta64(15, "m"))
    split = Split.of_ett(quarters, horizon=96)
    assert (max(split.test), len(split.test)) == (11_520, 11_520 - 96 + 1)
    assert split.validation[0] - split.validation[1] == 32


def test_shares_of_a_table():
    split = Split.by_shares(waves(steps=1000), season=6, horizon=10)
    assert split.train.lengths.tolist() == [700] * 3 and split.season == 6
    assert split.validation == tuple(range(300, 209, -1))
    assert split.test == tuple(range(200, 9, -1))
    assert len(split.units[0]) == 3 and split.monitor == "mse"
    # Many times choose on every phase of the season.
    long = Split.by_shares(waves(series=1, steps=13_000), season=6, horizon=10)
    assert len({ago % 6 for ago in long.validation}) == 6 and len(long.validation) < 400
    with pytest.raises(
        ValueError, match="have 80 values, of which a tenth chooses; a horizon of 9"
    ):
        Split.by_shares(waves(steps=80), season=6, horizon=9)
