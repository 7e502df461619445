"""The loop: what happens at which step, how it stops, and that a resumed run is the run that never stopped."""

import functools
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import seqjax
from seqjax import training
from seqjax.training import Checkpoints, Progress
from tests.training.regression import (
    Source,
    assert_same_bits,
    fresh_params,
    make_batch,
    weighted_loss,
)

OPTIMISER = optax.adam(1e-2)
TRAIN_STEP = training.make_train_step(
    weighted_loss, OPTIMISER, clip=training.clip_by_norm(1.0), ema_decay=0.9
)
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"


def fresh_state():
    return training.create_state(
        fresh_params(), OPTIMISER, jax.random.key(3), extra=jax.numpy.zeros(()), ema=True
    )


def score(state):
    """Falls at first and then rises, so that there is a best step before the last."""
    return {"score": float(abs(np.asarray(state.step) - 5.0)), "w": float(state.params["scale"][0])}


class Recorded(Checkpoints):
    """Checkpoints that remember what was saved."""

    def __init__(self, folder, keep=2):
        super().__init__(folder, keep)
        self.saved = []

    def save(self, step, tree, progress, best=None):
        self.saved.append((step, best))
        super().save(step, tree, progress, best)


def fit(state=None, source=None, **options):
    return training.fit_batches(
        fresh_state() if state is None else state, TRAIN_STEP, source or Source(), **options
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The outcome, events and source of 11 steps without a stop."""
    return run(tmp_path_factory.mktemp("undisturbed"))


def run(folder, *callbacks, steps=11):
    """Begins or resumes the run of a folder."""
    events, source, checkpoints = [], Source(), Checkpoints(folder)
    state, progress = training.resume(fresh_state(), source, checkpoints)
    outcome = fit(
        state,
        source,
        steps=steps,
        progress=progress,
        evaluate=score,
        every=3,
        monitor="score",
        patience=9,
        checkpoints=checkpoints,
        callbacks=[events.append, *callbacks],
    )
    return outcome, events, source


def test_evaluations_and_checkpoints_come_at_their_steps(tmp_path):
    events, checkpoints = [], Recorded(tmp_path)
    outcome = fit(
        steps=11,
        evaluate=score,
        every=3,
        monitor="score",
        checkpoints=checkpoints,
        callbacks=[events.append],
    )
    assert outcome.reason == "finished" and outcome.progress.step == int(outcome.state.step) == 11
    kinds = [(event.kind, event.step) for event in events]
    assert kinds[0] == ("start", 0) and kinds[-1] == ("end", 11)
    assert [step for kind, step in kinds if kind == "step"] == list(range(1, 12))
    assert [step for kind, step in kinds if kind == "evaluation"] == [3, 6, 9, 11]
    assert kinds.index(("evaluation", 3)) == kinds.index(("step", 3)) + 1
    assert checkpoints.saved == [(0, None), (3, 3), (6, 6), (9, 6), (11, 6)]
    assert checkpoints.steps() == [6, 9, 11]
    assert outcome.progress == Progress(
        step=11, best=1.0, best_step=6, stale=2, data={"position": 11}
    )


def test_events_carry_the_metrics_as_plain_floats(undisturbed):
    _, events, _ = undisturbed
    step, evaluation = events[1], events[4]
    assert {
        "loss",
        "gradient_norm",
        "clipped_norm",
        "clipped",
        "finite",
        "absolute",
    } <= step.metrics.keys()
    assert {
        "score",
        "w",
        "gradient_norm_p50",
        "clipped_share",
        "nonfinite_steps",
    } <= evaluation.metrics.keys()
    assert evaluation.metrics["score"] == 2.0
    assert all(type(value) in (float, int) for event in events for value in event.metrics.values())
    norms = [event.metrics["gradient_norm"] for event in events if event.kind == "step"]
    maxima = [event.metrics["gradient_norm_max"] for event in events if event.kind == "evaluation"]
    assert maxima == [max(norms[:3]), max(norms[3:6]), max(norms[6:9]), max(norms[9:])]


def test_without_every_there_is_one_evaluation_at_the_end(tmp_path):
    events, checkpoints = [], Recorded(tmp_path)
    fit(steps=4, evaluate=score, checkpoints=checkpoints, callbacks=[events.append])
    assert [event.step for event in events if event.kind == "evaluation"] == [4]
    assert checkpoints.saved == [(0, None), (4, None)]


def test_the_loop_trains_as_the_bare_step_does():
    outcome, state = fit(steps=5), fresh_state()
    for n in range(5):
        state, _ = TRAIN_STEP(state, make_batch(n))
    assert_same_bits(outcome.state, state)


def scripted(scores):
    """An evaluation that gives these scores by step."""
    return lambda state: {"score": scores[int(state.step)]}


def test_early_stopping_returns_the_best_state(tmp_path):
    scores = {2: 3.0, 4: 1.0, 6: 2.0, 8: 1.0, 10: 0.0}
    outcome = fit(
        steps=20,
        evaluate=scripted(scores),
        every=2,
        monitor="score",
        patience=2,
        checkpoints=Checkpoints(tmp_path),
    )
    assert outcome.reason == "stopped early"
    assert outcome.progress == Progress(
        step=8, best=1.0, best_step=4, stale=2, data={"position": 8}
    )
    assert_same_bits(outcome.state, fit(steps=4).state)
    assert_same_bits(training.restore_best(fresh_state(), Checkpoints(tmp_path)), outcome.state)


def test_a_better_score_renews_the_patience(tmp_path):
    scores = {2: 3.0, 4: 4.0, 6: 2.0, 8: 2.5, 10: 1.0}
    outcome = fit(
        steps=10,
        evaluate=scripted(scores),
        every=2,
        monitor="score",
        patience=2,
        checkpoints=Checkpoints(tmp_path),
    )
    assert (outcome.reason, outcome.progress.best_step) == ("finished", 10)


def test_a_callback_that_answers_true_to_an_evaluation_stops_the_run(tmp_path):
    solved = lambda event: event.kind != "evaluation" or event.metrics["score"] < 2  # noqa: E731
    scores = {2: 3.0, 4: 1.0, 6: 2.0}
    outcome = fit(steps=6, evaluate=scripted(scores), every=2, callbacks=[solved, lambda event: 1])
    assert (outcome.reason, outcome.progress.step) == ("stopped early", 4)
    assert_same_bits(outcome.state, fit(steps=4).state)
    options = {
        "evaluate": scripted(scores),
        "every": 2,
        "monitor": "score",
        "checkpoints": Checkpoints(tmp_path),
    }
    assert fit(steps=6, callbacks=[solved], **options).progress.step == 4
    source = Source()
    state, progress = training.resume(fresh_state(), source, Checkpoints(tmp_path))
    outcome = fit(
        state, source, steps=6, progress=progress, callbacks=[lambda event: None], **options
    )
    assert (outcome.reason, outcome.progress.step) == ("stopped early", 4)


def test_a_run_killed_after_its_last_patience_was_saved_still_stops_there(tmp_path):
    scores = {2: 1.0, 4: 2.0, 6: 0.5}
    options = {"evaluate": scripted(scores), "every": 2, "monitor": "score", "patience": 1}

    def kill(event):
        if event.kind == "end":
            raise SystemExit

    with pytest.raises(SystemExit):
        fit(steps=6, checkpoints=Checkpoints(tmp_path), callbacks=[kill], **options)
    source, checkpoints = Source(), Checkpoints(tmp_path)
    state, progress = training.resume(fresh_state(), source, checkpoints)
    outcome = fit(state, source, steps=6, progress=progress, checkpoints=checkpoints, **options)
    assert (outcome.reason, outcome.progress.step) == ("stopped early", 4)
    assert_same_bits(outcome.state, fit(steps=2).state)


def test_a_tie_goes_to_the_better_second_score_also_across_a_resume(tmp_path):
    rows = {2: (1.0, 2.3), 4: (1.0, 0.5), 6: (1.0, 0.17), 8: (1.0, 0.2), 10: (1.0, float("nan"))}
    options = {
        "evaluate": lambda state: dict(zip(("error", "nats"), rows[int(state.step)], strict=True)),
        "monitor": ("error", "nats"),
        "every": 2,
    }
    whole = fit(steps=10, checkpoints=Checkpoints(tmp_path / "whole"), **options).progress
    assert (whole.best, whole.ties, whole.best_step, whole.stale) == (1.0, [0.17], 6, 2)
    assert training.restore_best(fresh_state(), Checkpoints(tmp_path / "whole")).step == 6

    checkpoints, source = Checkpoints(tmp_path / "halves"), Source()
    fit(steps=6, source=source, checkpoints=checkpoints, **options)
    state, progress = training.resume(fresh_state(), source, checkpoints)
    assert (
        fit(state, source, steps=10, progress=progress, checkpoints=checkpoints, **options).progress
        == whole
    )


def test_a_run_of_one_score_resumed_with_two_lets_the_second_decide(tmp_path):
    evaluate = lambda state: {"error": 1.0, "nats": 1 / float(state.step)}  # noqa: E731
    checkpoints, source = Checkpoints(tmp_path), Source()
    fit(steps=2, source=source, evaluate=evaluate, monitor="error", checkpoints=checkpoints)
    state, progress = training.resume(fresh_state(), source, checkpoints)
    outcome = fit(
        state,
        source,
        steps=4,
        progress=progress,
        evaluate=evaluate,
        monitor=("error", "nats"),
        checkpoints=checkpoints,
    )
    assert (outcome.progress.best_step, outcome.progress.ties) == (4, [0.25])


def unguarded(train_step, at, value=np.nan):
    """A step of a user's own, that lets NaN through after a number of steps."""

    def step(state, batch):
        state, metrics = train_step(state, batch)
        if int(state.step) >= at:
            state = state.replace(
                params=jax.tree.map(lambda a: jax.numpy.full_like(a, value), state.params)
            )
        return state, metrics

    return step


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_states_that_are_not_finite_displace_neither_the_best_nor_the_newest_sound_one(
    tmp_path, value
):
    def careless(state, batch):
        state, metrics = TRAIN_STEP(state, batch)
        return state, metrics | {"finite": np.float32(1), "skipped_in_a_row": np.int32(0)}

    checkpoints = Checkpoints(tmp_path)
    # The largest of NaN is a class as well: the error of a lost network is a number, and here the
    # lowest.
    evaluate = lambda state: {"error": 1.0 if int(state.step) < 6 else 0.5}  # noqa: E731
    options = {
        "steps": 14,
        "evaluate": evaluate,
        "monitor": "error",
        "every": 2,
        "checkpoints": checkpoints,
    }
    outcome = training.fit_batches(
        fresh_state(), unguarded(careless, 6, value), Source(), **options
    )
    assert outcome.progress.best_step == 2 and checkpoints.steps() == [2, 4, 12, 14]
    with pytest.warns(
        UserWarning, match=r"is damaged \(.params.* holds (NaN|infinity)\); passed over"
    ):
        step, restored, progress = checkpoints.restore(fresh_state())
    assert step == progress["step"] == 4 and progress["best_step"] == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(restored.params))
    with pytest.warns(UserWarning, match="passed over"):
        assert int(training.restore_best(fresh_state(), checkpoints).step) == 2


