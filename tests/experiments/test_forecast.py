"""Forecasting from the command line, on tiny settings."""

import csv
import functools
import json

import numpy as np
import pytest

import seqjax
from experiments import forecast
from seqjax import forecasting
from tests.experiments.running import run_page

TINY = (
    "--model",
    "deepar",
    "--hidden-size",
    "4",
    "--layers",
    "1",
    "--context",
    "8",
    "--horizon",
    "3",
    "--batch-size",
    "8",
    "--folds",
    "10",
    "--quiet",
)
COLUMNS = ("--target", "sold", "--time", "day")

pytestmark = pytest.mark.usefixtures("quick_compile")


def lines(rows=90, start="2024-01-01"):
    """Days of a wave, a week long; one value is missing."""
    days = np.datetime64(start) + np.arange(rows)
    values = 10 + 3 * np.sin(2 * np.pi * np.arange(rows) / 7)
    cells = ["" if n == 40 else f"{value:.3f}" for n, value in enumerate(values)]
    return [
        "day,sold,open",
        *(
            f"{day},{cell},{n % 7 != 6:d}"
            for n, (day, cell) in enumerate(zip(days, cells, strict=True))
        ),
    ]


def write(path, rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def last(path, count):
    """The last values of a table that came."""
    with path.open() as file:
        return [float(row["sold"]) for row in csv.DictReader(file) if row["sold"]][-count:]


call = functools.partial(run_page, forecast)


def test_a_table_is_learnt_judged_resumed_and_forecast(tmp_path, monkeypatch, capsys):
    run, table = tmp_path / "run", write(tmp_path / "a.csv", lines())
    options = (
        *TINY,
        "--csv",
        table,
        *COLUMNS,
        "--known",
        "open",
        "--steps",
        "4",
        "--every",
        "2",
        "--out",
        run,
    )
    assert call(monkeypatch, *options) == 0
    result = json.loads((run / "result.json").read_text())
    counts = {"series": 1, "forecasts": 10, "horizon": 3, "steps": 4}
    assert result["counts"].items() >= counts.items() and result["split"] == "test"
    assert "--horizon 3" in result["command"] and "--layers 1" in result["command"]
    scores = json.loads((run / "scores.json").read_text())
    assert list(scores) == ["naive", "seasonal naive", "linear", "deepar", "conformal"]
    assert (
        scores["seasonal naive"]["mae"] < 1e-3 < scores["naive"]["mae"]
        and scores["linear"]["mae"] < 0.3
    )
    assert scores["deepar"]["nd"] == result["scores"]["nd"] and "crps" in scores["deepar"]
    assert result["scores"]["conformal_coverage_90"] == scores["conformal"]["coverage_90"]
    assert all(
        (run / f"{name}.png").exists()
        for name in ("forecasts", "horizon", "backtest", "calibration", "loss")
    )
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (
        len(rows) == 30
        and rows[-1]["time"].startswith("2024-03-30")
        and float(rows[-1]["q0.05"]) < float(rows[-1]["q0.95"])
    )

    assert call(monkeypatch, "--resume", run, "--steps", "5", "--quiet") == 0
    assert json.loads((run / "result.json").read_text())["counts"]["steps"] == 5

    ahead = [f"2024-04-{day:02},,{day % 7 != 0:d}" for day in (8, 9, 10)]
    new = write(tmp_path / "new.csv", [*lines(38, "2024-03-01"), *ahead])
    capsys.readouterr()
    assert call(monkeypatch, "predict", run, new) == 0
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["time"][:10] for row in printed] == ["2024-04-08", "2024-04-09", "2024-04-10"]
    assert all(row["value"] == "" and np.isfinite(float(row["mean"])) for row in printed)
    assert call(monkeypatch, "predict", run, new, "--output", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text().count("\n") == 4

    # What is printed are the network's quantiles moved by the margins that the run measured.
    trained = seqjax.load(run)
    task = trained.task
    own = seqjax.Trained(task.forecaster, trained.params).predict(new)
    margins, scale = task.margins[task.shares.index(0.2)], float(np.mean(np.abs(last(new, 8))))
    for step, moved in enumerate(printed):
        low, median, high = (own.quantile(level)[0, step] for level in (0.4, 0.5, 0.6))
        wanted = min(median, low - margins[step] * scale), max(median, high + margins[step] * scale)
        np.testing.assert_allclose([float(moved["q0.4"]), float(moved["q0.6"])], wanted, rtol=1e-4)
    seqjax.Trained(task.forecaster, trained.params).save(run / "model")
    capsys.readouterr()
    assert call(monkeypatch, "predict", run, new) == 0
    assert capsys.readouterr().err.startswith(f"warning: {run} has no conformal intervals")

    write(new, ["day,sold,open", "2024,1,1", "2025,2,1"])
    assert call(monkeypatch, "predict", run, new) == 2
    assert (
        "new.csv: the panel has a step of 12 months; the forecaster learnt one of 86400 seconds"
        in capsys.readouterr().err
    )
    assert call(monkeypatch, "predict", run) == 2
    assert "FILE" in capsys.readouterr().err


def test_many_series_by_identity_compared_and_resumed(tmp_path, monkeypatch, capsys):
    both = [f"{line},{shop}" for shop in ("a", "b") for line in lines(70)[1:]]
    run, table = tmp_path / "run", write(tmp_path / "a.csv", ["day,sold,open,shop", *both])
    options = (
        *TINY[:-3],
        "--folds",
        "2",
        "--quiet",
        "--csv",
        table,
        *COLUMNS,
        "--series",
        "shop",
        "--identity",
    )
    more = (
        "--model",
        "encoder_decoder",
        "--sampling-steps",
        "2",
        "--compare",
        "--steps",
        "3",
    )
    assert call(monkeypatch, *options, *more, "--out", run) == 0
    scores = json.loads((run / "scores.json").read_text())
    assert (
        "teacher forcing" in scores
        and scores["teacher forcing"]["mae"] != scores["encoder_decoder"]["mae"]
    )
    assert (run / "exposure.png").exists()
    alone = seqjax.load(run / "teacher_forcing").task
    assert alone.sampling_steps is None and seqjax.load(run).task.sampling_steps == 2
    assert call(monkeypatch, "--resume", run, "--quiet") == 0  # both are over: judged again
    assert json.loads((run / "scores.json").read_text()) == scores
    capsys.readouterr()
    write(table, ["day,sold,open,shop", *(line.replace(",b", ",c") for line in both)])
    assert call(monkeypatch, "predict", run, table) == 2
    assert (
        "a.csv: the series 'c' is of name 'c', which was not learnt; known are a, b"
        in capsys.readouterr().err
    )


def test_what_a_series_is_counts_also_in_what_is_fitted_anew(tmp_path, monkeypatch, capsys):
    """Two shops with one past: what is said of them differs by their region alone."""
    head = "day,sold,open,shop,region"
    rows = [
        f"{line},{shop},{region}"
        for shop, region in (("a", "coast"), ("b", "hills"))
        for line in lines(70)[1:]
    ]
    run, table = tmp_path / "run", write(tmp_path / "a.csv", [head, *rows])
    options = (
        "--folds",
        "2",
        "--quiet",
        "--csv",
        table,
        *COLUMNS,
        "--series",
        "shop",
        "--static",
        "region",
        "--refit",
        "1",
    )
    assert (
        call(monkeypatch, *TINY[:-3], *options, "--model", "direct", "--steps", "2", "--out", run)
        == 0
    )
    scores = json.loads((run / "scores.json").read_text())
    assert scores["refitted"]["mae"] != scores["direct"]["mae"]
    capsys.readouterr()

    def means(*given):
        assert call(monkeypatch, "predict", run, write(tmp_path / "new.csv", [head, *given])) == 0
        return [float(row["mean"]) for row in csv.DictReader(capsys.readouterr().out.splitlines())]

    both, swapped = means(*rows), means(*rows[len(rows) // 2 :], *rows[: len(rows) // 2])
    assert both[:3] != both[3:] and swapped == [*both[3:], *both[:3]]
    assert means(*rows[len(rows) // 2 :]) == pytest.approx(both[3:], rel=1e-5)
    foreign = [line.replace("hills", "plain") for line in rows]
    assert call(monkeypatch, "predict", run, write(tmp_path / "new.csv", [head, *foreign])) == 2
    assert (
        "is of region 'plain', which was not learnt; known are coast, hills"
        in capsys.readouterr().err
    )


def test_weekdays_in_another_hand_are_learnt_and_forecast(tmp_path, monkeypatch, capsys):
    days = np.busday_offset("2024-01-01", np.arange(90)).astype(object)
    rows = [f"{day:%d.%m.%Y};{10 + day.weekday()},5" for day in days]
    run, table = tmp_path / "run", write(tmp_path / "a.csv", ["day;sold", *rows, ""])
    options = (
        *TINY,
        "--csv",
        table,
        *COLUMNS,
        "--time-format",
        "%d.%m.%Y",
        "--steps",
        "2",
        "--every",
        "2",
    )
    assert call(monkeypatch, *options, "--out", run) == 0
    capsys.readouterr()
    # The last four days tell of no weekend, but the run knows of it.
    new = write(tmp_path / "new.csv", ["day;sold", *rows[-4:]])
    assert call(monkeypatch, "predict", run, new) == 0
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    wanted = [str(day) for day in np.busday_offset(days[-1], np.arange(1, 4))]
    assert [row["time"] for row in printed] == wanted
    write(new, ["day;sold", *(f"{day:02}.06.2024;1" for day in range(1, 8))])
    assert call(monkeypatch, "predict", run, new) == 2
    assert (
        "a step of 86400 seconds; the forecaster learnt one of 1 days on 5 days of the week"
        in capsys.readouterr().err
    )
    assert call(monkeypatch, *options[:-6], "--out", tmp_path / "b") == 2
    assert "give time_format= or --time-format: '%d.%m.%Y' fits all rows" in capsys.readouterr().err


def test_counted_rows_are_no_years(tmp_path, monkeypatch, capsys):
    rows = [f"{1000 + n},{10 + n % 7}" for n in range(90)]
    run, table = tmp_path / "run", write(tmp_path / "a.csv", ["day,sold", *rows])
    assert (
        call(
            monkeypatch,
            *TINY,
            "--csv",
            table,
            *COLUMNS,
            "--steps",
            "2",
            "--every",
            "2",
            "--out",
            run,
        )
        == 0
    )
    capsys.readouterr()
    assert call(monkeypatch, "predict", run, table) == 0
    assert [row["time"] for row in csv.DictReader(capsys.readouterr().out.splitlines())] == [
        "1090",
        "1091",
        "1092",
    ]
    write(table, ["day,sold", *(f"2024-01-01T00:00:{n:02},{n}" for n in range(60))])
    assert call(monkeypatch, "predict", run, table) == 2
    assert "a step of 1 seconds; the forecaster learnt one of 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            ("2024-02-03,", "2024-02-02,"),
            (),
            "a.csv, line 35: '2024-02-02' in 'day' comes a second time",
        ),
        (
            ("2024-02-03,", "2024-02-03T01,"),
            (),
            "a.csv, line 35: '2024-02-03T01' in 'day' is 90000 seconds after",
        ),
        (
            ("2024-03-30,", "2024-04-02,"),
            (),
            "a.csv, line 91: '2024-04-02' in 'day': 3 rows are missing after",
        ),
        (("2024-02-03,", "soon,"), (), "a.csv, line 35: 'soon' in 'day' is no time"),
        (("10.000", "ten"), (), "a.csv, line 2: 'ten' in 'sold' is no finite number"),
        (None, ("--folds", "20"), "the series 'sold' has 90 values; 20 folds of 3 to judge by"),
        (
            None,
            ("--static", "open"),
            "a.csv, line 8: '0' in 'open', '1' above; a series has one of them",
        ),
        (None, ("--known", "closed"), "no column 'closed'; the columns are day, sold, open"),
        (None, ("--scaling", "last", "--likelihood", "poisson"), "scaling='last' moves the values"),
        (
            None,
            ("--likelihood", "negative_binomial"),
            "12.345 of the series 'sold' at 2024-01-02T00:00:00 is no count",
        ),
        (
            None,
            ("--known", "sold"),
            "the target 'sold' is among the columns known; what is forecast cannot be read",
        ),
        (None, ("--compare",), "--compare and --sampling-steps go with --model encoder_decoder"),
        (
            None,
            ("--sampling-steps", "5"),
            "--compare and --sampling-steps go with --model encoder_decoder",
        ),
        (
            None,
            ("--refit", "10"),
            "--refit 10 never fits anew within --folds 10; give more folds",
        ),
    ],
)
def test_mistakes_end_with_code_2_before_training(
    tmp_path, monkeypatch, capsys, change, options, message
):
    text = "\n".join(lines()) + "\n"
    table = tmp_path / "a.csv"
    table.write_text(text if change is None else text.replace(*change, 1))
    assert (
        call(monkeypatch, *TINY, "--csv", table, *COLUMNS, *options, "--out", tmp_path / "run") == 2
    )
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1 and message in complaint
    assert not (tmp_path / "run").exists()


def test_gaps_of_a_table(tmp_path, monkeypatch, capsys):
    options = (
        "--csv",
        tmp_path / "a.csv",
        *COLUMNS,
        "--steps",
        "2",
        "--model",
        "direct",
        "--folds",
        "2",
        "--out",
    )

    def blank(gaps):
        return [
            line if n == 0 or not gaps(n) else f"{line.split(',')[0]},,1"
            for n, line in enumerate(lines())
        ]

    write(tmp_path / "a.csv", blank(lambda n: 78 < n < 85))
    assert call(monkeypatch, *TINY[:-3], "--quiet", *options, tmp_path / "none") == 2
    assert (
        "every value to choose by is missing" in capsys.readouterr().err
        and not (tmp_path / "none").exists()
    )
    write(tmp_path / "a.csv", blank(lambda n: n % 3 > 0))
    assert call(monkeypatch, *TINY[:-3], "--quiet", *options, tmp_path / "few") == 0
    assert "no linear forecaster beside: no window has all 3 values" in capsys.readouterr().err
    assert "linear" not in json.loads((tmp_path / "few" / "scores.json").read_text())
    write(
        tmp_path / "a.csv",
        [line if n == 0 else f"{line.split(',')[0]},0,1" for n, line in enumerate(lines())],
    )
    assert call(monkeypatch, *TINY[:-3], "--quiet", *options, tmp_path / "zeros") == 0
    assert "Infinity" not in (tmp_path / "zeros" / "result.json").read_text()


def test_a_run_without_a_calendar_forecasts_a_table_with_times(tmp_path, monkeypatch, capsys):
    panel = forecasting.Panel(
        [np.arange(60) % 7 + n for n in range(2)], ["a", "b"], np.timedelta64(24, "h")
    )
    monkeypatch.setattr(
        forecasting.series_options,
        "load_panel",
        lambda *_: forecasting.LoadedPanel(panel, "made up"),
    )
    sizes = (
        "--hidden-size",
        "4",
        "--layers",
        "1",
        "--context",
        "8",
        "--horizon",
        "3",
        "--batch-size",
        "8",
        "--quiet",
        "--model",
        "deepar",
    )
    run = tmp_path / "run"
    assert (
        call(
            monkeypatch,
            "--dataset",
            "m4_hourly",
            *sizes,
            "--steps",
            "1",
            "--folds",
            "2",
            "--out",
            run,
        )
        == 0
    )
    rows = [f"{line},{name}" for name in ("a", "b") for line in lines(40)[1:]]
    table = write(tmp_path / "new.csv", ["day,sold,open,shop", *rows])
    capsys.readouterr()
    assert call(monkeypatch, "predict", run, table, *COLUMNS, "--series", "shop") == 0
    said = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["series"], row["time"][:10]) for row in said[::3]] == [
        ("a", "2024-02-10"),
        ("b", "2024-02-10"),
    ]


