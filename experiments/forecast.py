"""experiments.forecast: probabilistic forecasts of time series, beside the naive ones and a linear model.

    python -m experiments.forecast --csv FILE --target COLUMN --time COLUMN             # any table
    python -m experiments.forecast --dataset etth1 --multivariate --horizon 720         # all 7 columns (or --csv)
    python -m experiments.forecast predict RUN FILE                       # what comes after the end of a table
    python -m experiments.forecast                                        # half-hourly electricity demand
    python -m experiments.forecast --model deepar --dataset m4_hourly     # 414 series, official test of 48 hours
    python -m experiments.forecast --model direct --dataset etth1         # transformer temperature, 12/4/4 months
    python -m experiments.forecast --dataset etth1 --model encoder_decoder --compare    # teacher forcing or sampling

Simple forecasters and networks are compared on what the end of the series would have been forecast
as, for `--minutes`, and the best are blended. Or one network is trained: a stacked LSTM as DeepAR
(it draws paths), as a direct forecaster of all steps at once, or as encoder and decoder with
attention. A table has a row for each time, and for many series a column that names them; rows at
the end without a target are still to come. The last fifth is scored, from many cuts; the fifth
before it chooses and calibrates intervals. `--folds` cuts at so many horizons instead.
Papers: Salinas et al., 2017; Wen et al., 2017; Romano et al., 2019; Caruana et al., 2004.
"""

import dataclasses
import functools
import warnings
from typing import Any

import jax

import seqjax
from experiments.cli import Verb, launch
from seqjax import forecasting, training
from seqjax.files.disk import write_atomically
from seqjax.forecasting import LIKELIHOODS, NETWORKS, SCALINGS
from seqjax.training import RunConfig, members_option, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(forecasting.SeriesOptions, RunConfig):
    model: str = option("auto", "forecaster; auto compares many", choices=("auto", *NETWORKS))
    minutes: float = option(5.0, "for --model auto to compare", least=0)
    likelihood: str | None = option(None, "of a value; else the model's", choices=[*LIKELIHOODS])
    horizon: int | None = option(None, "steps to forecast (default: a season)", least=1)
    context: int | None = option(None, "steps read (default: three horizons)", least=1)
    folds: int | None = option(None, "last horizons to score (default: a fifth)", least=1)
    refit: int | None = option(None, "horizons after which it is also fitted anew", least=1)
    scaling: str = option("mean", "of each window", choices=SCALINGS)
    hidden_size: int = option(40, "units of each layer", least=1)
    layers: int = option(2, "layers of LSTM, of a segrnn GRU", least=1)
    segment: int = option(24, "steps of a segment of a segrnn", least=1)
    dropout: float = option(0.1, "rate between layers", least=0, below=1)
    power: float = option(0.0, "oversampling exponent of larger series", least=0)
    identity: bool = option(False, "learn a vector for each series, and forecast no others")
    sampling_steps: int | None = option(None, "until an encoder_decoder runs freely", least=1)
    members: int = members_option()
    compare: bool = option(False, "train an encoder_decoder by teacher forcing alone as well")
    steps: int | None = option(1500, "training steps", least=1)
    every: int | None = option(250, "steps between validations and checkpoints", least=1)
    batch_size: int | None = option(64, "windows a step", least=1)
    learning_rate: float = option(3e-3, "Adam's, at its highest", least=0)
    clip: float | None = option(10.0, "largest gradient norm", least=1e-12)
    average: float | None = option(0.99, "decay of the weights' moving average", least=0, below=1)

    def preset(self) -> "Config":
        """Gives the settings of a network on a data set; `auto` finds its own."""
        if self.multivariate and (self.model == "segrnn" or "model" not in self.given):
            return MULTIVARIATE
        if self.model == "auto" or self.csv:
            return Config()
        return PRESETS.get(self.dataset, Config())


PRESETS: dict[str, Config] = {
    "vic_elec": Config(horizon=48, context=168, folds=28),
    "m4_hourly": Config(horizon=48, context=168, power=0.1, identity=True, steps=2500),
    "etth1": Config(
        likelihood="point",
        horizon=24,
        context=336,
        scaling="last",
        hidden_size=16,
        layers=1,
        dropout=0.3,
        steps=600,
        every=100,
    ),
    "co2": Config(horizon=52, context=104),
    "sunspots": Config(horizon=11, context=44, steps=500),
}

ANY_MODEL = {field.name for field in dataclasses.fields(forecasting.SeriesOptions)} | {
    *("model", "minutes", "horizon", "folds", "seed"),
    *("data_dir", "out", "resume", "quiet"),
}
"""The settings that `--model auto` heeds; the others are a network's."""

