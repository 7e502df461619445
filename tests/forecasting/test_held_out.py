"""What is held out is scored part by part: the same scores, in bounded memory."""

import dataclasses
import json

import numpy as np
import pytest

from seqjax import forecasting
from seqjax.forecasting import HeldOut
from seqjax.forecasting import held_out as module
from tests.forecasting.panels import rich, waves

AGO = tuple(range(20, 2, -1))


@pytest.fixture
def few(monkeypatch):
    """Of 12 values at once: with a horizon of 2 and two series three times."""
    monkeypatch.setattr(module, "MOST", 12)


def asked(monkeypatch):
    """Notes how many rows each question asks for."""
    rows, predict = [], forecasting.Forecaster.predict

    def spy(self, params, inputs, *, ago=0, **options):
        rows.append(len(inputs) * len(np.atleast_1d(ago)))
        return predict(self, params, inputs, ago=ago, **options)

    monkeypatch.setattr(forecasting.Forecaster, "predict", spy)
    return rows


def test_parts_are_scored_as_the_whole(few, monkeypatch):
    """A missing value, points and intervals; some parts weigh more than others."""
    panel = rich()
    held_out = HeldOut(panel, AGO, season=1, units=((4.0, 5.0), (2.0, 3.0)))
    naive = forecasting.SeasonalNaive(horizon=2, season=3).fit(panel)
    for model in (naive, forecasting.conformal(naive, panel, range(2, 20))):
        whole = held_out.scores(model.predict(panel, ago=AGO))
        rows = asked(monkeypatch)
        assert held_out.scores(model) == pytest.approx(whole, rel=1e-9)
        assert max(rows) == 6 and sum(rows) == 36
    assert {"mae", "mape", "nd", "mase", "wql", "coverage_90", "mse"} <= whole.keys()


def test_parts_in_which_nothing_came_count_nothing():
    """The first series ends in gaps: both scores of its last times are of the other one alone."""
    panel = waves(series=1)
    gaps = dataclasses.replace(
        panel, values=[np.where(np.arange(80) > 70, np.nan, panel.values[0])]
    )
    naive = forecasting.SeasonalNaive(horizon=2, season=6).fit(gaps)
    some = [module.weighed(gaps, naive.predict(gaps, ago=ago)) for ago in (30, 20, 4)]
    assert not some[2].scores
    assert forecasting.pooled(some) == forecasting.pooled(some[:2])
    with pytest.raises(ValueError, match="nothing of what was forecast has come yet"):
        forecasting.pooled(some[2:])


def test_a_report_of_many_times_shows_some_and_scores_all(few, tmp_path, monkeypatch):
    panel = waves(series=2)
    naive = forecasting.SeasonalNaive(horizon=2, season=6).fit(panel)
    held_out = HeldOut(panel, AGO, season=6)
    other = forecasting.Linear(horizon=2, context=4).fit(panel.until(20))
    beside = held_out.beside({"linear": other, "as said": other.predict(panel, ago=AGO)})
    rows = asked(monkeypatch)
    metrics, counts = naive.report(beside, tmp_path)
    assert max(rows) == 6
    assert counts == {"series": 2, "forecasts": 36, "horizon": 2}
    assert metrics["mae"] == pytest.approx(held_out.scores(naive.predict(panel, ago=AGO))["mae"])
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["linear"] == pytest.approx(scores["as said"], rel=1e-4)
    thin = beside.thinned(2)
    assert thin.ago == (20, 12, 3)
    np.testing.assert_array_equal(thin.others["as said"].cuts, np.repeat([60, 68, 77], 2))
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 1 + 3 * 2 * 2
