"""Pictures of the laboratory, each a matplotlib figure (`pip install "seqjax[experiments]"`) for the caller to save.

Nothing touches matplotlib's global state: `seqjax.figures.save_figure(figure, path)` or
`figure.savefig(path)`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike

from seqjax.diagnostics.spectrum import Spectrum
from seqjax.figures.figure import (
    add_legends,
    add_title,
    marker_of,
    new_figure,
    use_log_scale,
    use_whole_ticks,
)

LEAST = 1e-45
"""What a norm of zero is drawn as: on a log axis it has no place."""


class Panel(NamedTuple):
    """One part of a picture of lines.

    Attributes:
      title: over it.
      xlabel: of the axis below.
      ylabel: of the axis beside.
      lines: label -> values along the axis below, and values beside.
      logarithmic: whether both axes are, that below to the base 2.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]]
    logarithmic: bool = False


def plot_flow(
    panels: Mapping[str, Mapping[str, ArrayLike]], title: str = "", ylabel: str = "|dL/dh_t|"
) -> Any:
    """Gradient norms over time on a log axis, one panel for each kind of network.

    Args:
      panels: title of a panel -> label of a line -> norms `[time]` or `[time, *batch]`; of a batch
        the geometric mean is drawn.
      title: over the whole.
      ylabel: what the norms are of.

    Returns:
      The figure.
    """
    figure = new_figure((4.3 * len(panels), 4.2))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (name, lines) in zip(axes, panels.items(), strict=True):
        for index, (label, norms) in enumerate(lines.items()):
            values = np.maximum(np.asarray(norms, np.float64), LEAST)
            line = np.exp(np.log(values).reshape(len(values), -1).mean(1))
            axis.plot(
                np.arange(1, len(line) + 1), line, color=f"C{index}", label=label, linewidth=1.8
            )
        use_log_scale(axis)
        axis.set(xlabel="time step t", title=name)
        axis.grid(alpha=0.25)
    axes[0].set_ylabel(ylabel)
    add_legends(figure)
    add_title(figure, title)
    return figure


def plot_spectrum(spectra: Mapping[str, Spectrum], title: str = "") -> Any:
    """For each network: the singular values of the step's Jacobians over time, and the Lyapunov exponents below.

    Args:
      spectra: label -> what `jacobian_spectrum` returned.
      title: over the whole.

    Returns:
      The figure.
    """
    figure = new_figure((4.0 * len(spectra), 6.2))
    above, below = figure.subplots(
        2, len(spectra), sharey="row", squeeze=False, height_ratios=(3, 2)
    )
    for column, (label, spectrum) in enumerate(spectra.items()):
        steps = np.asarray(spectrum.steps)
        for share, style in ((0.0, "-"), (0.25, "--"), (0.5, ":")):
            rank = int(share * (steps.shape[1] - 1))
            name = "largest" if rank == 0 else f"no. {rank + 1} of {steps.shape[1]}"
            above[column].plot(np.maximum(steps[:, rank], LEAST), style, color="C0", label=name)
        above[column].axhline(1, color="k", linewidth=0.8)
        use_log_scale(above[column])
        above[column].set(title=label, xlabel="time step")
        exponents = np.asarray(spectrum.exponents)
        below[column].plot(np.arange(1, len(exponents) + 1), exponents, ".", color="C3")
        below[column].axhline(0, color="k", linewidth=0.8)
        below[column].set(xlabel="rank")
        use_whole_ticks(below[column])
    above[0].set_ylabel("singular values of d h_t / d h_t-1")
    add_legends(figure)
    below[0].set_ylabel("Lyapunov exponents\n(nats per step)")
    add_title(figure, title)
    return figure


