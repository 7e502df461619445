"""What every experiment has from `cli` and `Run`: resuming, exit codes, one writer, mistakes, several processes."""

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

import seqjax
from experiments import cli
from seqjax import training
from seqjax.training import locks, run
from tests.experiments import tiny

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOT = Path(cli.__file__).parents[1]


@pytest.fixture
def call(monkeypatch):
    """Runs the tiny experiment in this process; returns its exit code."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tiny", *map(str, words)])
        try:
            cli.launch(tiny.Config, tiny.main, tiny.__doc__, tiny.VERBS)
        except SystemExit as stop:
            return stop.code
        return 0

    return run


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A run of 20 steps, to be copied."""
    folder = tmp_path_factory.mktemp("first") / "run"
    tiny.main(tiny.Config(out=str(folder), quiet=True))
    locks.unlock_folders()
    return folder


@pytest.fixture
def trained(tmp_path, first_run):
    """The folder of a run of 20 steps."""
    return shutil.copytree(first_run, tmp_path / "run")


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def steps_of(folder):
    return [
        line["step"]
        for line in training.read_metrics(folder / "metrics.jsonl")
        if line["kind"] == "step"
    ]


def only_line(capsys):
    """The one line on stderr."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


# Resuming


def test_an_option_equal_to_its_default_counts_as_given_on_resume(tmp_path, call, capsys):
    out = tmp_path / "run"
    assert call("--quiet", "--steps", 10, "--hidden-size", 3, "--out", out) == 0
    assert call("--quiet", "--resume", out, "--steps", 20) == 0
    assert steps_of(out) == list(range(1, 21))
    assert call("--quiet", "--resume", out, "--hidden-size", 4) == 2
    assert "--hidden-size cannot change" in only_line(capsys)
    assert call("--quiet", "--resume", out, "--hidden-size", 3) == 0


def test_devices_given_as_the_default_take_a_run_back_to_one(trained):
    saved = json.loads((trained / "config.json").read_text())
    saved["config"]["devices"] = 2
    (trained / "config.json").write_text(json.dumps(saved))
    resumed = lambda **given: run.resumed_config(  # noqa: E731
        "tiny", tiny.Config(resume=str(trained), **given)
    )
    assert resumed(devices=1).devices == 1 and resumed().devices == 2


def test_data_may_move_between_a_run_and_its_resume(tmp_path, call, capsys):
    out, text, moved, other = (tmp_path / name for name in ("run", "a.txt", "b.txt", "c.txt"))
    text.write_text("data")
    other.write_text("other data")
    assert call("--quiet", "--text", text, "--steps", 5, "--out", out) == 0
    text.rename(moved)
    assert call("--quiet", "--resume", out, "--text", moved, "--steps", 10) == 0
    assert steps_of(out) == list(range(1, 11))
    assert call("--quiet", "--resume", out, "--steps", 15) == 0, (
        "it remembers where the data is now"
    )
    assert call("--quiet", "--resume", out, "--text", other) == 2
    assert "another fingerprint" in only_line(capsys)


def test_resume_refuses_a_trained_run_without_checkpoints_and_keeps_its_log(
    trained, first_run, call, capsys
):
    (trained / "result.json").unlink()
    shutil.rmtree(trained / "checkpoints")
    before = files_of(trained)
    assert call("--quiet", "--resume", trained, "--steps", 30) == 2
    assert "checkpoints are gone" in only_line(capsys)
    assert files_of(trained) == before
    shutil.copytree(first_run / "checkpoints", trained / "checkpoints")
    for manifest in trained.rglob("manifest.json"):
        manifest.unlink()
    assert call("--quiet", "--resume", trained, "--steps", 30) == 2
    assert "checkpoints are gone or damaged" in only_line(capsys)


def test_a_run_killed_before_its_first_checkpoint_resumes_from_the_beginning(trained, call):
    shutil.rmtree(trained / "checkpoints")
    (trained / "metrics.jsonl").unlink()
    assert call("--quiet", "--resume", trained) == 0
    assert steps_of(trained) == list(range(1, 21))


def test_a_run_that_ends_before_its_first_evaluation_resumes(tmp_path, call, monkeypatch):
    """Its log tells of steps, and its only checkpoint is that of step 0."""

    def fail(*given):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(tiny.Line, "evaluate", fail)
        with pytest.raises(RuntimeError, match="killed"):
            call("--quiet", "--out", tmp_path / "run")
    locks.unlock_folders()
    assert steps_of(tmp_path / "run") == [1, 2, 3, 4, 5]
    assert call("--quiet", "--resume", tmp_path / "run") == 0
    assert steps_of(tmp_path / "run") == list(range(1, 21))


def test_a_run_names_what_shows_it(tmp_path, call, capsys):
    assert call("--out", tmp_path / "run") == 0
    *_, folder, shown, model = capsys.readouterr().out.splitlines()
    assert folder == f"run folder: {tmp_path / 'run'}"
    assert shown == "  index.html shows the run, with loss.png"
    assert model == "  model/ is what seqjax.load reads"


def test_a_run_without_matplotlib_ends_before_it_trains(tmp_path, call, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert call("--out", tmp_path / "run", "--quiet") == 2
    assert "pictures want matplotlib: pip install" in only_line(capsys)
    assert not (tmp_path / "run").exists()


# One folder, one writer


def test_a_folder_that_another_process_writes_is_refused(tmp_path, trained, call, capsys):
    holder = (
        "import runpy, sys, time; k = runpy.run_path(sys.argv[1]); k['lock_folder'](sys.argv[2])"
    )
    words = [
        sys.executable,
        "-c",
        f"{holder}; print(flush=True); time.sleep(60)",
        locks.__file__,
        str(trained),
    ]
    before = files_of(trained)
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert call("--quiet", "--resume", trained, "--steps", 30) == 2
        assert f"is being written by process {other.pid}" in only_line(capsys)
        other.kill()
    del before[Path(".lock")]
    assert {
        name: text for name, text in files_of(trained).items() if name.name != ".lock"
    } == before
    assert call("--quiet", "--resume", trained, "--steps", 30) == 0, (
        "a killed process is not in the way"
    )


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "20260102-030405")
    for _ in range(3):
        assert call("--quiet", "--steps", 5) == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["tiny-20260102-030405", "tiny-20260102-030405-2", "tiny-20260102-030405-3"]
    assert all((tmp_path / "runs" / name / "result.json").exists() for name in names)


def test_a_folder_with_files_of_a_user_is_left_alone(tmp_path, call, capsys):
    out = tmp_path / "thesis"
    out.mkdir()
    for name in ("loss.png", "metrics.jsonl"):
        (out / name).write_text("mine")
    before = files_of(out)
    assert call("--quiet", "--out", out) == 2
    assert "holds files that are no run's, such as loss.png" in only_line(capsys)
    assert files_of(out) == before


def test_a_folder_of_a_run_killed_at_its_very_beginning_is_free(tmp_path, call):
    out = tmp_path / "run"
    (out / "checkpoints").mkdir(parents=True)
    (out / ".lock").write_text("process 1 on elsewhere")
    assert call("--quiet", "--steps", 5, "--out", out) == 0


# Mistakes and trouble in one line


@pytest.mark.parametrize(
    "config",
    [
        "[]",
        '"tiny"',
        "{}",
        '{"experiment": "tiny"}',
        '{"experiment": "tiny", "config": [], "data": {}}',
        '{"model_type": "bert", "hidden_size": 768}',
        '{"experiment": "tiny", "config": {"steps": "many"}, "data": {}}',
        '{"experiment": "tiny", "config": {"steps": 1.5}, "data": {}}',
        '{"experiment": "tiny", "config": {"quiet": 1}, "data": {}}',
        "not JSON",
    ],
)
def test_a_config_of_another_kind_is_a_mistake(tmp_path, call, capsys, config):
    (tmp_path / "config.json").write_text(config)
    assert call("--resume", tmp_path) == 2
    assert str(tmp_path) in only_line(capsys)
    assert (tmp_path / "config.json").read_text() == config


@pytest.mark.parametrize(
    "damage", [b"5\n", b"{}\n", b"\xff\xfe\n", b'{"step": 1\n', b'{"step": null, "kind": "step"}\n']
)
def test_a_damaged_log_is_a_mistake_and_left_as_it_is(trained, call, capsys, damage):
    log, config = trained / "metrics.jsonl", (trained / "config.json").read_bytes()
    first, rest = log.read_bytes().split(b"\n", 1)
    log.write_bytes(first + b"\n" + damage + rest)
    before = log.read_bytes()
    assert call("--quiet", "--resume", trained, "--steps", 30) == 2
    assert "metrics.jsonl: line 2 is damaged" in only_line(capsys)
    assert log.read_bytes() == before and (trained / "config.json").read_bytes() == config


def test_devices_that_do_not_divide_a_batch_are_a_mistake(tmp_path, call, capsys, monkeypatch):
    def uneven(mesh, batch):
        raise training.UnevenBatch("a batch of 8 rows cannot be cut evenly over 3 devices")

    monkeypatch.setattr("seqjax.training.fitting.shard_batch", uneven)
    assert call("--quiet", "--out", tmp_path / "run") == 2
    assert "over 3 devices; give a --batch-size that --devices divides" in only_line(capsys)


@pytest.mark.parametrize("value", ["inf", "nan", "-inf"])
def test_numbers_that_are_not_finite_are_mistakes(tmp_path, call, capsys, value):
    assert call("--out", tmp_path / "run", f"--learning-rate={value}") == 2
    assert "--learning-rate is " in only_line(capsys)
    assert not (tmp_path / "run").exists()


def test_a_diverged_training_is_one_line(tmp_path, call, capsys):
    assert (
        call(
            "--quiet",
            "--steps",
            6,
            "--every",
            3,
            "--learning-rate",
            "1e30",
            "--out",
            tmp_path / "run",
        )
        == 2
    )
    assert "diverged" in only_line(capsys)


def test_precision_holds_while_the_run_does(tmp_path):
    asked = lambda: jax.config.jax_default_matmul_precision  # noqa: E731
    before = asked()
    with training.Run("tiny", tiny.Config(out=str(tmp_path / "run"), precision="bfloat16")):
        assert asked() == "bfloat16"
    assert asked() == before


def test_a_score_that_is_not_finite_is_null_in_the_result(tmp_path):
    with training.Run("tiny", tiny.Config(out=str(tmp_path / "run"), quiet=True)) as run:
        run.begin("drawn", [1])
        assert run.write_result({"error": float("nan")}, {})["scores"] == {"error": None}


def test_the_metrics_that_choose_are_drawn(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(run, "plot_history", lambda *given: drawn.append(given))
    tiny.main(tiny.Config(out=str(tmp_path / "run"), quiet=True, steps=5))
    ((path, history, scores, clip),) = drawn
    assert path.name == "loss.png" and scores == {"error": "validation error"} and clip == 5
    assert len(history) == 6


def test_skipped_steps_are_told(tmp_path, call, capsys):
    assert call("--poison", 2, "--steps", 5, "--out", tmp_path / "run") == 0
    out, err = capsys.readouterr()
    assert "3 steps were skipped" in out and "3 skipped" in err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["skipped_steps"] == 3


@pytest.mark.parametrize("name", ["metrics.jsonl", "config.json", "result.json", "checkpoints"])
def test_a_full_disk_is_one_line(tmp_path, call, capsys, monkeypatch, name):
    """At whichever file it happens."""
    out = tmp_path / "run"

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    if name == "metrics.jsonl":
        monkeypatch.setattr(training.MetricsLog, "__call__", lambda self, event: full(self.path))
    elif name == "checkpoints":
        monkeypatch.setattr(training.Checkpoints, "save", lambda self, *_, **__: full(self.folder))
    else:
        write = run.write_atomically
        monkeypatch.setattr(
            run,
            "write_atomically",
            lambda path, text: full(path) if path.name == name else write(path, text),
        )
    assert call("--quiet", "--steps", 5, "--out", out) == 2
    line = only_line(capsys)
    assert name in line and "No space left on device" in line


def test_streams_that_lack_a_letter_print_an_escape(trained):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"}
    words = [sys.executable, tiny.__file__, "show", trained, "--words", "né ص"]
    done = subprocess.run(words, env=environment, capture_output=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "né \\u0635\n".encode("latin-1"), b"")


# Signals


@contextlib.contextmanager
def started(*words, processes=None, program=(tiny.__file__,)):
    """The tiny experiment in a process of its own, in which Ctrl-C works as at a terminal."""
    environment = (
        os.environ
        | {"PYTHONPATH": str(ROOT)}
        | ({"SEQJAX_PROCESSES": processes} if processes else {})
    )
    command = [sys.executable, *program, *map(str, words)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_steps(folder, count):
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() or len(steps_of(folder)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctrl_c_during_the_imports_is_one_line(tmp_path):
    with started(program=("-v", "-m", "experiments.toy_sequences")) as process:
        for line in process.stderr:
            if (
                "import 'jax._src'" in line
                or line.startswith("# code object from")
                and "/jax/" in line
            ):
                break
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    told = [line for line in errors.splitlines() if not line.startswith(("#", "import "))]
    assert process.returncode == 130 and told == ["interrupted before it began"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_the_exit_code_names_the_signal_that_ended_the_training(
    tmp_path, call, capsys, monkeypatch, number, code
):
    step = []

    def interrupt(self, event):
        step.append(event.step)
        # Told while the next step is at hand, which the signal ends.
        if event.kind == "step" and event.step == 2:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(training.MetricsLog, "__call__", interrupt)
    assert call("--quiet", "--out", tmp_path / "run") == code
    assert only_line(capsys) == f"stopped at step 3 of 20; go on with --resume {tmp_path / 'run'}\n"
    assert max(training.Checkpoints(tmp_path / "run" / "checkpoints").steps()) == step[-1] == 3


def test_ctrl_c_outside_the_training_is_one_line(tmp_path, call, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    for part in ("begin", "finish"):
        with monkeypatch.context() as patched:
            patched.setattr(training.Run, part, interrupt)
            assert call("--quiet", "--steps", 5, "--out", tmp_path / part) == 130
        assert only_line(capsys) == "interrupted\n"


# Several processes


@contextlib.contextmanager
def pair(*words):
    """Two processes of one run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                started(*words, "--devices", 2, "--quiet", processes=f"{address},2,{index}")
            )
            for index in range(2)
        ]


