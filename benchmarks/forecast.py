"""DeepAR on M4 hourly, beside GluonTS: `python benchmarks/forecast.py --data-dir DATA` (wants gluonts[torch]).

An epoch of 100 batches of 64 windows (two LSTM layers of 40, context 168, horizon 48, Student's t,
the same lags and as many features of the calendar), the gathering of the windows included; and 100
sample paths for all 414 series. Both after `WARM` batches and a forecast that are not counted. The
peers run in processes of their own, one after the other in every round; a ratio is that of two
neighbours. `--python` names the interpreter that has gluonts where this one has not, `--batches`
how many of an epoch's batches are timed where all would take too long. `--series` makes up random
series of M4's lengths where its files are not at hand.
"""

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from seqjax import datasets, forecasting

CONTEXT, HORIZON, BATCHES, BATCH, PATHS, LAYERS, HIDDEN = 168, 48, 100, 64, 100, 2, 40
WARM = 5
LAGS = (1, 2, 3, 23, 24, 25, 48, 167, 168, 169, 336)
START = "2020-01-01T00"


def save_series(path: Path, data_dir: str | None, made_up: bool) -> None:
    """The series as a file that both read: values one after another, and the lengths."""
    if made_up:
        rng = np.random.default_rng(0)
        values = [50 + rng.normal(size=n).cumsum() for n in (700,) * 169 + (960,) * 245]
    else:
        values = datasets.load("m4_hourly", "train", data_dir).records.columns()["values"]
    np.savez(path, values=np.concatenate(values), lengths=[len(v) for v in values])


def load_series(path: str) -> list[np.ndarray]:
    """What `save_series` wrote."""
    saved = np.load(path)
    return np.split(saved["values"], saved["lengths"].cumsum()[:-1])


def epoch(ends: list[float]) -> float:
    """Seconds of an epoch, from the times at which its batches ended."""
    return (ends[-1] - ends[WARM - 1]) / (len(ends) - WARM) * BATCHES


def timed(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def measure_seqjax(path: str, batches: int, backend: str) -> tuple[float, float]:
    """Seconds of an epoch, and of the sample paths."""
    import jax

    import seqjax
    from seqjax import training
    from seqjax.forecasting import RECIPE, DeepAR

    series = load_series(path)
    starts = np.array([START] * len(series), "datetime64[h]")
    panel = forecasting.Panel(series, step=np.timedelta64(1, "h"), starts=starts)
    net = seqjax.stack(*[seqjax.LSTM(HIDDEN)] * LAYERS, dropout=0.1)
    task = DeepAR.of(
        panel,
        context=CONTEXT,
        horizon=HORIZON,
        recurrence=net,
        lags=LAGS,
        paths=PATHS,
        backend=backend,
    )
    optimiser = RECIPE.optimiser(RECIPE.total_steps(BATCHES))
    key = jax.random.key(0)
    state = training.create_state(task.init(key), optimiser, key, ema=True)
    clip = training.clip_by_norm(RECIPE.clip)
    step = training.make_train_step(task.loss, optimiser, clip=clip, ema_decay=RECIPE.average)
    source, ends = task.batches(panel, batch_size=BATCH), []
    for _ in range(WARM + batches):
        state, metrics = step(state, next(source))
        float(metrics["loss"])
        ends.append(time.perf_counter())
    fitted = seqjax.Trained(task, state.ema)
    fitted.predict(
        panel
    )  # as many rows as are timed: another number of them would be compiled anew
    return epoch(ends), timed(lambda: fitted.predict(panel))


def measure_gluonts(path: str, batches: int) -> tuple[float, float]:
    """The same in GluonTS."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import lightning.pytorch as lightning  # pyright: ignore[reportMissingImports]
    import pandas as pd  # pyright: ignore[reportMissingImports]
    from gluonts.dataset.common import ListDataset  # pyright: ignore[reportMissingImports]
    from gluonts.torch import DeepAREstimator  # pyright: ignore[reportMissingImports]

    class Clock(lightning.Callback):
        def on_train_batch_end(self, *_):
            ends.append(time.perf_counter())

    ends = []
    quiet = {
        "max_epochs": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "accelerator": "cpu",
        "callbacks": [Clock()],
        "enable_checkpointing": True,
        "default_root_dir": tempfile.mkdtemp(),
    }
    rows = [
        {"start": pd.Period(START, "h"), "target": values.astype(np.float32)}
        for values in load_series(path)
    ]
    estimator = DeepAREstimator(
        freq="h",
        prediction_length=HORIZON,
        context_length=CONTEXT,
        num_layers=LAYERS,
        hidden_size=HIDDEN,
        lags_seq=list(LAGS),
        dropout_rate=0.1,
        batch_size=BATCH,
        num_batches_per_epoch=WARM + batches,
        num_parallel_samples=PATHS,
        trainer_kwargs=quiet,
    )
    predictor = estimator.train(ListDataset(rows, freq="h"))
    draw = lambda rows: list(predictor.predict(ListDataset(rows, freq="h"), num_samples=PATHS))  # noqa: E731
    draw(rows[:BATCH])
    return epoch(ends), timed(lambda: draw(rows))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs=2, metavar=("PEER", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", help="folder of the data sets")
    parser.add_argument("--series", action="store_true", help="make up the series")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has gluonts")
    parser.add_argument(
        "--batches",
        type=int,
        default=BATCHES,
        help="timed in each round; the seconds are of an epoch",
    )
    parser.add_argument("--backend", default="native", help="of our recurrences")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.measure:
        peer, path = args.measure
        measure = {
            "gluonts": measure_gluonts,
            "seqjax": functools.partial(measure_seqjax, backend=args.backend),
        }
        print(*measure[peer](path, args.batches))
        return

    def measured(peer: str, path: Path) -> list[float]:
        python = args.python if peer == "gluonts" else sys.executable
        words = [python, __file__, "--measure", peer, str(path), "--batches", str(args.batches)]
        words += ["--backend", args.backend]
        done = subprocess.run(
            words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        found = [float(word) for word in done.stdout.split()[-2:]]
        print(
            f"{peer}: an epoch {found[0]:.2f} s, the paths {found[1]:.2f} s",
            file=sys.stderr,
            flush=True,
        )
        return found

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.npz"
        save_series(path, args.data_dir or os.environ.get("SEQJAX_DATA"), args.series)
        rounds = [
            {peer: measured(peer, path) for peer in ("gluonts", "seqjax")}
            for _ in range(args.rounds)
        ]
    print(
        f"With --backend {args.backend}:\n\n| task | peer | seconds | times GluonTS (least, most) |\n|---|---|---|---|"
    )
    for place, task in enumerate(("an epoch", "100 paths of 414 series")):
        for peer in ("gluonts", "seqjax"):
            ratios = sorted(row["gluonts"][place] / row[peer][place] for row in rounds)
            middle = statistics.median(row[peer][place] for row in rounds)
            ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}, {ratios[-1]:.2f})"
            print(f"| {task} | {peer} | {middle:.2f} | {ratio} |")


if __name__ == "__main__":
    main()
