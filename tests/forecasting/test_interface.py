"""Forecasters as tasks: batches, scores, saved models that forecast alike in a fresh process."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import seqjax
from seqjax import forecasting, training
from seqjax.files.settings import from_plain, to_plain
from seqjax.forecasting import HeldOut
from seqjax.losses import likelihoods
from tests.forecasting.panels import waves
from tests.forecasting.test_networks import KINDS, every_kind
from tests.fresh import run_afresh

pytestmark = pytest.mark.usefixtures("quick_compile")

HEAD = "day,shop,region,sold"


def rows(shops=("a", "b"), count=40):
    """Days of two shops, each in a region of its own."""
    regions = {"a": "coast", "b": "hills"}
    days = np.datetime64("2024-01-01") + np.arange(count)
    return [
        f"{day},{shop},{regions.get(shop, 'moon')},{10 + place + n % 7}"
        for place, shop in enumerate(shops)
        for n, day in enumerate(days)
    ]


def write(path, lines):
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return path


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "shops.csv", rows())


def read(path):
    return forecasting.read_panel(path, "sold", "day", series="shop", static=["region"])


def untrained(task):
    return seqjax.Trained(task, task.init(jax.random.key(0)))


def every_model(panel):
    """All that can be saved."""
    networks = {name: untrained(kind.settled(panel)) for name, kind in KINDS.items()}
    naive = forecasting.SeasonalNaive(horizon=3, season=7).fit(panel)
    return {
        **networks,
        "conformal": forecasting.conformal(networks["direct"], panel, range(3, 20)),
        "naive": naive,
        "naive_conformal": forecasting.conformal(naive, panel, range(3, 20)),
        "linear": forecasting.Linear(horizon=3, context=8).fit(panel),
    }


def test_settings_are_written_and_read():
    panel = waves()
    for model in every_model(panel).values():
        assert from_plain(json.loads(json.dumps(to_plain(model.task)))) == model.task
        assert "\n" not in repr(model) and repr(model.task)[:40] in repr(model)


def test_a_fresh_process_forecasts_alike(table, tmp_path):
    panel = read(table)
    models = every_model(panel)
    for name, model in models.items():
        model.save(tmp_path / name)
    program = (
        "import seqjax, numpy as np\n"
        "from seqjax import forecasting\n"
        "panel = forecasting.read_panel(\n"
        "    sys.argv[2], 'sold', 'day', series='shop', static=['region']\n"
        ")\n"
        "for name in sys.argv[3:]:\n"
        "    model = seqjax.load(f'{sys.argv[1]}/{name}')\n"
        "    found = model.predict(panel, ago=[0, 4], seed=3)\n"
        "    np.savez(f'{sys.argv[1]}/{name}.npz', mean=found.mean, quantiles=found.quantiles)\n"
    )
    run_afresh(program, tmp_path, table, *models)
    for name, model in models.items():
        wanted = model.predict(panel, ago=[0, 4], seed=3)
        found = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_allclose(found["mean"], wanted.mean, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found["quantiles"], wanted.quantiles, rtol=1e-5, atol=1e-5)


def test_a_table_is_forecast_by_the_columns_that_were_learnt(table, tmp_path):
    model = untrained(KINDS["direct"].settled(read(table)))
    np.testing.assert_array_equal(model.predict(table).mean, model.predict(read(table)).mean)
    # What a shop is goes by its label, not by its place.
    swapped = write(tmp_path / "swapped.csv", rows()[40:] + rows()[:40])
    np.testing.assert_allclose(
        model.predict(swapped).mean[::-1], model.predict(table).mean, rtol=1e-5
    )
    other = tmp_path / "other.csv"
    other.write_text(swapped.read_text().replace("sold", "count"))
    panel = model.task.read(other, target="count")
    np.testing.assert_array_equal(model.predict(panel).mean, model.predict(swapped).mean)
    foreign = write(tmp_path / "foreign.csv", rows(("a", "x")))
    with pytest.raises(
        ValueError,
        match="foreign.csv: the series 'x' is of region 'moon', which was not learnt; known are coast, hills",
    ):
        model.predict(foreign)
    nameless = untrained(KINDS["direct"].settled(waves()))
    with pytest.raises(ValueError, match="no table was learnt, so say which column is the target"):
        nameless.predict(table)


@every_kind
def test_few_shapes_are_compiled(kind):
    """Ten panels, of as many lengths and numbers of forecasts."""
    model = untrained(KINDS[kind].settled(waves()))
    compiled = forecasting.sample_paths if kind == "deepar" else forecasting.network._said
    count = compiled._cache_size()
    for n in range(1, 11):
        model.predict(waves(series=1, steps=20 + 5 * n), ago=range(n))
    assert compiled._cache_size() - count <= 2


def test_training_is_that_of_every_task(tmp_path):
    panel, recipe = waves(), training.Recipe(steps=6, batch_size=8, every=3, average=0.9, seed=4)
    held_out = HeldOut(panel, (3, 6), season=6)
    kind = KINDS["direct"]
    trained = kind.fit(panel.until(6), recipe, validation=held_out)
    task = kind.settled(panel.until(6))
    same = training.fit(task, panel.until(6), validation=held_out, recipe=recipe, quiet=True)
    assert same.task == trained.task == task
    jax.tree.map(np.testing.assert_array_equal, same.params, trained.params)
    once = list(task.batches(panel, batch_size=50, once=True))
    assert sum(batch["weight"].sum() for batch in once) == len(task.windows(panel))
    with pytest.raises(ValueError, match="batch_size is 9; give a multiple of 2"):
        task.batches(panel, batch_size=9, multiple_of=2)
    with pytest.raises(ValueError, match="call settled"):
        training.fit(kind, panel, quiet=True)


def test_larger_series_are_drawn_more_often():
    task = dataclasses.replace(KINDS["direct"], power=1.0).settled(waves())
    assert len(task.training_windows(waves())) > 3 * len(task.windows(waves()))
    categories = np.bincount(task.training_windows(waves())._series)
    assert categories[0] < categories[1] < categories[2]


def test_values_that_are_no_counts_are_named():
    task = dataclasses.replace(KINDS["direct"], likelihood=likelihoods.Poisson()).settled(waves())
    with pytest.raises(ValueError, match="of the series 'a' at 0 is no count; Poisson"):
        task.batches(waves())
    with pytest.raises(ValueError, match="is no count"):
        forecasting.Direct.of(waves(), context=8, horizon=3, likelihood=likelihoods.Poisson())


def test_units_are_learnt_and_forecasts_are_in_the_panels_own():
    """Values in other units, learnt in units that undo them, are the same values."""
    panel = waves()
    moved = dataclasses.replace(panel, values=[4 * values + 100 for values in panel.values])
    plain = KINDS["direct"].settled(panel)
    task = dataclasses.replace(plain, value_units=(100.0, 4.0))
    params = plain.init(jax.random.key(0))
    wanted = plain.predict(params, panel)
    found = task.predict(params, moved)
    np.testing.assert_allclose(found.quantiles, 4 * wanted.quantiles + 100, rtol=1e-5)
    held_out = HeldOut(moved, (3, 6), season=6, units=(100.0, 4.0))
    assert task.evaluate(params, held_out) == pytest.approx(
        plain.evaluate(params, HeldOut(panel, (3, 6), season=6)), rel=1e-4
    )
    inner = forecasting.conformal(seqjax.Trained(plain, params), panel, range(3, 20))
    outer = forecasting.conformal(seqjax.Trained(task, params), moved, range(3, 20))
    np.testing.assert_allclose(outer.task.margins, inner.task.margins, rtol=1e-3, atol=1e-4)


def test_each_series_has_units_of_its_own():
    """They go by the series' name, wherever it stands in a panel."""
    panel = waves()
    loc, scale = np.array([100.0, -5.0, 0.0]), np.array([4.0, 0.5, 2.0])
    moved = dataclasses.replace(
        panel,
        values=[s * v + at for v, at, s in zip(panel.values, loc, scale, strict=True)],
    )
    plain = dataclasses.replace(KINDS["direct"], identity=True).settled(panel)
    units = tuple(loc.tolist()), tuple(scale.tolist())
    task = dataclasses.replace(plain, value_units=units)
    params = plain.init(jax.random.key(0))
    wanted = plain.predict(params, panel).quantiles * scale[:, None, None] + loc[:, None, None]
    np.testing.assert_allclose(task.predict(params, moved).quantiles, wanted, rtol=1e-5)
    turned = dataclasses.replace(moved, values=moved.values[::-1], names=moved.names[::-1])
    np.testing.assert_allclose(task.predict(params, turned).quantiles, wanted[::-1], rtol=1e-5)
    held_out = HeldOut(moved, (3, 6), season=6, units=units)
    assert task.evaluate(params, held_out) == pytest.approx(
        plain.evaluate(params, HeldOut(panel, (3, 6), season=6)), rel=1e-4
    )
    inner = forecasting.conformal(seqjax.Trained(plain, params), panel, range(3, 20))
    outer = forecasting.conformal(seqjax.Trained(task, params), moved, range(3, 20))
    np.testing.assert_allclose(outer.task.margins, inner.task.margins, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="value_units are of 3 series; the panel has 2"):
        dataclasses.replace(task, form=None).settled(waves(series=2))
    with pytest.raises(ValueError, match="value_units are of each series; tell them apart by iden"):
        dataclasses.replace(task, form=None, identity=False).settled(panel)


