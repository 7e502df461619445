"""The search among forecasters: what it compares, how it weighs, and what it promises."""

import dataclasses

import jax
import numpy as np
import pytest

import seqjax
from seqjax import forecasting
from seqjax.forecasting import (
    LIKELIHOODS,
    Candidate,
    Direct,
    HeldOut,
    Linear,
    Panel,
    SeasonalNaive,
    Split,
)
from seqjax.forecasting.auto import blend_weights
from seqjax.forecasting.interface import RECIPE
from seqjax.training import Checkpoints, NonFiniteError, Recipe
from tests.forecasting.panels import HOUR, waves

pytestmark = pytest.mark.usefixtures("quick_compile")

HORIZON = 4
COUNTS = {"likelihood": LIKELIHOODS["poisson"], "scaling": "mean"}


def trials(steps=6):
    """Three that learn at once, and a small network."""
    network = Direct(horizon=HORIZON, context=8, recurrence=seqjax.GRU(4), lags=(1, 6))
    recipe = Recipe(steps=steps, every=3, batch_size=8, learning_rate=0.01)
    return [
        Candidate("naive", SeasonalNaive(horizon=HORIZON, season=1)),
        Candidate("linear", Linear(horizon=HORIZON, context=12)),
        Candidate("of counts", dataclasses.replace(network, **COUNTS), recipe),
        Candidate("network", network, recipe),
    ]


@pytest.fixture(scope="module")
def searched():
    lines = []
    panel = waves(series=2, steps=120, step=HOUR)
    trained = forecasting.auto(panel, HORIZON, trials=trials(), season=6, say=lines.append)
    return panel, trained, lines


def test_a_straight_line_wins_where_waves_repeat(searched):
    panel, trained, lines = searched
    blend = trained.task.forecaster
    tried = {label: (error, weight) for label, error, weight in blend.tried}
    assert tried.keys() == {"naive", "linear", "network"}
    assert tried["linear"][0] < 0.5 * tried["naive"][0] and tried["linear"][1] > 0.5
    assert sum(weight for _, weight in tried.values()) == pytest.approx(1)
    assert any("refused" in line and "is no count" in line for line in lines)
    assert "linear" in forecasting.tried_table(trained).splitlines()[1]


def test_intervals_hold_their_share_of_values_to_come(searched):
    panel, trained, _ = searched
    later = HeldOut(waves(series=2, steps=400, step=HOUR), tuple(range(4, 280, 5)), 6)
    scores = later.scores(trained.predict(later.panel, ago=later.ago))
    assert 0.8 < scores["coverage_90"] <= 1 and scores["mase"] < 0.9


def test_the_chosen_are_fitted_anew_on_everything(searched):
    panel, trained, _ = searched
    blend = trained.task.forecaster
    place = [type(member) for member in blend.members].index(Linear)
    again = Linear(horizon=HORIZON, context=12).fit(panel)
    np.testing.assert_array_equal(
        trained.params[f"member_{place}"]["weights"], again.params["weights"]
    )


def test_saved_and_loaded_it_says_the_same(searched, tmp_path):
    panel, trained, _ = searched
    trained.save(tmp_path / "model")
    loaded = seqjax.load(tmp_path / "model")
    assert loaded.task == trained.task
    np.testing.assert_array_equal(loaded.predict(panel).quantiles, trained.predict(panel).quantiles)


def test_without_time_no_network_is_begun():
    lines = []
    panel = waves(series=1, steps=100, step=HOUR)
    trained = forecasting.auto(panel, HORIZON, trials=trials(), minutes=0, say=lines.append)
    assert any("no time" in line and "network" in line for line in lines)
    assert all(not isinstance(member, Direct) for member in trained.task.forecaster.members)


def test_what_was_chosen_is_fitted_anew_from_several_seeds():
    panel = waves(series=1, steps=100, step=HOUR)
    only = [trial for trial in trials() if trial.label == "network"]
    blend = (trained := forecasting.auto(panel, HORIZON, trials=only)).task.forecaster
    assert blend.weights == (1 / 3,) * 3 and {type(member) for member in blend.members} == {Direct}
    first, *others = (jax.tree.leaves(params) for _, params in blend.parts(trained.params))
    for other in others:
        assert max(float(abs(a - b).max()) for a, b in zip(first, other, strict=True)) > 0.01
    assert len(blend.tried) == 1


def test_a_training_is_cut_short_when_time_is_up():
    panel = waves(series=1, steps=100, step=HOUR)
    slow = [trial for trial in trials(steps=10**6) if trial.label == "network"]
    trained = forecasting.auto(panel, HORIZON, trials=slow, minutes=1e-3)
    assert isinstance(trained.task.forecaster.members[0], Direct)