def test_with_no_finite_checkpoint_left_a_loader_refuses_in_one_line(tmp_path):
    lost = fresh_state()
    lost = lost.replace(ema=jax.tree.map(lambda a: a * np.nan, lost.ema))
    Checkpoints(tmp_path).save(4, lost, {"best_step": 4})
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(training.CheckpointError) as error,
    ):
        training.restore_best(fresh_state(), Checkpoints(tmp_path))
    assert "no sound checkpoint" in str(error.value) and ".ema['layer']['b'] holds NaN" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_a_score_that_is_nan_is_never_the_best(tmp_path):
    scores = {1: float("nan"), 2: 3.0, 3: float("nan"), 4: 2.0}
    outcome = fit(
        steps=4,
        evaluate=scripted(scores),
        every=1,
        monitor="score",
        checkpoints=Checkpoints(tmp_path),
    )
    assert (outcome.progress.best, outcome.progress.best_step) == (2.0, 4)


def test_scores_may_be_numpy_or_jax_scalars(tmp_path):
    scores = {1: np.float32(2.5), 2: jax.numpy.float32(1.5)}
    fit(
        steps=2,
        evaluate=scripted(scores),
        every=1,
        monitor="score",
        checkpoints=Checkpoints(tmp_path),
    )
    assert Checkpoints(tmp_path).restore(fresh_state())[2]["best"] == 1.5


