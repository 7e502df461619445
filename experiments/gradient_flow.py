"""experiments.gradient_flow: why recurrent networks explode and vanish: shown, measured and cured.

    python -m experiments.gradient_flow

Three classics on one page, `report.html` in the run folder, with pictures and the numbers behind
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
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax
from experiments.common import BaseConfig, Mistake, Run, launch, option
from seqjax import diagnostics, figures, training
from seqjax.diagnostics import plots
from seqjax.figures.page import Section, write_html

RADII, BIASES = (0.8, 1.0, 1.2, 1.5), (0.0, 1.0, 3.0)
PANELS = ("elman", "lstm", "gru")
FEATURES, ROWS, LOUDER = 4, 8, 20
CLIFF_STEPS, CLIFF_START, CLIFF_TARGET = 20, 0.5, 0.5
CLIFF_RATE, CLIFF_THRESHOLD, CLIFF_UPDATES = 0.1, 1.0, 60
NOISE = 1e-3
BASELINE = 1 / 3
"""The squared error of answering 0 for a number uniform in [-1, 1]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaseConfig):
    hidden_size: int = option(32, "units of each network", least=1)
    length: int = option(100, "time steps", least=2)
    seeds: int = option(10, "training runs side by side", least=1)
    steps: int = option(300, "training steps of each", least=10)
    batch: int = option(16, "sequences a step", least=1)
    learning_rate: float = option(0.01, "of plain gradient descent", least=0)
    clip: float = option(0.25, "largest gradient norm", least=1e-12)
    clip_value: float = option(
        0.01, "largest element of the gradient, for clipping by value", least=1e-12
    )
    clip_ratio: float = option(
        0.1, "largest gradient of a unit by its weights, for adaptive clipping", least=1e-12
    )


def main(config: Config) -> dict:
    """Measures, draws and writes the report; returns what `result.json` holds."""
    if config.resume is not None:
        raise Mistake(
            "experiments.gradient_flow takes minutes and keeps no checkpoints; leave --resume out"
        )
    run = Run("gradient_flow", config)
    run.begin({"origin": "random numbers", "fingerprint": f"seed {config.seed}"})
    log = training.MetricsLog(run.folder / "metrics.jsonl")
    vanishing, slopes = show_vanishing(run)
    explosion = show_explosion(run)
    cure, table = show_cure(run, log)
    write_html(run.folder / "report.html", "Where the gradient goes", [*vanishing, explosion, cure])
    by_name = {row["clipping"]: row for row in table}
    scores = {
        "diverged_unclipped": by_name["none"]["diverged"] / config.seeds,
        "converged_clipped": by_name["norm"]["converged"] / config.seeds,
        "median_loss_clipped": by_name["norm"]["median loss"],
        "slope_elman_0.8": slopes["elman radius 0.8"],
        "slope_lstm_bias_3": slopes["lstm bias 3"],
    }
    result = run.finish(scores, {"seeds": config.seeds, "steps": config.steps})
    run.say(f"run folder: {run.folder}")
    return result


def networks(config: Config) -> dict[str, tuple[seqjax.Recurrence, dict]]:
    """Every network of the first part with fresh params, by a name whose first word is its panel."""
    key, hidden = jax.random.key(config.seed), config.hidden_size
    elman = seqjax.Elman(hidden)
    fresh = elman.init(key, FEATURES)
    made = {}
    for radius in RADII:
        w_h = diagnostics.with_spectral_radius(fresh["w_h"], radius)
        made[f"elman radius {radius:g}"] = elman, {**fresh, "w_h": w_h}
    for bias in BIASES:
        made[f"lstm bias {bias:g}"] = (
            seqjax.LSTM(hidden),
            seqjax.LSTM(hidden, forget_bias=bias).init(key, FEATURES),
        )
    gru, deep = seqjax.GRU(hidden), seqjax.stack(*[seqjax.GRU(hidden)] * 3, residual=True)
    return made | {
        "gru alone": (gru, gru.init(key, FEATURES)),
        "gru residual stack of 3": (deep, deep.init(key, FEATURES)),
    }


@functools.partial(jax.jit, static_argnums=0)
def measure(recurrence, params, xs, towards):
    """The norm of the gradient by the whole state `[time, rows]`, the spectrum along the first row, and the gates."""
    flow = diagnostics.gradient_flow(
        recurrence, params, xs, lambda ys: (ys[:, -1] @ towards).mean()
    )
    whole = jnp.sqrt(sum(jnp.square(norms) for norms in flow.values()))
    spectrum = diagnostics.jacobian_spectrum(recurrence, params, xs[0])
    return whole, spectrum, diagnostics.gate_statistics(recurrence, params, xs)


