"""Reports of a run: JSON lines, a progress bar, TensorBoard files."""

import contextlib
import json
import math
import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqjax.files.disk import write_atomically
from seqjax.training.loop import Callback, Event


class MetricsLog:
    """A callback that writes `metrics.jsonl`: one JSON object a line, with `step`, `kind`, `seconds` and the metrics.

    Args:
      path: the file; made at the first line.
      step: where the run stands: lines of later steps, written before a kill, are dropped, and the
        clock goes on from the last of the others.
    """

    def __init__(self, path: str | os.PathLike, step: int = 0):
        self.path = Path(path)
        kept = [line for line in read_metrics(self.path) if line["step"] <= step]
        if self.path.exists():
            write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._began = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        self._file: int | None = None

    def __call__(self, event: Event) -> None:
        """Writes one line; NaN and infinity become null, as JSON has neither."""
        if event.kind not in ("step", "evaluation"):
            return
        values = {
            name: value if math.isfinite(value) else None for name, value in event.metrics.items()
        }
        seconds = round(time.monotonic() - self._began, 3)
        line = json.dumps({"step": event.step, "kind": event.kind, "seconds": seconds} | values)
        if self._file is None:
            self._file = _appending(self.path)
            weakref.finalize(self, os.close, self._file)
        # Past all buffers: a line is there as soon as it is written, whatever ends the process.
        os.write(self._file, line.encode() + b"\n")


def _appending(path: Path) -> int:
    """Opens a file to write at its end; returns its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


def read_metrics(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Reads the lines of a `metrics.jsonl`; a last line cut short by a kill is left out.

    Args:
      path: the file; without one there are no lines.

    Returns:
      A dict for each line.

    Raises:
      ValueError: a line before the last is damaged; names it.
    """
    path = Path(path)
    if not path.exists():
        return []
    lines = []
    texts = path.read_bytes().splitlines()
    for number, text in enumerate(texts, start=1):
        line = _metrics_line(text)
        if line is not None:
            lines.append(line)
        elif number < len(texts):
            raise ValueError(
                f"{path}: line {number} is damaged; take it out, or put a whole copy of the file in place"
            )
    return lines


def _metrics_line(text: bytes) -> dict[str, Any] | None:
    """Returns a line of the log, None for what is none."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict) or not isinstance(line.get("kind"), str):
        return None
    numbers = all(isinstance(line.get(name), int | float) for name in ("step", "seconds"))
    return line if numbers else None


@contextlib.contextmanager
def progress_bar(
    steps: int, *, per_step: int, unit: str, quiet: bool = False
) -> Iterator[Callback]:
    """A progress bar on stderr as a callback: step, loss, gradient norm, units a second, time left.

    Args:
      steps: the step the run ends at.
      per_step: units that a step reads, such as characters.
      unit: their name.
      quiet: show nothing.

    Yields:
      The callback.
    """
    if quiet:
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("compiling", total=steps)
        began: list[float] = []
        first: list[int] = []

        def skipped(event: Event) -> str:
            count = int(event.metrics.get("skipped", 0))
            return f"  {count:,} skipped" if count else ""

        def show(event: Event) -> None:
            if event.kind == "start":
                bar.update(task, completed=event.step)
            elif event.kind == "step":
                began.append(time.monotonic()) if not began else None
                first.append(event.step) if not first else None
                rate = (event.step - first[0]) * per_step / max(time.monotonic() - began[0], 1e-9)
                loss, norm = event.metrics["loss"], event.metrics["gradient_norm"]
                text = f"loss {loss:.3f}  norm {norm:.2f}  {rate:,.0f} {unit}/s"
                bar.update(task, completed=event.step, description=text + skipped(event))
            elif event.kind == "evaluation":
                scores = (
                    n
                    for n in event.metrics
                    if not n.startswith(("gradient_norm", "clipped", "nonfinite"))
                )
                text = "  ".join(f"{name} {event.metrics[name]:.4f}" for name in scores)
                if text:
                    bar.console.print(f"step {event.step}: {text}", highlight=False)

        yield show


@contextlib.contextmanager
def tensorboard(folder: str | os.PathLike) -> Iterator[Callback]:
    """TensorBoard event files as a callback, through `tensorboardX` (extra `tensorboard`), without TensorFlow.

    Args:
      folder: where the event files go.

    Yields:
      The callback.

    Raises:
      ImportError: the extra is not installed.
    """
    try:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError('TensorBoard files want: pip install "seqjax[tensorboard]"') from error
    with contextlib.closing(SummaryWriter(str(folder))) as writer:

        def write(event: Event) -> None:
            for name, value in event.metrics.items():
                writer.add_scalar(f"{event.kind}/{name}", value, event.step)

        yield write
