"""The engine of the laboratory: a recurrence run with every state in sight, and a probe on each.

Each part that steps through time is replaced by an `Observed` one; the combinators around it run as
they are. What an observed part needs and what it has seen travel in the place of its state, for a
combinator hands those on unopened.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import SequenceKey, keystr
from jax.typing import ArrayLike
from jaxtyping import Array

from seqjax.checks import checked_lengths
from seqjax.combinators import BidirectionalState
from seqjax.recurrence import Pass, Recurrence, parts, select
from seqjax.typing import KeyArray, Lengths, Outputs, Params, Sequence, State


class Probed(NamedTuple):
    """Holds a leaf of the first state, and what to add after each step, `[time, *batch, ...]`."""

    state: jax.Array
    probes: jax.Array


class Sighting(NamedTuple):
    """Holds what one part did.

    Attributes:
      part: the recurrence.
      params: its own.
      xs: its inputs, `[time, *batch, features]`.
      before: its state before each step; leaves `[time, *batch, ...]`.
      after: its state after each step.
      reverse: whether it read from the last step to the first.
    """

    part: Recurrence
    params: Params
    xs: Sequence
    before: State
    after: State
    reverse: bool


@dataclasses.dataclass(frozen=True, repr=False)
class Observed(Recurrence):
    """Runs a part that steps through time, in sight."""

    inner: Recurrence

    def init(self, key: KeyArray, input_size: int) -> Params:
        """Does as the inner recurrence."""
        return self.inner.init(key, input_size)

    def output_size(self, input_size: int) -> int:
        """Does as the inner recurrence."""
        return self.inner.output_size(input_size)

    def scan(
        self,
        params: Params,
        xs: Sequence,
        state: State,
        how: Pass = Pass(),  # noqa: B008
    ) -> tuple[State, Outputs]:
        """Runs a whole sequence: in the place of the last state comes a `Sighting`."""
        probed = lambda leaf: isinstance(leaf, Probed)  # noqa: E731
        first = jax.tree.map(lambda leaf: leaf.state, state, is_leaf=probed)
        probes = jax.tree.map(lambda leaf: leaf.probes, state, is_leaf=probed)
        start = self.inner.initial_state(params, xs.shape[1:-1], xs.dtype)

        def advance(
            state: State, inputs: tuple[Any, ...]
        ) -> tuple[State, tuple[State, State, Array]]:
            t, x, starts, rng, probe = inputs
            # Where a new sequence starts, from the beginning.
            before = state if starts is None else select(starts, start, state)
            after, y = self.inner.step(params, before, x, rng=rng)
            after = jax.tree.map(jnp.add, after, probe)
            # The output becomes a function of the probed state, where the part can say which.
            seen = self.inner.read(params, after, x)
            if seen is not None and reads_own_step(self.inner):
                y = seen.astype(y.dtype)
            if how.lengths is not None:
                valid = t < how.lengths
                # Past a row's end the state is held and the output is 0.
                after, y = select(valid, after, state), select(valid, y, jnp.zeros_like(y))
            return after, (before, after, y)

        time = xs.shape[0]
        inputs = (jnp.arange(time), xs, how.starts(time), how.rngs, probes)
        _, (before, after, ys) = lax.scan(advance, first, inputs, reverse=how.reverse)
        return Sighting(self.inner, params, xs, before, after, how.reverse), ys


def reads_own_step(recurrence: Recurrence) -> bool:
    """Tells whether `read` was written for the step that runs, not for one that a subclass replaced."""
    bases = type(recurrence).__mro__
    steps = [place for place, base in enumerate(bases) if "step" in vars(base)]
    read = next(place for place, base in enumerate(bases) if "read" in vars(base))
    # The last step is the one that `Recurrence` leaves open.
    return read <= steps[0] or len(steps) <= 2


def observe(
    recurrence: Recurrence,
    params: Params,
    xs: ArrayLike,
    lengths: ArrayLike | None = None,
    probes: State | None = None,
) -> tuple[Any, jax.Array]:
    """Runs a recurrence and keeps every state of every part.

    Args:
      recurrence: any; dropout is off.
      params: its parameters.
      xs: `[*batch, time, features]`.
      lengths: valid steps of each row, `[*batch]`.
      probes: added to the states after each step, from `zero_probes`; None for nothing.

    Returns:
      The recurrence's state with a `Sighting` in the place of each part's, and the outputs
      `[*batch, time, ...]`.
    """
    # [time, *batch, features]
    xs = jnp.moveaxis(jnp.asarray(xs), -2, 0)
    probes = zero_probes(recurrence, params, xs) if probes is None else probes
    if lengths is not None:
        lengths = checked_lengths(lengths, xs.shape[1:-1], xs.shape[0])
        xs = jnp.where(valid_steps(xs.shape[0], lengths)[..., None], xs, 0)
    state = recurrence.initial_state(params, xs.shape[1:-1], xs.dtype)
    state = jax.tree.map(Probed, state, probes)
    seen, ys = in_sight(recurrence).scan(params, xs, state, Pass(lengths, backend="scan"))
    return seen, jnp.moveaxis(ys, 0, -2)


def zero_probes(recurrence: Recurrence, params: Params, xs: Sequence) -> State:
    """Makes zeros in the shape of the state with time in front, for time-major inputs."""
    state = jax.eval_shape(lambda p: recurrence.initial_state(p, xs.shape[1:-1], xs.dtype), params)
    return jax.tree.map(lambda leaf: jnp.zeros((len(xs), *leaf.shape), leaf.dtype), state)


def in_sight(recurrence: Recurrence) -> Recurrence:
    """Returns the same recurrence with each part that steps through time observed.

    Raises:
      ValueError: a part that reads the future is not made of others, so that there is no step to
        observe.
    """
    if found := parts(recurrence):
        seen = {name: _parts_in_sight(part) for name, part in found.items()}
        return dataclasses.replace(recurrence, **seen)  # pyright: ignore[reportArgumentType]
    # A wrapper without a scan of its own, such as zoneout, steps for its part.
    if not recurrence.causal:
        raise ValueError(
            f"{recurrence} reads the future and has no parts that step, "
            "so its states cannot be observed"
        )
    return Observed(recurrence)


def _parts_in_sight(part: Any) -> Any:
    """Observes a recurrence, or each of a tuple of them."""
    return tuple(map(in_sight, part)) if isinstance(part, tuple) else in_sight(part)


def sightings(seen: Any) -> dict[str, Sighting]:
    """Returns each part's sighting by its place: `layer_0/forward`, or "" for a sole part."""
    parts = jax.tree.leaves_with_path(seen, is_leaf=lambda leaf: isinstance(leaf, Sighting))
    return {"/".join(map(_word, path)): sighting for path, sighting in parts}


def states(seen: Any) -> State:
    """Returns the states after each step, as a state whose leaves are `[time, *batch, ...]`."""
    is_sighting = lambda leaf: isinstance(leaf, Sighting)  # noqa: E731
    return jax.tree.map(lambda sighting: sighting.after, seen, is_leaf=is_sighting)


def by_name(state: State) -> dict[str, jax.Array]:
    """Returns a state's leaves by name, such as `layer_0/c`; a state of one array is `h`."""
    named = {}
    for path, leaf in jax.tree.leaves_with_path(state):
        words = [_word(key) for key in path]
        in_a_tuple = not path or isinstance(path[-1], SequenceKey)
        bare = in_a_tuple or words[-1] in BidirectionalState._fields
        if bare:
            words.append("h")
        named["/".join(words)] = leaf
    return named


def _word(key: Any) -> str:
    if isinstance(key, SequenceKey):
        return f"layer_{key.idx}"
    return keystr((key,), simple=True)


def valid_steps(time: int, lengths: Lengths) -> jax.Array:
    """Returns True where a step is within its row, `[time, *batch]`."""
    return jnp.arange(time).reshape(time, *(1,) * lengths.ndim) < lengths[None]
