"""Gradients along time, against Jacobians multiplied by brute force and against closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import diagnostics
from seqjax.diagnostics.observe import in_sight, observe
from tests.recurrences import RECURRENCES, assert_close, draw_inputs, draw_params

pytestmark = pytest.mark.usefixtures("quick_compile")

LENGTHS = np.array([5, 2, 0])
SEEN = ("lstm_all", "stack", "bidirectional_max", "zoneout_lstm", "gated_lru")
PICKED = {name: RECURRENCES[name] for name in SEEN}


def loss(ys):
    return jnp.sum(jnp.sin(ys) @ jnp.linspace(0.5, 1.5, ys.shape[-1]))


def by_brute_force(recurrence, params, xs):
    """`dL/dstate_t` of a causal recurrence on one row: the loss of all that is still to come, as a function of state t.

    What output t itself takes from state t is added by hand: here the output is the part of the
    state named h.
    """
    states, state = [], recurrence.initial_state(params, (), xs.dtype)
    for x in xs:
        state, _ = recurrence.step(params, state, x)
        states.append(state)

    def rest(state, t):
        total = loss(state.h if isinstance(state, tuple) else state)
        for x in xs[t + 1 :]:
            state, y = recurrence.step(params, state, x)
            total = total + loss(y)
        return total

    return [jax.grad(rest)(state, t) for t, state in enumerate(states)]


@pytest.mark.parametrize("name", ["lstm_peephole", "gru_after"])
def test_gradients_equal_those_of_the_rest_of_the_sequence(name):
    recurrence = RECURRENCES[name]
    params, xs = draw_params(recurrence), jnp.asarray(draw_inputs((4,)))
    given = diagnostics.state_gradients(recurrence, params, xs, loss)
    wanted = by_brute_force(recurrence, params, xs)
    for t, want in enumerate(wanted):
        want = want._asdict() if isinstance(want, tuple) else {"h": want}
        assert_close({n: g[t] for n, g in given.items()}, want, 1e-4)


def test_flow_is_the_product_of_the_jacobians():
    elman = seqjax.Elman(5)
    params, xs = draw_params(elman), jnp.asarray(draw_inputs((6,)))
    flow = diagnostics.gradient_flow(elman, params, xs, lambda ys: ys[-1].sum())["h"]
    hs = diagnostics.hidden_traces(elman, params, xs)["h"]
    gradient = np.ones(5)
    for t in reversed(range(6)):
        np.testing.assert_allclose(flow[t], np.linalg.norm(gradient), rtol=1e-4)
        step = jax.jacrev(lambda h, x=xs[t]: elman.step(params, h, x)[0])(
            hs[t - 1] if t else jnp.zeros(5)
        )
        gradient = np.asarray(step).T @ gradient


def test_the_gradient_by_the_state_before_the_first_step_follows_from_the_first():
    """An independent way through a stack, both layers at once: autodiff of `unroll` by its initial state."""
    net = seqjax.stack(seqjax.GRU(4), seqjax.LSTM(4))
    params, xs = draw_params(net), jnp.asarray(draw_inputs((5,)))
    first, rest = xs[:1], xs[1:]
    after, _ = seqjax.unroll(net, params, first)
    gradients = diagnostics.state_gradients(net, params, xs, lambda ys: loss(ys[1:]))
    h0, (h1, c1) = jax.grad(lambda s: loss(seqjax.unroll(net, params, rest, s)[1]))(after)
    # layer 0 also reaches layer 1 within its own step, by way of its output
    wanted = {"layer_1/h": h1, "layer_1/c": c1}
    assert_close({name: gradients[name][0] for name in wanted}, wanted, 1e-4)

    def through_both(h):
        top = net.layers[1].step(
            params["layer_1"], net.layers[1].initial_state(params["layer_1"], (), "float32"), h
        )[0]
        return loss(seqjax.unroll(net, params, rest, (h, top))[1])

    assert_close(gradients["layer_0/h"][0], jax.grad(through_both)(after[0]), 1e-4)
    assert float(jnp.abs(h0).max()) > 0


def test_linear_decay_in_closed_form():
    """A minimal GRU with its gate held at z: h' = (1 - z) h + z n, so dL/dh_t shrinks by 1 - z a step."""
    cell, z = seqjax.MinGRU(2), 0.25
    params = {
        "w_x": jnp.zeros((3, 4)),
        "b": jnp.array([np.log(z / (1 - z))] * 2 + [0.0] * 2, jnp.float32),
    }
    flow = diagnostics.gradient_flow(cell, params, jnp.ones((8, 3)), lambda ys: ys[-1].sum())["h"]
    np.testing.assert_allclose(flow, np.sqrt(2) * (1 - z) ** np.arange(7, -1, -1), rtol=1e-5)


@pytest.mark.parametrize("name", PICKED)
def test_watching_changes_nothing_and_padding_is_silent(name):
    recurrence = PICKED[name]
    params, xs = draw_params(recurrence), draw_inputs((3, 5))
    xs[1, 2:] = np.nan
    xs[2] = np.nan
    _, ys = seqjax.unroll(recurrence, params, jnp.nan_to_num(xs), lengths=LENGTHS, backend="scan")
    assert_close(observe(recurrence, params, xs, LENGTHS)[1], ys, 1e-5)
    flow = diagnostics.gradient_flow(recurrence, params, xs, loss, LENGTHS)
    for norms in flow.values():
        assert norms.shape == (5, 3)
        assert np.isfinite(norms).all()
        for row, length in enumerate(LENGTHS):
            assert (norms[length:, row] == 0).all()
            assert (
                norms[: max(length - 1, 0), row] > 0
            ).all()  # the output shows nothing of an LSTM's last memory


def test_traces_are_the_states_by_name():
    net = seqjax.stack(seqjax.bidirectional(seqjax.LSTM(2)), seqjax.GRU(3))
    params, xs = draw_params(net), draw_inputs((2, 4))
    traces = diagnostics.hidden_traces(net, params, xs)
    sides = [f"layer_0/{side}/{part}" for side in ("forward", "backward") for part in "hc"]
    assert list(traces) == [*sides, "layer_1/h"]
    state, ys = seqjax.unroll(net, params, xs)
    assert_close(jnp.moveaxis(traces["layer_1/h"], 0, 1), ys)
    assert_close(traces["layer_0/backward/c"][0], state[0].backward.c)
    assert_close(traces["layer_0/forward/c"][-1], state[0].forward.c)


def test_flow_under_jit_and_vmap():
    gru = seqjax.GRU(3)
    params, xs = draw_params(gru), jnp.asarray(draw_inputs((2, 4)))
    flow = lambda row: diagnostics.gradient_flow(gru, params, row, lambda ys: loss(ys))["h"]  # noqa: E731
    both = jax.jit(jax.vmap(flow))(xs)
    assert_close(both.T, diagnostics.gradient_flow(gru, params, xs, loss)["h"])


def test_a_part_that_reads_the_future_and_has_no_parts_is_refused():
    @dataclasses.dataclass(frozen=True, repr=False)
    class Mirror(seqjax.Recurrence):
        causal = False

    with pytest.raises(ValueError, match="reads the future"):
        in_sight(Mirror())
