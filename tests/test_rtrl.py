"""Gradients found forwards against those of backpropagation through time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import rtrl
from tests.recurrences import (
    INPUT_SIZE,
    assert_close,
    draw_inputs,
    draw_params,
    in_float64,
)

pytestmark = pytest.mark.usefixtures("quick_compile")

TIME = 7

DIAGONAL = {
    "learned_lru": seqjax.learn_initial_state(seqjax.LRU(4)),
    "gated_min_gru": seqjax.gated(seqjax.MinGRU(4)),
}
# Of so many units behind a relu some are closed whatever a single row is tried on.
MANY = {"ind_rnn": seqjax.IndRNN(64)}
OTHERS = {
    "learned_lstm": seqjax.learn_initial_state(seqjax.LSTM(3)),
    "stack": seqjax.stack(seqjax.LRU(2), seqjax.MinGRU(3)),
}
ALL = DIAGONAL | MANY | OTHERS


def found_forwards(recurrence, params, xs, weights):
    """The gradient of a loss at each step, added up; xs `[*batch, time, features]`."""

    def advance(carry, inputs):
        online, total = carry
        x, w = inputs
        online, y, pull = rtrl.step(recurrence, params, online, x)
        total = jax.tree.map(jnp.add, total, pull(jax.grad(loss)(y, w)))
        return (online, total), y

    online = rtrl.init(recurrence, params, xs.shape[:-2], xs.shape[-1], xs.dtype)
    zeros = jax.tree.map(jnp.zeros_like, params)
    inputs = jnp.moveaxis(xs, -2, 0), jnp.moveaxis(weights, -2, 0)
    (online, total), ys = jax.lax.scan(advance, (online, zeros), inputs)
    return online.state, jnp.moveaxis(ys, 0, -2), total


def loss(y, weights):
    return jnp.sum(weights * jnp.sin(y))


@pytest.mark.parametrize("recurrence", ALL.values(), ids=ALL.keys())
def test_the_sum_over_time_is_the_gradient_through_time(x64, recurrence):
    params, xs = in_float64((draw_params(recurrence), draw_inputs((2, 2, TIME))))
    size = recurrence.output_size(INPUT_SIZE)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(2, 2, TIME, size)))

    def total(params):
        state, ys = seqjax.unroll(recurrence, params, xs, backend="scan")
        return loss(ys, weights), (state, ys)

    gradient, (state, ys) = jax.jit(jax.grad(total, has_aux=True))(params)
    found = jax.jit(found_forwards, static_argnums=0)(recurrence, params, xs, weights)
    assert_close(found, (state, ys, gradient), 1e-8)


def test_in_float32_with_a_pull_that_leaves_jit():
    net = seqjax.LRU(4)
    params, xs = draw_params(net), jnp.asarray(draw_inputs((TIME,)))
    weights = jnp.ones((TIME, 4))
    wanted = jax.grad(lambda p: loss(seqjax.unroll(net, p, xs)[1], weights))(params)
    step, pulled = jax.jit(rtrl.step, static_argnums=0), jax.jit(lambda pull, dy: pull(dy))
    online, total = rtrl.init(net, params, (), INPUT_SIZE), jax.tree.map(jnp.zeros_like, params)
    for x in xs:
        online, y, pull = step(net, params, online, x)
        total = jax.tree.map(jnp.add, total, pulled(pull, jnp.cos(y)))
    assert_close(total, wanted, 1e-5)


@pytest.mark.parametrize("recurrence", DIAGONAL.values(), ids=DIAGONAL.keys())
def test_a_diagonal_recurrence_takes_a_number_for_each_parameter(recurrence):
    params = draw_params(recurrence)
    online = rtrl.init(recurrence, params, (2,), INPUT_SIZE)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(online.sensitivity))
    assert 0 < numbers <= 2 * sum(leaf.size for leaf in jax.tree.leaves(params))


def test_parameters_of_the_output_alone_take_no_memory():
    lru = seqjax.LRU(4)
    online = rtrl.init(lru, draw_params(lru), (), INPUT_SIZE)
    # nu, theta, gamma; b_re and b_im
    assert sum(leaf.size for leaf in online.sensitivity) == 3 * 4 + 2 * INPUT_SIZE * 4


def test_any_other_takes_the_state_times_the_parameters():
    lstm = seqjax.LSTM(3)
    params = draw_params(lstm)
    online = rtrl.init(lstm, params, (2,), INPUT_SIZE)
    assert online.sensitivity.shape == (2, 6, sum(leaf.size for leaf in params.values()))


class Blocks(seqjax.MinGRU):
    """Its gates see blocks of the input, so that units do not stand on the last axis."""

    def init(self, key, input_size):
        return {"w": jax.random.normal(key, (2, self.hidden_size // 2, input_size))}

    def coefficients(self, params, x):
        z = jax.nn.sigmoid(jnp.einsum("...i,bui->...bu", x, params["w"]))
        z = z.reshape(*x.shape[:-1], self.hidden_size)
        return z, 1 - z


def test_a_layout_need_not_be_known():
    net = Blocks(4)
    params, xs = draw_params(net), jnp.asarray(draw_inputs((TIME,)))
    weights = jnp.ones((TIME, 4))
    online = rtrl.init(net, params, (), INPUT_SIZE)
    assert [leaf.shape for leaf in online.sensitivity] == [(2, 2, INPUT_SIZE)]
    wanted = jax.grad(lambda p: loss(seqjax.unroll(net, p, xs)[1], weights))(params)
    found = jax.jit(found_forwards, static_argnums=0)(net, params, xs, weights)
    assert_close(found[2], wanted, 1e-5)


class Shared(seqjax.MinGRU):
    """Linear, and yet a parameter moves all units."""

    def init(self, key, input_size):
        return {"w": jax.random.normal(key, (input_size,))}

    def coefficients(self, params, x):
        inflow = x @ params["w"]
        return jnp.full(self.hidden_size, 0.9), jnp.stack([inflow] * self.hidden_size, -1)


def test_a_parameter_that_moves_several_units_is_found():
    net = Shared(2)
    online = rtrl.init(net, draw_params(net), (), INPUT_SIZE)
    assert online.sensitivity.shape == (2, INPUT_SIZE)


def test_what_reads_the_future_is_refused(getkey):
    net = seqjax.bidirectional(seqjax.LRU(2))
    with pytest.raises(ValueError, match=r"Bidirectional.* reads the future; learning forwards"):
        rtrl.init(net, net.init(getkey(), 1), (), 1)
