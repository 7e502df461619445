"""Image captions: a grid of features from a picture, and the decoder of sequence to sequence over it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.models.decoder import Decoded
from seqjax.models.seq2seq import Encoded, Seq2Seq


class ConvGrid(nn.Module):
    """A small residual network (He et al., 2016): each stage halves the picture and adds what two convolutions find.

    Group normalisation (Wu and He, 2018) keeps a row independent of its batch. Any Flax module that gives
    `[batch, height, width, features]` can take its place in an `ImageEncoder`.

    Attributes:
      features: of each stage; n stages make one cell of `2^n x 2^n` pixels.
      groups: of the normalisation; they divide the features.
    """

    features: tuple[int, ...] = (32, 64, 128)
    groups: int = 8

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width channels"]) -> Float[Array, "batch rows columns cells"]:
        """The grid of features."""
        x = images
        for index, size in enumerate(self.features):
            x = self._normal(nn.Conv(size, (3, 3), (2, 2), use_bias=False)(x))
            # The first stage is by far the largest picture: it only halves it.
            if index:
                found = nn.relu(self._normal(nn.Conv(size, (3, 3), use_bias=False)(nn.relu(x))))
                x = x + self._normal(nn.Conv(size, (3, 3), use_bias=False)(found))
            x = nn.relu(x)
        return x

    def _normal(self, x):
        return nn.GroupNorm(self.groups)(x)


class ImageEncoder(nn.Module):
    """The cells of an image's grid as a memory to look at, and their mean as what is remembered of the whole.

    Beside its features each cell holds its place, x and y from -1 to 1, which a mean over cells would lose (Liu et
    al., 2018). Dropout is on while `apply` is given a `"dropout"` key.

    Attributes:
      backbone: from images `[batch, height, width, channels]` to `[batch, rows, columns, features]`.
      dropout: rate on the cells.
    """

    backbone: nn.Module = ConvGrid()
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: ArrayLike, lengths: None = None) -> Encoded:
        """Reads images `[batch, height, width, channels]`: uint8, or floats from 0 to 1.

        Raises:
          ValueError: the images have not four axes, or the backbone gives no grid.
        """
        images = jnp.asarray(images)
        if images.ndim != 4:
            raise ValueError(f"images have shape {images.shape}; give [batch, height, width, channels]")
        scaled = images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images
        grid = self.backbone(2 * scaled - 1)  # pyright: ignore[reportCallIssue]
        if jnp.ndim(grid) != 4:
            raise ValueError(
                f"the backbone gives shape {jnp.shape(grid)}; wanted a grid [batch, rows, columns, features], "
                "the features before any pooling over the picture"
            )
        cells = jnp.concatenate([grid, _places(grid)], -1).reshape(grid.shape[0], -1, grid.shape[-1] + 2)
        cells = nn.Dropout(self.dropout)(cells, deterministic=not self.has_rng("dropout"))
        return Encoded(cells, jnp.ones(cells.shape[:2], bool), cells.mean(1))


class Captioner(Seq2Seq):
    """Writes a sentence about an image: `Seq2Seq` whose source is a picture.

    With a decoder that attends it is Show, Attend and Tell (Xu et al., 2015): `form="bahdanau"`, `bridge="projected"`.
    One without attention, and `bridge="read"`, is Show and Tell (Vinyals et al., 2015): the image is read once, before
    the first word. The attention weights belong to the cells of the grid, row by row.

    Attributes:
      encoder: an `ImageEncoder`, or any module whose call gives `Encoded`.
      decoder: a `Decoder`.
      bridge: where the decoder begins, see `Seq2Seq`.

    Example:
      >>> import jax, seqjax
      >>> from seqjax.models import Captioner, ConvGrid, Decoder, ImageEncoder
      >>> decoder = Decoder(20, 16, seqjax.LSTM(32), attention="additive", form="bahdanau")
      >>> model = Captioner(ImageEncoder(ConvGrid((8, 16))), decoder)
      >>> images, words = jax.numpy.zeros((2, 16, 24, 3)), jax.numpy.ones((2, 5), int)
      >>> params = model.init(jax.random.key(0), images, words)["params"]
      >>> logits, weights = model.apply({"params": params}, images, words)
      >>> logits.shape, weights.reshape(2, 5, 4, 6).shape
      ((2, 5, 20), (2, 5, 4, 6))
      >>> context, state = model.start(params, images)
      >>> found = seqjax.decoding.beam_search(
      ...     model.advance, context, state, words[:, 0], beam=3, length=5, stop_token=3)
      >>> found.tokens.shape
      (2, 1, 5)
    """

    def __call__(self, images: ArrayLike, tokens: ArrayLike, *, sampling: ArrayLike | None = None) -> Decoded:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Scores of every next word under teacher forcing.

        Args:
          images: `[batch, height, width, channels]`: uint8, or floats from 0 to 1.
          tokens: what the decoder reads, `[batch, time]`, see `training.shift_right`.
          sampling: see `Decoder`.

        Returns:
          `Decoded(logits, attention)`, the attention `[batch, time, rows * columns]`.
        """
        return super().__call__(images, None, tokens, sampling=sampling)


def _places(grid: jax.Array) -> jax.Array:
    """The place of each cell's centre, x and y, `[batch, rows, columns, 2]`."""
    down, across = (jnp.linspace(-1, 1, 2 * size + 1)[1::2] for size in grid.shape[1:3])
    places = jnp.stack(jnp.meshgrid(across, down), -1).astype(grid.dtype)
    return jnp.broadcast_to(places, (*grid.shape[:3], 2))
