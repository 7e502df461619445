"""The schedules of scheduled sampling against their closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import training

STEPS = (0, 1, 7, 50, 99, 100, 101, 1000, 10**6)

CASES = {
    "constant": (training.constant_sampling(0.75), lambda n: 0.75),
    "linear": (training.linear_sampling(100), lambda n: max(0.0, 1 - n / 100)),
    "linear, to 0.2": (
        training.linear_sampling(50, 0.9, 0.2),
        lambda n: 0.9 - 0.7 * min(n, 50) / 50,
    ),
    "exponential": (training.exponential_sampling(0.99), lambda n: 0.99**n),
    "exponential, to 0.3": (training.exponential_sampling(0.99, 0.3), lambda n: max(0.3, 0.99**n)),
    "inverse sigmoid": (
        training.inverse_sigmoid_sampling(25.0),
        lambda n: 25 / (25 + math.exp(min(n / 25, 500))),
    ),
    "inverse sigmoid, to 0.1": (
        training.inverse_sigmoid_sampling(25.0, 0.1),
        lambda n: max(0.1, 25 / (25 + math.exp(min(n / 25, 500)))),
    ),
}
each_case = pytest.mark.parametrize(("schedule", "formula"), CASES.values(), ids=CASES.keys())


@each_case
def test_closed_forms(schedule, formula):
    for step in STEPS:
        np.testing.assert_allclose(
            schedule(step), formula(step), rtol=1e-5, atol=1e-6, err_msg=str(step)
        )


@each_case
def test_compiled_over_steps_as_integers_it_stays_a_falling_probability(schedule, formula):
    steps = jnp.arange(0, 2000, 10, dtype=jnp.int32)
    values = np.asarray(
        jax.jit(jax.vmap(lambda step: jnp.asarray(schedule(step), jnp.float32)))(steps)
    )
    assert (values >= 0).all() and (values <= 1).all() and np.isfinite(values).all()
    assert (np.diff(values) <= 0).all()


def test_the_inverse_sigmoid_falls_to_a_half_at_k_ln_k():
    for k in (2.0, 30.0, 500.0):
        np.testing.assert_allclose(
            training.inverse_sigmoid_sampling(k)(k * math.log(k)), 0.5, rtol=1e-4
        )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: training.constant_sampling(1.1), "probability is 1.1"),
        (lambda: training.constant_sampling(-0.1), "probability is -0.1"),
        (lambda: training.constant_sampling(math.nan), "probability is nan"),
        (lambda: training.linear_sampling(0), "steps is 0"),
        (lambda: training.linear_sampling(10, start=2.0), "start is 2.0"),
        (lambda: training.linear_sampling(10, end=-1.0), "end is -1.0"),
        (lambda: training.exponential_sampling(1.0), "decay is 1.0"),
        (lambda: training.exponential_sampling(0.0), "decay is 0.0"),
        (lambda: training.exponential_sampling(0.9, end=1.5), "end is 1.5"),
        (lambda: training.inverse_sigmoid_sampling(0.9), "k is 0.9"),
        (lambda: training.inverse_sigmoid_sampling(10.0, end=-0.5), "end is -0.5"),
    ],
)
def test_arguments_out_of_range(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_teacher_forcing_reads_the_tokens_one_step_late():
    np.testing.assert_array_equal(
        training.shift_right([[5, 6, 7], [8, 9, 0]], first=1), [[1, 5, 6], [1, 8, 9]]
    )


def test_scheduled_sampling_mixes_by_its_probability(getkey):
    true, own = jnp.zeros((100, 100), int), jnp.ones((100, 100), int)
    for probability in (0.0, 0.25, 1.0):
        mixed = training.mix_tokens(getkey(), probability, true, own)
        assert abs(float((mixed == 0).mean()) - probability) < 0.02
    with pytest.raises(ValueError, match="the same places"):
        training.mix_tokens(getkey(), 0.5, true, own[:1])
