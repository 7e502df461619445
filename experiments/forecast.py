"""experiments.forecast: probabilistic forecasts of time series, beside the naive ones and a linear model.

    python -m experiments.forecast                                        # half-hourly electricity demand
    python -m experiments.forecast --dataset m4_hourly                    # 414 series, official test of 48 hours
    python -m experiments.forecast --dataset etth1 --horizon 24           # transformer temperature, 12/4/4 months
    python -m experiments.forecast --dataset etth1 --model encoder_decoder --compare    # teacher forcing or sampling
    python -m experiments.forecast --csv FILE --target COLUMN --time COLUMN             # any table
    python -m experiments.forecast --csv FILE --target COLUMN --time COLUMN --time-format %m/%d/%Y
    python -m experiments.forecast --predict RUN --csv FILE               # what comes after the end of a table

A stacked LSTM as DeepAR (paths drawn by ancestral sampling), as a direct forecaster of all steps at once, or as encoder
and decoder with attention. A table has one row for each time, ISO 8601 or `--time-format`, and for many series a
column that names them; cells of the target that are empty or say NA are missing values, and rows at the end without it
are still to come. Days, weekdays, months and their ends count as equal steps. Judged over the last
`--folds` horizons; those before them choose the weights and calibrate the intervals of pictures and predictions.
Expect a MASE of 0.61 for the demand, 3 minutes on a shared core, and 1.06 for M4 hourly, 7 minutes; seasonal naive has
0.83 and 1.19.
Papers: Salinas et al., 2017; Wen et al., 2017; Romano et al., 2019.
"""

import dataclasses
import warnings
from pathlib import Path

import numpy as np

import seqjax
from experiments.common import (
    BaseConfig,
    Options,
    Run,
    Verb,
    check_rows,
    launch,
    load_config,
    mistakes,
    option,
    read_json,
)
from seqjax import data, figures, forecasting, training
from seqjax.files.disk import write_atomically
from seqjax.forecasting import plots
from seqjax.losses import likelihoods

LIKELIHOODS = {
    "student_t": likelihoods.StudentT(),
    "normal": likelihoods.Normal(),
    "laplace": likelihoods.Laplace(),
    "negative_binomial": likelihoods.NegativeBinomial(),
    "poisson": likelihoods.Poisson(),
    "quantile": likelihoods.Quantile(forecasting.LEVELS),
    "point": likelihoods.SquaredError(),
}
MODELS = {
    "deepar": forecasting.DeepAR,
    "direct": forecasting.Direct,
    "encoder_decoder": forecasting.EncoderDecoder,
}
USUAL = {
    "model": "deepar",
    "scaling": "mean",
    "hidden_size": 40,
    "layers": 2,
    "dropout": 0.1,
    "folds": 4,
    "steps": 1500,
    "every": 250,
    "learning_rate": 3e-3,
    "power": 0.0,
    "identity": False,
}
PRESETS = {
    "vic_elec": {"horizon": 48, "context": 168, "folds": 28},
    "m4_hourly": {
        "horizon": 48,
        "context": 168,
        "folds": 1,
        "steps": 2500,
        "power": 0.1,
        "identity": True,
    },
    "etth1": {
        "model": "direct",
        "likelihood": "point",
        "scaling": "last",
        "horizon": 24,
        "context": 336,
        "folds": 1,
        "hidden_size": 16,
        "layers": 1,
        "dropout": 0.3,
        "steps": 600,
        "every": 100,
    },
    "co2": {"horizon": 52, "context": 104},
    "sunspots": {"horizon": 11, "context": 44, "steps": 500},
    "csv": {},
}
"""What each data set settles where no option says otherwise."""