def show_vanishing(run: Run) -> tuple[list[Section], dict[str, float]]:
    """Gradients over time, and the slope that is measured against the one that the Jacobians give."""
    config = run.config
    xs = 0.1 * jax.random.normal(jax.random.key(config.seed + 1), (ROWS, config.length, FEATURES))
    towards = jax.random.normal(jax.random.key(config.seed + 2), (config.hidden_size,))
    lines, rows, spectra, gates = {}, [], {}, []
    for name, (recurrence, params) in networks(config).items():
        whole, spectra[name], statistics = jax.device_get(measure(recurrence, params, xs, towards))
        lines[name] = np.exp(np.log(np.maximum(whole, plots.LEAST)).mean(1))
        rows.append({"network": name} | slope_row(lines[name], spectra[name]))
        gates += [
            {"network": name, "gate": gate} | gate_row(values)
            for gate, values in statistics.items()
        ]
        run.say(f"{name:<24} slope {rows[-1]['slope measured']:+.3f} per step")
    run.write_json("flow.json", {name: line.tolist() for name, line in lines.items()})
    steps = sorted({round(t) for t in np.linspace(1, config.length, 12)})
    numbers = [
        {"network": name} | {f"t={t}": float(line[t - 1]) for t in steps}
        for name, line in lines.items()
    ]
    panels = {
        panel: {n.split(" ", 1)[1]: line for n, line in lines.items() if n.startswith(panel)}
        for panel in PANELS
    }
    chosen = {
        name: spectra[name]
        for name in ("elman radius 0.8", "elman radius 1.5", "lstm bias 3", "gru alone")
    }
    save = functools.partial(save_picture, run)
    flow = save(
        "flow.png",
        plots.plot_flow(panels, "The gradient of the last step's loss by the state at step t"),
    )
    spectrum = save(
        "spectra.png",
        plots.plot_spectrum(chosen, "What one step does to a small change of the state"),
    )
    pictures = [save(name, figure) for name, figure in lstm_pictures(config, xs, towards).items()]
    sections = [
        Section("Vanishing", VANISHING, [flow], rows, numbers),
        Section("Jacobians and Lyapunov exponents", SPECTRA, [spectrum]),
        Section(
            "Gates",
            GATES,
            pictures,
            [row for row in gates if row["network"].startswith("lstm")],
            gates,
        ),
    ]
    return sections, {row["network"]: row["slope measured"] for row in rows}


def slope_row(line: np.ndarray, spectrum: diagnostics.Spectrum) -> dict[str, float]:
    """Growth per step back in time: of the gradient (a line through its logarithm), and by the Jacobians."""
    logs, back = np.log(line), np.arange(len(line))[::-1]
    return {
        "slope measured": float(np.polyfit(back, logs, 1)[0]),
        "Lyapunov exponent": float(spectrum.exponents[0]),
        "bound: mean log of the largest singular value": float(np.log(spectrum.steps[:, 0]).mean()),
        "|dL/dh_1| / |dL/dh_T|": float(np.exp(logs[0] - logs[-1])),
    }


def gate_row(statistics: diagnostics.GateStatistics) -> dict[str, float]:
    """A line of the table of gates."""
    row = {name: float(getattr(statistics, name)) for name in ("mean", "open", "shut", "saturated")}
    half_life = float(np.median(statistics.half_life))
    return row | {"median half-life in steps": half_life if np.isfinite(half_life) else "-"}


def lstm_pictures(config: Config, xs: jax.Array, towards: jax.Array) -> dict:
    """Gates, memory and gradients of one LSTM on one row, unit by unit."""
    (lstm, params), row = networks(config)["lstm bias 1"], LOUDER * xs[:1]
    gates = diagnostics.gate_activations(lstm, params, row)
    traces = diagnostics.hidden_traces(lstm, params, row)
    gradients = diagnostics.state_gradients(
        lstm, params, row, lambda ys: (ys[:, -1] @ towards).mean()
    )
    maps = {f"{name} gate": gates[name][:, 0] for name in ("forget", "input")}
    maps |= {"hidden state h": traces["h"][:, 0], "memory c": traces["c"][:, 0]}
    counted = {f"{name} gate": values for name, values in gates.items()}
    figures = {
        "gates.png": plots.plot_heat_maps(
            maps, "A fresh LSTM at forget bias 1, on one row of strong inputs"
        ),
        "gate_histograms.png": plots.plot_histograms(counted, "Gates over all steps"),
        "gradient_histograms.png": plots.plot_histograms(
            {f"dL/d{name}": values for name, values in gradients.items()},
            "Gradients over all steps",
            log=True,
        ),
    }
    return figures


