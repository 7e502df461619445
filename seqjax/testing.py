"""`check_laws`: what every recurrence promises, as a test that anyone runs on their own cell.

def test_my_cell():
seqjax.testing.check_laws(MyCell(8))
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.recurrence import Recurrence
from seqjax.typing import Params, State
from seqjax.unrolling import unroll

TIME, SPLIT = 6, 3
LENGTHS = (TIME, 0, SPLIT, 1)
"""Of the rows that the laws are tried on: a whole one, none, and two with padding."""


def check_laws(
    recurrence: Recurrence,
    *,
    input_size: int = 3,
    seed: int = 0,
    tolerance: float = 1e-5,
) -> None:
    """Checks the eight laws of a recurrence on random parameters, inputs and states.

    1. `unroll` is the fold of `step`. 2. Splitting time changes nothing. 3. A row does not depend
    on its batch. 4. Padding changes neither values nor gradients; outputs there are 0, and a row of
    length 0 keeps its state. 5. A reset is a fresh start. 6. `reverse` reads each row backwards
    from its own end. 7. Permuting the batch permutes the result. 8. Eager, jit and vmap agree.
    Those that speak of steps and states in mid-sequence are left out where it is not causal.

    Args:
      recurrence: what is checked.
      input_size: features of its inputs.
      seed: of what is drawn.
      tolerance: largest difference of two numbers that should be equal, relative and absolute.

    Raises:
      AssertionError: a law is broken; says which, and by how much.

    Example:
      >>> import seqjax, seqjax.testing
      >>> seqjax.testing.check_laws(seqjax.GRU(4))
    """
    case = _Case(recurrence, input_size, seed, tolerance)
    if recurrence.causal:
        case.check_fold()
        case.check_split()
    case.check_rows()
    case.check_padding()
    case.check_gradients()
    case.check_reset()
    case.check_reverse()
    case.check_permutation()
    case.check_transformations()


class _Case:
    """Random arguments of one recurrence; each method checks a law."""

    def __init__(self, recurrence: Recurrence, input_size: int, seed: int, tolerance: float):
        self.recurrence, self.tolerance = recurrence, tolerance
        draw = np.random.default_rng(seed)
        rows = len(LENGTHS)
        params = recurrence.init(jax.random.key(seed), input_size)
        self.params = jax.tree.map(functools.partial(_moved, draw), params)
        self.xs = jnp.asarray(draw.normal(size=(rows, TIME, input_size)), jnp.float32)
        fresh = recurrence.initial_state(self.params, (rows,), jnp.float32)
        self.state = jax.tree.map(functools.partial(_moved, draw), fresh)
        self.lengths = jnp.array(LENGTHS)
        self.valid = jnp.arange(TIME)[None, :] < self.lengths[:, None]

    def unroll(self, xs: Any, state: State | None, **options: Any) -> tuple[State, Any]:
        """The recurrence over whole sequences."""
        return unroll(self.recurrence, self.params, xs, state, **options)

    def same(self, law: str, found: Any, wanted: Any) -> None:
        """Compares two pytrees."""
        assert jax.tree.structure(found) == jax.tree.structure(wanted), f"{law}: other containers"
        for (path, a), b in zip(
            jax.tree.leaves_with_path(found), jax.tree.leaves(wanted), strict=True
        ):
            assert a.shape == b.shape, f"{law}: shapes {a.shape} and {b.shape}"
            np.testing.assert_allclose(
                a,
                b,
                rtol=self.tolerance,
                atol=self.tolerance,
                err_msg=f"{self.recurrence!r}: {law}{jax.tree_util.keystr(path)}",
            )

    def check_fold(self) -> None:
        """Law 1."""
        state, ys = self.state, []
        for t in range(TIME):
            state, y = self.recurrence.step(self.params, state, self.xs[:, t])
            ys.append(y)
        found = self.unroll(self.xs, self.state)
        self.same("law 1, unroll is the fold of step", found, (state, jnp.stack(ys, 1)))

    def check_split(self) -> None:
        """Law 2."""
        state, first = self.unroll(self.xs[:, :SPLIT], self.state)
        state, rest = self.unroll(self.xs[:, SPLIT:], state)
        parts = state, jnp.concatenate([first, rest], axis=1)
        self.same("law 2, time may be split", parts, self.unroll(self.xs, self.state))

    def check_rows(self) -> None:
        """Law 3."""
        state, ys = self.unroll(self.xs, self.state, lengths=self.lengths)
        for row, length in enumerate(LENGTHS):
            if not length:
                continue
            alone = self.unroll(self.xs[row, :length], _row(self.state, row))
            found = _row(state, row), ys[row, :length]
            self.same("law 3, a row does not depend on its batch", found, alone)

    def check_padding(self) -> None:
        """Law 4, values."""
        state, ys = self.unroll(self.xs, self.state, lengths=self.lengths)
        garbage = jnp.where(self.valid[..., None], self.xs, jnp.nan)
        found = self.unroll(garbage, self.state, lengths=self.lengths)
        self.same("law 4, padding is ignored", found, (state, ys))
        outside = jnp.where(self.valid[..., None], 0, ys)
        self.same("law 4, outputs in the padding are 0", outside, jnp.zeros_like(ys))
        empty = LENGTHS.index(0)
        self.same("law 4, no step keeps the state", _row(state, empty), _row(self.state, empty))

    def check_gradients(self) -> None:
        """Law 4, gradients."""

        def total(params: Params, xs: Any, state: State) -> jax.Array:
            state, ys = unroll(self.recurrence, params, xs, state, lengths=self.lengths)
            leaves = [jnp.real(leaf) for leaf in jax.tree.leaves((state, ys))]
            return sum((jnp.sin(leaf).sum() for leaf in leaves), jnp.zeros(()))

        gradient = jax.jit(jax.grad(total, argnums=(0, 1, 2)))
        clean = gradient(self.params, jnp.where(self.valid[..., None], self.xs, 0), self.state)
        garbage = jnp.where(self.valid[..., None], self.xs, jnp.nan)
        found = gradient(self.params, garbage, self.state)
        self.same("law 4, padding does not reach gradients", found, clean)

    def check_reset(self) -> None:
        """Law 5."""
        reset = jnp.zeros((len(LENGTHS), TIME), bool).at[:, SPLIT].set(True)
        # What reads backwards begins with the given state after the reset.
        before = self.state if self.recurrence.causal else None
        state, ys = self.unroll(self.xs, before, reset=reset)
        fresh = self.unroll(self.xs[:, SPLIT:], None)
        self.same("law 5, a reset is a fresh start", ys[:, SPLIT:], fresh[1])
        if self.recurrence.causal:
            self.same("law 5, a reset is a fresh start", state, fresh[0])

    def check_reverse(self) -> None:
        """Law 6."""
        state, ys = self.unroll(self.xs, self.state, lengths=self.lengths, reverse=True)
        for row, length in enumerate(LENGTHS):
            if not length:
                continue
            turned = self.xs[row, :length][::-1]
            last, zs = self.unroll(turned, _row(self.state, row))
            found = _row(state, row), ys[row, :length]
            self.same("law 6, reverse reads a row from its own end", found, (last, zs[::-1]))

    def check_permutation(self) -> None:
        """Law 7."""
        order = np.array([2, 0, 3, 1])
        state, ys = self.unroll(self.xs, self.state, lengths=self.lengths)
        found = self.unroll(self.xs[order], _row(self.state, order), lengths=self.lengths[order])
        self.same("law 7, the batch may be permuted", found, (_row(state, order), ys[order]))

    def check_transformations(self) -> None:
        """Law 8."""
        wanted = self.unroll(self.xs, self.state)
        self.same("law 8, jit agrees", jax.jit(self.unroll)(self.xs, self.state), wanted)
        self.same("law 8, vmap agrees", jax.vmap(self.unroll)(self.xs, self.state), wanted)
        with jax.disable_jit():
            self.same("law 8, eager agrees", self.unroll(self.xs, self.state), wanted)


def _moved(draw: np.random.Generator, leaf: Any) -> Any:
    """Adds noise, so that nothing is 0 or 1 by chance."""
    noise = 0.3 * draw.normal(size=leaf.shape)
    return leaf + jnp.asarray(noise, leaf.dtype)


def _row(tree: Any, row: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[row], tree)
