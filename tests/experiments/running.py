"""What the tests of the pages share."""

import os
import signal
import sys

from experiments import cli
from seqjax import training


def run_page(page, monkeypatch, *words):
    """Runs the command line of a page in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", [page.__name__, *map(str, words)])
    try:
        cli.launch(page.Config, page.main, page.__doc__, getattr(page, "VERBS", None))
    except SystemExit as stop:
        return stop.code
    return 0


def run_in_two(page, monkeypatch, step, *words, resume=()):
    """Runs a page until a signal ends its training after a step, and goes on with it in its folder.

    A run that was stopped reports nothing, which takes as long as training does here.

    Args:
      page: the module.
      monkeypatch: pytest's.
      step: the last one before the signal.
      words: the command line, with `--out`.
      resume: further words of the second command.

    Returns:
      The exit code of the second command.
    """
    folder = words[words.index("--out") + 1]

    class EndingLog(training.MetricsLog):
        def __call__(self, event):
            super().__call__(event)
            if event.kind == "step" and event.step == step:
                os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr("seqjax.training.run.MetricsLog", EndingLog)
        assert run_page(page, patched, *words) == 128 + signal.SIGTERM
    assert not (folder / "result.json").exists()
    assert run_page(page, monkeypatch, "--resume", folder, "--quiet", *resume) == 0
    steps = [
        line["step"]
        for line in training.read_metrics(folder / "metrics.jsonl")
        if line["kind"] == "step"
    ]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > step
    return 0
