"""experiments.gradient_flow: why recurrent networks explode and vanish: shown, measured and cured.

    python -m experiments.gradient_flow

Three classics on one page, `index.html` in the run folder, with pictures and the numbers behind
them:

* vanishing: |dL/dh_t| over 100 steps for Elman networks of four spectral radii, LSTMs of three
  forget biases, a GRU and a residual stack; the slope measured, and what the Jacobians of the steps
  say it should be;
* explosion: the cliff in the loss of a network of one unit, and gradient descent on it with and
  without clipping;
* the cure: a relu network recalls its first input after 100 steps, ten seeds side by side, without
  clipping and with three kinds of it, at one learning rate. A run diverged if a loss or gradient
  was not finite or if its last tenth of steps is worse than answering 0 always; it converged if
  that tenth is ten times better than answering 0.

Expect at least 9 of 10 seeds to diverge without clipping and at least 9 of 10 to converge with it;
less than a minute on a shared core. Paper: Pascanu, Mikolov and Bengio, "On the difficulty of
training recurrent neural networks", ICML 2013.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

import seqjax
from experiments.cli import launch
from seqjax import diagnostics, figures, training
from seqjax.diagnostics import clipping, plots
from seqjax.diagnostics.cliff import Cliff, plot_cliff
from seqjax.diagnostics.portrait import plot_portrait
from seqjax.diagnostics.vanishing import Vanishing, measure_vanishing
from seqjax.figures import Section
from seqjax.training import Settings, option

RADII, BIASES = (0.8, 1.0, 1.2, 1.5), (0.0, 1.0, 3.0)
PANELS = ("elman", "lstm", "gru")
SHOWN = ("elman radius 0.8", "elman radius 1.5", "lstm bias 3", "gru alone")
FEATURES, ROWS = 4, 8
LOUDER = 20
"""How much stronger the inputs are whose gates are shown unit by unit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    hidden_size: int = option(32, "units of each network", least=1)
    length: int = option(100, "time steps", least=2)
    seeds: int = option(10, "training runs side by side", least=1)
    steps: int = option(300, "training steps of each", least=10)
    batch_size: int = option(16, "sequences a step", least=1)
    learning_rate: float = option(0.01, "of plain gradient descent", least=0)
    clip: float = option(0.25, "largest gradient norm", least=1e-12)
    clip_value: float = option(
        0.01, "largest element of the gradient, for clipping by value", least=1e-12
    )
    clip_ratio: float = option(
        0.1, "largest gradient of a unit by its weights, for adaptive clipping", least=1e-12
    )


def main(config: Config) -> dict[str, Any]:
    """Measures, draws and writes the page; returns what `result.json` holds."""
    if config.resume is not None:
        raise ValueError(
            "experiments.gradient_flow takes minutes and keeps no checkpoints; leave --resume out"
        )
    with training.Run("gradient_flow", config) as run:
        run.begin("random numbers", config.seed)
        vanishing, found = show_vanishing(run)
        explosion = show_explosion(run.folder)
        cure, verdicts = show_cure(run)
        metrics = {
            "diverged_unclipped": verdicts["none"].diverged / config.seeds,
            "converged_clipped": verdicts["norm"].converged / config.seeds,
            "median_loss_clipped": verdicts["norm"].median_loss,
            "slope_elman_0.8": found["elman radius 0.8"].slope,
            "slope_lstm_bias_3": found["lstm bias 3"].slope,
        }
        counts = {"seeds": config.seeds, "steps": config.steps}
        return run.write_result(metrics, counts, sections=[*vanishing, explosion, cure])


def networks(config: Config) -> dict[str, tuple[seqjax.Recurrence, dict]]:
    """Makes every network with fresh params, by a name whose first word is its panel."""
    key, hidden, made = jax.random.key(config.seed), config.hidden_size, {}
    elman = seqjax.Elman(hidden)
    fresh = elman.init(key, FEATURES)
    for radius in RADII:
        w_h = diagnostics.with_spectral_radius(fresh["w_h"], radius)
        made[f"elman radius {radius:g}"] = elman, {**fresh, "w_h": w_h}
    for bias in BIASES:
        params = seqjax.LSTM(hidden, forget_bias=bias).init(key, FEATURES)
        # The bias is in the params: one network, which compiles once.
        made[f"lstm bias {bias:g}"] = seqjax.LSTM(hidden), params
    gru = seqjax.GRU(hidden)
    deep = seqjax.stack(gru, gru, gru, residual=True)
    made["gru alone"] = gru, gru.init(key, FEATURES)
    made["gru residual stack of 3"] = deep, deep.init(key, FEATURES)
    return made


