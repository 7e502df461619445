import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.models.rows import by_rows


def contracted(jaxpr):
    """Returns how many axes each product sums over."""
    found = [
        eqn.params["dimension_numbers"][0][0]
        for eqn in jaxpr.eqns
        if "dot_general" in str(eqn.primitive)
    ]
    return [len(axes) for axes in found]


def test_gradient_sums_over_one_axis():
    x, w = jnp.ones((3, 4, 5)), jnp.ones((5, 7))
    plain = jax.make_jaxpr(jax.grad(lambda w: jnp.sin(x @ w).sum()))(w)
    flat = jax.make_jaxpr(jax.grad(lambda w: jnp.sin(by_rows(lambda x: x @ w, x)).sum()))(w)
    assert max(contracted(plain.jaxpr)) == 2
    assert max(contracted(flat.jaxpr)) == 1


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 0, 5)])
def test_equals_the_layer(shape, getkey):
    x, w = jax.random.normal(getkey(), shape), jax.random.normal(getkey(), (5, 7))
    found = by_rows(lambda rows: rows @ w, x)
    assert found.shape == (*shape[:-1], 7)
    np.testing.assert_allclose(found, x @ w, rtol=1e-5, atol=1e-6)
