"""Gradient health: clipping, and what a gradient looked like before and after it."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqjax.typing import Params


def clip_by_norm(threshold: float) -> optax.GradientTransformation:
    """Scales a gradient whose global norm exceeds `threshold` down to it (Pascanu et al., 2013).

    Unlike a division by the norm alone it is exact below the threshold: the gradient is untouched, bit for bit.
    """
    return optax.clip_by_global_norm(_positive("threshold", threshold))


def clip_by_value(limit: float) -> optax.GradientTransformation:
    """Cuts each element of a gradient to [-limit, limit] (Mikolov, 2012); the direction changes."""
    return optax.clip(_positive("limit", limit))


def clip_adaptively(ratio: float = 0.01) -> optax.GradientTransformation:
    """Adaptive gradient clipping: each unit's gradient norm to `ratio` of its weight norm (Brock et al., 2021)."""
    return optax.adaptive_grad_clip(_positive("ratio", ratio))


def clip_with_health(
    clip: optax.GradientTransformation | None, grads: Params, params: Params
) -> tuple[Any, dict[str, jax.Array]]:
    """Clips a gradient and says how healthy it was.

    Args:
      clip: a stateless transformation, such as `clip_by_norm(5.0)`; None leaves the gradient alone.
      grads: the gradient.
      params: the parameters, for clipping that looks at them.

    Returns:
      The clipped gradient, and scalars: `gradient_norm` and `clipped_norm` (global, before and after), `clipped` (1.0
      where clipping changed the norm), `finite` (1.0 where every element is) and `gradient_norm/PATH` for each
      layer of the parameters, such as `gradient_norm/recurrent/layer_0`.
    """
    before = optax.tree.norm(grads)
    if clip is None:
        clipped, after = grads, before
    else:
        clipped, _ = clip.update(grads, clip.init(params), params)
        after = optax.tree.norm(clipped)
    health = {
        "gradient_norm": before,
        "clipped_norm": after,
        "clipped": (after < before).astype(jnp.float32),
        "finite": jnp.isfinite(before).astype(jnp.float32),
    }
    return clipped, health | {f"gradient_norm/{name}": norm for name, norm in layer_norms(grads).items()}


def layer_norms(tree: Params) -> dict[str, jax.Array]:
    """The norm of each layer: of every dict of arrays in the tree, by its path, such as `recurrent/layer_0`."""
    groups: dict[str, list] = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        groups.setdefault("/".join(str(getattr(k, "key", k)) for k in path[:-1]) or "params", []).append(leaf)
    return {name: optax.tree.norm(leaves) for name, leaves in groups.items()}


def keep_if(finite: jax.Array, new: Any, old: Any) -> Any:
    """`new` where `finite` is True, else `old`, over whole pytrees."""
    return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)


def summarise(steps: Iterable[dict[str, Any]]) -> dict[str, float]:
    """What the gradients of many steps were like.

    Args:
      steps: the metrics of each step, as a training step returns them.

    Returns:
      `gradient_norm_p50`, `_p90`, `_p99` and `_max` over the finite ones, `clipped_share` and `nonfinite_steps`; NaN
      where no step was finite.
    """
    rows = [(float(m["gradient_norm"]), float(m["clipped"]), float(m["finite"])) for m in steps]
    norm, clipped, finite = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
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