def show_vanishing(run: training.Run) -> tuple[list[Section], dict[str, Vanishing]]:
    """Measures every network; returns parts of the page, and what was found."""
    config, found = run.config, {}
    key = jax.random.key(config.seed + 1)
    xs = 0.1 * jax.random.normal(key, (ROWS, config.length, FEATURES))
    direction = jax.random.normal(jax.random.key(config.seed + 2), (config.hidden_size,))
    made = networks(config)
    for name, (recurrence, params) in made.items():
        found[name] = measure_vanishing(recurrence, params, xs, direction)
        run.say(f"{name:<24} slope {found[name].slope:+.3f} per step")
    run.write_json("flow.json", {name: one.norms.tolist() for name, one in found.items()})
    spectra = {name: found[name].spectrum for name in SHOWN}
    figure = plots.plot_spectrum(spectra, "What one step does to a small change of the state")
    title = "A fresh LSTM at forget bias 1, on one row of strong inputs"
    portrait = plot_portrait(*made["lstm bias 1"], LOUDER * xs[0], direction, title)
    rows = []
    for name, one in found.items():
        for gate, statistics in one.gates.items():
            rows.append({"network": name, "gate": gate, **statistics.summary()})
    of_lstms = [row for row in rows if row["network"].startswith("lstm")]
    return [
        show_flow(run.folder, found),
        Section("Jacobians and Lyapunov exponents", SPECTRA, save(run.folder, spectra=figure)),
        Section("Gates", GATES, save(run.folder, **portrait), of_lstms, rows),
    ], found


def show_flow(folder: Path, found: dict[str, Vanishing]) -> Section:
    """Draws the gradients over time; tells their slopes, and those that the Jacobians give."""
    panels: dict[str, dict[str, np.ndarray]] = {panel: {} for panel in PANELS}
    rows, numbers = [], []
    for name, one in found.items():
        panel, label = name.split(" ", 1)
        panels[panel][label] = one.norms
        rows.append({"network": name, **one.summary()})
        steps = np.unique(np.linspace(1, len(one.norms), 12).round().astype(int))
        norms = {f"t={t}": float(one.norms[t - 1]) for t in steps}
        numbers.append({"network": name, **norms})
    title = "The gradient of the last step's loss by the state at step t"
    figure = plots.plot_flow(panels, title)
    return Section("Vanishing", VANISHING, save(folder, flow=figure), rows, numbers)


def show_explosion(folder: Path) -> Section:
    """Draws the cliff, and two ways down."""
    cliff, threshold = Cliff(), 1.0
    w, b = np.linspace(1.0, 3.0, 161), np.linspace(-1.2, 0.2, 141)
    clip = training.clip_by_norm(threshold)
    descents = {
        "without clipping": cliff.descend(2.2, -0.15),
        f"clipped at {threshold:g}": cliff.descend(2.2, -0.15, clip=clip),
    }
    ways = {name: descent.way for name, descent in descents.items()}
    rows = [{"gradient descent": name, **one.summary()} for name, one in descents.items()]
    title = f"h' = tanh(w h + b) after {cliff.steps} steps"
    figure = plot_cliff(w, b, cliff.surface(w, b), ways, title)
    return Section("Explosion: the cliff", CLIFF, save(folder, cliff=figure), rows)