def plot_heat_maps(
    maps: Mapping[str, ArrayLike], title: str = "", limits: tuple[float, float] | None = None
) -> Any:
    """Units against time in colour: gates, hidden states, gradients of one row.

    Args:
      maps: label -> `[time, units]`, such as one row of `gate_activations` or `hidden_traces`.
      title: over the whole.
      limits: ends of the colour scale; None takes 0 to 1 for values that fit into it, else a scale
        around 0.

    Returns:
      The figure.
    """
    figure = new_figure((9.0, 1.1 + 1.7 * len(maps)))
    axes = figure.subplots(len(maps), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (label, values) in zip(axes, maps.items(), strict=True):
        values = np.asarray(values)
        if np.iscomplexobj(values):
            values = np.abs(values)
        shares = values.min() >= 0 and values.max() <= 1
        size = max(float(np.abs(values).max()), 1e-12)
        low, high = limits or ((0.0, 1.0) if shares else (-size, size))
        image = axis.imshow(
            values.T,
            aspect="auto",
            interpolation="nearest",
            vmin=low,
            vmax=high,
            cmap="viridis" if low >= 0 else "RdBu_r",
        )
        axis.set(ylabel="unit", title=label)
        figure.colorbar(image, ax=axis, pad=0.01)
    axes[-1].set_xlabel("time step")
    add_title(figure, title)
    return figure


def plot_clipping(
    before: ArrayLike,
    after: ArrayLike,
    threshold: float,
    losses: Mapping[str, ArrayLike] | None = None,
) -> Any:
    """The norm of the gradient before and after clipping over the steps of a training, with the threshold.

    Args:
      before: `[steps]` or `[steps, runs]`.
      after: the same.
      threshold: of the clipping.
      losses: label -> losses `[steps]` or `[steps, runs]`, for a panel on top.

    Returns:
      The figure.
    """
    figure = new_figure((8.0, 6.6 if losses else 3.6))
    axes = figure.subplots(2 if losses else 1, 1, sharex=True, squeeze=False)[:, 0]
    for index, (label, values) in enumerate((losses or {}).items()):
        _lines(axes[0], values, f"C{index}", label)
    if losses:
        use_log_scale(axes[0])
        axes[0].set_ylabel("loss")
    _lines(axes[-1], before, "0.55", "before clipping")
    _lines(
        axes[-1], after, "C3", "after clipping", width=3.0
    )  # wider than the threshold, which covers it
    axes[-1].axhline(
        threshold, color="k", linestyle="--", linewidth=1, label=f"threshold {threshold:g}"
    )
    use_log_scale(axes[-1])
    axes[-1].set(xlabel="training step", ylabel="norm of the gradient")
    add_legends(figure)
    return figure


def plot_histograms(
    values: Mapping[str, ArrayLike], title: str = "", bins: int = 60, log: bool = False
) -> Any:
    """Histograms side by side: of weights, states, gates or gradients.

    Args:
      values: label -> an array of any shape; what is not finite is left out and counted in the
        title.
      title: over the whole.
      bins: of each histogram.
      log: of the decimal logarithm of the moduli, for gradients; zeros are left out.

    Returns:
      The figure.
    """
    figure = new_figure((3.4 * len(values), 3.2))
    for axis, (label, array) in zip(
        figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True
    ):
        flat = np.asarray(array).reshape(-1)
        good = flat[np.isfinite(flat)]
        if log or np.iscomplexobj(good):
            good = np.abs(good)
        if log:
            good = np.log10(good[good > 0])
        axis.hist(good, bins=bins, color="C0")
        lost = len(flat) - int(np.isfinite(flat).sum())
        axis.set(
            title=f"{label} ({lost} not finite)" if lost else label,
            xlabel="log10 |value|" if log else "value",
        )
        axis.set_yticks([])
    add_title(figure, title)
    return figure


def plot_panels(panels: Sequence[Panel], title: str = "", columns: int = 2) -> Any:
    """Draws lines in panels, in which one name has one colour.

    Args:
      panels: row by row. The first word of a label chooses the colour of its line; where a label
        has more words, it is a variant, and its line is dashed.
      title: over the whole.
      columns: panels side by side.

    Returns:
      The figure.
    """
    rows = -(-len(panels) // columns)
    figure = new_figure((6 * columns, 4.2 * rows))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colours: dict[str, str] = {}
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        for label, (xs, ys) in panel.lines.items():
            name, *variant = label.split()
            colour = colours.setdefault(name, f"C{len(colours)}")
            style = "s--" if variant else "o-"
            axis.plot(np.asarray(xs), np.asarray(ys), style, color=colour, label=label)
        axis.set(title=panel.title, xlabel=panel.xlabel, ylabel=panel.ylabel)
        if panel.logarithmic:
            axis.set_xscale("log", base=2)
            use_log_scale(axis)
        axis.grid(alpha=0.25)
    add_legends(figure)
    add_title(figure, title)
    return figure


def _lines(axis: Any, values: ArrayLike, color: str, label: str, width: float = 1.0) -> None:
    array = np.asarray(values, np.float64)
    runs = array.reshape(len(array), -1).T
    for index, run in enumerate(runs):
        shown = np.where(np.isfinite(run) & (run > 0), run, np.nan)
        axis.plot(
            np.arange(1, len(run) + 1),
            shown,
            color=color,
            linewidth=width,
            marker=marker_of(len(run)),
            markersize=3,
            alpha=1 if len(runs) == 1 else 0.5,
            label=label if index == 0 else None,
        )
