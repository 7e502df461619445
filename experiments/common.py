"""The command line and the run folder, the same for every experiment."""

import argparse
import contextlib
import dataclasses
import errno
import functools
import io
import json
import math
import os
import platform
import signal
import sys
import time
import traceback
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import jax
import numpy as np
import optax

from experiments import end_at_once
from seqjax import data, datasets, kernels, training
from seqjax.files.disk import write_atomically
from seqjax.training.options import Options as Options
from seqjax.training.options import flag
from seqjax.training.options import option as option

PATHS = ("data_dir", "text", "train", "dev", "test", "csv", "table", "recordings", "pictures")
"""Settings that say where the data is: what it is the fingerprint tells, wherever it has moved."""

CHANGEABLE = ("steps", "epochs", "devices", "backend", *PATHS)
"""Settings that a resumed run may change."""

INVOCATION = ("out", "resume", "quiet")
"""Options that belong to one call and not to the run."""


class Mistake(Exception):
    """A user's mistake: one line on stderr, exit code 2."""


class Followed(Exception):
    """A process that is not the first has done its part; the first one reports."""


class Interrupted(Exception):
    """A signal ended the training; the exit code is 128 and its number, as a shell has it.

    Attributes:
      number: of the signal.
    """

    def __init__(self, words: str, number: int):
        super().__init__(words)
        self.number = number


DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
"""Errors of the system that a user can mend: a disk that is full or may not be written."""