def test_options_that_want_each_other(monkeypatch, capsys):
    assert (
        call(monkeypatch, "--target", "x") == 2 and "go with --csv FILE" in capsys.readouterr().err
    )
    assert (
        call(monkeypatch, "--csv", "a.csv") == 2
        and "--csv wants --target" in capsys.readouterr().err
    )


def test_presets_are_whole_and_what_is_given_lies_over_them():
    given = forecast.Config(dataset="etth1", model="direct", dropout=0.1)
    config = given.settled()
    assert (config.likelihood, config.horizon, config.steps) == ("point", 24, 600)
    assert config.dropout == forecast.Config().dropout == 0.1  # given, though a default elsewhere
    assert config.given == {"dataset", "model", "dropout"}
    assert forecast.Config(dataset="etth1").settled().likelihood is None  # auto finds its own
    assert forecast.Config(csv="a.csv", dataset="etth1", model="direct").settled().steps == 1500
    every = forecast.Config(csv="a.csv", multivariate=True, horizon=720).settled()
    assert (every.model, every.horizon, every.context, every.folds) == ("segrnn", 720, 96, None)
    other = forecast.Config(csv="a.csv", multivariate=True, model="direct").settled()
    assert other.hidden_size == forecast.Config().hidden_size
    assert set(forecast.PRESETS) <= set(forecasting.DATA_SETS)