def cliff_loss(params: dict) -> jax.Array:
    """The loss of a network of one unit, h' = tanh(w h + b), that should end where it began."""
    h, _ = seqjax.unroll(
        seqjax.Elman(1),
        params,
        jnp.zeros((CLIFF_STEPS, 1)),
        jnp.full(1, CLIFF_START),
        backend="scan",
    )
    return jnp.square(h[0] - CLIFF_TARGET)


def one_unit(w: jax.Array, b: jax.Array) -> dict:
    """The params of that network."""
    return {"w_x": jnp.zeros((1, 1)), "w_h": jnp.reshape(w, (1, 1)), "b": jnp.reshape(b, 1)}


def descend(clip: optax.GradientTransformation | None) -> tuple[np.ndarray, list[float]]:
    """Gradient descent on the cliff: the way `[updates + 1, 2]` over (w, b), and the gradient's norm at each update."""
    optimiser = optax.sgd(CLIFF_RATE)
    state = training.create_state(
        one_unit(jnp.array(2.2), jnp.array(-0.15)), optimiser, jax.random.key(0)
    )
    step = training.make_train_step(
        lambda p, *_: (cliff_loss(p), training.Aux()), optimiser, clip=clip
    )
    place = lambda s: (float(s.params["w_h"][0, 0]), float(s.params["b"][0]))  # noqa: E731
    way, norms = [place(state)], []
    for _ in range(CLIFF_UPDATES):
        state, metrics = step(state, None)
        way.append(place(state))
        norms.append(float(metrics["gradient_norm"]))
    return np.array(way), norms


def show_explosion(run: Run) -> Section:
    """The loss over weight and bias, and two ways down."""
    w, b = np.linspace(1.0, 3.0, 161), np.linspace(-1.2, 0.2, 141)
    surface = jax.jit(
        jax.vmap(jax.vmap(lambda b, w: cliff_loss(one_unit(w, b)), (None, 0)), (0, None))
    )(b, w)
    ways = {
        "without clipping": descend(None),
        f"clipped at {CLIFF_THRESHOLD:g}": descend(training.clip_by_norm(CLIFF_THRESHOLD)),
    }
    figure = draw_cliff(w, b, np.asarray(surface), {name: way for name, (way, _) in ways.items()})
    rows = []
    for name, (way, norms) in ways.items():
        jumps, (w_last, b_last) = np.linalg.norm(np.diff(way, axis=0), axis=1), way[-1]
        rows.append(
            {
                "gradient descent": name,
                "largest gradient norm": max(norms),
                "longest step": float(jumps.max()),
                "last w": float(w_last),
                "last b": float(b_last),
                "last loss": float(cliff_loss(one_unit(*way[-1]))),
            }
        )
    return Section("Explosion: the cliff", CLIFF, [save_picture(run, "cliff.png", figure)], rows)


