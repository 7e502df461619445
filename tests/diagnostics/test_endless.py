"""A stream without an end, and learning from it forwards and over windows."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax
from seqjax.diagnostics import cost, endless

pytestmark = pytest.mark.usefixtures("quick_compile")

ECHO = endless.Echo(delays=(1, 3), period=10, symbols=3)


def test_the_answer_is_the_symbol_of_so_many_steps_before():
    key, times = jax.random.key(0), jnp.arange(40)
    xs, answers = jax.vmap(lambda t: ECHO.at(key, t))(times)
    symbols = np.argmax(np.asarray(xs), -1)
    assert xs.shape == (40, 3) and set(symbols) == {0, 1, 2}
    for t in range(3, 40):
        delay = 1 if t // 10 % 2 == 0 else 3
        assert answers[t] == symbols[t - delay], t
    assert abs(ECHO.chance - np.log(3)) < 1e-12


@pytest.mark.parametrize("window", [None, 8])
def test_it_learns(window):
    """From chance to a tenth of it; the state goes on from window to window."""
    problem, optimiser = endless.Echo((2,), 10_000, 2), optax.adam(1e-2)
    given = problem, seqjax.LRU(8), optimiser, 1600
    if window is None:
        losses, learner = endless.learn_online(*given, jax.random.key(0))
    else:
        losses, learner = endless.learn_over_windows(*given, window, jax.random.key(0))
    assert losses.shape == (1600,) and abs(losses[:20].mean() - problem.chance) < 0.3
    assert losses[-400:].mean() < 0.1 * problem.chance
    assert jax.tree.leaves(learner.memory)[0].any()


def test_what_is_remembered_forwards_does_not_grow_with_the_stream():
    sizes = {}
    for steps in (10, 100):
        _, learner = endless.learn_online(
            ECHO, seqjax.LRU(4), optax.sgd(0.1), steps, jax.random.key(0)
        )
        sizes[steps] = cost.size_in_bytes(learner.memory)
    assert sizes[10] == sizes[100]


def test_a_window_of_one_step_forgets_what_a_longer_one_learns_from():
    """Over one step no gradient reaches the recurrent weights of an Elman network that must remember."""
    problem, net = endless.Echo((1,), 10_000, 2), seqjax.IndRNN(1, activation="tanh")
    given = problem, net, optax.sgd(0.1), 1
    _, before = endless.learn_over_windows(*given, 1, jax.random.key(1))
    _, again = endless.learn_over_windows(*given[:3], 8, 8, jax.random.key(1))
    # The first state is zero: one step has no gradient by u, eight have.
    start = net.init(jax.random.split(jax.random.split(jax.random.key(1))[1])[0], 2)
    assert before.params["net"]["u"] == start["u"] != again.params["net"]["u"]


def test_running_mean():
    np.testing.assert_allclose(endless.running_mean(np.arange(7.0), 3), [1, 4])
