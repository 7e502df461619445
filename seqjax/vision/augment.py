"""Images varied for training: moved, zoomed, shaded."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from seqjax.typing import KeyArray

ZOOM = (0.85, 1.15)
MOVE = 0.08
"""Share of the side that an image is moved by at most."""

SHADE = (0.85, 1.15)


def vary_images(
    key: KeyArray,
    images: UInt8[Array, "batch height width channels"]
    | Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Moves, zooms and shades each image a little and in its own way, on white.

    Args:
      key: of the draws.
      images: uint8, or floats from 0 to 1.

    Returns:
      Floats from 0 to 1.
    """
    scaled = images.astype(jnp.float32)
    if images.dtype == jnp.uint8:
        scaled = scaled / 255
    return jax.vmap(_vary)(jax.random.split(key, len(images)), scaled)


def _vary(key: KeyArray, image: jax.Array) -> jax.Array:
    zoom_key, move_key, shade_key = jax.random.split(key, 3)
    side = jnp.array(image.shape[:2], image.dtype)
    zoom = jax.random.uniform(zoom_key, (2,), minval=ZOOM[0], maxval=ZOOM[1])
    move = jax.random.uniform(move_key, (2,), minval=-MOVE, maxval=MOVE) * side
    # The middle stays in the middle, but for the move.
    move += (1 - zoom) * side / 2
    # What comes in from outside is 0: white, where darkness is moved.
    dark = jax.image.scale_and_translate(
        1 - image, image.shape, (0, 1), zoom, move, "linear", antialias=False
    )
    shade = jax.random.uniform(shade_key, image.shape[2:], minval=SHADE[0], maxval=SHADE[1])
    return jnp.clip(1 - dark * shade[None, None, :], 0, 1)
