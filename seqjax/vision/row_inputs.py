"""`Rows`: images as the sequences that a classifier reads, row by row or pixel by pixel."""

import dataclasses
import os
from typing import Any

import numpy as np

from seqjax.classification import RawInputs
from seqjax.files import read_image

WHITE = 255


@dataclasses.dataclass(frozen=True)
class Rows:
    """Grey images as sequences; the inputs of `RowClassifier`.

    Whole numbers, of 0 to 255, are brought to 0 to 1; floats are taken as they are.

    Attributes:
      height: rows of an image.
      width: pixels of a row.
      order: None reads a row at a step; else the places of the pixels, counted row by row, of which
        one is read at a step.

    Raises:
      ValueError: the order is not one of all the pixels.

    Example:
      >>> Rows(2, 3).read(np.full((5, 2, 3), 255)).shape
      (5, 2, 3)
      >>> Rows(2, 3, order=(5, 4, 3, 2, 1, 0)).read(np.full((5, 2, 3), 255)).shape
      (5, 6, 1)
    """

    height: int
    width: int
    order: tuple[int, ...] | None = None

    def __post_init__(self):
        pixels = self.height * self.width
        if self.order is not None and sorted(self.order) != list(range(pixels)):
            raise ValueError(f"order is no order of {pixels} pixels; give each place from 0 once")

    @property
    def steps(self) -> int:
        """Steps of an image."""
        return self.height if self.order is None else len(self.order)

    @property
    def size(self) -> int:
        """Pixels of a step."""
        return self.width if self.order is None else 1

    def images(self, inputs: RawInputs) -> np.ndarray:
        """Returns images as one array, float32 or uint8 `[images, height, width]`.

        Args:
          inputs: an array `[images, height, width]`, with or without a last axis of 1; or a list of
            arrays and names of image files.

        Raises:
          ValueError: they have another shape, or values that are no greys (which).
        """
        if isinstance(inputs, str | os.PathLike):
            raise ValueError(f"the images are one name, {os.fspath(inputs)!r}; give a list")
        if not isinstance(inputs, np.ndarray):
            inputs = _stacked([self._opened(image) for image in inputs])
        if inputs.ndim == 4 and inputs.shape[-1] == 1:
            inputs = inputs[..., 0]
        if inputs.shape[1:] != (self.height, self.width):
            raise ValueError(
                f"the images are an array of shape {list(inputs.shape)}; "
                f"give [images, {self.height}, {self.width}], in grey"
            )
        return check_greys(inputs)

    def _opened(self, image: Any) -> np.ndarray:
        """Reads an image that is given by its name."""
        if isinstance(image, str | os.PathLike):
            return read_image(image, (self.height, self.width, 1))[..., 0]
        return np.asarray(image)

    def read(self, inputs: RawInputs) -> np.ndarray:
        """Converts images to sequences, float32 `[images, steps, size]`."""
        pixels = in_unit(self.images(inputs))
        if self.order is None:
            return pixels
        return pixels.reshape(len(pixels), -1)[:, self.order, None]

    def sequences(self, inputs: RawInputs) -> list[np.ndarray]:
        """Converts images to sequences, float32 `[steps, size]` each."""
        return list(self.read(inputs))


def in_unit(images: np.ndarray) -> np.ndarray:
    """Brings whole numbers of 0 to 255 to 0 to 1; float32."""
    if images.dtype.kind == "f":
        return images.astype(np.float32)
    return images.astype(np.float32) * np.float32(1 / WHITE)


def _stacked(images: list[np.ndarray]) -> np.ndarray:
    shapes = list(dict.fromkeys(image.shape for image in images))
    if len(shapes) > 1:
        shown = ", ".join(str(list(shape)) for shape in shapes[:3])
        raise ValueError(f"the images differ in shape ({shown}); bring them to one")
    return np.stack(images)


def check_greys(images: np.ndarray) -> np.ndarray:
    """Refuses values that are no greys; whole numbers become uint8."""
    if images.dtype.kind == "f":
        if not np.isfinite(images).all():
            row = int(np.argmin(np.isfinite(images).all((1, 2))))
            raise ValueError(f"image {row} has values that are not finite; fill them in")
        return images
    if images.dtype.kind not in "iub":
        raise ValueError(f"the images are {images.dtype}; give whole numbers or floats")
    if images.size and not 0 <= images.min() <= images.max() <= WHITE:
        raise ValueError(
            f"the images have values from {images.min()} to {images.max()}; "
            "give 0 to 255, or floats from 0 to 1"
        )
    return images.astype(np.uint8, copy=False)
