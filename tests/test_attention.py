import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import attention
from seqjax.attention import masked_softmax

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_it_is_the_softmax_of_what_is_valid(getkey):
    scores = jax.random.normal(getkey(), (3, 5))
    np.testing.assert_allclose(masked_softmax(scores), jax.nn.softmax(scores), rtol=1e-6)
    mask = np.arange(5) < np.array([5, 3, 1])[:, None]
    weights = masked_softmax(scores, mask)
    for row, length in enumerate((5, 3, 1)):
        np.testing.assert_allclose(
            weights[row, :length], jax.nn.softmax(scores[row, :length]), rtol=1e-6
        )
        assert (weights[row, length:] == 0).all()


def test_what_is_masked_may_be_anything_and_large_scores_do_not_overflow():
    scores = jnp.array([[1e30, jnp.nan, -1e30, jnp.inf]])
    mask = jnp.array([[True, False, True, False]])
    np.testing.assert_array_equal(masked_softmax(scores, mask), [[1, 0, 0, 0]])
    gradient = jax.grad(lambda s: (masked_softmax(s, mask) * jnp.arange(4.0)[None]).sum())(scores)
    assert np.isfinite(gradient).all() and gradient[0, 1] == 0 == gradient[0, 3]


def test_a_row_with_nothing_valid_has_weights_and_gradient_zero(getkey):
    scores = jax.random.normal(getkey(), (2, 4))
    mask = jnp.array([[True] * 4, [False] * 4])
    loss = lambda s: (masked_softmax(s, mask) ** 2).sum()  # noqa: E731
    assert (masked_softmax(scores, mask)[1] == 0).all()
    gradient = jax.grad(loss)(scores)
    assert np.isfinite(gradient).all() and (gradient[1] == 0).all() and (gradient[0] != 0).any()
    assert masked_softmax(jnp.zeros((2, 0))).shape == (2, 0)


ROWS, STEPS, POSITIONS, SIZE, UNITS = 2, 3, 4, 6, 5
MASK = np.array([[True] * 4, [True, True, False, False]])
WEIGHTS = {
    "w": (SIZE, SIZE),
    "both": (2 * SIZE, UNITS),
    "w_query": (SIZE, UNITS),
    "v": (UNITS,),
    "filters": (3, 2),
    "w_location": (2, UNITS),
    "before": (ROWS, STEPS, POSITIONS),
    "coverage": (ROWS, STEPS, POSITIONS),
}


def draw(seed=0):
    """Queries, a memory, keys of `UNITS` features, and weights."""
    rng = np.random.default_rng(seed)
    shapes = {
        "query": (ROWS, STEPS, SIZE),
        "memory": (ROWS, POSITIONS, SIZE),
        "keys": (ROWS, POSITIONS, UNITS),
    }
    return {name: rng.normal(size=shape) for name, shape in (shapes | WEIGHTS).items()}


def location_score(a, r, t, p):
    seen = [a["before"][r, t, p + d] if 0 <= p + d < POSITIONS else 0.0 for d in (-1, 0, 1)]
    inner = (
        a["query"][r, t] @ a["w_query"] + a["keys"][r, p] + seen @ a["filters"] @ a["w_location"]
    )
    return a["v"] @ np.tanh(inner)


def coverage_score(a, r, t, p):
    inner = (
        a["query"][r, t] @ a["w_query"]
        + a["keys"][r, p]
        + a["coverage"][r, t, p] * np.arange(UNITS)
    )
    return a["v"] @ np.tanh(inner)


SCORES = {
    "dot": (lambda a, r, t, p: a["query"][r, t] @ a["memory"][r, p], "memory", ()),
    "scaled_dot": (
        lambda a, r, t, p: a["query"][r, t] @ a["memory"][r, p] / np.sqrt(SIZE),
        "memory",
        (),
    ),
    "general": (
        lambda a, r, t, p: a["query"][r, t] @ a["w"].T @ a["memory"][r, p],
        "memory",
        ("w",),
    ),
    "concat": (
        lambda a, r, t, p: (
            a["v"] @ np.tanh(np.concatenate([a["query"][r, t], a["memory"][r, p]]) @ a["both"])
        ),
        "memory",
        ("both", "v"),
    ),
    "additive": (
        lambda a, r, t, p: a["v"] @ np.tanh(a["query"][r, t] @ a["w_query"] + a["keys"][r, p]),
        "keys",
        ("w_query", "v"),
    ),
    "location_sensitive": (
        location_score,
        "keys",
        ("before", "w_query", "v", "filters", "w_location"),
    ),
}


