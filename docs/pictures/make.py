"""Draws the README's pictures: `python docs/pictures/make.py FORECAST_RUN MUSIC_RUN --data-dir DATA`.

`hero.png`: a forecast of the electricity demand by a run of `experiments.forecast`, a chorale composed
by a run of `experiments.music`, and the gradient through time that gates keep alive.
`speed.png`: how fast an LSTM trains beside PyTorch, the figures of docs/guides/speed.md.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import seqjax
from seqjax import diagnostics, forecasting
from seqjax.figures import save_figure

HERE = Path(__file__).parent
SHAPES = (
    "64 x 100\n128, 256",
    "128 x 28\n28, 128",
    "32 x 100\n512",
    "64 x 50\n1024",
    "1 x 100\n128, 256",
)
TRAINING = {
    "seqjax": (1.29, 1.23, 0.98, 1.11, 1.59),
    "Flax": (0.82, 0.63, 0.60, 0.73, 0.47),
    "Keras 3 on JAX": (0.76, 0.60, 0.63, 0.74, 0.56),
}
"""Times as fast as PyTorch."""


def draw_forecast(axis, folder: str, data_dir: str | None) -> None:
    """Two days of half-hours, with 50 and 90 % intervals."""
    panel = forecasting.load_panel("vic_elec", data_dir).panel
    found = seqjax.load(folder).predict(panel, ago=[4000])
    cut, horizon = int(found.cuts[0]), found.mean.shape[1]
    hours = np.arange(-3 * horizon, horizon) / 2
    axis.plot(hours, panel.values[0][cut - 3 * horizon : cut + horizon], color="0.3", linewidth=1)
    for share, alpha in ((0.9, 0.2), (0.5, 0.35)):
        low, high = found.interval(share)
        axis.fill_between(hours[-horizon:], low[0], high[0], color="C0", alpha=alpha, linewidth=0)
    axis.plot(hours[-horizon:], found.median[0], color="C0", linewidth=1.5)
    axis.set(title="a day of demand, forecast", xlabel="hours", ylabel="MW")


def draw_piece(axis, folder: str) -> None:
    """A piano roll."""
    roll = seqjax.load(folder).compose(96, temperature=0.8, seed=4)
    axis.imshow(roll.T, origin="lower", aspect="auto", cmap="Purples", interpolation="nearest")
    keys = np.flatnonzero(roll.any(0))
    axis.set(title="a chorale, composed", xlabel="frames", ylabel="keys", yticks=[])
    axis.set_ylim(keys.min() - 2, keys.max() + 2)


def draw_gradient(axis) -> None:
    """The gradient of the last output by the state of every step before."""
    xs = jax.random.normal(jax.random.key(1), (8, 100, 8))
    cells = {
        "Elman": seqjax.Elman(32),
        "GRU": seqjax.GRU(32),
        "LSTM, forget bias 3": seqjax.LSTM(32, forget_bias=3.0),
    }
    for name, cell in cells.items():
        params = cell.init(jax.random.key(0), 8)
        if name == "Elman":
            params["w_h"] = 0.8 * params["w_h"]
        found = diagnostics.gradient_flow(cell, params, xs, lambda ys: ys[:, -1].sum())
        # Of an LSTM its memory, which is not seen by the last output.
        norms = np.asarray(found.get("c", found["h"])).mean(1)[:-1]
        axis.semilogy(np.arange(-99, 0), norms, label=name)
    axis.set(title="what is left of a gradient", xlabel="steps back", ylim=(1e-9, 100))
    axis.legend(frameon=False, fontsize="small")


def main() -> None:
    """Draws both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("forecast")
    parser.add_argument("music")
    parser.add_argument("--data-dir")
    args = parser.parse_args()
    from matplotlib.figure import Figure

    hero = Figure(figsize=(12, 3.2), layout="constrained")
    left, middle, right = hero.subplots(1, 3)
    draw_forecast(left, args.forecast, args.data_dir)
    draw_piece(middle, args.music)
    draw_gradient(right)
    for axis in (left, middle, right):
        axis.spines[["top", "right"]].set_visible(False)
    save_figure(hero, HERE / "hero.png")
    chart = Figure(figsize=(8, 2.8), layout="constrained")
    axis = chart.subplots()
    for place, (name, times) in enumerate(TRAINING.items()):
        axis.bar(np.arange(5) + 0.27 * (place - 1), times, 0.25, label=name)
    axis.axhline(1, color="0.3", linewidth=1, linestyle="--", label="PyTorch 2.13")
    axis.set_xticks(range(5), SHAPES)
    axis.set(ylabel="times as fast", xlabel="batch x steps; features, units")
    axis.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    axis.spines[["top", "right"]].set_visible(False)
    save_figure(chart, HERE / "speed.png")


if __name__ == "__main__":
    main()
