"""Gradient health: clipping, and what a gradient looked like before and after it."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array

from seqjax.typing import Params


class _Squares(NamedTuple):
    """Holds the sum of the squares of `values / scale`, which neither overflows nor vanishes."""

    scale: Any
    total: Any


def clip_by_norm(threshold: float) -> optax.GradientTransformation:
    """Scales a gradient whose global norm exceeds `threshold` down to it (Pascanu et al., 2013).

    Unlike a division by the norm alone it is exact below the threshold: the gradient is untouched,
    bit for bit. The norm may exceed what its dtype can hold: any gradient of finite elements is
    brought to the threshold.
    """
    _positive("threshold", threshold)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        scale, norm = _norm(_squares_of(jax.tree.leaves(updates)))

        def shortened(leaf: Array) -> Array:
            # The scale first: the norm itself may be infinite.
            cut = _scaled(_wide(leaf), scale) / norm * threshold
            return jnp.where(scale * norm < threshold, leaf, cut.astype(leaf.dtype))

        return jax.tree.map(shortened, updates), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def clip_by_value(limit: float) -> optax.GradientTransformation:
    """Cuts each element of a gradient to [-limit, limit] (Mikolov, 2012); the direction changes."""
    return optax.clip(_positive("limit", limit))


def clip_adaptively(ratio: float = 0.01) -> optax.GradientTransformation:
    """Clips each unit's gradient norm to `ratio` of its weight norm (Brock et al., 2021)."""
    _positive("ratio", ratio)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError(
                "clip_adaptively compares with the parameters; give update(grads, state, params)"
            )

        def shortened(grad: Array, param: Array) -> Array:
            # Of each unit: [1, ..., units].
            scale, norm = _norm([_squares(grad, _unit_axes(grad))])
            # A unit of zero weights may move as if its norm were 1e-3.
            most = ratio * jnp.maximum(_product(*_norm([_squares(param, _unit_axes(param))])), 1e-3)
            cut = _scaled(_wide(grad), scale) * (most / jnp.maximum(norm, 1e-6 / scale))
            return jnp.where(scale * norm < most, grad, cut.astype(grad.dtype))

        return jax.tree.map(shortened, updates, params), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def clip_with_health(
    clip: optax.GradientTransformation | None, grads: Params, params: Params
) -> tuple[Any, dict[str, jax.Array]]:
    """Clips a gradient and says how healthy it was.

    Args:
      clip: a stateless transformation, such as `clip_by_norm(5.0)`; None leaves the gradient alone.
      grads: the gradient.
      params: the parameters, for clipping that looks at them.

    Returns:
      The clipped gradient, and scalars: `gradient_norm` and `clipped_norm` (global, before and
      after), `clipped` (1.0 where clipping changed the norm), `finite` (1.0 where every element is)
      and `gradient_norm/PATH` for each layer of the parameters, such as
      `gradient_norm/recurrent/layer_0`. The norm of finite elements is finite: at most the largest
      number of its dtype, float32 or wider.
    """
    squares = _leaf_squares(grads)
    scale, norm = _norm([part for _, part in squares])
    before = after = _product(scale, norm)
    clipped: Any = grads
    if clip is not None:
        clipped, _ = clip.update(clipped, clip.init(params), params)
        after = global_norm(clipped)
    health = {
        "gradient_norm": before,
        "clipped_norm": after,
        "clipped": (after < before).astype(jnp.float32),
        # Of finite elements the scaled norm is finite even where the norm is not.
        "finite": jnp.isfinite(norm).astype(jnp.float32),
    }
    for name, layer_norm in _by_layer(squares).items():
        health[f"gradient_norm/{name}"] = layer_norm
    return clipped, health


def global_norm(tree: Params) -> jax.Array:
    """Returns the norm of all elements of a tree together, at most the largest number of its dtype.

    The squares of finite elements may overflow or vanish; the norm does not.
    """
    return _product(*_norm(_squares_of(jax.tree.leaves(tree))))