def test_two_processes_stop_at_one_step_and_one_says_when_the_other_dies(tmp_path):
    out = tmp_path / "run"
    with pair("--steps", 100000, "--every", 100000, "--pause", 0.02, "--out", out) as processes:
        wait_for_steps(out, 3)
        processes[1].send_signal(signal.SIGTERM)
        ends = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [143, 143], ends
    step = max(training.Checkpoints(out / "checkpoints").steps())
    assert ends == [f"stopped at step {step} of 100000; go on with --resume {out}\n"] * 2
    assert step == len(steps_of(out)) >= 3

    with pair("--resume", out) as processes:
        wait_for_steps(out, step + 3)
        began = time.monotonic()
        processes[1].kill()
        errors = processes[0].communicate(timeout=60)[1]
        assert time.monotonic() - began < 30
    assert processes[0].returncode == 1
    assert (
        errors.startswith("error: process 1 of 2 has ended; it was killed")
        and f"--resume {out}" in errors
    )
    assert errors.count("\n") == 1


def test_processes_that_were_told_different_things_all_say_so(monkeypatch, tmp_path):
    def others(text):
        """What is gathered where a second process has another seed and its data elsewhere."""
        return [text, text.replace('"--seed": "0"', '"--seed": "1"')]

    monkeypatch.setattr("seqjax.training.processes.gather_texts", others)
    told = tiny.Config(out=str(tmp_path / "run"), data_dir="here", quiet=True)
    with (
        training.Run("tiny", told) as run,
        pytest.raises(
            ValueError,
            match="^--seed is 1 in process 1, 0 in process 0; give all processes the same$",
        ),
    ):
        run.begin("drawn", [1])
    assert not (tmp_path / "run").exists()


def test_where_the_data_lies_is_each_process_s_own_affair(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "seqjax.training.processes.gather_texts", lambda text: seen.append(text) or [text, text]
    )
    told = tiny.Config(out=str(tmp_path / "run"), data_dir="here", text="there", quiet=True)
    with training.Run("tiny", told) as run:
        run.begin("drawn", [1])
    told = json.loads(seen[0])
    assert not {"--data-dir", "--text"} & told.keys()
    assert told["the fingerprint of the data"] == seqjax.data.fingerprint([1])
    assert told["--learning-rate"] == "0.1"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 1.0),
        ({"JAX_COMPILATION_CACHE_DIR": "cache"}, 0.0),
        (
            {
                "JAX_COMPILATION_CACHE_DIR": "cache",
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "3",
            },
            1.0,
        ),
    ],
)
def test_small_programs_are_kept_where_the_user_has_asked_for_a_cache(
    monkeypatch, environment, seconds
):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with _least():
        cli.keep_small_programs()
        assert jax.config.jax_persistent_cache_min_compile_time_secs == seconds


@contextlib.contextmanager
def _least():
    """Puts the setting back that a command changes for its whole process."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    jax.config.update(name, 1.0)
    try:
        yield
    finally:
        jax.config.update(name, before)