def test_restore_best_of_a_run_without_scores_is_the_newest(tmp_path):
    outcome = fit(steps=3, every=1, checkpoints=Checkpoints(tmp_path))
    assert_same_bits(training.restore_best(fresh_state(), Checkpoints(tmp_path)), outcome.state)


@pytest.mark.parametrize("damage", ["manifest.json", "progress.json", None])
def test_restore_best_falls_back_to_the_newest_and_says_so(tmp_path, damage):
    outcome = fit(
        steps=9, evaluate=score, every=3, monitor="score", checkpoints=Checkpoints(tmp_path)
    )
    assert Checkpoints(tmp_path).steps() == [6, 9]
    folder = tmp_path / "00000006"
    if damage is None:
        folder.rename(tmp_path / "elsewhere")
    else:
        (folder / damage).write_text("{")
    with pytest.warns(UserWarning, match="best"):
        state = training.restore_best(fresh_state(), Checkpoints(tmp_path))
    assert_same_bits(state, outcome.state)


def stop_at(*steps, number=signal.SIGTERM):
    """A callback that sends its own process a signal."""

    def callback(event):
        if event.kind == "step" and event.step in steps:
            os.kill(os.getpid(), number)

    return callback


def scores_of(events):
    """Everything that an evaluation reports, by step."""
    return {event.step: event.metrics for event in events if event.kind == "evaluation"}


STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_saves_and_ends_the_loop_and_the_resumed_run_is_the_one_that_never_stopped(
    tmp_path, undisturbed, number
):
    before, seen = signal.getsignal(number), {}
    # A callback is told of a step while the next one is at hand, but of the first one and of an
    # evaluation's at once. In the first interval, at an evaluation, right after it, right before
    # the end.
    for told, step in ((4, 5), (6, 6), (7, 7), (9, 9), (10, 10)):
        stopped, events, _ = run(tmp_path, stop_at(told, number=number))
        assert (stopped.reason, stopped.progress.step, int(stopped.state.step)) == (
            "interrupted",
            step,
            step,
        )
        assert stopped.signal == number
        assert events[-1].kind == "end" and signal.getsignal(number) is before
        assert max(Checkpoints(tmp_path).steps()) == step
        seen |= scores_of(events)
    outcome, events, source = run(tmp_path)
    whole, whole_events, whole_source = undisturbed
    assert_same_bits(outcome.state, whole.state)
    assert outcome.progress == whole.progress and outcome.reason == whole.reason
    assert source.state() == whole_source.state() and outcome.signal == 0
    # The gradients before a stop count in the evaluation after it.
    assert seen | scores_of(events) == scores_of(whole_events)


def test_a_hangup_that_is_ignored_stays_ignored():
    """As `nohup` wants it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert fit(steps=3, callbacks=[stop_at(1, number=signal.SIGHUP)]).reason == "finished"
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_at_the_last_step_lets_the_run_finish(tmp_path):
    assert run(tmp_path, stop_at(11))[0].reason == "finished"


def test_a_second_interrupt_is_a_keyboard_interrupt(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def twice(event):
        if event.kind == "step":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, twice)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_signals_are_left_alone():
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(fit(steps=2)))
    thread.start()
    thread.join()
    assert outcomes[0].reason == "finished"


def test_resume_falls_back_to_the_sound_checkpoint_before_and_repeats_from_there(
    tmp_path, undisturbed
):
    run(tmp_path)
    (tmp_path / "00000011" / "progress.json").write_text("{}")
    with pytest.warns(UserWarning, match="passed over"):
        outcome, events, source = run(tmp_path)
    assert events[0].step == 9
    assert_same_bits(outcome.state, undisturbed[0].state)
    assert outcome.progress == undisturbed[0].progress and source.state() == {"position": 11}
    with warnings.catch_warnings(action="error"):
        assert run(tmp_path)[0].progress.step == 11, "the damaged one was replaced"


def test_resume_with_nothing_there_begins_at_the_beginning(tmp_path):
    state, source = fresh_state(), Source()
    resumed, progress = training.resume(state, source, Checkpoints(tmp_path))
    assert resumed is state and progress == Progress() and source.position == 0


def test_resume_refuses_a_folder_whose_checkpoints_lost_their_manifests(tmp_path):
    fit(steps=4, every=2, checkpoints=Checkpoints(tmp_path))
    for manifest in tmp_path.rglob("manifest.json"):
        manifest.unlink()
    with (
        pytest.raises(training.CheckpointError, match="no sound checkpoint"),
        pytest.warns(UserWarning, match="passed over"),
    ):
        training.resume(fresh_state(), Source(), Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="holds a run already"):
        fit(steps=2, checkpoints=Checkpoints(tmp_path))


def test_a_run_may_be_resumed_for_more_steps(tmp_path):
    run(tmp_path, steps=6)
    assert_same_bits(run(tmp_path, steps=8)[0].state, fit(steps=8).state)


def test_a_finished_run_resumed_trains_no_further(tmp_path, undisturbed):
    run(tmp_path)
    outcome, events, _ = run(tmp_path)
    assert [event.kind for event in events] == ["start", "end"]
    assert_same_bits(outcome.state, undisturbed[0].state)


def test_a_new_run_does_not_mix_with_the_one_in_its_folder(tmp_path):
    fit(steps=4, every=2, checkpoints=Checkpoints(tmp_path))
    with pytest.raises(ValueError, match="holds a run already"):
        fit(steps=2, every=1, checkpoints=Checkpoints(tmp_path))
    assert Checkpoints(tmp_path).steps() == [2, 4]


def test_gradients_that_are_not_finite_are_skipped_and_the_first_batch_is_handed_out_once():
    dumped = []
    outcome = fit(
        source=Source(poisoned=[2, 4, 5]),
        steps=8,
        max_skipped=3,
        on_nonfinite=lambda step, batch: dumped.append((step, batch)),
    )
    assert outcome.reason == "finished" and int(outcome.state.skipped) == 3
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(outcome.state.params))
    ((step, batch),) = dumped
    assert step == 3 and np.isinf(batch["y"]).all()
    np.testing.assert_array_equal(batch["x"], make_batch(2)["x"])


def test_skipped_steps_are_counted_over_a_resume_and_their_first_batch_is_not_handed_out_again(
    tmp_path,
):
    dumped, events = [], []

    def stage(steps, *callbacks):
        source, checkpoints = Source(poisoned=[2, 5]), Checkpoints(tmp_path)
        state, progress = training.resume(fresh_state(), source, checkpoints)
        return fit(
            state,
            source,
            steps=steps,
            progress=progress,
            checkpoints=checkpoints,
            callbacks=[events.append],
            on_nonfinite=lambda step, batch: dumped.append(step),
        )

    assert stage(4).progress.skipped == 1
    assert stage(7).progress.skipped == 2
    assert dumped == [3]
    counts = [event.metrics["skipped"] for event in events if event.kind == "step"]
    assert counts == [0, 0, 1, 1, 1, 2, 2]


def test_too_many_in_a_row_stop_the_run_with_the_last_good_state_saved(tmp_path):
    dumped = []
    with pytest.raises(
        training.NonFiniteError, match=r"3 gradients in a row were not finite, the last at step 7"
    ):
        fit(
            source=Source(poisoned=[1, 4, 5, 6]),
            steps=20,
            max_skipped=3,
            checkpoints=Checkpoints(tmp_path),
            on_nonfinite=lambda step, batch: dumped.append(step),
        )
    assert dumped == [2]
    step, saved, progress = Checkpoints(tmp_path).restore(fresh_state())
    assert (step, progress["step"], progress["data"]) == (7, 7, {"position": 7})
    good = fit(source=Source(poisoned=[1]), steps=4).state
    assert_same_bits(
        (saved.params, saved.opt_state, saved.ema), (good.params, good.opt_state, good.ema)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"every": 0}, "every is 0"),
        ({"monitor": "score"}, "give evaluate"),
        ({"evaluate": score, "monitor": "score", "patience": 2}, "checkpoints"),
        ({"evaluate": score, "patience": 2, "checkpoints": Checkpoints("never")}, "monitor"),
        (
            {
                "evaluate": score,
                "monitor": "score",
                "patience": 0,
                "checkpoints": Checkpoints("never"),
            },
            "patience=0",
        ),
        (
            {"evaluate": score, "monitor": "loss"},
            r"monitor='loss' is not among the scores \['score', 'w'\]",
        ),
    ],
)
def test_arguments_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        fit(**{"steps": 1} | options)
    assert not Path("never").exists()


def test_killed_at_random_moments_and_resumed_it_ends_with_the_same_bytes():
    environment = os.environ | {"PYTHONPATH": str(Path(seqjax.__file__).parents[1])}
    words = [sys.executable, str(BENCHMARK), "--kills", "3", "--steps", "30"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("OK: 3 kills")


def updates_that_overflow(loss, optimiser):
    state = training.create_state({"w": jax.numpy.ones(3)}, optimiser, 0)
    return state, training.make_train_step(loss, optimiser)


def test_updates_that_are_not_finite_stop_the_run_and_say_that_the_gradient_was(tmp_path):
    schedule = lambda step: jax.numpy.where(step < 4, 0.1, jax.numpy.nan)  # noqa: E731
    state, train_step = updates_that_overflow(
        lambda params, *_: (params["w"] ** 2).sum(), optax.sgd(schedule)
    )
    with pytest.raises(
        training.NonFiniteError, match=r"3 updates in a row were not finite, the last at step 7"
    ):
        training.fit_batches(
            state,
            train_step,
            Source(),
            steps=20,
            every=1,
            max_skipped=3,
            checkpoints=Checkpoints(tmp_path),
        )
    with warnings.catch_warnings(action="error"):
        like = training.create_state({"w": jax.numpy.zeros(3)}, optax.sgd(schedule), 0)
        _, restored, _ = Checkpoints(tmp_path).restore(like)
    np.testing.assert_allclose(restored.params["w"], 0.8**4, rtol=1e-6)


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_batches_that_end_end_the_run_with_its_last_state_evaluated_and_saved(tmp_path, kind):
    batches = [make_batch(n) for n in range(5)]
    given = batches if kind == "list" else (batch for batch in batches)
    events, checkpoints = [], Recorded(tmp_path)
    outcome = training.fit_batches(
        fresh_state(),
        TRAIN_STEP,
        given,
        steps=9,
        evaluate=score,
        every=2,
        monitor="score",
        checkpoints=checkpoints,
        callbacks=[events.append],
    )
    assert (outcome.reason, outcome.progress.step) == ("out of batches", 5)
    assert [event.step for event in events if event.kind == "evaluation"] == [2, 4, 5]
    assert events[-1].kind == "end" and max(checkpoints.steps()) == 5
    assert_same_bits(outcome.state, fit(steps=5).state)


def test_batches_that_end_at_an_evaluation_are_not_evaluated_twice(tmp_path):
    events = []
    batches = (make_batch(n) for n in range(4))
    outcome = training.fit_batches(
        fresh_state(),
        TRAIN_STEP,
        batches,
        steps=9,
        evaluate=score,
        every=2,
        callbacks=[events.append],
    )
    assert outcome.reason == "out of batches"
    assert [event.step for event in events if event.kind == "evaluation"] == [2, 4]


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_a_run_over_a_list_or_a_generator_is_resumed_after_the_last_batch_it_took(tmp_path, kind):
    batches = [make_batch(n) for n in range(8)]
    fresh = lambda: batches if kind == "list" else (batch for batch in batches)  # noqa: E731
    checkpoints = Checkpoints(tmp_path)
    training.fit_batches(fresh_state(), TRAIN_STEP, fresh(), steps=3, checkpoints=checkpoints)
    again = fresh()
    state, progress = training.resume(fresh_state(), again, checkpoints)
    outcome = training.fit_batches(
        state, TRAIN_STEP, again, steps=6, progress=progress, checkpoints=checkpoints
    )
    assert_same_bits(outcome.state, fit(steps=6).state)
    short = iter(batches[:2])
    with pytest.raises(ValueError, match="took 6 batches and only 2 are there"):
        training.resume(fresh_state(), short, checkpoints)


@pytest.mark.parametrize(
    ("batches", "error", "words"),
    [
        ([], ValueError, "batches gave none; give at least one batch"),
        (make_batch(0), TypeError, "batches is one dict; give a list or an iterator of batches"),
        (7, TypeError, "batches is one int"),
    ],
)
def test_no_batches(unchecked, batches, error, words):
    with pytest.raises(error, match=words):
        training.fit_batches(fresh_state(), TRAIN_STEP, batches, steps=2)


def test_a_list_is_no_source_for_a_run_that_was_begun_with_one_that_knows_its_position(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    fit(steps=2, checkpoints=checkpoints)
    with pytest.raises(ValueError, match="batches that know their position"):
        training.resume(fresh_state(), iter([make_batch(0)]), checkpoints)


def test_callbacks_are_told_of_a_step_while_the_next_one_is_at_hand():
    """So the device need not wait for them; an evaluation waits for its own step."""
    order = []

    def taking(state, batch):
        state, metrics = TRAIN_STEP(state, batch)
        order.append(("taken", int(state.step)))
        return state, metrics

    def told(event):
        if event.kind in ("step", "evaluation"):
            order.append((event.kind, event.step))

    training.fit_batches(fresh_state(), taking, Source(), steps=6, every=4, callbacks=[told])
    # The first step shows whether the run comes from a streak of lost ones.
    assert order == [
        ("taken", 1),
        ("step", 1),
        ("taken", 2),
        ("taken", 3),
        ("step", 2),
        ("taken", 4),
        ("step", 3),
        ("step", 4),
        ("evaluation", 4),
        ("taken", 5),
        ("taken", 6),
        ("step", 5),
        ("step", 6),
        ("evaluation", 6),
    ]


@pytest.mark.parametrize("max_skipped", [1, 2, 4])
@pytest.mark.parametrize("before", [0, 1])
def test_a_streak_ends_at_its_step_also_where_good_batches_follow_or_a_resume_lies_in_it(
    tmp_path, max_skipped, before
):
    """The state that is saved has seen no batch after the streak."""
    first = 3
    last = first + max_skipped - 1
    checkpoints = Checkpoints(tmp_path)

    def stage(steps):
        source = Source(poisoned=range(first - 1, last))
        state, progress = training.resume(fresh_state(), source, checkpoints)
        options = {"progress": progress, "max_skipped": max_skipped, "checkpoints": checkpoints}
        return fit(state, source, steps=steps, **options)

    if before:
        stage(last - 1)
    with pytest.raises(training.NonFiniteError, match=f"the last at step {last};"):
        stage(20)
    step, saved, progress = checkpoints.restore(fresh_state())
    assert (step, int(saved.step), progress["data"]) == (last, last, {"position": last})
    assert_same_bits(saved.params, fit(steps=first - 1).state.params)


def test_metrics_come_in_one_array_and_are_those_of_the_bare_step(monkeypatch):
    fetched, seen, events = training.loop.fetched, [], []
    monkeypatch.setattr(
        training.loop, "fetched", lambda metrics: seen.append(metrics) or fetched(metrics)
    )
    fit(steps=3, callbacks=[events.append])
    assert [metrics.values.ndim for metrics in seen] == [1, 1, 1]
    state = fresh_state()
    told = [event.metrics for event in events if event.kind == "step"]
    for number, metrics in enumerate(told):
        state, expected = TRAIN_STEP(state, make_batch(number))
        assert metrics == {name: float(value) for name, value in expected.items()} | {"skipped": 0}


def test_a_step_wrapped_by_its_user_is_the_one_that_is_taken():
    calls = []

    @functools.wraps(TRAIN_STEP)
    def wrapped(state, batch):
        calls.append(batch)
        return TRAIN_STEP(state, batch)

    training.fit_batches(fresh_state(), wrapped, Source(), steps=2)
    assert len(calls) == 2


class Slow(Checkpoints):
    """Checkpoints of which that of step 3 is written only once step 5 has been told, or never."""

    def __init__(self, folder):
        super().__init__(folder)
        self.told = threading.Event()

    def save(self, step, tree, progress, best=None):
        if step == 3:
            assert self.told.wait(20), "training waits for the checkpoint"
        super().save(step, tree, progress, best)


def test_checkpoints_are_written_while_training_goes_on_and_hold_their_own_step(tmp_path):
    checkpoints = Slow(tmp_path)

    def tell(event):
        if event.kind == "step" and event.step == 5:
            checkpoints.told.set()

    fit(steps=6, every=3, checkpoints=checkpoints, callbacks=[tell])
    assert Checkpoints(tmp_path).steps() == [3, 6], "all is written when the loop returns"
    _, saved, progress = Checkpoints(tmp_path).restore(fresh_state(), 3)
    assert progress["step"] == 3 and progress["data"] == {"position": 3}
    assert_same_bits(saved, fit(steps=3).state)


def test_no_step_is_told_before_the_first_checkpoint_is_written(tmp_path):
    """Else a run that is killed in between has a log, and nothing to go on from."""
    told, there = threading.Event(), []

    class Late(Checkpoints):
        def save(self, step, tree, progress, best=None):
            told.wait(1)
            super().save(step, tree, progress, best)

    def look(event):
        if event.kind == "step":
            there.append(Checkpoints(tmp_path).steps())
            told.set()

    fit(steps=1)  # compiles
    fit(steps=2, checkpoints=Late(tmp_path), callbacks=[look])
    assert there[0] == [0]


def test_what_a_callback_raises_comes_after_the_checkpoint_that_is_under_way(tmp_path):
    def leave(event):
        if event.kind == "step" and event.step == 4:
            raise SystemExit

    with pytest.raises(SystemExit):
        fit(steps=6, every=3, checkpoints=Checkpoints(tmp_path), callbacks=[leave])
    assert Checkpoints(tmp_path).steps() == [0, 3]


def test_a_checkpoint_that_cannot_be_written_ends_the_run(tmp_path):
    class Broken(Checkpoints):
        def save(self, step, tree, progress, best=None):
            if step:
                raise OSError("the disk is gone")
            super().save(step, tree, progress, best)

    with pytest.raises(OSError, match="the disk is gone"):
        fit(steps=9, every=3, checkpoints=Broken(tmp_path))
