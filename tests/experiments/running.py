"""What the tests of the pages share."""

import sys

from experiments import cli


def run_page(page, monkeypatch, *words):
    """Runs the command line of a page in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", [page.__name__, *map(str, words)])
    try:
        cli.launch(page.Config, page.main, page.__doc__, getattr(page, "VERBS", None))
    except SystemExit as stop:
        return stop.code
    return 0
