"""Pictures of a classifier that reads images row by row."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqjax import figures
from seqjax.metrics import Marked

UNREAD = np.array([200, 214, 229], np.float32) / 255
"""Pale blue, for pixels that have not been read yet."""

UNITS = 32
"""Hidden units that are drawn, at most."""

GRID = (5, 8)
"""Rows and columns of the picture of mistakes."""


def rows_shown(height: int) -> tuple[int, ...]:
    """Chooses about six rows, evenly spaced; the last one is among them.

    Example:
      >>> rows_shown(28)
      (5, 10, 15, 20, 25, 28)
    """
    grain = max(1, round(height / 6))
    return tuple(dict.fromkeys((*range(grain, height, grain), height)))


def draw_sequence(
    path: str | os.PathLike,
    image: np.ndarray,
    order: Sequence[int] | None,
    sequence: np.ndarray,
) -> None:
    """Draws an image, what has been read of it after each quarter, and the signal that the network sees.

    Args:
      path: the PNG file to write.
      image: greys in [0, 1], `[rows, columns]`.
      order: that of the pixels, None for row by row.
      sequence: the signal, `[steps, size]`.
    """
    unit = "rows" if order is None else "pixels"
    figure = figures.new_figure((15, 3.4))
    axes = figure.subplots(1, 6, width_ratios=(1, 1, 1, 1, 1, 2.2))
    _show(axes[0], image, "the image")
    for quarter, axis in enumerate(axes[1:5], start=1):
        title = f"after {len(sequence) * quarter // 4} {unit}"
        _show(axis, _partly(image, order, quarter / 4), title)
    if order is None:
        _draw_ridges(axes[5], sequence)
    else:
        axes[5].plot(sequence[:, 0], linewidth=0.7)
        axes[5].set(xlabel="step", ylabel="pixel (1 feature)")
    axes[5].set_title("the sequence")
    axes[5].spines[["top", "right"]].set_visible(False)
    figures.save_figure(figure, path)


def _draw_ridges(axis: Any, sequence: np.ndarray) -> None:
    """Draws each row as a ridge below the one before it."""
    steps, size = sequence.shape
    for row, signal in enumerate(sequence):
        ridge = 1.4 * signal - row
        axis.fill_between(range(size), -row, ridge, color="C0", alpha=0.75, linewidth=0, zorder=row)
        axis.plot(ridge, color="white", linewidth=0.8, zorder=row)
    axis.set(
        xlabel=f"pixel of the row ({size} features)",
        ylabel=f"row ({steps} steps), downwards in time",
        yticks=[],
    )


def draw_units(path: str | os.PathLike, sequence: np.ndarray, outputs: np.ndarray) -> None:
    """Draws the first units of the last layer below the image lying on its side: time runs right.

    Args:
      path: the PNG file to write.
      sequence: what was read, `[steps, size]`.
      outputs: of the last layer, `[steps, units]`.
    """
    units = outputs[:, :UNITS]
    figure = figures.new_figure((8, 7.5))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.5))
    above.imshow(sequence.T, cmap="gray", aspect="auto", interpolation="nearest")
    above.set(ylabel="pixel" if sequence.shape[1] > 1 else "", title="the image as it is read")
    picture = below.imshow(
        units.T, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest"
    )
    below.set(
        xlabel="step",
        ylabel="hidden unit",
        title=f"{units.shape[1]} hidden units of the last layer",
    )
    figure.colorbar(picture, ax=below, label="output", shrink=0.9)
    figures.save_figure(figure, path)


def draw_mistakes(path: str | os.PathLike, images: np.ndarray, marked: Marked) -> None:
    """Draws the images that were taken for another class, the most certain first.

    Args:
      path: the PNG file to write.
      images: greys in [0, 1], `[images, rows, columns]`.
      marked: the answers.
    """
    certainty = marked.probabilities.max(-1)
    wrong = np.flatnonzero(~marked.right)
    surest = wrong[np.argsort(-certainty[wrong], kind="stable")][: GRID[0] * GRID[1]]
    figure = figures.new_figure((10, 7.4))
    axes = figure.subplots(*GRID)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, index in zip(axes.flat, surest, strict=False):
        answer = f"{marked.labels[index]}, read as {marked.predicted[index]}"
        _show(axis, images[index], f"{answer}\n{certainty[index]:.0%} sure", fontsize=8)
    count = f"{len(wrong):,} of {len(images):,} wrong"
    figure.suptitle(f"{count}; the {len(surest)} it was surest of")
    figures.save_figure(figure, path)


def draw_arrival(
    path: str | os.PathLike,
    images: np.ndarray,
    order: Sequence[int] | None,
    probabilities: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[Any],
) -> np.ndarray:
    """Draws the accuracy as rows arrive, above what the network says to three images.

    Args:
      path: the PNG file to write.
      images: greys in [0, 1], `[images, rows, columns]`.
      order: that of the pixels, None for row by row.
      probabilities: after each row, `[rows, images, classes]`.
      truth: the place of each image's class, `[images]`; -1 for an unknown one.
      labels: the classes.

    Returns:
      The accuracy after each row, `[rows]`.
    """
    accuracy = (probabilities.argmax(-1) == truth).mean(-1)
    height = len(accuracy)
    shown = rows_shown(height)
    figure = figures.new_figure((9, 8.5))
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    axis = above.subplots()
    axis.plot(range(1, height + 1), 100 * accuracy, color="C0")
    for row in shown:
        at = (row, 100 * accuracy[row - 1])
        axis.plot(*at, "o", color="C0")
        axis.annotate(
            f"{accuracy[row - 1]:.1%}", at, xytext=(-7, 6), textcoords="offset points", ha="right"
        )
    unit = f"rows read, of {height}"
    if order is not None:
        unit = f"pixels read, in {height} parts"
    axis.set(xlabel=unit, ylabel=f"% right of {len(images):,} images", ylim=(0, 112))
    axis.set_title("what the network knows as rows arrive")
    axis.spines[["top", "right"]].set_visible(False)
    _draw_examples(below, images, order, probabilities, truth, labels)
    figures.save_figure(figure, path)
    return accuracy


def _draw_examples(
    figure: Any,
    images: np.ndarray,
    order: Sequence[int] | None,
    probabilities: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[Any],
) -> None:
    """Draws an image of each of three classes after some of its rows, and what is said of it."""
    height, count = len(probabilities), len(labels)
    shown = rows_shown(height)
    classes = (count // 5, 2 * count // 5, count - 1)
    grid = figure.subplots(3, len(shown), squeeze=False)
    for axes, place in zip(grid, classes, strict=True):
        chosen = np.flatnonzero(truth == place)[:1]
        for axis, row in zip(axes, shown, strict=True):
            axis.set_axis_off()
            for index in chosen:
                chances = probabilities[row - 1, index]
                colour = "C0" if chances.argmax() == place else "C3"
                title = f"{labels[chances.argmax()]}, {chances.max():.0%} sure"
                seen = _partly(images[index], order, row / height)
                _show(axis, seen, title, fontsize=9, color=colour)


def _show(axis: Any, image: np.ndarray, title: str, **style: Any) -> None:
    """Draws greys `[rows, columns]` or colours `[rows, columns, 3]` in [0, 1]."""
    axis.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=1)
    axis.set_title(title, **style)
    axis.set_axis_off()


def _partly(image: np.ndarray, order: Sequence[int] | None, share: float) -> np.ndarray:
    """The image `[rows, columns, 3]` with the pixels that have not been read yet in pale blue."""
    places = np.arange(image.size) if order is None else np.asarray(order)
    seen = np.zeros(image.size, bool)
    seen[places[: round(share * image.size)]] = True
    colours = np.repeat(image[..., None].clip(0, 1), 3, axis=-1)
    return np.where(seen.reshape(*image.shape, 1), colours, UNREAD)
