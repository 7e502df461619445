"""What a model costs, counted by hand."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import training
from seqjax.diagnostics import cost

pytestmark = pytest.mark.usefixtures("quick_compile")

PARAMS = {"w": jnp.array([[1.27, -0.5], [0.634, 0.2]]), "b": jnp.array([0.123456, 2.0])}


def test_numbers_and_bytes_are_counted_of_arrays_and_of_shapes():
    tree = {"a": jnp.zeros((3, 4)), "b": [jnp.zeros(5, jnp.int8)]}
    assert cost.count(tree) == 17 and cost.size_in_bytes(tree) == 4 * 12 + 5
    shapes = jax.eval_shape(lambda: tree)
    assert cost.count(shapes) == 17 and cost.size_in_bytes(shapes) == 4 * 12 + 5


def test_int8_rounds_matrices_and_counts_their_bytes():
    rounded = cost.through_int8(PARAMS)
    np.testing.assert_allclose(rounded["w"], [[1.27, -0.5], [0.63, 0.2008]], atol=2e-3)
    np.testing.assert_array_equal(rounded["b"], PARAMS["b"])
    steps = np.asarray(rounded["w"]) / (np.array([1.27, 0.5]) / 127)
    np.testing.assert_allclose(steps, steps.round(), atol=1e-3)
    # Four numbers of a byte and two scales of four; the vector as it is.
    assert cost.int8_bytes(PARAMS) == 4 + 2 * 4 + 8


def test_a_column_of_zeros_stays_zero():
    np.testing.assert_array_equal(
        cost.through_int8({"w": jnp.zeros((2, 3))})["w"], np.zeros((2, 3))
    )


@pytest.mark.parametrize(("target", "wanted"), [(0, 1), (18, 4), (21, 5), (25, 5), (1000, 8)])
def test_the_nearest_size(target, wanted):
    assert cost.nearest_size(range(1, 9), lambda size: size**2, target) == wanted


def test_steps_are_timed_one_after_another_and_those_that_warm_up_do_not_count():
    seen = []

    def step(state, x):
        seen.append((state, int(x)))
        if state < 2:
            time.sleep(0.2)
        return state + 1, x + 10

    seconds = cost.time_steps(step, 0, jnp.array(5), steps=3, warm_up=2)
    assert seen == [(0, 5), (1, 15), (2, 25), (3, 35), (4, 45)]
    assert seconds.shape == (3,) and (seconds > 0).all() and seconds.max() < 0.2


def test_training_memory_grows_with_what_the_gradient_keeps():
    def loss(params, xs):
        def layer(hidden, _):
            return jnp.tanh(hidden @ params), None

        return jax.lax.scan(layer, xs, None, length=4)[0].sum()

    shapes = [jax.ShapeDtypeStruct((rows, 64), jnp.float32) for rows in (64, 1024)]
    params = jax.ShapeDtypeStruct((64, 64), jnp.float32)
    few, many = (cost.training_memory(loss, params, shape) for shape in shapes)
    # At least the four states of each row.
    assert many - few >= 4 * (1024 - 64) * 64 * 4


def test_training_for_a_time_takes_a_step_at_least_and_scores_along_the_way():
    drawn = []

    def batches():
        for number in itertools.count():
            drawn.append(number)
            yield jnp.array(float(number))

    def loss(params, batch, *_):
        return jnp.square(params["w"] - 3) + 0 * batch, training.Aux()

    optimiser = optax.sgd(0.1)
    state = training.create_state({"w": jnp.zeros(())}, optimiser, jax.random.key(0))
    step = training.make_train_step(loss, optimiser)
    score = lambda params: float(params["w"])  # noqa: E731
    state, points = cost.train_for(0.05, step, state, batches(), score, evaluations=2)
    assert [point.seconds for point in points] == sorted(point.seconds for point in points)
    assert points[0] == cost.Point(0.0, 0.0, 0)
    assert points[-1].seconds >= 0.05 and points[-1].steps == int(state.step)
    # The first batch is compiled for.
    assert len(drawn) == points[-1].steps + 1
    wanted = 3 * (1 - 0.8 ** points[-1].steps)
    assert points[-1].score == pytest.approx(wanted, rel=1e-4)


def test_a_time_too_short_has_one_step():
    optimiser = optax.sgd(0.1)
    state = training.create_state({"w": jnp.ones(())}, optimiser, jax.random.key(0))
    step = training.make_train_step(lambda params, *_: params["w"], optimiser)
    batches = itertools.repeat(jnp.zeros(()))
    _, points = cost.train_for(1e-9, step, state, batches, lambda params: 0.0, evaluations=3)
    assert [point.steps for point in points] == [0, 1, 1, 1]
