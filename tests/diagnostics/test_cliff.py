"""The cliff stands where arithmetic puts it, and clipping keeps descent at its foot."""

import numpy as np
import pytest

from seqjax import training
from seqjax.diagnostics.cliff import Cliff, one_unit, plot_cliff

pytestmark = pytest.mark.usefixtures("quick_compile")


def by_hand(weight, bias, steps=20, start=0.5, target=0.5):
    h = start
    for _ in range(steps):
        h = np.tanh(weight * h + bias)
    return (h - target) ** 2


def test_the_loss_is_that_of_a_loop():
    cliff = Cliff(steps=3, start=0.2, target=-0.1)
    given = float(cliff.loss(one_unit(1.3, -0.4)))
    np.testing.assert_allclose(given, by_hand(1.3, -0.4, 3, 0.2, -0.1), rtol=1e-5)


def test_the_cliff_is_where_arithmetic_puts_it():
    """The state stays at 0.5 where tanh(w / 2 + b) = 0.5; a hair below it falls to the other fixed point."""
    w = 2.0
    b = np.arctanh(0.5) - w / 2
    below, above = np.asarray(Cliff().surface(np.array([w]), np.array([b - 0.05, b + 0.05])))[:, 0]
    assert above < 0.3 and below > 1.5


def test_the_surface_has_a_row_for_each_bias():
    weights, biases = np.array([1.0, 2.0, 3.0]), np.array([-0.5, 0.1])
    surface = Cliff().surface(weights, biases)
    assert surface.shape == (2, 3)
    for row, bias in zip(surface, biases, strict=True):
        wanted = [by_hand(weight, bias) for weight in weights]
        np.testing.assert_allclose(row, wanted, rtol=1e-3, atol=1e-5)


def test_descent_follows_the_gradient_by_finite_differences():
    descent = Cliff().descend(1.2, -0.3, rate=0.1, updates=1)
    change = 1e-5
    by_weight = (by_hand(1.2 + change, -0.3) - by_hand(1.2 - change, -0.3)) / (2 * change)
    by_bias = (by_hand(1.2, -0.3 + change) - by_hand(1.2, -0.3 - change)) / (2 * change)
    wanted = np.array([by_weight, by_bias])
    step = descent.way[1] - descent.way[0]
    np.testing.assert_allclose(step, -0.1 * wanted, rtol=1e-2, atol=1e-5)
    np.testing.assert_allclose(descent.gradient_norms, [np.linalg.norm(wanted)], rtol=1e-2)
    np.testing.assert_allclose(descent.longest_step, np.linalg.norm(step), rtol=1e-6)
    np.testing.assert_allclose(descent.last_loss, by_hand(*descent.way[-1]), rtol=1e-3)


def test_the_wall_throws_descent_out_of_the_picture_and_clipping_keeps_it():
    free = Cliff().descend(2.2, -0.15)
    clipped = Cliff().descend(2.2, -0.15, clip=training.clip_by_norm(1.0))
    assert free.way.shape == (61, 2)
    assert free.longest_step > 10 * clipped.longest_step
    assert clipped.longest_step <= 0.1 + 1e-6 and clipped.gradient_norms.max() > 1
    assert clipped.summary()["last loss"] < free.summary()["last loss"]


def test_the_picture_shows_each_way():
    pytest.importorskip("matplotlib")
    w, b = np.linspace(1, 3, 4), np.linspace(-1, 0, 3)
    way = np.array([[2.2, -0.15], [2.0, -0.2]])
    figure = plot_cliff(w, b, np.ones((3, 4)), {"free": way, "clipped": way[:1]}, "title")
    _, above, _ = figure.axes
    names = [text.get_text() for text in above.get_legend().get_texts()]
    assert names == ["free", "clipped"]
    np.testing.assert_array_equal(above.lines[0].get_xydata(), way)
    assert above.get_ylim() == (-1, 0)