def show_cure(run: training.Run) -> tuple[Section, dict[str, clipping.Verdict]]:
    """Trains all seeds side by side, without clipping and with each kind of it."""
    config = run.config
    log = training.MetricsLog(run.folder / "metrics.jsonl")
    problem = clipping.Recall(
        config.hidden_size, config.length, config.batch_size, backend=config.backend
    )
    kinds = {
        "none": None,
        "norm": training.clip_by_norm(config.clip),
        "value": training.clip_by_value(config.clip_value),
        "adaptive": training.clip_adaptively(config.clip_ratio),
    }
    histories, verdicts, rows = {}, {}, []
    for kind, clip in kinds.items():
        histories[kind] = clipping.train_side_by_side(
            problem,
            optax.sgd(config.learning_rate),
            clip,
            steps=config.steps,
            seeds=config.seeds,
            key=jax.random.key(config.seed),
        )
        verdicts[kind] = verdict = clipping.Verdict.of(histories[kind], problem.baseline)
        told = verdict.summary()
        rows.append({"clipping": kind, **told})
        told = {f"{kind}/{name}": value for name, value in told.items()}
        log(training.Event("evaluation", config.steps, told))
        fared = f"diverged {verdict.diverged}, converged {verdict.converged}"
        run.say(f"clipping {kind:<9} {fared} of {config.seeds}")
    figure = plots.plot_clipping(
        histories["norm"].gradient_norm,
        histories["norm"].clipped_norm,
        config.clip,
        {"without clipping": histories["none"].loss, "clipped by norm": histories["norm"].loss},
    )
    return Section("The cure: clipping", CURE, save(run.folder, clipping=figure), rows), verdicts


def save(folder: Path, **drawn: Any) -> list[Path]:
    """Saves figures by their names; returns where."""
    paths = []
    for name, figure in drawn.items():
        paths.append(folder / f"{name}.png")
        figures.save_figure(figure, paths[-1])
    return paths


VANISHING = """
The loss looks at the last step alone; each line is the norm of its gradient by the whole state at step t, the
geometric mean of eight rows of weak random inputs. On a log axis a constant factor per step is a straight line. The
table compares the slope of that line with what the Jacobians of the steps say: no gradient can grow faster than the
bound, the mean logarithm of each step's largest singular value, and over a long time it follows the largest Lyapunov
exponent.

Elman networks shrink it by their spectral radius and explode above one, until the saturation of tanh holds them. An
LSTM carries it along its memory at the forget gate's value, sigmoid(bias). The residual stack has shortcuts between
layers, none through time: its slope is that of its cells.

Why does a fresh GRU vanish like an LSTM of bias 0, and why does bias 3 grow? While states are small, a step of either
multiplies a small change by f I + 0.25 Q. The first term is what the gate keeps: f = sigmoid(bias) of an LSTM, and z
= sigmoid(0) = 0.5 of a GRU, which has no bias of its own for it. The second goes through the orthogonal recurrent
weights Q, past two gates that stand half open: the input and output gates of an LSTM, 1 - z and the reset gate of a
GRU. The eigenvalues of Q lie on the unit circle, so in the long run the change shrinks or grows by up to f + 0.25 a
step. That is 0.75 for the GRU and for bias 0, a slope of log 0.75 = -0.29; 0.98 for bias 1; and 0.953 + 0.25 = 1.20
for bias 3. So it grows over the first steps of the picture; after some twenty the state has filled, tanh is flat, and
the factor is near 1.
"""
SPECTRA = """
Above: singular values of the Jacobian of each step along one trajectory. Below: all Lyapunov exponents, in nats per
step; an exponent above zero is a direction in which a small change grows.
"""
GATES = """
One LSTM with forget bias 1, unit by unit, and how often the gates of each LSTM stand open (above 0.9) or shut (below
0.1). The half-life is the number of steps after which half of a unit's memory is left.
"""
CLIFF = """
The state of a network of one unit ends at one of two fixed points, and between them the loss jumps: on the wall the
gradient is the product of twenty factors above one. Gradient descent that meets the wall is thrown out of the
picture; with its gradient clipped it bounces and stays at the foot of the cliff.
"""
CURE = """
A relu network recalls its first input after many steps of small noise: ten seeds side by side, plain gradient
descent, the same learning rate for all. A run diverged if a loss or gradient was not finite, or if the mean loss of
its last tenth of steps is above 1/3, that of answering 0 always. It converged if that mean is ten times below 1/3.
The recurrent matrix collects its gradient over a hundred steps, so its norm stays above the threshold all the time:
clipping takes the size of a step out of the hands of the gradient. Steps that are not finite are skipped by the
training step.
"""


if __name__ == "__main__":
    launch(Config, main, __doc__)
