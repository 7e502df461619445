"""Weighted means of forecasters."""

import dataclasses

import numpy as np
import pytest

import seqjax
from seqjax import forecasting
from seqjax.files.settings import from_plain, to_plain
from seqjax.forecasting import Blend, Direct, Linear, SeasonalNaive
from seqjax.training import Recipe
from tests.forecasting.panels import HOUR, waves

pytestmark = pytest.mark.usefixtures("quick_compile")

PANEL = waves(series=2, steps=60, step=HOUR)


def blended(*members, weights):
    trained = [member.fit(PANEL) for member in members]
    blend = Blend(horizon=4, members=tuple(each.task for each in trained), weights=weights)
    params = {f"member_{place}": each.params for place, each in enumerate(trained)}
    return seqjax.Trained(blend, params), trained


def test_it_is_the_weighted_mean_of_its_members():
    members = SeasonalNaive(horizon=4, season=1), Linear(horizon=4, context=12)
    blend, parts = blended(*members, weights=(0.25, 0.75))
    first, second = (part.predict(PANEL, ago=[0, 7]) for part in parts)
    found = blend.predict(PANEL, ago=[0, 7])
    np.testing.assert_allclose(found.mean, 0.25 * first.mean + 0.75 * second.mean)
    np.testing.assert_allclose(found.median, 0.25 * first.median + 0.75 * second.median)
    assert found.series.tolist() == [0, 1, 0, 1] and not found.spread


def test_quantiles_are_averaged_level_by_level():
    naive = SeasonalNaive(horizon=4, season=1).fit(PANEL)
    wide = forecasting.conformal(naive, PANEL, range(4, 50), (0.5, 0.9))
    blend = Blend(horizon=4, members=(wide.task, naive.task), weights=(0.5, 0.5))
    params = {"member_0": wide.params, "member_1": naive.params}
    found = seqjax.Trained(blend, params).predict(PANEL)
    outer = wide.predict(PANEL)
    point = naive.predict(PANEL)
    # A point counts at every level, so the interval is half as wide.
    np.testing.assert_allclose(found.quantile(0.95), (outer.quantile(0.95) + point.median) / 2)
    assert found.spread


def test_settings_go_and_come_back():
    blend, _ = blended(Linear(horizon=4, context=12), weights=(1.0,))
    task = dataclasses.replace(
        blend.task, form=forecasting.Form.of(PANEL), tried=(("a", 0.5, 1.0),)
    )
    assert from_plain(to_plain(task)) == task
    assert repr(task).startswith("Blend(1 Linear(")


def test_members_agree_on_the_horizon():
    members = SeasonalNaive(horizon=4), SeasonalNaive(horizon=3)
    with pytest.raises(ValueError, match="forecasts 3 steps, the blend 4; give members of one"):
        Blend(horizon=4, members=members, weights=(0.5, 0.5))
    with pytest.raises(ValueError, match="2 members have 1 weights; give one to each"):
        Blend(horizon=4, members=members[:1] * 2, weights=(1.0,))


def test_networks_that_know_each_series_read_the_table_that_they_learnt(tmp_path):
    """A name is no column among those that say what a series is."""
    path = tmp_path / "table.csv"
    lines = ["when,shop,region,sold"]
    for step in range(24):
        time = f"2024-01-01T{step:02d}:00"
        lines += [f"{time},{shop},north,{step % 5 + len(shop)}" for shop in ("a", "bb")]
    path.write_text("\n".join(lines) + "\n")
    panel = forecasting.read_panel(path, "sold", "when", series="shop", static=("region",))
    network = Direct(
        horizon=2, context=4, recurrence=seqjax.GRU(2), lags=(1,), scaling="last", identity=True
    )
    trained = network.fit_seeds(panel, (0, 1), Recipe(steps=1, batch_size=4))
    np.testing.assert_array_equal(trained.predict(path).mean, trained.predict(panel).mean)


def test_networks_of_several_seeds_are_a_blend_of_equal_weights(tmp_path):
    panel = waves(series=1, steps=80, step=HOUR)
    network = Direct(horizon=4, context=8, recurrence=seqjax.GRU(4), lags=(1, 6))
    recipe = Recipe(steps=4, batch_size=8)
    trained = network.fit_seeds(panel, (0, 7), recipe)
    first, second = trained.task.parts(trained.params)
    says = [seqjax.Trained(*part).predict(panel) for part in (first, second)]
    both = trained.predict(panel)
    np.testing.assert_allclose(both.mean, (says[0].mean + says[1].mean) / 2, rtol=1e-5)
    assert np.abs(says[0].mean - says[1].mean).max() > 1e-3
    # The first is what one training makes of its seed.
    alone = network.fit(panel, recipe).predict(panel)
    np.testing.assert_allclose(says[0].mean, alone.mean, rtol=1e-3, atol=1e-3)
    trained.save(tmp_path / "both")
    again = seqjax.load(tmp_path / "both").predict(panel)
    np.testing.assert_allclose(again.mean, both.mean, rtol=1e-6)
