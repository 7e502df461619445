"""The command line and the run folder, the same for every experiment."""

import argparse
import contextlib
import dataclasses
import functools
import io
import json
import os
import platform
import sys
import time
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import jax
import numpy as np
import optax

from seqjax import data, kernels, training
from seqjax.data.files import write_atomically

CHANGEABLE = ("steps", "epochs", "data_dir", "devices", "backend")
"""Settings that a resumed run may change."""

INVOCATION = ("out", "resume", "quiet")
"""Options that belong to one call and not to the run."""


class Mistake(Exception):
    """A user's mistake: one line on stderr, exit code 2."""


class Followed(Exception):
    """A process that is not the first has done its part; the first one reports."""


class Interrupted(Exception):
    """SIGTERM or SIGINT ended the training; all is saved, and the exit code is 0."""


@contextlib.contextmanager
def mistakes() -> Iterator[None]:
    """Turns what goes wrong in reading a user's settings and files into a `Mistake`."""
    try:
        yield
    except OSError as error:
        raise Mistake(f"{error.filename or 'file'}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise Mistake(str(error)) from error


def option(
    default: Any, text: str, *, least: float | None = None, below: float | None = None, choices: Any = None
) -> Any:
    """A field of a `Config`: its default, its help, the range of its values."""
    return dataclasses.field(
        default=default, metadata={"help": text, "least": least, "below": below, "choices": choices}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of a call, each a field made by `option`."""

    def check(self) -> None:
        """Refuses values out of range.

        Raises:
          Mistake: names the option, its value and its range.
        """
        for field in dataclasses.fields(self):
            value, meta = getattr(self, field.name), field.metadata
            if value is None:
                continue
            if meta.get("least") is not None and not value >= meta["least"]:
                raise Mistake(f"{_flag(field.name)} is {value}; give at least {meta['least']}")
            if meta.get("below") is not None and not value < meta["below"]:
                raise Mistake(f"{_flag(field.name)} is {value}; give less than {meta['below']}")
            if meta.get("choices") is not None and value not in meta["choices"]:
                raise Mistake(f"{_flag(field.name)} is {value!r}; choose one of {', '.join(meta['choices'])}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseConfig(Options):
    """What every experiment can be told."""

    data_dir: str | None = option(None, "folder of the data sets; else SEQJAX_DATA, else a download")
    out: str | None = option(None, "run folder to make (default: runs/NAME-TIME)")
    resume: str | None = option(None, "run folder to go on with, exactly as if it had never stopped")
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


def launch(config_class: type, main: Callable[[Any], Any], page: str, verbs: dict[str, Verb] | None = None) -> None:
    """Runs an experiment from the command line and exits: 0 done, 2 a user's mistake, 1 a defect."""
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        _launch(config_class, main, page, verbs or {})


def _launch(config_class, main, page, verbs):
    try:
        given = vars(_parser(config_class, page, verbs).parse_args())
        verb = next((name for name in verbs if name in given), None)
        if verb is None:
            foreign = [name for name in given if name not in _names(config_class)]
            if foreign:
                owner = next(name for name, verb in verbs.items() if foreign[0] in _names(verb.config))
                raise Mistake(f"{_flag(foreign[0])} goes with --{owner} RUN")
            main(config_class(**given))
        else:
            words = given.pop(verb)
            for name in given:
                if name not in _names(verbs[verb].config):
                    raise Mistake(f"{_flag(name)} does not go with --{verb}")
            settings = verbs[verb].config(**given)
            settings.check()
            verbs[verb].call(*words, settings)
    except Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
    except Followed:
        pass
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
          Mistake: the settings are out of range, or the folder is taken, is none, or is another experiment's; or
            several processes are given no folder.
        """
        self.name = name
        self.resumed = config.resume is not None
        self.config = resumed_config(name, config) if self.resumed else config
        self.config.check()
        use_devices(self.config.devices)
        if jax.process_count() > 1 and not (config.resume or config.out):
            raise Mistake("several processes write into one run folder; name it with --out")
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self.folder = Path(config.resume or config.out or f"runs/{name}-{stamp}")
        if not self.resumed and (self.folder / "config.json").exists():
            raise Mistake(f"{self.folder} holds a run already; --resume it, or name another folder with --out")
        self.leads = jax.process_index() == 0
        self.shard = (jax.process_index(), jax.process_count())

    def begin(self, data: dict[str, Any]) -> None:
        """Makes the folder and writes `config.json`.

        Args:
          data: origin and fingerprint of the data.

        Raises:
          Mistake: the folder cannot be written, or a resumed run's data has changed.
        """
        settings = {k: v for k, v in dataclasses.asdict(self.config).items() if k not in INVOCATION}
        if self.resumed:
            before = read_json(self.folder / "config.json")["data"]["fingerprint"]
            if before != data["fingerprint"]:
                raise Mistake(f"the data is not that of {self.folder} (another fingerprint); give its --data-dir")
        with mistakes():
            (self.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            if not self.leads:
                return
            self.write_json(
                "config.json", {"experiment": self.name, "config": settings, "data": data, "versions": versions()}
            )

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
          monitor: the score to minimise, or several of which each decides where those before are equal; None where
            the last state is wanted.
          per_step: units read in a step, for the progress bar.
          unit: their name.
          clip: as `training.make_train_step` takes it.
          patience: evaluations without a better score before training stops.
          callbacks: further functions of a `training.Event`.
          **options: further ones of `training.make_train_step`.

        Returns:
          The state with the best score, or without `monitor` the last one.

        Raises:
          Interrupted: SIGTERM or SIGINT came.
          Followed: this process does not lead, and training is over.
          Mistake: the checkpoints of a resumed run are damaged or of another model, or too many gradients in a row were
            not finite.
        """
        checkpoints, progress = self.checkpoints, None
        if self.resumed:
            with mistakes():
                state, progress = training.resume(state, batches, checkpoints)
        mesh = training.make_mesh(self.config.devices)
        state = training.shard_params(mesh, state)
        step = training.make_train_step(loss_fn, optimiser, clip=clip, **options)
        callbacks += (
            (training.MetricsLog(self.folder / "metrics.jsonl", progress.step if progress else 0),)
            if self.leads
            else ()
        )
        score = evaluate if mesh.size == 1 else lambda state: evaluate(training.gather(state))
        put = functools.partial(training.shard_batch, mesh)
        with (
            data.prefetch(batches, device_put=put) as placed,
            training.progress_bar(
                steps, per_step=per_step, unit=unit, quiet=self.config.quiet or not self.leads
            ) as bar,
        ):
            try:
                outcome = training.fit(
                    state, step, placed, steps=steps, progress=progress, evaluate=score, every=every, monitor=monitor,
                    patience=patience, checkpoints=checkpoints, callbacks=(*callbacks, bar), on_nonfinite=self.dump,
                )  # fmt: skip
            except training.NonFiniteError as error:
                raise Mistake(f"{error} in {self.folder}") from error
        if outcome.reason == "interrupted":
            raise Interrupted(f"stopped at step {outcome.progress.step}; go on with --resume {self.folder}")
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
        return jax.tree.map(lambda a: a[len(a) // count * index : len(a) // count * (index + 1)], batch)

    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`."""
        return training.read_metrics(self.folder / "metrics.jsonl")

    def dump(self, step: int, batch: Any) -> None:
        """Keeps the batch of the first gradient that was not finite, as `nonfinite-STEP.npz`.

        Of several processes each keeps its own rows, those after the first as `nonfinite-STEP-PROCESS.npz`.
        """
        leaves = {
            jax.tree_util.keystr(path): training.own_rows(leaf) for path, leaf in jax.tree.leaves_with_path(batch)
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
        self, scores: dict[str, float], counts: dict[str, int], minutes: float | None = None, **notes: str
    ) -> dict[str, Any]:
        """Writes `result.json`, what `experiments.table` reads: the scores, and what they were counted over.

        The minutes are those of the log where none are given; notes say how a score was taken.
        """
        minutes = self.history()[-1]["seconds"] / 60 if minutes is None else minutes
        defaults = {f.name: f.default for f in dataclasses.fields(self.config)}
        changed = {k: v for k, v in dataclasses.asdict(self.config).items() if v != defaults[k] and k not in INVOCATION}
        words = [f"python -m experiments.{self.name}"]
        words += [
            _flag(k) if v is True else _flag(f"no_{k}") if v is False else f"{_flag(k)} {v}" for k, v in changed.items()
        ]
        result = {
            "experiment": self.name,
            "command": " ".join(words),
            "minutes": round(minutes, 1),
            "scores": scores,
            "counts": counts,
            **notes,
        }
        self.write_json("result.json", result)
        return result

    def say(self, text: str) -> None:
        """Prints, unless the run is quiet."""
        if self.leads and not self.config.quiet:
            print(text, flush=True)


def resumed_config(name: str, given: Any) -> Any:
    """The settings that a run was begun with, with those changes that a resumed run may make."""
    saved = load_config(given.resume, name, type(given))
    defaults = {f.name: f.default for f in dataclasses.fields(given)}
    changed = {k: v for k, v in dataclasses.asdict(given).items() if v != defaults[k] and k not in INVOCATION}
    for key in changed:
        if key not in CHANGEABLE and changed[key] != getattr(saved, key):
            raise Mistake(f"{_flag(key)} cannot change in a resumed run; leave it out, or begin a new run")
    invocation = {k: getattr(given, k) for k in INVOCATION}
    return dataclasses.replace(saved, **changed | invocation)


def load_config(folder: str, name: str, config_class: type) -> Any:
    """The settings in a run folder.

    Raises:
      Mistake: the folder is no run folder, or one of another experiment or version.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise Mistake(f"{folder} is no run folder: it has no config.json")
    saved = read_json(path)
    if saved.get("experiment") != name:
        raise Mistake(f"{folder} is a run of experiments.{saved.get('experiment')}, not of experiments.{name}")
    fields = {f.name for f in dataclasses.fields(config_class)}
    unknown = set(saved["config"]) - fields
    if unknown:
        raise Mistake(f"{path} has the setting {min(unknown)!r}, which this version does not know")
    return config_class(**saved["config"])


def read_json(path: Path) -> Any:
    """A JSON file; a damaged one is a `Mistake` that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Mistake(f"{path} cannot be read: {error}") from error


def use_devices(count: int) -> None:
    """Joins the processes that `SEQJAX_PROCESSES` names, and lets a CPU show its share of the devices asked for."""
    with mistakes():
        spec = os.environ.get("SEQJAX_PROCESSES")
        processes = training.join_processes(spec) if spec and not jax.distributed.is_initialized() else 1
    if count > 1 and processes > 0:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", max(1, count // processes))
    if count > len(jax.devices()):
        raise Mistake(f"--devices is {count}; this machine shows {len(jax.devices())}")
    if count % jax.process_count():
        raise Mistake(f"--devices is {count}; give a multiple of the {jax.process_count()} processes")


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
        parts = [data.load(name, split, data_dir) for split in ("train", "validation")]
    except data.DataUnavailable as reason:
        print(f"{reason}. Learning pydoc_topics, the English prose that ships with CPython", file=sys.stderr)
        parts = [data.load("pydoc_topics", split, data_dir) for split in ("train", "validation")]
    train, valid = ("".join(part.records.columns()["text"]) for part in parts)
    return train, valid, {"origin": parts[0].origin, "fingerprint": "-".join(part.fingerprint for part in parts)}


def _names(config_class: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config_class)}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


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
        parser.add_argument(f"--{name}", nargs=len(words) if shown == words else "+", metavar=shown, help=verb.text)
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
        parser.add_argument(_flag(field.name), action=argparse.BooleanOptionalAction, help=text)
        return
    shown = "" if field.default is None else f" (default: {field.default})"
    parser.add_argument(
        _flag(field.name), type=kind, help=text + shown, choices=field.metadata.get("choices"),
        metavar=None if field.metadata.get("choices") else kind.__name__.upper(),
    )  # fmt: skip
