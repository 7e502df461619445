"""Log-likelihood of the keys that sound at once: a set, written as its notes in ascending order.

A frame of music is a set of keys. Here it is `notes [*batch, most]`: the numbers of its keys,
ascending, and the number of keys in each place that is left over. Few of 88 keys sound at once, and
between two of them nothing changes for a model that reads one key after another. Hence `logits
[*batch, most + 1, keys]` of such a model: row j holds those that follow from the first j notes.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.losses.masked import at_least_float32

Notes = Int[Array, "*batch most"]


def nade_logits(
    notes: Notes,
    hidden: Float[Array, "*batch hidden"],
    w: Float[Array, "keys hidden"],
    v: Float[Array, "hidden keys"],
    bias: Float[Array, "*batch keys"],
) -> Float[Array, "*batch rows keys"]:
    """Computes the logits of a neural autoregressive density estimator, NADE.

    The chance of key k, given those below it, is `sigmoid(b_k + v_k . tanh(c + sum_j w_j))`, the
    sum over the keys j < k that sound (Larochelle and Murray, 2011, with a sigmoid for the tanh). A
    recurrent network gives `b` and `c` of each frame (Boulanger-Lewandowski et al., 2012).

    Args:
      notes: of each set.
      hidden: c, what the hidden units hold before the first key.
      w: what a key that sounds adds to it.
      v: from the hidden units to the keys.
      bias: b, of each key.

    Returns:
      Of each key after none, one, ... of the notes, `[*batch, most + 1, keys]`.
    """
    # Past the last note nothing is added, [*batch, most, hidden].
    added = w.at[notes].get(mode="fill", fill_value=0)
    units = jnp.concatenate([hidden[..., None, :], added], axis=-2).cumsum(-2)
    return jnp.tanh(units) @ v + bias[..., None, :]


def keys_log_prob(notes: Notes, logits: ArrayLike) -> Float[Array, "*batch"]:
    """Computes the log probability of sets of keys, each key after those below it.

    `sum_k x_k logit_k - log(1 + e^logit_k)`, x_k being 1 where key k sounds.

    Args:
      notes: of each set.
      logits: `[*batch, most + 1, keys]`, such as those of `nade_logits`; or `[*batch, 1, keys]`
        where no key depends on another.

    Returns:
      Nats, minus what the set costs.

    Example:
      >>> notes = jnp.array([[0, 2, 3]])  # the first and the last of three keys, and one place left over
      >>> logits = jnp.zeros((1, 1, 3))
      >>> float(keys_log_prob(notes, logits)[0]) == 3 * float(jnp.log(0.5))
      True
    """
    logits = at_least_float32(logits)
    *_, rows, keys = logits.shape
    # Key k is read in the row of so many notes as lie below it, [*batch, keys].
    every = jnp.arange(keys).reshape(*(1,) * (notes.ndim - 1), 1, keys)
    below = (notes[..., None] < every).sum(-2)
    sounds = (notes[..., None] == every).any(-2)
    here = logits[..., 0, :]
    if rows > 1:
        # Chosen by a mask and a sum, whose derivative is a mask: to gather takes a third longer.
        row = jnp.arange(rows).reshape(*(1,) * (notes.ndim - 1), rows, 1)
        here = jnp.where(below[..., None, :] == row, logits, 0).sum(-2)
    return (jnp.where(sounds, here, 0) - jax.nn.softplus(here)).sum(-1)