@contextlib.contextmanager
def mistakes() -> Iterator[None]:
    """Turns what goes wrong in reading a user's settings and files into a `Mistake`."""
    try:
        yield
    except OSError as error:
        raise Mistake(f"{error.filename or 'file'}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise Mistake(str(error)) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseConfig(Options):
    """What every experiment can be told; a resumed run looks at what was `given` alone."""

    data_dir: str | None = option(
        None, "folder of the data sets; else SEQJAX_DATA, else a download"
    )
    out: str | None = option(None, "run folder to make (default: runs/NAME-TIME)")
    resume: str | None = option(
        None, "run folder to go on with, exactly as if it had never stopped"
    )
    seed: int = option(0, "seed of all that is random", least=0)
    devices: int = option(1, "devices to spread each batch over", least=1)
    backend: str = option("auto", "implementation of the recurrences", choices=kernels.BACKENDS)
    quiet: bool = option(False, "print errors alone")


class Verb(typing.NamedTuple):
    """A use of a trained model: `--NAME RUN`, or `--NAME RUN OPERAND`, with options of its own.

    An operand that ends in dots, such as "FILE...", may come several times.
    """

    call: Callable[..., None]
    config: type[Options]
    text: str
    operand: str | None = None


def launch(
    config_class: type, main: Callable[[Any], Any], page: str, verbs: dict[str, Verb] | None = None
) -> None:
    """Runs an experiment from the command line and exits.

    The exit codes: 0 done, 2 a user's mistake, 1 a defect, 143 after SIGTERM, 130 after Ctrl-C, 129
    after SIGHUP.
    """
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print_whatever_comes()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        with _exit_code(), contextlib.ExitStack() as stack:
            stack.callback(training.unlock_folders)
            _launch(config_class, main, page, verbs or {})


def print_whatever_comes() -> None:
    """Lets the standard streams write what their encoding lacks, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _exit_code() -> Iterator[None]:
    """Ends the process in one line and with the exit code that its error deserves."""
    try:
        yield
        PEERS.leave()
    except Followed:
        PEERS.leave()
    except Interrupted as stop:
        # All processes have agreed to it.
        PEERS.leave()
        print(stop, file=sys.stderr)
        sys.exit(128 + stop.number)
    except KeyboardInterrupt:
        _end(128 + signal.SIGINT, "interrupted")
    except Mistake as mistake:
        _end(2, f"error: {mistake}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in DISK:
            PEERS.fail(error)
            raise
        _end(2, f"error: {error.filename or 'a file'} cannot be written or read: {error.strerror}")
    except Exception as error:
        PEERS.fail(error)
        raise


def _end(code: int, line: str) -> typing.NoReturn:
    """Says why this process ends, to the user and to the run's other processes."""
    print(line, file=sys.stderr)
    PEERS.end(code, line)
    sys.exit(code)


def _launch(config_class, main, page, verbs):
    given = vars(_parser(config_class, page, verbs).parse_args())
    verb = next((name for name in verbs if name in given), None)
    if verb is None:
        foreign = [name for name in given if name not in _names(config_class)]
        if foreign:
            owner = next(name for name, verb in verbs.items() if foreign[0] in _names(verb.config))
            raise Mistake(f"{flag(foreign[0])} goes with --{owner} RUN")
        main(config_class(**given))
    else:
        words = given.pop(verb)
        for name in given:
            if name not in _names(verbs[verb].config):
                raise Mistake(f"{flag(name)} does not go with --{verb}")
        settings = verbs[verb].config(**given)
        with mistakes():
            settings.check()
        verbs[verb].call(*words, settings)


class Run:
    """A run folder: `config.json`, `metrics.jsonl`, `result.json`, pictures, `checkpoints/`.

    Attributes:
      folder: where it is.
      config: the settings: those given, or for a resumed run those it was begun with.
      resumed: whether it goes on.
      leads: whether this process is the first of the run's, the one that writes and prints.
      shard: its index and how many there are, as `data.batches` takes it.
    """

    def __init__(self, name: str, config: Any):
        """Opens a new or a resumed run; nothing is written before `begin`.

        Args:
          name: of the experiment.
          config: the settings given.

        Raises:
          Mistake: the settings are out of range, or the folder is taken, is none, or is another
            experiment's; or several processes are given no folder.
        """
        self.name = name
        self.resumed = config.resume is not None
        self.config = resumed_config(name, config) if self.resumed else config
        with mistakes():
            self.config.check()
        use_devices(self.config.devices)
        if jax.process_count() > 1 and not (config.resume or config.out):
            raise Mistake("several processes write into one run folder; name it with --out")
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self.folder = Path(config.resume or config.out or f"runs/{name}-{stamp}")
        self._monitor: Any = None
        if not self.resumed and config.out:
            check_free(self.folder)
        self.leads = jax.process_index() == 0
        self.shard = (jax.process_index(), jax.process_count())

    def begin(self, data: dict[str, Any]) -> None:
        """Makes the folder, becomes its only writer and writes `config.json`.

        Args:
          data: origin and fingerprint of the data.

        Raises:
          Mistake: the folder cannot be written, holds files of others or is being written by
            another process; or a resumed run's data has changed, its log is damaged or its
            checkpoints are gone; or the processes of this run were told different things.
        """
        settings = {k: v for k, v in dataclasses.asdict(self.config).items() if k not in INVOCATION}
        if self.resumed:
            before = read_run(self.folder)["data"].get("fingerprint")
            if before != data["fingerprint"]:
                raise Mistake(
                    f"the data is not that of {self.folder} (another fingerprint); give its --data-dir"
                )
            trained = any(line["kind"] == "step" for line in self.history())
            if trained and not self.checkpoints.steps():
                raise Mistake(
                    f"{self.folder} has trained before, but its checkpoints are gone or damaged; "
                    "put checkpoints/ back, or begin a new run"
                )
        self._compare(settings, data["fingerprint"])
        # The first process opens the folder; the others end with its words where it cannot.
        (trouble, *_) = training.gather_texts(self._trouble() if self.leads else "")
        if trouble:
            raise Mistake(trouble)
        if self.leads:
            with mistakes():
                self.write_json(
                    "config.json",
                    {
                        "experiment": self.name,
                        "config": settings,
                        "data": data,
                        "versions": versions(),
                    },
                )

    def _compare(self, settings: dict[str, Any], fingerprint: str) -> None:
        """Refuses processes that were not told the same; where their files lie is their own affair."""
        told = {flag(name): str(value) for name, value in settings.items() if name not in PATHS}
        told |= {"the fingerprint of the data": fingerprint, "--resume": str(self.resumed)}
        told |= {f"the version of {name}": version for name, version in versions().items()}
        lines = training.differences(told)
        if lines:
            raise Mistake(f"{'; '.join(lines[:3])}; give all processes the same")

    def _trouble(self) -> str:
        """Makes the folder this process's own; returns the words of the mistake where it cannot, else nothing."""
        try:
            with mistakes():
                if not self.resumed:
                    self.folder = make_folder(self.folder, self.config.out is not None)
                training.lock_folder(self.folder)
                if not self.resumed:
                    # Once more, now that no one else can begin here.
                    check_free(self.folder)
                (self.folder / "checkpoints").mkdir(exist_ok=True)
        except Mistake as mistake:
            return str(mistake)
        return ""

    def train(
        self,
        state: training.TrainState,
        loss_fn: training.LossFn,
        optimiser: optax.GradientTransformation,
        batches: Any,
        *,
        steps: int,
        every: int,
        evaluate: Callable[[training.TrainState], dict[str, float]],
        monitor: str | Sequence[str] | None,
        per_step: int,
        unit: str,
        clip: optax.GradientTransformation | None = None,
        patience: int | None = None,
        callbacks: tuple[training.Callback, ...] = (),
        **options: Any,
    ) -> training.TrainState:
        """Trains in this folder: resumes, spreads over devices, saves, logs, shows a progress bar.

        Args:
          state: fresh, from `training.create_state`.
          loss_fn: as `training.make_train_step` takes it.
          optimiser: an optax transformation.
          batches: resumable batches of NumPy arrays.
          steps: the step to end at.
          every: steps between evaluations and checkpoints.
          evaluate: scores a state.
          monitor: the score to minimise, or several of which each decides where those before are
            equal; None where the last state is wanted.
          per_step: units read in a step, for the progress bar.
          unit: their name.
          clip: as `training.make_train_step` takes it.
          patience: evaluations without a better score before training stops.
          callbacks: further functions of a `training.Event`.
          **options: further ones of `training.make_train_step`.

        Returns:
          The state with the best score, or without `monitor` the last one.

        Raises:
          Interrupted: SIGTERM, SIGINT or SIGHUP came.
          Followed: this process does not lead, and training is over.
          Mistake: the checkpoints of a resumed run are damaged or of another model, the devices do
            not divide a batch, or the training diverged.
        """
        checkpoints, progress, self._monitor = self.checkpoints, None, monitor
        if self.resumed:
            with mistakes():
                state, progress = training.resume(state, batches, checkpoints)
        PEERS.advice = (
            f"Start all of them again with --resume {self.folder} to go on from the last checkpoint"
        )
        mesh = training.make_mesh(self.config.devices)
        state = training.shard_params(mesh, state)
        step = training.make_train_step(loss_fn, optimiser, clip=clip, **options)
        if self.leads:
            with mistakes():
                log = training.MetricsLog(
                    self.folder / "metrics.jsonl", progress.step if progress else 0
                )
            callbacks += (log,)
        score = evaluate if mesh.size == 1 else lambda state: evaluate(training.gather(state))
        put = functools.partial(training.shard_batch, mesh)
        with (
            data.prefetch(batches, device_put=put) as placed,
            training.progress_bar(
                steps, per_step=per_step, unit=unit, quiet=self.config.quiet or not self.leads
            ) as bar,
        ):
            try:
                outcome = training.fit_batches(
                    state,
                    step,
                    placed,
                    steps=steps,
                    progress=progress,
                    evaluate=score,
                    every=every,
                    monitor=monitor,
                    patience=patience,
                    checkpoints=checkpoints,
                    callbacks=(*callbacks, bar),
                    on_nonfinite=self.dump,
                )
            except training.NonFiniteError as error:
                raise Mistake(f"{error} in {self.folder}") from error
            except training.UnevenBatch as error:
                raise Mistake(f"{error}; give a --batch that --devices divides") from error
            except KeyboardInterrupt as error:
                raise KeyboardInterrupt(
                    f"go on from the last checkpoint with --resume {self.folder}"
                ) from error
        step = outcome.progress.step
        if outcome.reason == "interrupted":
            raise Interrupted(
                f"stopped at step {step}; go on with --resume {self.folder}", outcome.signal
            )
        if monitor is not None and outcome.progress.best is None:
            raise Mistake(
                f"the training diverged: {monitor} was never a finite number in {step} steps; lower the learning rate "
                f"or the clipping threshold (the log is in {self.folder})"
            )
        with mistakes():
            best = training.restore_best(outcome.state, checkpoints)
        best = best if mesh.size == 1 else training.gather(best)
        if not self.leads:
            raise Followed
        return best

    @property
    def checkpoints(self) -> training.Checkpoints:
        """The folder's checkpoints."""
        return training.Checkpoints(self.folder / "checkpoints")

    def share(self, batch: Any) -> Any:
        """This process's rows of a batch that every process makes."""
        index, count = self.shard
        return jax.tree.map(
            lambda a: a[len(a) // count * index : len(a) // count * (index + 1)], batch
        )

    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`."""
        with mistakes():
            return training.read_metrics(self.folder / "metrics.jsonl")

    def best(self) -> Any:
        """Returns the line of the evaluation whose state `train` returned, by the score that it monitored."""
        return training.best_evaluation(self.history(), self._monitor)

    def dump(self, step: int, batch: Any) -> None:
        """Keeps the batch of the first gradient that was not finite, as `nonfinite-STEP.npz`.

        Of several processes each keeps its own rows, those after the first as
        `nonfinite-STEP-PROCESS.npz`.
        """
        leaves = {
            jax.tree_util.keystr(path): training.own_rows(leaf)
            for path, leaf in jax.tree.leaves_with_path(batch)
        }
        file = io.BytesIO()
        np.savez(file, **leaves)
        own = "" if self.leads else f"-{jax.process_index()}"
        write_atomically(self.folder / f"nonfinite-{step}{own}.npz", file.getvalue())

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, whole or not at all."""
        write_atomically(self.folder / name, text.encode())

    def finish(
        self,
        scores: dict[str, float],
        counts: dict[str, int],
        minutes: float | None = None,
        **notes: str,
    ) -> dict[str, Any]:
        """Writes `result.json`, what `experiments.table` reads: the scores, and what they were counted over.

        The minutes are those of the log where none are given; notes say how a score was taken.
        """
        history = self.history()
        minutes = history[-1]["seconds"] / 60 if minutes is None else minutes
        defaults = {f.name: f.default for f in dataclasses.fields(self.config)}
        changed = {
            k: v
            for k, v in dataclasses.asdict(self.config).items()
            if v != defaults[k] and k not in INVOCATION
        }
        words = [f"python -m experiments.{self.name}"]
        words += [
            flag(k) if v is True else flag(f"no_{k}") if v is False else f"{flag(k)} {v}"
            for k, v in changed.items()
        ]
        result = {
            "experiment": self.name,
            "command": " ".join(words),
            "minutes": round(minutes, 1),
            "scores": {
                name: value if math.isfinite(value) else None for name, value in scores.items()
            },
            "counts": counts,
            **notes,
            "skipped_steps": skipped_of(history),
        }
        self.write_json("result.json", result)
        if result["skipped_steps"]:
            self.say(
                f"{result['skipped_steps']:,} steps were skipped: their gradients were not finite (metrics.jsonl)"
            )
        return result

    def say(self, text: str) -> None:
        """Prints, unless the run is quiet."""
        if self.leads and not self.config.quiet:
            print(text, flush=True)


def skipped_of(history: list[dict[str, Any]]) -> int:
    """Returns how many steps a log's training skipped over gradients that were not finite."""
    return next(
        (int(line["skipped"]) for line in reversed(history) if line.get("skipped") is not None), 0
    )


def check_free(folder: Path) -> None:
    """Refuses a folder for a new run that holds a run, or any other files.

    Raises:
      Mistake: names what is there.
    """
    if not folder.is_dir():
        return
    if (folder / "config.json").exists():
        raise Mistake(
            f"{folder} holds a run already; --resume it, or name another folder with --out"
        )
    for path in sorted(folder.iterdir()):
        # What a run leaves that was killed before it wrote its config.json.
        begun = path.name == ".lock" or (
            path.name == "checkpoints" and path.is_dir() and not any(path.iterdir())
        )
        if not begun:
            raise Mistake(
                f"{folder} holds files that are no run's, such as {path.name}; give --out a new folder"
            )


def make_folder(folder: Path, named: bool) -> Path:
    """Makes a run's folder.

    Args:
      folder: where it shall be.
      named: whether the user chose the name; else a number is added to one that another run has
        taken.

    Returns:
      Where it is.
    """
    if named:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    candidate, count = folder, 1
    while True:
        try:
            candidate.mkdir()
            return candidate
        except FileExistsError:
            count += 1
            candidate = folder.with_name(f"{folder.name}-{count}")


def resumed_config(name: str, given: Any) -> Any:
    """The settings that a run was begun with, with those changes that a resumed run may make."""
    saved = load_config(given.resume, name, type(given))
    changed = {k: getattr(given, k) for k in sorted(given.given) if k not in INVOCATION}
    for key in changed:
        if key not in CHANGEABLE and changed[key] != getattr(saved, key):
            raise Mistake(
                f"{flag(key)} cannot change in a resumed run; leave it out, or begin a new run"
            )
    invocation = {k: getattr(given, k) for k in INVOCATION}
    return dataclasses.replace(saved, **changed | invocation)


def load_config(folder: str, name: str, config_class: type) -> Any:
    """The settings in a run folder.

    Raises:
      Mistake: the folder is no run folder, or one of another experiment or version.
    """
    saved = read_run(Path(folder))
    if saved["experiment"] != name:
        raise Mistake(
            f"{folder} is a run of experiments.{saved['experiment']}, not of experiments.{name}"
        )
    path, fields = (
        Path(folder) / "config.json",
        {f.name: f for f in dataclasses.fields(config_class)},
    )
    for key, value in saved["config"].items():
        if key not in fields:
            raise Mistake(f"{path} has the setting {key!r}, which this version does not know")
        if not _fits(value, fields[key].type):
            raise Mistake(
                f"{path}: {key} is {value!r}; put the value back that the run was begun with"
            )
    return config_class(**saved["config"])


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is one of a field's type; a whole number does for a float."""
    if isinstance(value, bool):
        return bool in (kind, *typing.get_args(kind))
    return isinstance(value, kind) or (
        isinstance(value, int) and float in (kind, *typing.get_args(kind))
    )


def read_run(folder: Path) -> dict[str, Any]:
    """Reads a run folder's `config.json`: the experiment's name, its settings, and its data.

    Raises:
      Mistake: there is none, or it is of another kind.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise Mistake(f"{folder} is no run folder: it has no config.json")
    saved = read_json(path)
    parts = {"experiment": str, "config": dict, "data": dict}
    if not isinstance(saved, dict) or not all(
        isinstance(saved.get(k), kind) for k, kind in parts.items()
    ):
        raise Mistake(
            f"{folder} is no run folder: its config.json is not one that an experiment wrote"
        )
    return saved


def read_json(path: Path) -> Any:
    """A JSON file; a damaged one is a `Mistake` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Mistake(f"{path} cannot be read: {error}") from error


class Peers:
    """The other processes of this one's run: none, until `join`."""

    def __init__(self):
        self._watch: training.Watch | None = None
        self._joined = False
        self.advice = "Start all of them again"

    def join(self, host: str | None) -> None:
        """Begins to watch them; once is enough for all runs of a process."""
        if not self._joined and jax.process_count() > 1:
            self._joined = True
            self._watch = training.open_watch(self._lost, host)

    def leave(self) -> None:
        """Tells them that this process has done its part."""
        if self._watch is not None:
            self._watch.leave()

    def end(self, code: int, words: str) -> None:
        """Tells them why this process fails, and ends it at once: JAX would wait for them, and they for it."""
        if self._watch is None:
            return
        self._watch.leave(words)
        if jax.process_index() == 0:
            # They are connected through this process; it stays until they have gone.
            time.sleep(training.GRACE + 1)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def fail(self, error: Exception) -> None:
        """Ends this process over an error that is a defect or the end of another process."""
        if self._watch is None:
            return
        # A process that is gone breaks the computations of the others. If that is the reason,
        # `_lost` ends this one.
        time.sleep(training.GRACE + 1)
        traceback.print_exception(error)
        self.end(1, f"{type(error).__name__}: {error}".splitlines()[0])

    def _lost(self, index: int, words: str) -> None:
        why = (
            f" ({words.removeprefix('error: ')})"
            if words
            else "; it was killed, or its machine is gone"
        )
        line = f"error: process {index} of {jax.process_count()} has ended{why}. {self.advice}\n"
        # Past every lock that the thread at work may hold.
        os.write(2, line.encode())
        os._exit(1)


PEERS = Peers()


def use_devices(count: int) -> None:
    """Joins the processes that `SEQJAX_PROCESSES` names, and lets a CPU show its share of the devices asked for."""
    with mistakes():
        spec = os.environ.get("SEQJAX_PROCESSES")
        processes = (
            training.join_processes(spec) if spec and not jax.distributed.is_initialized() else 1
        )
    if count > 1 and processes > 0:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", max(1, count // processes))
    PEERS.join(
        spec.split(",")[0].rpartition(":")[0].strip("[]") if spec and spec != "auto" else None
    )
    if count > len(jax.devices()):
        raise Mistake(f"--devices is {count}; this machine shows {len(jax.devices())}")
    if count % jax.process_count():
        raise Mistake(
            f"--devices is {count}; give a multiple of the {jax.process_count()} processes"
        )


def check_rows(rows: int, devices: int) -> None:
    """Refuses a batch that the devices do not divide.

    Raises:
      ValueError: says what to give.
    """
    if rows % devices:
        raise ValueError(f"--batch is {rows}; give a multiple of --devices, {devices}")


def versions() -> dict[str, str]:
    """What a result may depend on."""
    from importlib.metadata import version

    names = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def read_corpus(name: str, data_dir: str | None) -> tuple[str, str, dict]:
    """A text that `seqjax.data` knows, its last tenth, and where they come from; where it cannot be had, another.

    The other is pydoc_topics, which ships with CPython; a line on stderr tells why.
    """
    try:
        parts = [datasets.load(name, split, data_dir) for split in ("train", "validation")]
    except datasets.DataUnavailable as reason:
        print(
            f"{reason}. Learning pydoc_topics, the English prose that ships with CPython",
            file=sys.stderr,
        )
        parts = [
            datasets.load("pydoc_topics", split, data_dir) for split in ("train", "validation")
        ]
    train, valid = ("".join(part.records.columns()["text"]) for part in parts)
    return (
        train,
        valid,
        {"origin": parts[0].origin, "fingerprint": "-".join(part.fingerprint for part in parts)},
    )


def _names(config_class: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config_class)}


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like every other mistake."""

    def error(self, message):
        raise Mistake(f"{message} (see --help)")


def _parser(config_class, page, verbs):
    parser = _Parser(
        prog=f"python -m {page.split(':')[0].split()[0]}" if ":" in page else None,
        description=page,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    added = set()
    for name, verb in verbs.items():
        words = ("RUN",) if verb.operand is None else ("RUN", verb.operand)
        shown = tuple(word.removesuffix("...") for word in words)
        parser.add_argument(
            f"--{name}", nargs=len(words) if shown == words else "+", metavar=shown, help=verb.text
        )
    for source in (config_class, *(v.config for v in verbs.values())):
        for field in dataclasses.fields(source):
            if field.name not in added:
                added.add(field.name)
                _add_option(parser, field)
    return parser


def _add_option(parser, field):
    kind = field.type
    if isinstance(kind, UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not NoneType)
    text = field.metadata.get("help", "")
    if kind is bool:
        parser.add_argument(flag(field.name), action=argparse.BooleanOptionalAction, help=text)
        return
    shown = "" if field.default is None else f" (default: {field.default})"
    parser.add_argument(
        flag(field.name),
        type=kind,
        help=text + shown,
        choices=field.metadata.get("choices"),
        metavar=None if field.metadata.get("choices") else kind.__name__.upper(),
    )
