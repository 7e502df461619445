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