SEASONS = {"sunspots": 11}  # of a length that the step does not tell
MONTH = 30 * 24  # hours, as the published protocol of ETT counts them (Zhou et al., 2021)
SHOWN = 6  # series in the picture of forecasts
MOST = 100_000  # lines of predictions.csv
CONFORMAL = "conformal"
COUNTED = ("poisson", "negative_binomial")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    dataset: str = option(
        "vic_elec", "data set", choices=tuple(name for name in PRESETS if name != "csv")
    )
    csv: str | None = option(None, "table to learn in place of the data set")
    target: str | None = option(None, "its column to forecast")
    time: str | None = option(None, "its column of times")
    time_format: str | None = option(None, "how they are written, as %%m/%%d/%%Y; else ISO 8601")
    series: str | None = option(None, "its column that names the series; else it is one")
    known: str = option("", "its columns known beforehand, with commas between")
    past: str = option("", "its columns known only afterwards, with commas between")
    static: str = option(
        "", "its columns that say what a series is, with commas between; each is embedded"
    )
    model: str | None = option(
        None, "forecaster (default: by the data set, else deepar)", choices=tuple(MODELS)
    )
    likelihood: str | None = option(
        None,
        "what is said of a value (default: deepar student_t, else quantile)",
        choices=tuple(LIKELIHOODS),
    )
    horizon: int | None = option(
        None, "steps to forecast (default: by the data set, else a season)", least=1
    )
    context: int | None = option(
        None, "steps read (default: by the data set, else three horizons)", least=1
    )
    folds: int | None = option(
        None, "horizons at the end to judge by, as many before to choose by", least=1
    )
    refit: int = option(
        0, "judge it also fitted anew at every so many of the horizons; 0 not", least=0
    )
    scaling: str | None = option(
        None, "of each window", choices=("none", "mean", "standard", "robust", "last")
    )
    hidden_size: int | None = option(None, "units of each layer", least=1)
    layers: int | None = option(None, "LSTM layers", least=1)
    dropout: float | None = option(None, "rate between layers", least=0, below=1)
    power: float | None = option(
        None, "of a series' size, by which its windows come the more often", least=0
    )
    identity: bool | None = option(
        None, "learn a vector for each series; it forecasts no others then"
    )
    sampling_steps: int | None = option(
        None, "encoder_decoder: steps until it reads its own values alone", least=1
    )
    compare: bool = option(
        False, "encoder_decoder: train a second one by teacher forcing alone, in teacher_forcing/"
    )
    batch: int = option(64, "windows a step", least=1)
    learning_rate: float | None = option(None, "Adam's, falling to 0 along a cosine", least=0)
    clip: float = option(10.0, "largest gradient norm", least=1e-12)
    average: float = option(
        0.99, "decay of the moving average of the weights, which forecast", least=0, below=1
    )
    steps: int | None = option(None, "training steps", least=1)
    every: int | None = option(None, "steps between validations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(Options):
    csv: str | None = option(None, "table whose end to forecast from")
    target: str | None = option(None, "its column to forecast (default: as in training)")
    time: str | None = option(None, "its column of times (default: as in training)")
    time_format: str | None = option(None, "how they are written (default: as in training)")
    series: str | None = option(None, "its column that names the series")
    seed: int = option(0, "of the paths drawn", least=0)
    output: str | None = option(None, "file to write; else the standard output")


def main(config: Config) -> dict:
    """Trains, judges and draws; returns what `result.json` holds."""
    run = Run("forecast", config)
    return report(run, *learn(run))


def learn(run: Run) -> tuple[Config, forecasting.Split, forecasting.Trained]:
    """Trains in a run's folder."""
    with mistakes():
        config, split, origin = read_split(run.config)
        check_rows(config.batch, config.devices)
        if config.compare and run.shard[1] > 1:
            raise ValueError("--compare trains in one process; take SEQJAX_PROCESSES away")
        forecaster, recipe = build(config).settled(split.train), recipe_of(config)
        check_values(split.panel, config)
        batches = data.batches(forecaster.lessons(split.train), config.batch, seed=config.seed)
    run.begin({"origin": origin, "fingerprint": split.panel.fingerprint()})
    if run.leads:
        run.write_json("panel.json", describe(forecaster, split))
    values = sum(split.train.lengths)
    run.say(
        f"{len(split.panel)} series, {values:,} values to learn, {len(split.test)} x {config.horizon} to judge by"
    )
    run.say(f"{forecaster.recurrence} as {config.model}, context {config.context}: {origin}")
    state = run.train(
        forecaster.begin(recipe),
        forecaster.loss,
        recipe.optimiser(),
        data.mapped(run.share, batches),
        steps=config.steps,
        every=config.every,
        evaluate=lambda state: validate(forecasting.Trained(forecaster, state.ema), split),
        monitor="error",
        per_step=config.batch,
        unit="windows",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return config, split, forecasting.Trained(forecaster, state.ema)


def build(config: Config) -> forecasting.NetworkForecaster:
    """The forecaster of a settled config."""
    assert config.model is not None and config.context is not None and config.horizon is not None
    recurrence = seqjax.stack(
        *[seqjax.LSTM(config.hidden_size)] * config.layers, dropout=config.dropout
    )
    extra = {
        "encoder_decoder": {"sampling_steps": config.sampling_steps},
        "direct": {"dropout": config.dropout},
    }
    return MODELS[config.model](
        context=config.context,
        horizon=config.horizon,
        recurrence=recurrence,
        likelihood=LIKELIHOODS[config.likelihood],
        scaling=config.scaling,
        backend=config.backend,
        power=config.power,
        **extra.get(config.model, {}),
    )


def recipe_of(config: Config) -> forecasting.Recipe:
    """How it is trained."""
    return forecasting.Recipe(
        steps=config.steps,
        batch_size=config.batch,
        learning_rate=config.learning_rate,
        clip=config.clip,
        average=config.average,
        seed=config.seed,
    )


def validate(fitted: forecasting.Fitted, split: forecasting.Split) -> dict[str, float]:
    """Scores over the cuts to choose by; `error` is MASE of many series, of one its quantile loss or squared error.

    The quantile loss of many series hears the largest alone, MASE all of them alike.
    """
    forecast = fitted.predict(split.panel, split.validation)
    scores = forecasting.score(split.panel, forecast, split.season)
    alone = scores.get("wql", scores.get("rmse", float("inf")))
    error = scores.get("mase", alone) if len(split.panel) > 1 else alone
    return {
        "error": error,
        **{name: scores[name] for name in ("nd", "mase", "rmse") if name in scores},
    }


def read_split(config: Config) -> tuple[Config, forecasting.Split, str]:
    """The config with everything settled, the series and how they are cut, and where they come from."""
    check_options(config)
    name = config.dataset if config.csv is None else "csv"
    loaded = read_series(config)
    panel = loaded.panel
    season = SEASONS.get(name) or panel.season
    config = settle(config, name, season)
    if config.identity:
        panel = panel.labelled("name", panel.names)
    horizon, folds = config.horizon, config.folds
    assert horizon is not None and folds is not None
    if name == "etth1":
        learnt = panel.values[0][: 12 * MONTH]
        units = float(learnt.mean()), float(learnt.std())
        panel = panel.until(len(panel.values[0]) - 20 * MONTH).standardised(*units)
        test, validation = (
            range(4 * MONTH, horizon - 1, -1),
            range(8 * MONTH, 4 * MONTH + horizon - 1, -8),
        )
        return (
            config,
            forecasting.Split(panel, season, tuple(validation), tuple(test), units),
            loaded.origin,
        )
    if config.refit >= folds:
        raise ValueError(
            f"--refit {config.refit} never fits anew within {folds} folds; give fewer, or more --folds"
        )
    try:
        split = forecasting.Split.by_folds(panel, season, horizon, folds)
        for purpose, cuts in (("choose", split.validation), ("judge", split.test)):
            ends = [
                values[len(values) - ago :][:horizon] for values in panel.values for ago in cuts
            ]
            if not any(np.isfinite(end).any() for end in ends):
                raise ValueError(
                    f"every value to {purpose} by is missing; fill the gaps, or give more --folds"
                )
        return config, split, loaded.origin
    except ValueError as error:
        raise ValueError(
            f"{config.csv}, column {config.target!r}: {error}" if config.csv else error
        ) from error


def check_values(panel: forecasting.Panel, config: Config) -> None:
    """Refuses values that the likelihood has no place for.

    Raises:
      ValueError: says which.
    """
    if config.likelihood not in COUNTED:
        return
    for place, values in enumerate(panel.values):
        wrong = np.flatnonzero((values < 0) | (values % 1 > 0))
        if len(wrong):
            at = panel.times(place, len(values))[wrong[0]]
            raise ValueError(
                f"{values[wrong[0]]:g} of the series {panel.names[place]!r} at {at} is no count; "
                f"{config.likelihood} wants whole numbers from 0, give another --likelihood"
            )


def check_options(config: Config) -> None:
    """Refuses options that want another one.

    Raises:
      ValueError: says which.
    """
    columns = (
        config.target,
        config.time,
        config.time_format,
        config.series,
        config.known,
        config.past,
        config.static,
    )
    if config.csv is None and any(columns):
        raise ValueError(
            "--target, --time, --time-format, --series, --known, --past and --static go with --csv FILE"
        )
    if config.target in names_in(config.known) + names_in(config.past):
        raise ValueError(
            f"the target {config.target!r} is among --known or --past; what is forecast cannot be read"
        )
    if config.csv is not None and not (config.target and config.time):
        raise ValueError("--csv wants --target COLUMN and --time COLUMN")
    if config.csv is None and config.dataset == "etth1" and (config.folds or config.refit):
        raise ValueError(
            "--folds and --refit do not go with --dataset etth1, whose cuts are published: one an hour"
        )
    if config.model != "encoder_decoder" and (config.compare or config.sampling_steps):
        raise ValueError("--compare and --sampling-steps go with --model encoder_decoder")


def settle(config: Config, name: str, season: int) -> Config:
    """The config with what was left open settled for the data set."""
    chosen = USUAL | {"horizon": max(season, 8)} | PRESETS[name]
    chosen |= {key: getattr(config, key) for key in chosen if getattr(config, key) is not None}
    chosen.setdefault("context", config.context or 3 * chosen["horizon"])
    chosen.setdefault(
        "likelihood",
        config.likelihood or ("student_t" if chosen["model"] == "deepar" else "quantile"),
    )
    if config.compare:
        chosen["sampling_steps"] = config.sampling_steps or -(-chosen["steps"] // 2)
    return dataclasses.replace(config, **chosen)


def read_series(config: Config) -> forecasting.LoadedPanel:
    """A user's table, or the data set."""
    if config.csv is None:
        return forecasting.load_panel(config.dataset, config.data_dir)
    assert config.target is not None and config.time is not None
    columns = {name: names_in(getattr(config, name)) for name in ("known", "past", "static")}
    panel = forecasting.read_panel(
        config.csv,
        config.target,
        config.time,
        series=config.series,
        time_format=config.time_format,
        **columns,
    )
    return forecasting.LoadedPanel(panel, config.csv)


def names_in(names: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def report(run: Run, config: Config, split: forecasting.Split, fitted: forecasting.Trained) -> dict:
    """Judges, draws and writes; returns the result."""
    assert config.model is not None and config.horizon is not None and config.context is not None
    model, panel = config.model, split.panel
    usual = forecasting.baselines(split.train, config.horizon, config.context, split.season)
    forecasts = {name: baseline.predict(panel, split.test) for name, baseline in usual.items()}
    forecasts[model] = fitted.predict(panel, split.test, seed=config.seed)
    forecasts |= (
        calibrated(run, config, split, fitted)
        | refitted(config, split, fitted)
        | compared(run, config, split)
    )
    scores = {
        name: forecasting.score(panel, forecast, split.season)
        for name, forecast in forecasts.items()
    }
    for row, forecast in zip(scores.values(), forecasts.values(), strict=True):
        row["mse"] = forecasting.metrics.mse(forecasting.truth(panel, forecast), forecast.mean)
    run.write_text("scores.txt", forecasting.table(scores) + "\n")
    run.write_json("scores.json", scores)
    best = forecasts.get(CONFORMAL, forecasts[model])
    run.write_text(
        "predictions.csv",
        forecasting.to_csv(panel, best.rows(slice(-max(1, MOST // config.horizon), None))),
    )
    draw(run, config, split, forecasts, best)
    run.say(forecasting.table(scores))
    beside = {"seasonal naive": ("nd", "mase"), CONFORMAL: ("coverage_50", "coverage_90", "wql")}
    own = scores[model] | {
        f"{name} {score}".replace(" ", "_"): scores[name][score]
        for name, kept in beside.items()
        for score in kept
        if score in scores.get(name, {})
    }
    counts = {"series": len(panel), "forecasts": len(forecasts[model]), "horizon": config.horizon}
    counts |= {"context": config.context, "steps": run.history()[-1]["step"]}
    result = run.finish(own, counts)
    run.say(f"run folder: {run.folder}")
    return result


def calibrated(
    run: Run, config: Config, split: forecasting.Split, fitted: forecasting.Trained
) -> dict[str, forecasting.Forecast]:
    """The same forecasts within conformal intervals, kept for `--predict`; none where too few forecasts calibrate."""
    try:
        found = forecasting.conformal(fitted, split.panel, split.validation, forecasting.SHARES)
    except ValueError as reason:
        run.say(f"no conformal intervals: {reason}")
        return {}
    run.write_json("conformal.json", {"shares": found.shares, "margins": found.margins.tolist()})
    return {CONFORMAL: found.predict(split.panel, split.test, seed=config.seed)}


def refitted(
    config: Config, split: forecasting.Split, fitted: forecasting.Trained
) -> dict[str, forecasting.Forecast]:
    """Forecasts fitted anew along the horizons judged by."""
    if not config.refit:
        return {}
    options = {"folds": len(split.test), "refit": config.refit, "recipe": recipe_of(config)}
    return {"refitted": forecasting.backtest(fitted.forecaster, split.panel, **options).forecast}


def compared(run: Run, config: Config, split: forecasting.Split) -> dict[str, forecasting.Forecast]:
    """A second encoder and decoder that teacher forcing alone trains, in a run folder of its own within this one."""
    if not config.compare:
        return {}
    run.say("training a second one by teacher forcing alone")
    folder = str(run.folder / "teacher_forcing")
    place = (
        {"resume": folder}
        if (Path(folder) / "config.json").exists()
        else {"out": folder, "resume": None}
    )
    alone = dataclasses.replace(run.config, compare=False, sampling_steps=None, **place)
    return {
        "teacher forcing": learn(Run("forecast", alone))[-1].predict(
            split.panel, split.test, seed=config.seed
        )
    }


def draw(
    run: Run,
    config: Config,
    split: forecasting.Split,
    forecasts: dict[str, forecasting.Forecast],
    best: forecasting.Forecast,
) -> None:
    """The pictures; `best` is what a user gets."""
    panel, model = split.panel, str(config.model)
    save = lambda name, figure: figures.save_figure(figure, run.folder / f"{name}.png")  # noqa: E731
    shown = np.unique(np.linspace(0, len(best) - 1, SHOWN).astype(int)).tolist()
    save("forecasts", plots.plot_forecasts(panel, best, shown, 3 * best.mean.shape[1]))
    save(
        "horizon",
        plots.plot_by_step(panel, {name: f for name, f in forecasts.items() if name != CONFORMAL}),
    )
    save("backtest", plots.plot_backtest(panel, best, title=panel.names[0]))
    spread = {name: forecast for name, forecast in forecasts.items() if forecast.spread}
    if spread:
        save("calibration", plots.plot_calibration(panel, spread))
    if config.compare:
        pair = {
            "scheduled sampling": forecasts[model],
            "teacher forcing": forecasts["teacher forcing"],
        }
        save("exposure", plots.plot_by_step(panel, pair, "running freely after training by"))
    figures.plot_history(
        run.folder / "loss.png", run.history(), {"error": "validation"}, config.clip
    )


def describe(forecaster: forecasting.NetworkForecaster, split: forecasting.Split) -> dict:
    """What `--predict` needs to know of the panel beside the config."""
    assert forecaster.form is not None and forecaster.lags is not None
    step = split.panel.step
    words = None if step is None else [int(step.astype(int)), np.datetime_data(step.dtype)[0]]
    about = {
        "form": forecaster.form._asdict(),
        "lags": forecaster.lags,
        "step": words,
        "season": split.season,
    }
    about |= {"weekdays": split.panel.weekdays}
    return about | {"kinds": split.panel.kinds, "units": split.units}


def predict(folder: str, options: Predict) -> None:
    """Forecasts what comes after the end of a table."""
    config = load_config(folder, "forecast", Config)
    with mistakes():
        if options.csv is None:
            raise ValueError("--predict wants --csv FILE, the table whose end to forecast from")
        about = read_json(Path(folder) / "panel.json")
        name = config.dataset if config.csv is None else "csv"
        config = settle(config, name, about["season"])
        panel = read_new(config, options, about)
        form = forecasting.Form(
            about["form"]["features"], about["form"]["past"], tuple(about["form"]["kinds"])
        )
        forecaster = dataclasses.replace(build(config), form=form, lags=tuple(about["lags"]))
        recipe = recipe_of(config)
        state = training.restore_best(
            forecaster.begin(recipe), training.Checkpoints(Path(folder) / "checkpoints")
        )
        fitted = calibration_of(folder, forecasting.Trained(forecaster, state.ema))
        loc, scale = about["units"]
        read = panel.standardised(loc, scale)
        if form.features == len(
            panel.known[0][0] if panel.known else ()
        ):  # The run knew of no calendar.
            read = dataclasses.replace(read, starts=panel.starts[:0])
        forecast = fitted.predict(read, seed=options.seed)
        text = forecasting.to_csv(panel, forecast.moved(np.full(len(forecast), loc), scale))
        if options.output is not None:
            write_atomically(options.output, text.encode())
    if options.output is None:
        print(text, end="")


def calibration_of(folder: str, fitted: forecasting.Trained) -> forecasting.Fitted:
    """The forecaster within the conformal intervals that its run measured."""
    path = Path(folder) / "conformal.json"
    if not path.exists():
        warnings.warn(
            f"{folder} holds no conformal.json: what is said of spread is the network's own",
            stacklevel=2,
        )
        return fitted
    found = read_json(path)
    return forecasting.Conformal(fitted, tuple(found["shares"]), np.array(found["margins"]))


def read_new(config: Config, options: Predict, about: dict) -> forecasting.Panel:
    """The table to forecast, of the step that was learnt."""
    assert options.csv is not None
    learnt = forecasting.PANELS.get(config.dataset) if config.csv is None else None
    target = options.target or (learnt.target if learnt else config.target)
    time = options.time or (learnt.time if learnt else config.time)
    if target is None or time is None:
        raise ValueError("say which columns: --target COLUMN --time COLUMN")
    columns = {name: names_in(getattr(config, name)) for name in ("known", "past", "static")}
    if learnt:
        columns |= {"known": learnt.known, "past": learnt.past}
    form = options.time_format or config.time_format
    panel = forecasting.read_panel(
        options.csv,
        target,
        time,
        series=options.series or config.series,
        time_format=form,
        **columns,
    )
    step = None if about["step"] is None else np.timedelta64(*about["step"])
    weekdays = about.get("weekdays")
    if weekdays is not None:
        panel = panel.on_weekdays(weekdays)
    if step is not None and (
        panel.step is None or not same(panel.step, step) or panel.weekdays != weekdays
    ):
        given, learnt_step = (
            words_for(s, w) for s, w in ((panel.step, panel.weekdays), (step, weekdays))
        )
        raise ValueError(f"{options.csv}: a step of {given}; the run learnt one of {learnt_step}")
    if config.identity:
        panel = panel.labelled("name", panel.names)
    try:
        return panel.numbered(about["kinds"])
    except ValueError as error:
        raise ValueError(f"{options.csv}: {error}") from error


def words_for(step: np.timedelta64 | None, weekdays: str | None) -> str:
    """A step, fit for a complaint."""
    return str(step) if weekdays is None else f"{step} on {weekdays.count('1')} days of the week"


def same(a: np.timedelta64, b: np.timedelta64) -> bool:
    """Whether two steps are as long, whatever they are counted in; months are as long as no number of days."""
    kinds = [
        {"M": "months", "Y": "months"}.get(unit := np.datetime_data(s.dtype)[0], unit)
        for s in (a, b)
    ]
    apart = {"months", "generic"}
    return (kinds[0] == kinds[1] or not apart & set(kinds)) and bool(a == b)


if __name__ == "__main__":
    launch(
        Config,
        main,
        __doc__,
        {"predict": Verb(predict, Predict, "forecast what comes after --csv FILE")},
    )
