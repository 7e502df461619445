"""Pictures of piano rolls."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax import figures
from seqjax.files import LOWEST

MARGIN = 2
"""Keys that are shown below the lowest note and above the highest."""

RIGHT, MISSED, WRONG = "0.15", "#6baed6", "#e34a33"
"""Colours of notes that were expected and came, that came unexpected, and that did not come."""


def draw_rolls(path: str | os.PathLike, rolls: Mapping[str, np.ndarray]) -> None:
    """Draws piano rolls one below the other: time runs right, keys upwards.

    Args:
      path: the PNG file to write.
      rolls: title to `[frames, 88]`.
    """
    figure = figures.new_figure((11, 0.4 + 2.8 * len(rolls)))
    axes = figure.subplots(len(rolls), 1, squeeze=False)[:, 0]
    for axis, (title, roll) in zip(axes, rolls.items(), strict=True):
        sounds = np.asarray(roll) != 0
        _draw_notes(axis, sounds, RIGHT)
        _set_keys(axis, sounds)
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
    _draw_notes(above, came & expected, RIGHT, "expected, and came")
    _draw_notes(above, came & ~expected, MISSED, "came unexpected")
    _draw_notes(above, expected & ~came, WRONG, "expected, and did not come", size=0.35)
    _set_keys(above, came | expected)
    above.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    below.bar(np.arange(len(nats)) + 0.5, nats, width=1, color="0.5")
    below.set(xlabel="frame", ylabel="nats")
    below.spines[["top", "right"]].set_visible(False)
    figures.save_figure(figure, path)


def _draw_notes(
    axis: Any, sounds: np.ndarray, colour: str, label: str = "", size: float = 0.8
) -> None:
    """Draws a bar for each key and frame."""
    frames, keys = np.nonzero(sounds)
    axis.barh(keys, np.ones(len(keys)), size, left=frames, color=colour, label=label, linewidth=0)


def _set_keys(axis: Any, sounds: np.ndarray) -> None:
    """Shows the keys that are used, and names every C of them."""
    used = np.flatnonzero(sounds.any(0))
    lowest, highest = (used[0], used[-1]) if len(used) else (39, 51)
    names = {12 * (octave + 1) - LOWEST: f"C{octave}" for octave in range(9)}
    axis.set_yticks(list(names), list(names.values()))
    axis.set_ylim(lowest - MARGIN, highest + MARGIN)
    axis.set_xlim(0, max(1, len(sounds)))
    axis.grid(axis="y", linewidth=0.4)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
