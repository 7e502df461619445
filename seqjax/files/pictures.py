"""Images as files, through Pillow: as they are, or brought to one square; which look alike."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HASH = 16
"""Rows and columns of the signs that `likeness` compares."""

GREYS = (255.0, 4095.0, 65535.0)
"""White of 8, 12 and 16 bits."""


def read_image(source: Any, shape: tuple[int, int, int] | None = None) -> np.ndarray:
    """Reads an image as uint8 `[height, width, channels]`, in colour unless `shape` says otherwise.

    Args:
      source: a path, or a binary file object.
      shape: the height, width and channels it must have; None takes any size in colour.

    Raises:
      ValueError: it is no image that Pillow reads, or of another size.
    """
    grey = shape is not None and shape[-1] == 1
    mode = "L" if grey else "RGB"
    image = _loaded(source)
    if image.mode.startswith("I;16"):
        image = _in_8_bits(image)
    if image.mode != mode:
        image = _converted(source, image, mode)
    pixels = np.array(image)
    if grey:
        # [height, width, 1]
        pixels = pixels[..., None]
    if shape is not None and pixels.shape != shape:
        raise ValueError(
            f"{source}: {pixels.shape[1]}x{pixels.shape[0]} pixels; "
            f"wanted {shape[1]}x{shape[0]}; resize it"
        )
    return pixels


def read_picture(source: Any, side: int) -> np.ndarray:
    """Reads a picture of any size and mode, whole and upright, in the middle of a white square.

    Transparent parts become white, 16-bit greys and the numbers of scientific images are brought to
    8 bits, of an animation the first frame is taken, and a camera's note on how it was held is
    followed.

    Args:
      source: a path, or a binary file object.
      side: pixels of the square's side.

    Returns:
      uint8 `[side, side, 3]`.

    Raises:
      ValueError: it is no image that Pillow reads.
    """
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(_loaded(source))
    return _squared(_in_colour(source, upright), side)


def squared(pixels: np.ndarray, side: int) -> np.ndarray:
    """Sets pixels `[height, width, 3]`, whole, into a white square `[side, side, 3]`."""
    from PIL import Image

    return _squared(Image.fromarray(pixels), side)


def likeness(pixels: np.ndarray) -> str:
    """Hashes which neighbouring patch is the lighter: equal for pictures that look alike.

    A copy in another format, twice as large, or in colours that keep lights and darks in order is
    equal; one that a lossy format has changed may not be.

    Args:
      pixels: uint8 `[height, width, 3]`.

    Returns:
      64 hexadecimal digits.
    """
    from PIL import Image

    small = Image.fromarray(pixels).convert("L").resize((HASH + 1, HASH), Image.Resampling.BOX)
    # Mean greys of the patches, [16, 17].
    patches = np.asarray(small, np.int16)
    return np.packbits(patches[:, 1:] > patches[:, :-1]).tobytes().hex()


def _squared(image: Any, side: int) -> np.ndarray:
    from PIL import Image

    longest = max(image.size)
    width, height = (max(1, round(size * side / longest)) for size in image.size)
    square = Image.new("RGB", (side, side), "white")
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    square.paste(small, ((side - width) // 2, (side - height) // 2))
    return np.array(square)


def _loaded(source: Any) -> Any:
    """Returns the image, decoded: a broken file says so here."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(source, str | os.PathLike) and not Path(source).is_file():
        raise ValueError(f"{source}: no such file")
    try:
        with warnings.catch_warnings():
            # A large picture is a large picture; Pillow refuses those that are beyond reason.
            warnings.simplefilter("ignore")
            with Image.open(source) as image:
                image.load()
    except UnidentifiedImageError:
        raise ValueError(
            f"{source}: no image that Pillow reads (unknown format); wanted PNG, JPEG or the like"
        ) from None
    # Pillow's decoders raise whatever they trip over: OSError, SyntaxError, ValueError,
    # struct.error and more.
    except Exception as error:
        raise ValueError(
            f"{source}: no image that Pillow reads ({error}); fetch or save it again"
        ) from None
    return image


def _in_colour(source: Any, image: Any) -> Any:
    """Returns red, green and blue in 8 bits, on white."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return _in_8_bits(image).convert("RGB")
    if "A" not in image.getbands() and "transparency" not in image.info:
        return _converted(source, image, "RGB")
    seen = _converted(source, image, "RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _in_8_bits(image: Any) -> Any:
    """Scales 16-bit greys by the bits that they use, other numbers by the range that they take."""
    from PIL import Image

    values = np.asarray(image, np.float64)
    low, high = np.nanmin(values), np.nanmax(values)
    if image.mode.startswith("I;16"):
        # Cameras of 12 bits, and pictures of 8, are kept in 16 bits as they are: all of it would be
        # black.
        low, high = 0.0, next(top for top in GREYS if high <= top)
    span = high - low if high > low else 1.0
    scaled = (values - low) / span
    return Image.fromarray((np.nan_to_num(scaled).clip(0, 1) * 255).round().astype(np.uint8))


def _converted(source: Any, image: Any, mode: str) -> Any:
    try:
        return image.convert(mode)
    except ValueError as error:
        raise ValueError(
            f"{source}: no image that Pillow reads in colour ({error}); save it as PNG"
        ) from None
