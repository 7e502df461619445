"""Programs in a process of their own, as one has who loads a saved model."""

import json
import subprocess
import sys

NEVER = ("experiments", "torch", "tensorflow")
"""Packages that no use of a saved model imports."""


def run_afresh(program, *words, without=()):
    """Runs a program in a fresh process.

    Args:
      program: Python; `words` are its arguments, in `sys.argv[1:]`.
      *words: its arguments.
      without: packages that it must not import, beside those of `NEVER`.

    Returns:
      What it printed, read as JSON; None for nothing.
    """
    check = (
        "names = {name.split('.')[0] for name in sys.modules}\n"
        f"assert not names & {set(NEVER) | set(without)!r}, names\n"
    )
    call = [sys.executable, "-c", f"import sys\n{program}\n{check}", *map(str, words)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None