def by_hand(score, values):
    """One query after another: softmax of the valid positions' scores, the mean of their values."""
    contexts, weights = (
        np.zeros((ROWS, STEPS, values.shape[-1])),
        np.zeros((ROWS, STEPS, POSITIONS)),
    )
    for r in range(ROWS):
        for t in range(STEPS):
            valid = np.flatnonzero(MASK[r])
            raised = np.exp([score(r, t, p) for p in valid])
            weights[r, t, valid] = raised / raised.sum()
            contexts[r, t] = sum(weights[r, t, p] * values[r, p] for p in valid)
    return contexts, weights


@pytest.mark.parametrize("name", SCORES)
def test_each_score_is_its_formula(x64, name):
    a = draw()
    score, keys, names = SCORES[name]
    given = {{"both": "w"}.get(n, n): jnp.asarray(a[n]) for n in names}
    found = getattr(attention, name)(
        *map(jnp.asarray, (a["query"], a[keys], a["memory"], MASK)), **given
    )
    wanted = by_hand(lambda r, t, p: score(a, r, t, p), a["memory"])
    np.testing.assert_allclose(found.context, wanted[0], rtol=1e-9)
    np.testing.assert_allclose(found.weights, wanted[1], rtol=1e-9)


def test_coverage_goes_beside_query_and_key(x64):
    a = draw()
    found = attention.additive(
        *map(jnp.asarray, (a["query"], a["keys"], a["memory"], MASK)),
        w_query=jnp.asarray(a["w_query"]),
        v=jnp.asarray(a["v"]),
        beside=jnp.asarray(a["coverage"][..., None] * np.arange(float(UNITS))),
    )
    wanted = by_hand(lambda r, t, p: coverage_score(a, r, t, p), a["memory"])
    np.testing.assert_allclose(found.weights, wanted[1], rtol=1e-9)


def test_heads_look_by_themselves_and_stand_side_by_side(x64):
    a = draw()
    found = attention.multi_head(
        *map(jnp.asarray, (a["query"], a["memory"], a["memory"], MASK)), heads=2
    )
    for head, part in enumerate((slice(0, 3), slice(3, 6))):
        score = lambda r, t, p, s=part: a["query"][r, t, s] @ a["memory"][r, p, s] / np.sqrt(3)  # noqa: E731
        context, weights = by_hand(score, a["memory"][..., part])
        np.testing.assert_allclose(found.context[..., part], context, rtol=1e-9)
        np.testing.assert_allclose(found.weights[:, head], weights, rtol=1e-9)


@pytest.mark.parametrize("name", ["dot", "general", "concat", "additive", "location_sensitive"])
def test_what_stands_at_invalid_positions_is_ignored_also_by_the_gradient(name):
    a = draw()
    _, keys, names = SCORES[name]
    given = {
        "w" if n == "both" else n: jnp.asarray(a[n], jnp.float32) for n in names if n != "before"
    }
    mask = MASK & np.array([[True], [False]])
    given |= {"before": jnp.where(mask[:, None], a["before"], 0)} if "before" in names else {}

    def total(query, keys, values, given):
        return (
            getattr(attention, name)(query, keys, values, jnp.asarray(mask), **given).context ** 2
        ).sum()

    clean = [jnp.asarray(a[n], jnp.float32) for n in ("query", keys, "memory")]
    dirty = [clean[0], *(jnp.where(mask[..., None], array, jnp.nan) for array in clean[1:])]
    both = [
        jax.value_and_grad(total, argnums=(0, 1, 2, 3))(*arrays, given) for arrays in (clean, dirty)
    ]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), *both)
    assert (both[0][1][0][1] == 0).all(), "a row that sees nothing asks for nothing"


def test_a_dot_of_unequal_sizes_and_heads_that_do_not_divide():
    query, keys = jnp.ones((1, 2, 3)), jnp.ones((1, 4, 5))
    with pytest.raises(ValueError, match="the query has 3 features, the keys 5"):
        attention.dot(query, keys, keys)
    with pytest.raises(ValueError, match="2 heads do not divide keys of 5"):
        attention.multi_head(query, keys, keys, heads=2)
    with pytest.raises(ValueError, match=r"w has 7 rows; query and key have 3 \+ 5"):
        attention.concat(query, keys, keys, w=jnp.ones((7, 2)), v=jnp.ones(2))
