"""What training carries from step to step."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Integer

from seqjax.typing import KeyArray, Params


@flax.struct.dataclass
class TrainState:
    """Holds everything that a training step reads and writes: a pytree, saved and restored whole.

    Attributes:
      step: batches seen, skipped ones included, int32.
      params: parameters.
      opt_state: the optimiser's state.
      rng: the key of the run; step n draws from `jax.random.fold_in(rng, n)`.
      extra: what the model carries from batch to batch, such as a recurrent state; None for
        nothing.
      ema: exponential moving average of the parameters; None without one.
      skipped: updates skipped over a gradient or an update that was not finite, int32.
      skipped_in_a_row: those since the last good update, int32.
    """

    # As a pytree it also holds shapes, shardings and key data in place of arrays: Any, not
    # jax.Array.
    step: Any
    params: Any
    opt_state: Any
    rng: Any
    extra: Any
    ema: Any
    skipped: Any
    skipped_in_a_row: Any


def create_state(
    params: Params,
    optimiser: optax.GradientTransformation,
    rng: KeyArray | int | Integer[ArrayLike, "..."],
    *,
    extra: Any = None,
    ema: bool = False,
) -> TrainState:
    """Makes the state before the first step.

    Args:
      params: fresh parameters; they are copied, for a training step donates its state.
      optimiser: what will update them.
      rng: the key of the run, or a seed for it.
      extra: what the model carries from batch to batch.
      ema: keep a moving average of the parameters.

    Returns:
      A `TrainState` at step 0.
    """
    params, extra = _copy(params), _copy(extra)
    zero = lambda: jnp.zeros((), jnp.int32)  # noqa: E731
    return TrainState(
        step=zero(),
        params=params,
        # Some optimisers remember the parameters themselves; an array that is held twice cannot be
        # donated.
        opt_state=_copy(optimiser.init(params)),
        rng=as_key(rng),
        extra=extra,
        ema=_copy(params) if ema else None,
        skipped=zero(),
        skipped_in_a_row=zero(),
    )


def _copy(tree: Any) -> Any:
    return jax.tree.map(jnp.array, tree)


def as_key(rng: Any) -> KeyArray:
    """Returns a fresh key: a copy, one from a seed, or from the older form, a uint32 array.

    Raises:
      TypeError: it is none of them.
    """
    if type(rng) is int:
        return jax.random.key(rng)
    if isinstance(rng, jax.Array | np.ndarray | np.generic):
        if rng.ndim == 0 and jnp.issubdtype(rng.dtype, jax.dtypes.prng_key):
            return jnp.array(rng)
        if rng.ndim == 0 and jnp.issubdtype(rng.dtype, jnp.integer):
            seed: Any = rng
            return jax.random.key(seed)
        if rng.ndim == 1 and rng.dtype == jnp.uint32:
            return jax.random.wrap_key_data(jnp.array(rng))
    raise TypeError(f"rng is {_kind(rng)}; give one key from jax.random.key(seed), or a seed")


def as_train_state(state: Any) -> TrainState:
    """Returns the state as a `TrainState`, also one in a dict of its fields.

    Raises:
      TypeError: it is neither.
    """
    if isinstance(state, TrainState):
        return state
    fields = TrainState.__dataclass_fields__
    if isinstance(state, Mapping) and state.keys() == fields.keys():
        return TrainState(**state)
    raise TypeError(
        f"the state is {_kind(state)}; give a TrainState, from create_state or from the step before"
    )


def in_containers_of(like: Any, tree: Any, words: str) -> Any:
    """Returns a pytree's leaves in the containers of another, such as named tuples for lists.

    Args:
      like: has the containers.
      tree: has the leaves, in containers of the same sizes and keys.
      words: what to say where it does not fit.

    Returns:
      The tree.

    Raises:
      ValueError: it does not fit.
    """
    if jax.tree.structure(tree) == jax.tree.structure(like):
        return tree
    if jax.tree.structure(_plain(tree)) != jax.tree.structure(_plain(like)):
        raise ValueError(words)
    structure = jax.tree.structure(like)
    # Mappings differ in the order of their leaves, so the plain form says which leaf goes where.
    places = jax.tree.leaves(_plain(jax.tree.unflatten(structure, range(structure.num_leaves))))
    leaves = dict(zip(places, jax.tree.leaves(_plain(tree)), strict=True))
    return jax.tree.unflatten(structure, [leaves[place] for place in range(len(leaves))])


def unaliased(state: TrainState) -> TrainState:
    """Returns a state of which no array is held twice, as donation wants it.

    Raises:
      ValueError: an array was donated before.
    """
    leaves, structure = jax.tree.flatten(state)
    seen: set[int] = set()
    for place, leaf in enumerate(leaves):
        if is_deleted(leaf):
            raise ValueError(
                "the state was given to a training step before, which took it over; "
                "go on with the one returned"
            )
        if id(leaf) in seen:
            leaves[place] = jnp.array(leaf)
        seen.add(id(leaf))
    return jax.tree.unflatten(structure, leaves)


def is_deleted(leaf: Any) -> bool:
    """Tells whether an array's memory was given away, as that of a donated state is."""
    return isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.is_deleted()


def _plain(tree: Any) -> Any:
    """Returns the tree in dicts and tuples alone."""
    if isinstance(tree, Mapping):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(_plain(value) for value in tree)
    return tree


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array {value.dtype}{list(shape)}"
