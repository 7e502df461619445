"""Image captions: a grid of features from a picture, and a decoder that looks at it."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax.models.seq2seq import Encoded, Seq2Seq


class ConvGrid(nn.Module):
    """Halves the picture in stages of convolutions, then residual blocks (He et al., 2016).

    Each place is normalised over its own features alone (Liu et al., 2022), and so depends neither
    on its batch nor on the rest of its picture. Any Flax module that gives a grid
    `[batch, rows, columns, features]` can take the place of this one in an `ImageEncoder`.

    Attributes:
      features: of each stage; n stages make one cell of `2^n x 2^n` pixels.
      blocks: residual blocks of two convolutions at the grid's resolution. Each lets a cell see two
        more to either side: enough to tell shapes by, while attention to a cell still tells where a
        word comes from.
    """

    features: tuple[int, ...] = (32, 64, 128)
    blocks: int = 1

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch rows columns cells"]:
        """Computes the grid of features."""
        x = images
        for size in self.features:
            # A kernel of 4 sees as far to either side of its cell: the grid stands over the
            # picture, not beside it.
            x = nn.relu(nn.LayerNorm()(nn.Conv(size, (4, 4), (2, 2), use_bias=False)(x)))
        for _ in range(self.blocks):
            found = nn.relu(nn.LayerNorm()(nn.Conv(self.features[-1], (3, 3), use_bias=False)(x)))
            found = nn.LayerNorm()(nn.Conv(self.features[-1], (3, 3), use_bias=False)(found))
            x = nn.relu(x + found)
        return x


class ImageEncoder(nn.Module):
    """Makes an image's grid of cells a memory to look at, and of a summary what is remembered.

        cell = relu([backbone's features; x; y] W + b)
        summary = layer_norm(max over cells)

    The place x, y, from -1 to 1, is bound to what is seen there (Liu et al., 2018), or the summary
    would lose it. What one cell finds counts in a maximum as much as in the cell; a mean over the
    grid drowns a small object. Dropout is on while `apply` is given a `"dropout"` key.

    Attributes:
      backbone: from images `[batch, height, width, channels]` to a grid
        `[batch, rows, columns, features]`.
      features: of a cell.
      dropout: rate on the cells.
    """

    backbone: nn.Module = ConvGrid()
    features: int = 128
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: ArrayLike, lengths: None = None) -> Encoded:
        """Reads images `[batch, height, width, channels]`: uint8, or floats from 0 to 1.

        Raises:
          ValueError: the images have not four axes, or the backbone gives no grid.
        """
        images = jnp.asarray(images)
        if images.ndim != 4:
            raise ValueError(
                f"images have shape {images.shape}; give [batch, height, width, channels]"
            )
        scaled = images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images
        grid = self.backbone(2 * scaled - 1)  # pyright: ignore[reportCallIssue]
        if grid.ndim != 4:
            raise ValueError(
                f"the backbone gives shape {grid.shape}; "
                "wanted a grid [batch, rows, columns, features], "
                "the features before any pooling over the picture"
            )
        # [batch, rows, columns, features + 2]
        placed = jnp.concatenate([grid, _places(grid)], -1)
        cells = nn.relu(nn.Dense(self.features)(placed))
        # The grid row by row: [batch, rows * columns, features].
        cells = cells.reshape(grid.shape[0], -1, self.features)
        cells = nn.Dropout(self.dropout)(cells, deterministic=not self.has_rng("dropout"))
        return Encoded(cells, jnp.ones(cells.shape[:2], bool), nn.LayerNorm()(cells.max(1)))


class Captioner(Seq2Seq):
    """Writes a sentence about an image: `Seq2Seq` of images `[batch, height, width, channels]`.

    Images are uint8, or floats from 0 to 1; they have no lengths, so None stands in their place.
    With a decoder that attends it is Show, Attend and Tell (Xu et al., 2015): `form="bahdanau"`,
    `bridge="projected"`. One without attention is Show and Tell (Vinyals et al., 2015): with
    `bridge="read"` it reads the image once, before the first word; with `"projected"` the image is
    where its state begins, which is learnt faster. The attention weights belong to the cells of the
    grid, row by row.

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
      >>> params = model.init(jax.random.key(0), images, None, words)["params"]
      >>> logits, weights = model.apply({"params": params}, images, None, words)
      >>> logits.shape, weights.reshape(2, 5, 4, 6).shape
      ((2, 5, 20), (2, 5, 4, 6))
      >>> context, state = model.start(params, images)
      >>> found = seqjax.decoding.beam_search(
      ...     model.advance, context, state, words[:, 0], beam=3, length=5, stop_token=3)
      >>> found.tokens.shape
      (2, 1, 5)
    """


def _places(
    grid: Float[Array, "batch rows columns features"],
) -> Float[Array, "batch rows columns 2"]:
    """Returns the place of each cell's centre, x and y."""
    # The odd ones of 2 n + 1 equal steps are the centres of n cells.
    down, across = (jnp.linspace(-1, 1, 2 * size + 1)[1::2] for size in grid.shape[1:3])
    places = jnp.stack(jnp.meshgrid(across, down), -1).astype(grid.dtype)
    return jnp.broadcast_to(places, (*grid.shape[:3], 2))