def test_a_search_goes_on_from_its_folder(tmp_path):
    """What was trained is not trained again, and is fitted anew for as many steps as were best."""
    panel = waves(series=1, steps=100, step=HOUR)
    only = trials()[-2:]  # the first of them is refused
    lines = [[], []]
    first, again = (
        forecasting.auto(panel, HORIZON, trials=only, folder=tmp_path, say=said.append)
        for said in lines
    )
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["01"]
    assert Checkpoints(tmp_path / "01").progress()["step"] == 6
    assert not any("no time" in line for line in lines[1])
    for one, other in zip(
        jax.tree.leaves(first.params), jax.tree.leaves(again.params), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_values_that_choose_may_be_given():
    panel = waves(series=2, steps=120, step=HOUR)
    split = Split.rolling(panel, 6, HORIZON)
    some = trials()[:2]
    found = forecasting.auto(
        split.train, HORIZON, validation=split.held_out("validation"), trials=some, season=6
    )
    place = [type(member) for member in found.task.forecaster.members].index(Linear)
    # Fitted anew on what comes before the values that judge, and on no more.
    again = some[1].forecaster.fit(panel.until(max(split.test)))
    np.testing.assert_array_equal(
        found.params[f"member_{place}"]["weights"], again.params["weights"]
    )


def test_weights_of_opposite_errors_are_halves():
    y = np.array([[1.0, 2.0], [3.0, np.nan]])
    off = np.array([[0.5, -0.5], [1.0, 7.0]])
    medians = np.stack([y + off, y - off, y + 3])
    filled = np.nan_to_num(medians, nan=9.0)
    np.testing.assert_allclose(blend_weights(y, filled, np.ones(2)), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(
        blend_weights(y, np.stack([filled[0], y + 9]), np.ones(2)), [1.0, 0.0]
    )


@pytest.mark.parametrize("step", [HOUR, np.timedelta64(1, "W"), None])
def test_candidates_fit_any_panel(step):
    panel = waves(series=2, steps=90, step=step)
    found = forecasting.candidates(panel, 5)
    assert found[0].label == "naive" and len({each.label for each in found}) == len(found)
    networks = [each for each in found if each.recipe is not None]
    assert {each.forecaster.name for each in networks} == set(forecasting.NETWORKS)
    for each in found:
        assert each.forecaster.horizon == 5
        # A third of a series at most: there is something to learn from.
        assert getattr(each.forecaster, "context", 1) <= 30
    for each in networks:
        assert len(each.forecaster.settled(panel).training_windows(panel)) > 0


def test_where_too_few_values_calibrate_the_blend_stands_alone():
    """Four cuts choose; intervals of 9 tenths want nine."""
    panel = waves(series=1, steps=35, step=HOUR)
    with pytest.warns(UserWarning, match="no conformal intervals: 4 values came"):
        trained = forecasting.auto(panel, HORIZON, trials=trials()[:2])
    assert isinstance(trained.task, forecasting.Blend)
    assert np.isfinite(trained.predict(panel).mean).all()
    assert "naive" in forecasting.tried_table(trained)


class Diverging(Linear):
    """Its training comes to nothing."""

    def fit(self, panel, recipe=RECIPE):
        """Ends as a network does whose gradients are not finite."""
        raise NonFiniteError("10 gradients in a row were not finite")


def test_a_candidate_that_diverges_is_left_out():
    lines = []
    wild = Candidate("wild", Diverging(horizon=HORIZON, context=8))
    panel = waves(series=1, steps=100, step=HOUR)
    forecasting.auto(panel, HORIZON, trials=[wild, trials()[0]], say=lines.append)
    assert any("refused" in line and "not finite" in line for line in lines)


def test_mistakes():
    gap = np.where(np.arange(100) < 60, np.arange(100.0), np.nan)
    with pytest.raises(ValueError, match="every value to choose by is missing"):
        forecasting.auto(Panel([gap]), HORIZON, trials=trials()[:2])
    with pytest.raises(ValueError, match="horizon is 0; give at least 1 step"):
        forecasting.candidates(waves(), 0)
    with pytest.raises(ValueError, match="the series '0' has 9 values"):
        forecasting.auto(Panel([np.arange(9.0)]), 5)
    only = [each for each in trials() if each.label == "of counts"]
    with pytest.raises(ValueError, match="no candidate could learn the panel .*longer series"):
        forecasting.auto(waves(), HORIZON, trials=only)


@pytest.mark.parametrize("seed", [0, 5])
def test_a_naive_one_is_kept_where_nothing_beats_it(seed):
    """Steps of a random walk are not to be foreseen; a linear model only seems to."""
    walk = np.random.default_rng(seed).normal(size=400).cumsum()
    trained = forecasting.auto(Panel([walk]), HORIZON, trials=trials()[:2])
    assert [type(member) for member in trained.task.forecaster.members] == [SeasonalNaive]
