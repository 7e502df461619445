"""Pictures of what was written: captions under images, and where a model looked while it wrote."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from seqjax.figures.figure import add_title, new_figure


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
    add_title(figure, title)
    return figure


def plot_attention(
    maps: Sequence[tuple[Sequence[str], Sequence[str], ArrayLike]],
    title: str = "",
    columns: int = 3,
) -> Any:
    """What each token that was written looked at in its source, one panel for each sequence.

    Args:
      maps: of each sequence the source's tokens, those written, and the attention
        `[written, source]`.
      title: over the whole.
      columns: panels side by side.

    Returns:
      A matplotlib figure for the caller to save.

    References:
      Bahdanau et al., 2015, figure 3.
    """
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    longest = max(max(len(source), len(written)) for source, written, _ in maps)
    side = 1.4 + 0.24 * longest
    figure = new_figure((side * columns, side * rows))
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes:
        axis.set_axis_off()
    for axis, (source, written, weights) in zip(axes, maps, strict=False):
        axis.set_axis_on()
        axis.imshow(np.asarray(weights)[: len(written), : len(source)], cmap="gray", vmin=0, vmax=1)
        axis.set_xticks(
            range(len(source)), source, rotation=90 if max(map(len, source)) > 2 else 0, fontsize=8
        )
        axis.set_yticks(range(len(written)), written, fontsize=8)
        axis.xaxis.tick_top()
        axis.tick_params(length=0)
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