def draw_cliff(w, b, surface, ways):
    """The loss as a relief and from above, with the ways drawn in."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.4), layout="constrained")
    relief = figure.add_subplot(1, 2, 1, projection="3d")
    relief.plot_surface(
        *np.meshgrid(w, b), surface, cmap="viridis", rcount=141, ccount=161, linewidth=0
    )
    relief.set(
        xlabel="weight w",
        ylabel="bias b",
        zlabel="loss",
        title=f"h' = tanh(w h + b) after {CLIFF_STEPS} steps",
    )
    relief.view_init(elev=38, azim=125)
    above = figure.add_subplot(1, 2, 2)
    image = above.pcolormesh(w, b, surface, cmap="viridis", shading="auto")
    figure.colorbar(image, ax=above, label="loss")
    for (name, way), color, size in zip(ways.items(), ("C3", "w"), (6, 3), strict=True):
        above.plot(*way.T, "o-", color=color, markersize=size, linewidth=size / 3, label=name)
        above.plot(*way[0], "k*", markersize=12, zorder=5)
    above.set(xlim=(w[0], w[-1]), ylim=(b[0], b[-1]), xlabel="weight w", ylabel="bias b")
    above.set_title("Gradient descent from the star")
    above.legend(facecolor="0.6", loc="lower left")
    return figure


def recall(params, batch, rng, extra, *, config):
    """Squared error of the first input, told after many steps of small noise."""
    first_key, noise_key = jax.random.split(rng)
    first = jax.random.uniform(first_key, (config.batch,), minval=-1.0)
    xs = NOISE * jax.random.normal(noise_key, (config.batch, config.length, 1))
    xs = xs.at[:, 0, 0].set(first)
    _, ys = seqjax.unroll(
        seqjax.Elman(config.hidden_size, activation="relu"),
        params["net"],
        xs,
        backend=config.backend,
    )
    return jnp.square(ys[:, -1] @ params["w"] + params["b"] - first).mean(), training.Aux(
        weight=config.batch
    )


def fresh_state(key, config, optimiser):
    """A network whose recurrent matrix is the identity (Le et al., 2015)."""
    net_key, head_key, run_key = jax.random.split(key, 3)
    hidden = config.hidden_size
    net = seqjax.Elman(hidden, activation="relu").init(net_key, 1) | {"w_h": jnp.eye(hidden)}
    head = {"w": jax.random.normal(head_key, (hidden,)) * hidden**-0.5, "b": jnp.zeros(())}
    return training.create_state({"net": net, **head}, optimiser, run_key)


def show_cure(run: Run, log: training.MetricsLog) -> tuple[Section, list[dict]]:
    """All seeds side by side, without clipping and with each kind of it."""
    config = run.config
    kinds = {
        "none": None,
        "norm": training.clip_by_norm(config.clip),
        "value": training.clip_by_value(config.clip_value),
        "adaptive": training.clip_adaptively(config.clip_ratio),
    }
    rows, histories = [], {}
    for kind, clip in kinds.items():
        histories[kind] = history = train_side_by_side(config, clip)
        rows.append({"clipping": kind} | judge(history))
        log(
            training.Event(
                "evaluation",
                config.steps,
                {f"{kind}/{k}": float(v) for k, v in judge(history).items()},
            )
        )
        run.say(
            f"clipping {kind:<9} diverged {rows[-1]['diverged']}, converged {rows[-1]['converged']} of {config.seeds}"
        )
    run.write_json(
        "clipping.json",
        [
            {k: v if np.isfinite(v) else None for k, v in row.items() if k != "clipping"}
            | {"clipping": row["clipping"]}
            for row in rows
        ],
    )
    losses = {
        "without clipping": histories["none"]["loss"],
        "clipped by norm": histories["norm"]["loss"],
    }
    norm = histories["norm"]
    figure = plots.plot_clipping(norm["gradient_norm"], norm["clipped_norm"], config.clip, losses)
    return Section(
        "The cure: clipping", CURE, [save_picture(run, "clipping.png", figure)], rows
    ), rows


def train_side_by_side(
    config: Config, clip: optax.GradientTransformation | None
) -> dict[str, np.ndarray]:
    """The metrics of every step and seed, `[steps, seeds]`."""
    optimiser = optax.sgd(config.learning_rate)
    create = functools.partial(fresh_state, config=config, optimiser=optimiser)
    states = training.create_states(create, jax.random.key(config.seed), config.seeds)
    loss_fn = functools.partial(recall, config=config)
    step = training.over_seeds(training.make_train_step(loss_fn, optimiser, clip=clip, jit=False))
    lines = []
    for _ in range(config.steps):
        states, metrics = step(states, None)
        lines.append(
            {
                name: metrics[name]
                for name in ("loss", "gradient_norm", "clipped_norm", "clipped", "finite")
            }
        )
    return {name: np.array([line[name] for line in lines]) for name in lines[0]}


def judge(history: dict[str, np.ndarray]) -> dict[str, float]:
    """How the seeds fared: the definitions of divergence and convergence that the header gives."""
    finite = (history["finite"] > 0).all(0)
    last = history["loss"][-len(history["loss"]) // 10 :].mean(0)
    norms = history["gradient_norm"]
    return {
        "diverged": int((~finite | (last > BASELINE)).sum()),
        "converged": int((finite & (last < BASELINE / 10)).sum()),
        "median loss": float(np.median(np.where(np.isfinite(last), last, np.inf))),
        "largest loss": float(np.where(np.isfinite(last), last, np.inf).max()),
        "largest norm": float(norms[np.isfinite(norms)].max()),
        "share of clipped steps": float(history["clipped"][history["finite"] > 0].mean()),
        "steps not finite": int((history["finite"] == 0).sum()),
    }


def save_picture(run: Run, name: str, figure) -> str:
    """Saves a figure in the run folder; returns its path."""
    figures.save_figure(figure, run.folder / name)
    return str(run.folder / name)


VANISHING = """
The loss looks at the last step alone; each line is the norm of its gradient by the whole state at step t, the
geometric mean of eight rows of weak random inputs. On a log axis a constant factor per step is a straight line. The
table compares the slope of that line with what the Jacobians of the steps say: no gradient can grow faster than the
bound, the mean logarithm of each step's largest singular value, and over a long time it follows the largest Lyapunov
exponent.

Elman networks shrink it by their spectral radius and explode above one, until the saturation of tanh holds them. An
LSTM carries it along its memory at the forget gate's value: sigmoid(0) = 0.5 a step leaves nothing after a hundred
steps; at bias 3 the gates keep sigmoid(3) = 0.953, and what flows through h makes up for the loss. The residual stack
has shortcuts between layers, none through time: its slope is that of its cells.
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
