"""Second derivatives of every recurrence: nestings of vmap with JAX's derivatives, against the plain scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from tests.recurrences import INPUT_SIZE, RECURRENCES, assert_close, draw_inputs, draw_params, each

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS = TIME = (
    2  # the same, so that a mapped axis in the place of time fits, and is seen by the numbers alone
)

QUICK = {name: RECURRENCES[name] for name in ("elman_tanh", "lru")}
"""One of those with compiled kernels and one of the linear ones, which compile soonest."""

OTHERS = {
    name: RECURRENCES[name]
    for name in (
        "lstm",
        "gru_after",
        "min_gru",
        "min_lstm",
        "mlstm",
        "slstm",
        "lstm_all",
        "bidirectional_concat",
        "dropout",
        "gated_lru",
    )
}


def energy(recurrence, backend):
    """A function of params and inputs, of which no derivative is constant."""

    def of(params, xs):
        state, ys = seqjax.unroll(recurrence, params, xs, backend=backend)
        return jnp.sin(ys).sum() + sum(
            jnp.square(jnp.abs(leaf)).sum() for leaf in jax.tree.leaves(state)
        )

    return of


def penalty(f, params, xs):
    """Gradient penalty: the gradient of mapped gradients."""
    return jax.grad(lambda p: jnp.square(jax.vmap(jax.grad(f, 1), (None, 0))(p, xs)).mean())(params)


def adapted(f, params, xs):
    """One step of MAML: the gradient through a gradient step of each task's own."""

    def after_step(p, x):
        return f(jax.tree.map(lambda a, da: a - 0.1 * da, p, jax.grad(f)(p, x)), x)

    return jax.grad(lambda p: jax.vmap(after_step, (None, 0))(p, xs).sum())(params)


NESTINGS = {
    "grad of vmap of grad": penalty,
    "grad of vmap of a step": adapted,
    "hessian": lambda f, p, xs: jax.hessian(f, 1)(p, xs[:1]),
    "jacrev of jacrev": lambda f, p, xs: jax.jacrev(jax.jacrev(f, 1), 1)(p, xs[0]),
    "hessian of vmap": lambda f, p, xs: jax.hessian(lambda x: jax.vmap(f, (None, 0))(p, x).sum())(
        xs
    ),
    "vmap of hessian": lambda f, p, xs: jax.vmap(jax.hessian(f, 1), (None, 1))(p, xs),
    "jacfwd of vmap of jacrev": lambda f, p, xs: jax.jacfwd(
        lambda x: jax.vmap(jax.jacrev(f, 1), (None, 0))(p, x)
    )(xs),
    "jvp of vmap of grad": lambda f, p, xs: jax.jvp(
        lambda x: jax.vmap(jax.grad(f, 1), (None, 0))(p, x), (xs,), (xs,)
    ),
    "vmap of jvp of grad": lambda f, p, xs: jax.vmap(
        lambda x: jax.jvp(lambda p: jax.grad(f)(p, x), (p,), (p,)), out_axes=1
    )(xs),
    "vjp of vmap of vmap of grad": lambda f, p, xs: jax.vjp(
        lambda x: jax.vmap(jax.vmap(jax.grad(f, 1), (None, 0)), (None, 1))(p, x[None]), xs
    )[1](jnp.ones((ROWS, 1, TIME, INPUT_SIZE))),
    "grad of vmap over params of grad": lambda f, p, xs: jax.grad(
        lambda x: jnp.square(
            jax.vmap(jax.grad(f, 1), (0, None))(jax.tree.map(lambda a: jnp.stack([a, -a]), p), x)
        ).sum()
    )(xs),
}


def compared(nesting, recurrence, backend="auto"):
    params, xs = draw_params(recurrence), draw_inputs((ROWS, TIME))
    run = lambda backend: jax.jit(lambda p, xs: nesting(energy(recurrence, backend), p, xs))(  # noqa: E731
        params, xs
    )
    got, wanted = run(backend), run("scan")
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(wanted)) > 1e-3, (
        "a test of zeros"
    )
    assert_close(got, wanted, 1e-4)


@each(QUICK)
@pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS.keys())
def test_every_nesting(recurrence, nesting):
    compared(nesting, recurrence)


@each(OTHERS)
def test_every_recurrence(recurrence):
    compared(NESTINGS["jvp of vmap of grad"], recurrence)


@each({name: RECURRENCES[name] for name in ("lstm", "min_lstm", "gru_before")})
def test_hessian(recurrence):
    compared(NESTINGS["hessian"], recurrence)


@each({"min_gru": RECURRENCES["min_gru"], "lru": RECURRENCES["lru"]})
def test_linear_recurrences_are_differentiated_forwards(recurrence):
    """The only ones that are, beside the plain scan."""
    compared(
        lambda f, p, xs: jax.jacfwd(lambda x: jax.vmap(jax.jacfwd(f, 1), (None, 0))(p, x))(xs),
        recurrence,
    )


def test_gradient_penalty_of_a_gru():
    """The number that the plain scan gave when this was written."""
    gru, xs = seqjax.GRU(5), jax.random.normal(jax.random.key(1), (4, 4, 3))
    penalty_of = lambda backend: penalty(  # noqa: E731
        lambda p, x: jnp.sin(seqjax.unroll(gru, p, x, backend=backend)[1]).sum(),
        gru.init(jax.random.key(0), 3),
        xs,
    )
    np.testing.assert_allclose(penalty_of("auto")["w_h"].sum(), 0.33133, rtol=1e-4)
