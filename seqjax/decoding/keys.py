"""Drawing the keys that sound at once, one after another from the lowest."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.typing import KeyArray


def draw_keys(
    key: KeyArray,
    state: Any,
    logits: Callable[[Any], Array],
    add: Callable[[Any, Array], Any],
    most: int,
    temperature: ArrayLike = 1.0,
) -> Int[Array, "*batch most"]:
    """Draws sets of keys from a model that reads each key after those below it.

    Such a model gives the chance of each key, given all that was drawn below it. From these follows
    the chance that a key is the next one to sound, and that none is: one draw for each note, where
    key by key there would be one for each key.

    Args:
      key: what the draws come from.
      state: of the model before the lowest key.
      logits: `logits(state) -> [*batch, keys]`, of each key where no other one is added.
      add: `add(state, chosen) -> state`, given the key that sounds next `[*batch]`; where none
        does, the number of keys.
      most: keys of a set at most.
      temperature: divides the logarithms of these chances; 0 takes the likeliest always.

    Returns:
      Numbers of keys, ascending; the number of keys in each place that is left over.
    """
    shape = logits(state).shape

    def draw(carry: tuple[Any, Array], key: KeyArray) -> tuple[tuple[Any, Array], Array]:
        state, last = carry
        chances = next_key(logits(state), last)
        # Of no temperature the greatest is taken, and the division is by 1.
        warm = jnp.asarray(temperature, chances.dtype)
        drawn = jax.random.categorical(key, chances / jnp.where(warm > 0, warm, 1))
        chosen = jnp.where(warm > 0, drawn, chances.argmax(-1))
        return (add(state, chosen), chosen), chosen

    none = jnp.full(shape[:-1], -1, jnp.int32)
    _, notes = lax.scan(draw, (state, none), jax.random.split(key, most))
    return jnp.moveaxis(notes, 0, -1)


def next_key(
    logits: Float[Array, "*batch keys"], last: Int[Array, "*batch"]
) -> Float[Array, "*batch choices"]:
    """Computes the logarithm of the chance that each key is the next one to sound.

    `log p_k + sum_j log(1 - p_j)` over the keys j between the last one and k.

    Args:
      logits: of each key, given what sounds below it.
      last: the key that was drawn last; -1 before the first.

    Returns:
      `[*batch, keys + 1]`; the last choice is that no further key sounds.
    """
    keys = logits.shape[-1]
    places = jnp.arange(keys).reshape(*(1,) * last.ndim, keys)
    above = places > last[..., None]
    silent = jnp.where(above, jax.nn.log_sigmoid(-logits), 0)
    # That all keys below this one are silent, [*batch, keys].
    so_far = silent.cumsum(-1) - silent
    sounds = jnp.where(above, jax.nn.log_sigmoid(logits) + so_far, -jnp.inf)
    return jnp.concatenate([sounds, silent.sum(-1, keepdims=True)], axis=-1)
