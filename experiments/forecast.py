"""experiments.forecast: probabilistic forecasts of time series, beside the naive ones and a linear model.

    python -m experiments.forecast                                        # half-hourly electricity demand
    python -m experiments.forecast --dataset m4_hourly                    # 414 series, official test of 48 hours
    python -m experiments.forecast --dataset etth1 --horizon 24           # transformer temperature, 12/4/4 months
    python -m experiments.forecast --dataset etth1 --model encoder_decoder --compare    # teacher forcing or sampling
    python -m experiments.forecast --csv FILE --target COLUMN --time COLUMN             # any table
    python -m experiments.forecast --predict RUN --csv FILE               # what comes after the end of a table

A stacked LSTM as DeepAR (paths drawn by ancestral sampling), as a direct forecaster of all steps at once, or as encoder
and decoder with attention. A table has one row for each time, ISO 8601, and for many series a column that names them;
empty cells of the target are missing values, and rows at the end without it are still to come. Judged over the last
`--folds` horizons; those before them choose the weights and calibrate the conformal intervals.
Papers: Salinas et al., 2017; Wen et al., 2017; Romano et al., 2019.
"""

import dataclasses
from pathlib import Path

import numpy as np

import seqjax
from experiments.common import BaseConfig, Options, Run, Verb, launch, load_config, mistakes, option, read_json
from seqjax import data, training
from seqjax.losses import likelihoods
from seqjax.models import forecaster as fc
from seqjax.models.forecaster import plots

LIKELIHOODS = {
    "student_t": likelihoods.StudentT(),
    "normal": likelihoods.Normal(),
    "laplace": likelihoods.Laplace(),
    "negative_binomial": likelihoods.NegativeBinomial(),
    "poisson": likelihoods.Poisson(),
    "quantile": likelihoods.Quantile(fc.LEVELS),
    "point": likelihoods.SquaredError(),
}
MODELS = {"deepar": fc.DeepAR, "direct": fc.Direct, "encoder_decoder": fc.EncoderDecoder}
USUAL = {
    "model": "deepar", "scaling": "mean", "hidden_size": 40, "layers": 2, "dropout": 0.1, "folds": 4, "steps": 1500,
    "every": 250, "learning_rate": 3e-3, "power": 0.0, "identity": False,
}  # fmt: skip
PRESETS = {
    "vic_elec": {"horizon": 48, "context": 168, "folds": 28},
    "m4_hourly": {"horizon": 48, "context": 168, "folds": 1, "steps": 2500, "power": 0.1, "identity": True},
    "etth1": {
        "model": "direct", "likelihood": "point", "scaling": "last", "horizon": 24, "context": 336, "folds": 1,
        "hidden_size": 16, "layers": 1, "dropout": 0.3, "steps": 600, "every": 100,
    },
    "co2": {"horizon": 52, "context": 104},
    "sunspots": {"horizon": 11, "context": 44, "steps": 500},
    "csv": {},
}  # fmt: skip
"""What each data set settles where no option says otherwise."""

