"""Reports: metrics as JSON lines, the progress bar, TensorBoard files, pictures."""

import json
import math
import os
import sys
import time
import types

import pytest

from seqjax import figures, training
from seqjax.training import Event, MetricsLog, read_metrics


def step_event(step, **metrics):
    return Event(
        "step", step, {"loss": 1.0 / step, "gradient_norm": 2.0, "clipped_norm": 1.0} | metrics
    )


def strict_lines(path):
    """The lines, each of which must be JSON as other programs read it: without NaN."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = types.SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.seconds)
    return now


def test_a_line_for_each_step_and_evaluation(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    assert not path.exists()
    log(Event("start", 0, {}))
    clock.seconds += 1.5
    log(step_event(1))
    clock.seconds += 0.25
    log(Event("evaluation", 1, {"nats": 3.5, "nonfinite_steps": 0}))
    log(Event("end", 1, {}))
    lines = [
        {
            "step": 1,
            "kind": "step",
            "seconds": 1.5,
            "loss": 1.0,
            "gradient_norm": 2.0,
            "clipped_norm": 1.0,
        },
        {"step": 1, "kind": "evaluation", "seconds": 1.75, "nats": 3.5, "nonfinite_steps": 0},
    ]
    assert strict_lines(path) == lines == read_metrics(path)


def test_what_is_not_finite_becomes_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path)(step_event(1, loss=math.nan, gradient_norm=math.inf, clipped_norm=-math.inf))
    (line,) = strict_lines(path)
    assert line["loss"] is line["gradient_norm"] is line["clipped_norm"] is None


def test_a_resumed_log_drops_later_lines_and_its_clock_goes_on(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(1, 6):
        clock.seconds += 10
        log(step_event(step))
    log(Event("evaluation", 3, {"nats": 1.0}))

    clock.seconds += 5000
    log = MetricsLog(path, step=3)
    assert [(line["kind"], line["step"]) for line in read_metrics(path)] == [
        *(("step", step) for step in (1, 2, 3)),
        ("evaluation", 3),
    ]
    clock.seconds += 2
    log(step_event(4))
    kept = strict_lines(path)
    assert [line["step"] for line in kept] == [1, 2, 3, 3, 4]
    assert kept[-1]["seconds"] == kept[-2]["seconds"] + 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.jsonl"]


def test_a_new_run_begins_an_empty_log(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path)(step_event(1))
    log = MetricsLog(path)
    assert path.read_text() == ""
    clock.seconds += 1
    log(step_event(1))
    assert [line["seconds"] for line in read_metrics(path)] == [1.0]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log(step_event(1))
    log(step_event(2))
    whole = path.read_text()
    for end in range(len(whole) // 2 + 1, len(whole) - 1):
        path.write_text(whole[:end])
        assert [line["step"] for line in read_metrics(path)] == [1]
    MetricsLog(path, step=1)(step_event(2))
    assert [line["step"] for line in strict_lines(path)] == [1, 2]


@pytest.mark.parametrize(
    "damage", ["5", "{}", "null", '{"step": 1', '{"step": "a", "kind": "step", "seconds": 1}']
)
def test_a_damaged_line_before_the_last_is_named_and_nothing_is_lost(tmp_path, damage):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log(step_event(1))
    whole = path.read_text()
    path.write_text(whole + damage + "\n" + whole)
    for read in (read_metrics, lambda path: MetricsLog(path, step=1)):
        with pytest.raises(ValueError, match=r"metrics\.jsonl: line 2 is damaged"):
            read(path)
    assert path.read_text() == whole + damage + "\n" + whole
    path.write_bytes(whole.encode() + b"\0" * 100)
    assert len(read_metrics(path)) == 1, "after a loss of power the end may be zeros"


def test_there_are_no_metrics_where_there_is_no_file(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def drive(bar):
    bar(Event("start", 10, {}))
    bar(step_event(11, loss=1.25))
    bar(step_event(12, loss=0.5, gradient_norm=7.125))
    bar(
        Event(
            "evaluation", 12, {"nats": 0.12345, "gradient_norm_p50": 7.7777, "clipped_share": 0.5}
        )
    )
    bar(Event("end", 12, {}))


def test_the_bar_shows_step_loss_norm_and_rate_on_stderr(capsys, clock):
    with training.progress_bar(20, per_step=50, unit="characters") as bar:
        bar(Event("start", 10, {}))
        bar(step_event(11, loss=1.25))
        clock.seconds += 0.5
        bar(step_event(12, loss=0.5, gradient_norm=7.125))
        bar(
            Event(
                "evaluation",
                12,
                {"nats": 0.12345, "gradient_norm_p50": 7.7777, "clipped_share": 0.5},
            )
        )
        bar(Event("end", 12, {}))
    out, err = capsys.readouterr()
    assert out == ""
    assert "step 12: nats 0.1235\n" in err and "7.7777" not in err
    for words in ("12/20", "loss 0.500", "norm 7.12", "100 characters/s"):
        assert words in err
    assert "skipped" not in err


def test_the_bar_says_how_many_steps_were_skipped(capsys):
    with training.progress_bar(20, per_step=50, unit="characters") as bar:
        bar(step_event(11, skipped=3))
    assert "3 skipped" in capsys.readouterr().err


def test_the_bar_is_there_before_anything_is_compiled(capsys):
    with training.progress_bar(20, per_step=50, unit="characters"):
        pass
    assert "compiling" in capsys.readouterr().err


def test_the_quiet_bar_shows_nothing(capsys):
    with training.progress_bar(20, per_step=50, unit="characters", quiet=True) as bar:
        drive(bar)
    assert capsys.readouterr() == ("", "")


def test_tensorboard_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "seqjax\[tensorboard\]"'):
        with training.tensorboard(tmp_path / "events"):
            pass
    assert not (tmp_path / "events").exists()


def test_tensorboard_writes_each_metric_and_closes_the_writer(tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            written.append(folder)

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(
        sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter)
    )
    with training.tensorboard(tmp_path) as write:
        write(Event("start", 0, {}))
        write(Event("step", 1, {"loss": 0.5}))
        write(Event("evaluation", 1, {"nats": 2.0}))
    assert written == [str(tmp_path), ("step/loss", 0.5, 1), ("evaluation/nats", 2.0, 1), "closed"]


def test_tensorboard_event_files_come_back(tmp_path):
    pytest.importorskip("tensorboardX", reason="the extra tensorboard is not installed")
    with training.tensorboard(tmp_path) as write:
        write(Event("step", 1, {"loss": 0.5}))
    (path,) = tmp_path.glob("events.out.tfevents.*")
    assert b"step/loss" in path.read_bytes()


@pytest.mark.parametrize("threshold", [None, 1.0])
def test_plot_history_draws_what_the_log_holds(tmp_path, threshold):
    from matplotlib import image

    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in range(1, 7):
        log(step_event(step, loss=math.nan if step == 4 else 1 / step))
    log(Event("evaluation", 6, {"nats": 0.5}))
    path = tmp_path / "loss.png"
    figures.plot_history(
        path, read_metrics(tmp_path / "metrics.jsonl"), {"nats": "validation"}, threshold
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    pixels = image.imread(path)[..., :3]
    assert pixels.std() > 0.01
    assert sorted(p.name for p in tmp_path.iterdir()) == ["loss.png", "metrics.jsonl"]


def test_plot_history_of_a_run_without_evaluations(tmp_path):
    figures.plot_history(tmp_path / "loss.png", [], {"nats": "validation"}, 1.0)
    assert (tmp_path / "loss.png").stat().st_size > 0


def test_a_small_score_has_an_axis_of_its_own(tmp_path, monkeypatch):
    """On the axis of a loss of 50 nats an error of a twentieth would lie on the ground."""
    from matplotlib import get_backend, pyplot

    before = get_backend(), pyplot.get_fignums()
    lines = [{"kind": "step", "step": 1, "loss": 50.0, "gradient_norm": 1.0, "clipped_norm": 1.0}]
    lines.append({"kind": "evaluation", "step": 1, "nats": 40.0, "error": 0.05})
    drawn = []
    monkeypatch.setattr(
        "seqjax.figures.history.save_figure", lambda figure, path: drawn.append(figure)
    )
    figures.plot_history(
        tmp_path / "loss.png", lines, {"nats": "validation", "error": "share wrong"}, None
    )
    assert (get_backend(), pyplot.get_fignums()) == before, "matplotlib is left as it was"
    heights = {
        axis.get_ylabel(): [y for line in axis.lines for y in line.get_ydata()]
        for axis in drawn[0].axes
    }
    assert heights["nats"] == [50.0, 40.0]
    assert heights["share wrong"] == [0.05]


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([1, 2])
    figures.save_figure(figure, tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    whole = (tmp_path / "a.png").read_bytes()

    class Broken:
        def savefig(self, path, **_):
            path.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        figures.save_figure(Broken(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == whole


def test_the_log_is_opened_once_and_each_line_is_there_at_once(tmp_path, monkeypatch):
    path, opened, real = tmp_path / "metrics.jsonl", [], os.open
    log = training.MetricsLog(path)
    monkeypatch.setattr(os, "open", lambda *given: opened.append(given[0]) or real(*given))
    for step in (1, 2, 3):
        log(training.Event("step", step, {"loss": 0.5}))
        assert [line["step"] for line in read(path)] == list(range(1, step + 1))
    assert opened.count(path) == 1


def read(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]
