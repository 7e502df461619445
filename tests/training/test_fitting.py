"""Training a task: same result after an interruption, the best parameters, the recipe."""

import dataclasses
import os
import signal

import jax
import numpy as np
import optax
import pytest

import seqjax
from seqjax import data, training
from seqjax.training.fitting import fresh_state

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS = [
    np.asarray(np.random.default_rng(n).normal(size=(3 + n % 5, 2)), np.float32) for n in range(40)
]
LABELS = ["up" if row[:, 0].mean() > 0 else "down" for row in ROWS]
RECIPE = training.Recipe(epochs=6, batch_size=8, learning_rate=0.05, every=5)


def task():
    return seqjax.Classifier.of(ROWS, LABELS, recurrence=seqjax.GRU(4))


def fit(**options):
    options = {"recipe": RECIPE, "quiet": True, "validation": (ROWS[:9], LABELS[:9])} | options
    return training.fit(task(), (ROWS, LABELS), **options)


@pytest.fixture(scope="module")
def whole():
    """A training to its end, and how each of its evaluations came out."""
    scores = []

    def note(event):
        if event.kind == "evaluation":
            scores.append((event.metrics["error"], event.metrics["nats"]))

    return fit(callbacks=[note]), scores


@pytest.fixture(scope="module")
def unjudged():
    """A training that keeps its last state, which is at hand: no checkpoint is read for it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("seqjax.training.fitting.restore_best", None)
        return fit(validation=None)


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)


def test_a_training_that_was_interrupted_goes_on_to_the_same_parameters(tmp_path, whole):
    def kill(event):
        # Told while the next step is at hand, which the signal ends.
        if event.kind == "step" and event.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(training.Interrupted, match="stopped at step 7") as caught:
        fit(folder=tmp_path, callbacks=[kill])
    assert caught.value.signal == signal.SIGTERM
    assert set(caught.value.trained.predict(ROWS)) <= {"up", "down"}
    equal(fit(folder=tmp_path), whole[0])


def test_another_recipe_or_other_data_are_refused_in_the_folder(tmp_path):
    fit(folder=tmp_path)
    with pytest.raises(ValueError, match="other|another"):
        training.fit(task(), (ROWS[:20], LABELS[:20]), recipe=RECIPE, folder=tmp_path, quiet=True)


def test_the_best_parameters_are_kept_and_without_validation_the_last(whole, unjudged):
    best, scores = whole
    found = best.evaluate((ROWS[:9], LABELS[:9]))
    assert (found["error"], pytest.approx(found["nats"])) == min(scores)
    assert unjudged.evaluate((ROWS, LABELS))["accuracy"] > 0.8


def test_an_earlier_best_is_read_back(monkeypatch):
    scores = iter([0.0, 0.5])
    monkeypatch.setattr(
        seqjax.Classifier, "evaluate", lambda *_: {"error": next(scores), "nats": 1.0}
    )
    recipe = dataclasses.replace(RECIPE, epochs=None, steps=4, every=2)
    best, last = fit(recipe=recipe), fit(recipe=recipe, validation=None)
    leaves = zip(jax.tree.leaves(best.params), jax.tree.leaves(last.params), strict=True)
    assert all((a != b).any() for a, b in leaves)


def test_the_average_is_what_is_kept(unjudged):
    recipe = training.Recipe(steps=9, every=9, average=0.5)
    averaged = fit(validation=None, recipe=recipe)
    assert jax.tree.structure(unjudged.params) == jax.tree.structure(averaged.params)
    assert averaged.evaluate((ROWS, LABELS))["nats"] > unjudged.evaluate((ROWS, LABELS))["nats"]


@dataclasses.dataclass(frozen=True)
class Counter:
    """Learns nothing; carries the sum of all batches, from `begin` on."""

    begin: float | None

    monitor = ("loss",)
    batch_size = 2

    def init(self, key):
        return {"w": jax.numpy.zeros(())}

    def initial_carry(self, params, rows):
        return None if self.begin is None else {"sum": jax.numpy.full(rows, self.begin)}

    def batches(self, examples, *, batch_size=None, seed=0, once=False, multiple_of=1):
        return data.batches({"x": examples}, batch_size or 2, shuffle=False, drop_remainder=True)

    def loss(self, params, batch, rng, step, *carry):
        if not carry:
            return params["w"] + step, training.Aux()
        total = carry[0]["sum"] + batch["x"]
        return params["w"] + total.sum() + 100 * step, training.Aux(extra={"sum": total})

    def evaluate(self, params, examples):
        return {"loss": 0.0}

    def predict(self, params, inputs):
        return inputs


@pytest.mark.parametrize(("begin", "losses"), [(None, [0, 1, 2]), (0.5, [4, 111, 222])])
def test_a_task_may_carry_something_from_batch_to_batch(begin, losses, tmp_path):
    seen = []

    def note(event):
        if event.kind == "step":
            seen.append(event.metrics["loss"])

    def fit(steps, **options):
        recipe = training.Recipe(steps=steps, learning_rate=0.0)
        options = {"recipe": recipe, "quiet": True, "callbacks": [note], **options}
        training.fit(Counter(begin), np.arange(1.0, 7.0, dtype=np.float32), **options)

    fit(3)
    assert seen == losses
    seen.clear()
    fit(2, folder=tmp_path)
    fit(3, folder=tmp_path)
    assert seen == losses


def test_nothing_is_left_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fit()
    assert not list(tmp_path.iterdir())


def test_the_rate_of_each_step():
    rate = lambda steps, **options: training.Recipe(learning_rate=1.0, **options).rate(steps)  # noqa: E731
    assert rate(10, schedule="constant") == 1.0
    cosine = rate(10, schedule="cosine")
    np.testing.assert_allclose([cosine(0), cosine(5), cosine(10)], [1, 0.5, 0], atol=1e-6)
    rising = rate(100, warmup=0.1)
    np.testing.assert_allclose([rising(0), rising(10), rising(100)], [0, 1, 0], atol=1e-6)
    flat = rate(100, warmup=0.1, schedule="constant")
    np.testing.assert_allclose([flat(0), flat(5), flat(50)], [0, 0.5, 1], atol=1e-6)


def test_steps_are_counted_in_epochs_where_none_are_given():
    assert (
        training.Recipe(epochs=3).total_steps(7) == 21
        and training.Recipe(steps=5).total_steps(7) == 5
    )
    assert training.Recipe().total_steps(7) == 1000 and training.Recipe().total_steps(700) == 7000
    assert training.Recipe(steps=50).steps_between_evaluations(7) == 5
    assert training.Recipe(epochs=20).steps_between_evaluations(7) == 7


def test_weight_decay_is_adamws():
    params = {"w": np.ones(2)}
    update = lambda optimiser: optimiser.update({"w": np.zeros(2)}, optimiser.init(params), params)[  # noqa: E731
        0
    ]["w"]
    recipe = training.Recipe(weight_decay=0.5, learning_rate=0.1, schedule="constant")
    np.testing.assert_allclose(update(recipe.optimiser(1)), -0.05 * np.ones(2), rtol=1e-5)
    np.testing.assert_allclose(update(training.Recipe().optimiser(1)), update(optax.adam(1e-3)))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "--steps is 0; give at least 1"),
        ({"schedule": "step"}, "--schedule is 'step'; choose one of constant, cosine"),
        ({"learning_rate": float("inf")}, "--learning-rate is inf; give a finite number"),
        ({"warmup": 1.0}, "--warmup is 1.0; give less than 1"),
    ],
)
def test_settings_out_of_range_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        training.Recipe(**options)


SEEDS = (0, 5)


def by_hand(seed, steps):
    """One run step by step, on the batches of the recipe's own seed."""
    recipe = dataclasses.replace(RECIPE, seed=seed)
    optimiser = recipe.optimiser(recipe.total_steps(5))
    state = fresh_state(task(), recipe, optimiser)

    def loss(params, batch, rng, extra):
        value, aux = task().loss(params, batch, rng, extra)
        return value, aux._replace(extra=extra + 1)

    step = training.make_train_step(loss, optimiser, clip=training.clip_by_norm(recipe.clip))
    batches = task().batches((ROWS, LABELS), batch_size=8, seed=RECIPE.seed, multiple_of=1)
    for _ in range(steps):
        state, _ = step(state, next(batches))
    return state.params


