"""`Run`: a folder that holds a training whole, from its settings to the model that it gave.

with training.Run("tagging", config) as run:
    trained = run.fit(task, train, validation=dev)
    run.finish(trained, test)
"""

import contextlib
import io
import json
import math
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from seqjax import data
from seqjax.figures import Section, new_figure, plot_history
from seqjax.files.disk import write_atomically
from seqjax.tasks import Report, Task, Trained
from seqjax.training.checkpoints import Checkpoints
from seqjax.training.evaluation import best_evaluation
from seqjax.training.fitting import Interrupted, fit
from seqjax.training.folders import (
    changed_settings,
    check_free,
    make_folder,
    read_run,
    settings_of,
    versions,
)
from seqjax.training.locks import lock_folder, unlock_folder
from seqjax.training.loop import Callback, NonFiniteError
from seqjax.training.options import flag
from seqjax.training.peers import PEERS, use_devices
from seqjax.training.processes import differences, gather_texts
from seqjax.training.reports import MetricsLog, read_metrics
from seqjax.training.run_page import write_page
from seqjax.training.settings import INVOCATION, PATHS, resumed_config
from seqjax.training.sharding import UnevenBatch, own_rows


class Followed(Exception):
    """A process that is not the first has done its part; the first one reports."""


class Run:
    """A run folder.

    It holds `config.json` (settings, versions, fingerprint of the data), `metrics.jsonl`,
    `checkpoints/`, `model/` (what `seqjax.load` reads), `result.json`, pictures, predictions, and
    `index.html`, the run at a glance.

    Attributes:
      folder: where it is.
      config: the settings: those given, or for a resumed run those it was begun with.
      resumed: whether it goes on.
      leads: whether this process is the first of the run's, the one that writes and prints.
    """

    def __init__(self, name: str, config: Any):
        """Opens a new or a resumed run; nothing is written before `fit`.

        Args:
          name: of the experiment.
          config: the settings given, `Settings` or a `RunConfig`.

        Raises:
          ValueError: the settings are out of range, or the folder is taken, is none, or is another
            experiment's; or several processes are given no folder.
        """
        self.name = name
        self._precision = contextlib.ExitStack()
        self.resumed = config.resume is not None
        self.config = config
        if self.resumed:
            self.config = resumed_config(name, config)
        self.config.check()
        use_devices(self.config.devices)
        if jax.process_count() > 1 and not (config.resume or config.out):
            raise ValueError("several processes write into one run folder; name it with --out")
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self.folder = Path(config.resume or config.out or f"runs/{name}-{stamp}")
        if not self.resumed and config.out:
            check_free(self.folder)
        self.leads = jax.process_index() == 0
        self._task: Any = None
        self._began = time.monotonic()

    def __enter__(self) -> "Run":
        if self.config.precision != "default":
            self._precision.enter_context(jax.default_matmul_precision(self.config.precision))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Lets the folder go; a process that only followed ends here in good order."""
        unlock_folder(self.folder)
        self._precision.close()
        return isinstance(error, Followed)

    def fit(
        self,
        task: Task,
        examples: Any,
        *,
        validation: Any = None,
        source: str = "",
        callbacks: Sequence[Callback] = (),
    ) -> Trained:
        """Trains a task in this folder, see `seqjax.training.fit`, and saves the model.

        Args:
          task: what is learnt.
          examples: what to learn from.
          validation: what chooses the best parameters.
          source: where the examples come from, for the record.
          callbacks: further functions of a `seqjax.training.Event`.

        Raises:
          Interrupted: a signal ended the training; all is saved.
          Followed: this process does not lead, and training is over.
          ValueError: the folder or the examples will not do, or the training diverged.
        """
        self.begin(source, (examples, validation))
        self._task = task
        PEERS.advice = (
            f"Start all of them again with --resume {self.folder} to go on from the last checkpoint"
        )
        if self.leads:
            callbacks = (*callbacks, self.log())
        with self._advised():
            trained = fit(
                task,
                examples,
                validation=validation,
                recipe=self.config,
                folder=self.folder / "checkpoints",
                devices=self.config.devices,
                callbacks=callbacks,
                on_nonfinite=self.dump,
                quiet=self.config.quiet or not self.leads,
            )
        if not self.leads:
            raise Followed
        trained.save(self.folder / "model")
        return trained

    def fit_seeds(
        self,
        task: Any,
        examples: Any,
        members: int,
        *,
        validation: Any = None,
        source: str = "",
    ) -> Trained:
        """Trains members from as many seeds side by side, see the task's `fit_seeds`, and saves the model.

        One member is trained as by `fit`.

        Args:
          task: what is learnt; has `fit_seeds(examples, seeds, recipe, **options)`, which makes one
            model of the members.
          examples: what to learn from.
          members: how many; the first one's seed is the run's.
          validation: what chooses the best step.
          source: where the examples come from, for the record.

        Raises:
          ValueError: as of `search`, or there are several devices.
        """
        if members == 1:
            return self.fit(task, examples, validation=validation, source=source)
        if self.config.devices > 1:
            raise ValueError("--members does not go with --devices; leave one of them out")
        self._task = task

        def choose(folder: Path) -> Trained:
            return task.fit_seeds(
                examples,
                range(self.config.seed, self.config.seed + members),
                self.config,
                validation=validation,
                folder=folder,
                callbacks=(self.log(),),
                quiet=self.config.quiet,
            )

        return self.search(choose, (examples, validation), source=source)

    def log(self) -> MetricsLog:
        """Opens `metrics.jsonl`, for the callbacks of a training; what is past the newest checkpoint is dropped."""
        return MetricsLog(self.folder / "metrics.jsonl", self._newest_step())

    def search(self, choose: Callable[..., Trained], examples: Any, *, source: str = "") -> Trained:
        """Takes a model that a function chooses among several trainings, in place of `fit`.

        Args:
          choose: trains, with a `folder=` for its checkpoints; on a resumed run it is called
            again, and goes on from those.
          examples: what it learns from, for the fingerprint.
          source: where they come from, for the record.

        Raises:
          Interrupted: a signal ended it; all is saved.
          ValueError: the folder will not do, there are several processes, or `choose` raises it.
        """
        if jax.process_count() > 1:
            raise ValueError("a search runs in one process; take SEQJAX_PROCESSES away")
        self.begin(source, examples)
        with self._advised():
            trained = choose(folder=self.folder / "checkpoints")
        trained.save(self.folder / "model")
        return trained

    @contextlib.contextmanager
    def _advised(self) -> Iterator[None]:
        """Says beside an error of training how to go on."""
        try:
            yield
        except Interrupted as stop:
            advice = f"{stop}; go on with --resume {self.folder}"
            raise Interrupted(advice, stop.trained, stop.signal) from None
        except NonFiniteError as error:
            raise NonFiniteError(f"{error} in {self.folder}") from error
        except UnevenBatch as error:
            raise UnevenBatch(f"{error}; give a --batch-size that --devices divides") from error
        except KeyboardInterrupt as error:
            advice = f"go on from the last checkpoint with --resume {self.folder}"
            raise KeyboardInterrupt(advice) from error

    def begin(self, source: str, examples: Any) -> None:
        """Makes the folder, becomes its only writer and writes `config.json`; `fit` does so itself.

        Args:
          source: where the examples come from, for the record.
          examples: what is learnt from, for its fingerprint.

        Raises:
          ValueError: the folder cannot be written, holds files of others or is being written by
            another process; or a resumed run's data has changed, its log is damaged or its
            checkpoints are gone; or the processes of this run were told different things.
          ImportError: there is no matplotlib for the pictures at the end.
        """
        # Pictures come last; what they want is asked for first.
        new_figure((1, 1))
        fingerprint = data.fingerprint(examples)
        settings = settings_of(self.config)
        for name in INVOCATION:
            del settings[name]
        if self.resumed:
            self._check_resumed(fingerprint)
        self._compare(settings, fingerprint)
        # The first process opens the folder; the others end with its words where it cannot.
        (trouble, *_) = gather_texts(self._open() if self.leads else "")
        if trouble:
            raise ValueError(trouble)
        if self.leads:
            about = {"origin": source, "fingerprint": fingerprint}
            saved = {
                "experiment": self.name,
                "config": settings,
                "data": about,
                "versions": versions(),
            }
            self.write_json("config.json", saved)

    def finish(
        self,
        trained: Trained,
        examples: Any,
        split: str,
        *,
        metrics: Mapping[str, int | float] | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """Scores the model, writes `result.json`, pictures, files and `index.html`, and prints what came out.

        Args:
          trained: from `fit`.
          examples: what to score on.
          split: what these examples are: "validation" or "test".
          metrics: further ones beside the model's, such as those of a baseline.
          counts: further ones for the record, such as of the training examples.

        Returns:
          What `result.json` holds.
        """
        if hasattr(trained.task, "report"):
            report = trained.report(examples, self.folder)
        else:
            report = Report(trained.evaluate(examples), {})
        history = self.history()
        if history:
            scores = {name: f"validation {name}" for name in _scored(history, trained.task.monitor)}
            plot_history(self.folder / "loss.png", history, scores, self.config.clip)
        metrics = {**report.metrics, **(metrics or {})}
        return self.write_result(metrics, {**(counts or {}), **report.counts}, split)

    def write_result(
        self,
        metrics: Mapping[str, int | float],
        counts: Mapping[str, int],
        split: str | None = None,
        sections: Sequence[Section] = (),
        **notes: Any,
    ) -> dict[str, Any]:
        """Writes `result.json`, what `experiments.table` reads, and `index.html`, and prints the metrics.

        Args:
          metrics: the figures, by name.
          counts: what they were counted over; steps are added.
          split: what they were scored on: "validation" or "test"; None for figures of no data.
          sections: parts of the page, in place of all pictures of the folder.
          **notes: said beside them, such as how a score was taken.

        Returns:
          What `result.json` holds.
        """
        history = self.history()
        seconds = history[-1]["seconds"] if history else time.monotonic() - self._began
        minutes = notes.pop("minutes", seconds / 60)
        skipped = skipped_of(history)
        result = {
            "experiment": self.name,
            "command": self.command(),
            "minutes": round(minutes, 1),
            "split": split,
            "scores": {name: _or_none(value) for name, value in metrics.items()},
            "counts": {**counts, **self._count_steps(history)},
            **notes,
            "skipped_steps": skipped,
        }
        self.write_json("result.json", result)
        write_page(self.folder, result, self.config, sections)
        if skipped:
            self.say(
                f"{skipped:,} steps were skipped: their gradients were not finite (metrics.jsonl)"
            )
        for name, value in metrics.items():
            self.say(f"{' '.join((split or '', *name.split('_'))):>34}  {value:.4f}")
        self.say(self._where_it_lies())
        return result

    def command(self) -> str:
        """Spells the command that makes this run."""
        return " ".join(
            [f"python -m experiments.{self.name}", *changed_settings(self.config, INVOCATION)]
        )

    def history(self) -> list[dict[str, Any]]:
        """Reads the lines of `metrics.jsonl`."""
        return read_metrics(self.folder / "metrics.jsonl")

    def dump(self, step: int, batch: Any) -> None:
        """Keeps the batch of the first gradient that was not finite, as `nonfinite-STEP.npz`.

        Of several processes each keeps its own rows, those after the first as
        `nonfinite-STEP-PROCESS.npz`.
        """
        leaves = {
            jax.tree_util.keystr(path): own_rows(leaf)
            for path, leaf in jax.tree.leaves_with_path(batch)
        }
        file = io.BytesIO()
        np.savez(file, **leaves)  # pyright: ignore[reportArgumentType]
        own = "" if self.leads else f"-{jax.process_index()}"
        write_atomically(self.folder / f"nonfinite-{step}{own}.npz", file.getvalue())

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file, whole or not at all."""
        write_atomically(self.folder / name, text.encode())

    def say(self, text: str) -> None:
        """Prints, unless the run is quiet."""
        if self.leads and not self.config.quiet:
            print(text, flush=True)

    def _where_it_lies(self) -> str:
        """Names the folder, what shows the run, and what reads its model."""
        pictures = ", ".join(path.name for path in sorted(self.folder.glob("*.png")))
        shown = f"index.html shows the run, with {pictures}" if pictures else "index.html shows it"
        lines = [
            f"run folder: {self.folder}",
            textwrap.fill(shown, 80, initial_indent="  ", subsequent_indent="  "),
        ]
        if (self.folder / "model").exists():
            lines.append("  model/ is what seqjax.load reads")
        return "\n".join(lines)

    def _newest_step(self) -> int:
        return max(self._saved_steps(), default=0)

    def _saved_steps(self) -> list[int]:
        return Checkpoints(self.folder / "checkpoints").steps()

    def _check_resumed(self, fingerprint: str) -> None:
        """Refuses to go on over other data, or without the checkpoints of what was trained."""
        if read_run(self.folder)["data"].get("fingerprint") != fingerprint:
            raise ValueError(
                f"the data is not that of {self.folder} (another fingerprint); give its --data-dir"
            )
        trained = any(line["kind"] == "step" for line in self.history())
        # Before its first evaluation a run has the checkpoint of step 0 alone.
        if trained and not self._saved_steps():
            raise ValueError(
                f"{self.folder} has trained before, but its checkpoints are gone or damaged; "
                "put checkpoints/ back, or begin a new run"
            )

    def _compare(self, settings: dict[str, Any], fingerprint: str) -> None:
        """Refuses processes that were not told the same; where their files lie is their own affair."""
        told = {flag(name): str(value) for name, value in settings.items() if name not in PATHS}
        told |= {"the fingerprint of the data": fingerprint, "--resume": str(self.resumed)}
        told |= {f"the version of {name}": version for name, version in versions().items()}
        lines = differences(told)
        if lines:
            raise ValueError(f"{'; '.join(lines[:3])}; give all processes the same")

    def _open(self) -> str:
        """Makes the folder this process's own; returns the words of the error where it cannot, else nothing."""
        try:
            if not self.resumed:
                self.folder = make_folder(self.folder, self.config.out is not None)
            lock_folder(self.folder)
            if not self.resumed:
                # Once more, now that no one else can begin here.
                check_free(self.folder)
            (self.folder / "checkpoints").mkdir(exist_ok=True)
        except OSError as error:
            return f"{error.filename or self.folder}: {error.strerror or error}"
        except ValueError as error:
            return str(error)
        return ""

    def _count_steps(self, history: list[dict[str, Any]]) -> dict[str, int]:
        """Counts the steps, and names the one whose parameters were kept."""
        if not history:
            return {}
        counts = {"steps": history[-1]["step"]}
        if self._task is not None and _scored(history, self._task.monitor[:1]):
            counts["best_step"] = best_evaluation(history, self._task.monitor)["step"]
        return counts


def _scored(history: list[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Lists the metrics that a log holds; without validation its evaluations have none."""
    evaluations = [line for line in history if line["kind"] == "evaluation"]
    return [name for name in names if any(name in line for line in evaluations)]


def _or_none(value: int | float) -> int | float | None:
    """Returns None for what JSON lacks: a number that is not finite."""
    if math.isfinite(value):
        return value
    return None


def skipped_of(history: list[dict[str, Any]]) -> int:
    """Returns how many steps a log's training skipped over gradients that were not finite."""
    return next(
        (int(line["skipped"]) for line in reversed(history) if line.get("skipped") is not None), 0
    )
