"""The command `seqjax`."""

import subprocess
import sys
from pathlib import Path

import pytest

import seqjax
from seqjax.__main__ import HELPERS, experiments

ROOT = Path(seqjax.__file__).parents[1]


def seqjax_command(*words):
    command = [sys.executable, "-m", "seqjax", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=ROOT)


def test_every_page_is_listed_with_what_it_shows():
    pages = {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__", *HELPERS}
    found = dict(experiments())
    assert set(found) == pages and "tagging" in found
    assert found["tagging"].startswith("a bidirectional LSTM with characters")
    done = seqjax_command()
    assert done.returncode == 0 and all(name in done.stdout for name in pages)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_an_experiment_runs_by_its_name():
    done = seqjax_command("run", "tagging", "--help")
    assert done.returncode == 0 and "predict RUN FILE" in done.stdout
    done = seqjax_command("run", "tagging", "--layers", "0")
    assert done.returncode == 2 and done.stderr == "error: --layers is 0; give at least 1\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("run",), "seqjax run wants an experiment"),
        (("run", "cli"), "there is no experiment 'cli'; there are caption, char_lm"),
        (("walk",), "'walk' is no command of seqjax"),
    ],
)
def test_mistakes_are_one_line(words, line):
    done = seqjax_command(*words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {line}")


def test_the_version():
    assert seqjax_command("--version").stdout == f"seqjax {seqjax.__version__}\n"