def test_forecasters_are_compared_and_the_best_forecasts(tmp_path, monkeypatch, capsys):
    run, table = tmp_path / "run", write(tmp_path / "a.csv", lines())
    words = ("--csv", table, *COLUMNS, "--horizon", "3", "--minutes", "0", "--out", run)
    assert call(monkeypatch, *words) == 0
    printed = capsys.readouterr().out
    assert "no time  direct" in printed and "linear" in (run / "tried.txt").read_text()
    result = json.loads((run / "result.json").read_text())
    # The last fifth judges, from each of its days.
    assert result["split"] == "test" and result["counts"]["forecasts"] == 16
    assert {"mae", "conformal_coverage_90"} <= result["scores"].keys()
    new = write(tmp_path / "new.csv", lines(38, "2024-03-01"))
    assert call(monkeypatch, "predict", run, new) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    for option, value in (("--dropout", "0.2"), ("--backend", "scan")):
        assert call(monkeypatch, *words[:-1], tmp_path / "b", option, value) == 2
        said = f"{option} is of a network; name it, as --model deepar"
        assert said in capsys.readouterr().err


def test_columns_of_a_table_are_learnt_judged_and_forecast(tmp_path, monkeypatch, capsys):
    """Of every time of the last fifth; scores count in standard deviations of each column."""
    days = np.datetime64("2024-01-01") + np.arange(100)
    waves = [np.sin(2 * np.pi * np.arange(100) / 7 + phase) for phase in (0, 2)]
    values = np.stack([1000 + 300 * waves[0], 0.1 * waves[1]], axis=1)
    rows = [f"{day},{low:.4f},{high:.4f}" for day, (low, high) in zip(days, values, strict=True)]
    run, table = tmp_path / "run", write(tmp_path / "a.csv", ["day,large,small", *rows])
    sizes = ("--hidden-size", "8", "--segment", "7", "--context", "14", "--horizon", "3")
    words = ("--csv", table, "--time", "day", "--multivariate", "--quiet")
    quick = ("--steps", "60", "--every", "30", "--learning-rate", "0.02", "--dropout", "0.1")
    assert call(monkeypatch, *words, *sizes, *quick, "--out", run) == 0
    result = json.loads((run / "result.json").read_text())
    counts = {"series": 2, "forecasts": 2 * (20 - 3 + 1), "horizon": 3}
    assert result["counts"].items() >= counts.items()
    scores = json.loads((run / "scores.json").read_text())
    assert list(scores) == ["naive", "seasonal naive", "linear", "segrnn", "conformal"]
    # The naive error of a wave is of its size, which in these units is 1.
    assert 0.5 < scores["naive"]["mse"] < 4
    assert scores["segrnn"]["mse"] < 0.7 * scores["naive"]["mse"]
    task = seqjax.load(run).task.forecaster
    assert (task.name, task.identity, task.likelihood.levels) == ("segrnn", True, (0.5,))
    np.testing.assert_allclose(
        task.value_units, (values[:70].mean(0), values[:70].std(0)), 0.01, 1e-4
    )

    capsys.readouterr()
    turned = ["day,small,large", *(",".join(np.array(row.split(","))[[0, 2, 1]]) for row in rows)]
    assert call(monkeypatch, "predict", run, write(tmp_path / "new.csv", turned)) == 0
    said = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["series"] for row in said] == ["large"] * 3 + ["small"] * 3
    assert said[0]["time"][:10] == "2024-04-10"
    means = [float(row["mean"]) for row in said]
    assert min(means[:3]) > 500 and max(map(abs, means[3:])) < 0.2
    short = ("--horizon", "50", "--out", tmp_path / "short")
    assert call(monkeypatch, *words, *short) == 2
    assert "have 100 values, of which a tenth chooses; a horizon of 50" in capsys.readouterr().err


