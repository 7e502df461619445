"""Pictures of a training: its history, and what its classes were taken for."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqjax.figures.figure import marker_of, new_figure, save_figure, use_log_scale, use_whole_ticks


def plot_history(
    path: str | os.PathLike,
    lines: list[dict[str, Any]],
    scores: dict[str, str],
    threshold: float | None,
):
    """Draws a run's history: loss and scores above, gradient norm before and after clipping below.

    Args:
      path: the PNG file to write.
      lines: from `read_metrics`.
      scores: which evaluation scores to draw, with their labels; those whose name ends in `nats`
        share the axis of the loss, others have one of their own, from zero.
      threshold: the clipping threshold, drawn as a line; None for none.
    """
    steps = [line for line in lines if line["kind"] == "step"]
    assessments = [line for line in lines if line["kind"] == "evaluation"]
    figure = new_figure((8, 7))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    dots = {"marker": marker_of(len(steps)), "markersize": 3}
    above.plot(*_series(steps, "loss"), color="0.75", linewidth=0.8, label="training loss", **dots)
    shared = {name: label for name, label in scores.items() if name.endswith("nats")}
    own = {name: label for name, label in scores.items() if name not in shared}
    for name, label in shared.items():
        above.plot(*_series(assessments, name), marker="o", markersize=3, label=label)
    above.set_ylabel("nats" if shared else "training loss")
    if own:
        beside = above.twinx()
        for colour, (name, label) in enumerate(own.items(), start=len(shared)):
            beside.plot(
                *_series(assessments, name), f"C{colour}", marker="o", markersize=3, label=label
            )
            above.plot([], [], f"C{colour}", marker="o", markersize=3, label=label)
        beside.set(ylim=(0, None), ylabel=", ".join(own.values()))
    below.plot(
        *_series(steps, "gradient_norm"),
        color="0.7",
        linewidth=1.6,
        label="before clipping",
        marker=dots["marker"],
        markersize=5,
    )
    below.plot(
        *_series(steps, "clipped_norm"), color="C3", linewidth=0.6, label="after clipping", **dots
    )
    if threshold is not None:
        below.axhline(
            threshold, color="k", linestyle="--", linewidth=0.8, label=f"threshold {threshold:g}"
        )
    use_log_scale(below)
    below.set(xlabel="step", ylabel="gradient norm")
    use_whole_ticks(below)
    for axis in (above, below):
        axis.legend(
            frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=4
        )
    save_figure(figure, path)


def plot_confusion(
    path: str | os.PathLike, truth: Sequence[str], predicted: Sequence[str], names: Sequence[str]
) -> None:
    """Draws a confusion matrix: how often each class (row) was called what (column), shaded by share of the row.

    Args:
      path: the PNG file to write.
      truth: the classes.
      predicted: what they were called, in the same order.
      names: the classes to draw, in this order.
    """
    place = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, ([place[name] for name in truth], [place[name] for name in predicted]), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.2 + 0.5 * len(names)
    figure = new_figure((side, side))
    axes = figure.add_subplot()
    # Rare mistakes are what one looks for: the root makes a share of 1 % visible.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        dark = shares[row, column] > 0.35
        text = f"{counts[row, column]:,}"
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "0.15",
        )
    # Long names stand upright, or they would lie over each other.
    upright = 90 if max(map(len, names)) > 2 else 0
    axes.set_xticks(range(len(names)), names, rotation=upright)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.set(
        xlabel="predicted", ylabel="true", title=f"{np.trace(counts):,} of {counts.sum():,} right"
    )
    axes.spines[:].set_visible(False)
    save_figure(figure, path)


def _series(lines: list[dict[str, Any]], name: str) -> tuple[list, list]:
    pairs = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]
