"""A compiled training step: it looks a state over once, and hands its metrics out in one array."""

import dataclasses
import functools
import weakref
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from seqjax.training.state import TrainState, as_train_state, is_deleted, unaliased


@flax.struct.dataclass
class Packed:
    """Holds the metrics of a step in one array, which is fetched at once.

    Attributes:
      values: the scalars, float32 or wider, `[metrics]`.
      names: of them.
    """

    values: Any
    names: tuple[str, ...] = flax.struct.field(pytree_node=False)


class CompiledStep:
    """A training step that is compiled, with its state donated: see `make_train_step`.

    Args:
      train_step: the bare function.
    """

    def __init__(self, train_step: Callable[[Any, Any], tuple[TrainState, dict[str, Any]]]):
        functools.update_wrapper(self, train_step)
        self._program = _Program(train_step, train_step)
        self._packing = _Program(_packing(train_step), train_step)

    def __call__(self, state: Any, batch: Any) -> tuple[TrainState, dict[str, Any]]:
        """Takes a step; returns the new state and the metrics by name."""
        return self._program(state, batch)

    def packed(self, state: Any, batch: Any) -> tuple[TrainState, Packed | dict[str, Any]]:
        """Takes the same step; its metrics come packed, unless the state is spread over devices."""
        return self._packing(state, batch)

    @property
    def lower(self) -> Callable:
        """`jax.jit`'s, of the step for one device."""
        return self._program.plain.lower


def packed_step(train_step: Callable) -> Callable:
    """Returns the form of a step that packs its metrics; of a user's own step the step itself."""
    return train_step.packed if isinstance(train_step, CompiledStep) else train_step


def fetched(metrics: Any) -> dict[str, float]:
    """Brings the metrics of a step to the host, as plain floats; waits for them."""
    if isinstance(metrics, Packed):
        return dict(zip(metrics.names, np.asarray(metrics.values).tolist(), strict=True))
    found = jax.device_get(metrics)
    return {name: float(np.asarray(value)) for name, value in found.items()}


def _packing(train_step: Callable) -> Callable:
    """Makes a step pack its metrics."""

    @functools.wraps(train_step)
    def step(state: Any, batch: Any) -> tuple[Any, Packed]:
        state, metrics = train_step(state, batch)
        names = tuple(metrics)
        # Behind a barrier, so that the step itself compiles as it does without.
        scalars = lax.optimization_barrier([metrics[name] for name in names])
        kind = jnp.result_type(jnp.float32, *scalars)
        return state, Packed(
            jnp.stack([jnp.reshape(one, ()).astype(kind) for one in scalars]), names
        )

    return step


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is known of a state that a program returned.

    Attributes:
      state: a weak reference to it.
      sharding: of its arrays.
      run: the compiled function that it goes into.
      sound: whether no array is held twice, so that it may be donated as it is.
    """

    state: Callable[[], Any]
    sharding: Any
    run: Callable
    sound: bool


class _Program:
    """Compiles a step for one device, and for each layout on a mesh: laid out as it came.

    Left alone XLA would cut the state anew.

    Args:
      step: the function for one device.
      spread: the function for a state on a mesh of several.
    """

    def __init__(self, step: Callable, spread: Callable):
        self.plain = jax.jit(step, donate_argnums=0)
        self._known: _Known | None = None

        @functools.lru_cache
        def laid_out(structure: Any, shardings: tuple[Any, ...]) -> Callable:
            state = jax.tree.unflatten(structure, shardings)
            return jax.jit(spread, donate_argnums=0, out_shardings=(state, None))

        self._laid_out = laid_out

    def __call__(self, state: Any, batch: Any) -> tuple[TrainState, Any]:
        known = self._known
        # The state that was returned last, as in every loop, needs no second look.
        if known is None or not known.sound or known.state() is not state or is_deleted(state.step):
            known = None
            state = unaliased(as_train_state(state))
        run = self._choose(state) if known is None else known.run
        new, metrics = run(state, batch)
        if not isinstance(new.step, Tracer):
            sharding = new.step.sharding
            sound = known is not None and sharding == known.sharding
            sound = sound or (_is_sound(new) and self._choose(new) is run)
            self._known = _Known(weakref.ref(new), sharding, run, sound)
        return new, metrics

    def _choose(self, state: TrainState) -> Callable:
        """Returns the function for a state's layout."""
        leaves, structure = jax.tree.flatten(state)
        shardings = tuple(getattr(leaf, "sharding", None) for leaf in leaves)
        spread = any(len(getattr(sharding, "device_set", ())) > 1 for sharding in shardings)
        return self._laid_out(structure, shardings) if spread else self.plain


def _is_sound(state: TrainState) -> bool:
    """Tells whether no array is held twice."""
    leaves = jax.tree.leaves(state)
    return len({id(leaf) for leaf in leaves}) == len(leaves)
