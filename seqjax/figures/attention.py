"""Pictures of what was written: captions under images, and where a model looked while it wrote."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from seqjax.figures.figure import add_title, new_figure

PAGE = 15.0
"""Inches that a picture of attention is wide at most."""


def plot_captions(
    images: Sequence[ArrayLike] | np.ndarray,
    captions: Sequence[Sequence[str]],
    title: str = "",
    columns: int = 4,
) -> Any:
    """Images in a grid, each with lines of text under it.

    Args:
      images: uint8 `[height, width, 3]` each, apart or in one array.
      captions: of each image its lines, in the order written; the first is set off from the others.
      title: over the whole.
      columns: images side by side.

    Returns:
      A matplotlib figure for the caller to save.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    most = max(len(_lines(captions)) for captions in captions)
    figure = new_figure((2.9 * columns, (2.1 + 0.19 * most) * rows))
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes:
        axis.set_axis_off()
    for axis, image, written in zip(axes, images, captions, strict=False):
        axis.imshow(np.asarray(image))
        for place, (text, first) in enumerate(_lines(written)):
            axis.text(
                0.5,
                -0.04 - 0.095 * place,
                text,
                transform=axis.transAxes,
                ha="center",
                va="top",
                fontsize=8,
                color="black" if first else "0.45",
            )
    add_title(figure, title)
    return figure


def plot_looks(
    image: ArrayLike, words: Sequence[str], weights: ArrayLike, title: str = "", columns: int = 6
) -> Any:
    """Where each word of a caption looked: the image word by word, bright where the attention lay.

    Args:
      image: uint8 `[height, width, 3]`.
      words: of the caption.
      weights: attention over the cells of a grid at each word, `[words, rows, columns]`.
      title: over the whole.
      columns: pictures side by side.

    Returns:
      A matplotlib figure for the caller to save.

    References:
      Xu et al., 2015, figure 3.
    """
    from matplotlib.cm import ScalarMappable

    image, weights = np.asarray(image), np.asarray(weights)
    columns = min(columns, len(words) + 1)
    rows = -(-(len(words) + 1) // columns)
    figure = new_figure((1.75 * columns, 2.0 * rows + 0.3))
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(image)
    extent = (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    for axis, word, look in zip(axes[1:], words, weights, strict=False):
        axis.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=255)
        axis.imshow(
            look,
            cmap="inferno",
            extent=extent,
            interpolation="bilinear",
            alpha=0.7,
            vmin=0,
            vmax=look.max(),
        )
        axis.set_title(word, fontsize=10)
    scale = ScalarMappable(cmap="inferno")
    scale.set_clim(0, 1)
    label = "share of the highest attention"
    figure.colorbar(scale, ax=list(axes), label=label, shrink=min(1.0, 1.6 / rows))
    add_title(figure, title)
    return figure


def plot_attention(
    maps: Sequence[tuple[Sequence[str], Sequence[str], ArrayLike]],
    title: str = "",
    columns: int = 3,
    right: Sequence[bool | None] | None = None,
) -> Any:
    """What each token that was written looked at in its source, one panel for each sequence.

    Args:
      maps: of each sequence the source's tokens, those written, and the attention
        `[written, source]`.
      title: over the whole.
      columns: panels side by side, at most; fewer where they would be wider than a page.
      right: whether each sequence is right, which its title says; None for those of which it is
        not known, or for all.

    Returns:
      A matplotlib figure for the caller to save.

    References:
      Bahdanau et al., 2015, figure 3.
    """
    # An inch has room for four tokens; of more they are drawn the smaller.
    most_read = max(len(source) for source, _, _ in maps)
    most_written = max(len(written) for _, written, _ in maps)
    wanted = 1.6 + 0.24 * most_read, 1.8 + 0.24 * most_written
    width, height = (min(inches, PAGE / 2) for inches in wanted)
    room = min(width / wanted[0], height / wanted[1])
    columns = max(1, min(columns, len(maps), int(PAGE / width)))
    rows = -(-len(maps) // columns)
    figure = new_figure((width * columns + 0.8, height * rows))
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes[len(maps) :]:
        axis.set_axis_off()
    largest = max(float(np.max(weights)) for _, _, weights in maps)
    marks = right if right is not None else [None] * len(maps)
    for axis, (source, written, weights), mark in zip(axes, maps, marks, strict=False):
        shown = np.asarray(weights)[: len(written), : len(source)]
        aspect = "equal" if room == 1 else "auto"
        image = axis.imshow(shown, cmap="gray", vmin=0, vmax=largest, aspect=aspect)
        upright = 90 if max(map(len, source)) > 2 else 0
        axis.set_xticks(range(len(source)), source, rotation=upright, fontsize=8 * room)
        axis.set_yticks(range(len(written)), written, fontsize=8 * room)
        axis.xaxis.tick_top()
        axis.xaxis.set_label_position("top")
        axis.set(xlabel="source", ylabel="written")
        axis.tick_params(length=0)
        if mark is not None:
            axis.set_title("right" if mark else "wrong", color="C2" if mark else "C3")
    figure.colorbar(image, ax=list(axes), label="attention", shrink=0.8)
    add_title(figure, title)
    return figure


def _lines(captions: Sequence[str], width: int = 34) -> list[tuple[str, bool]]:
    """Each caption broken into lines, with whether it is the first."""
    import textwrap

    broken = [
        (line, i == 0)
        for i, caption in enumerate(captions)
        for line in textwrap.wrap(caption, width) or [""]
    ]
    return broken
