"""The cliff in the loss of a network of one unit, and gradient descent that meets it.

cliff = Cliff()
way = cliff.descend(2.2, -0.15, clip=training.clip_by_norm(1.0)).way
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from seqjax import training
from seqjax.cells import Elman
from seqjax.figures.figure import add_title, new_figure
from seqjax.typing import Params
from seqjax.unrolling import unroll

COLOURS = ("C3", "w", "C1", "C0")
"""Of the ways over the cliff."""


class Descent(NamedTuple):
    """The way of gradient descent over weight and bias.

    Attributes:
      way: weight and bias before the first update and after each, `[updates + 1, 2]`.
      gradient_norms: before clipping, at each update, `[updates]`.
      last_loss: after the last update.
    """

    way: Float[np.ndarray, "places 2"]
    gradient_norms: Float[np.ndarray, " updates"]
    last_loss: float

    @property
    def longest_step(self) -> float:
        """How far the longest update went."""
        return float(np.linalg.norm(np.diff(self.way, axis=0), axis=1).max())

    def summary(self) -> dict[str, float]:
        """Lists the figures by what they are called in a table."""
        weight, bias = self.way[-1]
        return {
            "largest gradient norm": float(self.gradient_norms.max()),
            "longest step": self.longest_step,
            "last w": float(weight),
            "last b": float(bias),
            "last loss": self.last_loss,
        }


@dataclasses.dataclass(frozen=True)
class Cliff:
    """The loss of a network of one unit, h' = tanh(w h + b), by where its state ends.

    The state ends at one of two fixed points. Where the weight and the bias make it change from one
    to the other, the loss jumps, and the gradient is a product of factors above one.

    Attributes:
      steps: of the network.
      start: its first state.
      target: where the state should end; the loss is the squared distance.

    References:
      Pascanu, Mikolov and Bengio, 2013, figure 6.

    Example:
      >>> low, high = (float(Cliff().loss(one_unit(2.0, bias))) for bias in (-0.5, -0.4))
      >>> low > 1.5 > 0.3 > high
      True
    """

    steps: int = 20
    start: float = 0.5
    target: float = 0.5

    def loss(self, params: Params) -> Float[Array, ""]:
        """Computes the loss of the params of `seqjax.Elman(1)`."""
        silence = jnp.zeros((self.steps, 1))
        first = jnp.full(1, self.start)
        last, _ = unroll(Elman(1), params, silence, first, backend="scan")
        return jnp.square(last[0] - self.target)

    def surface(self, weights: ArrayLike, biases: ArrayLike) -> Float[Array, "biases weights"]:
        """Computes the loss at every weight `[weights]` and bias `[biases]`."""

        def loss(bias: jax.Array, weight: jax.Array) -> jax.Array:
            return self.loss(one_unit(weight, bias))

        over_weights = jax.vmap(loss, (None, 0))
        return jax.jit(jax.vmap(over_weights, (0, None)))(biases, weights)

    def descend(
        self,
        weight: float,
        bias: float,
        *,
        rate: float = 0.1,
        updates: int = 60,
        clip: optax.GradientTransformation | None = None,
    ) -> Descent:
        """Goes down from a place by plain gradient descent.

        Args:
          weight: where to begin.
          bias: where to begin.
          rate: the learning rate.
          updates: how many.
          clip: a transformation of the gradient, such as `training.clip_by_norm(1.0)`.
        """

        def loss(params: Params, *_: Any) -> tuple[jax.Array, training.Aux]:
            return self.loss(params), training.Aux()

        optimiser = optax.sgd(rate)
        params = one_unit(jnp.array(weight), jnp.array(bias))
        state = training.create_state(params, optimiser, jax.random.key(0))
        step = training.make_train_step(loss, optimiser, clip=clip)
        way, norms = [_place(state.params)], []
        for _ in range(updates):
            state, metrics = step(state, None)
            way.append(_place(state.params))
            norms.append(float(metrics["gradient_norm"]))
        last_loss = float(self.loss(one_unit(*way[-1])))
        return Descent(np.array(way), np.array(norms), last_loss)


def one_unit(weight: ArrayLike, bias: ArrayLike) -> Params:
    """Makes the params of `seqjax.Elman(1)` that hear no input."""
    return {
        "w_x": jnp.zeros((1, 1)),
        "w_h": jnp.reshape(weight, (1, 1)),
        "b": jnp.reshape(bias, 1),
    }


def plot_cliff(
    weights: ArrayLike,
    biases: ArrayLike,
    surface: ArrayLike,
    ways: Mapping[str, ArrayLike],
    title: str = "",
) -> Any:
    """Draws the loss as a relief and from above, with the ways of gradient descent.

    Args:
      weights: `[weights]`.
      biases: `[biases]`.
      surface: the loss, `[biases, weights]`.
      ways: label -> weight and bias, `[places, 2]`; each begins at a star.
      title: over the whole.

    Returns:
      A matplotlib figure for the caller to save.
    """
    w, b, loss = (np.asarray(values) for values in (weights, biases, surface))
    figure = new_figure((13, 5.4))
    relief = figure.add_subplot(1, 2, 1, projection="3d")
    # Every row and column is drawn: the wall is narrow.
    relief.plot_surface(
        *np.meshgrid(w, b), loss, cmap="viridis", rcount=len(b), ccount=len(w), linewidth=0
    )
    relief.set(xlabel="weight w", ylabel="bias b", zlabel="loss")
    relief.view_init(elev=38, azim=125)
    above = figure.add_subplot(1, 2, 2)
    image = above.pcolormesh(w, b, loss, cmap="viridis", shading="auto")
    figure.colorbar(image, ax=above, label="loss")
    for index, (name, places) in enumerate(ways.items()):
        # Later ways are thinner, so that those below are seen.
        size = 6 / (index + 1)
        way = np.asarray(places)
        colour = COLOURS[index % len(COLOURS)]
        above.plot(*way.T, "o-", color=colour, markersize=size, linewidth=size / 3, label=name)
        above.plot(*way[0], "k*", markersize=12, zorder=5)
    above.set(xlim=(w[0], w[-1]), ylim=(b[0], b[-1]), xlabel="weight w", ylabel="bias b")
    above.set_title("Gradient descent from the star")
    if ways:
        above.legend(facecolor="0.6", loc="lower left")
    add_title(figure, title)
    return figure


def _place(params: Params) -> tuple[float, float]:
    """Returns weight and bias."""
    return float(params["w_h"][0, 0]), float(params["b"][0])
