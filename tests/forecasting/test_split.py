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
