"""Any cell's own step, with the gradients of its weights computed after the loop.

Plain autodiff of a scan adds up the gradient of the weights inside the loop, one small product and
one pass over the whole matrix a step, and keeps whatever the derivative of a step asks for. Here a
step keeps the state before it and the results of its products with weights. The loop back through
time computes all else again, element by element, and yields the gradients of those results; the
gradients of weights and inputs are single products over time and batch after it. What the inputs
alone are multiplied with is taken out of the loop both ways.

What `seqjax.kernels.fused` says by hand of the classic cells is found here by tracing the step: it
serves every cell whose step multiplies by `seqjax.kernels.products.product`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array

from seqjax.checks import REMEMBERED
from seqjax.kernels.products import cut, met_by, multiply
from seqjax.recurrence import Pass, Recurrence, advancing
from seqjax.typing import (
    Frame,
    Lengths,
    Output,
    Outputs,
    Params,
    Reset,
    Sequence,
    State,
    StepKeys,
)

Static: TypeAlias = tuple[Recurrence, bool]
"""The cell, and whether the last step is read first."""


class Marks(NamedTuple):
    """What a pass says of its steps beside the inputs, see `seqjax.recurrence.Pass`."""

    lengths: Lengths | None
    starts: Reset | None
    rngs: StepKeys | None


class Site(NamedTuple):
    """A product that a step makes.

    Attributes:
      weight: place of the weight among the leaves of the params.
      columns: those that count.
      dtype: of the sums.
      of_input: whether the step's input is multiplied, as it is.
    """

    weight: int
    columns: slice
    dtype: Any
    of_input: bool

    def times(self, x: Array, w: Array) -> Array:
        """Multiplies by the weight, of one step or of all."""
        return multiply(x, cut(w, self.columns), self.dtype)


class Survey(NamedTuple):
    """What tracing a step tells.

    Attributes:
      sites: its products, in the order in which they are made.
      reads: places of the leaves of the params that the step, or the state that a reset returns to,
        reads beside its products.
      reads_input: whether it reads the input beside them.
    """

    sites: tuple[Site, ...]
    reads: tuple[int, ...]
    reads_input: bool


class Met:
    """Answers the products of one step, by their order.

    Attributes:
      inputs: what was multiplied at each site; None where it is the step's input.
      results: what came of it; None there too.
    """

    def __init__(
        self, params: Params, sites: tuple[Site, ...], cuts: list, known: list[Array | None]
    ) -> None:
        """Begins a step.

        Args:
          params: as the step is given them.
          sites: its products.
          cuts: the part of the weight that counts in each.
          known: the result of each; None where it is to be computed.
        """
        self._weights = jax.tree.leaves(params)
        self._trace = get_opaque_trace_state()
        self._left = zip(sites, cuts, known, strict=True)
        self.inputs: list[Array | None] = []
        self.results: list[Array | None] = []

    def __call__(self, x: Array, w: Array, dtype: Any, columns: slice) -> Array | None:
        """Answers the next product; None for one inside a loop or another transformation."""
        if get_opaque_trace_state() != self._trace or _place(w, self._weights) is None:
            return None
        site, part, known = next(self._left)
        result: Any
        if known is None:
            result = multiply(x, part, dtype)
        else:
            result = known if site.of_input else _known(dtype, x, part, known)
        self.inputs.append(None if site.of_input else x)
        self.results.append(None if site.of_input else result)
        return result


def scan(
    cell: Recurrence, params: Params, xs: Sequence, state: State, how: Pass
) -> tuple[State, Outputs]:
    """Runs a cell that `serves` tells of over time; `remat` must be `"none"`.

    Returns:
      The state after the last step read, and the outputs `[time, *batch, outputs]`.
    """
    marks = Marks(how.lengths, how.starts(xs.shape[0]), how.rngs)
    return _scan((cell, how.reverse), params, xs, state, marks)


def serves(cell: Recurrence, params: Params, xs: Sequence, state: State) -> bool:
    """Tells whether a step multiplies by its weights, and reads matrices in no other way."""
    if not all(isinstance(size, int) for size in xs.shape):
        return False
    found, leaves = _surveyed(cell, params, xs, state), jax.tree.leaves(params)
    return bool(found.sites) and all(leaves[place].ndim < 2 for place in found.reads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(
    static: Static, params: Params, xs: Sequence, state: State, marks: Marks
) -> tuple[State, Outputs]:
    cell, reverse = static
    sites = _surveyed(cell, params, xs, state).sites
    cuts, advance = _cuts(sites, params), _advance(cell, params, xs, marks.lengths)

    def step(before: State, given: tuple) -> tuple[State, Output]:
        with met_by(Met(params, sites, cuts, [None] * len(sites))):
            return advance(before, given)

    return lax.scan(step, state, _given(xs, marks), reverse=reverse)


def _forward(
    static: Static, params: Params, xs: Sequence, state: State, marks: Marks
) -> tuple[tuple[State, Outputs], tuple]:
    """Computes the outputs, and beside them what `_backward` reads."""
    cell, reverse = static
    sites = _surveyed(cell, params, xs, state).sites
    cuts, advance = _cuts(sites, params), _advance(cell, params, xs, marks.lengths)
    # For all steps at once, [time, *batch, columns]; None where the loop must come first.
    ahead = [
        multiply(xs, part, site.dtype) if site.of_input else None
        for site, part in zip(sites, cuts, strict=True)
    ]

    def step(before: State, given: tuple) -> tuple[State, tuple]:
        inputs, ahead = given
        met = Met(params, sites, cuts, ahead)
        with met_by(met):
            after, y = advance(before, inputs)
        return after, (y, before, met.results)

    given = _given(xs, marks), ahead
    after, (ys, earlier, made) = lax.scan(step, state, given, reverse=reverse)
    results = [a if b is None else b for a, b in zip(ahead, made, strict=True)]
    return (after, ys), (params, xs, state, marks, earlier, results)


def _backward(static: Static, remembered: tuple, grads: tuple[State, Outputs]) -> tuple:
    """Computes the gradients of params, inputs and first state; the marks have none."""
    cell, reverse = static
    params, xs, state, marks, earlier, results = remembered
    sites, reads, reads_input = _surveyed(cell, params, xs, state)
    cuts, (weights, structure) = _cuts(sites, params), jax.tree.flatten(params)

    def step(d_after: State, given: tuple) -> tuple[State, tuple]:
        (t, x, *rest), before, results, dy = given

        def run(own: list, before: State, x: Frame, results: list) -> tuple:
            params = structure.unflatten(_placed(own, reads, weights))
            advance = _advance(cell, params, xs, marks.lengths)
            met = Met(params, sites, cuts, results)
            with met_by(met):
                after = advance(before, (t, x, *rest))
            return after, met.inputs

        own = [weights[place] for place in reads]
        _, pull, inputs = jax.vjp(run, own, before, x, results, has_aux=True)
        d_own, d_before, d_x, d_results = pull((d_after, dy))
        # Sums of products send one gradient to all of them: it is written once.
        twins[:] = [_place(d_result, d_results) for d_result in d_results]
        written = [d_results[place] for place in sorted(set(twins))]
        return d_before, (d_own, d_x if reads_input else None, written, inputs)

    twins: list[Any] = []
    given = _given(xs, marks), earlier, results, grads[1]
    # Against the direction of reading.
    d_state, of_steps = lax.scan(step, grads[0], given, reverse=not reverse)
    d_own, d_xs, written, inputs = of_steps
    d_results = [written[sorted(set(twins)).index(place)] for place in twins]
    # The shares of each gradient; of what is read beside the products, those of all steps.
    shares: list[list] = [[] for _ in weights]
    for place, d_leaf in zip(reads, d_own, strict=True):
        shares[place].append(d_leaf.sum(0))
    shares_of_xs = [d_xs] if reads_input else []
    for site, x, d_result in zip(sites, inputs, d_results, strict=True):
        # Over time and batch at once.
        _, pull = jax.vjp(site.times, xs if site.of_input else x, weights[site.weight])
        d_multiplied, d_weight = pull(d_result)
        shares[site.weight].append(d_weight)
        if site.of_input:
            shares_of_xs.append(d_multiplied)
    d_weights = [_sum(*both) for both in zip(shares, weights, strict=True)]
    return structure.unflatten(d_weights), _sum(shares_of_xs, xs), d_state, None


_scan.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _known(dtype: Any, x: Array, w: Array, result: Array) -> Array:
    """Returns `multiply(x, w, dtype)`, which is known; its derivative is that of the product."""
    return result


def _known_forward(dtype: Any, x: Array, w: Array, result: Array) -> tuple[Array, tuple]:
    return result, (x, w)


def _known_backward(dtype: Any, multiplied: tuple, d_result: Array) -> tuple:
    _, pull = jax.vjp(functools.partial(multiply, dtype=dtype), *multiplied)
    # The gradient of the result itself is what the loop back is after.
    return (*pull(d_result), d_result)


_known.defvjp(_known_forward, _known_backward)


def _surveyed(cell: Recurrence, params: Params, xs: Sequence, state: State) -> Survey:
    """Traces a step on arrays like the given ones."""
    x = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
    leaves, structure = jax.tree.flatten((params, state, x))
    like = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return _survey(cell, structure, like)


@functools.lru_cache(maxsize=REMEMBERED)
def _survey(cell: Recurrence, structure: Any, like: tuple[jax.ShapeDtypeStruct, ...]) -> Survey:
    sites = []

    def step(params: Params, state: State, x: Frame) -> tuple[State, State, Output]:
        weights, trace = jax.tree.leaves(params), get_opaque_trace_state()

        def meet(multiplied: Array, w: Array, dtype: Any, columns: slice) -> Array | None:
            place = _place(w, weights)
            # What is multiplied inside a loop, a branch or `jax.vmap` cannot leave it.
            if place is None or get_opaque_trace_state() != trace:
                return None
            sites.append(Site(place, columns, dtype, of_input=multiplied is x))
            result = jax.eval_shape(sites[-1].times, multiplied, w)
            # Depends on nothing: what the step still reads it reads beside its products.
            return jnp.zeros(result.shape, result.dtype)

        start = cell.initial_state(params, x.shape[:-1], x.dtype)
        with met_by(meet):
            return start, *cell.step(params, state, x)

    params, state, x = structure.unflatten(like)
    traced = jax.make_jaxpr(step)(params, state, x).jaxpr
    read = {id(value) for equation in traced.eqns for value in equation.invars}
    read |= {id(value) for value in traced.outvars}
    *of_params, of_x = [id(value) in read for value in traced.invars]
    reads = [place for place, _ in enumerate(jax.tree.leaves(params)) if of_params[place]]
    return Survey(tuple(sites), tuple(reads), of_x)


def _place(wanted: Array, among: list) -> int | None:
    """Returns where an array stands first, as it is; None where it does not."""
    return next((place for place, leaf in enumerate(among) if leaf is wanted), None)


def _placed(leaves: list, places: tuple[int, ...], among: list) -> list:
    """Puts leaves in the places of others."""
    found = list(among)
    for place, leaf in zip(places, leaves, strict=True):
        found[place] = leaf
    return found


def _cuts(sites: tuple[Site, ...], params: Params) -> list[Array]:
    """Returns the part of the weight that counts at each site: what the loop need not cut."""
    weights = jax.tree.leaves(params)
    return [cut(weights[site.weight], site.columns) for site in sites]


def _advance(cell: Recurrence, params: Params, xs: Sequence, lengths: Lengths | None) -> Callable:
    """Returns the body of the loop."""
    start = cell.initial_state(params, xs.shape[1:-1], xs.dtype)
    return advancing(functools.partial(cell.step, params), start, lengths)


def _given(xs: Sequence, marks: Marks) -> tuple:
    """Returns what the body reads, `[time, ...]`."""
    return jnp.arange(xs.shape[0], dtype=jnp.int32), xs, marks.starts, marks.rngs


def _sum(shares: list[Array], like: Array) -> Array:
    """Adds arrays; zeros where there are none."""
    return functools.reduce(jnp.add, shares) if shares else jnp.zeros_like(like)