def test_the_published_cuts_of_ett(tmp_path, monkeypatch, capsys):
    """Values are learnt, and scores count, in standard deviations of the first twelve months."""
    hours = np.datetime64("2016-07-01T00") + np.arange(14_400 + 5)
    values = [n % 24 + 100 * (n >= 8640) for n in range(len(hours))]
    rows = [
        f"{str(hour).replace('T', ' ')}:00:00,{value}"
        for hour, value in zip(hours, values, strict=True)
    ]
    (tmp_path / "ett").mkdir()
    write(tmp_path / "ett" / "ETTh1.csv", ["date,OT", *rows])
    words = ("--dataset", "etth1", "--data-dir", tmp_path, "--out", tmp_path / "run")
    words += ("--model", "direct")
    for options in (("--folds", "3"), ("--refit", "2")):
        assert call(monkeypatch, *words, *options) == 2
    complaints = capsys.readouterr().err.splitlines()
    assert complaints[0] == "error: the cuts of etth1 are published, one an hour; give no folds"
    assert "--refit 2 never fits anew" in complaints[1]
    config = forecast.Config(dataset="etth1", model="direct", data_dir=str(tmp_path)).settled()
    split = config.load(config.data_dir).split(24, config.folds)
    task = forecast.build(config, split, 24)
    learnt = np.array(values[:8640])
    np.testing.assert_allclose(task.value_units, (learnt.mean(), learnt.std()))
    assert split.held_out("test").units == task.value_units and len(split.test) == 2880 - 24 + 1


def test_networks_of_several_seeds_forecast_together(tmp_path, monkeypatch, capsys):
    run, table = tmp_path / "run", write(tmp_path / "a.csv", lines())
    steps = ("--steps", "2", "--every", "1", "--members", "2")
    options = (*TINY, "--csv", table, *COLUMNS, *steps, "--model", "direct")
    assert call(monkeypatch, *options, "--out", run) == 0
    blend = seqjax.load(run).task.forecaster
    assert blend.weights == (0.5, 0.5)
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 2
    assert call(monkeypatch, *options, "--refit", "1", "--out", tmp_path / "no") == 2
    assert "--members does not go with" in capsys.readouterr().err
