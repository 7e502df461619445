"""One training step, compiled."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array

from seqjax.training.compiled import CompiledStep
from seqjax.training.evaluation import Mean
from seqjax.training.health import clip_with_health, keep_if, spoilt, turned_nan
from seqjax.training.state import TrainState, as_train_state, in_containers_of
from seqjax.typing import KeyArray, Params


class Aux(NamedTuple):
    """Holds what a loss function returns beside the loss.

    Attributes:
      weight: how many valid elements the loss is the mean of; accumulation weighs by it.
      metrics: further means to report.
      extra: what the model carries to the next batch.
    """

    weight: Any = 1.0
    metrics: dict[str, Mean] = {}
    extra: Any = None


LossFn = Callable[[Params, Any, KeyArray, Any], Any]
"""`loss_fn(params, batch, rng, extra) -> (mean loss, Aux)`, or the mean loss alone, which leaves `extra` as it was."""

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
    """Makes a function that takes a batch and improves the parameters by it.

    Parameters, optimiser, average and `extra` stay as they were, and the step is counted in the
    state, where the loss or an element of the gradient is not finite, or one of what would be
    stored became so. The state given is donated: use the one returned.

    Args:
      loss_fn: `loss_fn(params, batch, rng, extra) -> (loss, Aux)`, the loss a mean over
        `Aux.weight` elements; or the loss alone.
      optimiser: an optax transformation; put clipping into `clip`, where it is measured. One that
        takes more than the gradient, such as `reduce_on_plateau`, `polyak_sgd` or `lbfgs`, is given
        the loss as `value`, and as functions of the parameters `value_fn` and `grad_fn`.
      clip: a stateless transformation of the gradient, such as `clip_by_norm(5.0)`.
      accumulate: cut each batch along its first axis into this many parts and sum their gradients,
        each by its weight: the same gradient in less memory. Each part is given the `extra` of the
        batch: its own rows of what has as many rows as the batch, and the whole of all else, of
        which what the last part returns is kept.
      ema_decay: keep an exponential moving average of the parameters with this decay; needs
        `create_state(ema=True)`.
      jit: compile; False gives the bare function, to be put under `vmap` or another `jit`.

    Returns:
      `train_step(state, batch) -> (state, metrics)`. Metrics are scalars: `loss`, the health of the
      gradient (see `clip_with_health`), `skipped_in_a_row`, and the means of `Aux.metrics`.

    Raises:
      ValueError: `accumulate` is below 1 or does not divide a batch, or the decay is outside [0,
        1).
    """
    if accumulate < 1:
        raise ValueError(f"accumulate is {accumulate}; give at least 1")
    if ema_decay is not None and not 0 <= ema_decay < 1:
        raise ValueError(f"ema_decay is {ema_decay}; give a number from 0 up to, but not, 1")
    gradient = jax.value_and_grad(functools.partial(_with_aux, loss_fn), has_aux=True)
    if accumulate > 1:
        gradient = functools.partial(_accumulated, gradient, accumulate)
    optimiser = optax.with_extra_args_support(optimiser)

    def train_step(state: TrainState, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        state = _fitting(as_train_state(state), optimiser)
        rng = jax.random.fold_in(state.rng, state.step)
        if ema_decay is None and state.ema is not None:
            raise ValueError(
                "the state keeps an average of the parameters; give make_train_step its ema_decay"
            )

        def gradient_at(params: Any) -> Any:
            return gradient(params, batch, rng, state.extra)

        # Clipped and measured, then the update, then the average.
        (loss, aux), grads = gradient_at(state.params)
        extra = _carried(aux.extra, state.extra)
        clipped, health = clip_with_health(clip, grads, state.params)
        further = _further_arguments(optimiser, loss, clipped, gradient_at)
        updates, opt_state = optimiser.update(clipped, state.opt_state, state.params, **further)
        params = optax.apply_updates(state.params, updates)
        ema = None
        if ema_decay is not None:
            ema = optax.incremental_update(params, _average(state), 1 - ema_decay)
        # An average of finite numbers is finite; a carried state may be infinite.
        lost = spoilt((params, opt_state), (state.params, state.opt_state))
        lost = lost | turned_nan(extra, state.extra)
        finite = (health["finite"] > 0) & jnp.isfinite(loss) & ~lost
        # A step that is lost leaves everything as it was.
        new = (params, opt_state, ema, extra)
        old = (state.params, state.opt_state, state.ema, state.extra)
        params, opt_state, ema, extra = keep_if(finite, new, old)
        in_a_row = jnp.where(finite, 0, state.skipped_in_a_row + 1)
        metrics = {
            "loss": loss,
            **health,
            "finite": finite.astype(jnp.float32),
            "skipped_in_a_row": in_a_row,
        }
        metrics |= {name: mean.value() for name, mean in aux.metrics.items()}
        state = TrainState(
            state.step + 1,
            params,
            opt_state,
            state.rng,
            extra,
            ema,
            state.skipped + ~finite,
            in_a_row,
        )
        return state, metrics

    return CompiledStep(train_step) if jit else train_step


def _with_aux(loss_fn: LossFn, params: Any, batch: Any, rng: Any, extra: Any) -> tuple[Any, Aux]:
    """Returns the loss and its `Aux`, also of a function that returns the loss alone."""
    found = loss_fn(params, batch, rng, extra)
    if isinstance(found, tuple | list):
        if len(found) != 2 or not isinstance(found[1], Aux):
            kinds = ", ".join(type(part).__name__ for part in found)
            raise TypeError(
                f"the loss returned ({kinds}); return the loss alone, or (loss, training.Aux(...))"
            )
        return tuple(found)
    return found, Aux(extra=extra)


def _fitting(state: Any, optimiser: optax.GradientTransformation) -> TrainState:
    """Puts the optimiser's state into the containers that it was made in, such as named tuples."""
    wanted = jax.eval_shape(optimiser.init, state.params)
    words = "opt_state is of another optimiser; give create_state the optimiser of make_train_step"
    return state.replace(opt_state=in_containers_of(wanted, state.opt_state, words))


