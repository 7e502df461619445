"""What is particular to each combinator; the laws are in test_recurrence.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import combinators

XS = jax.random.normal(jax.random.key(7), (3, 6, 4))


def run(recurrence, xs=XS, rng=None, **options):
    params = recurrence.init(jax.random.key(0), xs.shape[-1])
    return seqjax.unroll(recurrence, params, xs, rng=rng, **options)


def test_a_stack_with_options_is_the_documented_composition():
    a, b, c = seqjax.GRU(4), seqjax.GRU(4), seqjax.GRU(4)
    given = seqjax.stack(a, b, c, dropout=0.5, residual=True)
    wanted = (seqjax.dropout(a, 0.5), seqjax.residual(seqjax.dropout(b, 0.5)), seqjax.residual(c))
    assert given.layers == wanted
    assert set(given.init(jax.random.key(0), 4)) == {"layer_0", "layer_1", "layer_2"}


def test_a_stack_feeds_each_layer_the_outputs_below():
    net = seqjax.stack(seqjax.LSTM(5), seqjax.GRU(2))
    params = net.init(jax.random.key(0), 4)
    lower, hidden = seqjax.unroll(net.layers[0], params["layer_0"], XS)
    upper, wanted = seqjax.unroll(net.layers[1], params["layer_1"], hidden)
    state, ys = seqjax.unroll(net, params, XS)
    np.testing.assert_allclose(ys, wanted, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state, (lower, upper))


@pytest.mark.parametrize(
    ("merge", "function"),
    [
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
        ("sum", np.add),
        ("mean", lambda a, b: (a + b) / 2),
        ("max", np.maximum),
    ],
)
def test_merges(merge, function):
    net = seqjax.bidirectional(seqjax.GRU(3), merge=merge)
    params = net.init(jax.random.key(0), 4)
    _, forward = seqjax.unroll(seqjax.GRU(3), params["forward"], XS)
    _, backward = seqjax.unroll(seqjax.GRU(3), params["backward"], XS[:, ::-1])
    _, ys = seqjax.unroll(net, params, XS)
    np.testing.assert_allclose(
        ys, function(np.asarray(forward), np.asarray(backward)[:, ::-1]), rtol=1e-6
    )
    assert ys.shape[-1] == net.output_size(4)


def test_a_residual_adds_its_input():
    cell = seqjax.GRU(4)
    params = cell.init(jax.random.key(0), 4)
    plain, added = (seqjax.unroll(r, params, XS)[1] for r in (cell, seqjax.residual(cell)))
    np.testing.assert_allclose(added, plain + XS, rtol=1e-6)


def test_a_gate_by_its_formula():
    net = seqjax.gated(seqjax.LRU(4))
    params = net.init(jax.random.key(0), 4)
    params["b"] = jnp.linspace(-1, 1, 4)
    u = jax.nn.gelu(seqjax.unroll(seqjax.LRU(4), params["inner"], XS)[1])
    _, ys = seqjax.unroll(net, params, XS)
    gate = 1 / (1 + np.exp(-(u @ params["w"] + params["b"][None, None])))
    np.testing.assert_allclose(ys, gate * u, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_keeps_the_mean_and_drops_its_share(variational):
    net = seqjax.dropout(seqjax.GRU(64), 0.3, variational)
    xs = jax.random.normal(jax.random.key(1), (200, 5, 4))
    _, plain = run(seqjax.GRU(64), xs)
    _, off = run(net, xs)
    _, on = run(net, xs, rng=jax.random.key(2))
    np.testing.assert_array_equal(off, plain)
    dropped = np.asarray(on == 0)
    assert abs(dropped.mean() - 0.3) < 0.01
    np.testing.assert_allclose(on[~dropped], plain[~dropped] / 0.7, rtol=1e-5)
    assert (dropped == dropped[:, :1]).all() == variational
    assert len(np.unique(dropped[:, 0], axis=0)) > 190


def test_dropout_of_rate_zero_changes_nothing():
    np.testing.assert_array_equal(
        run(seqjax.dropout(seqjax.GRU(5), 0.0), rng=jax.random.key(0))[1], run(seqjax.GRU(5))[1]
    )


def test_zoneout_without_a_key_is_the_expectation():
    cell, net = seqjax.LSTM(4), seqjax.zoneout(seqjax.LSTM(4), 0.2, 0.6)
    params = cell.init(jax.random.key(0), 4)
    old = seqjax.LSTMState(jnp.full((3, 4), 0.5), jnp.full((3, 4), -0.5))
    new, _ = cell.step(params, old, XS[:, 0])
    mixed, y = net.step(params, old, XS[:, 0])
    np.testing.assert_allclose(mixed.h, 0.2 * old.h + 0.8 * new.h, rtol=1e-6)
    np.testing.assert_allclose(mixed.c, 0.6 * old.c + 0.4 * new.c, rtol=1e-6)
    np.testing.assert_array_equal(y, mixed.h)


def test_zoneout_with_a_key_holds_its_share_of_h_and_c():
    net = seqjax.zoneout(seqjax.LSTM(100), 0.2, 0.6)
    params = net.init(jax.random.key(0), 4)
    old = net.initial_state(params, (200,), jnp.float32)
    state, _ = net.step(params, old, jnp.ones((200, 4)), rng=jax.random.key(1))
    assert abs(float((state.h == 0).mean()) - 0.2) < 0.01
    assert abs(float((state.c == 0).mean()) - 0.6) < 0.01


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: seqjax.stack(), ValueError, "at least one recurrence"),
        (lambda: seqjax.stack(seqjax.GRU(3), 5), TypeError, "was given a int"),
        (lambda: seqjax.stack(seqjax.GRU(3), dropout=1.0), ValueError, "is 1.0"),
        (lambda: seqjax.dropout(seqjax.GRU(3), -0.1), ValueError, "is -0.1"),
        (
            lambda: seqjax.bidirectional(seqjax.GRU(3), merge="product"),
            ValueError,
            "choose one of 'concat'",
        ),
        (lambda: seqjax.zoneout(seqjax.LRU(3)), TypeError, "does not show its state"),
        (lambda: seqjax.zoneout(seqjax.GRU(3), 2.0), ValueError, "is 2.0"),
        (
            lambda: seqjax.residual(seqjax.GRU(3)).init(jax.random.key(0), 4),
            ValueError,
            "make them equal",
        ),
        (
            lambda: seqjax.bidirectional(seqjax.GRU(3), seqjax.GRU(4), "sum").init(
                jax.random.key(0), 2
            ),
            ValueError,
            "equal output sizes",
        ),
        (
            lambda: seqjax.bidirectional(seqjax.GRU(3)).step({}, None, XS[:, 0]),
            ValueError,
            "reads the future",
        ),
    ],
)
def test_mistakes_are_named(unchecked, make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_every_combinator_prints_compares_and_hashes_by_value():
    for make in (
        lambda: seqjax.stack(seqjax.LSTM(3), seqjax.GRU(3), dropout=0.1),
        lambda: seqjax.bidirectional(seqjax.GRU(3), merge="sum"),
        lambda: seqjax.zoneout(seqjax.GRU(3), 0.1),
        lambda: seqjax.gated(seqjax.MinGRU(3)),
    ):
        assert make() == make() and hash(make()) == hash(make())
    assert (
        repr(combinators.Dropout(seqjax.LSTM(8, peephole=True), 0.5))
        == "Dropout(LSTM(8, peephole=True), 0.5)"
    )