@pytest.fixture(scope="module")
def side_by_side():
    return training.fit_seeds(task(), (ROWS, LABELS), SEEDS, recipe=RECIPE, quiet=True)


def test_seeds_side_by_side_are_runs_of_their_own(side_by_side):
    apart = [by_hand(seed, 30) for seed in SEEDS]
    for trained, params in zip(side_by_side, apart, strict=True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), trained.params, params
        )
    first, second = (trained.params for trained in side_by_side)
    leaves = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    assert max(float(np.abs(a - b).max()) for a, b in leaves) > 0.1


def test_seeds_are_kept_where_their_mean_score_is_best_and_go_on_from_a_folder(tmp_path):
    scores = []

    def note(event):
        if event.kind == "evaluation":
            scores.append(event.metrics["nats"])
            if len(scores) == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    validation = ROWS[:9], LABELS[:9]
    how = {"validation": validation, "recipe": RECIPE, "quiet": True}
    given = task(), (ROWS, LABELS), SEEDS
    with pytest.raises(training.Interrupted, match="stopped at step") as caught:
        training.fit_seeds(*given, folder=tmp_path, callbacks=[note], **how)
    assert len(caught.value.trained) == 2
    resumed = training.fit_seeds(*given, folder=tmp_path, callbacks=[note], **how)
    for trained, again in zip(training.fit_seeds(*given, **how), resumed, strict=True):
        equal(trained, again)
    found = [trained.evaluate(validation) for trained in resumed]
    errors = [each["error"] for each in found]
    assert (
        np.mean([each["nats"] for each in found]) == pytest.approx(min(scores), abs=1e-6)
        or np.mean(errors) < 1
    )


def test_without_a_seed_nothing_is_trained():
    with pytest.raises(ValueError, match="give at least one"):
        training.fit_seeds(task(), (ROWS, LABELS), (), recipe=RECIPE)