def _further_arguments(
    optimiser: optax.GradientTransformationExtraArgs,
    loss: Any,
    grads: Any,
    gradient_at: Callable[[Any], Any],
) -> dict[str, Any]:
    """Collects what optax may ask for beside the gradient, by the names that it has for it."""

    def value_fn(params: Any, obj_fn: Any = None) -> Any:
        # A line search refuses what it is given for others unless this function takes it.
        return gradient_at(params)[0][0]

    offered = {"value": loss, "grad": grads, "value_fn": value_fn, "obj_fn": value_fn}
    asked = inspect.signature(optimiser.update).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in asked.values()):
        offered = {name: value for name, value in offered.items() if name in asked}
    if "grad_fn" in asked:
        offered["grad_fn"] = lambda params, step: gradient_at(params)[1]
    return offered


def _carried(new: Any, old: Any) -> Any:
    """Puts what the model carries on into the containers and dtypes that it was given in.

    So nothing compiles anew.
    """
    words = "the loss returned another Aux.extra than it was given; return what the next batch shall see"
    extra = in_containers_of(old, new, words)
    for (path, given), leaf in zip(
        jax.tree.leaves_with_path(old), jax.tree.leaves(extra), strict=True
    ):
        given, leaf = jax.typeof(given), jax.typeof(leaf)
        # A dtype that widens the one given would compile the next step anew.
        if leaf.shape != given.shape or jnp.promote_types(leaf.dtype, given.dtype) != given.dtype:
            name = f"Aux.extra{jax.tree_util.keystr(path)}"
            raise ValueError(
                f"{name} is {leaf.str_short()}, and was {given.str_short()}; "
                "give create_state an extra of the same kind"
            )
    return jax.tree.map(lambda leaf, given: jnp.asarray(leaf, given.dtype), extra, old)


def _average(state: TrainState) -> Any:
    if state.ema is None:
        raise ValueError(
            "ema_decay is given but the state keeps no average; "
            "make it with create_state(..., ema=True)"
        )
    return state.ema


def _accumulated(
    gradient: Callable, parts: int, params: Any, batch: Any, rng: Any, extra: Any
) -> tuple[tuple[Any, Aux], Any]:
    """Computes the gradient of the mean over the whole batch, from the means over its parts."""

    def cut(leaf: Any) -> Any:
        if leaf.shape[0] % parts:
            raise ValueError(f"accumulate={parts} does not divide a batch of {leaf.shape[0]} rows")
        return leaf.reshape(parts, leaf.shape[0] // parts, *leaf.shape[1:])

    # What has as many rows as the batch is cut with it.
    rows = jax.tree.leaves(batch)[0].shape[0]
    own = jax.tree.map(lambda leaf: leaf.ndim > 0 and leaf.shape[0] == rows, extra)

    def add(carry: tuple[Any, Any], inputs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        means, weight = carry
        index, part, extra = inputs
        (loss, aux), grads = gradient(params, part, jax.random.fold_in(rng, index), extra)
        total = weight + jnp.asarray(aux.weight, weight.dtype)
        # A mean of means, not a quotient of sums: no gradient is multiplied by a weight that it
        # could overflow with.
        share = jnp.asarray(aux.weight, weight.dtype) / jnp.where(total == 0, 1, total)

        def towards(mean: Array, new: Array) -> Array:
            """Moves a mean by the share of the new part."""
            return ((1 - share) * mean + share * new).astype(mean.dtype)

        means = jax.tree.map(towards, means, (loss, grads))
        return (means, total), (aux.metrics, aux.extra)

    def for_parts(leaf: Array, cuts: bool) -> Array:
        """Gives each part its own rows, or the whole: `[parts, ...]`."""
        return cut(leaf) if cuts else jnp.stack([leaf] * parts)

    def of_parts(leaf: Array, cuts: bool) -> Array:
        """Joins the rows of all parts, or takes the whole of the last one."""
        return leaf.reshape(-1, *leaf.shape[2:]) if cuts else leaf[-1]

    given = jax.tree.map(for_parts, extra, own)
    inputs = (jnp.arange(parts), jax.tree.map(cut, batch), given)
    zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    ((loss, grads), weight), (metrics, extras) = lax.scan(add, (zeros, jnp.zeros(())), inputs)
    metrics = jax.tree.map(lambda m: m.sum(0), metrics)
    if jax.tree.structure(extras) == jax.tree.structure(own):
        extras = jax.tree.map(of_parts, extras, own)
    return (loss, Aux(weight, metrics, extras)), grads