def layer_norms(tree: Params) -> dict[str, jax.Array]:
    """Computes the norm of each dict of arrays, by its path, such as `recurrent/layer_0`."""
    return _by_layer(_leaf_squares(tree))


def _leaf_squares(tree: Any) -> list[tuple[Any, _Squares]]:
    named = jax.tree.leaves_with_path(tree)
    squares = _squares_of([leaf for _, leaf in named])
    return [(path, part) for (path, _), part in zip(named, squares, strict=True)]


def _by_layer(squares: list[tuple[Any, _Squares]]) -> dict[str, Array]:
    groups: dict[str, list] = {}
    for path, part in squares:
        groups.setdefault(_layer(path), []).append(part)
    return {name: _product(*_norm(parts)) for name, parts in groups.items()}


def _layer(path: tuple[Any, ...]) -> str:
    """Returns the path of the dict that a leaf lies in, without an NNX variable's `value`."""
    if path and path[-1] == jax.tree_util.GetAttrKey("value"):
        path = path[:-1]
    words = [str(getattr(key, "key", getattr(key, "name", key))) for key in path[:-1]]
    return "/".join(words) or "params"


@jax.jit
def _squares_of(leaves: list[Any]) -> list[_Squares]:
    """Squares each array: as it is where that does no harm, else with a scale of its own."""
    if not leaves:
        return []
    totals = [jnp.square(jnp.abs(_wide(leaf))).sum() for leaf in leaves]
    plain = [_Squares(jnp.ones_like(total), total) for total in totals]
    # True where the sum of no array has overflowed or lost its small elements.
    ordinary = jnp.stack([(total > 2.0**-60) & (total < 2.0**120) for total in totals]).all()

    def scaled(leaves: list[Array]) -> list[_Squares]:
        return [_squares(leaf) for leaf in leaves]

    return lax.cond(ordinary, lambda _: plain, scaled, leaves)


def _wide(leaf: Any) -> Array:
    """Returns an array in float32 at least, in which sums and quotients are taken."""
    leaf = jnp.asarray(leaf)
    return leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))


def _scaled(leaf: Array, scale: Array) -> Array:
    """Divides an array by its scale alone: a compiler that joined two divisions could overflow."""
    return leaf * lax.optimization_barrier(1 / scale)


def _squares(leaf: Any, axis: int | tuple[int, ...] | None = None) -> _Squares:
    """Squares an array, or with axes each unit of it, then with these axes kept."""
    # The compiler must know nothing of the values: of constants it would take the squares before
    # the scale.
    size = jnp.abs(_wide(lax.optimization_barrier(leaf)))
    largest = size.max(axis, initial=0, keepdims=axis is not None)
    # The usual range is left as it is, bit for bit; infinity and NaN too, so that they reach the
    # sum.
    unusual = (largest > 2.0**40) | (largest < 2.0**-20)
    # 1 / scale would vanish for the largest numbers of all.
    highest = jnp.finfo(largest.dtype).max / 8
    scale = jnp.where(unusual & jnp.isfinite(largest), jnp.minimum(largest, highest), 1)
    # A scale of 0 says that there is nothing to add.
    scaled = _scaled(size, jnp.where(scale == 0, 1, scale))
    total = jnp.square(scaled).sum(axis, keepdims=axis is not None)
    return _Squares(scale, total)


def _norm(squares: list[_Squares]) -> tuple[Array, Array]:
    """Returns a scale and the norm divided by it; their product is the norm, and may overflow."""
    if not squares:
        return jnp.ones(()), jnp.zeros(())
    largest = functools.reduce(jnp.maximum, [part.scale for part in squares])
    scale = jnp.where(largest == 0, 1, largest)
    # Every sum brought to the largest scale.
    total = sum(part.total * jnp.square(part.scale / scale) for part in squares)
    return scale, jnp.sqrt(total)


