"""Pictures of piano rolls."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax import figures
from seqjax.files import LOWEST

MARGIN = 2
"""Keys that are shown below the lowest note and above the highest."""

MIDDLE = (39, 51)
"""The keys of an octave from the middle C, for a piece without a note."""

RIGHT, MISSED, WRONG = 1, 2, 3
"""What a picture tells of a key in a frame: it came as expected, came unexpected, or did not come."""

COLOURS = {RIGHT: "#262626", MISSED: "#6baed6", WRONG: "#f4a582"}

LABELS = {
    RIGHT: "expected, and came",
    MISSED: "came unexpected",
    WRONG: "expected, and did not come",
}


def draw_rolls(path: str | os.PathLike, rolls: Mapping[str, np.ndarray]) -> None:
    """Draws piano rolls one below the other: time runs right, keys upwards.

    Args:
      path: the PNG file to write.
      rolls: title to `[frames, 88]`.
    """
    figure = figures.new_figure((11, 0.4 + 2.8 * len(rolls)))
    axes = figure.subplots(len(rolls), 1, squeeze=False)[:, 0]
    for axis, (title, roll) in zip(axes, rolls.items(), strict=True):
        _draw_keys(axis, np.where(np.asarray(roll) != 0, RIGHT, 0))
        axis.set_title(title, loc="left")
    axes[-1].set_xlabel("frame")
    figures.save_figure(figure, path)


def draw_prediction(
    path: str | os.PathLike, roll: np.ndarray, predicted: np.ndarray, nats: np.ndarray
) -> None:
    """Draws a piece, what was expected before each of its frames, and how unlikely each was.

    Args:
      path: the PNG file to write.
      roll: what came, `[frames, 88]`.
      predicted: what was expected, `[frames, 88]`.
      nats: of each frame, `[frames]`.
    """
    came, expected = np.asarray(roll) != 0, np.asarray(predicted) != 0
    figure = figures.new_figure((11, 5.6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    told = np.select([came & expected, came, expected], [RIGHT, MISSED, WRONG], 0)
    _draw_keys(above, told)
    for kind, label in LABELS.items():
        above.fill_between([], [], color=COLOURS[kind], label=label)
    above.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    below.stairs(nats, fill=True, color="0.5")
    below.set(xlabel="frame", ylabel="nats")
    below.spines[["top", "right"]].set_visible(False)
    figures.save_figure(figure, path)


def _draw_keys(axis: Any, told: np.ndarray) -> None:
    """Draws what is told of each key in each frame, `[frames, keys]`, and names every C that is in sight."""
    from matplotlib.colors import ListedColormap

    frames = max(1, len(told))
    white_first = ListedColormap(["white", *COLOURS.values()])
    edges = (0, frames, -0.5, told.shape[1] - 0.5)
    axis.imshow(
        told.T,
        white_first,
        vmin=0,
        vmax=3,
        aspect="auto",
        origin="lower",
        extent=edges,
        interpolation="nearest",
    )
    used = np.flatnonzero(told.any(0))
    lowest, highest = (used[0], used[-1]) if len(used) else MIDDLE
    names = {12 * (octave + 1) - LOWEST: f"C{octave}" for octave in range(1, 9)}
    axis.set_yticks(list(names), list(names.values()))
    axis.set_ylim(lowest - MARGIN, highest + MARGIN)
    axis.grid(axis="y", linewidth=0.4)
    axis.spines[["top", "right"]].set_visible(False)
