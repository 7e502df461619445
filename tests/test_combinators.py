"""What is particular to each combinator; the laws are in test_recurrence.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import combinators
from tests.recurrences import draw_inputs, draw_params

pytestmark = pytest.mark.usefixtures("quick_compile")

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


# Skip connections


def test_a_stack_with_skips_reads_all_outputs_below_and_the_input():
    net = seqjax.stack(seqjax.GRU(3), seqjax.LSTM(2), seqjax.Elman(5), dropout=0.5, skip="concat")
    skipped = [seqjax.skip(seqjax.dropout(cell, 0.5)) for cell in (seqjax.GRU(3), seqjax.LSTM(2))]
    assert net.layers == (*skipped, seqjax.Elman(5)) and net.output_size(4) == 5
    params = net.init(jax.random.key(0), 4)
    _, low = seqjax.unroll(seqjax.GRU(3), params["layer_0"], XS)
    _, middle = seqjax.unroll(
        seqjax.LSTM(2), params["layer_1"], jnp.concatenate([low, XS], axis=-1)
    )
    read = jnp.concatenate([middle, low, XS], axis=-1)
    _, wanted = seqjax.unroll(seqjax.Elman(5), params["layer_2"], read)
    np.testing.assert_allclose(seqjax.unroll(net, params, XS)[1], wanted, rtol=1e-5)


def test_the_ends_of_two_directions_with_inputs_stand_whole():
    first, last = jnp.ones((2, 10)), jnp.zeros((2, 10))
    for net in (
        seqjax.bidirectional(seqjax.skip(seqjax.GRU(3))),
        seqjax.skip(seqjax.bidirectional(seqjax.GRU(4))),
    ):
        np.testing.assert_array_equal(net.ends(first, last), jnp.hstack([last, first]))
    assert seqjax.skip(seqjax.GRU(8)).ends(first, last) is last


# The initial state


def test_a_learned_initial_state_begins_unrollings_and_follows_resets():
    cell = seqjax.GRU(4)
    net = seqjax.learn_initial_state(cell)
    params = net.init(jax.random.key(0), 4)
    np.testing.assert_array_equal(params["initial_state"]["h"], np.zeros(4))
    params["initial_state"]["h"] = start = jnp.arange(4.0)
    begun = cell.step(params["inner"], jnp.tile(start, (3, 1)), XS[:, 0])[1]
    reset = jnp.zeros((3, 6), bool).at[1:, 3].set(True)
    _, ys = seqjax.unroll(net, params, XS, reset=reset)
    np.testing.assert_allclose(ys[:, 0], begun, rtol=1e-5)
    again = cell.step(params["inner"], jnp.tile(start, (3, 1)), XS[:, 3])[1]
    np.testing.assert_allclose(ys[1:, 3], again[1:], rtol=1e-5)
    assert np.abs(ys[0, 3] - again[0]).max() > 0.01


def test_the_gradient_of_a_learned_initial_state_is_the_sum_of_the_rows():
    cell = seqjax.LSTM(4)
    net = seqjax.learn_initial_state(cell)
    params = net.init(jax.random.key(0), 4)
    state = cell.initial_state(params["inner"], (3,), jnp.float32)
    total = lambda net, params, state: jnp.sin(seqjax.unroll(net, params, XS, state)[1]).sum()  # noqa: E731
    found = jax.grad(total, argnums=1)(net, params, None)["initial_state"]
    wanted = jax.grad(total, argnums=2)(cell, params["inner"], state)
    for name in ("h", "c"):
        np.testing.assert_allclose(found[name], getattr(wanted, name).sum(0), rtol=1e-4)
        assert np.abs(found[name]).min() > 0


def test_each_part_of_a_combinator_learns_its_own_initial_state():
    learn, a, b = seqjax.learn_initial_state, seqjax.LSTM(3), seqjax.LRU(3)
    assert learn(seqjax.stack(a, b)) == seqjax.stack(learn(a), learn(b))
    assert learn(seqjax.bidirectional(a, b)) == seqjax.bidirectional(learn(a), learn(b))
    assert learn(seqjax.gated(b)) == seqjax.gated(learn(b)) and learn(learn(a)) == learn(a)
    # Zoneout steps for its cell, which has no scan to begin by itself.
    held = combinators.LearnedInitialState(seqjax.zoneout(a, 0.1))
    assert learn(seqjax.zoneout(a, 0.1)) == held
    params = learn(seqjax.stack(a, b)).init(jax.random.key(0), 3)
    assert set(params["layer_0"]["initial_state"]) == {"h", "c"}
    assert set(params["layer_1"]["initial_state"]) == {"h_re", "h_im"}
    assert seqjax.kernels.explain(learn(a)) == seqjax.kernels.explain(a)


# States as outputs


def test_states_stand_beside_the_outputs():
    inner = seqjax.stack(seqjax.LSTM(3), seqjax.gated(seqjax.LRU(2)))
    net = seqjax.return_states(inner)
    params = net.init(jax.random.key(0), 4)
    _, both = seqjax.unroll(net, params, XS, lengths=[6, 0, 2])
    assert both.shape[-1] == net.output_size(4) == 2 + 3 + 3 + 2 * 2
    ys, (of_lstm, of_lru) = net.split(params, both)
    np.testing.assert_allclose(
        ys, seqjax.unroll(inner, params, XS, lengths=[6, 0, 2])[1], rtol=1e-5, atol=1e-6
    )
    for time in (0, 5):
        lower, upper = seqjax.unroll(inner, params, XS[:, : time + 1])[0]
        np.testing.assert_allclose(of_lstm.h[0, time], lower.h[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(of_lstm.c[0, time], lower.c[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(of_lru[0, time], upper[0], rtol=1e-5, atol=1e-6)
    assert not np.asarray(both[1]).any() and not np.asarray(both[2, 2:]).any()


# Weight drop


def test_dropped_weights_are_one_mask_for_rows_and_steps():
    cell = seqjax.LSTM(32)
    net = seqjax.weight_drop(cell, 0.3)
    params = net.init(jax.random.key(0), 4)
    plain = seqjax.unroll(cell, params, XS)[1]
    np.testing.assert_array_equal(seqjax.unroll(net, params, XS)[1], plain)
    gradient = jax.grad(lambda p: seqjax.unroll(net, p, XS, rng=jax.random.key(1))[1].sum())(params)
    # No gradient reaches what was dropped: so the mask is seen from outside.
    kept = np.asarray(gradient["w_h"] != 0)
    assert abs(kept.mean() - 0.7) < 0.03
    dropped = params | {"w_h": jnp.where(kept, params["w_h"] / 0.7, 0)}
    found = seqjax.unroll(net, params, XS, rng=jax.random.key(1))[1]
    np.testing.assert_allclose(found, seqjax.unroll(cell, dropped, XS)[1], rtol=1e-4, atol=1e-6)
    other = seqjax.unroll(net, params, XS, rng=jax.random.key(2))[1]
    assert np.abs(found - other).max() > 1e-3


def test_weight_drop_streams_with_the_key_of_the_first_step():
    net = seqjax.weight_drop(seqjax.stack(seqjax.LSTM(4), seqjax.GRU(4)), 0.5)
    params, rng = net.init(jax.random.key(0), 4), jax.random.key(1)
    wanted = seqjax.unroll(net, params, XS, rng=rng)
    state, ys = net.initial_state(params, (3,), jnp.float32), []
    for t in range(6):
        state, y = net.step(params, state, XS[:, t], rng=jax.random.fold_in(rng, 0))
        ys.append(y)
    np.testing.assert_allclose(jnp.stack(ys, 1), wanted[1], rtol=1e-4, atol=1e-6)


def test_weight_drop_reaches_every_part():
    net = seqjax.weight_drop(
        seqjax.stack(seqjax.bidirectional(seqjax.GRU(4)), seqjax.Elman(4)), 0.5
    )
    params = net.init(jax.random.key(0), 4)
    gradient = jax.grad(lambda p: seqjax.unroll(net, p, XS, rng=jax.random.key(1))[1].sum())(params)
    below, above = gradient["layer_0"], gradient["layer_1"]
    for part in (below["forward"], below["backward"], above):
        assert (part["w_h"] == 0).any() and (part["w_x"] != 0).all()
    assert ((below["forward"]["w_h"] == 0) != (below["backward"]["w_h"] == 0)).any()


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
        (lambda: seqjax.stack(seqjax.GRU(3), skip="add"), ValueError, "give None or 'concat'"),
        (
            lambda: seqjax.stack(seqjax.GRU(3), residual=True, skip="concat"),
            ValueError,
            "give one of them",
        ),
        (lambda: seqjax.weight_drop(seqjax.GRU(3), 1.0), ValueError, "is 1.0"),
        (
            lambda: seqjax.weight_drop(seqjax.LRU(3), 0.5).init(jax.random.key(0), 2),
            ValueError,
            "has no recurrent weights",
        ),
        (lambda: seqjax.learn_initial_state("gru"), TypeError, "was given a str"),
        (
            lambda: seqjax.return_states(seqjax.bidirectional(seqjax.GRU(3))),
            ValueError,
            "wrap each direction",
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
        lambda: seqjax.learn_initial_state(seqjax.return_states(seqjax.GRU(3))),
        lambda: seqjax.weight_drop(seqjax.skip(seqjax.GRU(3)), 0.1),
    ):
        assert make() == make() and hash(make()) == hash(make())
    assert (
        repr(combinators.Dropout(seqjax.LSTM(8, peephole=True), 0.5))
        == "Dropout(LSTM(8, peephole=True), 0.5)"
    )


def test_a_block_is_its_equation():
    net = seqjax.block(seqjax.Elman(5), width=3)
    params = draw_params(net)
    xs = draw_inputs((2, 7))
    _, ys = seqjax.unroll(net, params, xs)

    def silu(a):
        return a / (1 + np.exp(-a))

    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    inner, taps = p["inner"], p["convolution"]
    for row, out in zip(xs.astype(np.float64), ys, strict=True):
        u = row / np.sqrt((row**2).mean(-1, keepdims=True) + 1e-6) * p["norm"]
        v = np.concatenate([np.zeros((2, 5)), u @ p["w_in"]])
        h = np.zeros(5)
        for t in range(7):
            seen = silu((taps["w"] * v[t : t + 3]).sum(0) + taps["b"])
            h = np.tanh(seen @ inner["w_x"] + h @ inner["w_h"] + inner["b"])
            wanted = row[t] + (h * silu(u[t] @ p["w_gate"])) @ p["w_out"]
            np.testing.assert_allclose(out[t], wanted, rtol=1e-4, atol=1e-5)


def test_blocks_want_a_causal_recurrence():
    with pytest.raises(ValueError, match="reads the future, so it has no step"):
        seqjax.block(seqjax.bidirectional(seqjax.GRU(3)))
    with pytest.raises(ValueError, match="Block: width is 0; give at least 1"):
        seqjax.block(seqjax.GRU(3), width=0)
    assert seqjax.block(seqjax.GRU(3)) == seqjax.block(seqjax.GRU(3), width=4)


@pytest.mark.parametrize("name", combinators.LAYERS)
def test_layers_by_name_stack(name):
    net = combinators.stack_of(name, 8, 2, dropout=0.1)
    params = net.init(jax.random.key(0), 8)
    _, ys = seqjax.unroll(net, params, jnp.ones((1, 3, 8)))
    assert ys.shape == (1, 3, 8) and len(net.layers) == 2
    with pytest.raises(ValueError, match="stack_of: 'gro' is unknown; choose one of elman, lstm"):
        combinators.stack_of("gro", 8)