def test_what_is_held_out_says_which_score_chooses():
    panel = waves()
    naive = forecasting.SeasonalNaive(horizon=3, season=6).fit(panel)
    held_out = HeldOut(panel, (3, 6), season=6)
    mse = naive.evaluate(dataclasses.replace(held_out, monitor="mse"))["error"]
    assert mse == pytest.approx(naive.evaluate(held_out)["rmse"] ** 2)
    assert mse != naive.evaluate(held_out)["error"]


def test_scores_of_a_panel_are_those_of_its_last_horizon():
    panel = waves(step=np.timedelta64(4, "h"))
    naive = forecasting.SeasonalNaive(horizon=3, season=6).fit(panel)
    wanted = forecasting.score(panel, naive.predict(panel, ago=3), season=6)
    found = naive.evaluate(panel)
    assert found["error"] == wanted["mase"] and set(found) == {"error", "nd", "mase", "rmse"}
    alone = dataclasses.replace(waves(series=1), step=np.timedelta64(4, "h"))
    assert naive.evaluate(alone)["error"] == naive.evaluate(alone)["rmse"]


def test_what_learns_at_once_has_no_batches():
    with pytest.raises(TypeError, match="Linear learns at once; call its fit"):
        training.fit(forecasting.Linear(horizon=2, context=3), waves(), quiet=True)
    with pytest.raises(ValueError, match="the season is not known; give season="):
        forecasting.SeasonalNaive(horizon=2).predict({}, waves())
