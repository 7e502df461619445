"""Runs of translators beside each other."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqjax import files, training
from seqjax.figures import save_figure
from seqjax.metrics.texts import bleu_by_length, plot_lines

CURVES = {"nats": "nats a token, true words read", "bleu": "BLEU, own words read"}
"""Metrics of the validation pairs that are drawn, and what they are."""


def named_runs(
    folders: Sequence[str], usual: training.Options, told: Sequence[str]
) -> dict[str, str]:
    """Names runs by the settings in which they differ from the usual ones.

    Args:
      folders: of the runs.
      usual: settings that need no telling.
      told: names of the settings to tell; the first one is the name of a run like the usual one.

    Returns:
      Name of a run -> its folder.

    Raises:
      ValueError: a folder is no run's.
    """
    runs: dict[str, str] = {}
    for folder in folders:
        config = training.read_run(Path(folder))["config"]
        parts = []
        for name in told:
            value = config.get(name)
            if value == getattr(usual, name):
                continue
            words = {True: name, False: f"no {name}"}
            parts.append(words[value] if isinstance(value, bool) else f"{name} {value}")
        name = ", ".join(parts) or told[0]
        runs[f"{name} ({folder})" if name in runs else name] = folder
    return runs


def compare_runs(
    runs: Mapping[str, str | os.PathLike], output: str | os.PathLike
) -> dict[str, tuple[list[float], list[float]]]:
    """Draws runs beside each other: BLEU of the test pairs by length of the source, and the curves of validation.

    Args:
      runs: name of a run -> its folder, with `predictions.tsv` and `metrics.jsonl`.
      output: folder to make, for `lengths.png` and `curves.png`.

    Returns:
      Of each run the mean number of words of a source, and the BLEU, of groups of pairs from short
      ones to long ones.

    Raises:
      ValueError: a folder lacks a file (which).
    """
    lengths = {}
    curves: dict[str, dict] = {name: {} for name in CURVES.values()}
    for name, folder in runs.items():
        rows = [line.split("\t")[:3] for line in files.read_lines(Path(folder) / "predictions.tsv")]
        sources, outputs, references = zip(*rows, strict=True)
        lengths[name] = bleu_by_length(sources, outputs, references)
        history = training.read_metrics(Path(folder) / "metrics.jsonl")
        scored = [line for line in history if line["kind"] == "evaluation"]
        steps = [line["step"] for line in scored]
        for metric, panel in CURVES.items():
            curves[panel][name] = steps, [line[metric] for line in scored]

    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    by_length = plot_lines({"BLEU of the test pairs": lengths}, "words of the source")
    save_figure(by_length, folder / "lengths.png")
    save_figure(plot_lines(curves, "step"), folder / "curves.png")
    return lengths
