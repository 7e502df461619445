"""What a forecaster writes: scores beside those of others, predictions, pictures."""

import csv
import json

import pytest

from seqjax import forecasting
from tests.forecasting.panels import waves

AGO = (9, 6, 3)


@pytest.fixture
def naive():
    return forecasting.SeasonalNaive(horizon=3, season=6).fit(waves())


def test_scores_stand_beside_those_of_others(naive, tmp_path):
    panel = waves()
    others = forecasting.baselines(panel.until(9), horizon=3, context=6, season=6)
    held_out = forecasting.HeldOut(panel, AGO, season=6).beside(
        {name: other.predict(panel, ago=AGO) for name, other in others.items()}
    )
    model = forecasting.conformal(naive, panel.until(9), range(3, 40))
    metrics, counts = model.report(held_out, tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert list(scores) == ["naive", "seasonal naive", "linear", "conformal"]
    assert counts == {"series": 3, "forecasts": 9, "horizon": 3}
    assert metrics["mae"] == scores["seasonal naive"]["mae"]
    assert metrics["mse"] == pytest.approx(metrics["rmse"] ** 2)
    assert metrics["conformal_coverage_90"] == scores["conformal"]["coverage_90"]
    assert metrics["seasonal_naive_mase"] == scores["seasonal naive"]["mase"]
    lines = (tmp_path / "scores.txt").read_text().splitlines()
    assert lines[0].split() == " ".join(scores).split() and lines[1].startswith("mae ")
    assert max(map(len, lines)) <= 80
    with (tmp_path / "predictions.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 27 and float(lines[0]["q0.05"]) < float(lines[0]["q0.95"])
    pictures = ("forecasts", "horizon", "backtest", "calibration")
    assert all((tmp_path / f"{name}.png").exists() for name in pictures)


def test_points_have_no_picture_of_their_quantiles(naive, tmp_path):
    metrics, counts = naive.report(waves(), tmp_path)
    assert counts["forecasts"] == 3 and "wql" not in metrics
    assert not (tmp_path / "calibration.png").exists()
    assert (
        (tmp_path / "predictions.csv")
        .read_text()
        .startswith("series,time,steps_ahead,value,mean\n")
    )
