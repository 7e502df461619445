"""What all pictures have in common: their size, titles, legends, logarithmic axes, and how they are saved."""

import io
import math
import os
import textwrap
from collections.abc import Sequence
from typing import Any

from seqjax.files.disk import write_atomically

LETTERS = 11
"""Letters of a title on an inch."""


def new_figure(size: tuple[int | float, int | float]) -> Any:
    """An empty matplotlib figure of `size` inches that keeps its parts from overlapping.

    Raises:
      ImportError: there is no matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures want matplotlib: pip install "seqjax[experiments]"') from error
    return Figure(figsize=size, layout="constrained")


def add_title(figure: Any, title: str) -> None:
    """Writes a title over the whole figure, in as many lines as its width asks for, unless it is empty."""
    if title:
        width = int(LETTERS * figure.get_figwidth())
        figure.suptitle("\n".join(textwrap.fill(line, width) for line in title.splitlines()))


def add_legends(figure: Any) -> None:
    """Writes the legends of all axes outside of them, where they lie over no line.

    Where one panel has all labels, one legend stands below the figure; else each has its own beside
    it.
    """
    own = [axis.get_legend_handles_labels() for axis in figure.axes]
    handles, labels = max(own, key=lambda pair: len(pair[1]))
    if not labels:
        return
    if all(set(others) <= set(labels) for _, others in own):
        columns = _columns(labels, figure.get_figwidth())
        place = "outside lower center"
        figure.legend(handles, labels, frameon=False, fontsize="small", ncols=columns, loc=place)
        return
    for axis, (handles, labels) in zip(figure.axes, own, strict=True):
        if not labels:
            continue
        corner = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
        axis.legend(handles, labels, frameon=False, fontsize="small", **corner)


def _columns(labels: Sequence[str], width: float) -> int:
    """Returns how many labels stand beside each other in a figure of `width` inches."""
    # The sample of a line takes the place of six letters.
    longest = max((len(label) for label in labels), default=0) + 6
    return max(1, min(len(labels), int(LETTERS * width / longest)))


def use_log_scale(axes: Any) -> None:
    """Makes the y axis logarithmic to the base 10, with few labels.

    Over two decades and more powers of ten are labelled, over less also 2 and 5 of each decade.
    """
    from matplotlib.ticker import FuncFormatter

    axes.set_yscale("log")
    axis = axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power_label(value, axis)))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: _between_label(value, axis)))


def _power_label(value: float, axis: Any) -> str:
    """Returns the label of a power of ten: all are written out where none has many digits."""
    low, high = sorted(axis.get_view_interval())
    if low > 5e-5 and high < 1e5:
        return f"{value:g}"
    return f"$10^{{{round(math.log10(value))}}}$"


def _between_label(value: float, axis: Any) -> str:
    """Returns the label of a value between powers of ten; empty where there would be a crowd."""
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    leading = round(value / 10 ** math.floor(math.log10(value)), 3)
    if decades >= 2 or (decades > 0.5 and leading not in (2, 5)):
        return ""
    return f"{value:g}"


def use_whole_ticks(axes: Any) -> None:
    """Labels the x axis at whole numbers alone, such as those of steps."""
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def marker_of(points: int) -> str:
    """Returns the marker of a line of so many points: without one a single point cannot be seen."""
    return "o" if points < 30 else ""


def save_figure(figure: Any, path: str | os.PathLike) -> None:
    """Writes a matplotlib figure as PNG, whole or not at all."""
    file = io.BytesIO()
    figure.savefig(file, dpi=130, format="png")
    write_atomically(path, file.getvalue())