def _product(scale: Array, norm: Array) -> Array:
    """Returns the norm, at most the largest number; infinite or NaN only where an element is."""
    return jnp.where(jnp.isfinite(norm), jnp.minimum(scale * norm, jnp.finfo(norm.dtype).max), norm)


def _unit_axes(leaf: Array) -> tuple[int, ...]:
    """Returns the axes of one unit's weights: of matrices and kernels all but the last."""
    if sum(size != 1 for size in leaf.shape) <= 1:
        return tuple(range(leaf.ndim))
    # Of rank 3 the last two are heads and their width.
    return (0,) if leaf.ndim < 4 else tuple(range(leaf.ndim - 1))


def spoilt(new: Any, old: Any) -> jax.Array:
    """Tells whether any element became NaN or infinite; one that was infinite before may stay.

    Args:
      new: arrays; those of whole numbers, booleans and keys are passed over.
      old: the same before.

    Returns:
      A boolean.
    """
    return _any(new, old, turned_nan_or_infinite)


def is_finite(tree: Any) -> bool:
    """Tells whether every element of a pytree is finite."""
    leaves = jax.tree.leaves(tree)
    return bool(_is_finite([leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]))


@jax.jit
def _is_finite(leaves: list[Any]) -> Array:
    flags = [jnp.isfinite(leaf).all() for leaf in leaves]
    return jnp.stack(flags).all() if flags else jnp.array(True)


def turned_nan(new: Any, old: Any) -> jax.Array:
    """Tells whether any element of a pytree became NaN, as `spoilt` has it."""
    return _any(new, old, lambda a, b: jnp.isnan(a) & ~jnp.isnan(b))


def turned_nan_or_infinite(new: jax.Array, old: jax.Array) -> jax.Array:
    """Marks the elements of an array that became NaN or infinite."""
    return (jnp.isnan(new) & ~jnp.isnan(old)) | (jnp.isinf(new) & jnp.isfinite(old))


def _any(new: Any, old: Any, found: Callable[[Any, Any], Any]) -> Array:
    pairs = list(zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True))
    pairs = [(a, b) for a, b in pairs if jnp.issubdtype(jnp.result_type(a), jnp.inexact)]
    if not pairs:
        return jnp.array(False)
    # What was there before is looked at only where there is something to find.
    suspicious = jnp.stack([~jnp.isfinite(a).all() for a, _ in pairs]).any()

    def compare(pairs: list[tuple[Any, Any]]) -> Array:
        return jnp.stack([found(a, b).any() for a, b in pairs]).any()

    return lax.cond(suspicious, compare, lambda _: jnp.array(False), pairs)


def keep_if(finite: jax.Array, new: Any, old: Any) -> Any:
    """Returns `new` where `finite` is True, else `old`, over whole pytrees."""
    return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)


def summarise(steps: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Summarises what the gradients of many steps were like.

    Args:
      steps: the metrics of each step, as a training step returns them.

    Returns:
      `gradient_norm_p50`, `_p90`, `_p99` and `_max` over the finite ones, `clipped_share` and
      `nonfinite_steps`; NaN where no step was finite.
    """
    rows = [(float(m["gradient_norm"]), float(m["clipped"]), float(m["finite"])) for m in steps]
    # Each [steps].
    norm, clipped, finite = np.array(rows, np.float64).reshape(-1, 3).T
    good = norm[finite > 0]
    quantiles = np.quantile(good, [0.5, 0.9, 0.99, 1.0]) if len(good) else np.full(4, np.nan)
    names = ("gradient_norm_p50", "gradient_norm_p90", "gradient_norm_p99", "gradient_norm_max")
    return {
        **dict(zip(names, map(float, quantiles), strict=True)),
        "clipped_share": float(clipped[finite > 0].mean()) if len(good) else float("nan"),
        "nonfinite_steps": int((finite == 0).sum()),
    }


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"clipping: {name} is {value}; give a number above 0")
    return value
