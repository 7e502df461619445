"""Descriptions of images: what was written, how good it is, where the model looked."""

import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqjax import figures
from seqjax.data.words import sentence_of
from seqjax.figures.attention import plot_captions, plot_looks
from seqjax.metrics.texts import text_scores
from seqjax.vision.captioned import Pictures

SHOWN, LOOKS = 12, 3
"""Pictures that are drawn with their captions, and those of which every word is drawn."""


class Description(NamedTuple):
    """What was written about an image.

    Attributes:
      words: words and marks.
      attention: the weight of each cell of the grid at each word, `[words, cells]`, row by row; 0
        of a model without attention.
    """

    words: list[str]
    attention: np.ndarray

    @property
    def text(self) -> str:
        """The words as a sentence."""
        return sentence_of(self.words)


def caption_scores(written: Sequence[str], captions: Sequence[Sequence[str]]) -> dict[str, float]:
    """Computes BLEU-4, chrF and ROUGE-L in per cent, case ignored.

    Args:
      written: one text for each picture.
      captions: what may be said of each, one text or more.
    """
    references = [[text.lower() for text in right] for right in captions]
    scores = text_scores([text.lower() for text in written], references, rouge=True)
    return {name: scores[name] for name in ("bleu", "chrf", "rouge_l")}


def exact_match(written: Sequence[str], captions: Sequence[Sequence[str]]) -> float:
    """Computes the share of texts that are one of their picture's captions, case ignored."""
    right = [
        text.lower() in [caption.lower() for caption in known]
        for text, known in zip(written, captions, strict=True)
    ]
    return float(np.mean(right))


def attention_on_objects(
    descriptions: Sequence[Description], objects: np.ndarray, nouns: Collection[str]
) -> dict[str, float]:
    """Measures the attention on an object while its noun was written.

    A cell counts as the object's if any of its pixels show the object.

    Args:
      descriptions: of each picture.
      objects: the pixels of the objects in the order they are named in, bool `[pictures, objects,
        height, width]`; square pictures.
      nouns: the words that name an object.

    Returns:
      `attention`, the mean over all nouns, and `even_attention`, what even attention would give.
    """
    masses, areas = [], []
    for (words, attention), shown in zip(descriptions, objects, strict=True):
        cells = _cells_of(shown, math.isqrt(attention.shape[-1]))
        looks = [attention[place] for place, word in enumerate(words) if word in nouns]
        for look, cell in zip(looks, cells, strict=False):
            if cell.any():
                masses.append(look[cell].sum())
                areas.append(cell.mean())
    return {
        "attention": float(np.mean(masses or [0])),
        "even_attention": float(np.mean(areas or [0])),
    }


def nearest_captions(train: Pictures, images: np.ndarray) -> list[str]:
    """Gives each image the caption of the training picture that differs least from it, pixel by pixel."""
    known, asked = (
        pixels.reshape(len(pixels), -1).astype(np.float32) / 255
        for pixels in (train.images, images)
    )
    # The squared distance, but for what is the same for all training pictures.
    distances = np.square(known).sum(1) - 2 * asked @ known.T
    return [train.captions[place][0] for place in distances.argmin(1)]


def draw_descriptions(
    folder: str | os.PathLike,
    images: np.ndarray,
    descriptions: Sequence[Description],
    beside: Sequence[Sequence[str]] | None = None,
) -> None:
    """Draws `captions.png`, and of a model that attends `looks-1.png` and so on: where each word looked.

    Args:
      folder: that exists.
      images: uint8 `[images, height, width, 3]`.
      descriptions: of each image.
      beside: further lines under each, such as what is right.
    """
    shown = range(0, len(descriptions), max(1, -(-len(descriptions) // SHOWN)))
    lines = [[descriptions[place].text] for place in shown]
    if beside is not None:
        lines = [[*own, *beside[place]] for own, place in zip(lines, shown, strict=True)]
    written = "black: written by the model; grey: the reference" if beside is not None else ""
    figure = plot_captions(images[list(shown)], lines, written)
    figures.save_figure(figure, Path(folder) / "captions.png")
    for number, place in enumerate(shown[:LOOKS], start=1):
        words, attention = descriptions[place]
        grid = math.isqrt(attention.shape[-1])
        if not attention.any() or grid**2 != attention.shape[-1]:
            continue
        looks = attention.reshape(-1, grid, grid)
        title = f"written: {descriptions[place].text}"
        for reference in beside[place] if beside is not None else ():
            title += f"\nreference: {reference}"
        figure = plot_looks(images[place], words, looks, title)
        figures.save_figure(figure, Path(folder) / f"looks-{number}.png")


def _cells_of(shown: np.ndarray, grid: int) -> np.ndarray:
    """Which cells of a grid show an object of `[objects, side, side]`: `[objects, grid * grid]`."""
    cell = -(-shown.shape[-1] // grid)
    padded = np.pad(shown, ((0, 0), *[(0, grid * cell - shown.shape[-1])] * 2))
    return padded.reshape(-1, grid, cell, grid, cell).any((2, 4)).reshape(-1, grid * grid)