MULTIVARIATE = Config(
    model="segrnn",
    likelihood="median",
    horizon=96,
    context=96,
    folds=None,
    scaling="none",
    hidden_size=512,
    layers=1,
    segment=48,
    dropout=0.5,
    identity=True,
    steps=500,
    every=100,
    batch_size=128,
    learning_rate=1e-3,
    clip=1.0,
    average=0.98,
)
"""For series that are the columns of one table (Lin et al., 2023)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict(forecasting.TableOptions):
    seed: int = option(0, "of the paths drawn", least=0)
    output: str | None = option(None, "file to write; else the standard output", metavar="FILE")


def main(config: Config) -> dict:
    """Trains, scores, draws and writes forecasts; returns what `result.json` holds."""
    with training.Run("forecast", config.settled()) as run:
        config = run.config
        check(config)
        loaded = config.load(config.data_dir)
        horizon = config.horizon or loaded.horizon
        split = loaded.split(horizon, config.folds)
        run.say(f"{len(split.panel)} series, {len(split.test)} cuts: {loaded.origin}")
        model = train(run, split, horizon, loaded.origin)
        test = split.held_out("test").beside(rivals(run, split, model))
        result = run.finish(model, test, "test")
        run.say((run.folder / "scores.txt").read_text())
        return result


def train(run: training.Run, split: forecasting.Split, horizon: int, origin: str) -> Any:
    """Trains the forecaster that is named, or searches for one, and calibrates its intervals."""
    config, validation = run.config, split.held_out("validation")
    if config.model == "auto":
        options = {"minutes": config.minutes, "season": split.season, "seed": config.seed}
        choose = functools.partial(
            forecasting.auto,
            *(split.train, horizon),
            validation=validation,
            say=run.say,
            **options,
        )
        found = run.search(choose, (split.train, validation), source=origin)
        run.write_text("tried.txt", forecasting.tried_table(found) + "\n")
        return found
    task = build(config, split, horizon)
    run.say(repr(task))
    trained = run.fit_seeds(task, split.train, config.members, validation=validation, source=origin)
    model = forecasting.calibrated(trained, validation)
    model.save(run.folder / "model")
    return model


def check(config: Config) -> None:
    """Refuses options that do not go together."""
    own = sorted(config.given - ANY_MODEL)
    if config.model == "auto" and own:
        raise ValueError(
            f"--{own[0].replace('_', '-')} is of a network; name it, as --model deepar"
        )
    if config.members > 1 and (config.refit or config.compare):
        raise ValueError("--members does not go with --refit or --compare")
    folds = config.folds or 1
    if config.refit and config.refit >= folds:
        raise ValueError(
            f"--refit {config.refit} never fits anew within --folds {folds}; give more folds"
        )
    if config.model != "encoder_decoder" and (config.compare or config.sampling_steps):
        raise ValueError("--compare and --sampling-steps go with --model encoder_decoder")
    if config.compare and jax.process_count() > 1:
        raise ValueError("--compare trains in one process; take SEQJAX_PROCESSES away")


def build(config: Config, split: forecasting.Split, horizon: int) -> forecasting.NetworkForecaster:
    """Makes the forecaster of a config."""
    cell = seqjax.GRU if config.model == "segrnn" else seqjax.LSTM
    recurrence = cell(config.hidden_size)
    if config.model != "segrnn" or config.layers > 1:
        recurrence = seqjax.stack(*[recurrence] * config.layers, dropout=config.dropout)
    own: dict[str, Any] = {}
    if config.likelihood is not None:
        own["likelihood"] = LIKELIHOODS[config.likelihood]
    if config.model in ("direct", "segrnn"):
        own["dropout"] = config.dropout
    if config.model == "segrnn":
        own["segment"] = config.segment
    if config.model == "encoder_decoder":
        own["sampling_steps"] = config.sampling_steps
        if config.compare and config.sampling_steps is None:
            own["sampling_steps"] = -(-(config.steps or 2) // 2)
    return NETWORKS[config.model].of(
        split.train,
        horizon=horizon,
        context=config.context or 3 * horizon,
        recurrence=recurrence,
        scaling=config.scaling,
        power=config.power,
        value_units=split.units,
        identity=config.identity or config.multivariate,
        backend=config.backend,
        **own,
    )


def rivals(run: training.Run, split: forecasting.Split, trained: Any) -> dict[str, Any]:
    """Makes the forecasters and forecasts that the scores stand beside."""
    config, task = run.config, trained.task
    learnt = split.train
    if config.model == "auto":
        learnt = split.panel.until(max(split.test))
    context = config.context or 3 * task.horizon
    found: dict[str, Any] = {**forecasting.baselines(learnt, task.horizon, context, split.season)}
    task = getattr(task, "forecaster", task)
    if config.refit:
        again = {"folds": len(split.test), "refit": config.refit, "recipe": config}
        found["refitted"] = forecasting.backtest(task, split.panel, **again).forecast
    if config.compare:
        alone = dataclasses.replace(task, sampling_steps=None).fit(
            split.train,
            config,
            validation=split.held_out("validation"),
            folder=run.folder / "teacher_forcing" / "checkpoints",
            devices=config.devices,
            quiet=config.quiet,
        )
        alone.save(run.folder / "teacher_forcing" / "model")
        found["teacher forcing"] = alone
    return found


def predict(folder: str, path: str, options: Predict) -> None:
    """Forecasts what comes after the end of a table."""
    trained = seqjax.load(folder, forecasting.Forecaster)
    if not isinstance(trained.task, forecasting.Conformal):
        warnings.warn(f"{folder} has no conformal intervals, only the network's own", stacklevel=2)
    panel = trained.task.read(path, **options.columns())
    text = forecasting.to_csv(panel, trained.predict(panel, seed=options.seed))
    if options.output is None:
        print(text, end="")
    else:
        write_atomically(options.output, text.encode())


VERBS = {"predict": Verb(predict, Predict, "forecast what comes after a table's end", ("FILE",))}

if __name__ == "__main__":
    launch(Config, main, __doc__, VERBS)
