"""Rolling backtests: what was known when, and what came of it."""

import dataclasses

import numpy as np
import pytest

from seqjax import forecasting
from tests.forecasting.panels import waves

SEEN = []


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spy(forecasting.Forecaster):
    """A naive forecaster that notes what it was fitted to."""

    def fit(self, panel, recipe=None):
        SEEN.append(panel.lengths.tolist())
        return forecasting.SeasonalNaive(horizon=self.horizon, season=1).fit(panel)


@pytest.mark.parametrize(
    ("refit", "lengths"),
    [(0, [68]), (1, [68, 71, 74, 77]), (2, [68, 74]), (3, [68, 77]), (9, [68])],
)
def test_each_fit_knows_only_what_had_come(refit, lengths):
    SEEN.clear()
    test = forecasting.backtest(Spy(horizon=3), waves(), folds=4, refit=refit)
    assert [seen[0] for seen in SEEN] == lengths and test.fits == len(lengths)
    assert test.ago == (12, 9, 6, 3) and test.forecast.cuts[::3].tolist() == [68, 71, 74, 77]


def test_scores_over_all_cuts_and_of_each():
    panel = waves()
    test = forecasting.backtest(
        forecasting.SeasonalNaive(horizon=4, season=6), panel, folds=3, stride=1
    )
    assert test.ago == (6, 5, 4)
    naive = forecasting.SeasonalNaive(horizon=4, season=6).fit(panel)
    apart = [forecasting.score(panel, naive.predict(panel, ago=ago), 6) for ago in test.ago]
    for cut, wanted in zip(test.by_cut(6), apart, strict=True):
        assert cut == pytest.approx(wanted)
    assert test.scores(6)["mae"] == pytest.approx(np.mean([part["mae"] for part in apart]))


def test_a_fitted_forecaster_is_not_fitted_again():
    test = forecasting.backtest(
        forecasting.SeasonalNaive(horizon=2, season=6).fit(waves()), waves(), folds=2
    )
    assert test.fits == 0 and len(test.forecast) == 6


def test_mistakes():
    for options in ({"folds": 0}, {"folds": 1, "stride": 0}, {"folds": 1, "refit": -1}):
        with pytest.raises(ValueError, match="give at least 1"):
            forecasting.backtest(Spy(horizon=2), waves(), **options)
    with pytest.raises(
        ValueError, match="the series 'a' has 80 values; there is nothing 81 before"
    ):
        forecasting.backtest(Spy(horizon=3), waves(), folds=27)
