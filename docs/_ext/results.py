"""Writes the page of results: the table that `python -m experiments.table --markdown runs/*` prints, task by task."""

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

LINE = re.compile(r"^\| `(.+?)`(.*?) \| (?:([\d.]+) )?\| (\w*) \| (.*) \|$")

OPENING = """# Results

What each experiment scores. A row is a run: its command without `python -m experiments.`, the minutes that
it took on one core of two that other work shared, which part of the data the scores are of, and the scores.
**Validation** chose the step that is scored, and flatters; **test** was looked at once, at the end. The main
run of each task comes first, others below it. `DATA` is a folder of data sets, as in `SEQJAX_DATA`.

Each run leaves a folder with all settings, metrics by step, predictions, pictures and the model;
`python -m experiments.table --markdown runs/*` prints this table from run folders.
"""


class Run(NamedTuple):
    """A line of the table; minutes are empty where a run was stopped and gone on with."""

    command: str
    remark: str
    minutes: str
    split: str
    scores: str

    @property
    def experiment(self) -> str:
        """The name of the page."""
        return self.command.split()[2].removeprefix("experiments.")


def read_runs(text: str) -> list[Run]:
    """Reads the lines of the table."""
    found = [LINE.match(line) for line in text.splitlines()]
    return [Run(*match.groups("")) for match in found if match]


def belongs(run: Run, task: dict[str, Any]) -> bool:
    """Whether a run is of a task."""
    if run.experiment != task["experiment"] or task.get("holds", "") not in run.command:
        return False
    return not any(word in run.command for word in task.get("lacks", ()))


def by_task(runs: list[Run], tasks: list[dict[str, Any]]) -> dict[str, list[Run]]:
    """Gives each run to its task; the shortest command, the main run, comes first.

    Raises:
      ValueError: a run has no task.
    """
    grouped: dict[str, list[Run]] = {task["title"]: [] for task in tasks}
    for run in sorted(runs, key=lambda run: len(run.command)):
        owners = [task["title"] for task in tasks if belongs(run, task)]
        if not owners:
            raise ValueError(f"{run.command}: no task of results.toml has it; add one")
        grouped[owners[0]].append(run)
    return grouped


def page(runs: list[Run], tasks: list[dict[str, Any]]) -> str:
    """Writes the page."""
    parts = [OPENING]
    grouped = by_task(runs, tasks)
    for task in tasks:
        own = grouped[task["title"]]
        if not own:
            continue
        parts += [f"## {task['title']}\n", f"{task['about']}\n"]
        parts += ["| run | scores |", "|---|---|"]
        for run in own:
            command = run.command.removeprefix("python -m experiments.")
            minutes = f"{run.minutes} minutes" if run.minutes else ""
            measured = ", ".join(filter(None, [minutes, run.split]))
            parts.append(f"| `{command}`{run.remark}, {measured} | {run.scores} |")
        parts.append("")
        if task.get("published"):
            parts += ["Published:\n", *(f"* {line}" for line in task["published"]), ""]
    return "\n".join(parts)


def write_page(app: Any) -> None:
    """Writes the page where it has changed."""
    source = Path(app.srcdir)
    runs = read_runs((source / "runs.md").read_text(encoding="utf-8"))
    tasks = tomllib.loads((source / "results.toml").read_text(encoding="utf-8"))["task"]
    target, written = source / "results.md", page(runs, tasks)
    if not target.exists() or target.read_text(encoding="utf-8") != written:
        target.write_text(written, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
