"""Images and captions as a model takes them: from arrays or files, of any size where the model's are squares."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from seqjax.files import read_picture, squared
from seqjax.vision.captioned import Pictures
from seqjax.vision.scenes import Scenes

Images: TypeAlias = np.ndarray | Sequence[Any]
"""An array `[images, height, width, channels]`, or a list of arrays `[height, width, channels]` and
files."""

Captions: TypeAlias = Sequence[str | Sequence[str]]
"""What may be said of each image: one sentence, or several."""

Examples: TypeAlias = Pictures | Scenes | tuple[Images, Captions]

Shape: TypeAlias = tuple[int, int, int]
"""Height, width and channels of an image."""


def as_images(images: Images, shape: Shape) -> np.ndarray:
    """Brings images to one shape.

    Args:
      images: uint8, or floats from 0 to 1 of that shape, or names of files. Those of another size
        are put whole into the middle of a white square.
      shape: height, width and channels.

    Returns:
      `[images, height, width, channels]`.

    Raises:
      ValueError: one cannot be read or brought to the shape (which, and how to mend it).
    """
    if isinstance(images, str | os.PathLike):
        raise ValueError(f"images are one file, {os.fspath(images)}; give a list of images")
    _check_axes(images)
    found = [_as_image(place, image, shape) for place, image in enumerate(images)]
    return np.stack(found) if found else np.zeros((0, *shape), np.uint8)


def as_pictures(examples: Examples, shape: Shape | None = None) -> Pictures:
    """Brings examples to pictures of one shape.

    Args:
      examples: pictures, scenes, or images and their captions.
      shape: height, width and channels; None keeps that of an array of images.

    Raises:
      ValueError: there is no picture, images and captions differ in number, a caption is empty, or
        an image cannot be brought to the shape (which).
    """
    if isinstance(examples, Scenes):
        examples = examples.pictures()
    if not isinstance(examples, Pictures):
        examples = _paired(*examples, shape)
    if not len(examples):
        raise ValueError("there is no picture; give at least one")
    images = as_images(examples.images, shape or examples.images.shape[1:])
    return dataclasses.replace(examples, images=images)


def _paired(images: Images, captions: Captions, shape: Shape | None) -> Pictures:
    if len(images) != len(captions):
        raise ValueError(
            f"{len(images):,} images and {len(captions):,} captions; give as many of both"
        )
    several = [[own] if isinstance(own, str) else list(own) for own in captions]
    for place, own in enumerate(several):
        if not own or not all(text.strip() for text in own):
            raise ValueError(f"the caption of image {place} is empty; say what is on it")
    _check_axes(images)
    if shape is not None:
        images = as_images(images, shape)
    elif not isinstance(images, np.ndarray):
        raise ValueError(
            "images are a list; say with side=... how many pixels a side they shall have"
        )
    return Pictures(images, several, [str(place) for place in range(len(several))])


def _check_axes(images: Images) -> None:
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise ValueError(
            f"images have shape {images.shape}; give [images, height, width, channels]"
        )


def _as_image(place: int, given: Any, shape: Shape) -> np.ndarray:
    square = shape[0] == shape[1] and shape[2] == 3
    if isinstance(given, str | os.PathLike):
        if not square:
            raise ValueError(f"image {place} is a file; give arrays of shape {shape}")
        return read_picture(given, shape[0])
    image = np.asarray(given)
    if image.dtype.kind == "f":
        image = image.astype(np.float32)
        if image.size and not 0 <= image.min() <= image.max() <= 1:
            raise ValueError(f"image {place} has values outside 0 to 1; scale it, or give uint8")
    elif image.dtype != np.uint8:
        raise ValueError(f"image {place} is {image.dtype}; give uint8, or floats from 0 to 1")
    if image.shape == shape:
        return image
    if square and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return squared(image, shape[0])
    raise ValueError(f"image {place} has shape {image.shape}; the model takes {shape}")
