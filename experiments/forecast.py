"""experiments.forecast: probabilistic forecasts of time series, beside the naive ones and a linear model.

    python -m experiments.forecast                                        # half-hourly electricity demand
    python -m experiments.forecast --dataset m4_hourly                    # 414 series, official test of 48 hours
    python -m experiments.forecast --dataset etth1 --horizon 24           # transformer temperature, 12/4/4 months
    python -m experiments.forecast --dataset etth1 --model encoder_decoder --compare    # teacher forcing or sampling
    python -m experiments.forecast --csv FILE --target COLUMN --time COLUMN             # any table
    python -m experiments.forecast predict RUN FILE                       # what comes after the end of a table

A stacked LSTM as DeepAR (it draws paths), as a direct forecaster of all steps at once, or as encoder
and decoder with attention. A table has a row for each time, and for many series a column that names
them; rows at the end without a target are still to come. The last `--folds` horizons are scored;
those before choose the weights and calibrate intervals. Expect a MASE of 0.61 for the demand in 3
minutes, 1.06 for M4 in 7. Papers: Salinas et al., 2017; Wen et al., 2017; Romano et al., 2019.
"""

import dataclasses
import warnings
from typing import Any

import jax

import seqjax
from experiments.cli import Verb, launch
from seqjax import forecasting, training
from seqjax.files.disk import write_atomically
from seqjax.forecasting import LIKELIHOODS, NETWORKS, SCALINGS
from seqjax.training import RunConfig, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(forecasting.SeriesOptions, RunConfig):
    model: str = option("deepar", "forecaster", choices=tuple(NETWORKS))
    likelihood: str | None = option(None, "of a value; else the model's", choices=[*LIKELIHOODS])
    horizon: int | None = option(None, "steps to forecast (default: a season)", least=1)
    context: int | None = option(None, "steps read (default: three horizons)", least=1)
    folds: int | None = option(4, "last horizons to score; those before choose", least=1)
    refit: int | None = option(None, "horizons after which it is also fitted anew", least=1)
    scaling: str = option("mean", "of each window", choices=SCALINGS)
    hidden_size: int = option(40, "units of each layer", least=1)
    layers: int = option(2, "LSTM layers", least=1)
    dropout: float = option(0.1, "rate between layers", least=0, below=1)
    power: float = option(0.0, "oversampling exponent of larger series", least=0)
    identity: bool = option(False, "learn a vector for each series, and forecast no others")
    sampling_steps: int | None = option(None, "until an encoder_decoder runs freely", least=1)
    compare: bool = option(False, "train an encoder_decoder by teacher forcing alone as well")
    steps: int | None = option(1500, "training steps", least=1)
    every: int | None = option(250, "steps between validations and checkpoints", least=1)
    batch_size: int | None = option(64, "windows a step", least=1)
    learning_rate: float = option(3e-3, "Adam's, at its highest", least=0)
    clip: float | None = option(10.0, "largest gradient norm", least=1e-12)
    average: float | None = option(0.99, "decay of the weights' moving average", least=0, below=1)

    def preset(self) -> "Config":
        """Gives the settings of the data set."""
        return PRESETS["csv" if self.csv else self.dataset]


PRESETS: dict[str, Config] = {
    "vic_elec": Config(horizon=48, context=168, folds=28),
    "m4_hourly": Config(horizon=48, context=168, folds=1, power=0.1, identity=True, steps=2500),
    "etth1": Config(
        model="direct",
        likelihood="point",
        horizon=24,
        context=336,
        folds=None,
        scaling="last",
        hidden_size=16,
        layers=1,
        dropout=0.3,
        steps=600,
        every=100,
    ),
    "co2": Config(horizon=52, context=104),
    "sunspots": Config(horizon=11, context=44, steps=500),
    "csv": Config(),
}


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
        horizon = config.horizon or max(loaded.season, 8)
        split = loaded.split(horizon, config.folds)
        task = build(config, split, horizon)
        run.say(f"{len(split.panel)} series, {len(split.test)} cuts: {loaded.origin}\n{task}")
        validation, test = split.held_out("validation"), split.held_out("test")
        trained = run.fit(task, split.train, validation=validation, source=loaded.origin)
        model = forecasting.calibrated(trained, validation)
        model.save(run.folder / "model")
        result = run.finish(model, test.beside(rivals(run, split, task)), "test")
        run.say((run.folder / "scores.txt").read_text())
        return result


def check(config: Config) -> None:
    """Refuses options that do not go together."""
    folds = config.folds or 1
    if config.refit and config.refit >= folds:
        raise ValueError(f"--refit {config.refit} never fits anew within {folds} folds; give less")
    if config.model != "encoder_decoder" and (config.compare or config.sampling_steps):
        raise ValueError("--compare and --sampling-steps go with --model encoder_decoder")
    if config.compare and jax.process_count() > 1:
        raise ValueError("--compare trains in one process; take SEQJAX_PROCESSES away")


def build(config: Config, split: forecasting.Split, horizon: int) -> forecasting.NetworkForecaster:
    """Makes the forecaster of a config."""
    layers = [seqjax.LSTM(config.hidden_size)] * config.layers
    own: dict[str, Any] = {}
    if config.likelihood is not None:
        own["likelihood"] = LIKELIHOODS[config.likelihood]
    if config.model == "direct":
        own["dropout"] = config.dropout
    if config.model == "encoder_decoder":
        own["sampling_steps"] = config.sampling_steps
        if config.compare and config.sampling_steps is None:
            own["sampling_steps"] = -(-(config.steps or 2) // 2)
    return NETWORKS[config.model].of(
        split.train,
        horizon=horizon,
        context=config.context or 3 * horizon,
        recurrence=seqjax.stack(*layers, dropout=config.dropout),
        scaling=config.scaling,
        power=config.power,
        value_units=split.units,
        identity=config.identity,
        backend=config.backend,
        **own,
    )


def rivals(run: training.Run, split: forecasting.Split, task: Any) -> dict[str, Any]:
    """Makes the forecasters and forecasts that the scores stand beside."""
    config = run.config
    found = forecasting.baselines(split.train, task.horizon, task.context, split.season)
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
