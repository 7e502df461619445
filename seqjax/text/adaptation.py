"""What a language model pays for a text that it learns from while it reads: a cache, and dynamic evaluation.

Each token is paid for before it is learnt from, so that the sums are honest likelihoods. Both take
a trained `text.LanguageModel`:

    nats = text.cached_nats(trained, "...", size=500)
    nats = text.dynamic_nats(trained, "...", optax.sgd(0.1))
    perplexity = numpy.exp(nats.mean())
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from seqjax.tasks import Trained
from seqjax.text.scoring import CHUNK
from seqjax.typing import Params, State


def cached_nats(
    trained: Trained,
    text: str,
    *,
    size: int = 500,
    sharpness: int | float = 0.3,
    share: int | float = 0.1,
) -> np.ndarray:
    """Computes the nats of each token with a neural cache: what came after like outputs comes again.

        p(w) = (1 - share) p_model(w) + share sum_i [w_i = w] softmax_i(sharpness y . y_i)

    over the last `size` outputs `y_i`, each with the token `w_i` that came after it.

    Args:
      trained: a `text.LanguageModel` with parameters.
      text: what is read, the state carried through.
      size: outputs that are kept.
      sharpness: of the softmax over them, the paper's theta.
      share: of the cache in the mixture, its lambda.

    Returns:
      float64 `[tokens - 1]`: the first token is given.

    Raises:
      ValueError: a setting is out of its range, or the text has less than two tokens.

    Reference: Grave et al., "Improving Neural Language Models with a Continuous Cache", ICLR 2017.
    """
    if size < 1 or sharpness < 0 or not 0 <= share < 1:
        raise ValueError(
            f"size={size}, sharpness={sharpness}, share={share}; "
            "give a size of at least 1, a sharpness of at least 0, a share in [0, 1)"
        )
    model = trained.task.model
    inputs, targets = _pairs(trained, text)
    count = len(inputs)
    padding = -count % CHUNK
    inputs, targets = np.pad(inputs, (0, padding)), np.pad(targets, (0, padding))
    state = model.start(trained.params, (1,))
    # Nothing is kept yet: a token of -1 is no token.
    kept_ys = jnp.zeros((size, model.recurrence.output_size(model.embedding_size)))
    kept_tokens = jnp.full(size, -1)
    found = []
    for start in range(0, len(inputs), CHUNK):
        part = slice(start, start + CHUNK)
        state, ys, nats = _read(model, trained.params, state, inputs[part], targets[part])
        tokens = jnp.asarray(targets[part])
        ys, tokens = jnp.concatenate([kept_ys, ys]), jnp.concatenate([kept_tokens, tokens])
        repeated = _repeated(ys, tokens, size, sharpness)
        # The first output has no cache.
        mixed = (1 - share) * np.exp(-np.asarray(nats, np.float64)) + share * np.asarray(repeated)
        if start == 0:
            mixed[0] = np.exp(-float(nats[0]))
        found.append(-np.log(mixed))
        kept_ys, kept_tokens = ys[-size:], tokens[-size:]
    return np.concatenate(found)[:count]


def dynamic_nats(
    trained: Trained,
    text: str,
    optimiser: optax.GradientTransformation,
    *,
    window: int = 20,
    decay: float = 0.0,
) -> np.ndarray:
    """Computes the nats of each token by dynamic evaluation: the model learns each window after it.

    Args:
      trained: a `text.LanguageModel` with parameters, which stay as they are.
      text: what is read, the state carried through.
      optimiser: makes the steps, such as `optax.sgd(0.1)`.
      window: tokens between two steps.
      decay: share of the way back to the trained parameters that each step begins with.

    Returns:
      float64 `[tokens - 1]`: the first token is given.

    Raises:
      ValueError: a setting is out of its range, or the text has less than two tokens.

    Reference: Krause et al., "Dynamic Evaluation of Neural Sequence Models", ICML 2018.
    """
    if window < 1 or not 0 <= decay <= 1:
        raise ValueError(
            f"window={window}, decay={decay}; give a window of at least 1 and a decay in [0, 1]"
        )
    model, params = trained.task.model, trained.params
    inputs, targets = _pairs(trained, text)
    state, memory = model.start(params, (1,)), optimiser.init(params)
    found = []
    for start in range(0, len(inputs), window):
        part = slice(start, start + window)
        params, memory, state, nats = _adapt(
            model,
            optimiser,
            decay,
            trained.params,
            params,
            memory,
            state,
            inputs[part],
            targets[part],
        )
        found.append(np.asarray(nats, np.float64))
    return np.concatenate(found)


def _pairs(trained: Trained, text: str) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of a text, and those that come after them."""
    ids = trained.task.codec.encode(text)
    if len(ids) < 2:
        raise ValueError(f"the text has {len(ids)} tokens; give at least 2")
    return ids[:-1], ids[1:]


@functools.partial(jax.jit, static_argnums=0)
def _read(
    model: Any, params: Params, state: State, inputs: Any, targets: Any
) -> tuple[State, Array, Array]:
    """The state after a row of tokens, its outputs `[time, features]`, the nats of the targets `[time]`."""
    found = model.apply({"params": params}, inputs[None], state, method="read")
    state, ys, logits = found
    nats = optax.softmax_cross_entropy_with_integer_labels(logits[0], targets)
    return state, ys[0].astype(jnp.float32), nats


@functools.partial(jax.jit, static_argnames="size")
def _repeated(
    ys: Float[Array, "steps features"],
    tokens: Int[Array, " steps"],
    size: int,
    sharpness: ArrayLike,
) -> Float[Array, " time"]:
    """What the cache of `size` outputs before each gives to its token; the first `size` are kept ones."""

    def one(place: Array) -> Array:
        before = jax.lax.dynamic_slice_in_dim(ys, place - size, size)
        known = jax.lax.dynamic_slice_in_dim(tokens, place - size, size)
        scores = jnp.where(known >= 0, sharpness * (before @ ys[place]), -jnp.inf)
        # Of an empty cache there is no softmax; its weights are NaN, and count for nothing.
        weights = jnp.nan_to_num(jax.nn.softmax(scores))
        return jnp.sum(jnp.where(known == tokens[place], weights, 0))

    return jax.lax.map(one, jnp.arange(size, len(ys)), batch_size=64)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _adapt(
    model: Any,
    optimiser: optax.GradientTransformation,
    decay: ArrayLike,
    trained: Params,
    params: Params,
    memory: Any,
    state: State,
    inputs: Any,
    targets: Any,
) -> tuple[Params, Any, State, Array]:
    """One window: its nats by the parameters before it, and the parameters that have learnt it."""

    def loss(params: Params) -> tuple[Array, tuple[State, Array]]:
        after, logits = model.apply({"params": params}, inputs[None], state)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits[0], targets)
        return nats.mean(), (after, nats)

    gradients, (after, nats) = jax.grad(loss, has_aux=True)(params)
    updates, memory = optimiser.update(gradients, memory, params)
    back = jax.tree.map(lambda now, before: now + decay * (before - now), params, trained)
    # optax knows any tree of arrays, of which parameters are one.
    learnt: Any = optax.apply_updates(back, updates)
    return learnt, memory, after, nats
