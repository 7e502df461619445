"""One training step, compiled."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from seqjax.training.evaluation import Mean
from seqjax.training.health import clip_with_health, keep_if
from seqjax.training.state import TrainState
from seqjax.typing import KeyArray, Params


class Aux(NamedTuple):
    """What a loss function returns beside the loss.

    Attributes:
      weight: how many valid elements the loss is the mean of; accumulation weighs by it.
      metrics: further means to report.
      extra: what the model carries to the next batch.
    """

    weight: Any = 1.0
    metrics: dict[str, Mean] = {}  # noqa: RUF012
    extra: Any = None


LossFn = Callable[[Params, Any, KeyArray, Any], tuple[jax.Array, Aux]]
"""`loss_fn(params, batch, rng, extra) -> (mean loss, Aux)`."""

StepFn = Callable[[TrainState, Any], tuple[TrainState, dict[str, jax.Array]]]
"""`train_step(state, batch) -> (state, metrics)`."""


def make_train_step(
    loss_fn: LossFn,
    optimiser: optax.GradientTransformation,
    *,
    clip: optax.GradientTransformation | None = None,
    accumulate: int = 1,
    ema_decay: float | None = None,
    jit: bool = True,
) -> StepFn:
    """A function that takes a batch and improves the parameters by it.

    A gradient or loss that is not finite leaves parameters, optimiser, average and `extra` as they were and is counted
    in the state. The state given is donated: use the one returned.

    Args:
      loss_fn: `loss_fn(params, batch, rng, extra) -> (loss, Aux)`, the loss a mean over `Aux.weight` elements.
      optimiser: an optax transformation; put clipping into `clip`, where it is measured.
      clip: a stateless transformation of the gradient, such as `clip_by_norm(5.0)`.
      accumulate: cut each batch along its first axis into this many parts and sum their gradients, each by its weight:
        the same gradient in less memory. Each part is given the `extra` of the batch: its own rows of what has as many
        rows as the batch, and the whole of all else, of which what the last part returns is kept.
      ema_decay: keep an exponential moving average of the parameters with this decay; needs `create_state(ema=True)`.
      jit: compile; False gives the bare function, to be put under `vmap` or another `jit`.

    Returns:
      `train_step(state, batch) -> (state, metrics)`. Metrics are scalars: `loss`, the health of the gradient (see
      `clip_with_health`), `skipped_in_a_row`, and the means of `Aux.metrics`.

    Raises:
      ValueError: `accumulate` is below 1 or does not divide a batch, or the decay is outside [0, 1).
    """
    if accumulate < 1:
        raise ValueError(f"accumulate is {accumulate}; give at least 1")
    if ema_decay is not None and not 0 <= ema_decay < 1:
        raise ValueError(f"ema_decay is {ema_decay}; give a number from 0 up to, but not, 1")
    gradient = jax.value_and_grad(loss_fn, has_aux=True)
    if accumulate > 1:
        gradient = functools.partial(_accumulated, gradient, accumulate)

    def train_step(state: TrainState, batch):
        rng = jax.random.fold_in(state.rng, state.step)
        if ema_decay is None and state.ema is not None:
            raise ValueError("the state keeps an average of the parameters; give make_train_step its ema_decay")
        (loss, aux), grads = gradient(state.params, batch, rng, state.extra)
        if jax.tree.structure(aux.extra) != jax.tree.structure(state.extra):
            raise ValueError(
                "the loss returned another Aux.extra than it was given; return what the next batch shall see"
            )
        clipped, health = clip_with_health(clip, grads, state.params)
        finite = (health["finite"] > 0) & jnp.isfinite(loss)
        updates, opt_state = optimiser.update(clipped, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = None if ema_decay is None else optax.incremental_update(params, _average(state), 1 - ema_decay)
        learnt = (params, opt_state, aux.extra, ema)
        params, opt_state, extra, ema = keep_if(
            finite, learnt, (state.params, state.opt_state, state.extra, None if ema is None else state.ema)
        )
        in_a_row = jnp.where(finite, 0, state.skipped_in_a_row + 1)
        metrics = {"loss": loss, **health, "finite": finite.astype(jnp.float32), "skipped_in_a_row": in_a_row}
        metrics |= {name: mean.value() for name, mean in aux.metrics.items()}
        state = TrainState(
            state.step + 1, params, opt_state, state.rng, extra, ema, state.skipped + ~finite, in_a_row
        )  # fmt: skip
        return state, metrics

    return _compiled(train_step) if jit else train_step


def _compiled(train_step: StepFn) -> StepFn:
    """The step under jit, its state donated, and on a mesh laid out as it came: left alone XLA would cut it anew."""
    plain = jax.jit(train_step, donate_argnums=0)

    @functools.lru_cache
    def laid_out(structure, shardings):
        state = jax.tree.unflatten(structure, shardings)
        return jax.jit(train_step, donate_argnums=0, out_shardings=(state, None))

    @functools.wraps(train_step)
    def step(state, batch):
        leaves, structure = jax.tree.flatten(state)
        shardings = tuple(getattr(leaf, "sharding", None) for leaf in leaves)
        spread = any(len(getattr(sharding, "device_set", ())) > 1 for sharding in shardings)
        return (laid_out(structure, shardings) if spread else plain)(state, batch)

    step.lower = plain.lower  # pyright: ignore[reportAttributeAccessIssue]
    return step


def _average(state):
    if state.ema is None:
        raise ValueError("ema_decay is given but the state keeps no average; make it with create_state(..., ema=True)")
    return state.ema


def _accumulated(gradient, parts, params, batch, rng, extra):
    """The gradient of the mean over the whole batch, from the means over its parts."""

    def cut(leaf):
        if leaf.shape[0] % parts:
            raise ValueError(f"accumulate={parts} does not divide a batch of {leaf.shape[0]} rows")
        return leaf.reshape(parts, leaf.shape[0] // parts, *leaf.shape[1:])

    rows = jax.tree.leaves(batch)[0].shape[0]
    own = jax.tree.map(lambda leaf: leaf.ndim > 0 and leaf.shape[0] == rows, extra)

    def add(carry, inputs):
        sums, weight = carry
        index, part, extra = inputs
        (loss, aux), grads = gradient(params, part, jax.random.fold_in(rng, index), extra)
        share = jnp.asarray(aux.weight, loss.dtype)
        sums = jax.tree.map(lambda s, g: s + share * g, sums, (loss, grads))
        return (sums, weight + share), (aux.metrics, aux.extra)

    given = jax.tree.map(lambda leaf, cuts: cut(leaf) if cuts else jnp.stack([leaf] * parts), extra, own)
    inputs = (jnp.arange(parts), jax.tree.map(cut, batch), given)
    zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    (sums, weight), (metrics, extras) = lax.scan(add, (zeros, jnp.zeros(())), inputs)
    loss, grads = jax.tree.map(lambda s: s / jnp.where(weight == 0, 1, weight), sums)
    metrics = jax.tree.map(lambda m: m.sum(0), metrics)
    if jax.tree.structure(extras) == jax.tree.structure(own):
        extras = jax.tree.map(lambda leaf, cuts: leaf.reshape(-1, *leaf.shape[2:]) if cuts else leaf[-1], extras, own)
    return (loss, Aux(weight, metrics, extras)), grads
