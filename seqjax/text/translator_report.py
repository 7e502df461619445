"""What a `Translator` writes into a folder: predictions, where it looked, and what the beam is worth."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from seqjax import figures
from seqjax.figures.attention import plot_attention
from seqjax.files.disk import write_atomically
from seqjax.metrics.texts import plot_lines
from seqjax.tasks import Report
from seqjax.text.scorers import Bleu
from seqjax.typing import Params

SHOWN = 4
"""Outputs whose attention is drawn."""

LENGTH_SHOWN = 12
"""Tokens of a source that makes a good picture."""


def report(task: Any, params: Params, examples: Any, folder: str | os.PathLike) -> Report:
    """Scores a `Translator` on examples and writes what it wrote, see `Translator.report`."""
    folder = Path(folder)
    sources, references = task.checked(examples)
    began = time.monotonic()
    found = [best for best, *_ in task.translations(params, sources)]
    seconds = time.monotonic() - began
    outputs = [best.output for best in found]
    greedy = [best.output for best, *_ in task.translations(params, sources, beam=1)]

    lines = []
    for source, output, known in zip(sources, outputs, references, strict=True):
        lines.append("\t".join(map(_cell, (source, output, *known))) + "\n")
    write_atomically(folder / "predictions.tsv", "".join(lines).encode())
    if isinstance(task.scorer, Bleu):
        signature = task.scorer.signature(outputs, references)
        write_atomically(folder / "signature.txt", f"{signature}\n".encode())
    if task.network.attends:
        draw_attention(found, folder / "attention.png", _right(task, outputs, references))

    metrics = task.scorer.report(outputs, references)
    for name, value in task.scorer.metrics(greedy, references).items():
        metrics[f"greedy_{name}"] = value
    metrics["beam_seconds"] = seconds
    counts = {
        "pairs": len(sources),
        "cut_off": sum(not best.ended for best in found),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }
    return Report(metrics, counts)


def draw_attention(
    found: Sequence[Any], path: str | os.PathLike, right: Sequence[bool | None]
) -> None:
    """Draws where outputs of sources of a middle length looked.

    Args:
      found: a `Translation` of each source.
      path: of the PNG file.
      right: whether each is right; None where that cannot be said.
    """
    filled = [pair for pair in zip(found, right, strict=True) if pair[0].target and pair[0].source]
    if not filled:
        return
    shown = sorted(filled, key=lambda pair: abs(len(pair[0].source) - LENGTH_SHOWN))[:SHOWN]
    maps = [(best.source, best.target, best.attention) for best, _ in shown]
    marks = [mark for _, mark in shown]
    figure = plot_attention(maps, "Where each output looked in its source", 2, right=marks)
    figures.save_figure(figure, path)


def _right(task: Any, outputs: Sequence[Any], references: Sequence[Any]) -> list[bool | None]:
    """Tells which outputs equal a reference; None of texts that are scored by likeness."""
    if isinstance(task.scorer, Bleu):
        return [None] * len(outputs)
    return [output in known for output, known in zip(outputs, references, strict=True)]


def compare_beams(
    task: Any, params: Params, examples: Any, folder: str | os.PathLike, widths: Sequence[int]
) -> list[dict[str, Any]]:
    """Scores beams of different widths, see `Translator.compare_beams`."""
    folder = Path(folder)
    sources, references = task.checked(examples)
    rows = []
    for width in widths:
        found = task.translations(params, sources, beam=width)
        metrics = task.scorer.metrics([best.output for best, *_ in found], references)
        began = time.monotonic()
        task.translations(params, sources, beam=width)  # the first call compiled
        rows.append({"beam": width, **metrics, "seconds": time.monotonic() - began})

    write_atomically(folder / "beams.json", (json.dumps(rows, indent=2) + "\n").encode())
    panels = {}
    for name in (*metrics, "seconds"):
        panels[name] = {name: ([row["beam"] for row in rows], [row[name] for row in rows])}
    figure = plot_lines(panels, "width of the beam", f"{len(sources):,} pairs")
    figures.save_figure(figure, folder / "beams.png")
    return rows


def _cell(sequence: Any) -> str:
    """A text or symbols as a column; a tab or a line feed within would end it."""
    text = sequence if isinstance(sequence, str) else " ".join(sequence)
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")
