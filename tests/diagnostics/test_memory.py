"""Problems that need a long memory, by hand, and the task of learning one."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import training
from seqjax.diagnostics.memory import (
    Adding,
    Copying,
    MemoryTask,
    Pixels,
    fresh_rows,
    with_long_memories,
)
from seqjax.files.settings import from_plain, to_plain

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS = {"row": np.arange(64, dtype=np.uint32)}


def drawn(problem):
    xs, targets = problem.read(ROWS, 1)
    return np.asarray(xs), np.asarray(targets)


def test_adding_marks_one_number_in_each_half_and_asks_for_their_sum():
    problem = Adding(21)
    xs, targets = drawn(problem)
    marks = xs[..., 1]
    assert (marks[:, :10].sum(1) == 1).all() and (marks[:, 10:].sum(1) == 1).all()
    np.testing.assert_allclose(targets, (xs[..., 0] * marks).sum(1), rtol=1e-6)
    guess = jnp.ones((64, 21, 1))
    np.testing.assert_allclose(problem.losses(guess, targets)["mse"].mean(), 1 / 6, rtol=0.5)


def test_copying_wants_the_symbols_back_and_its_baseline_is_that_of_guessing_them():
    problem = Copying(7)
    xs, targets = drawn(problem)
    tokens = xs.argmax(-1)
    assert tokens.shape == targets.shape == (64, 27)
    np.testing.assert_array_equal(tokens[:, :10], targets[:, -10:])
    assert tokens[:, :10].max() == 7 and (targets[:, :-10] == 8).all()
    assert (tokens[:, 10:16] == 8).all() and (tokens[:, 16] == 9).all()
    assert (tokens[:, 17:] == 8).all()
    guess = np.full((64, 27, 9), -50.0, np.float32)
    guess[:, :-10, 8] = 50
    guess[:, -10:, :8] = 0
    nats = problem.losses(jnp.asarray(guess), targets)["nats"].mean()
    np.testing.assert_allclose(nats, problem.baseline, rtol=1e-4)
    assert problem.baseline == pytest.approx(10 * math.log(8) / 27)


def test_pixels_come_in_the_order_given():
    problem = Pixels((2, 0, 1, 3))
    image = np.array([[[10, 20], [30, 40]]], np.uint8)
    xs, labels = problem.read({"image": image, "label": np.array([7])}, 0)
    np.testing.assert_allclose(np.asarray(xs[0, :, 0]) * 255, [30, 10, 20, 40], atol=1e-4)
    assert labels.tolist() == [7]


def test_rows_that_are_scored_are_not_rows_that_train():
    problem = Adding(8)
    train, _ = problem.read(ROWS, 1)
    parts = [fresh_rows(64), fresh_rows(64, first=64)]
    choosing, scoring = (problem.read(part.columns(), 1)[0] for part in parts)
    for rows, others in ((choosing, train), (scoring, train), (scoring, choosing)):
        rows, others = np.asarray(rows)[:, :, 0], np.asarray(others)[:, :, 0]
        assert not (rows[:, None] == others[None]).all(-1).any()
    np.testing.assert_array_equal(train, problem.read(ROWS, 1)[0])
    assert not np.array_equal(train, problem.read(ROWS, 2)[0])


@pytest.mark.parametrize(
    ("cell", "gate", "sign"),
    [
        (seqjax.LSTM(64), slice(64, 128), 1),
        (seqjax.GRU(64), slice(64, 128), 1),
        (seqjax.SLSTM(64), slice(64, 128), 1),
        (seqjax.MGU(64), slice(0, 64), -1),
        (seqjax.stack(seqjax.gated(seqjax.MinGRU(64))), slice(0, 64), -1),
        (seqjax.dropout(seqjax.GRU(64), 0.5), slice(64, 128), 1),
    ],
)
def test_memories_are_as_long_as_the_task(cell, gate, sign):
    """At zero input a unit forgets at 1 - f a step, so that its memory lasts 1 / (1 - f) steps."""
    params = with_long_memories(cell, cell.init(jax.random.key(0), 2), 100, jax.random.key(1))
    while "b" not in params or "inner" in params:
        params = params.get("layer_0", params.get("inner"))
    memories = 1 + np.exp(sign * np.asarray(params["b"])[gate])
    assert 2 <= memories.min() < 20 and 80 < memories.max() <= 100


def test_memories_of_an_mlstm_are_as_long_as_the_task():
    cell = seqjax.MLSTM(64, heads=64)
    params = with_long_memories(cell, cell.init(jax.random.key(0), 2), 100, jax.random.key(1))
    memories = 1 + np.exp(np.asarray(params["b_g"])[64:])
    assert 2 <= memories.min() < 20 and 80 < memories.max() <= 100


def test_elman_has_no_gates():
    params = seqjax.Elman(4).init(jax.random.key(0), 2)
    assert with_long_memories(seqjax.Elman(4), params, 9, jax.random.key(1)) is params


def test_a_short_problem_is_learnt_saved_and_every_row_counts_once(tmp_path):
    task = MemoryTask(Adding(4), seqjax.GRU(16))
    rows = fresh_rows(501)
    recipe = training.Recipe(steps=150, learning_rate=0.02, every=50)
    trained = training.fit(task, None, validation=rows, recipe=recipe, quiet=True)
    score = trained.evaluate(rows)["mse"]
    assert score < 0.05 < Adding.baseline
    xs, targets = task.problem.read(rows.columns(), task.seed)
    np.testing.assert_allclose(
        score, np.square(trained.predict(xs)[:, -1, 0] - targets).mean(), rtol=1e-4
    )
    trained.save(tmp_path)
    np.testing.assert_array_equal(seqjax.load(tmp_path).predict(xs[:2]), trained.predict(xs[:2]))
    assert from_plain(json.loads(json.dumps(to_plain(task)))) == task


def test_rows_must_divide_among_the_devices():
    with pytest.raises(ValueError, match="batch_size is 5; give a multiple of 2"):
        MemoryTask(Adding(4), seqjax.GRU(2)).batches(None, batch_size=5, multiple_of=2)