SEASONS = {"sunspots": 11}  # of a length that the step does not tell
MONTH = 30 * 24  # hours, as the published protocol of ETT counts them (Zhou et al., 2021)
SHOWN = 6  # series in the picture of forecasts
MOST = 100_000  # lines of predictions.csv


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    dataset: str = option("vic_elec", "data set", choices=tuple(name for name in PRESETS if name != "csv"))
    csv: str | None = option(None, "table to learn in place of the data set")
    target: str | None = option(None, "its column to forecast")
    time: str | None = option(None, "its column of times")
    series: str | None = option(None, "its column that names the series; else it is one")
    known: str = option("", "its columns known beforehand, with commas between")
    past: str = option("", "its columns known only afterwards, with commas between")
    model: str | None = option(None, "forecaster (default: by the data set, else deepar)", choices=tuple(MODELS))
    likelihood: str | None = option(
        None, "what is said of a value (default: deepar student_t, else quantile)", choices=tuple(LIKELIHOODS)
    )
    horizon: int | None = option(None, "steps to forecast (default: by the data set, else a season)", least=1)
    context: int | None = option(None, "steps read (default: by the data set, else three horizons)", least=1)
    folds: int | None = option(None, "horizons at the end to judge by, as many before to choose by", least=1)
    refit: int = option(0, "fit anew at every so many of the horizons judged by; 0 never", least=0)
    scaling: str | None = option(None, "of each window", choices=("none", "mean", "standard", "robust", "last"))
    hidden_size: int | None = option(None, "units of each layer", least=1)
    layers: int | None = option(None, "LSTM layers", least=1)
    dropout: float | None = option(None, "rate between layers", least=0, below=1)
    power: float | None = option(None, "of a series' size, by which its windows come the more often", least=0)
    identity: bool | None = option(None, "learn a vector for each series; it forecasts no others then")
    sampling_steps: int | None = option(None, "encoder_decoder: steps until it reads only its own values", least=1)
    compare: bool = option(False, "encoder_decoder: train a second one by teacher forcing alone")
    batch: int = option(64, "windows a step", least=1)
    learning_rate: float | None = option(None, "Adam's, falling to 0 along a cosine", least=0)
    clip: float = option(10.0, "largest gradient norm", least=1e-12)
    average: float = option(0.99, "decay of the moving average of the weights, which forecast", least=0, below=1)
    steps: int | None = option(None, "training steps", least=1)
    every: int | None = option(None, "steps between validations and checkpoints", least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(Options):
    csv: str | None = option(None, "table whose end to forecast from")
    target: str | None = option(None, "its column to forecast (default: as in training)")
    time: str | None = option(None, "its column of times (default: as in training)")
    series: str | None = option(None, "its column that names the series")
    seed: int = option(0, "of the paths drawn", least=0)
    output: str | None = option(None, "file to write; else the standard output")


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be forecast.

    Attributes:
      panel: the series with all that came.
      season: of the naive forecast and of MASE.
      validation: cuts to choose by, in steps before the end; the first one ends what is learnt.
      test: cuts to judge by.
      origin: where the series come from.
    """

    panel: data.Panel
    season: int
    validation: tuple[int, ...]
    test: tuple[int, ...]
    origin: str

    @property
    def train(self) -> data.Panel:
        """What is learnt from."""
        return self.panel.until(max(self.validation))


def main(config: Config) -> dict:
    """Trains, judges and draws; returns what `result.json` holds."""
    run = Run("forecast", config)
    config = run.config
    with mistakes():
        config, task = read_task(config)
        forecaster, recipe = build(config), recipe_of(config)
        forecaster = forecaster.settled(task.train)
        batches = data.batches(forecaster.lessons(task.train), config.batch, seed=config.seed)
    run.begin({"origin": task.origin, "fingerprint": task.panel.fingerprint()})
    if run.leads:
        run.write_json("panel.json", describe(forecaster, task))
    values = sum(task.train.lengths)
    run.say(f"{len(task.panel)} series, {values:,} values to learn, {len(task.test)} x {config.horizon} to judge by")
    run.say(f"{forecaster.recurrence} as {config.model}, context {config.context}: {task.origin}")

    state = run.train(
        forecaster.begin(recipe),
        forecaster.loss,
        recipe.optimiser(),
        data.mapped(run.share, batches),
        steps=config.steps,
        every=config.every,
        evaluate=lambda state: validate(fc.Trained(forecaster, state.ema), task),
        monitor="error",
        per_step=config.batch,
        unit="windows",
        clip=training.clip_by_norm(config.clip),
        ema_decay=config.average,
    )
    return report(run, config, task, fc.Trained(forecaster, state.ema))


def build(config: Config) -> fc.NetworkForecaster:
    """The forecaster of a settled config."""
    assert config.model is not None and config.context is not None and config.horizon is not None
    recurrence = seqjax.stack(*[seqjax.LSTM(config.hidden_size)] * config.layers, dropout=config.dropout)
    extra = {"encoder_decoder": {"sampling_steps": config.sampling_steps}, "direct": {"dropout": config.dropout}}
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


def recipe_of(config: Config) -> fc.Recipe:
    """How it is trained."""
    return fc.Recipe(
        steps=config.steps,
        batch_size=config.batch,
        learning_rate=config.learning_rate,
        clip=config.clip,
        average=config.average,
        seed=config.seed,
    )


def validate(fitted: fc.Fitted, task: Task) -> dict[str, float]:
    """Scores over the cuts to choose by; `error` is MASE of many series, of one its quantile loss or squared error.

    The quantile loss of many series hears the largest alone, MASE all of them alike.
    """
    forecast = fitted.predict(task.panel, task.validation)
    scores = fc.score(task.panel, forecast, task.season)
    alone = scores.get("wql", scores["rmse"])
    error = scores.get("mase", alone) if len(task.panel) > 1 else alone
    return {"error": error, **{name: scores[name] for name in ("nd", "mase", "rmse") if name in scores}}


def read_task(config: Config) -> tuple[Config, Task]:
    """The series and how they are cut, and the config with everything settled."""
    if config.csv is None and (config.target or config.time or config.series or config.known or config.past):
        raise ValueError("--target, --time, --series, --known and --past go with --csv FILE")
    if config.csv is not None and not (config.target and config.time):
        raise ValueError("--csv wants --target COLUMN and --time COLUMN")
    name = config.dataset if config.csv is None else "csv"
    loaded = read_series(config)
    panel = loaded.panel
    season = SEASONS.get(name) or (1 if panel.step is None else data.seasons(panel.step)[0])
    config = settle(config, name, season)
    if config.compare and config.model != "encoder_decoder":
        raise ValueError("--compare goes with --model encoder_decoder")
    if config.identity:
        panel = dataclasses.replace(panel, categories=np.arange(len(panel))[:, None])
    horizon, folds = config.horizon, config.folds
    assert horizon is not None and folds is not None
    if name == "etth1":
        panel = panel.until(len(panel.values[0]) - 20 * MONTH)
        test, validation = range(4 * MONTH, horizon - 1, -1), range(8 * MONTH, 4 * MONTH + horizon - 1, -8)
        return config, Task(standardised(panel, 8 * MONTH), season, tuple(validation), tuple(test), loaded.origin)
    test = tuple(horizon * fold for fold in range(folds, 0, -1))
    validation = tuple(horizon * fold for fold in range(2 * folds, folds, -1))
    check_lengths(panel, folds, horizon)
    return config, Task(panel, season, validation, test, loaded.origin)


def check_lengths(panel: data.Panel, folds: int, horizon: int) -> None:
    """Refuses series that are too short to be cut.

    Raises:
      ValueError: names the first one, its length and what it takes.
    """
    wanted = 2 * folds * horizon + 1
    for name, length in zip(panel.names, panel.lengths, strict=True):
        if length < wanted or panel.lengths.max() < wanted + horizon:
            whole = wanted + (horizon if length >= wanted else 0)
            raise ValueError(
                f"the series {name!r} has {length} values; {folds} folds of {horizon} to judge by, as many to choose "
                f"by and some to learn from want {whole}: give longer series, or lower --folds or --horizon"
            )


def settle(config: Config, name: str, season: int) -> Config:
    """The config with what was left open settled for the data set."""
    chosen = USUAL | {"horizon": max(season, 8)} | PRESETS[name]
    chosen |= {key: getattr(config, key) for key in chosen if getattr(config, key) is not None}
    chosen.setdefault("context", config.context or 3 * chosen["horizon"])
    chosen.setdefault("likelihood", config.likelihood or ("student_t" if chosen["model"] == "deepar" else "quantile"))
    return dataclasses.replace(config, **chosen)


def read_series(config: Config) -> data.LoadedPanel:
    """A user's table, or the data set."""
    if config.csv is None:
        return data.load_panel(config.dataset, config.data_dir)
    assert config.target is not None and config.time is not None
    panel = data.read_panel(
        config.csv, config.target, config.time, series=config.series, known=split(config.known), past=split(config.past)
    )
    return data.LoadedPanel(panel, config.csv)


def standardised(panel: data.Panel, held_out: int) -> data.Panel:
    """The panel in units of what is learnt from: mean 0, deviation 1."""
    learnt = [values[:-held_out] for values in panel.values]
    moved = [(v - np.nanmean(part)) / np.nanstd(part) for v, part in zip(panel.values, learnt, strict=True)]
    return dataclasses.replace(panel, values=moved)


def split(names: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def baselines(config: Config, task: Task) -> dict[str, fc.Fitted]:
    """What the network has to beat."""
    horizon, train = config.horizon, task.train
    assert horizon is not None and config.context is not None
    return {
        "naive": fc.SeasonalNaive(horizon=horizon, season=1).fit(train),
        "seasonal naive": fc.SeasonalNaive(horizon=horizon, season=task.season).fit(train),
        "linear": fc.Linear(horizon=horizon, context=config.context).fit(train),
    }


def report(run: Run, config: Config, task: Task, fitted: fc.Trained) -> dict:
    """Judges, draws and writes; returns the result."""
    model, panel = str(config.model), task.panel
    forecasts = {name: baseline.predict(panel, task.test) for name, baseline in baselines(config, task).items()}
    if config.refit and len(task.test) > 1:
        tested = fc.backtest(
            fitted.forecaster, panel, folds=len(task.test), refit=config.refit, recipe=recipe_of(config)
        )
        forecasts[model] = tested.forecast
    else:
        forecasts[model] = fitted.predict(panel, task.test, seed=config.seed)
    forecasts |= calibrated(run, fitted, task, model)
    forecasts |= compared(run, config, task)
    scores = {name: fc.score(panel, forecast, task.season) for name, forecast in forecasts.items()}
    for row, forecast in zip(scores.values(), forecasts.values(), strict=True):
        row["mse"] = fc.metrics.mse(fc.truth(panel, forecast), forecast.mean)
    run.write_text("scores.txt", fc.table(scores) + "\n")
    run.write_json("scores.json", scores)
    newest = slice(-max(1, MOST // forecasts[model].mean.shape[1]), None)
    run.write_text("predictions.csv", fc.to_csv(panel, forecasts[model].rows(newest)))
    draw(run, config, task, forecasts, model)
    run.say(fc.table(scores))
    own = scores[model] | {
        f"seasonal_naive_{name}": scores["seasonal naive"][name]
        for name in ("nd", "mase")
        if name in scores["seasonal naive"]
    }
    counts = {"series": len(panel), "forecasts": len(forecasts[model]), "horizon": config.horizon}
    counts |= {"context": config.context, "steps": run.history()[-1]["step"]}
    result = run.finish(own, counts)
    run.say(f"run folder: {run.folder}")
    return result


def calibrated(run: Run, fitted: fc.Fitted, task: Task, model: str) -> dict[str, fc.Forecast]:
    """The same forecasts within conformal intervals; none where too few forecasts calibrate them."""
    try:
        conformal = fc.conformal(fitted, task.panel, task.validation)
    except ValueError as reason:
        run.say(f"no conformal intervals: {reason}")
        return {}
    return {f"{model}, conformal": conformal.predict(task.panel, task.test)}


def compared(run: Run, config: Config, task: Task) -> dict[str, fc.Forecast]:
    """A second encoder and decoder that teacher forcing alone has trained."""
    if not config.compare:
        return {}
    run.say("training a second one by teacher forcing alone")
    other = dataclasses.replace(build(config), sampling_steps=None)  # pyright: ignore[reportCallIssue]
    return {"teacher forcing": other.fit(task.train, recipe_of(config)).predict(task.panel, task.test)}


def draw(run: Run, config: Config, task: Task, forecasts: dict[str, fc.Forecast], model: str) -> None:
    """The pictures."""
    panel, own, horizon = task.panel, forecasts[model], config.horizon
    assert horizon is not None
    save = lambda name, figure: training.save_figure(figure, run.folder / f"{name}.png")  # noqa: E731
    best = forecasts.get(f"{model}, conformal", own)
    shown = np.unique(np.linspace(0, len(best) - 1, SHOWN).astype(int)).tolist()
    drawn = own if own.spread else best
    save("forecasts", plots.plot_forecasts(panel, drawn, shown, 3 * horizon))
    save("horizon", plots.plot_by_step(panel, forecasts))
    save("backtest", plots.plot_backtest(panel, drawn, title=panel.names[0]))
    spread = {name: forecast for name, forecast in forecasts.items() if forecast.spread}
    if spread:
        save("calibration", plots.plot_calibration(panel, spread))
    if config.compare:
        pair = {"scheduled sampling": own, "teacher forcing": forecasts["teacher forcing"]}
        save("exposure", plots.plot_by_step(panel, pair, "running freely after training by"))
    training.plot_history(run.folder / "loss.png", run.history(), {"error": "validation"}, config.clip)


def describe(forecaster: fc.NetworkForecaster, task: Task) -> dict:
    """What `--predict` needs to know of the panel beside the config."""
    assert forecaster.form is not None and forecaster.lags is not None
    step = task.panel.step
    words = None if step is None else [int(step.astype(int)), np.datetime_data(step.dtype)[0]]
    names = task.panel.names if forecaster.form.kinds else ()
    return {
        "form": forecaster.form._asdict(), "lags": forecaster.lags, "step": words, "season": task.season, "names": names
    }  # fmt: skip


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
        form = fc.Form(about["form"]["features"], about["form"]["past"], tuple(about["form"]["kinds"]))
        forecaster = dataclasses.replace(build(config), form=form, lags=tuple(about["lags"]))
        recipe = recipe_of(config)
        state = training.restore_best(forecaster.begin(recipe), training.Checkpoints(Path(folder) / "checkpoints"))
        forecast = fc.Trained(forecaster, state.ema).predict(panel, seed=options.seed)
        text = fc.to_csv(panel, forecast)
        if options.output is not None:
            Path(options.output).write_text(text, encoding="utf-8")
    if options.output is None:
        print(text, end="")


def read_new(config: Config, options: Predict, about: dict) -> data.Panel:
    """The table to forecast, of the step that was learnt."""
    assert options.csv is not None
    learnt = data.PANELS.get(config.dataset) if config.csv is None else None
    target = options.target or (learnt.target if learnt else config.target)
    time = options.time or (learnt.time if learnt else config.time)
    if target is None or time is None:
        raise ValueError("say which columns: --target COLUMN --time COLUMN")
    known, past = (learnt.known, learnt.past) if learnt else (split(config.known), split(config.past))
    panel = data.read_panel(options.csv, target, time, series=options.series or config.series, known=known, past=past)
    step = None if about["step"] is None else np.timedelta64(*about["step"])
    if step is not None and (panel.step is None or repr(panel.step) != repr(step)):
        raise ValueError(f"{options.csv}: a step of {panel.step}; the run learnt one of {step}")
    if not about["names"]:
        return panel
    if foreign := [name for name in panel.names if name not in about["names"]]:
        raise ValueError(
            f"{options.csv}: the series {foreign[0]!r} was not among those learnt; train with --no-identity"
        )
    return dataclasses.replace(panel, categories=[[about["names"].index(name)] for name in panel.names])
    return panel


if __name__ == "__main__":
    launch(Config, main, __doc__, {"predict": Verb(predict, Predict, "forecast what comes after --csv FILE")})
